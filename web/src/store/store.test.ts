import 'fake-indexeddb/auto';

import { beforeEach, describe, expect, test } from 'vitest';

import { FakeServer } from '../../test/fake';
import { Client } from '../jmap/client';
import type { Id } from '../jmap/types';
import { changeOf, newLocalId } from './acts';
import type { Act, EmailPatch, DraftAct, DraftPart, NewAct } from './acts';
import { Cache, queryKey } from './db';
import type { Spec } from './db';
import { emailWith } from './overlay';
import { Replay } from './replay';
import { Sync } from './sync';
import { covered, idAt } from './window';

let server: FakeServer;
let client: Client;
let cache: Cache;
let sync: Sync;
let replay: Replay;
let names = 0;

beforeEach(async () => {
	server = new FakeServer();
	await device();
});

// device is a browser that has just started, with an empty cache or one that is there.
async function device(name = `test-${names++}`): Promise<void> {
	client = new Client(server.fetch);
	await client.discover();
	cache = new Cache(name);
	sync = new Sync(client, cache);
	replay = new Replay(client, cache, () => sync.catchUp());
}

const inbox = (): Spec => ({ filter: { inMailbox: server.role('inbox') }, sort: [{ property: 'receivedAt', isAscending: false }], collapseThreads: false });

// agree compares all that is cached with the server.
async function agree(): Promise<void> {
	for (const e of await cache.emails.toArray()) {
		const real = server.emails.get(e.id);
		expect({ id: e.id, keywords: e.keywords, mailboxIds: e.mailboxIds }).toEqual(real && { id: e.id, keywords: real.keywords, mailboxIds: real.mailboxIds });
	}
	expect(new Map((await cache.mailboxes.toArray()).map((m) => [m.id, m]))).toEqual(server.mailboxes);
	for (const t of await cache.threads.toArray()) expect(t.emailIds).toEqual(server.threadOf(t.id).map((e) => e.id));
}

async function shown(spec: Spec, from: number, to: number): Promise<(Id | undefined)[]> {
	const q = await cache.queries.get(queryKey(spec));
	return Array.from({ length: to - from }, (_, i) => idAt(q?.segments ?? [], from + i));
}

function truth(spec: Spec, from: number, to: number): (Id | undefined)[] {
	const mailbox = (spec.filter as { inMailbox: Id }).inMailbox;
	const all = [...server.emails.values()].filter((e) => mailbox in e.mailboxIds).sort((a, b) => b.receivedAt.localeCompare(a.receivedAt) || b.id.localeCompare(a.id));
	return Array.from({ length: to - from }, (_, i) => all[from + i]?.id);
}

async function add(act: NewAct): Promise<number> {
	return cache.acts.add({ ...act, at: 0, status: 'waiting' } as Act);
}

async function change(id: Id, patch: EmailPatch): Promise<number> {
	const c = changeOf((await cache.emails.get(id))!, patch)!;
	return add({ kind: 'email', ids: [id], changes: [c], label: { key: 'x' } });
}

describe('sync', () => {
	test('a list is read with the conversations it shows', async () => {
		const first = server.addEmail();
		server.addEmail({ threadId: first.threadId, mailboxIds: { [server.role('sent')]: true } });
		await sync.ensure(inbox(), 0, 50);
		expect(await shown(inbox(), 0, 1)).toEqual([first.id]);
		expect(await cache.emails.count()).toBe(2);
		await agree();
	});

	test('what changed elsewhere is taken over, and what arrived is seen', async () => {
		const mails = Array.from({ length: 20 }, () => server.addEmail());
		const stop = sync.watch(inbox(), 0, 10);
		await sync.catchUp();
		server.patch(mails[19]!.id, { 'keywords/$seen': true });
		server.destroy(mails[18]!.id);
		server.addEmail();
		server.addMailbox('New');
		await sync.catchUp();
		expect(await shown(inbox(), 0, 10)).toEqual(truth(inbox(), 0, 10));
		await agree();
		stop();
	});

	test('many changes come in pages', async () => {
		const mails = Array.from({ length: 600 }, () => server.addEmail());
		await sync.ensure(inbox(), 0, 600);
		for (const m of mails) server.patch(m.id, { 'keywords/$flagged': true });
		await sync.catchUp();
		await agree();
		expect(server.calls.filter(([name]) => name === 'Email/changes').length).toBeGreaterThan(2);
	});

	test('when history does not reach back, all is compared', async () => {
		const mails = Array.from({ length: 30 }, () => server.addEmail());
		const stop = sync.watch(inbox(), 0, 10);
		await sync.ensure(inbox(), 0, 30);
		server.patch(mails[3]!.id, { 'keywords/$seen': true });
		server.destroy(mails[4]!.id);
		server.addMailbox('New');
		server.horizon = server.log.length;
		await sync.catchUp();
		await agree();
		expect(await shown(inbox(), 0, 10)).toEqual(truth(inbox(), 0, 10));
		stop();
	});

	test('a get with more ids than the server allows is asked for in pages', async () => {
		server.maxObjectsInGet = 7;
		await device();
		for (let i = 0; i < 40; i++) server.addEmail();
		await sync.ensure(inbox(), 0, 40);
		expect(await cache.emails.count()).toBe(40);
		expect(await shown(inbox(), 0, 40)).toEqual(truth(inbox(), 0, 40));
	});

	test('what is taken back and sent between two calls is known, at once or the next time', async () => {
		const hold = (id: Id) => {
			server.submissions.push({ id, emailId: server.addEmail().id, identityId: 'I1', undoStatus: 'pending', sendAt: '2030-01-01T00:00:00Z' });
			server.submissionState++;
		};
		hold('early');
		await sync.catchUp();
		hold('taken back');
		server.meanwhile = (method) => {
			if (method !== 'EmailSubmission/get' || server.calls.filter(([m]) => m === 'EmailSubmission/query').length < 2) return;
			server.meanwhile = () => {};
			server.submissions[1]!.undoStatus = 'canceled';
			hold('late');
		};
		await sync.catchUp();
		await sync.catchUp();
		expect((await cache.submissions.toArray()).map((s) => s.id).sort()).toEqual(['early', 'late']);
	});

	test('cut off in the middle, it goes on where it was', async () => {
		const mails = Array.from({ length: 700 }, () => server.addEmail());
		await sync.ensure(inbox(), 0, 500);
		for (const m of mails) server.patch(m.id, { 'keywords/$seen': true });
		let calls = 0;
		const flaky = new Client((url, init) => (++calls % 2 === 0 ? Promise.reject(new TypeError('lost')) : server.fetch(url as string, init)));
		await flaky.discover();
		const interrupted = new Sync(flaky, cache);
		for (let i = 0; i < 20; i++) await interrupted.catchUp().catch(() => {});
		await sync.catchUp();
		await agree();
	});

	test('random histories end in step', async () => {
		for (const seed of [1, 2, 3, 4]) {
			server = new FakeServer();
			await device();
			const random = chance(seed);
			const ids = Array.from({ length: 120 }, () => server.addEmail().id);
			const stop = sync.watch(inbox(), 0, 20);
			await sync.ensure(inbox(), 0, 20);
			await sync.ensure(inbox(), 60, 80);
			for (let step = 0; step < 60; step++) {
				const id = ids[Math.floor(random() * ids.length)]!;
				const r = random();
				try {
					if (r < 0.25) ids.push(server.addEmail(random() < 0.5 ? { receivedAt: new Date(Date.UTC(2026, 0, 1) + random() * 1e7).toISOString() } : {}).id);
					else if (r < 0.5) server.patch(id, { mailboxIds: { [server.role(random() < 0.5 ? 'archive' : 'inbox')]: true } });
					else if (r < 0.75) server.patch(id, { 'keywords/$seen': random() < 0.5 ? true : null });
					else if (r < 0.85) server.destroy(id);
				} catch {
					// the id is gone
				}
				if (random() < 0.3) await sync.catchUp();
				if (random() < 0.1) await sync.ensure(inbox(), 40, 60);
			}
			await sync.catchUp();
			await agree();
			const q = (await cache.queries.get(queryKey(inbox())))!;
			expect(q.total).toBe(truth(inbox(), 0, 1000).filter(Boolean).length);
			for (const s of q.segments) if (s.sure) expect(s.ids, `seed ${seed}, from ${s.from}`).toEqual(truth(inbox(), s.from, s.from + s.ids.length));
			expect(covered(q.segments, 0, Math.min(20, q.total)), `seed ${seed}`).toBe(true);
			stop();
		}
	});
});

test('what was not looked at for longest is forgotten first', async () => {
	await cache.bodies.bulkAdd(Array.from({ length: 2100 }, (_, i) => ({ id: `E${i}`, body: {} as never, used: i, limit: 0 })));
	await sync.tidy();
	expect(await cache.bodies.count()).toBe(2000);
	expect(await cache.bodies.get('E99')).toBeUndefined();
	expect(await cache.bodies.get('E100')).toBeDefined();
});

describe('replay', () => {
	test('what was done offline arrives, in order, and is not seen twice', async () => {
		const e = server.addEmail();
		await sync.ensure(inbox(), 0, 10);
		server.offline = true;
		await change(e.id, { keywords: { $seen: true } });
		await change(e.id, { mailboxIds: { [server.role('inbox')]: false, [server.role('archive')]: true } });
		await expect(replay.run()).rejects.toThrow();
		expect(emailWith((await cache.emails.get(e.id))!, await cache.acts.toArray())!.mailboxIds).toEqual({ [server.role('archive')]: true });
		server.offline = false;
		await replay.run();
		await sync.catchUp();
		expect(server.emails.get(e.id)!.keywords).toEqual({ $seen: true });
		await replay.settle();
		expect(await cache.acts.count()).toBe(0);
		await agree();
	});

	test('an answer that was lost does no harm', async () => {
		const e = server.addEmail();
		await sync.ensure(inbox(), 0, 10);
		await change(e.id, { keywords: { $flagged: true } });
		server.loseAnswers = 1;
		await expect(replay.run()).rejects.toThrow();
		await replay.run();
		expect(server.emails.get(e.id)!.keywords).toEqual({ $flagged: true });
		await replay.settle();
		expect(await cache.acts.count()).toBe(0);
	});

	test('one that is refused is set aside with its reason, and the rest goes on', async () => {
		const [a, b] = [server.addEmail(), server.addEmail()];
		await sync.ensure(inbox(), 0, 10);
		server.refuse = (_, id) => (id === a.id ? 'forbidden' : undefined);
		await change(a.id, { keywords: { $seen: true } });
		await change(b.id, { keywords: { $seen: true } });
		await replay.run();
		expect(server.emails.get(b.id)!.keywords).toEqual({ $seen: true });
		await replay.settle();
		const left = await cache.acts.toArray();
		expect(left.map((x) => [x.status, x.error?.type, x.ids])).toEqual([['aside', 'forbidden', [a.id]]]);
		expect(emailWith((await cache.emails.get(a.id))!, left)!.keywords).toEqual({});
	});

	test('one that the server always fails at is set aside after some tries, and only that one', async () => {
		const [a, b, d] = [server.addEmail(), server.addEmail(), server.addEmail()];
		await sync.ensure(inbox(), 0, 10);
		for (const e of [a, b, d]) await change(e.id, { keywords: { $seen: true } });
		const failing = new Client(async (url, init) => {
			const { methodCalls } = JSON.parse(String(init?.body ?? '{}')) as { methodCalls?: [string, { update?: object }, string][] };
			if (methodCalls?.[0]?.[0] === 'Email/set' && b.id in (methodCalls[0][1].update ?? {})) return new Response(JSON.stringify({ methodResponses: [['error', { type: 'serverFail' }, 'c0']], sessionState: 's1' }));
			return server.fetch(url as string, init);
		});
		await failing.discover();
		const again = new Replay(failing, cache, () => sync.catchUp());
		for (let i = 0; i < 10; i++) await again.run().catch(() => {});
		await again.settle();
		expect((await cache.acts.toArray()).map((x) => [x.status, x.error?.type, x.ids])).toEqual([['aside', 'serverFail', [b.id]]]);
		expect([a, d].every((e) => server.emails.get(e.id)!.keywords.$seen)).toBe(true);
	});

	test('flags of an email that is gone are nobody’s trouble', async () => {
		const e = server.addEmail();
		await sync.ensure(inbox(), 0, 10);
		await change(e.id, { keywords: { $seen: true } });
		server.destroy(e.id);
		await replay.run();
		await replay.settle();
		expect(await cache.acts.count()).toBe(0);
	});

	test('more changes than one call may hold go in several', async () => {
		const mails = Array.from({ length: 250 }, () => server.addEmail());
		await sync.ensure(inbox(), 0, 250);
		const changes = (await cache.emails.toArray()).map((e) => changeOf(e, { keywords: { $seen: true } })!);
		await add({ kind: 'email', ids: changes.map((c) => c.id), changes, label: { key: 'x' } });
		await replay.run();
		expect(mails.every((m) => server.emails.get(m.id)!.keywords.$seen)).toBe(true);
		await replay.settle();
		expect(await cache.acts.count()).toBe(0);
	});

	test('what another device moved out of the trash is not destroyed', async () => {
		const [a, b] = [server.addEmail({ mailboxIds: { [server.role('trash')]: true } }), server.addEmail({ mailboxIds: { [server.role('trash')]: true } })];
		await sync.fetchHeads([a.id, b.id]);
		await sync.catchUp();
		await add({ kind: 'destroy', ids: [a.id, b.id], gone: [a, b].map((e) => ({ id: e.id, unread: true, mailboxIds: e.mailboxIds })), label: { key: 'x' } });
		server.patch(a.id, { mailboxIds: { [server.role('inbox')]: true } });
		await replay.run();
		expect(server.emails.has(a.id)).toBe(true);
		expect(server.emails.has(b.id)).toBe(false);
		expect((await cache.acts.toArray()).map((x) => [x.status, x.error?.type, x.ids])).toEqual([['aside', 'movedMeanwhile', [a.id]]]);
	});

	const draft = (local: Id, replaces: Id | null, subject: string): NewAct => ({
		kind: 'draft', local, replaces, ids: replaces ? [replaces] : [], label: { key: 'x' },
		email: { mailboxIds: { [server.role('drafts')]: true }, keywords: { $draft: true, $seen: true }, from: [], to: [], cc: [], bcc: [], subject, messageId: [`${subject}@me.test`], attachments: [] },
	});

	const sending = (email: Id): NewAct => ({ kind: 'send', email, identityId: 'I1', mailFrom: 'me@example.test', rcptTo: ['ada@example.test'], hold: 8, sendAt: null, drafts: server.role('drafts'), sent: server.role('sent'), source: null, ids: [email], label: { key: 'x' } });

	test('a draft is saved once although its answer was lost, and again in its own place', async () => {
		await sync.catchUp();
		const [one, two] = [newLocalId(), newLocalId()];
		await add(draft(one, null, 'first'));
		server.loseAnswers = 1;
		await expect(replay.run()).rejects.toThrow();
		await replay.run();
		expect(server.emails.size).toBe(1);
		await add(draft(two, one, 'second'));
		await replay.run();
		expect([...server.emails.values()].map((e) => e.subject)).toEqual(['second']);
	});

	test('mail is sent once although the answer was lost', async () => {
		await sync.catchUp();
		const local = newLocalId();
		await add(draft(local, null, 'hello'));
		await add(sending(local));
		server.loseAnswers = 0;
		let calls = 0;
		const client2 = new Client(async (url, init) => {
			const answer = await server.fetch(url as string, init);
			if (String(init?.body).includes('EmailSubmission/set') && ++calls === 1) throw new TypeError('lost');
			return answer;
		});
		await client2.discover();
		const again = new Replay(client2, cache, () => sync.catchUp());
		await expect(again.run()).rejects.toThrow();
		await again.run();
		expect(server.submissions.length).toBe(1);
		expect([...server.emails.values()].map((e) => Object.keys(e.mailboxIds))).toEqual([[server.role('sent')]]);
	});

	test('what is held is taken back once although the answer was lost, and what it answers is marked', async () => {
		const e = server.addEmail();
		await sync.ensure(inbox(), 0, 10);
		const local = newLocalId();
		await add(draft(local, null, 'hello'));
		await add({ ...sending(local), source: { id: e.id, keyword: '$answered' } } as NewAct);
		await replay.run();
		expect(server.emails.get(e.id)!.keywords).toEqual({ $answered: true });
		const sent = [...server.emails.values()].find((m) => m.subject === 'hello')!;
		expect([sent.keywords, sent.mailboxIds]).toEqual([{ $seen: true }, { [server.role('sent')]: true }]);
		expect(server.submissions[0]).toMatchObject({ undoStatus: 'pending', envelope: { mailFrom: { email: 'me@example.test', parameters: { HOLDFOR: '8' } }, rcptTo: [{ email: 'ada@example.test', parameters: null }] } });
		await add({ kind: 'unsend', email: local, drafts: server.role('drafts'), sent: server.role('sent'), ids: [local], label: { key: 'x' } });
		server.loseAnswers = 1;
		await expect(replay.run()).rejects.toThrow();
		await replay.run();
		expect(server.submissions[0]!.undoStatus).toBe('canceled');
		expect([server.emails.get(sent.id)!.keywords, server.emails.get(sent.id)!.mailboxIds]).toEqual([{ $seen: true, $draft: true }, { [server.role('drafts')]: true }]);
	});

	test('what is on its way cannot be taken back', async () => {
		await sync.catchUp();
		const local = newLocalId();
		await add(draft(local, null, 'hello'));
		await add(sending(local));
		await replay.run();
		server.submissions[0]!.undoStatus = 'final';
		await add({ kind: 'unsend', email: local, drafts: server.role('drafts'), sent: server.role('sent'), ids: [local], label: { key: 'x' } });
		await replay.run();
		expect((await cache.acts.toArray()).filter((a) => a.status === 'aside').map((a) => [a.kind, a.error?.type])).toEqual([['unsend', 'cannotUnsend']]);
		expect([...server.emails.values()][0]!.mailboxIds).toEqual({ [server.role('sent')]: true });
	});

	test('a file attached offline is uploaded with the draft, and the next version names its part', async () => {
		await sync.catchUp();
		const [one, two] = [newLocalId(), newLocalId()];
		const part: DraftPart = { blobId: newLocalId(), name: 'a.txt', type: 'text/plain', size: 2, disposition: 'attachment', cid: null };
		await cache.files.put({ key: part.blobId, blob: new Blob(['hi']) });
		const a = draft(one, null, 'first') as DraftAct;
		const b = draft(two, one, 'second') as DraftAct;
		await add({ ...a, email: { ...a.email, attachments: [part] } });
		await replay.run();
		const first = [...server.emails.values()][0]!;
		expect((await cache.localIds.get(part.blobId))!.real).toBe(first.body.attachments[0]!.blobId);
		await add({ ...b, email: { ...b.email, attachments: [part] } });
		await replay.run();
		expect([...server.emails.values()].map((e) => [e.subject, e.body.attachments.length])).toEqual([['second', 1]]);
		const sets = server.calls.filter(([name]) => name === 'Email/set');
		expect(sets.at(-1)![1]).toMatchObject({ destroy: [first.id], create: { d: { attachments: [{ blobId: first.body.attachments[0]!.blobId }] } } });
	});

	test('what waits to be sent is known, and forgotten once it cannot be taken back', async () => {
		await sync.catchUp();
		const local = newLocalId();
		await add(draft(local, null, 'later'));
		await add({ ...sending(local), sendAt: '2999-01-01T08:00:00Z' } as NewAct);
		await replay.run();
		await sync.catchUp();
		expect((await cache.submissions.toArray()).map((s) => s.sendAt)).toEqual(['2999-01-01T08:00:00Z']);
		server.submissions[0]!.undoStatus = 'canceled';
		server.submissionState++;
		await sync.catchUp();
		expect(await cache.submissions.count()).toBe(0);
	});

	test('when a draft is refused, what would send it waits for nobody', async () => {
		await sync.catchUp();
		const local = newLocalId();
		server.refuse = (what) => (what === 'create' ? 'overQuota' : undefined);
		await add(draft(local, null, 'hello'));
		await add(sending(local));
		await replay.run();
		expect((await cache.acts.toArray()).map((a) => [a.kind, a.status, a.error?.type])).toEqual([['draft', 'aside', 'overQuota'], ['send', 'aside', 'notFound']]);
	});

	test('a mailbox made offline can be filled offline', async () => {
		const e = server.addEmail();
		await sync.ensure(inbox(), 0, 10);
		const local = newLocalId();
		await add({ kind: 'mailbox', op: 'create', mailbox: local, ids: [], set: { name: 'New', parentId: null }, label: { key: 'x' } });
		await change(e.id, { mailboxIds: { [server.role('inbox')]: false, [local]: true } });
		await replay.run();
		const made = [...server.mailboxes.values()].find((m) => m.name === 'New')!;
		expect(Object.keys(server.emails.get(e.id)!.mailboxIds)).toEqual([made.id]);
		await sync.catchUp();
		await agree();
	});
});

function chance(seed: number): () => number {
	let s = seed * 2654435761;
	return () => {
		s = (Math.imul(s ^ (s >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
		return ((s ^ (s >>> 13)) >>> 0) / 2 ** 32;
	};
}
