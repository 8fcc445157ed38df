import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from '@messageformat/parser';
import type { Token } from '@messageformat/parser';
import { describe, expect, test } from 'vitest';

import { catalogue, catalogueDir } from '../../build/messages';

const languages = readdirSync(catalogueDir).filter((f) => !f.includes('.'));
const english = catalogue('en');

// places are the arguments that a text wants filled in.
function places(text: string): string[] {
	const out = new Set<string>();
	const walk = (tokens: Token[]) => {
		for (const token of tokens) {
			if ('arg' in token) out.add(token.arg);
			if ('cases' in token) for (const c of token.cases) walk(c.tokens);
		}
	};
	walk(parse(text));
	return [...out].sort();
}

test('English and German are there', () => {
	expect(languages).toEqual(expect.arrayContaining(['en', 'de']));
});

describe.each(languages)('%s', (language) => {
	const texts = catalogue(language);

	test('says everything that English says, and nothing else', () => {
		expect(Object.keys(texts).sort()).toEqual(Object.keys(english).sort());
	});

	test('wants the same arguments', () => {
		for (const [key, text] of Object.entries(texts)) expect(places(text), key).toEqual(places(english[key] ?? ''));
	});

	test('says each plural in full', () => {
		const wanted = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
		for (const [key, text] of Object.entries(texts)) {
			for (const token of parse(text)) {
				if (token.type === 'plural') expect(token.cases.map((c) => c.key), key).toEqual(expect.arrayContaining([...wanted]));
			}
		}
	});
});

test('each area is typed', () => {
	const source = readFileSync(join(catalogueDir, 'index.svelte.ts'), 'utf8');
	for (const file of readdirSync(join(catalogueDir, 'en'))) expect(source, `src/i18n/index.svelte.ts has no line for ${file}`).toContain(`'./en/${file}'`);
});
