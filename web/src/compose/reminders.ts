import type { EmailAddress } from '../jmap/types';

// What is worth a word before mail goes out. Nothing of it holds anybody up. Pure.

export type Reminder = 'attachment' | 'many' | 'all' | 'subject';

export interface Outgoing {
	text: string; // that was written, without what is quoted
	subject: string;
	attachments: number;
	recipients: EmailAddress[];
	openly: number; // recipients that all others see
	answersAll: boolean;
}

const manyRecipients = 12;
const answersSeveral = 4; // recipients from which an answer to all is worth a word

const promises = /\b(?:attach(?:ed|ment|ments|ing)?|enclosed|anhang|anh[aä]nge|anlagen?|angeh[aä]ngt|anbei|beigef[uü]gt|beiliegend)\b/i;

// remindersOf are those for a message, less the ones that were said before.
export function remindersOf(m: Outgoing, said: ReadonlySet<Reminder> = new Set()): Reminder[] {
	const out: Reminder[] = [];
	if (m.attachments === 0 && promises.test(`${m.subject}\n${m.text}`.normalize('NFC'))) out.push('attachment');
	if (m.openly >= manyRecipients) out.push('many');
	else if (m.answersAll && m.recipients.length >= answersSeveral) out.push('all');
	if (m.subject.trim() === '') out.push('subject');
	return out.filter((r) => !said.has(r));
}
