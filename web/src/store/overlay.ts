import type { EmailHead, Id, Mailbox } from '../jmap/types';
import { patched } from './acts';
import type { Act, DraftAct, EmailPatch, SendAct, UnsendAct } from './acts';

// What the screen shows is what the server said with the acts laid over it that it has
// not confirmed yet. These are pure functions; acts set aside show nothing.

// emailWith returns the email as it will be, undefined when it will be gone.
export function emailWith(email: EmailHead, acts: Act[]): EmailHead | undefined {
	let e = email;
	for (const act of acts) {
		if (act.status === 'aside') continue;
		if (act.kind === 'email') {
			const change = act.changes.find((c) => c.id === email.id);
			if (change) e = patched(e, change.patch);
		} else if (act.kind === 'destroy' && act.gone.some((g) => g.id === email.id)) return undefined;
		else if (act.kind === 'draft' && act.ids.includes(email.id)) e = rewritten(e, act);
		else if ((act.kind === 'send' || act.kind === 'unsend') && act.ids.includes(email.id)) e = patched(e, moved(act));
	}
	return e;
}

// rewritten is a draft with what was written since.
function rewritten(e: EmailHead, { email }: DraftAct): EmailHead {
	const preview = Object.values((email.bodyValues ?? {}) as Record<string, { value: string }>)[0]?.value ?? '';
	return { ...e, from: email.from, to: email.to, cc: email.cc, subject: email.subject, hasAttachment: email.attachments.some((a) => a.disposition === 'attachment'), preview: preview.slice(0, 256).replaceAll(/\s+/g, ' ') };
}

// moved is what becomes of an email that is sent, or taken back.
export function moved({ kind, drafts, sent }: SendAct | UnsendAct): EmailPatch {
	const sends = kind === 'send';
	return { keywords: { $draft: !sends, ...(sends && { $seen: true }) }, mailboxIds: { ...(drafts && { [drafts]: !sends }), ...(sent && { [sent]: sends }) } };
}

// actsOn sorts acts by the emails that they show on, so that a list of rows does not
// look through all of them for each.
export function actsOn(acts: Act[]): Map<Id, Act[]> {
	const by = new Map<Id, Act[]>();
	for (const act of acts) {
		if (act.status === 'aside') continue;
		for (const id of act.ids) {
			const list = by.get(id);
			if (list) list.push(act);
			else by.set(id, [act]);
		}
	}
	return by;
}

// mailboxesWith returns the mailboxes with those made, renamed and removed here, and
// with the counts that the acts will leave.
export function mailboxesWith(mailboxes: Mailbox[], acts: Act[]): Mailbox[] {
	const by = new Map(mailboxes.map((m) => [m.id, { ...m }]));
	for (const act of acts) {
		if (act.status === 'aside') continue;
		if (act.kind === 'mailbox') overlayMailbox(by, act);
		else if (act.kind === 'email') for (const c of act.changes) recount(by, c);
		else if (act.kind === 'destroy') for (const g of act.gone) count(by, g.mailboxIds, g.unread, -1);
	}
	return [...by.values()];
}

function overlayMailbox(by: Map<Id, Mailbox>, act: Extract<Act, { kind: 'mailbox' }>): void {
	const m = by.get(act.mailbox);
	if (act.op === 'destroy') by.delete(act.mailbox);
	else if (act.op === 'update' && m) Object.assign(m, act.set);
	else if (act.op === 'create' && !m) by.set(act.mailbox, { ...fresh, id: act.mailbox, name: act.set.name ?? '', parentId: act.set.parentId ?? null });
}

const fresh: Omit<Mailbox, 'id' | 'name' | 'parentId'> = {
	role: null,
	sortOrder: 0,
	totalEmails: 0,
	unreadEmails: 0,
	totalThreads: 0,
	unreadThreads: 0,
	isSubscribed: true,
	myRights: { mayReadItems: true, mayAddItems: true, mayRemoveItems: true, maySetSeen: true, maySetKeywords: true, mayCreateChild: true, mayRename: true, mayDelete: true, maySubmit: true },
};

type Changes = Extract<Act, { kind: 'email' }>['changes'];

function recount(by: Map<Id, Mailbox>, c: Changes[number]): void {
	const before = { keywords: (c.unread ? {} : { $seen: true }) as Record<string, true>, mailboxIds: c.mailboxIds };
	const after = patched(before, c.patch);
	count(by, before.mailboxIds, c.unread, -1);
	count(by, after.mailboxIds, !after.keywords.$seen, +1);
}

function count(by: Map<Id, Mailbox>, ids: Record<Id, true>, unread: boolean, n: number): void {
	for (const id of Object.keys(ids)) {
		const m = by.get(id);
		if (!m) continue;
		m.totalEmails = Math.max(0, m.totalEmails + n);
		if (unread) m.unreadEmails = Math.max(0, m.unreadEmails + n);
	}
}
