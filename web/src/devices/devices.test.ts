import { expect, test } from 'vitest';

import { byUse, protocols, state } from './devices';
import type { Device } from './devices';

const device = (more: Partial<Device>): Device => ({
	id: 'D1', name: 'Phone', protocol: 'activesync', protocols: [], client: '', created: null, lastSeen: '2026-01-02T03:04:05Z', lastAddress: '', access: 'allowed', wipe: null,
	told: { kind: '', model: '', os: '', language: '', friendlyName: '', userAgent: '', version: '' }, isCurrent: false, isConnected: false, hasAppPassword: false, isDownloadOnly: false,
	behind: 0, collections: [], commands: [], skipped: [], restarts: [], policy: null, ...more,
});
const when = (at: string) => at;

test('what keeps a device out is said before how far it is', () => {
	expect(state(device({}), when).key).toBe('devices.inStep');
	expect(state(device({ behind: 12 }), when)).toEqual({ key: 'devices.behind', args: { n: 12 }, tone: 'quiet' });
	expect(state(device({ behind: 1000 }), when).key).toBe('devices.farBehind');
	expect(state(device({ lastSeen: null, behind: 3 }), when).key).toBe('devices.neverSeen');
	expect(state(device({ isDownloadOnly: true }), when).key).toBe('devices.downloadOnly');
	expect(state(device({ access: 'blocked', behind: 3 }), when).key).toBe('devices.blocked');
	expect(state(device({ access: 'blocked', wipe: { scope: 'account', state: 'requested', at: 'now', status: '' } }), when)).toEqual({ key: 'devices.wipe.requested', args: { when: 'now' }, tone: 'warning' });
});

test('a device is shown with all it speaks, each once', () => {
	expect(protocols(device({ protocol: 'local', protocols: ['imap', 'submission'] }))).toEqual(['IMAP', 'SMTP']);
	expect(protocols(device({ protocol: 'imap', protocols: ['imap'] }))).toEqual(['IMAP']);
});

test('the device at hand is first, then who was here last', () => {
	const all = [device({ id: 'a', lastSeen: '2026-01-01T00:00:00Z' }), device({ id: 'b', lastSeen: null }), device({ id: 'c', lastSeen: '2026-02-01T00:00:00Z' }), device({ id: 'd', isCurrent: true, lastSeen: '2025-01-01T00:00:00Z' })];
	expect(byUse(all).map((d) => d.id)).toEqual(['d', 'c', 'a', 'b']);
});
