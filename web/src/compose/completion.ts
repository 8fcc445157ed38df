import type { EmailAddress, EmailHead } from '../jmap/types';

// Whom one may mean by what one types: people of the mail that is cached. Pure.

export interface Known {
	address: EmailAddress;
	weight: number;
}

const halfLife = 60 * 86_400_000; // ms in which a message comes to count half

// knownFrom gathers people from mail. Who was written to counts most, who only wrote
// counts least, and what is old counts less.
export function knownFrom(emails: Iterable<Pick<EmailHead, 'from' | 'to' | 'cc' | 'receivedAt' | 'keywords'>>, me: Set<string>, now: number): Known[] {
	const all = new Map<string, Known>();
	for (const e of emails) {
		if (e.keywords.$junk) continue;
		const fresh = 0.5 ** (Math.max(0, now - Date.parse(e.receivedAt)) / halfLife);
		const sent = (e.from ?? []).some((a) => me.has(a.email.toLowerCase()));
		for (const a of [...(e.to ?? []), ...(e.cc ?? [])]) note(all, a, fresh * (sent ? 8 : 0.25), me);
		if (!sent) for (const a of e.from ?? []) note(all, a, fresh * (/no-?reply|do-?not-?reply|mailer-daemon/i.test(a.email) ? 0.01 : 1), me);
	}
	return [...all.values()].sort((a, b) => b.weight - a.weight);
}

function note(all: Map<string, Known>, a: EmailAddress, weight: number, me: Set<string>): void {
	const key = a.email.toLowerCase();
	if (!key.includes('@') || me.has(key)) return;
	const known = all.get(key);
	if (!known) all.set(key, { address: a, weight });
	else {
		known.weight += weight;
		if (!known.address.name?.trim() && a.name?.trim()) known.address = a;
	}
}

// complete finds those that each word typed begins a word of, the best first.
export function complete(known: Known[], typed: string, taken: Set<string>, most = 6): EmailAddress[] {
	const words = fold(typed).split(/\s+/).filter((w) => w !== '');
	if (words.length === 0) return [];
	const out: { address: EmailAddress; rank: number }[] = [];
	for (const { address, weight } of known) {
		if (taken.has(address.email.toLowerCase())) continue;
		const of = fold(`${address.name ?? ''} ${address.email}`);
		const starts = [address.email.toLowerCase(), ...of.split(/[\s@.,_+()"'-]+/)];
		if (!words.every((w) => starts.some((s) => s.startsWith(w)))) continue;
		out.push({ address, rank: weight + (of.startsWith(words[0]!) ? 0.5 : 0) });
	}
	return out.sort((a, b) => b.rank - a.rank).slice(0, most).map((o) => o.address);
}

function fold(s: string): string {
	return s.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase();
}
