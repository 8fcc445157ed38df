import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import MessageFormat from '@messageformat/core';
import compileModule from '@messageformat/core/compile-module.js';
import type { Plugin } from 'vite';

export const catalogueDir = join(import.meta.dirname, '../src/i18n');

// catalogue reads what one language says: each file of its folder is an area.
export function catalogue(language: string): Record<string, string> {
	const dir = join(catalogueDir, language);
	const all: Record<string, string> = {};
	for (const file of readdirSync(dir).sort()) {
		for (const [key, text] of Object.entries(JSON.parse(readFileSync(join(dir, file), 'utf8')) as Record<string, string>)) {
			if (key in all) throw new Error(`${language}: ${key} is said twice, the second time in ${file}`);
			all[key] = text;
		}
	}
	return all;
}

// messages compiles ICU MessageFormat to functions, so that the browser needs no
// parser and the policy no eval: `import 'virtual:messages/de'`.
export function messages(): Plugin {
	const prefix = 'virtual:messages/';
	return {
		name: 'lockstep:messages',
		resolveId: (id) => (id.startsWith(prefix) ? '\0' + id : undefined),
		load(id) {
			if (!id.startsWith('\0' + prefix)) return undefined;
			const language = id.slice(prefix.length + 1);
			for (const file of readdirSync(join(catalogueDir, language))) this.addWatchFile(join(catalogueDir, language, file));
			return compileModule(new MessageFormat(language), catalogue(language));
		},
	};
}
