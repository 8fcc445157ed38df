import { liveQuery } from 'dexie';

export interface Live<T> {
	readonly value: T;
	readonly ready: boolean;
}

// live is a query of the cache that runs again whenever what it read changes, in this
// tab or another, and whenever the runes that on reads do. In query, await nothing but
// the cache: what is read after another await is not followed.
export function live<D, T>(on: () => D, query: (on: D) => Promise<T>, initial: T): Live<T> {
	let value = $state.raw(initial);
	let ready = $state(false);
	$effect(() => {
		const now = on();
		// Only of a function that is itself async does Dexie follow the awaits: of any other
		// it would hear but of what is read before the first.
		const subscription = liveQuery(async () => query(now)).subscribe({
			next: (v) => {
				value = v;
				ready = true;
			},
			error: (e) => {
				if ((e as Error).name !== 'DatabaseClosedError') throw e;
			},
		});
		return () => subscription.unsubscribe();
	});
	return {
		get value() {
			return value;
		},
		get ready() {
			return ready;
		},
	};
}
