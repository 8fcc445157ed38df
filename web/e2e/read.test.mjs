import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, phone, skip } from './browser.mjs'
import { deliver, Imap, letter } from './mail.mjs'
import { flags, found, note, read, row, rows, until } from './mailbox.mjs'
import { password, startServer } from './server.mjs'

const many = 60 // letters that are only there to be scrolled

let server, browser, imap
before(async () => {
	if (skip) return
	server = await startServer()
	for (let n = 1; n <= many; n++) await deliver(server, 'alice@example.test', letter({ subject: `Minutes ${n}`, from: 'Dora Example <dora@elsewhere.example>', date: new Date(Date.now() - 86_400_000) }))
	for (const subject of ['Lunch', 'Archive me', 'Flag me', 'Label me', 'Move me']) await deliver(server, 'alice@example.test', letter({ subject, text: `The text of ${subject}.` }))
	imap = await Imap.login(server, 'alice@example.test', password)
	browser = await launch()
})
after(async () => { imap?.end(); await browser?.close(); await server?.stop() })

const seen = (imap, mailbox, subject) => until(() => flags(imap, mailbox, subject), (f) => f?.includes('\\Seen'))

test('what is read here is read in IMAP', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await read(page, 'Lunch')
	await page.getByRole('article').getByText('The text of Lunch.').waitFor()
	await seen(imap, 'INBOX', 'Lunch')
	await until(() => row(page, 'Lunch').getAttribute('class'), (c) => !c.includes('unread'))
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('e archives and z brings back', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await read(page, 'Archive me')
	await page.keyboard.press('e')
	await note(page, 'Archived').waitFor()
	await row(page, 'Archive me').waitFor({ state: 'detached' })
	await until(() => found(imap, 'Archive', 'Archive me'), (u) => u.length === 1)
	assert.equal((await found(imap, 'INBOX', 'Archive me')).length, 0)
	await page.keyboard.press('z')
	await row(page, 'Archive me').waitFor()
	await until(() => found(imap, 'INBOX', 'Archive me'), (u) => u.length === 1)
	assert.equal((await found(imap, 'Archive', 'Archive me')).length, 0)
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('keys flag, label and move', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await read(page, 'Flag me')
	await page.keyboard.press('s')
	await until(() => flags(imap, 'INBOX', 'Flag me'), (f) => f?.includes('\\Flagged'))
	await row(page, 'Flag me').locator('.flag.on').waitFor()

	await read(page, 'Label me')
	await page.keyboard.press('l')
	await page.getByRole('combobox', { name: 'Keyword' }).fill('travel')
	await page.keyboard.press('Enter')
	await until(() => flags(imap, 'INBOX', 'Label me'), (f) => f?.includes('travel'))
	await row(page, 'Label me').getByText('travel').waitFor()

	await read(page, 'Move me')
	await page.keyboard.press('v')
	await page.getByRole('combobox', { name: 'Move to' }).fill('arch')
	await page.keyboard.press('Enter')
	await row(page, 'Move me').waitFor({ state: 'detached' })
	await until(() => found(imap, 'Archive', 'Move me'), (u) => u.length === 1)
	assert.equal((await found(imap, 'INBOX', 'Move me')).length, 0)
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a search takes operators, and conditions can be taken off', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'Lunch').waitFor()
	await page.keyboard.press('/')
	await page.keyboard.type('from:dora subject:"Minutes 17"')
	await page.keyboard.press('Enter')
	const terms = page.getByRole('list', { name: 'Conditions' })
	await terms.getByText('subject:"Minutes 17"').waitFor()
	await until(() => rows(page).count(), (n) => n === 1)
	await page.getByRole('button', { name: 'Remove subject:"Minutes 17"' }).click()
	await until(() => rows(page).count(), (n) => n > 10)
	await row(page, 'Lunch').waitFor({ state: 'detached' })
	assert.match(page.url(), /\/search\/from%3Adora$/)
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('? lists the keys, and the focus comes back', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'Lunch').waitFor()
	await page.keyboard.press('j')
	const focus = () => page.evaluate(() => document.activeElement.id)
	const was = await until(focus, (id) => id.startsWith('row-'))
	await page.keyboard.press('?')
	const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
	await help.getByText('Archive', { exact: true }).first().waitFor()
	await page.keyboard.press('j') // a dialog keeps the keys to itself
	await page.keyboard.press('Escape')
	await help.waitFor({ state: 'detached' })
	assert.equal(await focus(), was)
	await page.context().close()
})

test('a list reloaded in its middle is in its middle', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'Lunch').waitFor()
	await page.locator('.scroller').evaluate((el) => { el.scrollTop = 1500 })
	const top = () => page.locator('.scroller').evaluate((el) => {
		const y = el.getBoundingClientRect().top
		return [...el.querySelectorAll('.row')].find((r) => r.getBoundingClientRect().bottom > y + 1)?.querySelector('.subject')?.textContent ?? ''
	})
	const was = await until(top, (t) => t.startsWith('Minutes'))
	await until(() => page.evaluate(() => Object.keys(sessionStorage).some((k) => k.startsWith('lockstep.place'))), (kept) => kept)
	await page.reload()
	await until(top, (t) => t === was)
	await page.context().close()
})

test('on a phone there is one pane, and back is back', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server, { viewport: phone, hasTouch: true, isMobile: true })
	await row(page, 'Lunch').locator('a').tap()
	await page.getByRole('article').getByText('The text of Lunch.').waitFor()
	assert.equal(await rows(page).count(), 0)
	await page.goBack()
	await row(page, 'Lunch').waitFor()
	await row(page, 'Lunch').locator('a').tap()
	await page.getByRole('button', { name: 'Back', exact: true }).tap()
	await row(page, 'Lunch').waitFor()
	assert.match(page.url(), /\/mail\/inbox$|\/$/)
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})
