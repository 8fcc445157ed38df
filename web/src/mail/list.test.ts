import 'fake-indexeddb/auto';

import { liveQuery } from 'dexie';
import { expect, test } from 'vitest';

import type { EmailHead, Id } from '../jmap/types';
import { changeOf } from '../store/acts';
import type { Act, EmailPatch } from '../store/acts';
import { Cache, queryKey } from '../store/db';
import type { QueryRow, Spec } from '../store/db';
import { arrange, rowOf, shortName, view } from './list';

const spec: Spec = { filter: { inMailbox: 'M1' }, sort: [], collapseThreads: true };
const query = (ids: string): QueryRow => ({ key: queryKey(spec), spec, state: '1', total: ids.length, exact: true, segments: [{ from: 0, ids: [...ids], sure: true }], used: 0 });
const email = (id: Id, more: Partial<EmailHead> = {}): EmailHead => ({
	id, blobId: id, threadId: `t${id}`, mailboxIds: { M1: true }, keywords: { $seen: true }, size: 1, receivedAt: `2026-01-0${9 - (id.charCodeAt(0) - 97)}T00:00:00Z`, sentAt: null,
	from: [{ name: 'Ada Lovelace', email: 'ada@a.test' }], to: [{ name: null, email: 'me@a.test' }], cc: null, subject: id, preview: '', hasAttachment: false, messageId: null, ...more,
});

test.each<[string, string, string, [number, Id][], string]>([
	['nothing', 'abcd', '', [], 'abcd'],
	['one gone', 'abcd', 'b', [], 'acd'],
	['the first and the last gone', 'abcd', 'ad', [], 'bc'],
	['one comes', 'abcd', '', [[2, 'x']], 'abxcd'],
	['one goes, one comes', 'abcd', 'a', [[2, 'x']], 'bxcd'],
	['several come', 'ab', '', [[0, 'x'], [0, 'y'], [2, 'z']], 'xyabz'],
	['all gone', 'ab', 'ab', [], ''],
])('%s', (_, ids, gone, comes, want) => {
	const a = arrange(query(ids), new Set(gone), comes.map(([at, id]) => ({ at, id })));
	const got = Array.from({ length: a.total }, (_, i) => a.ids(i));
	expect(got.join('')).toBe(want);
	got.forEach((id, i) => expect(a.index(id!)).toBe(i));
	for (const id of gone) expect(a.index(id)).toBe(-1);
});

test('what was moved here offline is seen in its place, and what was moved away is not', async () => {
	const cache = new Cache('list');
	await cache.queries.put(query('abd'));
	await cache.emails.bulkPut([email('a'), email('b'), email('c', { mailboxIds: { M2: true } }), email('d')]);
	await cache.threads.bulkPut(['a', 'b', 'c', 'd'].map((id) => ({ id: `t${id}`, emailIds: [id] })));
	const act = async (id: Id, patch: EmailPatch) =>
		cache.acts.add({ kind: 'email', at: 0, status: 'waiting', ids: [id], changes: [changeOf((await cache.emails.get(id))!, patch)!], label: { key: 'x' } } as Act);
	await act('c', { mailboxIds: { M2: false, M1: true } });
	await act('a', { mailboxIds: { M1: false, M2: true } });
	await act('b', { keywords: { $seen: false } });
	const v = await view(cache, queryKey(spec), 0, 10, new Set());
	expect([...v.rows.values()].map((r) => [r.id, r.unread])).toEqual([['b', true], ['c', false], ['d', false]]);
});

test('a row is seen as soon as what it shows has come', async () => {
	const cache = new Cache('live');
	await cache.queries.put(query('ab'));
	await cache.emails.put(email('b'));
	const seen: string[] = [];
	let told = () => {};
	const subscription = liveQuery(() => view(cache, queryKey(spec), 0, 10, new Set())).subscribe((v) => {
		seen.push([0, 1].map((i) => v.rows.get(i)?.id ?? '-').join(''));
		told();
	});
	const until = (want: string) => new Promise<void>((done) => (told = () => seen.at(-1) === want && done()));
	await until('-b');
	const done = until('ab');
	await cache.emails.put(email('a'));
	await done;
	subscription.unsubscribe();
});

test('a row says who wrote, and of what I wrote to whom', () => {
	const me = new Set(['me@a.test']);
	const mine = email('b', { from: [{ name: 'Me', email: 'me@a.test' }], to: [{ name: 'Bob Stone', email: 'bob@b.test' }] });
	expect(rowOf(email('a'), [email('a'), mine], undefined, me).people.map((p) => p.name)).toEqual(['Ada', '']);
	expect(rowOf(mine, [mine], undefined, me).people.map((p) => p.name)).toEqual(['Bob Stone']);
});

test.each([
	[{ name: 'Ada Lovelace', email: 'a@b.test' }, true, 'Ada'],
	[{ name: 'Lovelace, Ada', email: 'a@b.test' }, true, 'Ada'],
	[{ name: null, email: 'a@b.test' }, false, 'a@b.test'],
	[{ name: null, email: 'ada@b.test' }, true, 'ada'],
	[{ name: 'A. Lovelace', email: 'a@b.test' }, true, 'A.'],
])('%o', (address, several, want) => {
	expect(shortName(address, several)).toBe(want);
});
