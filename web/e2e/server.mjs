// A server of its own for each file of tests, with accounts in it: the real program, on
// ports that were free, with its data in a directory that goes when it ends.
import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The program, built once for all files of tests. */
function program() {
	const bin = process.env.LOCKSTEP_BIN ?? path.join(os.tmpdir(), `lockstep-e2e-${process.pid}`)
	if (!process.env.LOCKSTEP_BIN) {
		execFileSync('go', ['build', '-o', bin, './cmd/lockstep'], { cwd: root, env: { ...process.env, CGO_ENABLED: '0' }, stdio: 'inherit' })
		process.on('exit', () => rmSync(bin, { force: true }))
		process.env.LOCKSTEP_BIN = bin
	}
	return bin
}

async function freePorts(n) {
	const servers = await Promise.all(
		Array.from({ length: n }, () => new Promise((done) => { const s = net.createServer().listen(0, '127.0.0.1', () => done(s)) }))
	)
	const ports = servers.map((s) => s.address().port)
	await Promise.all(servers.map((s) => new Promise((done) => s.close(done))))
	return ports
}

export const password = 'correct horse battery'

/** Starts a server with accounts; stop ends it and removes what it kept. */
export async function startServer({ accounts = ['alice@example.test', 'bob@example.test'] } = {}) {
	const bin = program()
	const dir = mkdtempSync(path.join(os.tmpdir(), 'lockstep-e2e-'))
	const [http, imap, lmtp] = await freePorts(3)
	const at = (port) => `"127.0.0.1:${port}"`
	const config = path.join(dir, 'lockstep.toml')
	const none = ['imaps', 'pop3', 'pop3s', 'smtp', 'submission', 'submissions', 'https'].map((p) => `${p} = []`).join('\n')
	writeFileSync(config, `data = ${JSON.stringify(path.join(dir, 'data'))}\nhostname = "localhost"\n[listen]\nhttp = ${at(http)}\nimap = ${at(imap)}\nlmtp = ${at(lmtp)}\n${none}\n`, { mode: 0o600 })
	const run = (args, input = '') => execFileSync(bin, ['--config', config, ...args], { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
	for (const login of accounts) run(['account', 'add', login], `${password}\n`)
	let child
	const start = async () => {
		child = spawn(bin, ['--config', config, 'serve'], { stdio: ['ignore', 'ignore', 'pipe'] })
		let log = ''
		child.stderr.on('data', (b) => { log += b })
		for (let tries = 0; ; tries++) {
			if (child.exitCode !== null || tries > 300) throw new Error(`the server does not start:\n${log}`)
			const ok = await fetch(`http://127.0.0.1:${http}/healthz`).then((r) => r.ok, () => false)
			if (ok) return
			await new Promise((done) => setTimeout(done, 50))
		}
	}
	const end = () => new Promise((done) => {
		if (child.exitCode !== null) return done()
		child.once('exit', done)
		child.kill('SIGTERM')
	})
	await start()
	return {
		url: `http://localhost:${http}`, imap, lmtp, run,
		/** Stops it, and starts it again on the same ports. */
		restart: async () => { await end(); await start() },
		/** It is away until back() is called. */
		away: end, back: start,
		stop: async () => { await end(); rmSync(dir, { recursive: true, force: true }) }
	}
}
