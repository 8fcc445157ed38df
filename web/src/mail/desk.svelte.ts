import { getContext, setContext } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';

import { account } from '../app/account.svelte';
import { layout } from '../app/layout.svelte';
import { go, route } from '../app/router.svelte';
import type { Route } from '../app/router.svelte';
import { say, t } from '../i18n/index.svelte';
import type { Key } from '../i18n/index.svelte';
import type { EmailHead, Id, Mailbox } from '../jmap/types';
import type { EmailPatch, Label } from '../store/acts';
import type { Spec } from '../store/db';
import { mailboxSpec } from '../store/mail';
import { tell } from '../ui/toast.svelte';
import { nothing } from './list';
import type { View } from './list';
import { addressOf, byRole, find, liveMailboxes, nameOf, pathOf } from './mailboxes.svelte';
import { filterOf, parseQuery } from './query';
import type { Place } from './query';

const newestFirst = [{ property: 'receivedAt', isAscending: false }];

// Desk is the mail page's common ground: which list is shown, what is selected or
// open in it, and what is done to that.
export class Desk {
	private readonly live = liveMailboxes();
	view = $state.raw<View>(nothing);
	cursor = $state<Id | null>(null); // the row where the keys are
	readonly selected = new SvelteMap<Id, Id>(); // the row's email, its conversation
	listed = ''; // the list that the cursor is in
	anchor: Id | null = null; // where a range of selected rows begins
	focusRow: (id: Id) => void = () => {}; // of the list that is shown

	get mailboxes(): Mailbox[] {
		return this.live.value;
	}

	get ready(): boolean {
		return this.live.ready && this.live.value.length > 0;
	}

	readonly route = $derived(route());

	// current is the mailbox that is shown; undefined in a search.
	readonly current = $derived.by(() => {
		const r = this.route;
		return r.page === 'mail' ? find(this.mailboxes, r.mailbox) : undefined;
	});

	readonly thread = $derived.by(() => {
		const r = this.route;
		return r.page === 'mail' || r.page === 'search' ? r.thread : null;
	});

	readonly places = $derived.by((): Place[] =>
		this.mailboxes.map((m) => ({ id: m.id, names: [...new Set([pathOf(m, this.mailboxes), nameOf(m), m.name, ...(m.role ? [m.role] : [])])] })),
	);

	readonly spec = $derived.by((): Spec | null => {
		const r = this.route;
		if (r.page === 'mail') return this.current ? mailboxSpec(this.current.id) : null;
		if (r.page !== 'search' || !this.ready) return null;
		const skip = ['trash', 'junk'].map((role) => byRole(this.mailboxes, role)?.id).filter((id) => id !== undefined);
		return { filter: filterOf(parseQuery(r.query), this.places, skip), sort: newestFirst, collapseThreads: true };
	});

	// at is the address of a conversation, or with null of the list, as it is shown now.
	at(thread: Id | null): Route {
		const r = this.route;
		return r.page === 'search' ? { page: 'search', query: r.query, thread } : { page: 'mail', mailbox: r.page === 'mail' ? r.mailbox : 'inbox', thread };
	}

	indexOf(id: Id): number {
		return this.view.index(id);
	}

	// step moves the cursor, and with it what is open.
	step(by: 1 | -1): void {
		const open = this.thread && [...this.view.rows.values()].find((r) => r.threadId === this.thread);
		const from = this.cursor ?? (open ? open.id : null);
		const i = from === null ? (by > 0 ? 0 : -1) : this.indexOf(from) + by;
		const id = i >= 0 ? this.view.ids(i) : undefined;
		if (id === undefined) return;
		this.cursor = id;
		this.focusRow(id);
		const row = this.view.rows.get(i);
		if (this.thread && row) go(this.at(row.threadId), { replace: true });
	}

	select(id: Id, threadId: Id, range = false): void {
		if (range && this.anchor !== null) {
			const [a, b] = [this.indexOf(this.anchor), this.indexOf(id)].sort((x, y) => x - y) as [number, number];
			for (let i = Math.max(0, a); i <= b; i++) {
				const row = this.view.rows.get(i);
				if (row) this.selected.set(row.id, row.threadId);
			}
			return;
		}
		if (this.selected.has(id)) this.selected.delete(id);
		else this.selected.set(id, threadId);
		this.anchor = id;
	}

	// targets are the conversations that an act is about: those selected, else the open
	// one, else that of the cursor.
	targets(): { rows: Id[]; threads: Id[] } {
		if (this.selected.size > 0) return { rows: [...this.selected.keys()], threads: [...new Set(this.selected.values())] };
		const rows = [...this.view.rows.values()];
		const row = this.thread ? rows.find((r) => r.threadId === this.thread) : rows.find((r) => r.id === this.cursor);
		if (row) return { rows: [row.id], threads: [row.threadId] };
		return { rows: [], threads: this.thread ? [this.thread] : [] };
	}

	// emails of conversations as far as they are seen here: in a mailbox, what lies in it.
	private async emailsOf(threads: Id[]): Promise<EmailHead[]> {
		const { cache } = account.mail;
		const rows = await cache.threads.bulkGet(threads);
		const all = await account.mail.emails(rows.flatMap((r) => r?.emailIds ?? []));
		const mailbox = this.current?.id;
		return mailbox ? all.filter((e) => mailbox in e.mailboxIds) : all;
	}

	private role(role: string): Id | undefined {
		return byRole(this.mailboxes, role)?.id;
	}

	// replaced is the patch that leaves an email in just one mailbox.
	private replaced(e: EmailHead, to: Id, keywords: Record<string, boolean> = {}): EmailPatch {
		return { keywords, mailboxIds: { ...Object.fromEntries(Object.keys(e.mailboxIds).map((m) => [m, false])), [to]: true } };
	}

	// taken is the patch that moves an email from here to another mailbox.
	private taken(to: Id): EmailPatch {
		const from = this.current?.id ?? this.role('inbox');
		return { mailboxIds: { ...(from && { [from]: false }), [to]: true } };
	}

	async archive(): Promise<void> {
		const to = this.role('archive') ?? (await account.mail.createMailbox('Archive', null));
		const inbox = this.role('inbox');
		await this.away('act.archived', (e) => {
			const p = this.taken(to);
			return inbox && inbox in e.mailboxIds ? { mailboxIds: { ...p.mailboxIds, [inbox]: false } } : p;
		});
	}

	async trash(): Promise<void> {
		const to = this.role('trash');
		if (!to) return;
		if (this.current?.id === to) return this.destroy();
		await this.away('act.trashed', (e) => this.replaced(e, to));
	}

	// destroy is for good: it is asked for by who shows the question.
	askDestroy: ((n: number) => Promise<boolean>) | null = null;
	private async destroy(): Promise<void> {
		const { rows, threads } = this.targets();
		const emails = await this.emailsOf(threads);
		if (emails.length === 0 || !(await this.askDestroy?.(emails.length))) return;
		this.advance(rows, threads);
		const label = { key: 'act.destroyed', args: { n: threads.length } };
		await account.mail.destroy(emails.map((e) => e.id), label);
		tell(say(label));
	}

	async junk(): Promise<void> {
		const [junk, inbox] = [this.role('junk'), this.role('inbox')];
		if (!junk || !inbox) return;
		if (this.current?.id === junk) await this.away('act.notJunk', (e) => this.replaced(e, inbox, { $junk: false, $notjunk: true }));
		else await this.away('act.junked', (e) => this.replaced(e, junk, { $junk: true, $notjunk: false }));
	}

	async move(to: Mailbox, rows?: { rows: Id[]; threads: Id[] }): Promise<void> {
		if (to.id === this.current?.id) return;
		await this.away('act.moved', (e) => (this.current ? this.taken(to.id) : this.replaced(e, to.id)), { mailbox: nameOf(to) }, rows);
	}

	// away does what takes conversations out of the list, and goes on to the next.
	private async away(key: Key, patch: (e: EmailHead) => EmailPatch, args: Label['args'] = {}, what = this.targets()): Promise<void> {
		const { rows, threads } = what;
		const emails = await this.emailsOf(threads);
		if (emails.length === 0) return;
		this.advance(rows, threads);
		await this.change(emails, patch, { key, args: { n: threads.length, ...args } });
	}

	async flag(what = this.targets()): Promise<void> {
		const emails = await this.emailsOf(what.threads);
		const on = !emails.some((e) => e.keywords.$flagged);
		// A flag is put on the newest message, and taken off all.
		const targets = on ? what.threads.map((id) => emails.filter((e) => e.threadId === id).at(-1)).filter((e) => e !== undefined) : emails;
		await this.change(targets, { keywords: { $flagged: on } }, { key: on ? 'act.flagged' : 'act.unflagged', args: { n: what.threads.length } });
	}

	async read(): Promise<void> {
		const { threads } = this.targets();
		const emails = await this.emailsOf(threads);
		const on = emails.some((e) => !e.keywords.$seen);
		const targets = on ? emails : threads.map((id) => emails.filter((e) => e.threadId === id).at(-1)).filter((e) => e !== undefined);
		if (!on && this.thread && layout.panes === 1) go(this.at(null), { replace: true });
		this.keepUnread = on ? null : (this.thread ?? null);
		await this.change(targets, { keywords: { $seen: on } }, { key: on ? 'act.read' : 'act.unread', args: { n: threads.length } });
	}

	// keepUnread is the open conversation that was marked unread: looking at it does not
	// make it read again.
	keepUnread: Id | null = null;

	async keyword(word: string, on: boolean): Promise<void> {
		const { threads } = this.targets();
		await this.change(await this.emailsOf(threads), { keywords: { [word]: on } }, { key: on ? 'act.keywordOn' : 'act.keywordOff', args: { n: threads.length, word } });
	}

	// change patches emails and says so, with the offer to undo it.
	async change(emails: EmailHead[], patch: EmailPatch | ((e: EmailHead) => EmailPatch), label: Label): Promise<void> {
		const act = await account.mail.change(emails.map((e) => e.id), patch, label);
		if (act) tell(say(label), { action: { label: t('note.undo'), run: () => void account.mail.undo(act) } });
	}

	// advance leaves conversations that are about to go: the next row gets the cursor,
	// and is opened in the place of the one that was.
	private advance(rows: Id[], threads: Id[]): void {
		this.selected.clear();
		const gone = new Set(rows);
		const at = Math.min(...rows.map((id) => this.indexOf(id)).filter((i) => i >= 0));
		let next: number | undefined;
		if (Number.isFinite(at)) {
			for (let i = at; i < this.view.total && next === undefined; i++) if (!gone.has(this.view.ids(i) ?? '')) next = i;
			for (let i = at; i >= 0 && next === undefined; i--) if (!gone.has(this.view.ids(i) ?? '')) next = i;
		}
		const id = next === undefined ? undefined : this.view.ids(next);
		const open = this.thread !== null && threads.includes(this.thread);
		this.cursor = id ?? null;
		if (open) {
			const row = next === undefined ? undefined : this.view.rows.get(next);
			go(this.at(layout.panes > 1 ? (row?.threadId ?? null) : null), { replace: true });
		}
		if (id) this.focusRow(id);
	}

	// open leads to the list of a mailbox.
	openMailbox(m: Mailbox): void {
		go({ page: 'mail', mailbox: addressOf(m), thread: null });
	}
}

const key = Symbol('desk');

export function makeDesk(): Desk {
	return setContext(key, new Desk());
}

export function useDesk(): Desk {
	return getContext<Desk>(key);
}

