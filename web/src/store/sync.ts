import type { Client } from '../jmap/client';
import { MethodError } from '../jmap/errors';
import { SUBMISSION } from '../jmap/types';
import type { ChangesResponse, EmailBody, EmailHead, EmailSubmission, GetResponse, Id, Identity, Mailbox, QueryChangesResponse, QueryResponse, Thread } from '../jmap/types';
import { queryKey } from './db';
import type { Cache, QueryRow, Spec } from './db';
import { apply, covered, idAt, merge, trim } from './window';

export const headProperties = ['id', 'blobId', 'threadId', 'mailboxIds', 'keywords', 'size', 'receivedAt', 'sentAt', 'from', 'to', 'cc', 'subject', 'preview', 'hasAttachment', 'messageId'];
export const bodyProperties = ['id', 'sender', 'bcc', 'replyTo', 'inReplyTo', 'references', 'textBody', 'htmlBody', 'attachments', 'bodyValues', 'headers'];
const partProperties = ['partId', 'blobId', 'size', 'name', 'type', 'charset', 'disposition', 'cid', 'language'];

const maxChanges = 250; // of one type in one answer
const maxRounds = 10_000; // of changes until there are no more
const maxBodyBytes = 512 * 1024; // of a text part, until somebody asks for the rest
const prefetched = 50; // conversations
const prefetchedBodies = 200; // at once
const prefetchPage = 20;
const maxPrefetchBytes = 64 * 1024;
const keptBodies = 2000; // unless somebody chose otherwise
const keptEmails = 30_000;
const keptQueryDays = 30;

// Sync keeps the cache in step with the server (RFC 8620 §5.2, §5.6). What it writes
// carries the state it stands for in the same transaction, so it can stop anywhere and
// go on later.
export class Sync {
	private readonly live = new Map<string, { spec: Spec; from: number; to: number; users: number }>();
	private running: Promise<void> | null = null;
	private again = false;

	constructor(
		private readonly client: Client,
		private readonly cache: Cache,
		private readonly changed: (ids: Id[], states: { from: string; to: string }) => void = () => {},
	) {}

	// watch keeps a range of a query's results fresh until the returned function is called.
	watch(spec: Spec, from: number, to: number): () => void {
		const key = queryKey(spec);
		const w = this.live.get(key) ?? { spec, from, to, users: 0 };
		w.users++;
		w.from = from;
		w.to = to;
		this.live.set(key, w);
		return () => {
			if (--w.users === 0) this.live.delete(key);
		};
	}

	// catchUp brings everything that is cached to the server's present. Called while it
	// runs, it runs once more.
	catchUp(): Promise<void> {
		if (this.running) {
			this.again = true;
			return this.running;
		}
		this.running = (async () => {
			try {
				do {
					this.again = false;
					await this.once();
				} while (this.again);
			} finally {
				this.running = null;
			}
		})();
		return this.running;
	}

	private async once(): Promise<void> {
		if ((await this.cache.state('Email')) === undefined) await this.bootstrap();
		for (let round = 0; round < maxRounds; round++) if (!(await this.changes(round))) break;
		if (this.client.has(SUBMISSION)) await this.submissions();
		await this.refreshLive();
	}

	// submissions fetches what waits to be sent and can be taken back, if that changed.
	private async submissions(): Promise<void> {
		const c = this.cache;
		const since = await c.state('EmailSubmission');
		if (since !== undefined) {
			const delta = await orNull(this.client.call<ChangesResponse>('EmailSubmission/changes', { sinceState: since }), 'cannotCalculateChanges');
			if (delta && delta.newState === since) return;
		}
		const batch = this.client.batch();
		// Others may change them between two calls: where they stood before tells it next time.
		const before = batch.call<GetResponse<EmailSubmission>>('EmailSubmission/get', { ids: [] });
		const query = batch.call<QueryResponse>('EmailSubmission/query', { filter: { undoStatus: 'pending' } });
		const get = batch.call<GetResponse<EmailSubmission>>('EmailSubmission/get', { '#ids': query.ref('/ids'), properties: ['id', 'emailId', 'threadId', 'identityId', 'sendAt', 'undoStatus'] });
		await batch.send();
		const [{ state }, { list }] = [await before.result, await get.result];
		const pending = list.filter((s) => s.undoStatus === 'pending');
		await this.fetchHeads(pending.map((s) => s.emailId));
		await c.transaction('rw', [c.submissions, c.states], async () => {
			await c.submissions.clear();
			await c.submissions.bulkPut(pending);
			await c.states.put({ type: 'EmailSubmission', state });
		});
	}

	// refreshLive brings the lists that are looked at to the present.
	async refreshLive(): Promise<void> {
		for (const w of [...this.live.values()]) await this.refreshQuery(w.spec, w.from, w.to);
	}

	// bootstrap fetches what a start needs: all mailboxes, and where Email and Thread stand.
	private async bootstrap(): Promise<void> {
		const batch = this.client.batch();
		const mailboxes = batch.call<GetResponse<Mailbox>>('Mailbox/get', { ids: null });
		const emails = batch.call<GetResponse<EmailHead>>('Email/get', { ids: [] });
		const threads = batch.call<GetResponse<Thread>>('Thread/get', { ids: [] });
		const identities = this.client.has(SUBMISSION) ? batch.call<GetResponse<Identity>>('Identity/get', { ids: null }) : null;
		await batch.send();
		const [m, e, t] = [await mailboxes.result, await emails.result, await threads.result];
		const i = await identities?.result.catch(() => null);
		const c = this.cache;
		await c.transaction('rw', [c.mailboxes, c.states, c.identities], async () => {
			await c.mailboxes.clear();
			await c.mailboxes.bulkPut(m.list);
			if (i) {
				await c.identities.clear();
				await c.identities.bulkPut(i.list);
			}
			await c.states.bulkPut([
				{ type: 'Mailbox', state: m.state },
				{ type: 'Email', state: e.state },
				{ type: 'Thread', state: t.state },
				...(i ? [{ type: 'Identity', state: i.state }] : []),
			]);
		});
	}

	// changes applies one page of each type's changes, and says whether there are more.
	private async changes(round: number): Promise<boolean> {
		const c = this.cache;
		const since = new Map((await c.states.toArray()).map((s) => [s.type, s.state]));
		const batch = this.client.batch();
		const mailbox = batch.call<ChangesResponse>('Mailbox/changes', { sinceState: since.get('Mailbox') });
		const mailboxNew = batch.call<GetResponse<Mailbox>>('Mailbox/get', { '#ids': mailbox.ref('/created') });
		const mailboxOld = batch.call<GetResponse<Mailbox>>('Mailbox/get', { '#ids': mailbox.ref('/updated'), '#properties': mailbox.ref('/updatedProperties') });
		const email = batch.call<ChangesResponse>('Email/changes', { sinceState: since.get('Email'), maxChanges });
		// The first page is nearly always the only one, and its emails known: one trip.
		const flags = round === 0 ? batch.call<GetResponse<Flags>>('Email/get', { '#ids': email.ref('/updated'), properties: flagProperties }) : null;
		const thread = batch.call<ChangesResponse>('Thread/changes', { sinceState: since.get('Thread'), maxChanges });
		const threads = batch.call<GetResponse<Thread>>('Thread/get', { '#ids': thread.ref('/updated') });
		const identities = since.has('Identity') ? batch.call<ChangesResponse>('Identity/changes', { sinceState: since.get('Identity') }) : null;
		await batch.send();

		const more = [
			await this.applyMailboxes(mailbox.result, mailboxNew.result, mailboxOld.result),
			await this.applyEmails(email.result, flags?.result ?? null),
			await this.applyThreads(thread.result, threads.result),
		];
		if (identities) await this.applyIdentities(identities.result);
		return more.some(Boolean);
	}

	private async applyMailboxes(changes: Promise<ChangesResponse>, created: Promise<GetResponse<Mailbox>>, updated: Promise<GetResponse<Mailbox>>): Promise<boolean> {
		const delta = await orNull(changes, 'cannotCalculateChanges');
		const c = this.cache;
		if (!delta) {
			const all = await this.client.call<GetResponse<Mailbox>>('Mailbox/get', { ids: null });
			await c.transaction('rw', [c.mailboxes, c.states], async () => {
				await c.mailboxes.clear();
				await c.mailboxes.bulkPut(all.list);
				await c.states.put({ type: 'Mailbox', state: all.state });
			});
			return false;
		}
		if (delta.oldState === delta.newState) return false;
		const [fresh, partial] = [await created, await updated];
		await c.transaction('rw', [c.mailboxes, c.states], async () => {
			if ((await c.state('Mailbox')) !== delta.oldState) return; // another tab was first
			await c.mailboxes.bulkPut(fresh.list);
			for (const m of partial.list) if (!(await c.mailboxes.update(m.id, m as never))) await c.mailboxes.put(m);
			await c.mailboxes.bulkDelete(delta.destroyed);
			await c.states.put({ type: 'Mailbox', state: delta.newState });
		});
		return delta.hasMoreChanges;
	}

	private async applyEmails(changes: Promise<ChangesResponse>, flags: Promise<GetResponse<Flags>> | null): Promise<boolean> {
		const delta = await orNull(changes, 'cannotCalculateChanges');
		if (!delta) {
			await this.startOver();
			return false;
		}
		if (delta.oldState === delta.newState) return false;
		const c = this.cache;
		const known = (await c.emails.bulkGet(delta.updated)).filter((e) => e !== undefined).map((e) => e.id);
		const list = flags ? await orNull(flags, 'requestTooLarge') : null;
		const fresh = list?.list ?? (await this.getAll<Flags>('Email/get', known, flagProperties)).list;
		await c.transaction('rw', [c.emails, c.bodies, c.states], async () => {
			if ((await c.state('Email')) !== delta.oldState) return;
			for (const e of fresh) await c.emails.update(e.id, { keywords: e.keywords, mailboxIds: e.mailboxIds });
			await c.emails.bulkDelete(delta.destroyed);
			await c.bodies.bulkDelete(delta.destroyed);
			await c.states.put({ type: 'Email', state: delta.newState });
		});
		this.changed([...delta.created, ...delta.updated, ...delta.destroyed], { from: delta.oldState, to: delta.newState });
		return delta.hasMoreChanges;
	}

	private async applyThreads(changes: Promise<ChangesResponse>, updated: Promise<GetResponse<Thread>>): Promise<boolean> {
		const c = this.cache;
		const delta = await orNull(changes, 'cannotCalculateChanges');
		const fresh = delta ? await orNull(updated, 'requestTooLarge') : null;
		if (!delta) {
			const { state } = await this.client.call<GetResponse<Thread>>('Thread/get', { ids: [] });
			await c.transaction('rw', [c.threads, c.states], async () => {
				await c.threads.clear(); // asked for again as they are shown
				await c.states.put({ type: 'Thread', state });
			});
			return false;
		}
		if (delta.oldState === delta.newState) return false;
		const list = fresh?.list ?? (await this.getAll<Thread>('Thread/get', delta.updated)).list;
		const known = new Set((await c.threads.bulkGet(list.map((t) => t.id))).filter((t) => t !== undefined).map((t) => t.id));
		const mine = list.filter((t) => known.has(t.id));
		await c.transaction('rw', [c.threads, c.states], async () => {
			if ((await c.state('Thread')) !== delta.oldState) return;
			await c.threads.bulkPut(mine);
			await c.threads.bulkDelete(delta.destroyed);
			await c.states.put({ type: 'Thread', state: delta.newState });
		});
		await this.fetchHeads(mine.flatMap((t) => t.emailIds));
		return delta.hasMoreChanges;
	}

	private async applyIdentities(changes: Promise<ChangesResponse>): Promise<void> {
		const delta = await orNull(changes, 'cannotCalculateChanges');
		if (delta && delta.oldState === delta.newState) return;
		const all = await this.client.call<GetResponse<Identity>>('Identity/get', { ids: null });
		const c = this.cache;
		await c.transaction('rw', [c.identities, c.states], async () => {
			await c.identities.clear();
			await c.identities.bulkPut(all.list);
			await c.states.put({ type: 'Identity', state: all.state });
		});
	}

	// startOver compares every cached email with the server, for when the server's memory
	// of changes does not reach back far enough.
	private async startOver(): Promise<void> {
		const c = this.cache;
		const ids = await c.emails.toCollection().primaryKeys();
		const { list, notFound, state } = await this.getAll<Flags>('Email/get', ids, flagProperties);
		await c.transaction('rw', [c.emails, c.bodies, c.states, c.queries], async () => {
			for (const e of list) await c.emails.update(e.id, { keywords: e.keywords, mailboxIds: e.mailboxIds });
			await c.emails.bulkDelete(notFound);
			await c.bodies.bulkDelete(notFound);
			await c.queries.toCollection().modify((q) => {
				Object.assign(q, unsure(q));
			});
			await c.states.put({ type: 'Email', state });
		});
	}

	// getAll is a get of any number of ids. Its state is the oldest of its pages: later
	// changes may be heard of twice, never missed.
	private async getAll<T>(method: string, ids: Id[], properties?: string[], more: Record<string, unknown> = {}): Promise<GetResponse<T>> {
		const page = this.client.limits.maxObjectsInGet;
		let first: GetResponse<T> | undefined;
		for (let at = 0; at === 0 || at < ids.length; at += page) {
			const some = await this.client.call<GetResponse<T>>(method, { ids: ids.slice(at, at + page), ...(properties && { properties }), ...more });
			if (!first) first = some;
			else {
				first.list.push(...some.list);
				first.notFound.push(...some.notFound);
			}
		}
		return first!;
	}

	// fetchHeads fetches those emails that are not cached. An answer that another tab
	// overtook with newer changes is asked for again.
	async fetchHeads(ids: Id[]): Promise<void> {
		const c = this.cache;
		for (let tries = 0; tries < 4; tries++) {
			const have = await c.emails.bulkGet(ids);
			const missing = [...new Set(ids.filter((_, i) => !have[i]))];
			if (missing.length === 0) return;
			const before = await c.state('Email');
			const got = await this.getAll<EmailHead>('Email/get', missing, headProperties);
			const done = await c.transaction('rw', [c.emails, c.states], async () => {
				const now = await c.state('Email');
				if (now !== before && got.state !== now) return false;
				await c.emails.bulkPut(got.list);
				return true;
			});
			if (done) return;
		}
	}

	private async fetchThreads(ids: Id[]): Promise<Thread[]> {
		const c = this.cache;
		const have = await c.threads.bulkGet(ids);
		const missing = [...new Set(ids.filter((_, i) => !have[i]))];
		const known = have.filter((t) => t !== undefined);
		if (missing.length === 0) return known;
		const before = await c.state('Thread');
		const got = await this.getAll<Thread>('Thread/get', missing);
		await c.transaction('rw', [c.threads, c.states], async () => {
			const now = await c.state('Thread');
			if (now === before || got.state === now) await c.threads.bulkPut(got.list);
		});
		return known.concat(got.list);
	}

	// complete makes sure that everything that rows of conversations show is cached.
	private async complete(ids: Id[]): Promise<void> {
		await this.fetchHeads(ids);
		const heads = (await this.cache.emails.bulkGet(ids)).filter((e) => e !== undefined);
		const threads = await this.fetchThreads(heads.map((e) => e.threadId));
		await this.fetchHeads(threads.flatMap((t) => t.emailIds));
	}

	// conversation makes sure that a whole conversation is cached.
	async conversation(threadId: Id): Promise<void> {
		const [thread] = await this.fetchThreads([threadId]);
		if (thread) await this.fetchHeads(thread.emailIds);
	}

	// ensure fetches what is not known for sure of a range of a query's results.
	async ensure(spec: Spec, from: number, to: number): Promise<void> {
		if ((await this.cache.state('Email')) === undefined) await this.catchUp();
		const q = await this.cache.queries.get(queryKey(spec));
		const end = q && q.state ? Math.min(to, q.total) : to;
		if (q?.state && covered(q.segments, from, end)) await this.complete(range(q, from, end));
		else await this.query(spec, from, to);
	}

	private async query(spec: Spec, from: number, to: number): Promise<void> {
		const batch = this.client.batch();
		const query = batch.call<QueryResponse>('Email/query', { ...spec, position: from, limit: to - from, calculateTotal: true });
		const before = await this.states('Email', 'Thread');
		const heads = batch.call<GetResponse<EmailHead>>('Email/get', { '#ids': query.ref('/ids'), properties: headProperties });
		const threads = batch.call<GetResponse<Thread>>('Thread/get', { '#ids': heads.ref('/list/*/threadId') });
		const others = batch.call<GetResponse<EmailHead>>('Email/get', { '#ids': threads.ref('/list/*/emailIds'), properties: headProperties });
		await batch.send();
		const answer = await query.result;
		// Too much for one answer: what is missing is fetched in pages, below.
		const [h, th, o] = await Promise.all([heads.result, threads.result, others.result].map((r) => (r as Promise<GetResponse<never>>).catch(() => null)));
		await this.keep(before, [h, o].filter((r) => r !== null && r !== undefined), th ?? null);
		await this.complete(answer.ids);
		await this.keepWindow(spec, from, answer);
	}

	private async states(...types: string[]): Promise<Map<string, string>> {
		const rows = await this.cache.states.bulkGet(types);
		return new Map(rows.filter((r) => r !== undefined).map((r) => [r.type, r.state]));
	}

	// keep writes what was got, unless another tab knows newer meanwhile.
	private async keep(before: Map<string, string>, heads: GetResponse<EmailHead>[], threads: GetResponse<Thread> | null): Promise<void> {
		const c = this.cache;
		await c.transaction('rw', [c.emails, c.threads, c.states], async () => {
			const now = await this.states('Email', 'Thread');
			const fresh = (type: string, state: string) => now.get(type) === before.get(type) || now.get(type) === state;
			for (const r of heads) if (fresh('Email', r.state)) await c.emails.bulkPut(r.list);
			if (threads && fresh('Thread', threads.state)) await c.threads.bulkPut(threads.list);
		});
	}

	private async keepWindow(spec: Spec, from: number, answer: QueryResponse): Promise<void> {
		const key = queryKey(spec);
		const have = await this.cache.queries.get(key);
		if (have?.state && have.state !== answer.queryState && have.exact) await this.queryChanges(have);
		const c = this.cache;
		await c.transaction('rw', c.queries, async () => {
			const q = await c.queries.get(key);
			const old = q === undefined ? [] : q.state === answer.queryState ? q.segments : unsure(q).segments;
			const total = answer.total ?? answer.position + answer.ids.length;
			const segments = merge(
				old.filter((s) => s.from < total),
				{ from: answer.position, ids: answer.ids, sure: true },
			);
			await c.queries.put({ key, spec, state: answer.queryState, total, exact: answer.canCalculateChanges, segments: trim(segments, from), used: Date.now() });
		});
	}

	// refreshQuery brings a query to the present and fills the range that is looked at.
	private async refreshQuery(spec: Spec, from: number, to: number): Promise<void> {
		const q = await this.cache.queries.get(queryKey(spec));
		if (q?.state && q.exact) await this.queryChanges(q);
		else if (q) await this.cache.queries.update(q.key, unsure(q));
		await this.ensure(spec, from, to);
	}

	private async queryChanges(q: QueryRow): Promise<void> {
		let delta: QueryChangesResponse;
		try {
			delta = await this.client.call<QueryChangesResponse>('Email/queryChanges', { ...q.spec, sinceQueryState: q.state, maxChanges: 500, calculateTotal: true });
		} catch (e) {
			if (!(e instanceof MethodError) || (e.type !== 'cannotCalculateChanges' && e.type !== 'tooManyChanges')) throw e;
			await this.cache.queries.update(q.key, unsure(q));
			return;
		}
		if (delta.newQueryState === delta.oldQueryState && delta.removed.length + delta.added.length === 0) return;
		const c = this.cache;
		await c.transaction('rw', c.queries, async () => {
			const now = await c.queries.get(q.key);
			if (!now || now.state !== delta.oldQueryState) return;
			await c.queries.put(apply(now, { removed: delta.removed, added: delta.added, total: delta.total ?? now.total + delta.added.length - delta.removed.length, state: delta.newQueryState }));
		});
	}

	// body fetches what reading a message needs, from the cache where it can.
	async body(id: Id, whole = false): Promise<EmailBody | undefined> {
		const row = await this.cache.bodies.get(id);
		const limit = whole ? 0 : maxBodyBytes;
		const cut = row && Object.values(row.body.bodyValues).some((v) => v.isTruncated);
		if (row && !(cut && row.limit !== 0 && (limit === 0 || row.limit < limit))) {
			void this.cache.bodies.update(id, { used: Date.now() });
			return row.body;
		}
		try {
			return (await this.bodies([id], limit))[0];
		} catch (e) {
			if (row && !whole) return row.body; // some of it is better than none
			throw e;
		}
	}

	private async bodies(ids: Id[], limit: number): Promise<EmailBody[]> {
		const got = await this.client.call<GetResponse<EmailBody>>('Email/get', {
			ids,
			properties: bodyProperties,
			bodyProperties: partProperties,
			fetchTextBodyValues: true,
			fetchHTMLBodyValues: true,
			maxBodyValueBytes: limit,
		});
		await this.cache.bodies.bulkPut(got.list.map((body) => ({ id: body.id, body, used: Date.now(), limit })));
		return got.list;
	}

	// prefetch gets the texts of the newest conversations of a list, to be read offline.
	async prefetch(spec: Spec): Promise<void> {
		const q = await this.cache.queries.get(queryKey(spec));
		const ids = range(q, 0, prefetched);
		const heads = (await this.cache.emails.bulkGet(ids)).filter((e) => e !== undefined);
		const threads = (await this.cache.threads.bulkGet(heads.map((e) => e.threadId))).flatMap((t) => t?.emailIds ?? []);
		const have = new Set(await this.cache.bodies.where('id').anyOf(threads).primaryKeys());
		const missing = [...new Set(threads)].filter((id) => !have.has(id)).slice(0, prefetchedBodies);
		for (let at = 0; at < missing.length; at += prefetchPage) await this.bodies(missing.slice(at, at + prefetchPage), maxPrefetchBytes);
	}

	// tidy forgets what was not looked at for longest, once there is too much.
	async tidy(): Promise<void> {
		const c = this.cache;
		await c.bodies.bulkDelete(await c.bodies.orderBy('used').reverse().offset(await textsKept(c)).primaryKeys());
		await c.queries.where('used').below(Date.now() - keptQueryDays * 86_400_000).delete();
		const excess = (await c.emails.count()) - keptEmails;
		if (excess > 0) await c.emails.bulkDelete(await c.emails.orderBy('receivedAt').limit(excess).primaryKeys());
	}
}

// textsKept is of how many messages the texts are kept here; keepTexts changes it.
export async function textsKept(cache: Cache): Promise<number> {
	return (await cache.getMeta<number>('keptBodies')) ?? keptBodies;
}

export async function keepTexts(cache: Cache, n: number): Promise<void> {
	await cache.setMeta('keptBodies', n);
}

interface Flags {
	id: Id;
	keywords: Record<string, true>;
	mailboxIds: Record<Id, true>;
}
const flagProperties = ['id', 'keywords', 'mailboxIds'];

// unsure keeps a query's results to be shown, and to be asked for again.
function unsure(q: QueryRow): Pick<QueryRow, 'segments' | 'state'> {
	return { state: '', segments: q.segments.map((s) => ({ ...s, sure: false })) };
}

function range(q: QueryRow | undefined, from: number, to: number): Id[] {
	const out: Id[] = [];
	for (let i = from; i < to; i++) {
		const id = idAt(q?.segments ?? [], i);
		if (id !== undefined) out.push(id);
	}
	return out;
}

// orNull is null when a method failed in the way that is expected.
async function orNull<T>(result: Promise<T>, type: string): Promise<T | null> {
	try {
		return await result;
	} catch (e) {
		if (e instanceof MethodError && e.type === type) return null;
		throw e;
	}
}

