import type { Client } from '../jmap/client';
import { MethodError, RequestError } from '../jmap/errors';
import type { EmailBodyPart, GetResponse, Id, QueryResponse, SetError, SetResponse } from '../jmap/types';
import { changeOf, isLocal, jmapPatch, patched } from './acts';
import type { Act, Change, DestroyAct, DraftAct, DraftPart, EmailAct, MailboxAct, SendAct, UnsendAct } from './acts';
import type { Cache } from './db';
import { moved } from './overlay';

const maxTries = 5; // of an act that the server fails at

// Refused says that the server will not do an act, however often it is asked.
class Refused extends Error {
	constructor(readonly error: SetError) {
		super(error.description ?? error.type);
	}
}

// Replay sends the acts in their order. Each bears being sent twice, as an answer may
// get lost; one that is refused is set aside with its reason and holds up nobody.
export class Replay {
	private running: Promise<void> | null = null;

	constructor(
		private readonly client: Client,
		private readonly cache: Cache,
		private readonly catchUp: () => Promise<void>,
	) {}

	// settle forgets what is done, for when what the server says of it was taken over.
	async settle(): Promise<void> {
		await this.cache.acts.where('status').equals('done').delete();
	}

	// run sends everything that waits. It throws when the server cannot be reached; what
	// waits then goes on waiting.
	run(): Promise<void> {
		this.running ??= this.all().finally(() => (this.running = null));
		return this.running;
	}

	private async all(): Promise<void> {
		let alone = false; // as a call of several failed, and it is not known for which
		for (;;) {
			const waiting = await this.cache.acts.where('status').anyOf('waiting', 'sending').sortBy('seq');
			const first = waiting[0];
			if (!first) return;
			const some = first.kind === 'email' ? together(waiting, alone ? 1 : this.client.limits.maxObjectsInSet) : [];
			try {
				if (first.kind === 'email') await this.emails(some);
				else await this.one(first);
				alone = false;
			} catch (e) {
				const error = refusal(e) ?? (await this.givenUp(first, e));
				if (some.length > 1 && answered(e)) alone = true;
				else if (!error) throw e;
				else await this.setAside(first, error);
			}
		}
	}

	// givenUp says why an act is set aside that the server fails at again and again: what
	// comes after it shall not wait for ever.
	private async givenUp(act: Act, e: unknown): Promise<SetError | undefined> {
		if (!answered(e)) return undefined;
		const tries = (act.tries ?? 0) + 1;
		await this.cache.acts.update(act.seq!, { tries });
		return tries < maxTries ? undefined : { type: e.type, description: e.message };
	}

	// claim takes acts to be sent, as they are now: since they were looked at, somebody
	// may have taken one back, or gone on writing.
	private async claim<A extends Act>(acts: A[]): Promise<A[]> {
		const { acts: table } = this.cache;
		return this.cache.transaction('rw', table, async () => {
			const rows = (await table.bulkGet(acts.map((a) => a.seq!))).filter((a) => a?.status === 'waiting' || a?.status === 'sending');
			await table.bulkUpdate(rows.map((a) => ({ key: a!.seq!, changes: { status: 'sending' } })));
			return rows as A[];
		});
	}

	private async one(waiting: Exclude<Act, EmailAct>): Promise<void> {
		const [act] = await this.claim([waiting]);
		if (!act) return;
		const tried = act.status === 'sending';
		switch (act.kind) {
			case 'destroy':
				return this.destroy(act);
			case 'draft':
				return this.draft(act, tried);
			case 'send':
				return this.send(act, tried);
			case 'unsend':
				return this.unsend(act);
			case 'mailbox':
				return this.mailbox(act, tried);
		}
	}

	// real is what the server calls something that was made here.
	private async real(id: Id): Promise<Id> {
		if (!isLocal(id)) return id;
		const row = await this.cache.localIds.get(id);
		if (!row) throw new Refused({ type: 'notFound', description: 'what it needs was set aside' });
		return row.real;
	}

	// emails sends the changes of several acts as one call. What one of them says of an
	// email the next may take back: they are laid over each other in their order.
	private async emails(waiting: EmailAct[]): Promise<void> {
		const acts = await this.claim(waiting);
		if (acts.length === 0) return;
		const names = new Map<Id, Id>();
		for (const id of acts.flatMap((a) => [...a.changes.map((c) => c.id), ...a.changes.flatMap((c) => Object.keys(c.patch.mailboxIds ?? {}))])) {
			if (isLocal(id)) names.set(id, await this.real(id));
		}
		const real = (id: Id) => names.get(id) ?? id;
		const update: Record<Id, Record<string, true | null>> = {};
		for (const act of acts) for (const c of act.changes.slice(0, this.client.limits.maxObjectsInSet)) Object.assign((update[real(c.id)] ??= {}), jmapPatch(c.patch, real));
		const answer = await this.client.call<SetResponse>('Email/set', { update });
		await this.confirm(acts, answer, real);
	}

	// confirm makes the acts' changes part of what the server said. The acts stay until
	// lists were caught up too, so that no row comes back for a moment.
	private async confirm(acts: EmailAct[], answer: SetResponse, real: (id: Id) => Id): Promise<void> {
		const c = this.cache;
		await c.transaction('rw', [c.acts, c.emails], async () => {
			for (const act of acts) {
				const rest: Change[] = [];
				const refused: { change: Change; error: SetError }[] = [];
				for (const change of act.changes) {
					const id = real(change.id);
					const error = answer.notUpdated?.[id];
					if (answer.updated && id in answer.updated) {
						const email = await c.emails.get(id);
						if (email) await c.emails.put(patched(email, mapped(change.patch, real)));
					} else if (!error) rest.push(change);
					else if (error.type !== 'notFound') refused.push({ change, error });
					// An email that is gone has nothing left to change.
				}
				const did = act.changes.filter((ch) => !rest.includes(ch) && !refused.some((r) => r.change === ch));
				const { seq: _, ...again } = act;
				if (rest.length > 0) {
					await c.acts.put({ ...act, status: 'waiting', changes: rest, ids: rest.map((r) => r.id) });
					await c.acts.add({ ...again, status: 'done', changes: did, ids: did.map((d) => d.id) });
				} else await c.acts.put({ ...act, status: 'done', changes: did, ids: did.map((d) => d.id) });
				const error = refused[0]?.error;
				if (error) await c.acts.add({ ...again, status: 'aside', error, changes: refused.map((r) => r.change), ids: refused.map((r) => r.change.id) });
			}
		});
	}

	// destroy is for good, so it happens only to emails that nobody moved meanwhile.
	private async destroy(act: DestroyAct): Promise<void> {
		const c = this.cache;
		await this.catchUp();
		const ids = act.gone.map((g) => g.id);
		const here = (await c.emails.bulkGet(ids)).filter((e) => e !== undefined);
		const moved = here.filter((e) => !same(e.mailboxIds, act.gone.find((g) => g.id === e.id)!.mailboxIds));
		const safe = here.filter((e) => !moved.includes(e)).map((e) => e.id).slice(0, this.client.limits.maxObjectsInSet);
		if (safe.length > 0) {
			const answer = await this.client.call<SetResponse>('Email/set', { destroy: safe, ifInState: await c.state('Email') }).catch((e: unknown) => {
				if (e instanceof MethodError && e.type === 'stateMismatch') return null; // looked at once more
				throw e;
			});
			if (!answer) return;
			const gone = safe.filter((id) => !answer.notDestroyed?.[id] || answer.notDestroyed[id].type === 'notFound');
			await c.emails.bulkDelete(gone);
			await c.bodies.bulkDelete(gone);
			const error = Object.values(answer.notDestroyed ?? {}).find((e) => e.type !== 'notFound');
			if (error) throw new Refused(error);
			const rest = act.gone.filter((g) => here.some((e) => e.id === g.id) && !gone.includes(g.id) && !moved.some((m) => m.id === g.id));
			if (rest.length > 0) return void (await c.acts.put({ ...act, gone: rest, ids: rest.map((g) => g.id), status: 'waiting' }));
		}
		if (moved.length > 0) {
			const gone = act.gone.filter((g) => moved.some((m) => m.id === g.id));
			await c.acts.put({ ...act, gone, ids: gone.map((g) => g.id) });
			throw new Refused({ type: 'movedMeanwhile', description: 'moved meanwhile' });
		}
		await c.acts.delete(act.seq!);
	}

	// draft creates a draft and removes the one it replaces in one call, so that its line
	// in IMAP goes on. Sent before without an answer, it is looked for by its Message-ID
	// first. What another device rewrote meanwhile is another draft: both stay.
	private async draft(act: DraftAct, tried: boolean): Promise<void> {
		const c = this.cache;
		const replaces = act.replaces ? await this.real(act.replaces).catch(() => null) : null;
		let id = tried ? await this.findDraft(act) : undefined;
		if (!id) {
			const destroy = replaces ? [replaces] : [];
			const answer = await this.client.call<SetResponse>('Email/set', { create: { d: await this.written(act) }, destroy });
			const error = answer.notCreated?.d;
			if (error?.type === 'blobNotFound' && (await this.forgetUploads(act))) return;
			if (error) throw new Refused(error);
			id = answer.created!.d!.id;
		} else if (replaces && replaces !== id) await this.client.call<SetResponse>('Email/set', { destroy: [replaces] });
		if (act.email.attachments.length > 0) await this.renameParts(act, id);
		await c.transaction('rw', [c.acts, c.localIds, c.bodies], async () => {
			await c.localIds.put({ local: act.local, real: id });
			if (replaces) await c.bodies.delete(replaces);
			await c.acts.update(act.seq!, { status: 'done' });
		});
	}

	private async findDraft(act: DraftAct): Promise<Id | undefined> {
		const found = await this.client.call<QueryResponse>('Email/query', { filter: { header: ['Message-ID', act.email.messageId[0]] }, limit: 1 });
		return found.ids[0];
	}

	// written is a draft with the server's names for what it consists of.
	private async written(act: DraftAct): Promise<Record<string, unknown>> {
		const mailboxIds: Record<Id, true> = {};
		for (const m of Object.keys(act.email.mailboxIds)) mailboxIds[await this.real(m)] = true;
		const attachments = [];
		for (const { size: _, ...part } of act.email.attachments) attachments.push({ ...part, blobId: await this.blob(part.blobId, part.type) });
		return { ...act.email, mailboxIds, ...(attachments.length > 0 ? { attachments } : { attachments: undefined }) };
	}

	// blob is what the server calls something attached; it is uploaded if it has to be.
	private async blob(key: Id, type: string): Promise<Id> {
		const c = this.cache;
		const known = await c.localIds.get(key);
		if (known) return known.real;
		const file = await c.files.get(key);
		if (!file) throw new Refused({ type: 'blobNotFound', description: 'a file is not here any more' });
		const { blobId } = await this.client.json<{ blobId: Id }>(this.client.uploadUrl(), { method: 'POST', headers: { 'Content-Type': type || 'application/octet-stream' }, body: file.blob });
		await c.localIds.put({ local: key, real: blobId });
		return blobId;
	}

	// forgetUploads has files uploaded anew that the server forgot, and says whether there
	// were any.
	private async forgetUploads(act: DraftAct): Promise<boolean> {
		const keys = act.email.attachments.map((a) => a.blobId);
		const here = (await this.cache.files.bulkGet(keys)).filter((f) => f !== undefined).map((f) => f.key);
		const stale = (await this.cache.localIds.bulkGet(here)).filter((row) => row !== undefined);
		await this.cache.localIds.bulkDelete(stale.map((row) => row.local));
		return stale.length > 0;
	}

	// renameParts notes what the attachments are called now: an upload is kept for a day,
	// and the parts of the replaced draft are gone with it.
	private async renameParts(act: DraftAct, id: Id): Promise<void> {
		const got = await this.client.call<GetResponse<{ id: Id; attachments: EmailBodyPart[] }>>('Email/get', { ids: [id], properties: ['attachments'], bodyProperties: ['blobId', 'name', 'type', 'cid'] });
		const parts = [...(got.list[0]?.attachments ?? [])];
		const rows: { local: Id; real: Id }[] = [];
		for (const a of act.email.attachments) {
			const at = parts.findIndex((p) => isPart(p, a));
			const [part] = at < 0 ? [] : parts.splice(at, 1);
			if (part?.blobId) rows.push({ local: a.blobId, real: part.blobId });
		}
		await this.cache.transaction('rw', [this.cache.localIds, this.cache.files], async () => {
			await this.cache.localIds.bulkPut(rows);
			await this.cache.files.bulkDelete(rows.map((r) => r.local));
		});
	}

	// send submits a draft once: sent before without an answer, its submission is looked
	// for first.
	private async send(act: SendAct, tried: boolean): Promise<void> {
		const c = this.cache;
		const emailId = await this.real(act.email);
		if (!tried || (await this.pending(emailId)).length === 0) {
			const answer = await this.client.call<SetResponse>('EmailSubmission/set', {
				create: { s: { emailId, identityId: act.identityId, envelope: envelope(act) } },
				onSuccessUpdateEmail: { '#s': jmapPatch(moved(act)) },
			});
			const error = answer.notCreated?.s;
			if (error) throw new Refused(error);
		}
		await c.transaction('rw', [c.acts, c.emails], async () => {
			const source = act.source && (await c.emails.get(act.source.id));
			const change = source && changeOf(source, { keywords: { [act.source!.keyword]: true } });
			if (change) await c.acts.add({ kind: 'email', at: Date.now(), status: 'waiting', ids: [change.id], changes: [change], label: act.label });
			await c.acts.update(act.seq!, { status: 'done', ids: [emailId] });
		});
	}

	// pending are the submissions of an email that were not taken back.
	private async pending(emailId: Id, undoStatus?: 'pending'): Promise<Id[]> {
		const conditions = undoStatus ? [{ emailIds: [emailId] }, { undoStatus }] : [{ emailIds: [emailId] }, { operator: 'NOT', conditions: [{ undoStatus: 'canceled' }] }];
		const found = await this.client.call<QueryResponse>('EmailSubmission/query', { filter: { operator: 'AND', conditions } });
		return found.ids;
	}

	// unsend cancels a submission that is held, and makes the email a draft again.
	private async unsend(act: UnsendAct): Promise<void> {
		const emailId = await this.real(act.email);
		const ids = await this.pending(emailId, 'pending');
		if (ids.length === 0) {
			if ((await this.pending(emailId)).length > 0) throw new Refused({ type: 'cannotUnsend' });
			// It was canceled before, without an answer.
			await this.client.call<SetResponse>('Email/set', { update: { [emailId]: jmapPatch(moved(act)) } });
		} else {
			const answer = await this.client.call<SetResponse>('EmailSubmission/set', {
				update: Object.fromEntries(ids.map((id) => [id, { undoStatus: 'canceled' }])),
				onSuccessUpdateEmail: Object.fromEntries(ids.map((id) => [id, jmapPatch(moved(act))])),
			});
			const error = Object.values(answer.notUpdated ?? {})[0];
			if (error) throw new Refused(error);
		}
		await this.cache.acts.update(act.seq!, { status: 'done', ids: [emailId] });
	}

	private async mailbox(act: MailboxAct, tried: boolean): Promise<void> {
		const c = this.cache;
		const set = act.set.parentId ? { ...act.set, parentId: await this.real(act.set.parentId) } : act.set;
		if (act.op === 'create') {
			const id = (tried && (await this.findMailbox(set.name!, set.parentId ?? null))) || (await this.createMailbox(set));
			await c.transaction('rw', [c.acts, c.localIds], async () => {
				await c.localIds.put({ local: act.mailbox, real: id });
				await c.acts.delete(act.seq!);
			});
		} else {
			const id = await this.real(act.mailbox);
			const answer = await this.client.call<SetResponse>('Mailbox/set', act.op === 'update' ? { update: { [id]: set } } : { destroy: [id], onDestroyRemoveEmails: true });
			const error = answer.notUpdated?.[id] ?? answer.notDestroyed?.[id];
			if (error && !(act.op === 'destroy' && error.type === 'notFound')) throw new Refused(error);
			await c.transaction('rw', [c.acts, c.mailboxes], async () => {
				if (act.op === 'update') await c.mailboxes.update(id, set as never);
				else await c.mailboxes.delete(id);
				await c.acts.delete(act.seq!);
			});
		}
		await this.catchUp();
	}

	private async createMailbox(set: MailboxAct['set']): Promise<Id> {
		const answer = await this.client.call<SetResponse>('Mailbox/set', { create: { m: set } });
		const error = answer.notCreated?.m;
		if (error) throw new Refused(error);
		return answer.created!.m!.id;
	}

	private async findMailbox(name: string, parentId: Id | null): Promise<Id | undefined> {
		const all = await this.client.call<GetResponse<{ id: Id; name: string; parentId: Id | null }>>('Mailbox/get', { ids: null, properties: ['id', 'name', 'parentId'] });
		return all.list.find((m) => m.name === name && m.parentId === parentId)?.id;
	}

	private async setAside(act: Act, error: SetError): Promise<void> {
		await this.cache.acts.update(act.seq!, { status: 'aside', error });
	}
}

// envelope says who gets it, and how long the server holds it (RFC 8621 §7, RFC 4865 §4).
function envelope(act: SendAct): unknown {
	const until = act.sendAt !== null && Date.parse(act.sendAt) > Date.now() + act.hold * 1000;
	const parameters = until ? { HOLDUNTIL: act.sendAt } : act.hold > 0 ? { HOLDFOR: String(act.hold) } : null;
	return { mailFrom: { email: act.mailFrom, parameters }, rcptTo: act.rcptTo.map((email) => ({ email, parameters: null })) };
}

function isPart(p: EmailBodyPart, a: DraftPart): boolean {
	return a.cid ? p.cid === a.cid : p.name === a.name && p.type === a.type;
}

// together takes the acts from the head of the queue that fit one call.
function together(waiting: Act[], most: number): EmailAct[] {
	const out: EmailAct[] = [];
	let n = 0;
	for (const act of waiting) {
		if (act.kind !== 'email' || (out.length > 0 && n + act.changes.length > most)) break;
		out.push(act);
		n += act.changes.length;
	}
	return out;
}

function mapped(patch: Change['patch'], real: (id: Id) => Id): Change['patch'] {
	if (!patch.mailboxIds) return patch;
	return { ...patch, mailboxIds: Object.fromEntries(Object.entries(patch.mailboxIds).map(([id, on]) => [real(id), on])) };
}

function same(a: Record<string, true>, b: Record<string, true>): boolean {
	const keys = Object.keys(a);
	return keys.length === Object.keys(b).length && keys.every((k) => k in b);
}

// answered says that the server took a request and failed at it, rather than not being
// there or having no time.
function answered(e: unknown): e is MethodError | RequestError {
	return e instanceof MethodError || (e instanceof RequestError && e.status === 500);
}

// refusal is what a failure says against the act itself; undefined when trying later
// may help.
function refusal(e: unknown): SetError | undefined {
	if (e instanceof Refused) return e.error;
	if (e instanceof MethodError && !e.passing) return { type: e.type, description: e.description };
	if (e instanceof RequestError && !e.passing) return { type: e.type, description: e.detail };
	return undefined;
}
