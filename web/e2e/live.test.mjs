import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, skip } from './browser.mjs'
import { deliver, Imap, letter } from './mail.mjs'
import { act, read, row, until } from './mailbox.mjs'
import { password, startServer } from './server.mjs'

let server, browser, imap
before(async () => {
	if (skip) return
	server = await startServer()
	for (const subject of ['Marked there', 'Moved there', 'Read here']) await deliver(server, 'alice@example.test', letter({ subject }))
	imap = await Imap.login(server, 'alice@example.test', password)
	browser = await launch()
})
after(async () => { imap?.end(); await browser?.close(); await server?.stop() })

test('what other devices do appears by itself, with who did it', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'Marked there').waitFor()

	await act(imap, 'INBOX', 'Marked there', 'UID STORE % +FLAGS (\\Flagged)')
	await row(page, 'Marked there').locator('.flag.on').waitFor()
	const mark = row(page, 'Marked there').locator('.mark')
	await mark.waitFor()
	assert.match(await mark.getAttribute('title'), /^Changed just now on .*IMAP/)
	await page.getByRole('status').getByText(/One message was changed on .*IMAP/).waitFor({ state: 'attached' })
	await mark.waitFor({ state: 'detached' })

	await deliver(server, 'alice@example.test', letter({ subject: 'Just come' }))
	await row(page, 'Just come').waitFor()

	await act(imap, 'INBOX', 'Moved there', 'UID MOVE % "Archive"')
	await row(page, 'Moved there').waitFor({ state: 'detached' })
	await page.getByRole('link', { name: 'Archive' }).click()
	await row(page, 'Moved there').waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('what is done here is heard by an IMAP program that waits', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await imap.run('SELECT INBOX')
	const said = []
	await read(page, 'Read here')
	await until(async () => { said.push(...(await imap.run('NOOP'))); return said.join('\n') }, (s) => /FETCH \(.*\\Seen/.test(s))
	await page.keyboard.press('e')
	await until(async () => { said.push(...(await imap.run('NOOP'))); return said.join('\n') }, (s) => /EXPUNGE|VANISHED/.test(s))
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})
