import { Client } from '../jmap/client';
import { Offline, RequestError, SignedOut } from '../jmap/errors';
import type { Session } from '../jmap/types';
import { Mail, openCache } from '../store/mail';
import type { Condition } from '../store/mail';

// Who is signed in, and their mail.

export interface Person {
	login: string;
	name: string;
	account: string;
	csrf: string;
	device: { id: string; name: string };
}

export type Step = 'totp' | 'passkey' | 'recovery';

// SignIn is what the server says to a sign-in (docs/protocols/signin.md): the session,
// or what it wants next.
export type SignInAnswer = Person | { next: Step[] };

const remembered = 'lockstep.person';
const leaving = 'lockstep.leaving'; // signed out, and the server does not know

interface Remembered {
	person: Person;
	session: Session;
}

type Phase = 'starting' | 'signedOut' | 'ready' | 'unreachable';

let phase = $state<Phase>('starting');
let person = $state.raw<Person | null>(null);
let mail = $state.raw<Mail | null>(null);
let condition = $state.raw<Condition>({ online: true, working: false, waiting: 0, aside: 0, trouble: '', since: 0 });
let expired = $state(false);

const client = new Client(undefined, {
	signedOut() {
		if (phase !== 'ready') return;
		expired = true;
		phase = 'signedOut';
		mail?.stop();
		mail = null;
	},
	// Another tab signed in anew: this one learns the token that goes with the cookie.
	async renew() {
		const now = await client.json<Person>('/auth/session');
		// Somebody else may have: what waits here is not theirs to send.
		if (now.account !== person?.account) return location.reload();
		client.csrf = now.csrf;
	},
});

export const account = {
	get phase() {
		return phase;
	},
	get person() {
		return person;
	},
	// mail is there while somebody is signed in.
	get mail() {
		return mail!;
	},
	get condition() {
		return condition;
	},
	// Whether the session ended by itself: what waits in the queue is kept.
	get expired() {
		return expired;
	},
	get client() {
		return client;
	},
};

// start finds out who is signed in. Without a network it is who was, with what is
// cached.
export async function start(): Promise<void> {
	try {
		const now = await client.json<Person>('/auth/session');
		if (localStorage.getItem(leaving)) await leave(now);
		else await enter(now);
	} catch (e) {
		if (e instanceof SignedOut) phase = 'signedOut';
		else if (!enterCached()) phase = 'unreachable';
	}
}

// leave ends a session that somebody signed out of while the server was away.
async function leave(p: Person): Promise<void> {
	client.csrf = p.csrf;
	await post('/auth/sign-out', {});
	localStorage.removeItem(leaving);
	client.csrf = '';
	phase = 'signedOut';
}

async function enter(p: Person): Promise<void> {
	client.csrf = p.csrf;
	localStorage.removeItem(leaving);
	const session = await client.discover();
	localStorage.setItem(remembered, JSON.stringify({ person: p, session } satisfies Remembered));
	open(p);
}

// enterCached goes on as who was signed in last, for when there is no network.
function enterCached(): boolean {
	const kept = localStorage.getItem(remembered);
	if (!kept) return false;
	const { person: p, session } = JSON.parse(kept) as Remembered;
	client.csrf = p.csrf;
	client.session = session;
	open(p);
	return true;
}

function open(p: Person): void {
	mail?.stop();
	person = p;
	expired = false;
	mail = new Mail(client, openCache(client.accountId));
	mail.onCondition((c) => (condition = c));
	void mail.start();
	phase = 'ready';
	void navigator.storage?.persist?.().catch(() => false);
}

// post speaks to the sign-in: 401 there is an answer, not the end of a session.
export async function post<T>(path: string, body: unknown): Promise<T> {
	let answer: Response;
	try {
		answer = await fetch(path, {
			method: 'POST',
			credentials: 'same-origin',
			headers: { 'Content-Type': 'application/json', Accept: 'application/json', ...(client.csrf && { 'X-CSRF-Token': client.csrf }) },
			body: JSON.stringify(body),
		});
	} catch (e) {
		throw new Offline(String(e));
	}
	const text = await answer.text();
	const value = (text.startsWith('{') ? JSON.parse(text) : {}) as T & { type?: string; detail?: string };
	if (!answer.ok) throw new RequestError(answer.status, value.type ?? '', value.detail ?? '', Number(answer.headers.get('Retry-After')) || null);
	return value;
}

// signIn takes one step, and enters when it was the last.
export async function signIn(path: string, body: unknown): Promise<Step[]> {
	const answer = await post<SignInAnswer>(path, body);
	if ('next' in answer) return answer.next;
	await enter(answer);
	return [];
}

// signOut ends the session here and forgets everything that was cached.
export async function signOut(): Promise<void> {
	const cache = mail?.cache;
	phase = 'starting'; // nobody looks at what goes now
	expired = false;
	mail?.stop();
	const told = await post('/auth/sign-out', {}).then(() => true, (e) => !(e instanceof Offline));
	if (!told) localStorage.setItem(leaving, '1');
	person = null;
	client.csrf = '';
	client.session = null;
	localStorage.removeItem(remembered);
	// The server tells the browser to clear it too: of the two, one may be in the other's way.
	await cache?.delete().catch(() => cache.delete()).catch(() => {});
	phase = 'signedOut';
}
