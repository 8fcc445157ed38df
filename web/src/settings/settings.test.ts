import { expect, test } from 'vitest';

import { addresses, changed, joined } from './identities';
import { firstDay, lastDay, momentAfter, momentOf } from './vacation';

test('a list of addresses is read, and who stood there keeps the name', () => {
	const before = [{ name: 'Ann', email: 'ann@a.test' }];
	expect(addresses(' ann@a.test, bob@b.test ,', before)).toEqual([{ name: 'Ann', email: 'ann@a.test' }, { name: null, email: 'bob@b.test' }]);
	expect(addresses('  ', before)).toBeNull();
	expect(joined(addresses('ann@a.test,bob@b.test', null))).toBe('ann@a.test, bob@b.test');
});

test('only what was touched is sent', () => {
	const was = { name: 'Ann', replyTo: null, bcc: [{ name: null, email: 'a@a.test' }], textSignature: 'x', htmlSignature: '<b>x</b>' };
	expect(changed(was, { ...was, bcc: [{ name: null, email: 'a@a.test' }] })).toEqual({});
	expect(changed(was, { ...was, textSignature: 'y', bcc: null })).toEqual({ textSignature: 'y', bcc: null });
});

test('the last day of a vacation belongs to it', () => {
	expect(momentOf('')).toBeNull();
	expect(momentOf('2026-07-01')).toMatch(/^2026-0[67]-\d\dT\d\d:\d\d:\d\dZ$/);
	expect(firstDay(momentOf('2026-07-01'))).toBe('2026-07-01');
	expect(lastDay(momentAfter('2026-12-31'))).toBe('2026-12-31');
	expect(Date.parse(momentAfter('2026-07-01')!) - Date.parse(momentOf('2026-07-01')!)).toBe(86_400_000);
	expect(lastDay(null)).toBe('');
});
