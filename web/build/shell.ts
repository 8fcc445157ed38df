import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

const frames = ['/frame/closed', '/frame/images'];
const placeholder = '__SHELL__';

// shell tells the service worker which files the app consists of, and a name for
// exactly these.
export function shell(): Plugin {
	let publicDir = '';
	return {
		name: 'lockstep:shell',
		apply: 'build',
		enforce: 'post',
		configResolved(config) {
			publicDir = config.publicDir;
		},
		generateBundle: {
			order: 'post',
			handler(_, bundle) {
				const worker = bundle['sw.js'];
				if (worker?.type !== 'chunk') throw new Error('the service worker is not in the bundle');
				const hash = createHash('sha256');
				const files: string[] = [];
				const add = (name: string, content: string | Uint8Array) => {
					files.push('/' + (name === 'index.html' ? '' : name));
					hash.update(name).update('\0').update(content);
				};
				for (const name of Object.keys(bundle).sort()) {
					if (name === 'sw.js' || name.endsWith('.txt')) continue;
					const file = bundle[name]!;
					add(name, file.type === 'chunk' ? file.code : file.source);
				}
				for (const name of readdirSync(publicDir).sort()) add(name, readFileSync(join(publicDir, name)));
				files.push(...frames); // frame.html, under the policies of web/web.go
				const value = JSON.stringify({ version: hash.digest('hex').slice(0, 16), files });
				if (!worker.code.includes(placeholder)) throw new Error(`${placeholder} is not in the service worker`);
				worker.code = worker.code.replaceAll(placeholder, value);
			},
		},
	};
}
