import { liveQuery } from 'dexie';

import type { Client } from '../jmap/client';
import { Offline, SignedOut } from '../jmap/errors';
import { Push } from '../jmap/push';
import type { EmailHead, Id } from '../jmap/types';
import { changeOf, inverseOf, isLocal, newLocalId } from './acts';
import type { Act, Change, DraftAct, DraftEmail, EmailPatch, Label, NewAct, SendAct } from './acts';
import { Cache } from './db';
import type { Spec } from './db';
import { emailWith } from './overlay';
import { Replay } from './replay';
import { Sync } from './sync';

// Condition is the state of this device, as it is said at the top right.
export interface Condition {
	online: boolean;
	working: boolean; // catching up or replaying
	waiting: number; // acts not confirmed
	aside: number; // acts that were refused
	trouble: string; // why nothing moves though we are online
	since: number; // when last in step, in ms; 0 never
}

type Said = { say: 'acted' } | { say: 'condition'; condition: Condition } | { say: 'changed'; ids: Id[]; from: string; to: string } | { say: 'catchUp' };

const retryAfter = 15_000; // ms
const quiet = 3000; // ms
const tidyEvery = 3_600_000; // ms
const stocked = 50; // conversations of the inbox

// Mail is the account on this device: the cache, what keeps it in step, and the acts
// that wait. One tab of all leads: it holds the connection, catches up and replays;
// the others see what it does through IndexedDB.
export class Mail {
	readonly sync: Sync;
	private readonly replay: Replay;
	private readonly push: Push;
	private readonly channel: BroadcastChannel;
	private leading = false;
	private stopped = false;
	private stopLeading: () => void = () => {};
	private timer: ReturnType<typeof setTimeout> | undefined;
	private busy = false;
	private more = false;
	private listeners = new Set<(c: Condition) => void>();
	private changeListeners = new Set<(ids: Id[], states: { from: string; to: string }) => void>();
	private undoable: Act[] = [];
	condition: Condition = { online: navigator.onLine, working: false, waiting: 0, aside: 0, trouble: '', since: 0 };

	constructor(
		readonly client: Client,
		readonly cache: Cache,
	) {
		this.sync = new Sync(client, cache, (ids, states) => {
			this.tellChanged(ids, states);
			this.say({ say: 'changed', ids, ...states });
		});
		this.replay = new Replay(client, cache, () => this.sync.catchUp());
		this.push = new Push(client, {
			changed: (types) => void this.told(types),
			opened: () => this.work(),
			lost: () => this.work(),
		});
		this.channel = new BroadcastChannel(`lockstep:${cache.name}`);
		this.channel.onmessage = (e) => this.hear(e.data as Said);
	}

	async start(): Promise<void> {
		addEventListener('online', this.woken);
		addEventListener('offline', this.woken);
		document.addEventListener('visibilitychange', this.woken);
		this.counting = liveQuery(() => this.cache.acts.toArray()).subscribe((acts) => {
			this.set({ waiting: acts.filter((a) => a.status === 'waiting' || a.status === 'sending').length, aside: acts.filter((a) => a.status === 'aside').length });
		});
		void navigator.locks.request(`lockstep:${this.cache.name}`, async () => {
			if (this.stopped) return;
			this.leading = true;
			this.push.start();
			this.work();
			await new Promise<void>((done) => (this.stopLeading = done));
		});
	}

	private counting: { unsubscribe(): void } | undefined;

	stop(): void {
		this.stopped = true;
		removeEventListener('online', this.woken);
		removeEventListener('offline', this.woken);
		document.removeEventListener('visibilitychange', this.woken);
		clearTimeout(this.timer);
		clearTimeout(this.stocking);
		this.push.stop();
		this.counting?.unsubscribe();
		this.stopLeading();
		this.channel.close();
		this.cache.close();
	}

	private readonly woken = () => {
		if (document.visibilityState === 'hidden') return;
		this.push.retry();
		this.work();
	};

	// told hears of new states: what we did ourselves is often known already.
	private async told(types: Record<string, string>): Promise<void> {
		const known = new Map((await this.cache.states.toArray()).map((s) => [s.type, s.state]));
		if (Object.entries(types).some(([type, state]) => known.has(type) && known.get(type) !== state)) this.work();
	}

	// work replays and catches up, once more if it was asked for meanwhile.
	work(): void {
		if (!this.leading) return this.say({ say: 'catchUp' });
		if (this.busy) {
			this.more = true;
			return;
		}
		this.busy = true;
		void (async () => {
			do {
				this.more = false;
				await this.round();
			} while (this.more && !this.stopped);
			this.busy = false;
		})();
	}

	private async round(): Promise<void> {
		clearTimeout(this.timer);
		this.set({ working: true });
		try {
			await this.replay.run();
			await this.sync.catchUp();
			await this.replay.settle();
			this.set({ online: true, trouble: '', since: Date.now() });
			this.stockSoon();
		} catch (e) {
			if (this.stopped || e instanceof SignedOut) return;
			if (e instanceof Offline) this.set({ online: false, trouble: '' });
			else this.set({ online: true, trouble: e instanceof Error ? e.message : String(e) });
			this.timer = setTimeout(() => this.work(), retryAfter);
		} finally {
			this.set({ working: false });
		}
	}

	// stock gets what one will want offline, once it is quiet, and forgets what is old.
	private async stock(): Promise<void> {
		const inbox = await this.cache.mailboxes.filter((m) => m.role === 'inbox').first();
		if (!inbox || this.stopped) return;
		const spec = mailboxSpec(inbox.id);
		await this.sync.ensure(spec, 0, stocked);
		await this.sync.prefetch(spec);
		if (Date.now() - this.tidied < tidyEvery) return;
		this.tidied = Date.now();
		await this.sync.tidy();
	}

	private tidied = 0;
	private stocking: ReturnType<typeof setTimeout> | undefined;

	private stockSoon(): void {
		clearTimeout(this.stocking);
		this.stocking = setTimeout(() => void this.stock().catch(() => {}), quiet);
	}

	// ensure is Sync.ensure for a view; offline it does nothing, what is cached is shown.
	async ensure(...args: Parameters<Sync['ensure']>): Promise<void> {
		try {
			await this.sync.ensure(...args);
		} catch (e) {
			if (e instanceof Offline) this.set({ online: false });
			else throw e;
		}
	}

	onCondition(listener: (c: Condition) => void): () => void {
		this.listeners.add(listener);
		listener(this.condition);
		return () => this.listeners.delete(listener);
	}

	// onChanged hears of emails that changed, with the states between which they did.
	onChanged(listener: (ids: Id[], states: { from: string; to: string }) => void): () => void {
		this.changeListeners.add(listener);
		return () => this.changeListeners.delete(listener);
	}

	private tellChanged(ids: Id[], states: { from: string; to: string }): void {
		for (const l of this.changeListeners) l(ids, states);
	}

	private set(part: Partial<Condition>): void {
		this.condition = { ...this.condition, ...part };
		for (const l of this.listeners) l(this.condition);
		if (this.leading && !('waiting' in part)) this.say({ say: 'condition', condition: this.condition });
	}

	private say(what: Said): void {
		if (!this.stopped) this.channel.postMessage(what);
	}

	private hear(what: Said): void {
		if (what.say === 'condition') {
			this.condition = { ...what.condition, waiting: this.condition.waiting, aside: this.condition.aside };
			for (const l of this.listeners) l(this.condition);
		} else if (what.say === 'changed') {
			this.tellChanged(what.ids, { from: what.from, to: what.to });
			void this.sync.refreshLive().catch(() => {}); // the lead looks only at its own lists
		}
		else if (this.leading) this.work();
	}

	// act does something at once on the screen, and later on the server.
	async act(what: NewAct): Promise<Act> {
		const act = { ...what, at: Date.now(), status: 'waiting' } as Act;
		act.seq = await this.cache.acts.add(act);
		this.work();
		return act;
	}

	// change patches emails, and can be undone. null when there was nothing to change.
	async change(ids: Id[], patch: EmailPatch | ((email: EmailHead) => EmailPatch), label: Label, { undoable = true } = {}): Promise<Act | null> {
		const changes: Change[] = [];
		for (const email of await this.emails(ids)) {
			const c = changeOf(email, typeof patch === 'function' ? patch(email) : patch);
			if (c) changes.push(c);
		}
		if (changes.length === 0) return null;
		const act = await this.act({ kind: 'email', ids: changes.map((c) => c.id), changes, label });
		return undoable ? this.remember(act) : act;
	}

	// emails returns cached emails as the screen shows them.
	async emails(ids: Id[]): Promise<EmailHead[]> {
		const acts = await this.cache.acts.where('ids').anyOf(ids).distinct().sortBy('seq');
		const rows = await this.cache.emails.bulkGet(ids);
		return rows.map((e) => e && emailWith(e, acts)).filter((e) => e !== undefined);
	}

	// destroy removes emails for good.
	async destroy(ids: Id[], label: Label): Promise<Act> {
		const gone = (await this.emails(ids)).map((e) => ({ id: e.id, unread: !e.keywords.$seen, mailboxIds: e.mailboxIds }));
		return this.act({ kind: 'destroy', ids: gone.map((g) => g.id), gone, label });
	}

	// latest is the newest version of a draft that waits here, undefined when the server
	// has it: by its name here, or by what the server calls the one that it replaces.
	async latest(email: Id): Promise<DraftAct | undefined> {
		const acts = (await this.cache.acts.orderBy('seq').toArray()).filter((a): a is DraftAct => a.kind === 'draft' && a.status !== 'done');
		let found: DraftAct | undefined;
		for (const a of acts) if (a.local === (found?.local ?? email) || a.replaces === (found?.local ?? email) || a.ids.includes(found?.local ?? email)) found = a;
		return found;
	}

	// named is what the server calls an email, where it is known already.
	async named(email: Id): Promise<Id> {
		return isLocal(email) ? ((await this.cache.localIds.get(email))?.real ?? email) : email;
	}

	// saveDraft writes a draft, in the place of the version called before, and returns
	// what it is called now. A version that was not sent yet is overwritten.
	async saveDraft(before: Id | null, email: DraftEmail): Promise<Id> {
		const c = this.cache;
		const label = { key: 'act.draft', args: { subject: email.subject } };
		const local = await c.transaction('rw', [c.acts, c.localIds], async () => {
			const last = before === null ? undefined : await this.latest(before);
			if (last?.status === 'waiting' || last?.status === 'aside') {
				await c.acts.put({ ...last, email, label, at: Date.now(), status: 'waiting', error: undefined });
				return last.local;
			}
			const fresh = newLocalId();
			await c.acts.add({ kind: 'draft', local: fresh, replaces: before, ids: before === null ? [] : [before, await this.named(before)], email, label, at: Date.now(), status: 'waiting' });
			return fresh;
		});
		this.work();
		return local;
	}

	// discard throws a draft away: what the server never had is forgotten, the rest goes
	// to the trash.
	async discard(email: Id, drafts: Id | null, trash: Id | null, label: Label): Promise<Act | null> {
		const c = this.cache;
		const unsent = await c.transaction('rw', c.acts, async () => {
			const last = await this.latest(email);
			if (!last || last.status === 'sending') return false;
			await c.acts.delete(last.seq!);
			return last.replaces === null;
		});
		if (unsent) return null;
		const id = await this.named(email);
		const mailboxIds = drafts ? { [drafts]: true as const } : {};
		const change = changeOf({ id, keywords: { $draft: true, $seen: true }, mailboxIds }, { mailboxIds: { ...(drafts && { [drafts]: false }), ...(trash && { [trash]: true }) } });
		return change ? this.remember(await this.act({ kind: 'email', ids: [id], changes: [change], label })) : null;
	}

	// send submits a draft; it can be undone while it is held.
	async send(act: Omit<SendAct, 'kind' | 'seq' | 'at' | 'status' | 'ids'>): Promise<Act> {
		return this.remember(await this.act({ ...act, kind: 'send', ids: [act.email, await this.named(act.email)] }));
	}

	// unsend takes back what was sent. It says whether that went well, once that is known.
	async unsend(email: Id, drafts: Id | null, sent: Id | null, label: Label): Promise<boolean> {
		const c = this.cache;
		const here = await c.transaction('rw', c.acts, async () => {
			const act = (await c.acts.where('ids').equals(email).toArray()).find((a) => a.kind === 'send' && (a.status === 'waiting' || a.status === 'aside'));
			if (act) await c.acts.delete(act.seq!);
			return act !== undefined;
		});
		if (here) return true;
		const id = await this.named(email);
		const act = await this.act({ kind: 'unsend', email, drafts, sent, ids: [email, id], label });
		return this.outcome(act.seq!);
	}

	// outcome waits until it is known what became of an act: false if it was refused, which
	// who asks for it says itself.
	private outcome(seq: number): Promise<boolean> {
		return new Promise((done) => {
			const subscription = liveQuery(() => this.cache.acts.get(seq)).subscribe((act) => {
				if (act && act.status !== 'done' && act.status !== 'aside') return;
				queueMicrotask(() => subscription.unsubscribe());
				if (act?.status === 'aside') void this.drop(seq);
				done(act?.status !== 'aside');
			});
		});
	}

	async createMailbox(name: string, parentId: Id | null): Promise<Id> {
		const mailbox = newLocalId();
		this.remember(await this.act({ kind: 'mailbox', op: 'create', mailbox, ids: [], set: { name, parentId }, label: { key: 'act.mailboxMade', args: { name } } }));
		return mailbox;
	}

	async updateMailbox(mailbox: Id, set: { name?: string; parentId?: Id | null }, label: Label): Promise<Act> {
		const m = await this.cache.mailboxes.get(mailbox);
		const was = m && { ...('name' in set && { name: m.name }), ...('parentId' in set && { parentId: m.parentId }) };
		return this.remember(await this.act({ kind: 'mailbox', op: 'update', mailbox, ids: [], set, was, label }));
	}

	async destroyMailbox(mailbox: Id, name: string): Promise<void> {
		await this.act({ kind: 'mailbox', op: 'destroy', mailbox, ids: [], set: {}, label: { key: 'act.mailboxGone', args: { name } } });
	}

	private remember(act: Act): Act {
		this.undoable.push(act);
		if (this.undoable.length > 50) this.undoable.shift();
		return act;
	}

	// undo takes the last act back, or the one given: from the queue while it was not
	// sent, else by its inverse. It returns what it undid.
	async undo(which?: Act): Promise<Act | undefined> {
		const act = which ?? this.undoable.at(-1);
		if (!act) return undefined;
		this.undoable = this.undoable.filter((a) => a.seq !== act.seq);
		if (act.kind === 'send') return act; // who asked shows the draft again (app/compose.svelte.ts)
		const unsent = await this.cache.transaction('rw', this.cache.acts, async () => {
			const row = await this.cache.acts.get(act.seq!);
			if (row?.status !== 'waiting' || (row.kind === 'email' && act.kind === 'email' && row.changes.length < act.changes.length)) return false;
			await this.cache.acts.delete(act.seq!);
			return true;
		});
		const inverse = inverseOf(act);
		if (!unsent && inverse) await this.act(inverse);
		return act;
	}

	// forget drops what can be had again. What waits to be sent stays, with the emails it
	// is about, and so do mailboxes and where each type stands: what is not cached has no
	// need to be brought up to date.
	async forget(): Promise<void> {
		const c = this.cache;
		await c.transaction('rw', [c.acts, c.emails, c.bodies, c.threads, c.queries], async () => {
			const needed = new Set((await c.acts.toArray()).flatMap((a) => a.ids));
			await c.emails.filter((e) => !needed.has(e.id)).delete();
			for (const table of [c.bodies, c.threads, c.queries]) await table.clear();
		});
		this.work();
	}

	// retry puts an act that was set aside back into the queue; drop forgets it.
	async retry(seq: number): Promise<void> {
		await this.cache.acts.update(seq, { status: 'waiting', error: undefined, tries: 0 });
		this.work();
	}

	async drop(seq: number): Promise<void> {
		await this.cache.acts.delete(seq);
	}
}

// mailboxSpec is the list of a mailbox's conversations, the newest first.
export function mailboxSpec(mailbox: Id): Spec {
	return { filter: { inMailbox: mailbox }, sort: [{ property: 'receivedAt', isAscending: false }], collapseThreads: true };
}

export function openCache(accountId: Id): Cache {
	return new Cache(`lockstep-${accountId}`);
}
