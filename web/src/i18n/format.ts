import { language } from './index.svelte';

// Dates, sizes and numbers as the person's language writes them.

// The browser's own region decides how dates look when it fits the language.
function locale(): string {
	const lang = language();
	return navigator.languages.find((l) => l.startsWith(lang)) ?? lang;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function dateFormat(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
	const key = locale() + JSON.stringify(options);
	let f = formats.get(key);
	if (!f) formats.set(key, (f = new Intl.DateTimeFormat(locale(), options)));
	return f;
}

const day = 86_400_000;

// shortDate is for rows: the time today, the weekday this week, then the date.
export function shortDate(at: string | number, now = Date.now()): string {
	const date = new Date(at);
	const midnight = new Date(now).setHours(0, 0, 0, 0);
	const ms = date.getTime();
	if (ms >= midnight && ms < midnight + day) return dateFormat({ hour: '2-digit', minute: '2-digit' }).format(date);
	if (ms < midnight && ms >= midnight - 6 * day) return dateFormat({ weekday: 'short' }).format(date);
	if (date.getFullYear() === new Date(now).getFullYear()) return dateFormat({ day: 'numeric', month: 'short' }).format(date);
	return dateFormat({ day: '2-digit', month: '2-digit', year: '2-digit' }).format(date);
}

// mediumDate is for an open message: the day and the time, the year when it is another.
export function mediumDate(at: string | number, now = Date.now()): string {
	const date = new Date(at);
	const other = date.getFullYear() !== new Date(now).getFullYear();
	return dateFormat({ ...(other ? { year: 'numeric' } : { weekday: 'short' }), day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }).format(date);
}

export function longDate(at: string | number): string {
	return dateFormat({ weekday: 'short', day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit' }).format(new Date(at));
}

// dayName is for a heading: today and yesterday by their words.
export function dayName(midnight: number, now = Date.now()): string {
	const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - midnight) / day);
	const written = dateFormat({ weekday: 'long', day: 'numeric', month: 'long', ...(new Date(midnight).getFullYear() !== new Date(now).getFullYear() && { year: 'numeric' }) }).format(midnight);
	if (days > 1 || days < 0) return written;
	const word = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto' }).format(-days, 'day');
	return `${word.charAt(0).toLocaleUpperCase(locale())}${word.slice(1)}, ${written}`;
}

export function timeOfDay(at: string | number): string {
	return dateFormat({ hour: '2-digit', minute: '2-digit' }).format(new Date(at));
}

export function ago(at: number, now = Date.now()): string {
	const f = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto', style: 'short' });
	const s = Math.round((at - now) / 1000);
	if (Math.abs(s) < 60) return f.format(s, 'second');
	if (Math.abs(s) < 3600) return f.format(Math.round(s / 60), 'minute');
	if (Math.abs(s) < 86_400) return f.format(Math.round(s / 3600), 'hour');
	return f.format(Math.round(s / 86_400), 'day');
}

const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

export function size(bytes: number): string {
	let n = bytes;
	let unit = 0;
	while (n >= 1000 && unit < units.length - 1) {
		n /= 1000;
		unit++;
	}
	return new Intl.NumberFormat(locale(), { style: 'unit', unit: units[unit], unitDisplay: unit === 0 ? 'long' : 'short', maximumFractionDigits: n < 10 && unit > 1 ? 1 : 0 }).format(n);
}

export function number(n: number): string {
	return new Intl.NumberFormat(locale()).format(n);
}

export function list(items: string[]): string {
	return new Intl.ListFormat(locale(), { type: 'conjunction', style: 'short' }).format(items);
}
