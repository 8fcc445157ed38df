// What other devices do: mail that comes in by LMTP, and a mail program on IMAP.
import net from 'node:net'

/** A conversation in lines. */
class Lines {
	constructor(port) {
		this.socket = net.connect(port, '127.0.0.1')
		this.buffer = ''
		this.waiting = null
		this.socket.setEncoding('utf8')
		this.socket.on('data', (s) => { this.buffer += s; this.wake() })
		this.socket.on('close', () => { this.closed = true; this.wake() })
		this.socket.on('error', () => {})
	}
	wake() {
		const w = this.waiting
		this.waiting = null
		w?.()
	}
	async line() {
		for (;;) {
			const at = this.buffer.indexOf('\r\n')
			if (at >= 0) {
				const line = this.buffer.slice(0, at)
				this.buffer = this.buffer.slice(at + 2)
				return line
			}
			if (this.closed) throw new Error('the connection is closed')
			await new Promise((done) => { this.waiting = done })
		}
	}
	async bytes(n) {
		while (this.buffer.length < n) {
			if (this.closed) throw new Error('the connection is closed')
			await new Promise((done) => { this.waiting = done })
		}
		const s = this.buffer.slice(0, n)
		this.buffer = this.buffer.slice(n)
		return s
	}
	say(line) { this.socket.write(`${line}\r\n`) }
	end() { this.socket.end() }
}

/** Hands a message in by LMTP. */
export async function deliver(server, to, text, from = 'friend@elsewhere.example') {
	const c = new Lines(server.lmtp)
	const reply = async (want) => {
		for (;;) {
			const line = await c.line()
			if (line[3] === '-') continue
			if (!line.startsWith(want)) throw new Error(`LMTP says ${line}, not ${want}`)
			return
		}
	}
	await reply('220')
	for (const [line, want] of [['LHLO test', '250'], [`MAIL FROM:<${from}>`, '250'], [`RCPT TO:<${to}>`, '250'], ['DATA', '354']]) {
		c.say(line)
		await reply(want)
	}
	c.say(text.replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..') + '\r\n.')
	await reply('250')
	c.say('QUIT')
	c.end()
}

let letters = 0

/** A plain message. */
export function letter({ from = 'Carol Example <carol@elsewhere.example>', to = 'alice@example.test', subject = 'Lunch', text = 'Shall we have lunch today?', headers = '', date = new Date() } = {}) {
	return `From: ${from}\nTo: ${to}\nSubject: ${subject}\nDate: ${date.toUTCString().replace('GMT', '+0000')}\nMessage-ID: <e2e-${process.pid}-${++letters}@elsewhere.example>\n${headers}MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n${text}\n`
}

/** A mail program on IMAP. */
export class Imap {
	static async login(server, login, secret) {
		const i = new Imap()
		i.c = new Lines(server.imap)
		i.n = 0
		await i.c.line()
		await i.run(`LOGIN "${login}" "${secret}"`)
		return i
	}
	/** Runs a command; returns what came before its OK, literals inlined. */
	async run(command) {
		const tag = `t${++this.n}`
		this.c.say(`${tag} ${command}`)
		const said = []
		for (;;) {
			let line = await this.c.line()
			for (let m; (m = /\{(\d+)\}$/.exec(line)); ) line = line + '\n' + (await this.c.bytes(Number(m[1]))) + (await this.c.line())
			if (line.startsWith(`${tag} `)) {
				if (!line.startsWith(`${tag} OK`)) throw new Error(`${command}: ${line}`)
				return said
			}
			said.push(line)
		}
	}
	end() { this.c.end() }
}
