import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

interface Package {
	name: string;
	version: string;
	license: string;
}

// packageOf finds the folder of the package that a bundled module lies in.
function packageOf(module: string): string | undefined {
	const at = module.lastIndexOf('/node_modules/');
	if (at < 0) return undefined;
	const parts = module.slice(at + '/node_modules/'.length).split('/');
	const name = parts[0]!.startsWith('@') ? `${parts[0]}/${parts[1]}` : parts[0]!;
	return module.slice(0, at) + '/node_modules/' + name;
}

function notice(dir: string): string {
	const pkg = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Package;
	const files = readdirSync(dir).filter((f) => /^(licen[cs]e|notice|copying)/i.test(f)).sort();
	const texts = files.map((f) => readFileSync(join(dir, f), 'utf8').replaceAll('\r\n', '\n').trim());
	if (texts.length === 0) texts.push(`Its package names its licence: ${pkg.license}.`);
	return `${pkg.name} ${pkg.version} (${pkg.license})\n\n${texts.join('\n\n')}\n`;
}

// notices writes the licences of exactly what is bundled.
export function notices(): Plugin {
	return {
		name: 'lockstep:notices',
		apply: 'build',
		generateBundle(_, bundle) {
			const dirs = new Set<string>();
			for (const file of Object.values(bundle)) {
				if (file.type !== 'chunk') continue;
				for (const module of Object.keys(file.modules)) {
					const dir = packageOf(module.replace(/^\0/, '').replace(/\?.*$/, ''));
					if (dir && existsSync(join(dir, 'package.json'))) dirs.add(dir);
				}
			}
			const source = [...dirs].sort().map(notice).join('\n' + '-'.repeat(78) + '\n\n');
			this.emitFile({ type: 'asset', fileName: 'THIRD_PARTY_NOTICES.txt', source });
		},
	};
}
