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

test('a draft is one draft everywhere, however often it is saved, and goes on from the list', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	const imap = await Imap.login(server, 'alice@example.test', password)
	const panel = await write(page)
	await fill(panel, { subject: 'Essay', text: 'First' })
	await until(() => found(imap, 'Drafts', 'Essay'), (u) => u.length === 1)
	await page.keyboard.type(' and second')
	const [uid] = await until(async () => {
		const uids = await found(imap, 'Drafts', 'Essay')
		return uids.length === 1 && (await source(imap, uids[0])).includes('First and second') ? uids : []
	}, (u) => u.length === 1)
	assert.match((await imap.run(`UID FETCH ${uid} (FLAGS)`)).join(' '), /\\Draft/)
	await panel.getByRole('button', { name: 'Save and close' }).click()
	await page.getByRole('navigation').getByText('Drafts').click()
	await page.locator('[data-row]', { hasText: 'Essay' }).click()
	const again = page.getByRole('dialog', { name: 'Write: Essay' })
	await again.getByText('First and second').waitFor()
	await again.getByRole('textbox', { name: 'Text of the message' }).press('Control+End')
	await page.keyboard.type(', third')
	await until(async () => {
		const uids = await found(imap, 'Drafts', 'Essay')
		return uids.length === 1 && (await source(imap, uids[0])).includes('First and second, third')
	}, Boolean)
	await again.getByRole('button', { name: 'Throw away' }).click()
	await until(() => found(imap, 'Drafts', 'Essay'), (u) => u.length === 0)
	await page.getByRole('button', { name: 'Undo' }).click()
	await until(() => found(imap, 'Drafts', 'Essay'), (u) => u.length === 1)
	assert.deepEqual(page.troubles, [])
	imap.end()
	await page.context().close()
})

test('what was just sent is taken back, and is a draft again', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	const panel = await write(page)
	await fill(panel, { to: 'bob@example.test', subject: 'Too fast', text: 'I did not mean it.' })
	await panel.getByRole('button', { name: 'Send', exact: true }).click()
	await page.getByRole('status').getByText('Sent', { exact: true }).waitFor()
	await page.getByRole('button', { name: 'Undo' }).click()
	const again = page.getByRole('dialog', { name: 'Write: Too fast' })
	await again.getByText('I did not mean it.').waitFor()
	const imap = await Imap.login(server, 'alice@example.test', password)
	assert.equal((await found(imap, 'Drafts', 'Too fast')).length, 1)
	assert.equal((await found(imap, 'Sent', 'Too fast')).length, 0)
	await again.getByRole('textbox', { name: 'Text of the message' }).press('Control+Home')
	await page.keyboard.type('Now: ')
	await page.keyboard.press('Control+Enter')
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid, ...more] = await until(() => found(bob, 'INBOX', 'Too fast'), (u) => u.length > 0)
	assert.deepEqual(more, [])
	assert.match(await source(bob, uid), /Now: I did not mean it\./)
	assert.deepEqual(page.troubles, [])
	imap.end()
	bob.end()
	await page.context().close()
})

test('an answer quotes, goes to who wrote, and marks what it answers', { skip, timeout: 120_000 }, async () => {
	await deliver(server, 'alice@example.test', letter({ from: 'Bob <bob@example.test>', subject: 'Tea', text: 'Green or black?' }))
	const page = await open(browser, server)
	await page.locator('[data-row]', { hasText: 'Tea' }).click()
	await page.getByText('Green or black?').last().waitFor()
	await page.keyboard.press('r')
	const panel = page.getByRole('dialog', { name: 'Write: Re: Tea' })
	await panel.getByRole('button', { name: 'Show quoted text' }).waitFor()
	await page.waitForFunction(() => document.activeElement?.classList.contains('editor'))
	await page.keyboard.type('Black, please.')
	await page.keyboard.press('Control+Enter')
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid] = await until(() => found(bob, 'INBOX', 'Re: Tea'), (u) => u.length === 1)
	const text = await source(bob, uid)
	for (const part of ['Black, please.', 'Bob wrote:', '> Green or black?', 'blockquote type', 'In-Reply-To: <e2e-']) assert.ok(text.includes(part), `${part} in\n${text}`)
	const imap = await Imap.login(server, 'alice@example.test', password)
	await until(async () => {
		const uids = await found(imap, 'INBOX', 'Tea')
		return (await imap.run(`UID FETCH ${uids[0]} (FLAGS)`)).join(' ')
	}, (said) => said.includes('\\Answered'))
	assert.deepEqual(page.troubles, [])
	imap.end()
	bob.end()
	await page.context().close()
})

test('a forwarded message takes its attachments along', { skip, timeout: 120_000 }, async () => {
	const mixed = letter({ from: 'Carol <carol@elsewhere.example>', subject: 'Figures' }).replace('Content-Type: text/plain; charset=utf-8', 'Content-Type: multipart/mixed; boundary=x').replace('\n\nShall we have lunch today?', '\n\n--x\nContent-Type: text/html\n\n<p style="color:red">The <b>figures</b></p>\n--x\nContent-Type: text/csv; name=f.csv\nContent-Disposition: attachment; filename=f.csv\n\n1;2;3\n--x--')
	await deliver(server, 'alice@example.test', mixed)
	const page = await open(browser, server)
	await page.locator('[data-row]', { hasText: 'Figures' }).click()
	await page.getByRole('article').getByText('f.csv').waitFor()
	await page.keyboard.press('f')
	const panel = page.getByRole('dialog', { name: 'Write: Fwd: Figures' })
	await panel.getByRole('list', { name: 'Attachments' }).getByText('f.csv').waitFor()
	await fill(panel, { to: 'bob@example.test', text: 'For you' })
	await page.keyboard.press('Control+Enter')
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid] = await until(() => found(bob, 'INBOX', 'Fwd: Figures'), (u) => u.length === 1)
	const text = await source(bob, uid)
	for (const part of ['For you', 'Forwarded message', 'filename=f.csv', Buffer.from('1;2;3').toString('base64').slice(0, 7)]) assert.ok(text.includes(part), `${part} in\n${text}`)
	assert.deepEqual(page.troubles, [])
	bob.end()
	await page.context().close()
})

test('what is written and sent offline goes when there is a connection', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	const imap = await Imap.login(server, 'alice@example.test', password)
	const first = await write(page) // loads what one writes with
	await first.getByRole('button', { name: 'Save and close' }).click()
	await page.context().setOffline(true)
	const panel = await write(page)
	await fill(panel, { to: 'bob@example.test', subject: 'From the train', text: 'No signal here.' })
	await panel.locator('input[type=file]').setInputFiles({ name: 'view.txt', mimeType: 'text/plain', buffer: Buffer.from('fields') })
	await panel.getByText('Saved on this device').waitFor()
	await panel.getByRole('button', { name: 'Save and close' }).click()
	await page.getByRole('link', { name: /Waiting to be sent/ }).click()
	await page.getByRole('button', { name: 'Go on writing' }).click()
	await panel.getByRole('list', { name: 'Attachments' }).getByText('view.txt').waitFor()
	await panel.getByText('No signal here.').click()
	await page.keyboard.press('Control+Enter')
	await page.getByText('Will be sent when there is a connection').waitFor()
	await page.getByRole('listitem').getByText('From the train').waitFor()
	await page.context().setOffline(false)
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid] = await until(() => found(bob, 'INBOX', 'From the train'), (u) => u.length === 1, 60_000)
	assert.ok((await source(bob, uid)).includes('view.txt'))
	assert.equal((await found(imap, 'Drafts', 'From the train')).length, 0)
	assert.deepEqual(page.troubles.filter((s) => !/ERR_INTERNET|net::|Failed to load|WebSocket/.test(s)), [])
	imap.end()
	bob.end()
	await page.context().close()
})

test('mail that is to be sent later is listed, and taken back from there', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	const panel = await write(page)
	await fill(panel, { to: 'bob@example.test', subject: 'On Monday', text: 'Not yet.' })
	await panel.getByRole('button', { name: 'Send later' }).click()
	await page.getByRole('button', { name: /^Tomorrow morning/ }).click()
	await page.getByText(/^Will be sent/).waitFor()
	await page.getByRole('link', { name: /Waiting to be sent/ }).click()
	await page.getByRole('listitem').getByText('On Monday').waitFor()
	await page.getByRole('button', { name: 'Take back' }).click()
	await page.getByRole('dialog', { name: 'Write: On Monday' }).getByText('Not yet.').waitFor()
	await page.getByText('Nothing waits to be sent').waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a draft has one panel, also when its row is opened again; what it shows goes along', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	const imap = await Imap.login(server, 'alice@example.test', password)
	const panel = await write(page)
	await fill(panel, { to: 'bob@example.test', subject: 'Picture', text: 'Look: ' })
	await page.evaluate(async () => {
		const canvas = Object.assign(document.createElement('canvas'), { width: 20, height: 10 })
		const blob = await new Promise((done) => canvas.toBlob(done))
		const data = new DataTransfer()
		data.items.add(new File([blob], 'dot.png', { type: 'image/png' }))
		document.querySelector('.editor').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
	})
	await panel.locator('.editor img[src^="blob:"]').waitFor()
	await until(async () => {
		const uids = await found(imap, 'Drafts', 'Picture')
		return uids.length === 1 && (await source(imap, uids[0])).includes('multipart/related')
	}, Boolean)
	await page.getByRole('navigation').getByText('Drafts').click()
	await page.locator('[data-row]', { hasText: 'Picture' }).click()
	await page.waitForTimeout(500)
	assert.equal(await page.getByRole('dialog').count(), 1)
	await page.reload()
	await page.getByRole('button', { name: 'Picture: Show' }).click()
	await panel.locator('.editor img[src^="blob:"]').waitFor()
	await panel.getByRole('textbox', { name: 'Text of the message' }).press('Control+Home')
	await page.keyboard.type('Again. ')
	await page.keyboard.press('Control+Enter')
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid] = await until(() => found(bob, 'INBOX', 'Picture'), (u) => u.length === 1)
	const text = await source(bob, uid)
	const cid = /Content-ID: <([^>]+)>/i.exec(text)[1]
	assert.ok(text.replace(/=\r?\n/g, '').replaceAll('=3D', '=').includes(`src="cid:${encodeURIComponent(cid)}"`), text)
	assert.match(text, /Again\. Look:/)
	assert.deepEqual(page.troubles, [])
	imap.end()
	bob.end()
	await page.context().close()
})

test('plain text stays plain, an answer may stand within what it quotes, and hostile drafts do nothing', { skip, timeout: 120_000 }, async () => {
	await deliver(server, 'alice@example.test', letter({ from: 'Bob <bob@example.test>', subject: 'Questions', text: 'One?\n\nTwo?' }))
	const imap = await Imap.login(server, 'alice@example.test', password)
	const hostile = letter({ from: 'alice@example.test', to: 'bob@example.test', subject: 'Hostile', text: '<img src=x onerror="window.bad=1"><script>window.bad=1</script><p style="position:fixed">Text</p><form action="https://evil.example"><input name=a></form><img src="https://evil.example/p.png"><div class="lockstep-quote"><img src=x onerror="window.bad=1">quoted</div>' }).replace('text/plain', 'text/html')
	const bytes = hostile.replace(/\n/g, '\r\n')
	await imap.run(`APPEND "Drafts" (\\Draft) {${bytes.length}+}\r\n${bytes}`)
	const page = await open(browser, server)
	await page.locator('[data-row]', { hasText: 'Questions' }).click()
	await page.getByText('One?').last().waitFor()
	await page.keyboard.press('r')
	const panel = page.getByRole('dialog', { name: 'Write: Re: Questions' })
	await panel.getByRole('button', { name: 'Show quoted text' }).click()
	await panel.getByRole('button', { name: 'Answer within it' }).click()
	assert.match(await panel.locator('.editor blockquote').innerText(), /One\?\s+Two\?/)
	await panel.getByRole('button', { name: 'Write plain text, without formatting' }).click()
	assert.match(await panel.getByRole('textbox', { name: 'Text of the message' }).inputValue(), /wrote:\n> One\?\n>\n> Two\?/)
	await panel.getByRole('textbox', { name: 'Text of the message' }).press('Control+End')
	await page.keyboard.type('\n\nYes, <twice>.')
	await page.keyboard.press('Control+Enter')
	const bob = await Imap.login(server, 'bob@example.test', password)
	const [uid] = await until(() => found(bob, 'INBOX', 'Re: Questions'), (u) => u.length === 1)
	const text = await source(bob, uid)
	assert.ok(text.includes('Yes, <twice>.') && !text.includes('text/html'), text)
	await page.getByRole('navigation').getByText('Drafts').click()
	await page.locator('[data-row]', { hasText: 'Hostile' }).click()
	const draft = page.getByRole('dialog', { name: 'Write: Hostile' })
	await draft.locator('.editor').getByText('Text').waitFor()
	await draft.getByRole('button', { name: 'Show quoted text' }).click()
	await draft.locator('iframe.ready').waitFor()
	assert.equal(await page.evaluate(() => window.bad), undefined)
	assert.equal(await draft.locator('.editor form, .editor script, .editor [style], .editor img').count(), 0)
	assert.deepEqual(page.troubles.filter((s) => !s.startsWith('Blocked script execution')), []) // so the frame says that it runs nothing
	imap.end()
	bob.end()
	await page.context().close()
})
