// A JMAP server in memory, small and exact, for the unit tests and for work on pages:
// the methods that the client calls, with states that count changes.
import type { ChangesResponse, EmailBody, EmailBodyPart, EmailCondition, EmailFilter, EmailHead, Id, Invocation, Mailbox, QueryChangesResponse, QueryResponse, Session } from '../src/jmap/types';

type Type = 'Mailbox' | 'Email' | 'Thread';
type Args = Record<string, unknown>;

export interface FakeEmail extends EmailHead {
	body: Omit<EmailBody, 'id'>;
}

interface Log {
	type: Type;
	id: Id;
	what: 'created' | 'updated' | 'destroyed';
}

interface Envelope {
	mailFrom: { email: string; parameters: Record<string, string> | null };
	rcptTo: { email: string }[];
}

class Fault extends Error {
	constructor(
		readonly type: string,
		description = '',
	) {
		super(description || type);
	}
}

const rights = { mayReadItems: true, mayAddItems: true, mayRemoveItems: true, maySetSeen: true, maySetKeywords: true, mayCreateChild: true, mayRename: true, mayDelete: true, maySubmit: true };

export class FakeServer {
	mailboxes = new Map<Id, Mailbox>();
	emails = new Map<Id, FakeEmail>();
	submissions: { id: Id; emailId: Id; identityId: Id; undoStatus: string; sendAt: string; envelope?: Envelope }[] = [];
	submissionState = 0;
	log: Log[] = [];
	calls: Invocation[] = [];
	listeners = new Set<() => void>();
	horizon = 0; // states before it cannot be told from
	maxObjectsInGet = 500;
	offline = false;
	loseAnswers = 0; // so many requests are done, but their answers are lost
	refuse: (method: string, id: Id) => string | undefined = () => undefined;
	meanwhile: (method: string) => void = () => {}; // what others do before a call
	private results = new Map<string, { state: number; ids: Id[] }>();
	private next = 1;

	constructor() {
		let sortOrder = 0;
		for (const role of ['inbox', 'drafts', 'sent', 'archive', 'junk', 'trash']) this.addMailbox(role, { role, sortOrder: sortOrder++ });
	}

	id(prefix: string): Id {
		return prefix + this.next++;
	}

	get state(): string {
		return `1.${this.log.length}`;
	}

	addMailbox(name: string, more: Partial<Mailbox> = {}): Mailbox {
		const m: Mailbox = { id: this.id('M'), name, parentId: null, role: null, sortOrder: 10, totalEmails: 0, unreadEmails: 0, totalThreads: 0, unreadThreads: 0, myRights: rights, isSubscribed: true, ...more };
		this.mailboxes.set(m.id, m);
		this.record('Mailbox', m.id, 'created');
		return m;
	}

	role(role: string): Id {
		return [...this.mailboxes.values()].find((m) => m.role === role)!.id;
	}

	addEmail(more: Partial<FakeEmail> & { text?: string; html?: string } = {}): FakeEmail {
		const id = this.id('E');
		const { text = 'Hello.', html, ...rest } = more;
		const part = (partId: string, type: string) => ({ partId, blobId: `P${id}-${partId}`, size: 10, name: null, type, charset: 'utf-8', disposition: null, cid: null });
		const email: FakeEmail = {
			id, blobId: 'B' + id, threadId: this.id('T'), mailboxIds: { [this.role('inbox')]: true }, keywords: {}, size: 1000,
			receivedAt: new Date(Date.UTC(2026, 0, 1) + this.next * 60_000).toISOString(), sentAt: null,
			from: [{ name: 'Ada', email: 'ada@example.test' }], to: [{ name: null, email: 'me@example.test' }], cc: null, subject: `Subject ${id}`, preview: text.slice(0, 100), hasAttachment: false, messageId: [`${id}@example.test`],
			body: {
				sender: null, bcc: null, replyTo: null, inReplyTo: null, references: null, attachments: [],
				textBody: [part('1', 'text/plain')], htmlBody: [html ? part('2', 'text/html') : part('1', 'text/plain')],
				bodyValues: { 1: { value: text, isEncodingProblem: false, isTruncated: false }, ...(html && { 2: { value: html, isEncodingProblem: false, isTruncated: false } }) },
			},
			...rest,
		};
		const thread = this.threadOf(email.threadId).length > 0;
		this.emails.set(id, email);
		this.record('Email', id, 'created');
		this.record('Thread', email.threadId, thread ? 'updated' : 'created');
		this.recount(email.mailboxIds);
		return email;
	}

	patch(id: Id, patch: Args): void {
		const e = this.emails.get(id);
		if (!e) throw new Fault('notFound');
		const before = e.mailboxIds;
		const copy = { ...e, keywords: { ...e.keywords }, mailboxIds: { ...e.mailboxIds } };
		for (const [path, value] of Object.entries(patch)) {
			const [property, key] = path.split('/') as ['keywords' | 'mailboxIds', string | undefined];
			if (key === undefined) copy[property] = value as Record<string, true>;
			else if (value === null) delete copy[property][key.replaceAll('~1', '/').replaceAll('~0', '~')];
			else copy[property][key.replaceAll('~1', '/').replaceAll('~0', '~')] = true;
		}
		if (Object.keys(copy.mailboxIds).length === 0) throw new Fault('invalidProperties', 'an email is in a mailbox');
		for (const m of Object.keys(copy.mailboxIds)) if (!this.mailboxes.has(m)) throw new Fault('invalidProperties', 'no such mailbox');
		this.emails.set(id, copy);
		this.record('Email', id, 'updated');
		this.recount({ ...before, ...copy.mailboxIds });
	}

	destroy(id: Id): void {
		const e = this.emails.get(id);
		if (!e) throw new Fault('notFound');
		this.emails.delete(id);
		this.record('Email', id, 'destroyed');
		this.record('Thread', e.threadId, this.threadOf(e.threadId).length > 0 ? 'updated' : 'destroyed');
		this.recount(e.mailboxIds);
	}

	threadOf(id: Id): FakeEmail[] {
		return [...this.emails.values()].filter((e) => e.threadId === id).sort((a, b) => a.receivedAt.localeCompare(b.receivedAt));
	}

	private record(type: Type, id: Id, what: Log['what']): void {
		this.log.push({ type, id, what });
		for (const l of this.listeners) l();
	}

	private recount(ids: Record<Id, true>): void {
		for (const id of Object.keys(ids)) {
			const m = this.mailboxes.get(id);
			if (!m) continue;
			const inside = [...this.emails.values()].filter((e) => id in e.mailboxIds);
			m.totalEmails = inside.length;
			m.unreadEmails = inside.filter((e) => !e.keywords.$seen).length;
			m.totalThreads = new Set(inside.map((e) => e.threadId)).size;
			m.unreadThreads = new Set(inside.filter((e) => !e.keywords.$seen).map((e) => e.threadId)).size;
			this.record('Mailbox', id, 'updated');
		}
	}

	session(): Session {
		const mail = {};
		return {
			capabilities: { 'urn:ietf:params:jmap:core': { maxSizeUpload: 50_000_000, maxConcurrentUpload: 4, maxSizeRequest: 1e7, maxConcurrentRequests: 4, maxCallsInRequest: 32, maxObjectsInGet: this.maxObjectsInGet, maxObjectsInSet: 100, collationAlgorithms: [] }, 'urn:ietf:params:jmap:mail': mail, 'urn:ietf:params:jmap:submission': {} },
			accounts: { A1: { name: 'me@example.test', isPersonal: true, isReadOnly: false, accountCapabilities: {} } },
			primaryAccounts: { 'urn:ietf:params:jmap:mail': 'A1' },
			username: 'me@example.test',
			apiUrl: '/jmap/api', downloadUrl: '/jmap/download/{accountId}/{blobId}/{name}?type={type}', uploadUrl: '/jmap/upload/{accountId}', eventSourceUrl: '/jmap/eventsource?types={types}&closeafter={closeafter}&ping={ping}',
			state: 's1',
		};
	}

	// fetch is the server as the client's fetch.
	readonly fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
		if (this.offline) throw new TypeError('no network');
		const answer = this.serve(String(url), init?.method ?? 'GET', typeof init?.body === 'string' ? init.body : '');
		if (this.loseAnswers > 0) {
			this.loseAnswers--;
			throw new TypeError('connection lost');
		}
		return new Response(JSON.stringify(answer.body), { status: answer.status, headers: { 'Content-Type': 'application/json' } });
	};

	serve(url: string, method: string, body: string): { status: number; body: unknown } {
		if (url === '/.well-known/jmap') return { status: 200, body: this.session() };
		if (url === '/auth/session') return { status: 200, body: { login: 'me@example.test', name: 'Ada Example', csrf: 'c', device: 'd' } };
		if (url === '/auth/sign-in') return { status: 200, body: { login: 'me@example.test', name: 'Ada Example', csrf: 'c', device: 'd' } };
		if (url.startsWith('/jmap/upload/')) return { status: 201, body: { accountId: 'A1', blobId: this.id('U'), type: 'text/plain', size: 1 } };
		if (url === '/jmap/api' && method === 'POST') return { status: 200, body: this.request(JSON.parse(body) as { methodCalls: Invocation[] }) };
		return { status: 404, body: { type: 'about:blank' } };
	}

	private request({ methodCalls }: { methodCalls: Invocation[] }): unknown {
		const responses: Invocation[] = [];
		for (const [name, raw, callId] of methodCalls) {
			try {
				const args = resolve(raw, responses);
				this.calls.push([name, args, callId]);
				this.meanwhile(name);
				responses.push([name, this.method(name, args) as Args, callId]);
			} catch (e) {
				if (!(e instanceof Fault)) throw e;
				responses.push(['error', { type: e.type, description: e.message }, callId]);
			}
		}
		return { methodResponses: responses, sessionState: 's1' };
	}

	private method(name: string, args: Args): unknown {
		switch (name) {
			case 'Mailbox/get':
				return this.get([...this.mailboxes.values()], args);
			case 'Thread/get':
				return this.get(this.threads(args.ids as Id[] | null), args);
			case 'Email/get':
				return this.get((args.ids as Id[]).map((id) => this.emails.get(id)).filter((e) => e !== undefined).map(({ body, ...head }) => ({ ...head, ...body })), args);
			case 'Identity/get':
				return { accountId: 'A1', state: '1', list: [{ id: 'I1', name: 'Ada Example', email: 'me@example.test', replyTo: null, bcc: null, textSignature: '', htmlSignature: '', mayDelete: false }], notFound: [] };
			case 'Identity/changes':
				return { accountId: 'A1', oldState: '1', newState: '1', hasMoreChanges: false, created: [], updated: [], destroyed: [] };
			case 'Mailbox/changes':
			case 'Email/changes':
			case 'Thread/changes':
				return this.changes(name.split('/')[0] as Type, args);
			case 'Email/query':
				return this.query(args);
			case 'Email/queryChanges':
				return this.queryChanges(args);
			case 'Email/set':
				return this.emailSet(args);
			case 'Mailbox/set':
				return this.mailboxSet(args);
			case 'EmailSubmission/set':
				return this.submit(args);
			case 'EmailSubmission/query':
				return { ids: this.submissions.filter((s) => submitted(s, args.filter as Args)).map((s) => s.id) };
			case 'EmailSubmission/get':
				return { ...(this.get(this.submissions, args) as Args), state: `s${this.submissionState}` };
			case 'EmailSubmission/changes':
				return { oldState: args.sinceState, newState: `s${this.submissionState}`, hasMoreChanges: false, created: [], updated: [], destroyed: [] };
		}
		throw new Fault('unknownMethod', name);
	}

	private threads(ids: Id[] | null): { id: Id; emailIds: Id[] }[] {
		return (ids ?? []).map((id) => ({ id, emailIds: this.threadOf(id).map((e) => e.id) })).filter((t) => t.emailIds.length > 0);
	}

	private get(all: { id: Id }[], args: Args): unknown {
		const ids = args.ids as Id[] | null;
		if (ids && ids.length > this.maxObjectsInGet) throw new Fault('requestTooLarge');
		const properties = args.properties as string[] | null | undefined;
		const unique = ids && [...new Set(ids)];
		const list = (unique ? unique.map((id) => all.find((o) => o.id === id)).filter((o) => o !== undefined) : all).map((o) => structuredClone(properties ? Object.fromEntries(Object.entries(o).filter(([k]) => k === 'id' || properties.includes(k))) : o));
		const there = new Set(list.map((o) => (o as { id: Id }).id));
		return { accountId: 'A1', state: this.state, list, notFound: (unique ?? []).filter((id) => !there.has(id)) };
	}

	private position(state: unknown): number {
		const n = Number(String(state).split('.')[1]);
		if (!Number.isFinite(n) || n < this.horizon) throw new Fault('cannotCalculateChanges');
		return n;
	}

	private changes(type: Type, args: Args): ChangesResponse {
		const since = this.position(args.sinceState);
		const most = (args.maxChanges as number | undefined) ?? Infinity;
		const seen = new Map<Id, Log['what'][]>();
		let end = since;
		for (; end < this.log.length; end++) {
			const l = this.log[end]!;
			if (l.type !== type) continue;
			if (!seen.has(l.id) && seen.size === most) break;
			seen.set(l.id, [...(seen.get(l.id) ?? []), l.what]);
		}
		const out: ChangesResponse = { accountId: 'A1', oldState: String(args.sinceState), newState: `1.${end}`, hasMoreChanges: end < this.log.length, created: [], updated: [], destroyed: [] };
		for (const [id, what] of seen) {
			if (what.at(-1) === 'destroyed') {
				if (!what.includes('created')) out.destroyed.push(id);
			} else if (what.includes('created')) out.created.push(id);
			else out.updated.push(id);
		}
		return type === 'Mailbox' ? { ...out, updatedProperties: null } : out;
	}

	private results_(args: Args): Id[] {
		const filter = args.filter as EmailFilter | null;
		const found = [...this.emails.values()].filter((e) => this.matches(e, filter)).sort((a, b) => b.receivedAt.localeCompare(a.receivedAt) || b.id.localeCompare(a.id));
		if (!args.collapseThreads) return found.map((e) => e.id);
		const threads = new Set<Id>();
		return found.filter((e) => !threads.has(e.threadId) && threads.add(e.threadId)).map((e) => e.id);
	}

	private matches(e: FakeEmail, filter: EmailFilter | null): boolean {
		if (!filter) return true;
		if ('operator' in filter) {
			const each = filter.conditions.map((c) => this.matches(e, c));
			return filter.operator === 'AND' ? each.every(Boolean) : filter.operator === 'OR' ? each.some(Boolean) : !each.some(Boolean);
		}
		const people = (l: EmailHead['from']) => (l ?? []).map((a) => `${a.name ?? ''} ${a.email}`).join(' ').toLowerCase();
		const tests: { [K in keyof EmailCondition]?: (v: never) => boolean } = {
			inMailbox: (v: Id) => v in e.mailboxIds,
			inMailboxOtherThan: (v: Id[]) => Object.keys(e.mailboxIds).some((m) => !v.includes(m)),
			hasKeyword: (v: string) => v in e.keywords,
			notKeyword: (v: string) => !(v in e.keywords),
			hasAttachment: (v: boolean) => e.hasAttachment === v,
			from: (v: string) => people(e.from).includes(v.toLowerCase()),
			to: (v: string) => people(e.to).includes(v.toLowerCase()),
			subject: (v: string) => (e.subject ?? '').toLowerCase().includes(v.toLowerCase()),
			text: (v: string) => `${people(e.from)} ${e.subject} ${e.preview}`.toLowerCase().includes(v.toLowerCase()),
			before: (v: string) => e.receivedAt < v,
			after: (v: string) => e.receivedAt >= v,
			header: ([, v]: string[]) => e.messageId?.[0] === v,
		};
		return Object.entries(filter).every(([key, v]) => tests[key as keyof EmailCondition]?.(v as never) ?? false);
	}

	private key(args: Args): string {
		return JSON.stringify([args.filter, args.collapseThreads]);
	}

	private query(args: Args): QueryResponse {
		const ids = this.results_(args);
		this.results.set(`${this.key(args)} ${this.state}`, { state: this.log.length, ids });
		const position = Number(args.position ?? 0);
		return { accountId: 'A1', queryState: this.state, canCalculateChanges: true, position, ids: ids.slice(position, position + Number(args.limit ?? ids.length)), total: ids.length };
	}

	private queryChanges(args: Args): QueryChangesResponse {
		const old = this.results.get(`${this.key(args)} ${String(args.sinceQueryState)}`);
		if (!old || old.state < this.horizon) throw new Fault('cannotCalculateChanges');
		const now = this.results_(args);
		this.results.set(`${this.key(args)} ${this.state}`, { state: this.log.length, ids: now });
		const [was, is] = [new Set(old.ids), new Set(now)];
		return {
			accountId: 'A1', oldQueryState: String(args.sinceQueryState), newQueryState: this.state, total: now.length,
			removed: old.ids.filter((id) => !is.has(id)), added: now.map((id, index) => ({ id, index })).filter(({ id }) => !was.has(id)),
		};
	}

	private emailSet(args: Args): unknown {
		if (args.ifInState && args.ifInState !== this.state) throw new Fault('stateMismatch');
		const out = this.setResponse();
		for (const [key, value] of Object.entries((args.create ?? {}) as Record<string, Partial<FakeEmail>>)) {
			this.attempt(out.notCreated, 'create', key, () => {
				const email = this.addEmail({ ...value, receivedAt: new Date().toISOString() });
				const { body: _, ...head } = email;
				email.body.attachments = ((value as { attachments?: EmailBodyPart[] }).attachments ?? []).map((a, i) => ({ ...a, partId: null, blobId: `P${head.id}-${i + 2}` }));
				out.created[key] = { id: head.id, threadId: head.threadId, blobId: head.blobId, size: head.size };
			});
		}
		for (const [id, patch] of Object.entries((args.update ?? {}) as Record<Id, Args>)) {
			this.attempt(out.notUpdated, 'update', id, () => {
				this.patch(id, patch);
				out.updated[id] = null;
			});
		}
		for (const id of (args.destroy ?? []) as Id[]) {
			this.attempt(out.notDestroyed, 'destroy', id, () => {
				this.destroy(id);
				out.destroyed.push(id);
			});
		}
		return { ...out, newState: this.state };
	}

	private setResponse() {
		return { accountId: 'A1', oldState: this.state, created: {} as Args, updated: {} as Args, destroyed: [] as Id[], notCreated: {} as Args, notUpdated: {} as Args, notDestroyed: {} as Args };
	}

	private attempt(errors: Args, what: string, id: Id, fn: () => void): void {
		try {
			const refused = this.refuse(what, id);
			if (refused) throw new Fault(refused);
			fn();
		} catch (e) {
			if (!(e instanceof Fault)) throw e;
			errors[id] = { type: e.type, description: e.message };
		}
	}

	private mailboxSet(args: Args): unknown {
		const out = this.setResponse();
		for (const [key, value] of Object.entries((args.create ?? {}) as Record<string, Partial<Mailbox>>)) {
			this.attempt(out.notCreated, 'create', key, () => void (out.created[key] = { id: this.addMailbox(value.name!, value).id }));
		}
		for (const [id, set] of Object.entries((args.update ?? {}) as Record<Id, Partial<Mailbox>>)) {
			this.attempt(out.notUpdated, 'update', id, () => {
				Object.assign(this.mailboxes.get(id) ?? fail(), set);
				this.record('Mailbox', id, 'updated');
				out.updated[id] = null;
			});
		}
		for (const id of (args.destroy ?? []) as Id[]) {
			this.attempt(out.notDestroyed, 'destroy', id, () => {
				if (!this.mailboxes.delete(id)) fail();
				for (const e of [...this.emails.values()]) if (id in e.mailboxIds) this.destroy(e.id);
				this.record('Mailbox', id, 'destroyed');
				out.destroyed.push(id);
			});
		}
		return { ...out, newState: this.state };
	}

	private submit(args: Args): unknown {
		const out = this.setResponse();
		for (const [key, value] of Object.entries((args.create ?? {}) as Record<string, { emailId: Id; identityId: Id; envelope?: Envelope }>)) {
			this.attempt(out.notCreated, 'submit', value.emailId, () => {
				if (!this.emails.has(value.emailId)) fail();
				const id = this.id('S');
				const hold = value.envelope?.mailFrom.parameters;
				this.submissions.push({ ...value, id, undoStatus: hold ? 'pending' : 'final', sendAt: hold?.HOLDUNTIL ?? new Date().toISOString() });
				this.submissionState++;
				out.created[key] = { id };
				const after = (args.onSuccessUpdateEmail as Record<string, Args> | undefined)?.[`#${key}`];
				if (after) this.patch(value.emailId, after);
			});
		}
		for (const [id, { undoStatus }] of Object.entries((args.update ?? {}) as Record<Id, { undoStatus: string }>)) {
			this.attempt(out.notUpdated, 'unsend', id, () => {
				const s = this.submissions.find((x) => x.id === id) ?? fail();
				if (s.undoStatus === 'final') throw new Fault('cannotUnsend');
				s.undoStatus = undoStatus;
				this.submissionState++;
				out.updated[id] = null;
				const after = (args.onSuccessUpdateEmail as Record<string, Args> | undefined)?.[id];
				if (after) this.patch(s.emailId, after);
			});
		}
		return { ...out, newState: this.state };
	}
}

function fail(): never {
	throw new Fault('notFound');
}

function submitted(s: { emailId: Id; undoStatus: string }, f: Args): boolean {
	if (f.operator === 'AND') return (f.conditions as Args[]).every((c) => submitted(s, c));
	if (f.operator === 'NOT') return !(f.conditions as Args[]).some((c) => submitted(s, c));
	return (!f.emailIds || (f.emailIds as Id[]).includes(s.emailId)) && (!f.undoStatus || f.undoStatus === s.undoStatus);
}

// resolve fills in result references (RFC 8620 §3.7).
function resolve(args: Args, responses: Invocation[]): Args {
	const out: Args = {};
	for (const [key, value] of Object.entries(args)) {
		if (!key.startsWith('#')) {
			out[key] = value;
			continue;
		}
		const ref = value as { resultOf: string; name: string; path: string };
		const response = responses.find(([name, , id]) => id === ref.resultOf && name === ref.name);
		if (!response) throw new Fault('invalidResultReference');
		out[key.slice(1)] = point(response[1], ref.path.split('/').slice(1));
	}
	return out;
}

function point(value: unknown, path: string[]): unknown {
	const [head, ...rest] = path;
	if (head === undefined) return value;
	if (head === '*') return (value as unknown[]).flatMap((v) => point(v, rest) as unknown);
	return point((value as Args)[head], rest);
}
