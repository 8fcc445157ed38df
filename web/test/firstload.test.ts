import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { expect, test } from 'vitest';

const dist = join(import.meta.dirname, '../dist');
const most = 150_000; // bytes, compressed

// reached collects what a file needs before it does anything: its static imports.
function reached(file: string, seen: Set<string>): void {
	if (seen.has(file) || !existsSync(join(dist, file))) return;
	seen.add(file);
	const text = readFileSync(join(dist, file), 'utf8');
	if (file.endsWith('.html')) for (const m of text.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css|svg))"/g)) reached(m[1]!, seen);
	else for (const m of text.matchAll(/(?:^|[;}\s])(?:import|export)[^'"`();]*?["']\.\/([^"']+)["']/g)) reached(`assets/${m[1]}`, seen);
}

// The catalogue of one language comes with the page, though by a dynamic import.
const catalogue = readdirSync(join(dist, 'assets')).find((f) => /^de-.*\.js$/.test(f));

test('the first load is small', () => {
	const files = new Set<string>();
	reached('index.html', files);
	reached(`assets/${catalogue}`, files);
	expect(files.has(`assets/${catalogue}`), 'the catalogue is counted').toBe(true);
	const sizes = [...files].map((f) => [f, gzipSync(readFileSync(join(dist, f)), { level: 9 }).length] as const);
	const total = sizes.reduce((n, [, size]) => n + size, 0);
	console.info(`first load: ${total} bytes in ${sizes.length} files`);
	expect(total, sizes.map((s) => s.join(' ')).join('\n')).toBeLessThanOrEqual(most);
});
