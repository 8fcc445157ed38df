import type { EmailAddress, EmailHead, Id } from '../jmap/types';
import type { Act } from '../store/acts';
import type { Cache, QueryRow, Spec } from '../store/db';
import { actsOn, emailWith } from '../store/overlay';
import { idAt } from '../store/window';
import { shownKeywords } from './keywords';

// What the list of conversations shows: a query's results as the server gave them,
// less the rows that acts took away.

export interface Row {
	id: Id; // the email that stands for the conversation here
	threadId: Id;
	emails: EmailHead[]; // of the conversation, the oldest first
	people: Person[];
	subject: string;
	preview: string;
	date: string;
	unread: boolean;
	flagged: boolean;
	attachment: boolean;
	answered: boolean;
	forwarded: boolean;
	draft: boolean;
	keywords: string[];
}

export interface Person {
	name: string;
	unread: boolean;
}

// A View is the part of a list that is looked at, and how long the whole is.
export interface View {
	known: boolean; // the list was read before
	total: number;
	rows: Map<number, Row>; // by index; what is missing is on its way
	ids: (index: number) => Id | undefined;
	hidden: number[]; // positions that are not shown, ascending
}

export const nothing: View = { known: false, total: 0, rows: new Map(), ids: () => undefined, hidden: [] };

// mailboxOf is the mailbox that a list shows, if it is one.
export function mailboxOf(spec: Spec): Id | undefined {
	return spec.filter && 'inMailbox' in spec.filter ? spec.filter.inMailbox : undefined;
}

// view reads [from, to) of a list from the cache.
export async function view(cache: Cache, key: string, from: number, to: number, me: Set<string>): Promise<View> {
	const [q, acts] = await Promise.all([cache.queries.get(key), cache.acts.orderBy('seq').toArray()]);
	if (!q) return nothing;
	const mailbox = mailboxOf(q.spec);
	const by = actsOn(acts);
	const gone = await removed(cache, by, mailbox);
	const hidden = positions(q, gone);
	const ids = (index: number) => idAt(q.segments, shift(index, hidden));
	const total = Math.max(0, q.total - hidden.length);
	const wanted = Array.from({ length: Math.max(0, Math.min(to, total) - from) }, (_, i) => [from + i, ids(from + i)] as const).filter((p): p is [number, Id] => p[1] !== undefined);
	const rows = await rowsOf(cache, wanted, by, mailbox, me);
	return { known: true, total, rows, ids, hidden };
}

// removed are the emails that acts take out of the list.
async function removed(cache: Cache, by: Map<Id, Act[]>, mailbox: Id | undefined): Promise<Set<Id>> {
	const suspects = [...by].filter(([, acts]) => acts.some((a) => a.kind !== 'email' || a.changes.some((c) => c.patch.mailboxIds))).map(([id]) => id);
	if (suspects.length === 0) return new Set();
	const emails = await cache.emails.bulkGet(suspects);
	return new Set(
		suspects.filter((id, i) => {
			const now = emails[i] && emailWith(emails[i], by.get(id)!);
			return !now || (mailbox !== undefined && !(mailbox in now.mailboxIds));
		}),
	);
}

function positions(q: QueryRow, ids: Set<Id>): number[] {
	if (ids.size === 0) return [];
	return q.segments.flatMap((s) => s.ids.map((id, i) => (ids.has(id) ? s.from + i : -1)).filter((p) => p >= 0));
}

// shift is the position in the query of what is shown at an index.
export function shift(index: number, hidden: number[]): number {
	let position = index;
	for (const h of hidden) {
		if (h > position) break;
		position++;
	}
	return position;
}

// unshift is the index at which a position is shown.
export function unshift(position: number, hidden: number[]): number {
	return position - hidden.filter((h) => h < position).length;
}

async function rowsOf(cache: Cache, wanted: [number, Id][], by: Map<Id, Act[]>, mailbox: Id | undefined, me: Set<string>): Promise<Map<number, Row>> {
	const heads = await cache.emails.bulkGet(wanted.map(([, id]) => id));
	const threads = await cache.threads.bulkGet(heads.map((h) => h?.threadId ?? ''));
	const members = await cache.emails.bulkGet([...new Set(threads.flatMap((t) => t?.emailIds ?? []))]);
	const emails = new Map(members.filter((e) => e !== undefined).map((e) => [e.id, e]));
	const out = new Map<number, Row>();
	wanted.forEach(([index, id], i) => {
		const head = heads[i];
		if (!head) return;
		const all = (threads[i]?.emailIds ?? [id]).map((m) => emails.get(m) ?? (m === id ? head : undefined)).filter((e) => e !== undefined);
		const now = all.map((e) => emailWith(e, by.get(e.id) ?? [])).filter((e) => e !== undefined);
		out.set(index, rowOf(head, now, mailbox, me));
	});
	return out;
}

// rowOf says what a row shows. What lies in other mailboxes counts for who wrote, not
// for what is unread here.
export function rowOf(head: EmailHead, emails: EmailHead[], mailbox: Id | undefined, me: Set<string>): Row {
	const here = emails.filter((e) => !mailbox || mailbox in e.mailboxIds);
	const shown = here.length > 0 ? here : [head];
	const newest = shown.at(-1)!;
	const has = (k: string) => shown.some((e) => e.keywords[k]);
	return {
		id: head.id,
		threadId: head.threadId,
		emails,
		people: people(emails.length > 0 ? emails : [head], me),
		subject: newest.subject ?? '',
		preview: newest.preview,
		date: newest.receivedAt,
		unread: shown.some((e) => !e.keywords.$seen && !e.keywords.$draft),
		flagged: has('$flagged'),
		attachment: shown.some((e) => e.hasAttachment),
		answered: has('$answered'),
		forwarded: has('$forwarded'),
		draft: has('$draft'),
		keywords: [...new Set(shown.flatMap((e) => shownKeywords(e.keywords)))],
	};
}

// people are who wrote, the first first, each once; of what only I wrote, to whom.
function people(emails: EmailHead[], me: Set<string>): Person[] {
	const mine = emails.every((e) => (e.from ?? []).some((a) => me.has(a.email.toLowerCase())));
	const out = new Map<string, Person>();
	for (const e of emails) {
		for (const a of (mine ? (e.to ?? e.cc ?? e.from) : e.from) ?? []) {
			const key = a.email.toLowerCase();
			const unread = !e.keywords.$seen && !e.keywords.$draft;
			const had = out.get(key);
			if (had) had.unread ||= unread;
			else out.set(key, { name: me.has(key) && !mine ? '' : shortName(a, emails.length > 1), unread });
		}
	}
	return [...out.values()];
}

// shortName is how somebody is named in a row; among several by the first name.
export function shortName(a: EmailAddress, several = false): string {
	const name = a.name?.trim().replace(/^["']|["']$/g, '') || a.email.split('@')[0] || a.email;
	if (!several) return a.name?.trim() ? name : a.email;
	const [first, ...rest] = name.includes(',') ? name.split(',').reverse().map((p) => p.trim()) : name.split(/\s+/);
	return rest.length > 0 && first && first.length > 1 && a.name ? first : name;
}

