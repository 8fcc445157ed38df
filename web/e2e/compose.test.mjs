import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, skip } from './browser.mjs'
import { deliver, Imap, letter } from './mail.mjs'
import { password, startServer } from './server.mjs'

let server, browser
before(async () => { if (!skip) { server = await startServer(); browser = await launch() } })
after(async () => { await browser?.close(); await server?.stop() })

const soon = 30_000 // ms in which what is waited for happens, on a slow machine too

/** Opens a panel to write in, by its button. */
async function write(page) {
	await page.getByRole('button', { name: 'Compose' }).click()
	const panel = page.getByRole('dialog', { name: /^Write:/ })
	await panel.getByRole('textbox', { name: 'Text of the message' }).waitFor()
	return panel
}

async function fill(panel, { to, subject, text }) {
	if (to) {
		await panel.getByRole('combobox', { name: 'To', exact: true }).fill(to)
		await panel.getByRole('combobox', { name: 'To', exact: true }).press('Enter')
	}
	if (subject) await panel.getByRole('textbox', { name: 'Subject' }).fill(subject)
	if (text) {
		await panel.getByRole('textbox', { name: 'Text of the message' }).click()
		await panel.page().keyboard.type(text)
	}
}

/** Asks until the answer is what is wanted. */
async function until(what, wanted, ms = soon) {
	let last
	for (const end = Date.now() + ms; Date.now() < end; await new Promise((done) => setTimeout(done, 200))) {
		last = await what()
		if (wanted(last)) return last
	}
	assert.fail(`it stays ${JSON.stringify(last)}`)
}

/** What an IMAP program finds in a mailbox, by subject. */
async function found(imap, mailbox, subject) {
	await imap.run(`EXAMINE "${mailbox}"`)
	const said = (await imap.run(`UID SEARCH HEADER SUBJECT "${subject}"`)).find((l) => l.startsWith('* SEARCH')) ?? ''
	return said.replace('* SEARCH', '').trim().split(' ').filter((u) => u !== '')
}

const source = async (imap, uid) => (await imap.run(`UID FETCH ${uid} (BODY.PEEK[])`)).join('\n')

test('a message with an attachment arrives, and stands in Sent', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	const panel = await write(page)
	await fill(panel, { to: 'bob@example.test', subject: 'The plan', text: 'Here it is attached.' })
	await panel.locator('input[type=file]').setInputFiles({ name: 'plan.txt', mimeType: 'text/plain', buffer: Buffer.from('step one') })
	await panel.getByRole('list', { name: 'Attachments' }).getByText('plan.txt').waitFor()
	await page.keyboard.press('Control+Enter')
	await page.getByRole('status').getByText('Sent', { exact: true }).waitFor()
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid] = await until(() => found(bob, 'INBOX', 'The plan'), (u) => u.length === 1)
	const text = await source(bob, uid)
	for (const part of ['To: bob@example.test', 'multipart/alternative', 'Here it is attached.', 'filename=plan.txt', Buffer.from('step one').toString('base64')]) assert.ok(text.includes(part), `${part} in\n${text}`)
	const alice = await Imap.login(server, 'alice@example.test', password)
	assert.equal((await found(alice, 'Sent', 'The plan')).length, 1)
	assert.equal((await found(alice, 'Drafts', 'The plan')).length, 0)
	assert.deepEqual(page.troubles, [])
	alice.end()
	bob.end()
	await page.context().close()
})
