import { untrack } from 'svelte';

import { account } from '../app/account.svelte';
import type { ComposeRequest } from '../app/compose.svelte';
import { longDate } from '../i18n/format';
import { t } from '../i18n/index.svelte';
import { RequestError } from '../jmap/errors';
import type { EmailAddress, EmailBody, EmailBodyPart, EmailHead, Id, Identity, Mailbox } from '../jmap/types';
import { upload } from '../jmap/upload';
import { sanitise } from '../mail/html/sanitise';
import { newLocalId } from '../store/acts';
import type { Act, DraftEmail, DraftPart, SendAct } from '../store/acts';
import { size } from '../i18n/format';
import { full, isAddress, parseMailto, shown } from './address';
import { identityFor, recipientsOf, subjectOf, threadingOf } from './answer';
import type { Kind } from './answer';
import { emailOf, everyone, newMessageId, textsOf, textsOfDraft } from './email';
import { cidsIn, citation, forwarded, htmlText, mailHtml, restored, signatureClass, split, textBlock, textToHtml } from './html';
import { plainOf } from './plain';
import { remindersOf } from './reminders';
import type { Reminder } from './reminders';

const pause = 1000; // ms after the last key until what was written is saved
const hold = 10; // seconds that mail can be taken back: those of the note, and the way to the server

// An Attached is a file of the message. What the server calls it lies in the cache.
export interface Attached extends Omit<DraftPart, 'blobId'> {
	key: Id;
	progress: number | null; // of an upload under way, 0 to 1
	abort?: () => void;
}

// The editor that stands on the screen.
export interface Editor {
	root: HTMLElement;
	setHtml: (html: string) => void;
	focus: () => void;
	insertImage: (url: string, cid: string) => void;
}

export type Field = 'to' | 'cc' | 'bcc' | 'subject' | 'text';

// Draft is one message that somebody writes.
export class Draft {
	readonly key: number;
	identities = $state.raw<Identity[]>([]);
	identity = $state.raw<Identity | null>(null);
	to = $state.raw<EmailAddress[]>([]);
	cc = $state.raw<EmailAddress[]>([]);
	bcc = $state.raw<EmailAddress[]>([]);
	subject = $state('');
	plain = $state(false);
	text = $state(''); // in plain mode
	quoted = $state(''); // HTML that follows what is written
	files = $state.raw<Attached[]>([]);
	ready = $state(false);
	problem = $state('');
	saved = $state<'' | 'saving' | 'saved'>('');
	reminders = $state.raw<Reminder[]>([]);
	sending = $state(false);
	minimised = $state(false);
	focusAt: Field = 'to';
	id = $state<Id | null>(null); // what it is called now; null until it is saved
	html = ''; // for the editor to begin with
	editor: Editor | null = null;

	private mailboxes: Mailbox[] = [];
	private source: SendAct['source'] = null;
	private kind: Kind | null = null;
	private inReplyTo: string[] | null = null;
	private references: string[] | null = null;
	private said = new Set<Reminder>();
	private dirty = false;
	private timer: ReturnType<typeof setTimeout> | undefined;
	private saving: Promise<void> = Promise.resolve();
	private uploads = new Set<Promise<void>>();
	private urls = new Map<string, string>();
	private closed = false;

	constructor(request: ComposeRequest) {
		this.key = request.key;
		this.minimised = request.minimised ?? false;
		void this.begin(request).catch((e: unknown) => (this.problem = t('compose.failed', { what: e instanceof Error ? e.message : String(e) })));
	}

	// begin fills in what a message starts with.
	private async begin(request: ComposeRequest): Promise<void> {
		const { cache } = account.mail;
		const [identities, mailboxes] = await Promise.all([cache.identities.toArray(), cache.mailboxes.toArray()]);
		this.identities = identities.filter((i) => !i.email.startsWith('*')); // any of a domain is nobody
		this.mailboxes = mailboxes;
		if (this.identities.length === 0 && account.person) {
			const { login, name } = account.person;
			this.identities = [{ id: '', name, email: login, replyTo: null, bcc: null, textSignature: '', htmlSignature: '', mayDelete: false }];
		}
		this.identity = this.identities.find((i) => i.email === account.person?.login) ?? this.identities[0] ?? null;
		if (request.kind === 'draft') await this.resume(request.email!);
		else if (request.kind === 'new') this.fresh(request.to);
		else await this.answer(request.kind, request.email!);
		this.ready = true;
	}

	private role(role: string): Id | null {
		return this.mailboxes.find((m) => m.role === role)?.id ?? null;
	}

	private fresh(to?: string): void {
		const m = parseMailto(to ?? '');
		[this.to, this.cc, this.bcc, this.subject] = [m.to, m.cc, m.bcc, m.subject];
		if (this.identity?.bcc) this.bcc = [...this.bcc, ...this.identity.bcc];
		this.html = (m.body ? textToHtml(m.body) : '<div><br></div>') + this.signature();
		this.focusAt = m.to.length > 0 ? 'subject' : 'to';
	}

	// signature is the block that follows what is written.
	private signature(): string {
		const i = this.identity;
		if (!i || (!i.htmlSignature.trim() && !i.textSignature.trim())) return '';
		return `<div><br></div><div class="${signatureClass}">${i.htmlSignature.trim() || textToHtml(`-- \n${i.textSignature}`)}</div>`;
	}

	// answer begins a reply to, or the forwarding of, a message.
	private async answer(kind: Kind, id: Id): Promise<void> {
		const { mail } = account;
		const [[head], body] = await Promise.all([mail.emails([id]), mail.sync.body(id, true)]);
		if (!head || !body) throw new Error(t('message.gone'));
		this.kind = kind;
		this.source = { id, keyword: kind === 'forward' ? '$forwarded' : '$answered' };
		this.identity = identityFor(this.identities, head) ?? this.identity;
		const me = this.identities.map((i) => ({ name: null, email: i.email }));
		({ to: this.to, cc: this.cc } = recipientsOf(kind, head, body, me));
		if (this.identity?.bcc) this.bcc = this.identity.bcc;
		this.subject = subjectOf(kind, head.subject);
		({ inReplyTo: this.inReplyTo, references: this.references } = threadingOf(kind, head, body));
		const parts = await this.quote(kind, head, body);
		await this.takeParts(kind === 'forward' ? body.attachments : body.attachments.filter((p) => p.cid && parts.has(p.cid)), parts);
		this.html = `<div><br></div>${this.signature()}`;
		this.focusAt = kind === 'forward' ? 'to' : 'text';
	}

	// quote makes what is quoted of a message, and says which of its parts that shows.
	private async quote(kind: Kind, head: EmailHead, body: EmailBody): Promise<Set<string>> {
		const { text, html } = textsOf(body);
		let inner = textBlock(kind === 'forward' ? text : text.trimEnd());
		if (html?.trim()) {
			const clean = await sanitise(html);
			inner = restored(clean.body, kind === 'forward' ? clean.styles : []);
		}
		const when = longDate(head.sentAt ?? head.receivedAt);
		const names = (list: EmailAddress[] | null) => (list ?? []).map(full).join(', ');
		if (kind === 'forward') {
			const rows: [string, string][] = [[t('message.from'), names(head.from)], [t('message.date'), when], [t('compose.subject'), head.subject ?? ''], [t('message.to'), names(head.to)], [t('message.cc'), names(head.cc)]];
			this.quoted = forwarded(t('compose.forwarded'), rows.filter(([, v]) => v !== ''), inner);
		} else this.quoted = citation(t('compose.wrote', { date: when, name: shown(head.from?.[0] ?? { name: null, email: t('message.nobody') }) }), inner);
		return cidsIn(this.quoted);
	}

	// takeParts has parts of another message, or of an earlier version, go along.
	private async takeParts(parts: EmailBodyPart[], inline: Set<string>): Promise<void> {
		const files = parts.filter((p) => p.blobId).map((p): Attached & { blobId: Id } => {
			const shows = p.cid !== null && inline.has(p.cid);
			return { key: newLocalId(), blobId: p.blobId!, name: p.name ?? (p.type === 'message/rfc822' ? 'message.eml' : ''), type: p.type, size: p.size, disposition: shows ? 'inline' : 'attachment', cid: shows ? p.cid : null, progress: null };
		});
		await account.mail.cache.localIds.bulkPut(files.map((f) => ({ local: f.key, real: f.blobId })));
		this.files = files.map(({ blobId: _, ...f }) => f);
	}

	// resume goes on with a draft: as it waits here, or as the server has it.
	private async resume(id: Id): Promise<void> {
		const { mail } = account;
		const here = await mail.latest(id);
		this.id = here?.local ?? id;
		this.focusAt = 'text';
		if (here) return this.resumeHere(here.email);
		const real = await mail.named(id);
		await mail.sync.fetchHeads([real]);
		const [[head], body] = await Promise.all([mail.emails([real]), mail.sync.body(real, true)]);
		if (!head || !body) throw new Error(t('message.gone'));
		this.fill({ from: head.from ?? [], to: head.to ?? [], cc: head.cc ?? [], bcc: body.bcc ?? [], subject: head.subject ?? '', inReplyTo: body.inReplyTo, references: body.references });
		const texts = textsOf(body);
		this.show(texts.text, texts.html);
		await this.takeParts(body.attachments, cidsIn(texts.html ?? ''));
		await this.findSource(head);
	}

	private resumeHere(email: DraftEmail): void {
		this.fill({ ...email, inReplyTo: email.inReplyTo ?? null, references: email.references ?? null });
		const texts = textsOfDraft(email);
		this.show(texts.text, texts.html);
		this.files = email.attachments.map(({ blobId, ...a }) => ({ ...a, key: blobId, progress: null }));
	}

	private fill(m: Pick<DraftEmail, 'from' | 'to' | 'cc' | 'bcc' | 'subject'> & { inReplyTo: string[] | null; references: string[] | null }): void {
		[this.to, this.cc, this.bcc, this.subject] = [m.to, m.cc, m.bcc, m.subject];
		[this.inReplyTo, this.references] = [m.inReplyTo, m.references];
		const from = m.from[0]?.email.toLowerCase();
		this.identity = this.identities.find((i) => i.email.toLowerCase() === from && i.name === (m.from[0]?.name ?? '')) ?? this.identities.find((i) => i.email.toLowerCase() === from) ?? this.identity;
		if (this.to.length === 0) this.focusAt = 'to';
	}

	private show(text: string, html: string | null): void {
		this.plain = html === null;
		if (html === null) this.text = text.replaceAll('\r\n', '\n').trimEnd();
		else ({ written: this.html, quoted: this.quoted } = split(html));
	}

	// findSource finds what a draft answers or forwards, so that it is marked when sent.
	private async findSource(head: EmailHead): Promise<void> {
		const wanted = this.inReplyTo?.[0] ?? this.references?.at(-1);
		if (!wanted) return;
		const thread = await account.mail.cache.threads.get(head.threadId);
		const source = (await account.mail.emails(thread?.emailIds ?? [])).find((e) => e.messageId?.includes(wanted));
		if (source) this.source = { id: source.id, keyword: this.inReplyTo ? '$answered' : '$forwarded' };
	}

	// touch notes that something changed; it is saved when one pauses.
	touch(): void {
		this.problem = '';
		this.changed();
	}

	private changed(): void {
		this.dirty = true;
		clearTimeout(this.timer);
		this.timer = setTimeout(() => void this.save(), pause);
	}

	// written is the text without what it quotes.
	private written(): string {
		return this.plain || !this.editor ? this.text : plainOf(this.editor.root);
	}

	private texts(): { text: string; html: string | null } {
		if (this.plain) return { text: this.text, html: null };
		const root = this.editor?.root;
		if (!root) throw new Error('no editor');
		const quote = this.quoted ? `\n\n${htmlText(this.quoted)}` : '';
		return { text: plainOf(root) + quote, html: mailHtml(root, this.quoted) };
	}

	private email(): DraftEmail {
		const texts = this.texts();
		const used = texts.html === null ? null : cidsIn(texts.html);
		const parts = this.files
			.filter((f) => f.progress === null && !(f.cid && used && !used.has(f.cid)))
			.map(({ key, name, type, size, disposition, cid }): DraftPart => (used === null && cid ? { blobId: key, name, type, size, disposition: 'attachment', cid: null } : { blobId: key, name, type, size, disposition, cid }));
		return emailOf({
			...texts,
			drafts: this.role('drafts') ?? this.role('inbox') ?? '',
			identity: this.identity!,
			to: this.to,
			cc: this.cc,
			bcc: this.bcc,
			subject: this.subject,
			attachments: parts,
			inReplyTo: this.inReplyTo,
			references: this.references,
			messageId: newMessageId(this.identity!.email),
		});
	}

	// save writes the draft. Saves happen one after the other.
	save(): Promise<void> {
		clearTimeout(this.timer);
		this.saving = this.saving.then(async () => {
			if (!this.dirty || this.closed || !this.ready || !this.identity) return;
			this.dirty = false;
			this.saved = 'saving';
			try {
				this.id = await account.mail.saveDraft(this.id, this.email());
				this.saved = 'saved';
			} catch (e) {
				this.dirty = true;
				this.saved = '';
				this.problem = t('compose.notSaved', { what: e instanceof Error ? e.message : String(e) });
			}
		});
		return this.saving;
	}

	// setIdentity changes who it is from, and with it the signature.
	setIdentity(id: string): void {
		const before = this.identity;
		this.identity = this.identities.find((i) => i.id === id) ?? before;
		if (!this.identity || this.identity === before) return;
		const own = new Set(before?.bcc?.map((a) => a.email));
		this.bcc = [...this.bcc.filter((a) => !own.has(a.email)), ...(this.identity.bcc ?? [])];
		if (this.plain) {
			const old = `\n\n-- \n${before?.textSignature ?? ''}`;
			if (before?.textSignature && this.text.includes(old)) this.text = this.text.replace(old, this.identity.textSignature ? `\n\n-- \n${this.identity.textSignature}` : '');
		} else if (this.editor) {
			const { root } = this.editor;
			const copy = root.cloneNode(true) as HTMLElement;
			const old = copy.querySelector(`.${signatureClass}`);
			const gap = old?.previousElementSibling;
			if (gap?.textContent === '') gap.remove();
			old?.remove();
			this.editor.setHtml(copy.innerHTML + this.signature());
		}
		this.touch();
	}

	// setPlain switches between rich and plain text.
	setPlain(plain: boolean): void {
		if (plain === this.plain) return;
		if (plain) {
			this.text = this.written() + (this.quoted ? `\n\n${this.plainQuote()}` : '');
			this.quoted = '';
		} else this.html = textToHtml(this.text);
		this.plain = plain;
		this.touch();
	}

	private plainQuote(): string {
		return htmlText(this.quoted);
	}

	// quoteInside puts what is quoted into the text, to be answered line by line.
	quoteInside(): void {
		if (!this.editor) return;
		const text = htmlText(this.quoted);
		const first = text.indexOf('\n> ');
		const [intro, quote] = first > 0 && this.kind !== 'forward' ? [text.slice(0, first), text.slice(first + 1)] : ['', text];
		const bare = quote.split('\n').map((l) => l.replace(/^> ?/, '')).join('\n');
		const signature = this.editor.root.querySelector(`.${signatureClass}`)?.outerHTML ?? '';
		const copy = this.editor.root.cloneNode(true) as HTMLElement;
		copy.querySelector(`.${signatureClass}`)?.remove();
		this.editor.setHtml(`${intro ? `<div>${intro.replaceAll('<', '&lt;')}</div>` : ''}<blockquote>${textToHtml(bare)}</blockquote>${copy.innerHTML}${signature}`);
		this.quoted = '';
		this.touch();
	}

	dropQuote(): void {
		this.quoted = '';
		this.touch();
	}

	// attach has files go along. Images that are shown in the text stand there.
	async attach(list: Iterable<File>, inline = false): Promise<void> {
		const { limits } = account.client;
		const { maxSizeAttachmentsPerEmail = Infinity } = account.client.session?.accounts[account.client.accountId]?.accountCapabilities['urn:ietf:params:jmap:mail'] as { maxSizeAttachmentsPerEmail?: number } ?? {};
		for (const file of list) {
			const total = this.files.reduce((n, f) => n + f.size, 0) + file.size;
			if (file.size > limits.maxSizeUpload || total > maxSizeAttachmentsPerEmail) {
				this.problem = t('compose.tooLarge', { name: file.name, most: size(Math.min(limits.maxSizeUpload, maxSizeAttachmentsPerEmail)) });
				continue;
			}
			const shows = inline && !this.plain && file.type.startsWith('image/') && this.editor !== null;
			const cid = shows ? `${crypto.randomUUID()}@lockstep` : null;
			const a: Attached = { key: newLocalId(), name: file.name || t('attachment.unnamed'), type: file.type || 'application/octet-stream', size: file.size, disposition: shows ? 'inline' : 'attachment', cid, progress: 0 };
			await account.mail.cache.files.put({ key: a.key, blob: file });
			this.files = [...this.files, a];
			if (cid) this.editor!.insertImage(this.keepUrl(cid, file), cid);
			const going = this.upload(a, file).finally(() => this.uploads.delete(going));
			this.uploads.add(going);
		}
	}

	private async upload(a: Attached, file: File): Promise<void> {
		const stop = new AbortController();
		this.change(a.key, { abort: () => stop.abort() });
		try {
			const { blobId } = await upload(account.client, file, { signal: stop.signal, onProgress: (sent, total) => this.change(a.key, { progress: total > 0 ? sent / total : 0 }) });
			await account.mail.cache.localIds.put({ local: a.key, real: blobId });
		} catch (e) {
			if (e instanceof DOMException && e.name === 'AbortError') return;
			if (e instanceof RequestError && !e.passing) {
				this.remove(a.key);
				this.problem = t('compose.refused', { name: a.name, what: e.message });
				return;
			}
			// Without a connection the draft takes the file along when it is back.
		}
		this.change(a.key, { progress: null });
		this.changed();
	}

	private change(key: Id, part: Partial<Attached>): void {
		this.files = this.files.map((f) => (f.key === key ? { ...f, ...part } : f));
	}

	remove(key: Id): void {
		const file = this.files.find((f) => f.key === key);
		file?.abort?.();
		this.files = this.files.filter((f) => f.key !== key);
		if (file?.cid) for (const img of this.editor?.root.querySelectorAll<HTMLElement>('img[data-cid]') ?? []) if (img.dataset.cid === file.cid) img.remove();
		void account.mail.cache.files.delete(key);
		this.touch();
	}

	private keepUrl(cid: string, blob: Blob): string {
		const url = URL.createObjectURL(blob);
		this.urls.set(cid, url);
		return url;
	}

	// urlOf is where the editor finds an image of the message.
	async urlOf(cid: string): Promise<string | undefined> {
		const known = this.urls.get(cid);
		const file = untrack(() => this.files).find((f) => f.cid === cid);
		if (known || !file) return known;
		const { cache } = account.mail;
		const here = await cache.files.get(file.key);
		if (here) return this.keepUrl(cid, here.blob);
		const row = await cache.localIds.get(file.key);
		if (!row) return undefined;
		const answer = await account.client.request(account.client.downloadUrl(row.real, file.name || 'image', file.type));
		return this.keepUrl(cid, new Blob([await answer.blob()], { type: file.type }));
	}

	// ask says what is worth a word, each once; empty when it may go.
	private ask(): Reminder[] {
		const open = [...this.to, ...this.cc];
		const reminders = remindersOf({ text: this.written(), subject: this.subject, attachments: this.files.filter((f) => !f.cid).length, recipients: [...open, ...this.bcc], openly: open.length, answersAll: this.kind === 'replyAll' }, this.said);
		for (const r of reminders) this.said.add(r);
		return reminders;
	}

	// send submits the message, now or at a time. It says which field lacks something, or
	// undefined when it went.
	async send(sendAt: string | null = null): Promise<{ missing: Field } | { asked: true } | { act: Act } | null> {
		if (this.sending || !this.ready || !this.identity) return null;
		const all = [...this.to, ...this.cc, ...this.bcc];
		const wrong = all.find((a) => !isAddress(a.email));
		if (wrong || all.length === 0) {
			this.problem = wrong ? t('compose.noAddress', { address: wrong.email }) : t('compose.nobody');
			return { missing: wrong && !this.to.includes(wrong) ? (this.cc.includes(wrong) ? 'cc' : 'bcc') : 'to' };
		}
		this.reminders = this.ask();
		if (this.reminders.length > 0) return { asked: true };
		this.sending = true;
		try {
			await Promise.all(this.uploads);
			this.dirty = true;
			await this.save();
			if (this.dirty || this.id === null) return null;
			const label = { key: 'act.sent', args: { subject: this.subject || t('mail.noSubject') } };
			const act = await account.mail.send({ label, email: this.id, identityId: this.identity.id, mailFrom: this.identity.email, rcptTo: everyone(this), hold, sendAt, drafts: this.role('drafts'), sent: this.role('sent'), source: this.source });
			this.end();
			return { act };
		} finally {
			this.sending = false;
		}
	}

	// discard throws it away; the act can be undone, if there was anything.
	async discard(): Promise<Act | null> {
		clearTimeout(this.timer);
		this.dirty = false;
		for (const f of this.files) f.abort?.();
		await this.saving;
		const act = this.id === null ? null : await account.mail.discard(this.id, this.role('drafts'), this.role('trash'), { key: 'act.discarded', args: { subject: this.subject || t('mail.noSubject') } });
		this.end();
		return act;
	}

	// end lets go of what it held.
	end(): void {
		clearTimeout(this.timer);
		this.closed = true;
		for (const url of this.urls.values()) URL.revokeObjectURL(url);
	}
}

