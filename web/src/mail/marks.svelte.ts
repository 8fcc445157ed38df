import { SvelteMap } from 'svelte/reactivity';

import { account } from '../app/account.svelte';
import { t } from '../i18n/index.svelte';
import { LOCKSTEP } from '../jmap/types';
import type { GetResponse, Id } from '../jmap/types';

// A change from another device leaves a mark on its row for a moment: which device it
// was. The journal says so (docs/protocols/jmap.md, Act/query).

export interface Mark {
	device: string;
	protocol: string;
}

interface JournalAct {
	id: Id;
	deviceId: Id | null;
	deviceName: string;
	protocol: string;
	cause: string;
	entries: { emails?: { emailId: Id }[] }[];
}

const shown = 4000; // ms
const seen = 'lastAct';
const newest = 20; // acts are looked at, at most

export const marks = new SvelteMap<Id, Mark>();

let heard = $state('');

// announcement is what screen readers are told, once.
export function announcement(): string {
	return heard;
}

// watchMarks looks up who changed what, whenever something changed elsewhere. What
// was seen last is remembered, so that a start marks only what is new since.
export function watchMarks(): () => void {
	const { mail, client } = account;
	const query = (filter: Record<string, unknown>, limit: number) => client.call<{ ids: Id[] }>('Act/query', { filter, limit });
	let last: Id | undefined;
	const look = async () => {
		if (!client.has(LOCKSTEP)) return;
		last ??= await mail.cache.getMeta<Id>(seen);
		const { ids } = await query(last ? { after: last } : {}, last ? newest : 1);
		if (ids.length === 0) return;
		const known = last !== undefined;
		last = ids[0];
		await mail.cache.setMeta(seen, last);
		if (!known) return;
		const { list } = await client.call<GetResponse<JournalAct>>('Act/get', { ids });
		for (const act of list) show(act);
	};
	// A mark is worth no trouble: what can't be asked now is not shown.
	const quietly = () => void look().catch(() => {});
	quietly();
	return mail.onChanged(quietly);
}

function show(act: JournalAct): void {
	if (!act.deviceId || act.deviceId === account.person?.device.id || act.cause !== 'user') return;
	const emails = act.entries.flatMap((e) => e.emails ?? []).map((e) => e.emailId);
	const mark = { device: act.deviceName, protocol: act.protocol };
	for (const id of emails) marks.set(id, mark);
	if (emails.length > 0) heard = t('mark.heard', { device: act.deviceName, n: emails.length });
	setTimeout(() => {
		for (const id of emails) if (marks.get(id) === mark) marks.delete(id);
	}, shown);
}
