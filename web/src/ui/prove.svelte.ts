import { account } from '../app/account.svelte';

// What is sensitive needs a session that proved lately who it is.

let asked = $state.raw<((yes: boolean) => void) | null>(null);

// asking is there while the dialog of Prove.svelte is to be shown.
export function asking(): ((yes: boolean) => void) | null {
	return asked;
}

// proven asks for the password if it has to; false if nobody gave it.
export async function proven(): Promise<boolean> {
	if ((await account.client.json<{ proven: boolean }>('/auth/session')).proven) return true;
	return new Promise((answer) => {
		asked = (yes) => {
			asked = null;
			answer(yes);
		};
	});
}
