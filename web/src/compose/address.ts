import type { EmailAddress } from '../jmap/types';

// Addresses as people type, paste and read them (RFC 5322 §3.4), without comments and
// groups. Pure.

// isAddress says whether mail could be sent there. The server has the last word.
export function isAddress(email: string): boolean {
	return /^[^\s@<>(),;:"[\]]+@[^\s@<>(),;:"[\]]+$/.test(email) || /^"[^"]+"@[^\s@<>(),;:"]+$/.test(email);
}

// parseAddresses reads a list that commas, semicolons or line ends separate.
export function parseAddresses(text: string): EmailAddress[] {
	return split(text).map(one).filter((a) => a.email !== '');
}

function split(text: string): string[] {
	const out: string[] = [];
	let at = '';
	let quoted = false;
	for (const c of text) {
		if (c === '"') quoted = !quoted;
		if (!quoted && /[,;\n]/.test(c)) {
			out.push(at);
			at = '';
		} else at += c;
	}
	return [...out, at].map((s) => s.trim()).filter((s) => s !== '');
}

function one(text: string): EmailAddress {
	const angle = /^(.*?)<([^<>]*)>\s*$/.exec(text);
	if (!angle) return { name: null, email: text.replace(/^mailto:/i, '') };
	const name = angle[1]!.trim().replace(/^(["'])(.*)\1$/, '$2').replaceAll(/\\(.)/g, '$1');
	return { name: name || null, email: angle[2]!.trim() };
}

// full is an address as it is read in a field.
export function full(a: EmailAddress): string {
	const name = a.name?.trim();
	if (!name) return a.email;
	return `${/[,;<>"@]/.test(name) ? `"${name.replaceAll('"', "'")}"` : name} <${a.email}>`;
}

export function shown(a: EmailAddress): string {
	return a.name?.trim() || a.email;
}

export function same(a: EmailAddress, b: EmailAddress): boolean {
	return a.email.toLowerCase() === b.email.toLowerCase();
}

// without removes who is in other lists, and who is named twice.
export function without(list: EmailAddress[], ...others: EmailAddress[][]): EmailAddress[] {
	const seen = new Set(others.flat().map((a) => a.email.toLowerCase()));
	return list.filter((a) => {
		const key = a.email.toLowerCase();
		return !seen.has(key) && Boolean(seen.add(key));
	});
}

export interface Mailto {
	to: EmailAddress[];
	cc: EmailAddress[];
	bcc: EmailAddress[];
	subject: string;
	body: string;
}

// parseMailto reads a mailto: URL (RFC 6068), or a plain address. Of header fields it
// takes those that do no harm.
export function parseMailto(url: string): Mailto {
	const [address = '', query = ''] = url.replace(/^mailto:/i, '').split(/\?(.*)/s);
	const fields = new Map<string, string>();
	for (const pair of query.split('&')) {
		const [name = '', value = ''] = pair.split(/=(.*)/s);
		if (name) fields.set(name.toLowerCase(), decoded(value));
	}
	const list = (name: string) => parseAddresses(fields.get(name) ?? '');
	return { to: [...parseAddresses(decoded(address)), ...list('to')], cc: list('cc'), bcc: list('bcc'), subject: fields.get('subject') ?? '', body: fields.get('body') ?? '' };
}

function decoded(s: string): string {
	try {
		return decodeURIComponent(s);
	} catch {
		return s;
	}
}
