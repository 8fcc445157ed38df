import type { EmailAddress, EmailHead, Id } from '../jmap/types';
import type { Act } from '../store/acts';
import type { Cache, QueryRow, Spec } from '../store/db';
import { here } from '../store/here';
import { actsOn, emailWith } from '../store/overlay';
import { idAt, positionOf } from '../store/window';
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
	index: (id: Id) => number; // -1 when it is not known
	extra: number; // rows that are in the query and not shown
}

export const nothing: View = { known: false, total: 0, rows: new Map(), ids: () => undefined, index: () => -1, extra: 0 };

// mailboxOf is the mailbox that a list shows, if it is one.
export function mailboxOf(spec: Spec): Id | undefined {
	return spec.filter && 'inMailbox' in spec.filter ? spec.filter.inMailbox : undefined;
}

// view reads [from, to) of a list from the cache. Every await in it is of the cache
// itself: Dexie would lose sight of what is read after any other, and not tell when
// that changes. With offline, a list that was never read is what of it is kept here.
export async function view(cache: Cache, key: string, from: number, to: number, me: Set<string>, offline?: Spec): Promise<View> {
	const q = (await cache.queries.get(key)) ?? (offline && (await here(cache, offline)));
	const acts = await cache.acts.orderBy('seq').toArray();
	if (!q) return nothing;
	const mailbox = mailboxOf(q.spec);
	const by = actsOn(acts);

	const suspects = [...by].filter(([, list]) => list.some((a) => a.kind !== 'email' || a.changes.some((c) => c.patch.mailboxIds))).map(([id]) => id);
	const { gone, come } = moved(suspects, await cache.emails.bulkGet(suspects), by, mailbox);
	const top = come.length > 0 ? topOf(q) : [];
	const shown = arrange(q, gone, placed(q, come, gone, await cache.emails.bulkGet(top)));

	const wanted = Array.from({ length: Math.max(0, Math.min(to, shown.total) - from) }, (_, i) => [from + i, shown.ids(from + i)] as const).filter((p): p is [number, Id] => p[1] !== undefined);
	const heads = await cache.emails.bulkGet(wanted.map(([, id]) => id));
	const threads = await cache.threads.bulkGet(heads.map((h) => h?.threadId ?? ''));
	const members = await cache.emails.bulkGet([...new Set(threads.flatMap((t) => t?.emailIds ?? []))]);

	const emails = new Map(members.filter((e) => e !== undefined).map((e) => [e.id, e]));
	const rows = new Map<number, Row>();
	wanted.forEach(([index, id], i) => {
		const head = heads[i];
		if (!head) return;
		const all = (threads[i]?.emailIds ?? [id]).map((m) => emails.get(m) ?? (m === id ? head : undefined)).filter((e) => e !== undefined);
		const now = all.map((e) => emailWith(e, by.get(e.id) ?? [])).filter((e) => e !== undefined);
		rows.set(index, rowOf(head, now, mailbox, me));
	});
	return { known: true, ...shown, rows };
}

// moved are the emails that acts take out of the list, and those that they bring in.
function moved(suspects: Id[], emails: (EmailHead | undefined)[], by: Map<Id, Act[]>, mailbox: Id | undefined): { gone: Set<Id>; come: EmailHead[] } {
	const gone = new Set<Id>();
	const come: EmailHead[] = [];
	suspects.forEach((id, i) => {
		const now = emails[i] && emailWith(emails[i], by.get(id)!);
		if (!now || (mailbox !== undefined && !(mailbox in now.mailboxIds))) gone.add(id);
		else if (mailbox !== undefined) come.push(now);
	});
	return { gone, come };
}

const nearTop = 200; // rows among which one that comes is put in its place

function topOf(q: QueryRow): Id[] {
	return q.segments[0]?.from === 0 ? q.segments[0].ids.slice(0, nearTop) : [];
}

// placed says before which position of the query each conversation that comes is shown.
// One that is there already by another of its emails is not shown twice.
function placed(q: QueryRow, come: EmailHead[], gone: Set<Id>, top: (EmailHead | undefined)[]): { at: number; id: Id }[] {
	const known = new Set(come.length > 0 ? q.segments.flatMap((s) => s.ids) : []);
	const heads = top.map((e, at) => ({ e, at })).filter((h): h is { e: EmailHead; at: number } => h.e !== undefined && !gone.has(h.e.id));
	const threads = new Set(heads.map((h) => h.e.threadId));
	const newest = new Map<Id, EmailHead>();
	for (const e of come) if (!known.has(e.id) && !threads.has(e.threadId) && !(newest.get(e.threadId)?.receivedAt! > e.receivedAt)) newest.set(e.threadId, e);
	// Behind all that is known there is a place only where nothing else follows.
	const end = top.length >= q.total ? top.length : -1;
	return [...newest.values()]
		.sort((a, b) => b.receivedAt.localeCompare(a.receivedAt))
		.map((e) => ({ id: e.id, at: heads.find((h) => h.e.receivedAt < e.receivedAt)?.at ?? end }))
		.filter((p) => p.at >= 0);
}

// arrange leaves out what is gone and puts in what comes: which id is shown where.
export function arrange(q: QueryRow, gone: Set<Id>, comes: { at: number; id: Id }[]): Pick<View, 'total' | 'ids' | 'index' | 'extra'> {
	const hidden = gone.size === 0 ? [] : q.segments.flatMap((s) => s.ids.map((id, i) => (gone.has(id) ? s.from + i : -1)).filter((p) => p >= 0));
	const before = (position: number) => hidden.filter((h) => h < position).length;
	const guests = comes.map((c, i) => ({ id: c.id, index: c.at - before(c.at) + i }));
	const ids = (index: number) => {
		const guest = guests.find((g) => g.index === index);
		if (guest) return guest.id;
		let position = index - guests.filter((g) => g.index < index).length;
		for (const h of hidden) {
			if (h > position) break;
			position++;
		}
		return idAt(q.segments, position);
	};
	const index = (id: Id) => {
		const guest = guests.find((g) => g.id === id);
		if (guest) return guest.index;
		const position = gone.has(id) ? undefined : positionOf(q.segments, id);
		if (position === undefined) return -1;
		let at = position - before(position);
		for (const g of guests) if (g.index <= at) at++;
		return at;
	};
	return { total: Math.max(0, q.total - hidden.length + guests.length), ids, index, extra: hidden.length };
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

