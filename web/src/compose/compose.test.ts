import { describe, expect, test } from 'vitest';

import type { EmailAddress, EmailBody, EmailHead, Identity } from '../jmap/types';
import { full, isAddress, parseAddresses, parseMailto, without } from './address';
import { identityFor, recipientsOf, subjectOf, threadingOf } from './answer';
import type { Kind } from './answer';
import { complete, knownFrom } from './completion';
import { emailOf, everyone, newMessageId } from './email';
import { choices, inputValue, moment } from './later';
import { held, stuck, unsaved } from './outbox';
import { plainOf } from './plain';
import type { Tree } from './plain';
import { remindersOf } from './reminders';
import type { Outgoing } from './reminders';

const a = (email: string, name: string | null = null): EmailAddress => ({ name, email });
const [ada, bob, carol, me] = [a('ada@example.test', 'Ada'), a('bob@example.test'), a('carol@elsewhere.example', 'Carol'), a('me@example.test')];

describe('addresses', () => {
	test.each<[string, EmailAddress[]]>([
		['ada@example.test', [a('ada@example.test')]],
		['Ada <ada@example.test>, bob@example.test', [ada, bob]],
		['"Lovelace, Ada" <ada@example.test>; bob@example.test', [a('ada@example.test', 'Lovelace, Ada'), bob]],
		['ada@example.test\nbob@example.test\n', [a('ada@example.test'), bob]],
		['  ,; ', []],
		['half', [a('half')]],
	])('%j', (text, want) => expect(parseAddresses(text)).toEqual(want));

	test('one with a comma in its name is read as it was shown', () => {
		const odd = a('ada@example.test', 'Lovelace, Ada');
		expect(parseAddresses(full(odd))).toEqual([odd]);
	});

	test.each([['ada@example.test', true], ['"a b"@example.test', true], ['müller@exämple.test', true], ['ada', false], ['a b@c', false], ['@c', false], ['a@', false], ['a@b@c', false]])('%s: %s', (text, want) => expect(isAddress(text)).toBe(want));

	test('a mailto: link fills in what it may', () => {
		expect(parseMailto('mailto:ada@example.test?cc=bob%40example.test&subject=Hi%20there&body=a%0D%0Ab&from=x@y.test')).toEqual({ to: [a('ada@example.test')], cc: [bob], bcc: [], subject: 'Hi there', body: 'a\r\nb' });
		expect(parseMailto('mailto:%E0%A4%A')).toMatchObject({ to: [a('%E0%A4%A')] });
	});

	test('nobody is named twice, however they are spelled', () => expect(without([ada, a('ADA@example.test'), bob], [bob])).toEqual([ada]));
});

const head = (more: Partial<EmailHead> = {}): EmailHead => ({ id: 'E1', blobId: 'B1', threadId: 'T1', mailboxIds: {}, keywords: {}, size: 1, receivedAt: '2026-03-01T10:00:00Z', sentAt: null, from: [ada], to: [me], cc: null, subject: 'Plan', preview: '', hasAttachment: false, messageId: ['one@x.test'], ...more });
const body = (more: Partial<EmailBody> = {}): EmailBody => ({ id: 'E1', sender: null, bcc: null, replyTo: null, inReplyTo: null, references: null, textBody: [], htmlBody: [], attachments: [], bodyValues: {}, ...more });

describe('answers', () => {
	test.each<[string, Kind, Partial<EmailHead>, Partial<EmailBody>, EmailAddress[], EmailAddress[]]>([
		['to who wrote', 'reply', {}, {}, [ada], []],
		['to where answers are wanted', 'reply', {}, { replyTo: [carol] }, [carol], []],
		['to all but me', 'replyAll', { to: [me, bob], cc: [carol, me] }, {}, [ada], [bob, carol]],
		['to nobody twice', 'replyAll', { to: [me, ada], cc: [a('ADA@example.test')] }, {}, [ada], []],
		['to what I wrote: whom it went to', 'reply', { from: [me], to: [bob] }, {}, [bob], []],
		['to all of what I wrote', 'replyAll', { from: [me], to: [bob], cc: [carol] }, {}, [bob], [carol]],
		['to what I wrote to myself', 'replyAll', { from: [me], to: [me] }, {}, [me], []],
		['of a forwarded message', 'forward', {}, {}, [], []],
	])('%s', (_, kind, h, b, to, cc) => expect(recipientsOf(kind, head(h), body(b), [me])).toEqual({ to, cc }));

	test.each<[Kind, string | null, string]>([
		['reply', 'Plan', 'Re: Plan'],
		['reply', 'RE: Re[2]: AW: Plan', 'Re: Plan'],
		['forward', 'WG: Fwd: Plan', 'Fwd: Plan'],
		['forward', 'Re: Plan', 'Fwd: Re: Plan'],
		['reply', null, 'Re:'],
		['reply', 'Regarding: this', 'Re: Regarding: this'],
	])('%s of %s', (kind, subject, want) => expect(subjectOf(kind, subject)).toBe(want));

	test('come after what they answer, and after all before it', () => {
		expect(threadingOf('reply', head(), body({ references: ['a@x', 'b@x'] }))).toEqual({ inReplyTo: ['one@x.test'], references: ['a@x', 'b@x', 'one@x.test'] });
		expect(threadingOf('reply', head(), body({ inReplyTo: ['a@x'] }))).toEqual({ inReplyTo: ['one@x.test'], references: ['a@x', 'one@x.test'] });
		expect(threadingOf('forward', head(), body())).toEqual({ inReplyTo: null, references: ['one@x.test'] });
		expect(threadingOf('reply', head({ messageId: null }), body())).toEqual({ inReplyTo: null, references: null });
		const many = threadingOf('reply', head(), body({ references: Array.from({ length: 200 }, (_, i) => `${i}@x`) })).references!;
		expect([many.length, many[0], many.at(-1)]).toEqual([50, '0@x', 'one@x.test']);
	});

	test('are from the one whom it was written to', () => {
		const identities = ['me@example.test', 'other@example.test'].map((email, i) => ({ id: `I${i}`, name: '', email, replyTo: null, bcc: null, textSignature: '', htmlSignature: '', mayDelete: false }) satisfies Identity);
		expect(identityFor(identities, head({ to: [bob], cc: [a('Other@example.test')] }))?.id).toBe('I1');
		expect(identityFor(identities, head({ to: [bob] }))?.id).toBe('I0');
	});
});

describe('completion', () => {
	const now = Date.parse('2026-03-02T00:00:00Z');
	const mine = new Set(['me@example.test']);
	const known = knownFrom(
		[
			head({ from: [me], to: [carol], receivedAt: '2026-03-01T10:00:00Z' }),
			head({ from: [a('carla@example.test', 'Carla Müller')], receivedAt: '2026-03-01T10:00:00Z' }),
			head({ from: [a('carlo@example.test', 'Carlo')], receivedAt: '2024-03-01T10:00:00Z' }),
			head({ from: [a('carpet@spam.example', 'Carpets')], keywords: { $junk: true } }),
			head({ from: [a('no-reply@cars.example', 'Cars')] }),
			head({ from: [a('carol@elsewhere.example')], to: [me] }),
		],
		mine,
		now,
	);
	const typed = (text: string, taken: string[] = []) => complete(known, text, new Set(taken)).map((x) => x.email);

	test('the first is whom I wrote to', () => expect(typed('car')[0]).toBe('carol@elsewhere.example'));
	test('junk is not remembered', () => expect(typed('carpet')).toEqual([]));
	test('each word begins one of theirs, accents aside', () => expect(typed('mull carl')).toEqual(['carla@example.test']));
	test('by the domain too', () => expect(typed('elsewhere')).toEqual(['carol@elsewhere.example']));
	test('not who is named already, nor I', () => expect([typed('carol', ['carol@elsewhere.example']), typed('me')]).toEqual([[], []]));
	test('a name that was seen once stays', () => expect(known.find((k) => k.address.email === 'carol@elsewhere.example')!.address.name).toBe('Carol'));
});

describe('reminders', () => {
	const out = (more: Partial<Outgoing> = {}): Outgoing => ({ text: 'Hello.', subject: 'Hi', attachments: 0, recipients: [bob], openly: 1, answersAll: false, ...more });
	test.each<[string, Partial<Outgoing>, string[]]>([
		['nothing', {}, []],
		['an attachment that is missing', { text: 'See the attached plan.' }, ['attachment']],
		['auf Deutsch', { text: 'Im Anhang findest du den Plan, anbei.' }, ['attachment']],
		['one that is there', { text: 'See the attached plan.', attachments: 1 }, []],
		['words that only look like it', { text: 'We attacked; the Hang is steep.' }, []],
		['many who see each other', { openly: 12 }, ['many']],
		['an answer to all', { answersAll: true, recipients: [ada, bob, carol, me] }, ['all']],
		['an answer to all of two', { answersAll: true, recipients: [ada, bob] }, []],
		['no subject', { subject: ' ' }, ['subject']],
	])('%s', (_, more, want) => expect(remindersOf(out(more))).toEqual(want));
	test('are said once', () => expect(remindersOf(out({ text: 'attached', subject: '' }), new Set(['attachment']))).toEqual(['subject']));
});

describe('the email that is created', () => {
	const identity: Identity = { id: 'I1', name: 'Me', email: 'me@example.test', replyTo: [carol], bcc: null, textSignature: '', htmlSignature: '', mayDelete: false };
	const part = (name: string, cid: string | null) => ({ blobId: `local-${name}`, name, type: 'image/png', size: 1, disposition: cid ? ('inline' as const) : ('attachment' as const), cid });
	const written = { drafts: 'M2', identity, to: [ada], cc: [], bcc: [bob, ada], subject: 'Hi', text: 'Hello', html: '<p>Hello</p>', attachments: [part('a', null), part('b', 'x@lockstep')], inReplyTo: null, references: null, messageId: 'm@example.test' };

	test('has both texts, and what they show first', () => {
		const e = emailOf(written);
		expect(e).toMatchObject({ mailboxIds: { M2: true }, keywords: { $draft: true, $seen: true }, from: [{ name: 'Me', email: 'me@example.test' }], replyTo: [carol], textBody: [{ partId: 't' }], htmlBody: [{ partId: 'h' }], bodyValues: { t: { value: 'Hello' }, h: { value: '<p>Hello</p>' } } });
		expect(e.attachments.map((p) => p.name)).toEqual(['b', 'a']);
	});
	test('has no HTML when it is plain', () => expect(emailOf({ ...written, html: null })).not.toHaveProperty('htmlBody'));
	test('goes to each once', () => expect(everyone(written)).toEqual(['ada@example.test', 'bob@example.test']));
	test('each version has a name of its own', () => {
		expect(newMessageId('me@example.test')).toMatch(/^[0-9a-f-]{36}@example\.test$/);
		expect(newMessageId('me@example.test')).not.toBe(newMessageId('me@example.test'));
	});
});

// el is an element as far as plainOf looks at it.
function el(name: string, children: (Tree | string)[] = [], attributes: Record<string, string> = {}): Tree {
	const childNodes = children.map((c) => (typeof c === 'string' ? { nodeType: 3, nodeName: '#text', textContent: c, childNodes: [] } : c));
	return { nodeType: 1, nodeName: name.toUpperCase(), textContent: childNodes.map((c) => c.textContent).join(''), childNodes, getAttribute: (n) => attributes[n] ?? null };
}

describe('plain text of rich text', () => {
	const br = () => el('br');
	test.each<[string, (Tree | string)[], string]>([
		['lines', [el('div', ['one']), el('div', [br()]), el('div', ['two'])], 'one\n\ntwo'],
		['breaks', [el('div', ['one', br(), 'two'])], 'one\ntwo'],
		['paragraphs', [el('p', ['one']), el('p', ['two'])], 'one\n\ntwo'],
		['white space', [el('div', ['  a\n  b\u00a0', el('b', ['c']), ' d'])], 'a b c d'],
		['a list', [el('ul', [el('li', ['one']), el('li', ['two', el('ul', [el('li', ['in it'])])])])], '- one\n- two\n  - in it'],
		['a numbered list', [el('ol', [el('li', [el('div', ['one'])]), el('li', ['two'])])], '1. one\n2. two'],
		['a quote', [el('div', ['He wrote:']), el('blockquote', [el('div', ['a']), el('blockquote', [el('div', ['b'])])])], 'He wrote:\n> a\n>> b'],
		['a link', [el('a', ['here'], { href: 'https://x.test/y' }), ' and ', el('a', ['https://x.test'], { href: 'https://x.test/' })], 'here <https://x.test/y> and https://x.test'],
		['what is not read', [el('style', ['p{}']), 'a', el('script', ['x'])], 'a'],
		['code', [el('pre', ['a  b\n  c'])], 'a  b\n  c'],
		['nothing', [el('div', [br()])], ''],
	])('%s', (_, children, want) => expect(plainOf(el('body', children))).toBe(want));
});

describe('later', () => {
	const at = (d: number, h: number) => new Date(2026, 2, d, h, 30); // 2 March 2026 is a Monday
	test('moments are ahead, the next first', () => {
		for (const now of [at(2, 9), at(2, 20), at(6, 12), at(8, 23)]) {
			const times = choices(now).map((c) => c.at.getTime());
			expect(times.every((x) => x > now.getTime()), String(now)).toBe(true);
			expect(new Set(choices(now).map((c) => c.key)).size).toBe(times.length);
		}
		expect(choices(at(2, 9)).map((c) => inputValue(c.at))).toEqual(['2026-03-02T10:30', '2026-03-02T18:00', '2026-03-03T08:00', '2026-03-09T08:00']);
		expect(choices(at(8, 9)).map((c) => c.key)).not.toContain('compose.later.monday'); // that is tomorrow
	});
	test('a moment is a UTCDate, ahead but not too far', () => {
		const now = new Date('2026-03-02T09:00:00Z');
		expect(moment(inputValue(new Date('2026-03-02T10:00:00Z')), now)).toBe('2026-03-02T10:00:00Z');
		expect(moment(inputValue(new Date('2026-03-02T08:00:00Z')), now)).toBeNull();
		expect(moment('2027-03-02T08:00', now)).toBeNull();
		expect(moment('', now)).toBeNull();
	});
});

test('the list of what waits has neither what is just going nor what is done', () => {
	const now = Date.parse('2026-03-02T09:00:00Z');
	const s = (id: string, sendAt: string) => ({ id, emailId: id, threadId: '', identityId: '', sendAt, undoStatus: 'pending' as const });
	expect(held([s('far', '2026-03-03T09:00:00Z'), s('soon', '2026-03-02T09:00:08Z'), s('near', '2026-03-02T10:00:00Z')], now).map((x) => x.id)).toEqual(['near', 'far']);
	const act = (status: 'waiting' | 'done' | 'aside', ago: number) => ({ kind: 'send' as const, status, at: now - ago, email: '', identityId: '', mailFrom: '', rcptTo: [], hold: 8, sendAt: null, drafts: null, sent: null, source: null, ids: [], label: { key: 'x' } });
	const acts = [act('waiting', 1000), act('waiting', 60_000), act('done', 60_000), act('aside', 0)];
	expect([stuck(acts, true, now).length, stuck(acts, false, now).length]).toEqual([2, 3]);
	const draft = (local: string, replaces: string | null) => ({ kind: 'draft' as const, status: 'waiting' as const, at: now - 1000, local, replaces, email: {} as never, ids: [], label: { key: 'x' } });
	const drafts = [draft('a', null), draft('b', 'a'), draft('c', null), { ...act('waiting', 0), email: 'c' }];
	expect([unsaved(drafts, true, now), unsaved(drafts, false, now).map((d) => d.local)]).toEqual([[], ['b']]);
});
