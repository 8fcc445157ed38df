import { untrack } from 'svelte';

// The note at the bottom: what was done, and the offer to undo it.

export interface Note {
	id: number;
	text: string;
	kind: 'done' | 'trouble' | 'news';
	action?: { label: string; run: () => void };
	detail?: string; // to be copied
	ms: number; // 0 stays until it is closed
}

const shown = 8000;
let next = 1;
let current = $state.raw<Note | null>(null);

export function note(): Note | null {
	return current;
}

// tell shows a note in the place of the one there is: only the last act is undone by z.
export function tell(text: string, more: Partial<Omit<Note, 'id' | 'text'>> = {}): number {
	const id = next++;
	current = { id, text, kind: 'done', ms: shown, ...more };
	return id; // and not current.id: an effect that tells something must not wait for it
}

export function hush(id?: number): void {
	if (id === undefined || untrack(() => current?.id) === id) current = null;
}
