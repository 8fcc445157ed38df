import type { EmailSubmission, Id } from '../jmap/types';
import type { Act, DraftAct, SendAct } from '../store/acts';
import type { Cache } from '../store/db';
import { emailWith } from '../store/overlay';

// What waits to be sent: held by the server until its time, or here for a connection.

export interface Waiting {
	email: Id;
	subject: string;
	to: string[];
	at: string | null; // a UTCDate; null: as soon as can be
	refused: boolean;
	draft?: boolean; // it waits to be saved, not to be sent
}

const moment = 30_000; // ms; what goes sooner is on its way and has its note

// held are the submissions that somebody may want to see in a list.
export function held(submissions: EmailSubmission[], now: number): EmailSubmission[] {
	return submissions.filter((s) => Date.parse(s.sendAt) > now + moment).sort((a, b) => a.sendAt.localeCompare(b.sendAt));
}

// stuck are the acts of sending that the server has not heard of.
export function stuck(acts: Act[], online: boolean, now: number): SendAct[] {
	return acts.filter((a): a is SendAct => a.kind === 'send' && (a.status === 'aside' || (a.status !== 'done' && (!online || now - a.at > moment))));
}

// unsaved are the drafts that the server has not heard of, but for those that are to be
// sent.
export function unsaved(acts: Act[], online: boolean, now: number): DraftAct[] {
	return acts.filter((a): a is DraftAct => a.kind === 'draft' && (a.status === 'aside' || (a.status !== 'done' && (!online || now - a.at > moment))) && !acts.some((o) => (o.kind === 'send' && o.email === a.local) || (o.kind === 'draft' && o.replaces === a.local)));
}

export async function countWaiting(cache: Cache, online: boolean): Promise<number> {
	const [submissions, acts] = await Promise.all([cache.submissions.toArray(), cache.acts.toArray()]);
	return held(submissions, Date.now()).length + stuck(acts, online, Date.now()).length + unsaved(acts, online, Date.now()).length;
}

export async function waiting(cache: Cache, online: boolean): Promise<Waiting[]> {
	const [submissions, acts] = await Promise.all([cache.submissions.toArray(), cache.acts.orderBy('seq').toArray()]);
	const out: Waiting[] = stuck(acts, online, Date.now()).map((a) => ({ email: a.email, subject: String(a.label.args?.subject ?? ''), to: a.rcptTo, at: a.sendAt, refused: a.status === 'aside' }));
	for (const a of unsaved(acts, online, Date.now())) out.push({ email: a.local, subject: a.email.subject, to: [...a.email.to, ...a.email.cc].map((p) => p.name?.trim() || p.email), at: null, refused: a.status === 'aside', draft: true });
	for (const s of held(submissions, Date.now())) {
		if (acts.some((a) => a.kind === 'unsend' && a.status !== 'aside' && a.ids.includes(s.emailId))) continue;
		const head = await cache.emails.get(s.emailId);
		const email = head && emailWith(head, acts);
		out.push({ email: s.emailId, subject: email?.subject ?? '', to: [...(email?.to ?? []), ...(email?.cc ?? [])].map((a) => a.name?.trim() || a.email), at: s.sendAt, refused: false });
	}
	return out;
}
