import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, phone, skip } from './browser.mjs'
import { password, startServer } from './server.mjs'

let server, browser
before(async () => { if (!skip) { server = await startServer(); browser = await launch() } })
after(async () => { await browser?.close(); await server?.stop() })

/** What another program sees. */
async function jmap(login, name, args, capability) {
	const authorization = `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`
	const session = await (await fetch(`${server.url}/jmap/session`, { headers: { authorization } })).json()
	const answer = await fetch(`${server.url}/jmap/api`, {
		method: 'POST',
		headers: { authorization, 'content-type': 'application/json' },
		body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', capability], methodCalls: [[name, { accountId: Object.keys(session.accounts)[0], ...args }, 'c']] })
	})
	return (await answer.json()).methodResponses[0][1]
}

async function settings(page, section) {
	await page.getByRole('button', { name: /^Account of/ }).waitFor()
	await page.goto(`${server.url}/settings/${section}`)
}

test('a sender with its signature is saved, as every program sees it', { skip, timeout: 60_000 }, async () => {
	const page = await open(browser, server)
	await settings(page, 'identities')
	await page.getByRole('button', { name: 'Edit alice@example.test' }).click()
	assert.equal(await page.getByRole('button', { name: 'Remove alice@example.test' }).count(), 0)
	await page.keyboard.type('Alice Example')
	await page.getByLabel('Replies go to').fill('team@example.test, desk@example.test')
	await page.getByRole('textbox', { name: 'Signature', exact: true }).click()
	await page.getByRole('button', { name: 'Bold' }).click()
	await page.keyboard.type('Alice')
	await page.getByLabel('Signature without format').fill('Alice')
	await page.getByRole('button', { name: 'Save' }).click()
	await page.getByText('Saved').waitFor()
	const [is] = (await jmap('alice@example.test', 'Identity/get', { ids: null }, 'urn:ietf:params:jmap:submission')).list
	assert.equal(is.name, 'Alice Example')
	assert.deepEqual(is.replyTo.map((a) => a.email), ['team@example.test', 'desk@example.test'])
	assert.equal(is.textSignature, 'Alice')
	assert.match(is.htmlSignature, /<b>Alice<\/b>/)
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('the answer while one is away is saved, and comes back as it was typed', { skip, timeout: 60_000 }, async () => {
	const page = await open(browser, server, { viewport: phone })
	await settings(page, 'vacation')
	await page.getByLabel('Answer while I am away').check()
	await page.getByLabel('First day').fill('2026-12-24')
	await page.getByLabel('Last day').fill('2026-12-31')
	await page.getByLabel('Subject').fill('Away')
	await page.getByRole('textbox', { name: 'Answer' }).fill('Back next year.')
	await page.getByRole('button', { name: 'Save' }).click()
	await page.getByText('The answer is on').waitFor()
	const [is] = (await jmap('alice@example.test', 'VacationResponse/get', { ids: null }, 'urn:ietf:params:jmap:vacationresponse')).list
	assert.equal(is.isEnabled, true)
	assert.equal(is.textBody, 'Back next year.')
	assert.equal(is.subject, 'Away')
	assert.equal(is.fromDate, '2026-12-23T23:00:00Z')
	assert.equal(is.toDate, '2026-12-31T23:00:00Z')
	await page.reload()
	assert.equal(await page.getByLabel('Last day').inputValue(), '2026-12-31')
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('the language is another at once, and stays', { skip, timeout: 60_000 }, async () => {
	const page = await open(browser, server, { login: 'bob@example.test' })
	await settings(page, 'general')
	await page.getByLabel('Language', { exact: true }).selectOption('de')
	await page.getByRole('heading', { name: 'Einstellungen' }).waitFor()
	assert.equal(await page.locator('html').getAttribute('lang'), 'de')
	await page.reload()
	await page.getByRole('link', { name: 'Sicherheit' }).click()
	await page.getByRole('heading', { name: 'Zweiter Schritt' }).waitFor()
	assert.equal(new URL(page.url()).pathname, '/settings/security')
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('what is kept here can be forgotten, and comes back', { skip, timeout: 60_000 }, async () => {
	const page = await open(browser, server, { login: 'bob@example.test' })
	await settings(page, 'general')
	await page.getByLabel('Texts of messages').selectOption({ label: '500' })
	await page.getByRole('button', { name: 'Forget what is kept here' }).click()
	await page.getByRole('dialog').getByRole('button', { name: 'Forget what is kept here' }).click()
	await page.getByText('What was kept here is gone').waitFor()
	await page.goto(server.url)
	await page.getByRole('navigation').getByText('Inbox').waitFor()
	await settings(page, 'general')
	assert.equal(await page.getByLabel('Texts of messages').inputValue(), '500')
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})
