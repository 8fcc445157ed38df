import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, signIn, skip, watch } from './browser.mjs'
import { startServer } from './server.mjs'

let server, browser
before(async () => { if (!skip) { server = await startServer(); browser = await launch() } })
after(async () => { await browser?.close(); await server?.stop() })

test('who signs in sees the mailboxes, also after a reload', { skip, timeout: 60_000 }, async () => {
	const page = await open(browser, server)
	await page.getByRole('navigation').getByText('Inbox').waitFor()
	await page.reload()
	await page.getByRole('navigation').getByText('Inbox').waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a wrong password says so and keeps what was typed', { skip, timeout: 60_000 }, async () => {
	const context = await browser.newContext()
	const page = await context.newPage()
	watch(page, server)
	await page.goto(server.url)
	await signIn(page, 'alice@example.test', 'not this one')
	await page.getByRole('alert').waitFor()
	assert.equal(await page.getByLabel('Email address').inputValue(), 'alice@example.test')
	await context.close()
})
