import type { EmailAddress, EmailBody, EmailBodyPart, Id, Identity } from '../jmap/types';
import type { DraftEmail, DraftPart } from '../store/acts';
import { without } from './address';

// From what was written to the Email that is created (RFC 8621 §4.6), and back. Pure.

export interface Written {
	drafts: Id; // the mailbox
	identity: Identity;
	to: EmailAddress[];
	cc: EmailAddress[];
	bcc: EmailAddress[];
	subject: string;
	text: string;
	html: string | null; // null: plain text only
	attachments: DraftPart[];
	inReplyTo: string[] | null;
	references: string[] | null;
	messageId: string;
}

export function emailOf(w: Written): DraftEmail {
	const text = { partId: 't', type: 'text/plain' };
	return {
		mailboxIds: { [w.drafts]: true },
		keywords: { $draft: true, $seen: true },
		from: [{ name: w.identity.name || null, email: w.identity.email }],
		replyTo: w.identity.replyTo,
		to: w.to,
		cc: w.cc,
		bcc: w.bcc,
		subject: w.subject,
		messageId: [w.messageId],
		inReplyTo: w.inReplyTo,
		references: w.references,
		textBody: [text],
		...(w.html !== null && { htmlBody: [{ partId: 'h', type: 'text/html' }] }),
		bodyValues: { t: { value: w.text }, ...(w.html !== null && { h: { value: w.html } }) },
		// Parts that the text shows stand first, as they do in the message.
		attachments: [...w.attachments.filter((a) => a.cid), ...w.attachments.filter((a) => !a.cid)],
	};
}

// newMessageId names one version of a draft: by it the version is found again when the
// answer to its creation got lost.
export function newMessageId(from: string): string {
	return `${crypto.randomUUID()}@${from.split('@').at(-1) || 'localhost'}`;
}

// everyone is who gets a message, each once.
export function everyone(m: { to: EmailAddress[]; cc: EmailAddress[]; bcc: EmailAddress[] }): string[] {
	return without([...m.to, ...m.cc, ...m.bcc]).map((a) => a.email);
}

export interface Texts {
	text: string;
	html: string | null; // null: it has none
}

// textsOf are a message's two texts.
export function textsOf(body: Pick<EmailBody, 'textBody' | 'htmlBody' | 'bodyValues'>): Texts {
	const value = (p: EmailBodyPart) => (p.partId !== null ? (body.bodyValues[p.partId]?.value ?? '') : '');
	const html = body.htmlBody.filter((p) => p.type === 'text/html');
	return {
		text: body.textBody.filter((p) => p.type === 'text/plain').map(value).join('\n'),
		html: html.length > 0 ? html.map(value).join('\n') : null,
	};
}

// textsOfDraft are those of a version that waits here.
export function textsOfDraft(email: DraftEmail): Texts {
	const values = email.bodyValues as Record<string, { value: string }>;
	return { text: values.t?.value ?? '', html: values.h?.value ?? null };
}
