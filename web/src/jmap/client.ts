import { MethodError, Offline, RequestError, SignedOut } from './errors';
import { CORE, LOCKSTEP, MAIL, QUOTA, SUBMISSION, VACATION } from './types';
import type { CoreCapability, Id, Invocation, ResultReference, Session } from './types';

export type Fetch = typeof fetch;

// Call is one method call of a batch. Its result comes when the batch was sent; its
// id lets later calls of the same batch refer to what it answers.
export interface Call<T> {
	readonly id: string;
	readonly name: string;
	// ref names a part of this call's answer (RFC 8620 §3.7).
	ref(path: string): ResultReference;
	readonly result: Promise<T>;
}

const wanted = [CORE, MAIL, SUBMISSION, VACATION, QUOTA, LOCKSTEP];

const defaults: CoreCapability = {
	maxSizeUpload: 50_000_000,
	maxConcurrentUpload: 4,
	maxSizeRequest: 10_000_000,
	maxConcurrentRequests: 4,
	maxCallsInRequest: 16,
	maxObjectsInGet: 500,
	maxObjectsInSet: 500,
	collationAlgorithms: [],
};

export interface Hooks {
	signedOut?: () => void; // the cookie is no longer good
	renew?: () => Promise<void>; // the token is not the cookie's
}

// Client speaks JMAP (RFC 8620) for one person. The cookie says who that is; csrf is
// sent along with whatever changes something.
export class Client {
	session: Session | null = null;
	csrf = '';

	constructor(
		private readonly fetcher: Fetch = (...args) => fetch(...args),
		private readonly hooks: Hooks = {},
	) {}

	get limits(): CoreCapability {
		return { ...defaults, ...this.session?.capabilities[CORE] };
	}

	get accountId(): Id {
		const id = this.session?.primaryAccounts[MAIL] ?? Object.keys(this.session?.accounts ?? {})[0];
		if (!id) throw new SignedOut('no account');
		return id;
	}

	has(capability: string): boolean {
		return this.session !== null && capability in this.session.capabilities;
	}

	// discover reads the session resource (RFC 8620 §2.2).
	async discover(): Promise<Session> {
		this.session = await this.json<Session>('/.well-known/jmap', { headers: { Accept: 'application/json' } });
		return this.session;
	}

	batch(): Batch {
		return new Batch((calls) => this.post(calls), this.accountId, this.limits.maxCallsInRequest);
	}

	// call makes one method call in a request of its own.
	async call<T>(name: string, args: Record<string, unknown> = {}): Promise<T> {
		const batch = this.batch();
		const call = batch.call<T>(name, args);
		await batch.send();
		return call.result;
	}

	private async post(methodCalls: Invocation[]): Promise<Invocation[]> {
		if (!this.session) await this.discover();
		const using = wanted.filter((c) => this.has(c));
		const answer = await this.json<{ methodResponses: Invocation[]; sessionState: string }>(local(this.session!.apiUrl), {
			method: 'POST',
			headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
			body: JSON.stringify({ using, methodCalls }),
		});
		if (answer.sessionState !== this.session!.state) void this.discover().catch(() => {});
		return answer.methodResponses;
	}

	// request is fetch with our cookie and token, and with errors that say what is known.
	async request(url: string, init: RequestInit = {}): Promise<Response> {
		try {
			return await this.once(url, init);
		} catch (e) {
			if (!(e instanceof RequestError) || e.status !== 403 || !e.type.endsWith('csrf') || !this.hooks.renew) throw e;
			await this.hooks.renew();
			return this.once(url, init);
		}
	}

	private async once(url: string, init: RequestInit): Promise<Response> {
		const headers = new Headers(init.headers);
		if (init.method && init.method !== 'GET' && this.csrf) headers.set('X-CSRF-Token', this.csrf);
		let answer: Response;
		try {
			answer = await this.fetcher(url, { ...init, headers, credentials: 'same-origin' });
		} catch (e) {
			if (e instanceof DOMException && e.name === 'AbortError') throw e;
			throw new Offline(String(e));
		}
		if (answer.status === 401) {
			this.hooks.signedOut?.();
			throw new SignedOut('signed out');
		}
		if (!answer.ok) throw await problem(answer);
		return answer;
	}

	async json<T>(url: string, init: RequestInit = {}): Promise<T> {
		const answer = await this.request(url, init);
		try {
			return (await answer.json()) as T;
		} catch (e) {
			throw new Offline(`the answer was cut: ${String(e)}`);
		}
	}

	// downloadUrl is where a blob is (RFC 8620 §6.2).
	downloadUrl(blobId: Id, name = 'download', type = 'application/octet-stream'): string {
		const values: Record<string, string> = { accountId: this.accountId, blobId, name, type };
		return local(this.session!.downloadUrl).replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(values[key] ?? ''));
	}

	uploadUrl(): string {
		return local(this.session!.uploadUrl).replace('{accountId}', encodeURIComponent(this.accountId));
	}
}

// local makes a URL of the session relative to our own page: the policy lets us
// speak to nobody else, and behind a proxy the server may not know its own name.
export function local(url: string): string {
	return url.replace(/^(https?|wss?):\/\/[^/]+/, '');
}

async function problem(answer: Response): Promise<RequestError> {
	const after = Number(answer.headers.get('Retry-After'));
	let type = '';
	let detail = '';
	try {
		const body = (await answer.json()) as { type?: string; detail?: string; title?: string };
		type = body.type ?? '';
		detail = body.detail ?? body.title ?? '';
	} catch {
		// Proxies answer with HTML: the status says enough.
	}
	return new RequestError(answer.status, type, detail, Number.isFinite(after) && after > 0 ? after : null);
}

interface Waiting {
	name: string;
	done: (value: never) => void;
	fail: (e: unknown) => void;
}

// Batch gathers method calls into one request.
export class Batch {
	private readonly calls: Invocation[] = [];
	private readonly waiting = new Map<string, Waiting>();

	constructor(
		private readonly post: (calls: Invocation[]) => Promise<Invocation[]>,
		private readonly accountId: Id,
		private readonly maxCalls: number,
	) {}

	call<T>(name: string, args: Record<string, unknown> = {}): Call<T> {
		if (this.calls.length >= this.maxCalls) throw new RequestError(400, 'urn:ietf:params:jmap:error:limit', 'maxCallsInRequest');
		const id = `c${this.calls.length}`;
		let resolve!: (value: T) => void;
		let reject!: (e: unknown) => void;
		const promise = new Promise<T>((done, fail) => {
			resolve = done;
			reject = fail;
		});
		promise.catch(() => {}); // who does not ask for it does not need to hear of it
		this.calls.push([name, { accountId: this.accountId, ...args }, id]);
		this.waiting.set(id, { name, done: resolve as (value: never) => void, fail: reject });
		return { id, name, result: promise, ref: (path) => ({ resultOf: id, name, path }) };
	}

	// send throws when the request failed as a whole; a method's own error is thrown by
	// its result.
	async send(): Promise<void> {
		if (this.calls.length === 0) return;
		let responses: Invocation[];
		try {
			responses = await this.post(this.calls);
		} catch (e) {
			for (const w of this.waiting.values()) w.fail(e);
			throw e;
		}
		for (const [name, args, id] of responses) {
			const w = this.waiting.get(id);
			if (!w) continue;
			if (name === 'error') w.fail(new MethodError(String(args.type), String(args.description ?? ''), w.name));
			// A method may add implicit calls to its answer (RFC 8621 §7.5): those are not it.
			else if (name === w.name) w.done(args as never);
			else continue;
			this.waiting.delete(id);
		}
		for (const w of this.waiting.values()) w.fail(new MethodError('serverFail', 'no answer', w.name));
	}
}
