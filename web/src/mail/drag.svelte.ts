import type { Id } from '../jmap/types';

// What is being dragged. The browser tells its contents only when it is dropped, and
// a mailbox wants to know before.

interface Dragged {
	rows: Id[];
	threads: Id[];
}

let what = $state.raw<Dragged | null>(null);

export function dragged(): Dragged | null {
	return what;
}

export function drag(d: Dragged | null): void {
	what = d;
}
