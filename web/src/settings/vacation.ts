import type { UTCDate } from '../jmap/types';

// VacationResponse is the answer while one is away (RFC 8621 §8). There is one.
export interface VacationResponse {
	id: 'singleton';
	isEnabled: boolean;
	fromDate: UTCDate | null;
	toDate: UTCDate | null;
	subject: string | null;
	textBody: string | null;
	htmlBody: string | null;
}

// People say days, where they are; the server wants moments, of which the second is the
// first at which nothing is answered any more.

export function momentOf(day: string): UTCDate | null {
	return moment(day, 0);
}

export function momentAfter(day: string): UTCDate | null {
	return moment(day, 1);
}

function moment(day: string, later: number): UTCDate | null {
	const [y, m, d] = day.split('-').map(Number);
	if (!y || !m || !d) return null;
	return new Date(y, m - 1, d + later).toISOString().replace(/\.\d+/, '');
}

export function firstDay(at: UTCDate | null): string {
	return at ? dayOf(new Date(at)) : '';
}

export function lastDay(at: UTCDate | null): string {
	return at ? dayOf(new Date(Date.parse(at) - 1)) : '';
}

function dayOf(d: Date): string {
	const two = (n: number) => String(n).padStart(2, '0');
	return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}
