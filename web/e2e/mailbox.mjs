// What tests ask of a mailbox, on the page and in IMAP.
import assert from 'node:assert/strict'

export const soon = 30_000 // ms in which what is waited for happens, on a slow machine too

/** Asks until the answer is what is wanted. */
export async function until(what, wanted, ms = soon) {
	let last
	for (const end = Date.now() + ms; Date.now() < end; await new Promise((done) => setTimeout(done, 100))) {
		last = await what()
		if (wanted(last)) return last
	}
	assert.fail(`it stays ${JSON.stringify(last)}`)
}

/** The row of a conversation. */
export const row = (page, subject) => page.locator('.row', { has: page.locator('.subject', { hasText: subject }) })

/** The rows that can be seen. */
export const rows = (page) => page.locator('a[data-row]')

/** Opens a conversation and waits until its text is there to be read. */
export async function read(page, subject) {
	await row(page, subject).locator('a').click()
	await page.getByRole('article', { name: subject }).waitFor()
	await page.locator('.message .content .to').first().waitFor()
}

/** What a note at the bottom says. */
export const note = (page, text) => page.locator('.note', { hasText: text })

/** What the state at the top right says. */
export const state = (page, words) => page.getByRole('button', { name: `State of this device: ${words}` })

/** The UIDs that an IMAP program finds by subject. */
export async function found(imap, mailbox, subject) {
	await imap.run(`EXAMINE "${mailbox}"`)
	return search(imap, subject)
}

async function search(imap, subject) {
	const said = (await imap.run(`UID SEARCH HEADER SUBJECT "${subject}"`)).find((l) => l.startsWith('* SEARCH')) ?? ''
	return said.replace('* SEARCH', '').trim().split(' ').filter((u) => u !== '')
}

/** The flags of the one message of this subject. */
export async function flags(imap, mailbox, subject) {
	const [uid] = await found(imap, mailbox, subject)
	if (!uid) return null
	const said = (await imap.run(`UID FETCH ${uid} (FLAGS)`)).find((l) => l.includes('FLAGS (')) ?? ''
	return /FLAGS \(([^)]*)\)/.exec(said)?.[1].split(' ').filter((f) => f !== '') ?? null
}

/** Does something to the messages of this subject, as a mail program would; % is their UIDs. */
export async function act(imap, mailbox, subject, command) {
	await imap.run(`SELECT "${mailbox}"`)
	const uids = await search(imap, subject)
	assert.ok(uids.length > 0, `${subject} is in ${mailbox}`)
	return imap.run(command.replace('%', uids.join(',')))
}
