import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, skip } from './browser.mjs'
import { deliver, Imap, letter } from './mail.mjs'
import { act, flags, found, read, row, state, until } from './mailbox.mjs'
import { password, startServer } from './server.mjs'

const subjects = ['Read later', 'Flag later', 'Move later', 'Delete later', 'Gone later', 'Lost later']

let server, browser
before(async () => {
	if (skip) return
	server = await startServer()
	for (const login of ['alice', 'bob']) for (const subject of subjects) await deliver(server, `${login}@example.test`, letter({ subject, text: `The text of ${subject}.` }))
	browser = await launch()
})
after(async () => { await browser?.close(); await server?.stop() })

/** Waits until the texts are here, and the files of the app. */
async function stocked(page, n) {
	await until(() => page.evaluate(async () => {
		const { name } = (await indexedDB.databases()).find((d) => d.name.startsWith('lockstep-'))
		const db = await new Promise((done) => { const r = indexedDB.open(name); r.onsuccess = () => done(r.result) })
		const count = await new Promise((done) => { const r = db.transaction('bodies').objectStore('bodies').count(); r.onsuccess = () => done(r.result) })
		db.close()
		return count
	}), (count) => count >= n)
	await page.evaluate(async () => { await navigator.serviceWorker.ready })
	await until(() => page.evaluate(() => navigator.serviceWorker.controller !== null), (there) => there)
}

/** Does what a key does to a row that is not opened. */
async function press(page, subject, key) {
	await row(page, subject).locator('a').focus()
	await page.keyboard.press(key)
}

async function moveTo(page, subject, mailbox) {
	await press(page, subject, 'v')
	await page.getByRole('combobox', { name: 'Move to' }).fill(mailbox)
	await page.keyboard.press('Enter')
	await row(page, subject).waitFor({ state: 'detached' })
}

test('what was done offline is done when the connection is back, and what cannot be holds up nothing', { skip, timeout: 180_000 }, async () => {
	const imap = await Imap.login(server, 'alice@example.test', password)
	await imap.run('CREATE Projects')
	const page = await open(browser, server)
	await row(page, 'Read later').waitFor()
	await stocked(page, subjects.length)

	await page.context().setOffline(true)
	await state(page, 'Offline').waitFor()
	await page.getByRole('searchbox').or(page.getByRole('combobox', { name: 'Search' })).first().fill('text of flag')
	await page.keyboard.press('Enter')
	await row(page, 'Flag later').waitFor()
	await row(page, 'Move later').waitFor({ state: 'detached' })
	await page.getByRole('navigation').getByText('Inbox').click()
	await row(page, 'Move later').waitFor()
	await press(page, 'Flag later', 's')
	await state(page, '1 change waiting').waitFor()
	await moveTo(page, 'Lost later', 'Projects')
	await moveTo(page, 'Move later', 'Archive')
	await press(page, 'Gone later', 'e')
	await press(page, 'Delete later', '#')
	await row(page, 'Delete later').waitFor({ state: 'detached' })
	await state(page, '5 changes waiting').waitFor()
	await read(page, 'Read later')
	await page.getByRole('article').getByText('The text of Read later.').waitFor()
	await state(page, '6 changes waiting').click()
	const panel = page.getByRole('dialog', { name: /State of this device/ })
	await panel.getByText('There is no connection.').waitFor()
	for (const what of ['Flagged', 'Moved to Projects', 'Moved to Archive', 'Archived', 'Moved to trash']) await panel.getByText(what, { exact: false }).first().waitFor()
	await page.keyboard.press('Escape')

	await imap.run('DELETE Projects')
	await act(imap, 'INBOX', 'Gone later', 'UID STORE % +FLAGS.SILENT (\\Deleted)')
	await imap.run('EXPUNGE')
	assert.equal((await found(imap, 'INBOX', 'Flag later')).length, 1)
	assert.ok(!(await flags(imap, 'INBOX', 'Flag later')).includes('\\Flagged'))

	await page.context().setOffline(false)
	await until(() => flags(imap, 'INBOX', 'Flag later'), (f) => f?.includes('\\Flagged'))
	await until(() => found(imap, 'Archive', 'Move later'), (u) => u.length === 1)
	await until(() => found(imap, 'Trash', 'Delete later'), (u) => u.length === 1)
	await until(() => flags(imap, 'INBOX', 'Read later'), (f) => f?.includes('\\Seen'))
	await state(page, '1 change was refused').click()
	await panel.getByText('Refused by the server').waitFor()
	await panel.getByText('Moved to Projects', { exact: true }).waitFor()
	await panel.getByRole('button', { name: 'Forget it' }).click()
	await state(page, 'In step').waitFor()
	await row(page, 'Lost later').waitFor() // it is where it was
	assert.equal((await found(imap, 'INBOX', 'Lost later')).length, 1)
	assert.equal((await found(imap, 'INBOX', 'Gone later')).length, 0)
	assert.deepEqual(page.troubles, [])
	imap.end()
	await page.context().close()
})

test('it starts while the server is away', { skip, timeout: 180_000 }, async () => {
	const page = await open(browser, server, { login: 'bob@example.test' })
	await row(page, 'Read later').waitFor()
	await stocked(page, subjects.length)
	await server.away()
	try {
		await page.reload()
		await row(page, 'Read later').waitFor()
		await state(page, 'Offline').waitFor()
		await read(page, 'Read later')
		await page.getByRole('article').getByText('The text of Read later.').waitFor()
		await page.keyboard.press('s')
		await state(page, '2 changes waiting').waitFor()
		await page.reload()
		await state(page, '2 changes waiting').waitFor()
	} finally {
		await server.back()
	}
	const imap = await Imap.login(server, 'bob@example.test', password)
	await until(() => flags(imap, 'INBOX', 'Read later'), (f) => f?.includes('\\Flagged') && f.includes('\\Seen'), 60_000)
	await state(page, 'In step').waitFor()
	imap.end()
	await page.context().close()
})
