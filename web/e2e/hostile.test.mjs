// Mail that wants something: hostile/*.eml, and what is too large to be a file. Whatever
// it is, nothing in it runs, nothing is asked of anybody, its text can be read, and the
// app goes on.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { launch, open, skip } from './browser.mjs'
import { deliver, letter } from './mail.mjs'
import { row, until } from './mailbox.mjs'
import { startServer } from './server.mjs'

const folder = new URL('./hostile/', import.meta.url)
const corpus = readdirSync(folder).filter((f) => f.endsWith('.eml')).map((f) => ({ name: f.slice(0, -4), text: readFileSync(new URL(f, folder), 'utf8') }))

const html = (subject, body) => letter({ subject, text: body }).replace('text/plain', 'text/html')
const made = {
	'deep-html': html('Deep HTML', `<p>You can read deep-html.</p>${'<div>'.repeat(20_000)}<script>parent.pwned=1</script>`),
	'deep-tables': html('Deep tables', `<p>You can read deep-tables.</p>${'<table><tr><td>'.repeat(400)}cell`),
	'deep-mime': letter({ subject: 'Deep MIME' }).replace(/Content-Type:[^]*/, Array.from({ length: 90 }, (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\n\n--b${n}\n`).join('') + 'Content-Type: text/plain\n\nYou can read deep-mime.\n'),
	'long-headers': letter({ subject: `Long headers ${'long '.repeat(4000)}`, from: `"${'name '.repeat(4000)}" <mallory@evil.example>`, headers: `X-Long: ${' folded\n'.repeat(100)}${`X-More: ${'x'.repeat(900)}\n`.repeat(100)}`, text: 'You can read long-headers.' }),
	'many-people': letter({ subject: 'Many people', headers: `Cc: ${Array.from({ length: 2000 }, (_, n) => `Person ${n} <p${n}@evil.example>`).join(',\n ')}\n`, text: 'You can read many-people.' }),
	'many-parts': letter({ subject: 'Many parts' }).replace(/Content-Type:[^]*/, 'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nYou can read many-parts.\n' + Array.from({ length: 500 }, (_, n) => `--b\nContent-Type: text/html\nContent-Disposition: attachment; filename="${n}.html"\n\n<script>parent.pwned=1</script>\n`).join('') + '--b--\n'),
	'large-html': html('Large HTML', `<p>You can read large-html.</p>${'<p style="color:red"><img src="https://evil.example/x.png" width=20 height=20> text <a href="javascript:parent.pwned=1">click me</a></p>\n'.repeat(8000)}`),
	'one-line': letter({ subject: 'One line', text: `You can read one-line.\n${'https://evil.example/'.repeat(40)}\n${`${'>'.repeat(80)} quoted\n`.repeat(2000)}` })
}
const all = [...corpus, ...Object.entries(made).map(([name, text]) => ({ name, text }))]

let server, browser
before(async () => {
	if (skip) return
	server = await startServer()
	for (const { text } of all) await deliver(server, 'alice@example.test', text, 'mallory@evil.example')
	browser = await launch()
})
after(async () => { await browser?.close(); await server?.stop() })

/** A page that notes everything that a message must not bring about. */
async function guarded() {
	const page = await open(browser, server)
	page.setDefaultTimeout(30_000)
	page.on('dialog', (d) => { page.troubles.push(`a dialog: ${d.message()}`); void d.dismiss() })
	page.on('download', (d) => page.troubles.push(`a download: ${d.url()}`))
	page.context().on('page', (p) => page.troubles.push(`a window: ${p.url()}`))
	page.on('framenavigated', (f) => {
		const { origin, pathname } = new URL(f.url())
		if (f.parentFrame() && (origin !== server.url || !pathname.startsWith('/frame/'))) page.troubles.push(`a frame at ${f.url()}`)
	})
	page.on('request', (r) => { if (/\/auth\/sign-out|relative\.png/.test(r.url())) page.troubles.push(`a request to ${r.url()}`) })
	await rowsReady(page)
	return page
}

/** What went wrong, but for what the sandbox and the policy of the frame refused: that is what they are for. */
const wrong = (page) => page.troubles.filter((s) => !/^Blocked script execution in '[^']*\/frame\/closed'|violates the following Content Security Policy directive/.test(s))

const rowsReady = (page) => until(() => page.locator('a[data-row]').count(), (n) => n > 0)

const article = (page) => page.getByRole('article')

/** The list of messages, each by the address of its conversation. */
async function addresses(page) {
	return page.evaluate(async () => {
		const { name } = (await indexedDB.databases()).find((d) => d.name.startsWith('lockstep-'))
		const db = await new Promise((done) => { const r = indexedDB.open(name); r.onsuccess = () => done(r.result) })
		const all = await new Promise((done) => { const r = db.transaction('emails').objectStore('emails').getAll(); r.onsuccess = () => done(r.result) })
		db.close()
		return all.map((e) => ({ preview: e.preview, href: `/mail/inbox/${e.threadId}` }))
	})
}

/** Everything that one can see of the message that is open: of the text, and of the frame. */
function look() {
	const frame = document.querySelector('article iframe')
	const doc = frame?.contentDocument
	const inside = doc ? [...doc.querySelectorAll('*')] : []
	const refused = 'script, noscript, iframe, frame, frameset, object, embed, applet, form, input, button, textarea, select, base, meta[http-equiv], link, svg, math, video, audio, picture, template, dialog, map, portal, fencedframe'
	const box = frame?.getBoundingClientRect()
	const pane = document.querySelector('main')?.getBoundingClientRect()
	return {
		text: `${document.querySelector('article')?.innerText ?? ''} ${doc?.body?.innerText ?? ''}`,
		ran: [window, frame?.contentWindow].some((w) => w && 'pwned' in w && w.pwned === 1),
		elements: inside.filter((e) => e.matches(refused)).map((e) => e.outerHTML.slice(0, 120)),
		handlers: inside.flatMap((e) => [...e.attributes].filter((a) => /^on/i.test(a.name)).map((a) => `${e.localName} ${a.name}`)),
		names: inside.flatMap((e) => [...e.attributes].filter((a) => a.name === 'id' || a.name === 'name').map((a) => `${e.localName} ${a.name}=${a.value}`)),
		links: inside.filter((e) => e.hasAttribute('href')).map((e) => e.getAttribute('href')).filter((h) => !/^(https?|mailto|tel):/i.test(h)),
		targets: inside.filter((e) => e.localName === 'a' && e.hasAttribute('href') && (e.target !== '_blank' || !/noopener/.test(e.rel))).map((e) => e.outerHTML.slice(0, 120)),
		fetches: inside.flatMap((e) => (e.localName === 'style' ? [e.textContent.match(/(?:url\(|@import|image-set\()[^;]{0,40}evil\.example/i)?.[0]] : ['src', 'srcset', 'poster', 'background', 'style', 'data', 'ping'].map((a) => e.getAttribute(a)))).filter((v) => v?.includes('evil.example')),
		fixed: inside.filter((e) => /fixed|sticky/.test(doc.defaultView.getComputedStyle(e).position)).map((e) => e.outerHTML.slice(0, 120)),
		wide: box && pane ? box.right > pane.right + 1 || box.left < pane.left - 1 : false,
		page: document.documentElement.scrollWidth > document.documentElement.clientWidth
	}
}

test('nothing in a message runs or asks, and its text can be read', { skip, timeout: 400_000 }, async (t) => {
	const page = await guarded()
	await until(async () => (await addresses(page)).length, (n) => n >= all.length)
	for (const { name } of all) {
		await t.test(name, async () => {
			page.troubles.length = 0
			const subject = (made[name] ?? corpus.find((c) => c.name === name).text).match(/^Subject: (\S+ ?\S+ ?\S+)/m)[1]
			const { href } = (await addresses(page)).find((e) => e.preview.includes(`You can read ${name}`)) ?? {}
			assert.ok(href, `${name} (${subject}) is in the list`)
			await page.evaluate((to) => { const a = document.createElement('a'); a.href = to; document.body.append(a); a.click(); a.remove() }, href)
			const seen = await until(() => page.evaluate(look), (s) => s.text.includes(`You can read ${name}`))
			// What waits for a click, or for time, gets both.
			await page.evaluate(() => {
				const doc = document.querySelector('article iframe')?.contentDocument
				for (const el of [...(doc?.querySelectorAll('*') ?? [])].filter((e) => !e.closest('a[href]')).slice(0, 300)) for (const type of ['pointerover', 'mouseover', 'click', 'focus']) el.dispatchEvent(new (type === 'focus' ? FocusEvent : MouseEvent)(type, { bubbles: true }))
			})
			await page.waitForTimeout(100)
			const after = await page.evaluate(look)
			assert.ok(!seen.ran && !after.ran, 'nothing ran')
			for (const what of ['elements', 'handlers', 'names', 'links', 'targets', 'fetches', 'fixed']) assert.deepEqual(after[what], [], what)
			assert.ok(!after.wide, 'it stays in its place')
			assert.ok(!after.page, 'the page is not wider than the window')
			assert.equal(new URL(page.url()).origin, server.url)
			assert.deepEqual(wrong(page), [])
		})
	}
	// The app is as it was.
	page.troubles.length = 0
	await page.getByRole('link', { name: 'Sent' }).click()
	await page.getByRole('heading', { name: 'Sent' }).waitFor()
	await page.keyboard.press('?')
	await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
	assert.deepEqual(page.troubles, [])
	await page.context().close()
})

test('pictures from elsewhere load after the click, and only those', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await rowsReady(page)
	const asked = []
	const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
	await page.context().route((u) => u.origin !== server.url && u.protocol.startsWith('http'), (route) => {
		asked.push({ path: new URL(route.request().url()).pathname, referer: route.request().headers().referer, cookie: route.request().headers().cookie })
		return route.fulfill({ contentType: 'image/png', body: png })
	})
	await row(page, 'what tells that one reads').locator('a').click()
	await article(page).getByText('invisible images').waitFor()
	assert.deepEqual(asked, [])
	await article(page).getByRole('button', { name: 'Load images' }).click()
	await until(() => asked.length, (n) => n >= 3)
	await page.waitForTimeout(500)
	assert.deepEqual(asked.map((a) => a.path).sort(), ['/photo1.png', '/photo2.png', '/photo3.png'])
	assert.deepEqual(asked.filter((a) => a.referer || a.cookie), [])
	// The next message is closed again.
	await row(page, 'addresses of pictures').locator('a').click()
	await article(page).getByRole('button', { name: 'Load images' }).waitFor()
	await page.waitForTimeout(500)
	assert.equal(asked.length, 3)
	await page.context().close()
})

test('links say where they lead', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'links that lie').locator('a').click()
	const frame = page.frameLocator('article iframe')
	const leads = (text) => frame.getByText(text, { exact: true }).first().getAttribute('data-leads')
	assert.equal(await leads('https://bank.example/sign-in'), 'evil.example')
	assert.equal(await leads('www.bank.example'), 'evil.example')
	assert.equal(await leads('bank.example'), 'bank.example.evil.example')
	assert.equal(await frame.getByText('the bank (homograph)').getAttribute('title'), 'https://xn--bnk-5cd.example/')
	assert.match(await frame.getByText('b\u0430nk.example').getAttribute('title'), /xn--/)
	await page.context().close()
})

test('an attachment that is a page comes as a file, whatever one asks for', { skip, timeout: 120_000 }, async () => {
	const page = await open(browser, server)
	await row(page, 'types that lie').locator('a').click()
	const files = article(page).getByRole('region', { name: /attachments/ }).getByRole('link')
	await files.first().waitFor()
	const hrefs = await files.evaluateAll((all) => all.map((a) => a.href))
	assert.ok(hrefs.length >= 9, `${hrefs.length} attachments`)
	for (const href of hrefs) for (const type of [null, 'text/html', 'image/svg+xml', 'application/xhtml+xml']) {
		const url = new URL(href)
		if (type) for (const key of url.searchParams.keys()) if (/accept|type/.test(key)) url.searchParams.set(key, type)
		const answer = await page.request.get(url.href)
		assert.equal(answer.status(), 200, url.href)
		const headers = answer.headers()
		assert.match(headers['content-disposition'], /^attachment/, url.href)
		assert.equal(headers['x-content-type-options'], 'nosniff', url.href)
		assert.match(headers['content-security-policy'], /sandbox/, url.href)
		assert.doesNotMatch(headers['content-disposition'], /[\r\n]|\.\.\//, url.href)
	}
	const other = await page.context().newPage()
	other.on('dialog', (d) => { other.ran = true; void d.dismiss() })
	const download = other.waitForEvent('download')
	await other.goto(hrefs.find((h) => h.includes('page.html'))).catch(() => {})
	await download
	assert.ok(!other.ran)
	assert.ok(await page.evaluate(() => !('pwned' in window)))
	await page.context().close()
})
