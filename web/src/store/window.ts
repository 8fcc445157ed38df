import type { Id } from '../jmap/types';
import type { QueryRow, Segment } from './db';

// Pure arithmetic on what is known of a query's results: positions, runs of ids, and
// what queryChanges (RFC 8620 §5.6) does to them.

// maxKnown bounds how many ids of one query are kept; the farthest from where one
// looks are forgotten first.
export const maxKnown = 20_000;

// idAt returns what stands at a position, if that is known.
export function idAt(segments: Segment[], position: number): Id | undefined {
	for (const s of segments) {
		if (position < s.from) return undefined;
		if (position < s.from + s.ids.length) return s.ids[position - s.from];
	}
	return undefined;
}

// positionOf finds where an id stands.
export function positionOf(segments: Segment[], id: Id): number | undefined {
	for (const s of segments) {
		const i = s.ids.indexOf(id);
		if (i >= 0) return s.from + i;
	}
	return undefined;
}

// covered says whether all of [from, to) is known for sure.
export function covered(segments: Segment[], from: number, to: number): boolean {
	let at = from;
	for (const s of segments) {
		if (!s.sure) continue;
		if (s.from > at) return at >= to;
		at = Math.max(at, s.from + s.ids.length);
		if (at >= to) return true;
	}
	return at >= to;
}

// merge lays a fresh run over what was known. A run elsewhere that holds one of its
// ids was wrong, and is forgotten.
export function merge(segments: Segment[], fresh: Segment): Segment[] {
	const end = fresh.from + fresh.ids.length;
	const fresher = new Set(fresh.ids);
	const out: Segment[] = [fresh];
	for (const s of segments) {
		const before = s.ids.slice(0, Math.max(0, fresh.from - s.from));
		const skip = Math.max(0, end - s.from);
		for (const part of [{ from: s.from, ids: before, sure: s.sure }, { from: s.from + skip, ids: s.ids.slice(skip), sure: s.sure }]) {
			if (!part.ids.some((id) => fresher.has(id))) out.push(part);
		}
	}
	return join(out);
}

// join orders runs and makes one of neighbours that are equally sure.
export function join(segments: Segment[]): Segment[] {
	const sorted = segments.filter((s) => s.ids.length > 0).sort((a, b) => a.from - b.from);
	const out: Segment[] = [];
	for (const s of sorted) {
		const last = out.at(-1);
		if (last && last.sure === s.sure && last.from + last.ids.length === s.from) last.ids = last.ids.concat(s.ids);
		else out.push({ ...s });
	}
	return out;
}

export interface QueryDelta {
	removed: Id[];
	added: { id: Id; index: number }[]; // by index, ascending
	total: number;
	state: string;
}

interface Entry {
	position: number;
	id: Id;
	sure: boolean;
}

// apply makes of a query's known results those of a newer state. The run from the top
// stays exact whatever happened further down, as all that left it is known. Runs after
// a gap move exactly when every removed id was known; else they are kept to be
// shown, unsure.
export function apply(q: QueryRow, delta: QueryDelta): QueryRow {
	const removed = new Set(delta.removed);
	const arrives = new Set(delta.added.map((a) => a.id));
	const known = new Set(q.segments.flatMap((s) => s.ids.filter((id) => removed.has(id))));
	const exact = known.size === removed.size;

	const entries: Entry[] = [];
	let gone = 0;
	for (const s of q.segments) {
		const sure = s.sure && (exact || s.from === 0);
		s.ids.forEach((id, i) => {
			if (removed.has(id) || arrives.has(id)) gone++;
			else entries.push({ position: s.from + i - gone, id, sure });
		});
	}
	const moved = insert(entries, delta.added).filter((e) => e.position < delta.total);
	return { ...q, segments: group(moved), state: delta.state, total: delta.total };
}

// insert puts the added at their indexes of the newer list, and moves what stands at
// or after them.
function insert(entries: Entry[], added: { id: Id; index: number }[]): Entry[] {
	const coming = [...added].sort((a, b) => a.index - b.index);
	const out: Entry[] = [];
	let next = 0;
	for (const e of entries) {
		while (next < coming.length && coming[next]!.index <= e.position + next) out.push(arrival(coming[next++]!));
		out.push({ ...e, position: e.position + next });
	}
	while (next < coming.length) out.push(arrival(coming[next++]!));
	return out;
}

function arrival(a: { id: Id; index: number }): Entry {
	return { position: a.index, id: a.id, sure: true };
}

function group(entries: Entry[]): Segment[] {
	const out: Segment[] = [];
	for (const e of entries) {
		const last = out.at(-1);
		if (last && last.sure === e.sure && last.from + last.ids.length === e.position) last.ids.push(e.id);
		else out.push({ from: e.position, ids: [e.id], sure: e.sure });
	}
	return out;
}

// trim forgets what lies farthest from where one looks.
export function trim(segments: Segment[], around: number): Segment[] {
	let count = segments.reduce((n, s) => n + s.ids.length, 0);
	if (count <= maxKnown) return segments;
	const far = (s: Segment) => (around < s.from ? s.from - around : Math.max(0, around - (s.from + s.ids.length)));
	const kept = [...segments].sort((a, b) => far(a) - far(b));
	while (kept.length > 1 && count > maxKnown) count -= kept.pop()!.ids.length;
	const only = kept[0]!;
	if (count > maxKnown && kept.length === 1) {
		const start = Math.max(0, Math.min(only.ids.length - maxKnown, around - only.from - maxKnown / 2));
		kept[0] = { from: only.from + start, ids: only.ids.slice(start, start + maxKnown), sure: only.sure };
	}
	return join(kept);
}
