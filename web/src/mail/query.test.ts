import { describe, expect, test } from 'vitest';

import { bytes, day, filterOf, parseQuery, printQuery, suggest } from './query';

const places = [
	{ id: 'M1', names: ['Inbox', 'inbox', 'Posteingang'] },
	{ id: 'M2', names: ['Work / Old letters', 'Old letters'] },
];
const filter = (text: string, skip: string[] = []) => filterOf(parseQuery(text), places, skip);

describe('what is typed becomes a filter', () => {
	test.each<[string, unknown]>([
		['', null],
		['hello', { text: 'hello' }],
		['hello world', { operator: 'AND', conditions: [{ text: 'hello' }, { text: 'world' }] }],
		['"hello world"', { text: 'hello world' }],
		['from:ada', { from: 'ada' }],
		['FROM:ada', { from: 'ada' }],
		['subject:"two words" to:b', { operator: 'AND', conditions: [{ subject: 'two words' }, { to: 'b' }] }],
		['-from:ada', { operator: 'NOT', conditions: [{ from: 'ada' }] }],
		['-spam', { operator: 'NOT', conditions: [{ text: 'spam' }] }],
		['is:unread', { notKeyword: '$seen' }],
		['is:nonsense', { text: 'is:nonsense' }],
		['has:attachment', { hasAttachment: true }],
		['keyword:work', { hasKeyword: 'work' }],
		['in:inbox', { inMailbox: 'M1' }],
		['in:posteingang', { inMailbox: 'M1' }],
		['in:"old le"', { inMailbox: 'M2' }],
		['in:nowhere', { operator: 'NOT', conditions: [{ minSize: 0 }] }],
		['larger:2m', { minSize: 2_000_000 }],
		['smaller:x', { text: 'smaller:x' }],
		['before:soon', { text: 'before:soon' }],
		['12:30', { text: '12:30' }],
		['http://a.test', { text: 'http://a.test' }],
		['from:', { text: 'from:' }],
		['"open', { text: 'open' }],
	])('%s', (text, want) => {
		expect(filter(text)).toEqual(want);
	});

	test('trash and junk are left out unless one asks for a mailbox', () => {
		expect(filter('a', ['T'])).toEqual({ operator: 'AND', conditions: [{ text: 'a' }, { inMailboxOtherThan: ['T'] }] });
		expect(filter('a in:inbox', ['T'])).toEqual({ operator: 'AND', conditions: [{ text: 'a' }, { inMailbox: 'M1' }] });
	});
});

test('days begin at midnight here', () => {
	const now = new Date(2026, 2, 9, 15, 30);
	const local = (y: number, m: number, d: number) => new Date(y, m - 1, d).toISOString().replace('.000', '');
	expect(day('2026', now)).toBe(local(2026, 1, 1));
	expect(day('2026-3', now)).toBe(local(2026, 3, 1));
	expect(day('2026-03-09', now)).toBe(local(2026, 3, 9));
	expect(day('today', now)).toBe(local(2026, 3, 9));
	expect(day('yesterday', now)).toBe(local(2026, 3, 8));
	expect(day('2w', now)).toBe(local(2026, 2, 23));
	expect(day('1y', now)).toBe(local(2025, 3, 9));
	expect(day('2026-02-31', now)).toBeUndefined();
	expect(day('9999999d', now)).toBeUndefined();
});

test('sizes', () => {
	expect(['10', '2k', '1.5mb', '3G', 'x'].map(bytes)).toEqual([10, 2000, 1_500_000, 3_000_000_000, undefined]);
});

test('what was parsed prints as it was', () => {
	for (const text of ['from:ada -is:read "two words" x', 'subject:"a b"']) expect(printQuery(parseQuery(text))).toBe(text);
});

test('suggestions complete the last word', () => {
	expect(suggest('x fr', places, []).map((s) => s.insert)).toEqual(['from:']);
	expect(suggest('is:un', places, []).map((s) => s.insert)).toEqual(['is:unread ', 'is:unflagged ']);
	expect(suggest('in:wo', places, []).map((s) => s.insert)).toEqual(['in:"Work / Old letters" ']);
	expect(suggest('keyword:', places, ['work', 'play']).map((s) => s.value)).toEqual(['work', 'play']);
	expect(suggest('', places, [])).toEqual([]);
});
