import type { EmailFilter, Id } from '../jmap/types';

// What one types into the search, as words and operators, and the filter that it means.

export const operators = ['from', 'to', 'cc', 'subject', 'body', 'in', 'is', 'has', 'before', 'after', 'keyword', 'larger', 'smaller'] as const;
export type Operator = (typeof operators)[number];

export interface Term {
	operator: Operator | null; // null: words anywhere
	value: string;
	not: boolean;
	from: number; // where it stands in the text
	to: number;
}

const values: Partial<Record<Operator, string[]>> = {
	is: ['unread', 'read', 'flagged', 'unflagged', 'answered', 'forwarded', 'draft'],
	has: ['attachment'],
};

// parseQuery splits what was typed: words, "quoted words", operator:value, and any of
// these with a - before it.
export function parseQuery(text: string): Term[] {
	const terms: Term[] = [];
	const pattern = /(-?)(?:([a-z]+):)?("[^"]*"?|[^\s"]+)/giu;
	for (const m of text.matchAll(pattern)) {
		const [whole, minus, name, raw] = m as unknown as [string, string, string | undefined, string];
		const operator = operators.find((o) => o === name?.toLowerCase()) ?? null;
		const value = (operator || !name ? raw : `${name}:${raw}`).replaceAll('"', '').trim();
		const term = { operator, value, not: minus === '-', from: m.index, to: m.index + whole.length };
		if (value !== '') terms.push(valid(term) ? term : { ...term, operator: null, value: whole.replaceAll('"', '') });
	}
	return terms;
}

// valid says whether an operator can take its value: what can't is looked for as words.
function valid(term: Term): boolean {
	const { operator, value } = term;
	if (!operator) return true;
	const allowed = values[operator];
	if (allowed) return allowed.includes(value.toLowerCase());
	if (operator === 'before' || operator === 'after') return day(value) !== undefined;
	if (operator === 'larger' || operator === 'smaller') return bytes(value) !== undefined;
	return true;
}

export function printTerm(t: Term): string {
	const value = /\s/.test(t.value) ? `"${t.value}"` : t.value;
	return (t.not ? '-' : '') + (t.operator ? `${t.operator}:` : '') + value;
}

export function printQuery(terms: Term[]): string {
	return terms.map(printTerm).join(' ');
}

export interface Place {
	id: Id;
	names: string[]; // what a mailbox may be called: its name, its path, its role, in any language
}

// filterOf is what the terms mean (RFC 8621 §4.4.1). Mailboxes that are left out of what
// is found, as trash and junk are, come as skip.
export function filterOf(terms: Term[], places: Place[], skip: Id[]): EmailFilter | null {
	const conditions = terms.map((t): EmailFilter => {
		const c = condition(t, places);
		return t.not ? { operator: 'NOT', conditions: [c] } : c;
	});
	const inSomewhere = terms.some((t) => t.operator === 'in' && !t.not);
	if (!inSomewhere && skip.length > 0) conditions.push({ inMailboxOtherThan: skip });
	if (conditions.length === 0) return null;
	return conditions.length === 1 ? conditions[0]! : { operator: 'AND', conditions };
}

function condition({ operator, value }: Term, places: Place[]): EmailFilter {
	switch (operator) {
		case 'from':
		case 'to':
		case 'cc':
		case 'subject':
		case 'body':
			return { [operator]: value };
		case 'in':
			return place(value, places);
		case 'is':
			return state(value.toLowerCase());
		case 'has':
			return { hasAttachment: true };
		case 'before':
			return { before: day(value)! };
		case 'after':
			return { after: day(value)! };
		case 'keyword':
			return { hasKeyword: value };
		case 'larger':
			return { minSize: bytes(value)! };
		case 'smaller':
			return { maxSize: bytes(value)! };
		default:
			return { text: value };
	}
}

// place finds a mailbox by name, then by what its name begins with. A name that no
// mailbox has finds nothing.
function place(value: string, places: Place[]): EmailFilter {
	const wanted = value.toLocaleLowerCase();
	const by = (fits: (name: string) => boolean) => places.find((p) => p.names.some((n) => fits(n.toLocaleLowerCase())));
	const found = by((n) => n === wanted) ?? by((n) => n.startsWith(wanted));
	return found ? { inMailbox: found.id } : { operator: 'NOT', conditions: [{ minSize: 0 }] };
}

const states: Record<string, EmailFilter> = {
	unread: { notKeyword: '$seen' },
	read: { hasKeyword: '$seen' },
	flagged: { hasKeyword: '$flagged' },
	unflagged: { notKeyword: '$flagged' },
	answered: { hasKeyword: '$answered' },
	forwarded: { hasKeyword: '$forwarded' },
	draft: { hasKeyword: '$draft' },
};

function state(value: string): EmailFilter {
	return states[value]!;
}

// day reads 2026, 2026-03, 2026-03-09, today and yesterday, 7d, 3w, 2m, 1y (ago), and is
// the midnight here at which it begins.
export function day(value: string, now = new Date()): string | undefined {
	const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
	const date = /^(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?$/.exec(value);
	if (date) {
		const [y, m, d] = [Number(date[1]), Number(date[2] ?? 1), Number(date[3] ?? 1)];
		const at = new Date(y, m - 1, d);
		return at.getMonth() === m - 1 && at.getDate() === d ? utc(at) : undefined;
	}
	if (value === 'today' || value === 'heute') return utc(midnight);
	if (value === 'yesterday' || value === 'gestern') return utc(new Date(midnight.getFullYear(), midnight.getMonth(), midnight.getDate() - 1));
	const ago = /^(\d{1,4})([dwmy])$/i.exec(value);
	if (!ago) return undefined;
	const n = Number(ago[1]);
	const unit = ago[2]!.toLowerCase();
	if (unit === 'd') midnight.setDate(midnight.getDate() - n);
	else if (unit === 'w') midnight.setDate(midnight.getDate() - 7 * n);
	else if (unit === 'm') midnight.setMonth(midnight.getMonth() - n);
	else midnight.setFullYear(midnight.getFullYear() - n);
	return utc(midnight);
}

// utc writes a UTCDate (RFC 8620 §1.4).
function utc(d: Date): string {
	return d.toISOString().replace(/\.\d+Z$/, 'Z');
}

export function bytes(value: string): number | undefined {
	const m = /^(\d+(?:\.\d+)?)([kmg]?)b?$/i.exec(value);
	if (!m) return undefined;
	return Math.round(Number(m[1]) * { '': 1, k: 1000, m: 1_000_000, g: 1_000_000_000 }[m[2]!.toLowerCase() as '' | 'k' | 'm' | 'g']);
}

export interface Suggestion {
	insert: string; // what takes the place of the word that is being typed
	operator: Operator;
	value: string | null;
}

// suggest completes the word before the cursor: an operator, or one of its values.
export function suggest(text: string, places: Place[], keywords: string[]): Suggestion[] {
	const word = /(\S*)$/.exec(text)![1]!.replace(/^-/, '').toLowerCase();
	if (word === '') return [];
	const colon = word.indexOf(':');
	if (colon < 0) return operators.filter((o) => o.startsWith(word)).map((operator) => ({ insert: `${operator}:`, operator, value: null }));
	const operator = operators.find((o) => o === word.slice(0, colon));
	if (!operator) return [];
	const began = word.slice(colon + 1).replaceAll('"', '');
	const all = operator === 'in' ? places.map((p) => p.names[0]!) : operator === 'keyword' ? keywords : (values[operator] ?? []);
	return all
		.filter((v) => v.toLowerCase().startsWith(began) && v.toLowerCase() !== began)
		.slice(0, 8)
		.map((value) => ({ insert: `${operator}:${/\s/.test(value) ? `"${value}"` : value} `, operator, value }));
}
