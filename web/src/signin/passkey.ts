import { post, signIn } from '../app/account.svelte';
import type { Step } from '../app/account.svelte';

// confirmPasskey answers the server's challenge with one of the person's passkeys
// (WebAuthn Level 3, §5.1: the JSON forms of options and credentials).
export async function confirmPasskey(): Promise<Step[]> {
	const options = await post<{ publicKey: PublicKeyCredentialRequestOptionsJSON }>('/auth/sign-in/passkey/options', {});
	const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
	const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
	return signIn('/auth/sign-in/passkey', credential.toJSON());
}
