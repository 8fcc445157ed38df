import type { EmailAddress, EmailBody, EmailHead, Identity } from '../jmap/types';
import { same, without } from './address';

// Whom an answer goes to, what it is called and where it belongs. Pure.

export type Kind = 'reply' | 'replyAll' | 'forward';

export interface Recipients {
	to: EmailAddress[];
	cc: EmailAddress[];
}

// recipientsOf are those of an answer. To answer what one wrote oneself goes to whom
// it went to.
export function recipientsOf(kind: Kind, email: EmailHead, body: EmailBody, me: EmailAddress[]): Recipients {
	if (kind === 'forward') return { to: [], cc: [] };
	const from = email.from ?? [];
	const mine = from.some((a) => me.some((m) => same(a, m)));
	const back = mine ? (email.to ?? []) : body.replyTo?.length ? body.replyTo : from;
	if (kind === 'reply') return { to: without(back), cc: [] };
	const to = without(back, mine ? [] : me);
	const rest = without([...(mine ? [] : (email.to ?? [])), ...(email.cc ?? [])], me, to);
	return to.length > 0 ? { to, cc: rest } : { to: rest.length > 0 ? rest : without(back), cc: [] };
}

// identityFor is who an answer is from: the one whom it was written to.
export function identityFor(identities: Identity[], email: EmailHead): Identity | undefined {
	const named = [...(email.to ?? []), ...(email.cc ?? []), ...(email.from ?? [])];
	for (const a of named) {
		const found = identities.find((i) => i.email.toLowerCase() === a.email.toLowerCase());
		if (found) return found;
	}
	return identities[0];
}

const answerMark = /^\s*(?:re|aw|antw|sv|vs|r|odp)(?:\[\d+\])?\s*:\s*/i;
const forwardMark = /^\s*(?:fwd?|wg|tr|vl|i)(?:\[\d+\])?\s*:\s*/i;

// subjectOf puts "Re:" or "Fwd:" in front, once, whatever other programs call them.
export function subjectOf(kind: Kind, subject: string | null): string {
	const mark = kind === 'forward' ? forwardMark : answerMark;
	let bare = (subject ?? '').trim();
	while (mark.test(bare)) bare = bare.replace(mark, '');
	return `${kind === 'forward' ? 'Fwd' : 'Re'}: ${bare}`.trimEnd();
}

const mostReferences = 50; // the first and the newest of more are kept

// threadingOf says which messages an answer comes after (RFC 5322 §3.6.4). A forwarded
// message is referred to, but not answered.
export function threadingOf(kind: Kind, email: EmailHead, body: EmailBody): { inReplyTo: string[] | null; references: string[] | null } {
	const id = email.messageId?.[0];
	if (!id) return { inReplyTo: null, references: null };
	const before = body.references?.length ? body.references : (body.inReplyTo ?? []);
	const all = [...before.filter((r) => r !== id), id];
	const references = all.length > mostReferences ? [all[0]!, ...all.slice(1 - mostReferences)] : all;
	return { inReplyTo: kind === 'forward' ? null : [id], references };
}
