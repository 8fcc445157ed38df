import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, skip } from './browser.mjs'
import { deliver, Imap, letter } from './mail.mjs'
import { act, found, note, row, until } from './mailbox.mjs'
import { password, startServer } from './server.mjs'

let server, browser
before(async () => {
	if (skip) return
	server = await startServer()
	for (const n of [1, 2, 3]) await deliver(server, 'alice@example.test', letter({ subject: `Letter ${n}` }))
	browser = await launch()
})
after(async () => { await browser?.close(); await server?.stop() })

const ended = (imap) => until(() => imap.run('NOOP').then(() => false, () => true), (gone) => gone)
const device = (page, name) => page.getByRole('main').getByRole('listitem').filter({ has: page.locator('strong', { hasText: name }) })

/** Goes to the devices, and makes a password for one. */
async function addDevice(page, name) {
	await page.keyboard.press('g')
	await page.keyboard.press('v')
	await page.getByRole('button', { name: 'Add a device' }).click()
	const dialog = page.getByRole('dialog', { name: 'Add a device' })
	await dialog.getByRole('button', { name: 'Thunderbird' }).click()
	await dialog.getByLabel('Name').fill(name)
	await dialog.getByRole('button', { name: 'Make a password' }).click()
	const prove = page.getByRole('dialog', { name: 'Is it you?' })
	const secret = dialog.locator('.password')
	await prove.or(secret).first().waitFor()
	if (await prove.isVisible()) {
		await prove.getByLabel('Password or code').fill(password)
		await prove.getByRole('button', { name: 'Go on' }).click()
	}
	await secret.waitFor()
	return { dialog, secret: await secret.innerText() }
}

test('a device gets a password of its own, is seen, renamed, blocked, let in and signed out', { skip, timeout: 240_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'Letter 1').waitFor()
	const { dialog, secret } = await addDevice(page, 'Laptop')
	let imap = await Imap.login(server, 'alice@example.test', secret)
	await imap.run('SELECT INBOX')
	await dialog.getByText('Laptop is here').waitFor()
	await dialog.getByRole('button', { name: 'Done' }).click()

	const laptop = device(page, 'Laptop')
	await laptop.getByRole('button', { name: /Laptop/ }).click()
	await laptop.getByText('with an app password of its own').waitFor()
	await laptop.getByRole('button', { name: 'Rename' }).click()
	await laptop.getByLabel('Name').fill('Old laptop')
	await page.keyboard.press('Enter')
	await note(page, 'It is called Old laptop now').waitFor()
	const old = device(page, 'Old laptop')

	await old.getByRole('button', { name: 'Block' }).click()
	await note(page, 'Old laptop is blocked').waitFor()
	await old.getByText('Blocked', { exact: true }).waitFor()
	await ended(imap)
	await assert.rejects(Imap.login(server, 'alice@example.test', secret))
	await old.getByRole('button', { name: 'Let in' }).click()
	await note(page, 'Old laptop may come in').waitFor()
	imap = await Imap.login(server, 'alice@example.test', secret)

	await old.getByRole('button', { name: 'Sign out' }).click()
	await page.getByRole('dialog', { name: 'Sign Old laptop out?' }).getByRole('button', { name: 'Sign out' }).click()
	await note(page, 'Old laptop is signed out').waitFor()
	await ended(imap)
	await assert.rejects(Imap.login(server, 'alice@example.test', secret))
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('what an IMAP program did is listed in words, and taken back after a look at what comes', { skip, timeout: 240_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'Letter 2').waitFor()
	const imap = await Imap.login(server, 'alice@example.test', password)
	await act(imap, 'INBOX', 'Letter', 'UID MOVE % "Trash"')
	await row(page, 'Letter 2').waitFor({ state: 'detached' })
	await page.keyboard.press('g')
	await page.keyboard.press('a')
	const moved = page.getByRole('main').getByRole('listitem').filter({ hasText: 'moved 3 messages from Inbox to Trash' }).first()
	await moved.getByText(/IMAP/).waitFor()
	await moved.getByRole('button', { name: /moved 3 messages/ }).click()
	await moved.getByText('Letter 2').waitFor()
	await moved.getByRole('button', { name: 'Undo' }).click()
	const preview = page.getByRole('dialog', { name: 'What will change' })
	await preview.getByText('3 messages and mailboxes will be as before.').waitFor()
	assert.equal((await found(imap, 'Trash', 'Letter')).length, 3)
	await preview.getByRole('button', { name: 'Undo' }).click()
	await note(page, '3 things are back as they were').waitFor()
	await until(() => found(imap, 'INBOX', 'Letter'), (u) => u.length === 3)
	assert.equal((await found(imap, 'Trash', 'Letter')).length, 0)
	await page.getByRole('main').getByRole('listitem').filter({ hasText: 'undid: moved 3 messages' }).first().waitFor()
	await page.keyboard.press('g')
	await page.keyboard.press('i')
	await row(page, 'Letter 2').waitFor()
	assert.deepEqual(page.troubles, [])
	imap.end()
	await page.context().close()
})
