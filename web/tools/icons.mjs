// Draws the icons that need pixels from public/icon.svg: node tools/icons.mjs
import { readFileSync, writeFileSync } from 'node:fs';

import { launch } from './browser.mjs';

const svg = readFileSync(new URL('../public/icon.svg', import.meta.url), 'utf8');
const browser = await launch();
for (const [name, size, full] of [['icon-192', 192, false], ['icon-512', 512, false], ['icon-maskable-512', 512, true]]) {
	const page = await browser.newPage({ viewport: { width: size, height: size } });
	// A maskable icon fills its square, as the system cuts its own shape.
	const drawing = full ? svg.replace(' rx="14"', '').replace('viewBox="0 0 64 64"', 'viewBox="-8 -8 80 80"').replace('<rect width="64" height="64"', '<rect x="-8" y="-8" width="80" height="80"') : svg;
	await page.setContent(`<style>body{margin:0}svg{display:block;width:100vw;height:100vh}</style>${drawing}`);
	writeFileSync(new URL(`../public/${name}.png`, import.meta.url), await page.screenshot({ omitBackground: true }));
}
await browser.close();
