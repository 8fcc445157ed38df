import type { EmailAddress, EmailBody, EmailCondition, EmailFilter, EmailHead, Id } from '../jmap/types';
import type { Cache, QueryRow, Spec } from './db';
import { queryKey } from './db';

// What a list holds as far as this device knows: for a question that nobody can ask the
// server now. It finds what is kept here, which is recent mail.

// here answers a question from the cache alone. The texts of messages are looked into
// only where words are looked for.
export async function here(cache: Cache, spec: Spec): Promise<QueryRow> {
	const emails = await cache.emails.toArray();
	const texts = new Map<Id, string>();
	if (wantsText(spec.filter)) await cache.bodies.each((b) => void texts.set(b.id, textOf(b.body)));
	const found = emails.filter((e) => fits(e, spec.filter, texts.get(e.id) ?? '')).sort((a, b) => b.receivedAt.localeCompare(a.receivedAt));
	const threads = new Set<Id>();
	const ids = found.filter((e) => !spec.collapseThreads || (!threads.has(e.threadId) && threads.add(e.threadId))).map((e) => e.id);
	return { key: queryKey(spec), spec, state: '', total: ids.length, exact: false, segments: [{ from: 0, ids, sure: false }], used: 0 };
}

function wantsText(f: EmailFilter | null): boolean {
	if (!f) return false;
	return 'operator' in f ? f.conditions.some(wantsText) : f.text !== undefined || f.body !== undefined;
}

// fits reports whether an email is one that a filter asks for (RFC 8621 §4.4.1), as far
// as can be told here: what a thread has, and other header fields, are not known.
export function fits(e: EmailHead, f: EmailFilter | null, text: string): boolean {
	if (!f) return true;
	if (!('operator' in f)) return meets(e, f, text);
	const each = (c: EmailFilter) => fits(e, c, text);
	if (f.operator === 'AND') return f.conditions.every(each);
	return f.operator === 'OR' ? f.conditions.some(each) : !f.conditions.some(each);
}

function meets(e: EmailHead, c: EmailCondition, text: string): boolean {
	const names = (list: EmailAddress[] | null) => (list ?? []).map((a) => `${a.name ?? ''} ${a.email}`).join(' ');
	const checks: Partial<Record<keyof EmailCondition, () => boolean>> = {
		inMailbox: () => c.inMailbox! in e.mailboxIds,
		inMailboxOtherThan: () => Object.keys(e.mailboxIds).some((id) => !c.inMailboxOtherThan!.includes(id)),
		before: () => e.receivedAt < c.before!,
		after: () => e.receivedAt >= c.after!,
		minSize: () => e.size >= c.minSize!,
		maxSize: () => e.size < c.maxSize!,
		hasKeyword: () => Boolean(e.keywords[c.hasKeyword!]),
		notKeyword: () => !e.keywords[c.notKeyword!],
		someInThreadHaveKeyword: () => Boolean(e.keywords[c.someInThreadHaveKeyword!]),
		hasAttachment: () => e.hasAttachment === c.hasAttachment,
		from: () => hasWords(names(e.from), c.from!),
		to: () => hasWords(names(e.to), c.to!),
		cc: () => hasWords(names(e.cc), c.cc!),
		subject: () => hasWords(e.subject ?? '', c.subject!),
		body: () => hasWords(`${e.preview} ${text}`, c.body!),
		text: () => hasWords([names(e.from), names(e.to), names(e.cc), e.subject, e.preview, text].join(' '), c.text!),
	};
	return Object.keys(c).every((name) => checks[name as keyof EmailCondition]?.() ?? false);
}

// hasWords reports whether a text has each of the words, or words that begin so.
export function hasWords(text: string, words: string): boolean {
	const there = ` ${fold(text)}`;
	return fold(words).split(' ').every((w) => there.includes(` ${w}`));
}

// fold leaves of a text its words, small and without accents.
function fold(s: string): string {
	return s.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, ' ').trim();
}

// textOf is what a message says, without the marks of HTML.
function textOf(body: EmailBody): string {
	return Object.values(body.bodyValues).map((v) => v.value.replaceAll(/<[^>]*>/g, ' ')).join(' ');
}
