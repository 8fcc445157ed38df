import 'fake-indexeddb/auto';

import { expect, test } from 'vitest';

import type { EmailFilter, EmailHead } from '../jmap/types';
import { Cache } from './db';
import { fits, hasWords, here } from './here';

const email = (id: string, more: Partial<EmailHead> = {}): EmailHead => ({
	id, blobId: id, threadId: `t${id}`, mailboxIds: { M1: true }, keywords: {}, size: 100, receivedAt: `2026-01-0${id.charCodeAt(0) - 96}T00:00:00Z`, sentAt: null,
	from: [{ name: 'Zoë Müller', email: 'zoe@a.test' }], to: [{ name: null, email: 'me@a.test' }], cc: null, subject: 'Lunch on Friday', preview: 'Shall we', hasAttachment: false, messageId: null, ...more,
});

test('words are found by their beginnings, without accents and case', () => {
	for (const w of ['lunch', 'LUN fri', 'zoe', 'muller', 'a.test']) expect(hasWords('Zoë Müller zoe@a.test Lunch on Friday', w), w).toBe(true);
	for (const w of ['unch', 'lunch monday', 'zoexx']) expect(hasWords('Zoë Müller zoe@a.test Lunch on Friday', w), w).toBe(false);
});

test.each<[string, EmailFilter, boolean]>([
	['a mailbox', { inMailbox: 'M1' }, true],
	['another', { inMailbox: 'M2' }, false],
	['not only trash', { inMailboxOtherThan: ['M2'] }, true],
	['only trash', { inMailboxOtherThan: ['M1'] }, false],
	['unread', { notKeyword: '$seen' }, true],
	['flagged', { hasKeyword: '$flagged' }, false],
	['from', { from: 'zoe' }, true],
	['text in the body', { text: 'dumplings' }, true],
	['body', { body: 'soup' }, false],
	['all', { operator: 'AND', conditions: [{ subject: 'lunch' }, { from: 'zoe' }] }, true],
	['none', { operator: 'NOT', conditions: [{ subject: 'lunch' }] }, false],
	['one', { operator: 'OR', conditions: [{ subject: 'dinner' }, { maxSize: 200 }] }, true],
	['what nobody here knows', { header: ['X-A'] } as EmailFilter, false],
])('%s', (_, filter, want) => expect(fits(email('a'), filter, 'with dumplings')).toBe(want));

test('a question that nobody can ask is answered from what is kept, newest first, a conversation once', async () => {
	const cache = new Cache('here-test');
	await cache.emails.bulkPut([email('a', { threadId: 't' }), email('b', { subject: 'Dinner' }), email('c', { threadId: 't' }), email('d')]);
	await cache.bodies.put({ id: 'b', body: { bodyValues: { 1: { value: '<p>lunch, I mean', isEncodingProblem: false, isTruncated: false } } } as never, used: 0, limit: 0 });
	const row = await here(cache, { filter: { text: 'lunch' }, sort: [], collapseThreads: true });
	expect(row.segments[0]?.ids).toEqual(['d', 'c', 'b']);
	expect(row.total).toBe(3);
});
