import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { desktop, launch, open, signIn, skip } from './browser.mjs'
import { Imap } from './mail.mjs'
import { password, startServer } from './server.mjs'

// Each test has an account of its own, as what it does there stays.
const accounts = ['code', 'recovery', 'key', 'alone', 'sessions', 'change'].map((name) => `${name}@example.test`)

let server, browser
before(async () => { if (!skip) { server = await startServer({ accounts }); browser = await launch() } })
after(async () => { await browser?.close(); await server?.stop() })

/** The bytes that RFC 4648 §6 spells so. */
function base32(text) {
	const bits = [...text.toUpperCase()].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
	return Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
}

/** The code of RFC 6238 at a time; each is good once, so a test that needs two takes the next step's. */
function totp(secret, later = 0) {
	const counter = Buffer.alloc(8)
	counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later))
	const hash = createHmac('sha1', base32(secret)).update(counter).digest()
	const at = hash[19] & 15
	return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

const inside = (page) => page.getByRole('button', { name: /^Account of/ })
const outside = (page) => page.getByLabel('Email address')

async function security(page) {
	await inside(page).waitFor()
	await page.goto(`${server.url}/settings/security`)
	await page.getByRole('heading', { name: 'Second step' }).waitFor()
}

async function signOut(page) {
	await inside(page).click()
	await page.getByRole('menuitem', { name: 'Sign out' }).click()
	await outside(page).waitFor()
}

/** Turns codes on through the page. Returns the secret and the recovery codes. */
async function enrol(page) {
	await security(page)
	await page.getByRole('button', { name: 'Set up an authenticator app' }).click()
	const dialog = page.getByRole('dialog', { name: 'Authenticator app' })
	const secret = (await dialog.locator('code').innerText()).replaceAll(/\s/g, '')
	await dialog.getByRole('img', { name: 'Code with the secret' }).waitFor()
	await dialog.getByLabel('The six digits').fill(totp(secret))
	await dialog.getByRole('button', { name: 'Turn on' }).click()
	const shown = page.getByRole('dialog', { name: 'Recovery codes' })
	await shown.getByRole('listitem').first().waitFor()
	const codes = await shown.getByRole('listitem').allInnerTexts()
	assert.equal(codes.length, 10)
	const download = page.waitForEvent('download')
	await shown.getByRole('link', { name: 'Download' }).click()
	assert.equal((await download).suggestedFilename(), 'lockstep-recovery-codes.txt')
	await shown.getByRole('button', { name: 'I have kept them' }).click()
	await page.getByRole('button', { name: 'Remove the authenticator app' }).waitFor()
	await page.getByText('10 are left.').waitFor()
	return { secret, codes }
}

/** A passkey of Chromium's own making: it never asks anybody. */
async function authenticator(page) {
	const cdp = await page.context().newCDPSession(page)
	await cdp.send('WebAuthn.enable')
	await cdp.send('WebAuthn.addVirtualAuthenticator', {
		options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true }
	})
}

async function addPasskey(page, name) {
	await security(page)
	await authenticator(page)
	await page.getByRole('button', { name: 'Add a passkey' }).click()
	await page.getByLabel('Name of the passkey').fill(name)
	await page.getByRole('button', { name: 'Go on' }).click()
	await page.getByRole('dialog', { name: 'Recovery codes' }).getByRole('button', { name: 'I have kept them' }).click()
	await page.getByRole('button', { name: `Remove ${name}` }).waitFor()
}

test('with codes turned on the password alone opens nothing, and an app password does', { skip, timeout: 120_000 }, async () => {
	const login = 'code@example.test'
	const page = await open(browser, server, { login })
	const { secret } = await enrol(page)
	await signOut(page)
	await signIn(page, login)
	const code = page.getByRole('textbox', { name: 'Code from your authenticator app' })
	await code.fill('000000')
	await page.getByRole('button', { name: 'Continue' }).click()
	await page.getByText('That did not match').waitFor()
	await code.fill(totp(secret, 1))
	await page.getByRole('button', { name: 'Continue' }).click()
	await inside(page).waitFor()

	await assert.rejects(Imap.login(server, login, password), /LOGIN/)
	await page.goto(`${server.url}/devices`)
	await page.getByRole('button', { name: 'Add a device' }).click()
	await page.getByRole('button', { name: 'Thunderbird' }).click()
	await page.getByRole('button', { name: 'Make a password' }).click()
	const appPassword = await page.locator('code.password').innerText()
	const imap = await Imap.login(server, login, appPassword)
	assert.match((await imap.run('SELECT INBOX')).join('\n'), /EXISTS/)
	imap.end()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a recovery code signs in once, and the codes can be removed', { skip, timeout: 120_000 }, async () => {
	const login = 'recovery@example.test'
	const page = await open(browser, server, { login })
	const { codes } = await enrol(page)
	const withCode = async (code) => {
		await signIn(page, login)
		await page.getByRole('button', { name: 'Use a recovery code' }).click()
		await page.getByRole('textbox', { name: 'Recovery code' }).fill(code)
		await page.getByRole('button', { name: 'Continue' }).click()
	}
	await signOut(page)
	await withCode(codes[0])
	await inside(page).waitFor()
	await signOut(page)
	await withCode(codes[0])
	await page.getByText('That did not match').waitFor()
	await page.getByRole('textbox', { name: 'Recovery code' }).fill(codes[1])
	await page.getByRole('button', { name: 'Continue' }).click()

	await security(page)
	await page.getByText('8 are left.').waitFor()
	await page.getByRole('button', { name: 'Remove the authenticator app' }).click()
	await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click()
	await page.getByRole('button', { name: 'Set up an authenticator app' }).waitFor()
	await signOut(page)
	await signIn(page, login)
	await inside(page).waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a passkey is the step after the password', { skip, timeout: 120_000 }, async () => {
	const login = 'key@example.test'
	const page = await open(browser, server, { login })
	await addPasskey(page, 'Pocket')
	await signOut(page)
	await signIn(page, login)
	await page.getByRole('heading', { name: 'Confirm with your passkey' }).waitFor()
	await page.getByRole('button', { name: 'Continue' }).click()
	await inside(page).waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a passkey signs in without the password, and can be removed', { skip, timeout: 120_000 }, async () => {
	const login = 'alone@example.test'
	const page = await open(browser, server, { login })
	await addPasskey(page, 'Desk')
	await signOut(page)
	await page.getByRole('button', { name: 'Sign in with a passkey' }).click()
	await security(page)
	await page.getByText(/last used/).waitFor()
	await page.route('**/auth/session', async (r) => { // as if signing in were long ago
		const response = await r.fetch()
		await r.fulfill({ response, json: { ...(await response.json()), proven: false } })
	})
	await page.getByRole('button', { name: 'Remove Desk' }).click()
	await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click()
	const proof = page.waitForResponse(`${server.url}/auth/prove/passkey/finish`)
	await page.getByRole('dialog', { name: 'Is it you?' }).getByRole('button', { name: 'Use a passkey' }).click()
	assert.equal((await proof).status(), 204)
	await page.getByRole('button', { name: 'Remove Desk' }).waitFor({ state: 'detached' })
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('a session that is ended elsewhere goes to the sign-in page', { skip, timeout: 120_000 }, async () => {
	const login = 'sessions@example.test'
	const other = await open(browser, server, { login, viewport: { width: 834, height: 1112 } })
	await other.getByText('In step').waitFor({ state: 'attached' })
	const page = await open(browser, server, { login, viewport: desktop })
	await security(page)
	await page.getByText('This browser').waitFor()
	await page.getByRole('button', { name: /^Sign out Chrom/ }).click()
	await outside(other).waitFor()
	await other.getByText('Your session has ended').waitFor()
	await page.getByRole('button', { name: /^Sign out Chrom/ }).waitFor({ state: 'detached' })
	assert.deepEqual(page.troubles, [])
	await other.context().close()
	await page.context().close()
})

test('the password is changed by who knows it', { skip, timeout: 120_000 }, async () => {
	const login = 'change@example.test'
	const page = await open(browser, server, { login })
	await security(page)
	await page.getByRole('button', { name: 'Change the password' }).click()
	await page.getByLabel('Current password').fill('not this one')
	await page.getByLabel('New password').fill('quite another horse')
	await page.getByRole('button', { name: 'Change the password' }).click()
	await page.getByText('That did not match').waitFor()
	await page.getByLabel('Current password').fill(password)
	await page.getByRole('button', { name: 'Change the password' }).click()
	await page.getByText('The password is changed').waitFor()
	await signOut(page)
	await signIn(page, login, 'quite another horse')
	await inside(page).waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})
