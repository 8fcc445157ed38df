import { post, signIn } from '../app/account.svelte';
import type { Step } from '../app/account.svelte';

// confirmPasskey answers the server's challenge with one of the person's passkeys
// (WebAuthn Level 3, §5.1: the JSON forms of options and credentials). Alone it stands
// for the password too.
export async function confirmPasskey(alone: boolean): Promise<Step[]> {
	const options = await post<{ publicKey: PublicKeyCredentialRequestOptionsJSON }>('/auth/passkey/begin', { alone });
	const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
	const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
	return signIn('/auth/passkey/finish', { credential: credential.toJSON() });
}

// passkeysWork says whether this browser can do it.
export function passkeysWork(): boolean {
	return typeof PublicKeyCredential !== 'undefined' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}
