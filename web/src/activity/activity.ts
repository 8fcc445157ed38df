import type { Key } from '../i18n/index.svelte';
import type { Id } from '../jmap/types';

// An act of the journal (docs/protocols/jmap.md, Act/get).
export interface Act {
	id: Id;
	at: string;
	actor: string;
	deviceId: Id | null;
	deviceName: string;
	protocol: string;
	cause: string;
	undoes: Id | null;
	isWhole: boolean;
	entries: Entry[];
}

export interface Entry {
	op: string;
	mailboxId?: Id;
	mailboxName?: string | null;
	toId?: Id;
	toName?: string | null;
	count: number;
	added?: string[];
	removed?: string[];
	name?: string;
	oldName?: string;
	isSet?: boolean;
	emails?: { emailId: Id; threadId: Id; isThere: boolean; subject: string; from: string }[];
}

export interface Undone {
	ids: Id[];
	undone: number;
	left: string[];
	act: Id | null;
}

export interface Clause {
	key: Key;
	args: Record<string, string | number>;
}

// Flags whose coming and going has a word of its own.
const flags: Record<string, [added: Key, removed: Key]> = {
	$seen: ['activity.read', 'activity.unread'],
	$flagged: ['activity.flagged', 'activity.unflagged'],
	$answered: ['activity.answered', 'activity.unanswered'],
	$forwarded: ['activity.forwarded', 'activity.unforwarded'],
	$deleted: ['activity.marked', 'activity.unmarked'],
	$junk: ['activity.junk', 'activity.notJunk'],
	$draft: ['activity.draft', 'activity.notDraft'],
};

// clauses say what an entry did. Each flag is a clause of its own.
export function clauses(e: Entry, cause: string): Clause[] {
	const args = { n: e.count, mailbox: e.mailboxName ?? '', to: e.toName ?? '', name: e.name ?? '', old: e.oldName ?? '' };
	const one = (key: Key, more: Record<string, string | number> = {}): Clause[] => [{ key, args: { ...args, ...more } }];
	switch (e.op) {
		case 'append':
			return one(cause === 'delivery' ? 'activity.arrived' : cause === 'import' ? 'activity.imported' : 'activity.added');
		case 'flags':
			return [...(e.added ?? []).flatMap((f) => one(flags[f]?.[0] ?? 'activity.keyword', { keyword: f })), ...(e.removed ?? []).flatMap((f) => one(flags[f]?.[1] ?? 'activity.unkeyword', { keyword: f }))];
		case 'update-mailbox':
			return one(e.oldName ? 'activity.renamedMailbox' : 'activity.changedMailbox');
		case 'preference':
		case 'metadata':
			if (e.name?.endsWith('/vacation')) return one('activity.vacation');
			return one('activity.setting');
		case 'annotate':
			return one('activity.annotated');
		case 'rights':
			return one('activity.rights');
		case 'copy':
		case 'move':
		case 'expunge':
		case 'restore':
		case 'create-mailbox':
		case 'delete-mailbox':
		case 'subscribe':
		case 'unsubscribe':
		case 'device':
		case 'restored':
		case 'erase':
		case 'erased':
			return one(`activity.op.${e.op}`);
	}
	return one('activity.other', { name: e.op });
}

// kinds are what the list can be narrowed to.
export const kinds = ['arrived', 'changed', 'moved', 'removed', 'mailboxes', 'other'] as const;
export type Kind = (typeof kinds)[number];

export function kindOf(e: Entry): Kind {
	switch (e.op) {
		case 'append':
			return 'arrived';
		case 'flags':
		case 'annotate':
			return 'changed';
		case 'move':
		case 'copy':
		case 'restore':
			return 'moved';
		case 'expunge':
		case 'erase':
			return 'removed';
		case 'create-mailbox':
		case 'update-mailbox':
		case 'delete-mailbox':
		case 'subscribe':
		case 'unsubscribe':
		case 'rights':
			return 'mailboxes';
	}
	return 'other';
}

// matches looks for a text in what an act was about.
export function matches(a: Act, text: string, words: (a: Act) => string): boolean {
	const wanted = text.trim().toLocaleLowerCase();
	if (!wanted) return true;
	const said = [words(a), a.deviceName, ...a.entries.flatMap((e) => (e.emails ?? []).flatMap((m) => [m.subject, m.from]))];
	return said.some((s) => s.toLocaleLowerCase().includes(wanted));
}

// byDay cuts acts, newest first, into days as the person counts them.
export function byDay(acts: Act[]): { day: number; acts: Act[] }[] {
	const days: { day: number; acts: Act[] }[] = [];
	for (const a of acts) {
		const day = new Date(a.at).setHours(0, 0, 0, 0);
		const last = days.at(-1);
		if (last?.day === day) last.acts.push(a);
		else days.push({ day, acts: [a] });
	}
	return days;
}
