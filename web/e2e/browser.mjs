// Debian's Chromium, driven by Playwright. Without it tests skip by name; under CI they fail.
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { password } from './server.mjs'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)

/** Why tests are skipped; false if they run. */
export const skip = executablePath || process.env.CI ? false : 'chromium is not installed'

const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

export const launch = () => chromium.launch({ executablePath, args: quiet })

export const desktop = { width: 1440, height: 900 }
export const phone = { width: 390, height: 844 }

/** A page that is signed in. What goes wrong on it, and each request to anybody but the server, is in page.troubles. */
export async function open(browser, server, { login = 'alice@example.test', viewport = desktop, ...more } = {}) {
	const context = await browser.newContext({ viewport, locale: 'en-GB', timezoneId: 'Europe/Berlin', ...more })
	const page = await context.newPage()
	watch(page, server)
	await page.goto(server.url)
	await signIn(page, login)
	return page
}

export function watch(page, server) {
	page.troubles = []
	page.on('pageerror', (e) => page.troubles.push(String(e)))
	page.on('console', (m) => { if (m.type() === 'error' && !/status of 401|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED/.test(m.text())) page.troubles.push(m.text()) })
	page.on('request', (r) => { if (/^https?:/.test(r.url()) && !r.url().startsWith(server.url)) page.troubles.push(`a request to ${r.url()}`) })
}

export async function signIn(page, login = 'alice@example.test', secret = password) {
	await page.getByLabel('Email address').fill(login)
	await page.getByLabel('Password', { exact: true }).fill(secret)
	await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}
