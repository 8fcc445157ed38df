// Plain text to paragraphs, links and quotes that can be folded. Pure.

export interface Block {
	kind: 'text' | 'quote' | 'signature';
	pieces: Piece[];
	lines: number;
}

export interface Piece {
	text: string;
	href?: string;
}

// blocks splits text into what was written, what was quoted, and the signature.
export function blocks(text: string): Block[] {
	const out: { kind: Block['kind']; lines: string[] }[] = [];
	let kind: Block['kind'] = 'text';
	for (const line of text.replaceAll('\r\n', '\n').trimEnd().split('\n')) {
		if (/^>/.test(line)) kind = 'quote';
		else if (/^-- ?$/.test(line)) kind = 'signature';
		else if (kind === 'quote') kind = 'text';
		const last = out.at(-1);
		if (last?.kind === kind) last.lines.push(line);
		else out.push({ kind, lines: [line] });
	}
	return out
		.map(({ kind, lines }) => ({ kind, pieces: links(trimmed(kind === 'quote' ? lines.map((l) => l.replace(/^> ?/, '')) : lines)), lines: lines.length }))
		.filter((b) => b.pieces.length > 0);
}

function trimmed(lines: string[]): string {
	return lines.join('\n').replace(/^\n+|\n+$/g, '');
}

const address = /\b(?:https?:\/\/|www\.)[^\s<>"'`{}|\\^]+|\bmailto:[^\s<>"']+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b/gi;

// links finds addresses in a text. What closes a sentence or a bracket is not theirs.
export function links(text: string): Piece[] {
	const out: Piece[] = [];
	let at = 0;
	for (const m of text.matchAll(address)) {
		let found = m[0].replace(/[.,;:!?'"»“”]+$/, '');
		while (/[)\]]$/.test(found) && count(found, '([') < count(found, ')]')) found = found.slice(0, -1);
		if (m.index > at) out.push({ text: text.slice(at, m.index) });
		out.push({ text: found, href: hrefOf(found) });
		at = m.index + found.length;
	}
	if (at < text.length) out.push({ text: text.slice(at) });
	return out;
}

function count(s: string, chars: string): number {
	return [...s].filter((c) => chars.includes(c)).length;
}

function hrefOf(found: string): string {
	if (/^(https?:|mailto:)/i.test(found)) return found;
	return /^www\./i.test(found) ? `https://${found}` : `mailto:${found}`;
}
