import DOMPurify from 'dompurify';

import { plainOf } from './plain';

// What one writes, as HTML: kept to what a letter needs, without styles of its own. What
// is quoted is another's: it stays as it came, sanitised, apart from what is written.

export const quoteClass = 'lockstep-quote';
export const signatureClass = 'lockstep-signature';

const tags = ['div', 'p', 'br', 'b', 'strong', 'i', 'em', 'u', 's', 'strike', 'del', 'sub', 'sup', 'code', 'pre', 'a', 'ul', 'ol', 'li', 'blockquote', 'h1', 'h2', 'h3', 'h4', 'hr', 'img', 'table', 'thead', 'tbody', 'tr', 'td', 'th'];

// safe is HTML as it may stand in the editor. Images are those of the message itself;
// others would be fetched from strangers.
export function safe(html: string): DocumentFragment {
	const dirty = DOMPurify.sanitize(unstyled(html), { ALLOWED_TAGS: tags, ALLOWED_ATTR: ['href', 'src', 'alt', 'class', 'dir', 'data-cid', 'type', 'colspan', 'rowspan', 'start'], ALLOW_DATA_ATTR: false, ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|cid:|blob:|data:image\/(?:png|gif|jpe?g|webp);)/i, RETURN_DOM_FRAGMENT: true });
	for (const img of dirty.querySelectorAll('img')) {
		const src = img.getAttribute('src') ?? '';
		if (/^cid:/i.test(src)) {
			img.dataset.cid = decodeURIComponent(src.slice(4));
			img.removeAttribute('src');
		} else if (!/^(?:blob|data):/i.test(src) && !img.dataset.cid) img.replaceWith(img.alt);
	}
	for (const el of dirty.querySelectorAll('[class]')) if (el.className !== signatureClass) el.removeAttribute('class');
	return document.importNode(dirty, true);
}

export function escape(text: string): string {
	return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

// textToHtml is a text as lines of the editor.
export function textToHtml(text: string): string {
	return text
		.replaceAll('\r\n', '\n')
		.split('\n')
		.map((line) => `<div>${escape(line).replaceAll(/ {2}/g, '&nbsp; ') || '<br>'}</div>`)
		.join('');
}

// inert is a copy in a document that loads nothing.
function inert<T extends Element>(el: T): T {
	return document.implementation.createHTMLDocument('').importNode(el, true);
}

// mailHtml is what was written, and what it quotes, as it goes into the message.
export function mailHtml(written: Element, quoted: string): string {
	const copy = inert(written);
	for (const img of copy.querySelectorAll<HTMLElement>('img[data-cid]')) {
		img.setAttribute('src', `cid:${encodeURIComponent(img.dataset.cid!)}`);
		delete img.dataset.cid;
	}
	return `<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>${copy.innerHTML.replaceAll('\u200b', '')}${quoted ? `<div><br></div><div class="${quoteClass}">${quoted}</div>` : ''}</body></html>`;
}

export interface Parts {
	written: string;
	quoted: string;
}

// split takes a message's HTML apart again. What is quoted is not parsed: it goes on as
// it is.
export function split(html: string): Parts {
	const mark = `<div class="${quoteClass}">`;
	const from = html.indexOf(mark);
	const to = html.lastIndexOf('</div>');
	if (from < 0 || to < from) return { written: bodyOf(html).innerHTML, quoted: '' };
	return { written: bodyOf(html.slice(0, from).replace(/<div><br><\/div>$/, '')).innerHTML, quoted: html.slice(from + mark.length, to) };
}

// bodyOf parses HTML without its styles and handlers, for its text and its structure:
// the page's policy lets none of them do anything, but complains of each.
function bodyOf(html: string): HTMLElement {
	const bare = unstyled(html);
	return new DOMParser().parseFromString(bare, 'text/html').body;
}

function unstyled(html: string): string {
	return html.replaceAll(/<style\b[\s\S]*?(?:<\/style\s*>|$)/gi, '').replaceAll(/<[a-z][^>]*>/gi, (tag) => tag.replaceAll(/([\s"'/])(?:style|on\w+)(?=\s*=)/gi, '$1data-was'));
}

// htmlText is HTML as plain text.
export function htmlText(html: string): string {
	return plainOf(bodyOf(html));
}

// cidsIn are the parts that HTML shows as images.
export function cidsIn(html: string): Set<string> {
	return new Set([...bodyOf(html).querySelectorAll('img')].flatMap((img) => {
		const src = img.getAttribute('src') ?? '';
		return /^cid:/i.test(src) ? [decodeURIComponent(src.slice(4))] : [];
	}));
}

const bar = 'margin:0 0 0 0.8ex;padding-left:1ex;border-left:2px solid #b8c0cc';

// citation is a message as an answer quotes it.
export function citation(attribution: string, body: string): string {
	return `<div>${escape(attribution)}</div><blockquote type="cite" style="${bar}">${body}</blockquote>`;
}

// forwarded is a message as it is passed on.
export function forwarded(title: string, headers: [string, string][], body: string): string {
	return `<div>${escape(title)}</div>${headers.map(([name, value]) => `<div><b>${escape(name)}:</b> ${escape(value)}</div>`).join('')}<br>${body}`;
}

// textBlock is plain text within HTML.
export function textBlock(text: string): string {
	return `<div>${text.replaceAll('\r\n', '\n').split('\n').map((line) => escape(line).replaceAll(/^ | {2}/g, (s) => '&nbsp;'.repeat(s.length))).join('<br>')}</div>`;
}

// restored is sanitised HTML with its images where they were.
export function restored(body: HTMLElement, styles: string[]): string {
	const copy = inert(body);
	for (const img of copy.querySelectorAll('img')) {
		const { cid, remote } = img.dataset;
		if (cid) img.setAttribute('src', `cid:${encodeURIComponent(cid)}`);
		else if (remote) img.setAttribute('src', remote);
		delete img.dataset.cid;
		delete img.dataset.remote;
	}
	for (const a of copy.querySelectorAll<HTMLElement>('a')) {
		a.removeAttribute('title');
		delete a.dataset.leads;
	}
	return styles.map((s) => `<style>${s}</style>`).join('') + copy.innerHTML;
}
