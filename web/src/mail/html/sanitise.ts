import DOMPurify from 'dompurify';
import type { DOMPurify as Purifier, WindowLike } from 'dompurify';

import { decoded, destination } from './destination';

// What a message's HTML may be. It is shown in a frame in which nothing runs and from
// which nothing is loaded (web.go); this takes out beforehand what could do either,
// what asks for input, and what watches whether one reads.

export interface Sanitised {
	body: HTMLElement;
	styles: string[];
	lang: string;
	dir: string;
	remote: number; // images that would be fetched from elsewhere
	pixels: number; // images too small to be seen: those only watch
	cids: Set<string>; // parts of the message that it shows as images
	coloured: boolean; // it brings colours of its own
}

const forbidden = [
	'script', 'noscript', 'iframe', 'frame', 'frameset', 'object', 'embed', 'applet', 'portal', 'fencedframe', 'link', 'meta', 'base', 'template', 'slot',
	'form', 'input', 'button', 'textarea', 'select', 'option', 'optgroup', 'datalist', 'output', 'fieldset', 'keygen', 'dialog',
	'svg', 'math', 'canvas', 'video', 'audio', 'source', 'track', 'picture', 'map', 'area', 'marquee', 'bgsound',
];

const allowedLink = /^(https?|mailto|tel|geo|xmpp|sms):/i;
const most = 4_000_000; // characters that are looked at

let bench: Promise<Purifier> | undefined;

// workbench is where messages are parsed: a document under the frame's policy, as ours
// would not even read a style attribute.
function workbench(): Promise<Purifier> {
	bench ??= new Promise((resolve, reject) => {
		const frame = document.createElement('iframe');
		frame.hidden = true;
		frame.setAttribute('sandbox', 'allow-same-origin');
		frame.src = '/frame/closed';
		frame.onload = () => resolve(DOMPurify(frame.contentWindow as unknown as WindowLike));
		frame.onerror = () => reject(new Error('no frame to sanitise in'));
		document.body.append(frame);
	});
	return bench;
}

// sanitise parses a message's HTML and keeps what is good.
export async function sanitise(html: string): Promise<Sanitised> {
	const purifier = await workbench();
	const dirty = html.length > most ? html.slice(0, most) : html;
	const root = purifier.sanitize(dirty, {
		WHOLE_DOCUMENT: true,
		RETURN_DOM: true,
		FORBID_TAGS: forbidden,
		FORBID_ATTR: ['srcset', 'ping', 'sizes', 'usemap', 'autofocus', 'contenteditable', 'popover', 'popovertarget', 'tabindex', 'accesskey', 'action', 'formaction', 'name', 'id', 'target', 'rel', 'http-equiv', 'nonce', 'part', 'exportparts', 'inert', 'is'],
		ALLOW_DATA_ATTR: false,
		ALLOW_UNKNOWN_PROTOCOLS: false,
		USE_PROFILES: { html: true },
		ADD_TAGS: ['style', 'center'],
		ADD_ATTR: ['background', 'bgcolor', 'align', 'valign', 'cellpadding', 'cellspacing', 'border'],
		ADD_URI_SAFE_ATTR: ['background'],
		// Every attribute is held against this, so it has to let pass what is no address.
		ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto|tel|geo|xmpp|sms|cid):|[^a-z]|[a-z+.-]+(?:[^a-z+.:-]|$))/i,
	}) as unknown as HTMLElement;

	const out: Sanitised = { body: root.querySelector('body') ?? root, styles: [], lang: root.getAttribute('lang') ?? '', dir: root.getAttribute('dir') ?? '', remote: 0, pixels: 0, cids: new Set(), coloured: false };
	for (const style of root.querySelectorAll('style')) {
		out.styles.push(cleanSheet(style.textContent ?? ''));
		style.remove();
	}
	for (const img of out.body.querySelectorAll('img')) image(img, out);
	for (const a of out.body.querySelectorAll('a')) link(a);
	for (const el of [out.body, ...out.body.querySelectorAll<HTMLElement>('[style], [background], [bgcolor]')]) own(el, out);
	out.coloured ||= out.styles.some((s) => /(?:^|[;{\s])(?:background(?:-color)?|color)\s*:/i.test(s));
	out.remote += out.styles.reduce((n, s) => n + remoteUrls(s), 0);
	return out;
}

// Sheets are strangers' and long: no expression here may look at the same text again and
// again, so what is not closed is taken to the end.
const remoteUrl = /url\(\s*(?:["']\s*)?(?:https?:)?\/\//gi;

export function remoteUrls(css: string): number {
	return css.match(remoteUrl)?.length ?? 0;
}

// image sorts an image: a part of the message, one that watches, or one from elsewhere.
function image(img: HTMLImageElement, out: Sanitised): void {
	const src = img.getAttribute('src')?.trim() ?? '';
	img.removeAttribute('loading');
	if (/^cid:/i.test(src)) {
		const cid = decoded(src.slice(4));
		out.cids.add(cid);
		img.dataset.cid = cid;
		img.removeAttribute('src');
	} else if (/^(?:https?:)?\/\//i.test(src)) {
		img.removeAttribute('src');
		if (tiny(img)) {
			out.pixels++;
			img.remove();
			return;
		}
		out.remote++;
		img.dataset.remote = src.startsWith('//') ? `https:${src}` : src;
		img.referrerPolicy = 'no-referrer';
	} else if (!/^data:image\//i.test(src)) img.removeAttribute('src');
}

// fetches says whether style may name an address: in words, or with letters written as
// escapes. What is set again is normal, and has no more escapes.
export const fetches = /url|image-set|\\/i;

// withoutUrls takes addresses out of style, for as long as nothing is to be loaded. The
// frame's policy would refuse them, one by one and noisily.
export function withoutUrls(css: string): string {
	return css.replaceAll(/(?:-webkit-)?image-set\([^()]*(?:\([^()]*\)[^()]*)*\)?/gi, 'none').replaceAll(/url\((?!\s*["']?data:)(?:\s*"[^"]*"?\s*|\s*'[^']*'?\s*|[^)]*)\)?/gi, 'none');
}

// tiny says whether an image could not be seen if it were loaded.
function tiny(img: HTMLImageElement): boolean {
	const css = img.style;
	const px = (attribute: string | null, style: string) => (style ? parseFloat(style) : attribute === null || attribute === '' ? NaN : parseFloat(attribute));
	const [w, h] = [px(img.getAttribute('width'), css.width), px(img.getAttribute('height'), css.height)];
	return w <= 2 || h <= 2 || css.display === 'none' || css.visibility === 'hidden' || css.opacity === '0';
}

function link(a: HTMLAnchorElement): void {
	const href = a.getAttribute('href')?.trim() ?? '';
	if (!allowedLink.test(href)) {
		a.removeAttribute('href');
		return;
	}
	a.target = '_blank';
	a.rel = 'noopener noreferrer nofollow';
	a.title = destination(href);
	// Text that looks like an address but is another's is told apart.
	const says = /^\s*(?:https?:\/\/)?([\w-]+(?:\.[\w-]+)+)/i.exec(a.textContent ?? '')?.[1]?.toLowerCase();
	const leads = hostOf(href);
	if (says && leads && !same(says, leads)) a.dataset.leads = leads;
}

function same(says: string, leads: string): boolean {
	const bare = (h: string) => h.replace(/^www\./, '');
	return bare(leads) === bare(says) || bare(leads).endsWith('.' + bare(says));
}

function hostOf(href: string): string {
	try {
		const u = new URL(href);
		return u.protocol.startsWith('http') ? u.hostname.toLowerCase() : '';
	} catch {
		return '';
	}
}

// own looks at what an element brings with it: colours, and images behind it.
function own(el: HTMLElement, out: Sanitised): void {
	const css = el.style;
	if (el.hasAttribute('bgcolor') || css.color || css.background || css.backgroundColor) out.coloured = true;
	const behind = el.getAttribute('background') ?? '';
	if (behind && !/^data:image\//i.test(behind)) {
		el.removeAttribute('background');
		if (/^(?:https?:)?\/\//i.test(behind)) out.remote++;
	}
	out.remote += remoteUrls(css.cssText);
	// Nothing may leave its place in the text or lie over it for ever.
	if (/fixed|sticky/.test(css.position)) css.position = 'static';
}

// cleanSheet takes out of a sheet what fetches other sheets or fonts. The frame's
// policy refuses them too.
export function cleanSheet(css: string): string {
	return css.replaceAll(/@(?:import|charset|namespace)[^;{]*;?/gi, '').replaceAll(/@font-face\s*\{[^}]*\}?/gi, '').replaceAll(/position\s*:\s*(?:fixed|sticky)/gi, 'position:static').replaceAll(/<\/?style/gi, '').replaceAll('<!--', '').replaceAll('-->', '');
}

const quotes = 'blockquote[type="cite"], .gmail_quote, .yahoo_quoted, .moz-cite-prefix + blockquote, #appendonsend ~ *, [class*="OutlookMessageHeader"] ~ *';

// foldQuotes puts what was quoted at the end behind a line that opens it.
export function foldQuotes(body: HTMLElement, label: string): void {
	const all = [...body.querySelectorAll<HTMLElement>(quotes)].filter((q) => !q.parentElement?.closest(quotes));
	const last = all.at(-1);
	if (!last || textAfter(last, body) || !body.textContent?.replace(last.textContent ?? '', '').trim()) return;
	const details = body.ownerDocument.createElement('details');
	const summary = body.ownerDocument.createElement('summary');
	summary.textContent = label;
	last.replaceWith(details);
	details.append(summary, last);
}

function textAfter(el: Node, root: Node): boolean {
	for (let at: Node | null = el; at && at !== root; at = at.parentNode) {
		for (let next = at.nextSibling; next; next = next.nextSibling) if (next.textContent?.trim()) return true;
	}
	return false;
}
