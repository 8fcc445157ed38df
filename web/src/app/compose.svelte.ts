import type { Component } from 'svelte';

import { t } from '../i18n/index.svelte';
import type { Id } from '../jmap/types';
import { tell } from '../ui/toast.svelte';
import { account } from './account.svelte';

// What somebody wants to write. Panels of compose show these, each until it is closed.
export interface ComposeRequest {
	key: number;
	kind: 'new' | 'reply' | 'replyAll' | 'forward' | 'draft';
	email?: Id; // replied to, forwarded, or the draft
	to?: string; // a mailto: URL or an address
	minimised?: boolean; // at first
	shown?: number; // how often it was asked for again
}

// editor loads what shows the requests.
export const editor: (() => Promise<{ default: Component<{ requests: ComposeRequest[] }> }>) | null = () => import('../compose/Compose.svelte');

// Drafts that are open here are open again after a reload.
const kept = 'lockstep.composing';

let next = 1;
let requests = $state.raw<ComposeRequest[]>(open());

function open(): ComposeRequest[] {
	try {
		return (JSON.parse(sessionStorage.getItem(kept) ?? '[]') as Id[]).map((email) => ({ kind: 'draft', email, minimised: true, key: next++ }));
	} catch {
		return [];
	}
}

function keep(list: ComposeRequest[]): void {
	requests = list;
	sessionStorage.setItem(kept, JSON.stringify(list.filter((r) => r.kind === 'draft').map((r) => r.email)));
}

export function composing(): ComposeRequest[] {
	return requests;
}

export function canCompose(): boolean {
	return editor !== null;
}

// compose opens a panel, or the one where the same draft is written already.
export function compose(request: Omit<ComposeRequest, 'key'>): void {
	if (request.kind === 'draft') void resume(request.email!);
	else keep([...requests, { ...request, key: next++ }]);
}

async function resume(email: Id): Promise<void> {
	const wanted = await newest(email);
	for (const r of requests) {
		if (r.kind !== 'draft' || (await newest(r.email!)) !== wanted) continue;
		keep(requests.map((o) => (o.key === r.key ? { ...o, shown: (o.shown ?? 0) + 1 } : o)));
		return;
	}
	keep([...requests, { kind: 'draft', email, key: next++ }]);
}

// newest is one name for a draft, whatever version of it is meant.
async function newest(email: Id): Promise<Id> {
	return (await account.mail.latest(email))?.local ?? account.mail.named(email);
}

// nowCalled notes what the draft of a panel is called since it was saved.
export function nowCalled(key: number, email: Id): void {
	if (requests.some((r) => r.key === key && r.email !== email)) keep(requests.map((r) => (r.key === key ? { ...r, kind: 'draft', email } : r)));
}

export function closeCompose(key: number): void {
	keep(requests.filter((r) => r.key !== key));
}

// takeBack undoes that a message was sent, and opens it again.
export async function takeBack(email: Id): Promise<void> {
	const { mail } = account;
	const mailboxes = await mail.cache.mailboxes.toArray();
	const role = (name: string) => mailboxes.find((m) => m.role === name)?.id ?? null;
	if (await mail.unsend(email, role('drafts'), role('sent'), { key: 'act.unsent' })) compose({ kind: 'draft', email });
	else tell(t('act.tooLate'), { kind: 'trouble' });
}
