// What everybody can use: axe-core finds nothing on any page, a text four times as large
// fits, and the focus is never lost.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { desktop, launch, open, phone, skip } from './browser.mjs'
import { deliver, letter } from './mail.mjs'
import { note, read, row, until } from './mailbox.mjs'
import { startServer } from './server.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const long = 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen '.repeat(4)

let server, browser
before(async () => {
	if (skip) return
	server = await startServer()
	for (const subject of ['First', 'Second', 'Third', 'Fourth', long]) await deliver(server, 'alice@example.test', letter({ subject }))
	await deliver(server, 'alice@example.test', letter({ subject: 'A page', text: '<h1>Hello</h1><p>A <a href="https://elsewhere.example/">link</a></p><img src="https://elsewhere.example/p.png" width=90 height=90>' }).replace('text/plain', 'text/html'))
	browser = await launch()
})
after(async () => { await browser?.close(); await server?.stop() })

/** What axe-core finds, one line for each. The frame of a message is what somebody else wrote. */
async function faults(page, where) {
	await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => {}))))
	if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe)
	const found = await page.evaluate(() => window.axe.run(document, { iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
	return found.violations.flatMap((v) => v.nodes.map((n) => `${where}: ${v.id}: ${n.target.join(' ')}: ${n.any[0]?.message ?? v.help}`))
}

const states = [
	['list', (page) => row(page, 'First').waitFor()],
	['help', async (page) => { await page.keyboard.press('?'); await page.getByRole('dialog').waitFor() }, (page) => page.keyboard.press('Escape')],
	['move', async (page) => { await row(page, 'First').locator('a').focus(); await page.keyboard.press('v'); await page.getByRole('dialog').waitFor() }, (page) => page.keyboard.press('Escape')],
	['keyword', async (page) => { await row(page, 'First').locator('a').focus(); await page.keyboard.press('l'); await page.getByRole('dialog').waitFor() }, (page) => page.keyboard.press('Escape')],
	['palette', async (page) => { await row(page, 'First').locator('a').focus(); await page.keyboard.press('.'); await page.getByRole('dialog').waitFor() }, (page) => page.keyboard.press('Escape')],
	['selected', async (page) => { await row(page, 'First').locator('a').focus(); await page.keyboard.press('x'); await page.getByText('1 selected').first().waitFor() }, (page) => page.keyboard.press('Escape')],
	['state', async (page) => { await page.getByRole('button', { name: /State of this device/ }).click(); await page.getByRole('dialog').waitFor() }, (page) => page.keyboard.press('Escape')],
	['account', async (page) => { await page.getByRole('button', { name: /Account of/ }).click(); await page.getByRole('menu').waitFor() }, (page) => page.keyboard.press('Escape')],
	['suggestions', async (page) => { await page.keyboard.press('/'); await page.keyboard.type('is:'); await page.getByRole('option').first().waitFor() }, async (page) => { await page.keyboard.press('Escape'); await page.keyboard.press('Escape'); await page.keyboard.press('Escape') }],
	['reading', (page) => read(page, 'Second'), (page) => page.goBack()],
	['page', async (page) => { await read(page, 'A page'); await page.getByRole('button', { name: 'Load images' }).waitFor() }, (page) => page.goBack()],
	['search', (page) => page.goto(`${server.url}/search/from%3Acarol`).then(() => row(page, 'First').waitFor())],
	['empty', (page) => page.goto(`${server.url}/mail/junk`).then(() => page.getByText('Nothing here').waitFor())],
	['devices', (page) => page.goto(`${server.url}/devices`).then(() => page.getByText('This browser').waitFor())],
	['add a device', async (page) => { await page.getByRole('button', { name: 'Add a device' }).click(); await page.getByRole('dialog').waitFor() }, (page) => page.keyboard.press('Escape')],
	['activity', (page) => page.goto(`${server.url}/activity`).then(() => page.getByText(/arrived in/).first().waitFor())]
]

for (const [size, viewport] of [['desktop', desktop], ['phone', phone]]) for (const colorScheme of ['light', 'dark']) test(`axe-core finds nothing, ${size}, ${colorScheme}`, { skip, timeout: 240_000 }, async () => {
	const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB' })
	const out = await context.newPage()
	await out.goto(server.url)
	await out.getByLabel('Email address').waitFor()
	const all = await faults(out, 'signing in')
	await context.close()
	const page = await open(browser, server, { viewport, colorScheme, reducedMotion: 'reduce' })
	for (const [name, enter, leave] of states) {
		await enter(page)
		all.push(...(await faults(page, name)))
		await leave?.(page)
	}
	assert.deepEqual(all, [])
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a text four times as large needs no scrolling sideways', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server, { viewport: { width: 320, height: 256 } }) // 1280 × 1024 at 400 %
	const wide = () => page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth)
	for (const path of ['/mail/inbox', '/search/from%3Acarol', '/devices', '/activity']) {
		await page.goto(server.url + path)
		await page.locator('main').getByRole('listitem').or(page.locator('.row')).first().waitFor()
		assert.ok((await wide()) <= 0, `${path} is ${await wide()} px too wide`)
	}
	await page.goto(`${server.url}/mail/inbox`)
	await read(page, 'Donaudampf')
	assert.ok((await wide()) <= 0, `reading is ${await wide()} px too wide`)
	await page.context().close()
})

test('the focus is never lost', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'First').locator('a').focus()
	const kept = (what) => until(() => page.evaluate(() => document.activeElement !== null && document.activeElement !== document.body), (is) => is, 5000).catch(() => assert.fail(`lost after ${what}`))
	await page.keyboard.press('e')
	await note(page, 'Archived').waitFor()
	await row(page, 'First').waitFor({ state: 'detached' })
	await kept('archiving')
	await page.keyboard.press('s')
	await kept('flagging')
	await page.keyboard.press('v')
	await page.getByRole('combobox', { name: 'Move to' }).fill('junk')
	await page.keyboard.press('Enter')
	await note(page, 'Moved to').waitFor()
	await kept('moving')
	await page.keyboard.press('z')
	await kept('undoing')
	await page.keyboard.press('Enter')
	await page.getByRole('article').waitFor()
	await kept('opening')
	await page.keyboard.press('u')
	await kept('going back')
	await page.getByRole('button', { name: /Account of/ }).click()
	await page.keyboard.press('Escape')
	await kept('closing a menu')
	await page.context().close()
})
