import type { Component } from 'svelte';

import type { Id } from '../jmap/types';

// What somebody wants to write. Panels of compose show these, each until it is closed.
export interface ComposeRequest {
	key: number;
	kind: 'new' | 'reply' | 'replyAll' | 'forward' | 'draft';
	email?: Id; // replied to, forwarded, or the draft
	to?: string; // a mailto: URL or an address
}

// editor loads what shows the requests; null while there is none.
export const editor: (() => Promise<{ default: Component<{ requests: ComposeRequest[] }> }>) | null = null;

let requests = $state.raw<ComposeRequest[]>([]);
let next = 1;

export function composing(): ComposeRequest[] {
	return requests;
}

export function canCompose(): boolean {
	return editor !== null;
}

export function compose(request: Omit<ComposeRequest, 'key'>): void {
	const same = request.kind === 'draft' && requests.find((r) => r.kind === 'draft' && r.email === request.email);
	if (!same) requests = [...requests, { ...request, key: next++ }];
}

export function closeCompose(key: number): void {
	requests = requests.filter((r) => r.key !== key);
}
