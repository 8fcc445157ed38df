import type { Key } from '../i18n/index.svelte';
import type { Id } from '../jmap/types';

// A device of the account, over all protocols (docs/protocols/jmap.md, Device/get).
export interface Device {
	id: Id;
	name: string;
	protocol: string;
	protocols: string[];
	client: string;
	created: string | null;
	lastSeen: string | null;
	lastAddress: string;
	access: 'allowed' | 'quarantined' | 'blocked';
	wipe: { scope: 'account' | 'device'; state: 'requested' | 'sent' | 'confirmed' | 'refused'; at: string | null; status: string } | null;
	told: { kind: string; model: string; os: string; language: string; friendlyName: string; userAgent: string; version: string };
	isCurrent: boolean;
	isConnected: boolean;
	hasAppPassword: boolean;
	isDownloadOnly: boolean;
	behind: number;
	collections: { mailboxId: Id; behind: number; at: string | null }[];
	commands: { at: string; times: number; name: string; version: string; status: string; tookMs: number }[];
	skipped: { at: string; collection: string; item: string; why: string }[];
	restarts: { at: string; collection: string; why: string }[];
	policy: { name: string; isConfigured: boolean; answered: string; answeredAt: string | null; status: string } | null;
}

export type Tone = 'good' | 'quiet' | 'warning' | 'danger';

export interface Words {
	key: Key;
	args: Record<string, string | number>;
	tone: Tone;
}

// manyBehind is where the server stops counting.
const manyBehind = 1000;

// state says in words how it is with a device: what keeps it out comes before how far
// it is. when writes a moment.
export function state(d: Device, when: (at: string) => string): Words {
	if (d.wipe) return { key: `devices.wipe.${d.wipe.state}`, args: { when: d.wipe.at ? when(d.wipe.at) : '' }, tone: d.wipe.state === 'refused' ? 'danger' : 'warning' };
	if (d.access === 'blocked') return { key: 'devices.blocked', args: {}, tone: 'danger' };
	if (d.access === 'quarantined') return { key: 'devices.quarantined', args: {}, tone: 'warning' };
	if (d.isDownloadOnly) return { key: 'devices.downloadOnly', args: {}, tone: 'quiet' };
	if (!d.isCurrent && neverSeen(d)) return { key: 'devices.neverSeen', args: {}, tone: 'quiet' };
	if (d.behind === 0) return { key: 'devices.inStep', args: {}, tone: 'good' };
	if (d.behind >= manyBehind) return { key: 'devices.farBehind', args: { n: manyBehind }, tone: 'warning' };
	return { key: 'devices.behind', args: { n: d.behind }, tone: 'quiet' };
}

// neverSeen: its password was made, and nobody came with it yet.
export function neverSeen(d: Device): boolean {
	return d.lastSeen === null;
}

export type Kind = 'phone' | 'web' | 'mail' | 'download' | 'computer';

// kind is which picture a device gets.
export function kind(protocol: string): Kind {
	switch (protocol) {
		case 'activesync':
			return 'phone';
		case 'jmap':
			return 'web';
		case 'pop3':
			return 'download';
		case 'submission':
		case 'smtp':
		case 'lmtp':
			return 'mail';
	}
	return 'computer';
}

const spelled: Record<string, string> = { imap: 'IMAP', pop3: 'POP3', activesync: 'ActiveSync', jmap: 'JMAP', submission: 'SMTP', smtp: 'SMTP', lmtp: 'LMTP', dav: 'DAV', local: '' };

// protocols are those a device speaks, as people know them.
export function protocols(d: Device): string[] {
	const all = d.protocol === 'local' ? d.protocols : [d.protocol, ...d.protocols];
	return [...new Set(all.map((p) => spelled[p] ?? p))].filter((p) => p !== '');
}

// byUse puts the device at hand first, then who was here last.
export function byUse(all: Device[]): Device[] {
	return [...all].sort((a, b) => Number(b.isCurrent) - Number(a.isCurrent) || (b.lastSeen ?? '').localeCompare(a.lastSeen ?? '') || a.name.localeCompare(b.name));
}

// What can be added: each with the protocols that its password is for, and, on Apple's,
// the profile that sets it up.
export const kinds = {
	iphone: { protocols: ['activesync'], profile: 'exchange' },
	android: { protocols: ['activesync'], profile: null },
	outlook: { protocols: ['activesync', 'imap', 'submission'], profile: null },
	thunderbird: { protocols: ['imap', 'submission'], profile: null },
	mac: { protocols: ['imap', 'submission'], profile: 'mail' },
	other: { protocols: [], profile: null },
} as const;
export type Addable = keyof typeof kinds;
