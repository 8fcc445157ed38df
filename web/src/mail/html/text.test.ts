import { expect, test } from 'vitest';

import { blocks, links } from './text';

test('what was quoted and the signature are told apart', () => {
	const b = blocks('Hello.\n\nYes:\n> do you?\n> > did I?\n\nBye\n-- \nAda\n');
	expect(b.map((x) => [x.kind, x.pieces.map((p) => p.text).join('')])).toEqual([
		['text', 'Hello.\n\nYes:'],
		['quote', 'do you?\n> did I?'],
		['text', 'Bye'],
		['signature', 'Ada'].map((s, i) => (i ? '-- \nAda' : s)),
	]);
});

test.each([
	['see https://a.test/x?y=1.', [{ text: 'see ' }, { text: 'https://a.test/x?y=1', href: 'https://a.test/x?y=1' }, { text: '.' }]],
	['(www.a.test)', [{ text: '(' }, { text: 'www.a.test', href: 'https://www.a.test' }, { text: ')' }]],
	['https://a.test/w_(x)', [{ text: 'https://a.test/w_(x)', href: 'https://a.test/w_(x)' }]],
	['ada@b.test!', [{ text: 'ada@b.test', href: 'mailto:ada@b.test' }, { text: '!' }]],
	['javascript:alert(1)', [{ text: 'javascript:alert(1)' }]],
	['', []],
])('%s', (text, want) => {
	expect(links(text)).toEqual(want);
});
