import { account, post } from '../app/account.svelte';

// How somebody signs in (docs/protocols/signin.md).
export interface Security {
	totp: boolean;
	passkeys: Passkey[];
	recoveryLeft: number;
	proven: boolean;
}

export interface Passkey {
	id: string;
	name: string;
	created: string;
	lastUsed: string | null;
}

// SignedIn is one browser or program that stays signed in.
export interface SignedIn {
	id: string;
	current: boolean;
	kind: 'web' | 'oauth';
	client: string;
	device: string;
	address: string;
	created: string;
	lastSeen: string;
	expires: string;
}

export function security(): Promise<Security> {
	return account.client.json<Security>('/auth/account/security');
}

// signedIns are in the order of use, this one first.
export async function signedIns(): Promise<SignedIn[]> {
	const { sessions } = await account.client.json<{ sessions: SignedIn[] }>('/auth/account/sessions');
	return sessions.sort((a, b) => Number(b.current) - Number(a.current) || b.lastSeen.localeCompare(a.lastSeen));
}

export async function change<T = unknown>(what: string, body: unknown = {}): Promise<T> {
	return post<T>(`/auth/account/${what}`, body);
}
