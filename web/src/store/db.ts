import Dexie from 'dexie';
import type { Table } from 'dexie';

import type { Comparator, EmailBody, EmailFilter, EmailHead, EmailSubmission, Id, Identity, Mailbox, Thread } from '../jmap/types';
import type { Act } from './acts';

// StateRow is how far a type is known: its JMAP state, written by the transaction
// that wrote what the state stands for.
export interface StateRow {
	type: string;
	state: string;
}

export interface BodyRow {
	id: Id;
	body: EmailBody;
	used: number; // when last shown, in ms
	limit: number; // bytes of a text that were asked for; 0 is all
}

// Segment is a run of a query's results from a position on. A sure one is where the
// query's state says; others are shown until they were asked for again.
export interface Segment {
	from: number;
	ids: Id[];
	sure: boolean;
}

export interface Spec {
	filter: EmailFilter | null;
	sort: Comparator[];
	collapseThreads: boolean;
}

// QueryRow is what is known of a query's results.
export interface QueryRow {
	key: string;
	spec: Spec;
	state: string;
	total: number;
	exact: boolean; // the server can tell its changes
	segments: Segment[];
	used: number;
}

// LocalId is what a thing made here is called until, and after, the server named it.
export interface LocalIdRow {
	local: Id;
	real: Id;
}

// FileRow is something attached that the server does not have yet, or may forget.
export interface FileRow {
	key: Id; // the local id by which drafts name it
	blob: Blob;
}

export interface MetaRow {
	key: string;
	value: unknown;
}

// Cache is one account in IndexedDB. Emails, mailboxes, threads and queries are what
// the server said; what was done since lies in acts and is laid over it (overlay.ts).
export class Cache extends Dexie {
	mailboxes!: Table<Mailbox, Id>;
	emails!: Table<EmailHead, Id>;
	bodies!: Table<BodyRow, Id>;
	threads!: Table<Thread, Id>;
	identities!: Table<Identity, Id>;
	queries!: Table<QueryRow, string>;
	states!: Table<StateRow, string>;
	acts!: Table<Act, number>;
	localIds!: Table<LocalIdRow, Id>;
	submissions!: Table<EmailSubmission, Id>; // those that can be taken back
	files!: Table<FileRow, Id>;
	meta!: Table<MetaRow, string>;

	constructor(name: string) {
		super(name);
		this.version(1).stores({
			mailboxes: 'id',
			emails: 'id, threadId, receivedAt',
			bodies: 'id, used',
			threads: 'id',
			identities: 'id',
			queries: 'key, used',
			states: 'type',
			acts: '++seq, *ids, status',
			localIds: 'local',
			meta: 'key',
		});
		this.version(2).stores({ submissions: 'id', files: 'key' });
	}

	async state(type: string): Promise<string | undefined> {
		return (await this.states.get(type))?.state;
	}

	async getMeta<T>(key: string): Promise<T | undefined> {
		return (await this.meta.get(key))?.value as T | undefined;
	}

	async setMeta(key: string, value: unknown): Promise<void> {
		await this.meta.put({ key, value });
	}
}

// queryKey names a query: two specs that ask for the same have the same key.
export function queryKey(spec: Spec): string {
	return JSON.stringify(spec);
}
