import { account } from '../app/account.svelte';
import { t } from '../i18n/index.svelte';
import type { Key } from '../i18n/index.svelte';
import type { Id, Mailbox } from '../jmap/types';
import { live } from '../store/live.svelte';
import type { Live } from '../store/live.svelte';
import { mailboxesWith } from '../store/overlay';

// A Node is a mailbox in the tree.
export interface Node {
	mailbox: Mailbox;
	depth: number;
	parent: Id | null;
	hasChildren: boolean;
}

const roles = ['inbox', 'drafts', 'sent', 'archive', 'junk', 'trash'];

// liveMailboxes are all mailboxes as the screen shows them. Made once for each page.
export function liveMailboxes(): Live<Mailbox[]> {
	return live(
		() => account.mail.cache,
		async (cache) => {
			const mailboxes = await cache.mailboxes.toArray();
			const acts = await cache.acts.orderBy('seq').toArray();
			return mailboxesWith(mailboxes, acts);
		},
		[],
	);
}

// nameOf is what a mailbox is called: those with a role by their role, in the person's
// language.
export function nameOf(m: Mailbox): string {
	return m.role && roles.includes(m.role) ? t(`mailbox.${m.role}` as Key) : m.name;
}

// pathOf names a mailbox with what it lies in.
export function pathOf(m: Mailbox, all: Mailbox[]): string {
	const parent = m.parentId && all.find((p) => p.id === m.parentId);
	return parent && parent.id !== m.id ? `${pathOf(parent, all)} / ${nameOf(m)}` : nameOf(m);
}

// byRole finds the mailbox with a role.
export function byRole(all: Mailbox[], role: string): Mailbox | undefined {
	return all.find((m) => m.role === role);
}

// find resolves what stands in the address: a role, or an id.
export function find(all: Mailbox[], name: string): Mailbox | undefined {
	return byRole(all, name) ?? all.find((m) => m.id === name);
}

// addressOf is the reverse of find.
export function addressOf(m: Mailbox): string {
	return m.role ?? m.id;
}

// tree orders mailboxes as they are shown: those with roles first, then by name, each
// under its parent.
export function tree(all: Mailbox[]): Node[] {
	const children = new Map<Id | null, Mailbox[]>();
	const ids = new Set(all.map((m) => m.id));
	for (const m of all) {
		const parent = m.parentId && ids.has(m.parentId) ? m.parentId : null;
		children.set(parent, [...(children.get(parent) ?? []), m]);
	}
	const out: Node[] = [];
	const walk = (parent: Id | null, depth: number) => {
		for (const mailbox of (children.get(parent) ?? []).sort(compare)) {
			out.push({ mailbox, depth, parent, hasChildren: children.has(mailbox.id) });
			if (depth < 32) walk(mailbox.id, depth + 1);
		}
	};
	walk(null, 0);
	return out;
}

function rank(m: Mailbox): number {
	const i = roles.indexOf(m.role ?? '');
	return i < 0 ? roles.length : i;
}

function compare(a: Mailbox, b: Mailbox): number {
	return rank(a) - rank(b) || a.sortOrder - b.sortOrder || a.name.localeCompare(b.name, undefined, { numeric: true, sensitivity: 'base' });
}
