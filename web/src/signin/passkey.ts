import { post, signIn } from '../app/account.svelte';
import type { Step } from '../app/account.svelte';

// WebAuthn Level 3, §5.1: the JSON forms of options and credentials.

// confirmPasskey answers the server's challenge with one of the person's passkeys. Alone
// it stands for the password too.
export async function confirmPasskey(alone: boolean): Promise<Step[]> {
	return signIn('/auth/passkey/finish', { credential: await answerOf('/auth/passkey/begin', { alone }) });
}

// provePasskey proves again who is signed in.
export async function provePasskey(): Promise<void> {
	await post('/auth/prove/passkey/finish', { credential: await answerOf('/auth/prove/passkey/begin', {}) });
}

// makePasskey makes one more; it returns recovery codes with the first second factor.
export async function makePasskey(name: string): Promise<string[] | null> {
	const options = await post<{ publicKey: PublicKeyCredentialCreationOptionsJSON }>('/auth/account/passkeys/begin', {});
	const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey);
	const credential = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
	return (await post<{ recovery: string[] | null }>('/auth/account/passkeys/finish', { name, credential: credential.toJSON() })).recovery;
}

async function answerOf(begin: string, body: unknown): Promise<unknown> {
	const options = await post<{ publicKey: PublicKeyCredentialRequestOptionsJSON }>(begin, body);
	const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
	const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
	return credential.toJSON();
}

// passkeysWork says whether this browser can do it.
export function passkeysWork(): boolean {
	return typeof PublicKeyCredential !== 'undefined' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}
