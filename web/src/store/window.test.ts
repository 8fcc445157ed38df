import { describe, expect, test } from 'vitest';

import type { QueryRow, Segment } from './db';
import { apply, covered, idAt, maxKnown, merge, positionOf, trim } from './window';

const run = (from: number, ids: string, sure = true): Segment => ({ from, ids: [...ids], sure });
const show = (segments: Segment[]) => segments.map((s) => `${s.from}${s.sure ? '' : '?'}:${s.ids.join('')}`).join(' ');
const query = (total: number, ...segments: Segment[]): QueryRow => ({ key: '', spec: { filter: null, sort: [], collapseThreads: true }, state: '1', total, exact: true, segments, used: 0 });

describe('merge', () => {
	test.each<[string, Segment[], Segment, string]>([
		['beside', [run(0, 'abc')], run(3, 'de'), '0:abcde'],
		['over', [run(0, 'abcdef')], run(2, 'XY'), '0:abXYef'],
		['far off', [run(0, 'ab')], run(5, 'fg'), '0:ab 5:fg'],
		['between', [run(0, 'ab'), run(4, 'ef')], run(2, 'cd'), '0:abcdef'],
		['an unsure run that holds one of its ids is forgotten', [run(0, 'ab', false), run(9, 'xyz', false)], run(2, 'xc'), '0?:ab 2:xc'],
	])('%s', (_, have, fresh, want) => {
		expect(show(merge(have, fresh))).toBe(want);
	});
});

describe('apply', () => {
	test.each<[string, QueryRow, string[], [string, number][], number, string]>([
		['arrives at the top', query(4, run(0, 'abcd')), [], [['x', 0]], 5, '0:xabcd'],
		['leaves', query(4, run(0, 'abcd')), ['b'], [], 3, '0:acd'],
		['moves', query(4, run(0, 'abcd')), ['d'], [['d', 1]], 4, '0:adbc'],
		['arrives right behind what is known', query(4, run(0, 'ab')), [], [['x', 2]], 5, '0:abx'],
		['arrives further down than is known', query(9, run(0, 'ab')), [], [['x', 5]], 10, '0:ab 5:x'],
		['all behind moves along', query(9, run(0, 'ab'), run(5, 'fg')), ['a'], [], 8, '0:b 4:fg'],
		['all behind moves back', query(9, run(0, 'ab'), run(5, 'fg')), [], [['x', 1]], 10, '0:axb 6:fg'],
		['who left was not known: the top stays sure', query(9, run(0, 'ab'), run(5, 'fg')), ['d'], [], 8, '0:ab 5?:fg'],
		['several at once', query(6, run(0, 'abcdef')), ['b', 'e'], [['x', 0], ['y', 3]], 6, '0:xacydf'],
		['nothing beyond the end', query(3, run(0, 'abc')), ['z'], [], 2, '0:ab'],
	])('%s', (_, q, removed, added, total, want) => {
		const delta = { removed, added: added.map(([id, index]) => ({ id, index })), total, state: '2' };
		expect(show(apply(q, delta).segments)).toBe(want);
	});

	test('a list that is wholly known stays exact', () => {
		let n = 0;
		let seed = 7;
		const random = (below: number) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below;
		let truth = Array.from({ length: 30 }, () => `i${n++}`);
		let q = query(30, { from: 0, ids: truth, sure: true });
		for (let step = 0; step < 300; step++) {
			const next = truth.filter(() => random(10) > 0);
			for (let i = random(4); i > 0; i--) next.splice(random(next.length + 1), 0, `i${n++}`);
			const was = new Set(truth);
			const is = new Set(next);
			q = apply(q, { removed: truth.filter((id) => !is.has(id)), added: next.map((id, index) => ({ id, index })).filter((a) => !was.has(a.id)), total: next.length, state: '' });
			truth = next;
			expect(q.segments, `step ${step}`).toEqual(truth.length > 0 ? [{ from: 0, ids: truth, sure: true }] : []);
		}
	});
});

test('what is known is found by position and by id', () => {
	const s = [run(0, 'ab'), run(5, 'fg')];
	expect([0, 1, 2, 5, 6, 7].map((p) => idAt(s, p))).toEqual(['a', 'b', undefined, 'f', 'g', undefined]);
	expect(['a', 'g', 'x'].map((id) => positionOf(s, id))).toEqual([0, 6, undefined]);
	expect([covered(s, 0, 2), covered(s, 0, 3), covered(s, 5, 7), covered(s, 4, 6), covered(s, 3, 3)]).toEqual([true, false, true, false, true]);
	expect(covered([run(0, 'ab', false)], 0, 1)).toBe(false);
});

test('no more is kept than the bound, and what is near stays', () => {
	const many = (from: number, n: number): Segment => ({ from, ids: Array.from({ length: n }, (_, i) => String(from + i)), sure: true });
	const one = trim([many(0, maxKnown + 1)], 15_000);
	expect(one.reduce((n, s) => n + s.ids.length, 0)).toBe(maxKnown);
	expect(idAt(one, 15_000)).toBe('15000');
	const two = trim([many(0, 5), many(50_000, maxKnown)], 60_000);
	expect(show(two).startsWith('50000:')).toBe(true);
});
