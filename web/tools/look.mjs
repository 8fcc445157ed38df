// Looks at every page and state: node tools/look.mjs [url]. The server is one of
// `lockstep demo`; the pictures go to shots/.
import { mkdirSync } from 'node:fs';

import { launch } from './browser.mjs';

const base = process.argv[2] ?? process.env.LOCKSTEP ?? 'http://localhost:8080';
const login = process.env.LOCKSTEP_LOGIN ?? 'alice@example.test';
const password = process.env.LOCKSTEP_PASSWORD ?? 'lockstep-demo';
const only = process.env.ONLY?.split(',');
const sizes = { phone: [390, 844], tablet: [834, 1112], desktop: [1440, 900] };
mkdirSync('shots', { recursive: true });

const browser = await launch();
for (const scheme of ['light', 'dark']) {
	for (const [size, [width, height]] of Object.entries(sizes)) {
		if (only && !only.includes(size) && !only.includes(scheme)) continue;
		const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, hasTouch: size === 'phone', isMobile: size === 'phone', deviceScaleFactor: 1, locale: process.env.LANGUAGE ?? 'en-GB', reducedMotion: 'reduce' });
		const page = await context.newPage();
		page.on('console', (m) => m.type() === 'error' && console.log(`${size} ${scheme}: ${m.text()}`));
		page.on('pageerror', (e) => console.log(`${size} ${scheme}: ${e.stack}`));
		const shot = async (name) => {
			await page.waitForTimeout(350);
			await page.screenshot({ path: `shots/${name}-${size}-${scheme}.png` });
		};
		await page.goto(base);
		await page.waitForSelector('input[name=username]');
		await shot('signin');
		await page.fill('input[name=username]', login);
		await page.fill('input[name=password]', password);
		await page.click('button[type=submit]');
		await page.waitForSelector('[data-row]');
		await shot('list');
		await page.click('[data-row] >> nth=0');
		await page.waitForSelector('.message');
		await page.waitForTimeout(500);
		await shot('reading');
		if (size === 'desktop') {
			await page.click('[data-row] >> nth=3');
			await page.waitForTimeout(700);
			await shot('reading2');
			await page.keyboard.press('?');
			await shot('help');
			await page.keyboard.press('Escape');
		}
		if (size === 'phone') await page.goBack();
		if (size !== 'desktop') {
			await page.click('header .icon >> nth=0');
			await shot('tree');
			await page.keyboard.press('Escape');
		}
		await page.goto(base + '/search/is%3Aunread%20from%3Aa');
		await page.waitForTimeout(900);
		await shot('search');
		await page.goto(base + '/mail/junk');
		await page.waitForTimeout(700);
		await shot('empty');
		for (const name of ['devices', 'activity', 'settings', 'outbox']) {
			await page.goto(`${base}/${name}`);
			await page.waitForSelector('main');
			await page.waitForTimeout(900);
			await shot(name);
		}
		await page.goto(base);
		await page.waitForSelector('[data-row]');
		await context.setOffline(true);
		await page.waitForTimeout(600);
		await shot('offline');
		await context.close();
	}
}
await browser.close();
