import type { EmailAddress, Id, Keywords, MailboxIds, SetError } from '../jmap/types';

// EmailPatch says which keywords and mailboxes an email gains (true) and loses
// (false). Said twice it changes nothing more, so it can be sent again when an answer
// got lost.
export interface EmailPatch {
	keywords?: Record<string, boolean>;
	mailboxIds?: Record<Id, boolean>;
}

export interface Change {
	id: Id;
	patch: EmailPatch;
	was: EmailPatch; // what undoes it
	unread: boolean; // before; for the counts
	mailboxIds: MailboxIds; // before; for the counts
}

// DraftEmail is what Email/set creates: headers, keywords and a body as parts.
export interface DraftEmail {
	mailboxIds: MailboxIds;
	keywords: Keywords;
	from: EmailAddress[];
	to: EmailAddress[];
	cc: EmailAddress[];
	bcc: EmailAddress[];
	replyTo?: EmailAddress[] | null;
	subject: string;
	messageId: string[]; // made here: by it a draft is found again when an answer got lost
	inReplyTo?: string[] | null;
	references?: string[] | null;
	attachments: DraftPart[];
	[property: string]: unknown; // textBody, htmlBody, bodyValues
}

// DraftPart is something attached. What its blob is called on the server is in the
// cache's localIds by the name that it has here; what is not there yet is in its files.
export interface DraftPart {
	blobId: Id; // made here
	name: string;
	type: string;
	size: number;
	disposition: 'attachment' | 'inline';
	cid: string | null;
}

export type ActStatus =
	| 'waiting' // to be sent
	| 'sending' // sent, and nothing is known of what became of it
	| 'done' // the server did it; it stays until what the server says was taken over
	| 'aside'; // refused for good; a person has to say what next

interface ActBase {
	seq?: number; // given by IndexedDB: the order of the queue
	at: number;
	status: ActStatus;
	ids: Id[]; // the emails it shows on
	label: Label;
	error?: SetError;
	tries?: number; // how often the server failed at it
}

// Label is how an act is said, in the note that offers to undo it and in the queue.
export interface Label {
	key: string;
	args?: Record<string, string | number>;
}

export interface EmailAct extends ActBase {
	kind: 'email';
	changes: Change[];
}

export interface DestroyAct extends ActBase {
	kind: 'destroy';
	gone: { id: Id; unread: boolean; mailboxIds: MailboxIds }[];
}

// DraftAct writes a draft: a new one, or one that takes the place of replaces. Until
// the server named it, it is called local.
export interface DraftAct extends ActBase {
	kind: 'draft';
	local: Id;
	replaces: Id | null;
	email: DraftEmail;
}

// SendAct submits the draft that is called email. The server holds it until a moment,
// or for some seconds after it got it, in which it can be taken back (RFC 4865).
export interface SendAct extends ActBase {
	kind: 'send';
	email: Id;
	identityId: Id;
	mailFrom: string;
	rcptTo: string[];
	hold: number; // seconds
	sendAt: string | null; // a UTCDate
	drafts: Id | null; // the mailboxes that it leaves and enters once sent
	sent: Id | null;
	source: { id: Id; keyword: '$answered' | '$forwarded' } | null; // what it answers or forwards
}

// UnsendAct takes back what a SendAct submitted: it is a draft again.
export interface UnsendAct extends ActBase {
	kind: 'unsend';
	email: Id;
	drafts: Id | null;
	sent: Id | null;
}

export interface MailboxAct extends ActBase {
	kind: 'mailbox';
	op: 'create' | 'update' | 'destroy';
	mailbox: Id; // a local id for create
	set: { name?: string; parentId?: Id | null; isSubscribed?: boolean; sortOrder?: number };
	was?: { name?: string; parentId?: Id | null; isSubscribed?: boolean; sortOrder?: number };
}

export type Act = EmailAct | DestroyAct | DraftAct | SendAct | UnsendAct | MailboxAct;
export type NewAct = Omit<EmailAct, 'seq' | 'at' | 'status'> | Omit<DestroyAct, 'seq' | 'at' | 'status'> | Omit<DraftAct, 'seq' | 'at' | 'status'> | Omit<SendAct, 'seq' | 'at' | 'status'> | Omit<UnsendAct, 'seq' | 'at' | 'status'> | Omit<MailboxAct, 'seq' | 'at' | 'status'>;

const localMark = 'local-';

export function newLocalId(): Id {
	return localMark + crypto.randomUUID();
}

export function isLocal(id: Id): boolean {
	return id.startsWith(localMark);
}

// patched returns the flags after a patch.
export function patched<T extends { keywords: Keywords; mailboxIds: MailboxIds }>(email: T, patch: EmailPatch): T {
	return { ...email, keywords: toggled(email.keywords, patch.keywords), mailboxIds: toggled(email.mailboxIds, patch.mailboxIds) };
}

function toggled(of: Record<string, true>, by: Record<string, boolean> | undefined): Record<string, true> {
	if (!by) return of;
	const out = { ...of };
	for (const [key, on] of Object.entries(by)) {
		if (on) out[key] = true;
		else delete out[key];
	}
	return out;
}

// changeOf is what a patch does to an email, and what undoes just that: a keyword that
// was there before stays when the act is undone. undefined when it does nothing.
export function changeOf(email: { id: Id; keywords: Keywords; mailboxIds: MailboxIds }, patch: EmailPatch): Change | undefined {
	const keywords = effective(email.keywords, patch.keywords);
	const mailboxIds = effective(email.mailboxIds, patch.mailboxIds);
	if (!keywords && !mailboxIds) return undefined;
	const does: EmailPatch = { ...(keywords && { keywords }), ...(mailboxIds && { mailboxIds }) };
	const was: EmailPatch = { ...(keywords && { keywords: inverse(keywords) }), ...(mailboxIds && { mailboxIds: inverse(mailboxIds) }) };
	return { id: email.id, patch: does, was, unread: !email.keywords.$seen, mailboxIds: email.mailboxIds };
}

function effective(of: Record<string, true>, by: Record<string, boolean> | undefined): Record<string, boolean> | undefined {
	const does = Object.entries(by ?? {}).filter(([key, on]) => on !== key in of);
	return does.length > 0 ? Object.fromEntries(does) : undefined;
}

function inverse(by: Record<string, boolean>): Record<string, boolean> {
	return Object.fromEntries(Object.entries(by).map(([key, on]) => [key, !on]));
}

// jmapPatch is a patch in the words of Email/set (RFC 8620 §5.3).
export function jmapPatch(patch: EmailPatch, real: (id: Id) => Id = (id) => id): Record<string, true | null> {
	const out: Record<string, true | null> = {};
	for (const [k, on] of Object.entries(patch.keywords ?? {})) out[`keywords/${pointer(k)}`] = on || null;
	for (const [m, on] of Object.entries(patch.mailboxIds ?? {})) out[`mailboxIds/${pointer(real(m))}`] = on || null;
	return out;
}

// pointer escapes a key as RFC 6901 asks for.
function pointer(key: string): string {
	return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

// inverseOf is the act that undoes another, undefined when none can.
export function inverseOf(act: Act): NewAct | undefined {
	switch (act.kind) {
		case 'email':
			return {
				kind: 'email',
				ids: act.ids,
				label: { key: 'act.undone' },
				changes: act.changes.map((c) => {
					const after = patched({ keywords: (c.unread ? {} : { $seen: true }) as Keywords, mailboxIds: c.mailboxIds }, c.patch);
					return { id: c.id, patch: c.was, was: c.patch, unread: !after.keywords.$seen, mailboxIds: after.mailboxIds };
				}),
			};
		case 'mailbox':
			if (act.op === 'update' && act.was) return { kind: 'mailbox', op: 'update', mailbox: act.mailbox, ids: [], set: act.was, was: act.set, label: { key: 'act.undone' } };
			if (act.op === 'create') return { kind: 'mailbox', op: 'destroy', mailbox: act.mailbox, ids: [], set: {}, label: { key: 'act.undone' } };
			return undefined;
		default:
			return undefined;
	}
}
