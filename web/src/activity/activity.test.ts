import { expect, test } from 'vitest';

import { byDay, clauses, kindOf, matches } from './activity';
import type { Act, Entry } from './activity';

const entry = (more: Partial<Entry>): Entry => ({ op: 'append', count: 1, mailboxName: 'INBOX', ...more });
const act = (more: Partial<Act>): Act => ({ id: 'J1', at: '2026-03-04T10:00:00Z', actor: 'a', deviceId: null, deviceName: '', protocol: 'lmtp', cause: 'delivery', undoes: null, isWhole: true, entries: [], ...more });

test('mail that a person put there did not arrive', () => {
	expect(clauses(entry({}), 'delivery')[0]?.key).toBe('activity.arrived');
	expect(clauses(entry({}), 'user')[0]?.key).toBe('activity.added');
	expect(clauses(entry({}), 'import')[0]?.key).toBe('activity.imported');
});

test('each flag is said by itself, keywords by their name', () => {
	const said = clauses(entry({ op: 'flags', count: 3, added: ['$seen', 'work'], removed: ['$flagged'] }), 'user');
	expect(said.map((c) => c.key)).toEqual(['activity.read', 'activity.keyword', 'activity.unflagged']);
	expect(said[1]?.args).toMatchObject({ n: 3, keyword: 'work', mailbox: 'INBOX' });
});

test('what nobody thought of is said by its name', () => {
	expect(clauses(entry({ op: 'dance' }), 'user')[0]).toMatchObject({ key: 'activity.other', args: { name: 'dance' } });
	expect(kindOf(entry({ op: 'dance' }))).toBe('other');
});

test('acts are found by subject, sender, device and words', () => {
	const a = act({ deviceName: 'Phone', entries: [entry({ emails: [{ emailId: 'E1', threadId: 'T1', isThere: true, subject: 'Lunch', from: 'Carol' }] })] });
	for (const text of ['', ' lun', 'CAROL', 'phone', 'arrived']) expect(matches(a, text, () => '1 message arrived')).toBe(true);
	expect(matches(a, 'dinner', () => '1 message arrived')).toBe(false);
});

test('days are those of the person', () => {
	const days = byDay([act({ at: new Date(2026, 2, 4, 23).toISOString() }), act({ at: new Date(2026, 2, 4, 1).toISOString() }), act({ at: new Date(2026, 2, 3, 12).toISOString() })]);
	expect(days.map((d) => d.acts.length)).toEqual([2, 1]);
});
