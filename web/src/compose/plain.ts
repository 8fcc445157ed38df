// Rich text as plain text: what is read where HTML is not. It walks any tree that looks
// like a document's. Pure.

export interface Tree {
	nodeType: number; // 1 an element, 3 text
	nodeName: string;
	textContent: string | null;
	childNodes: ArrayLike<Tree>;
	getAttribute?: (name: string) => string | null;
}

const blocks = new Set(['DIV', 'P', 'UL', 'OL', 'LI', 'BLOCKQUOTE', 'PRE', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'TABLE', 'TR', 'HR', 'SECTION', 'ARTICLE', 'HEADER', 'FOOTER', 'DL', 'DT', 'DD', 'FIGURE']);
const unseen = new Set(['STYLE', 'SCRIPT', 'HEAD', 'TITLE', 'TEMPLATE']);

// plainOf is the text of a tree. Quotes have "> " before each line, lists their marks.
export function plainOf(root: Tree): string {
	return linesOf(root).join('\n').replaceAll(/\n{3,}/g, '\n\n').replace(/^\n+|\s+$/g, '');
}

function linesOf(root: Tree): string[] {
	const lines = [''];
	let open = true; // the last line may go on
	const fresh = () => {
		if (!open || lines.at(-1) !== '') lines.push('');
		open = true;
	};
	const add = (more: string[]) => {
		fresh();
		lines.pop();
		lines.push(...more, '');
	};
	let number = 0;
	for (const node of Array.from(root.childNodes)) {
		if (node.nodeType === 3) {
			const [first = '', ...rest] = root.nodeName === 'PRE' ? (node.textContent ?? '').split('\n') : [space(node.textContent ?? '', lines.at(-1)!)];
			lines[lines.length - 1] += first;
			lines.push(...rest);
		} else if (node.nodeType !== 1 || unseen.has(node.nodeName)) continue;
		else if (node.nodeName === 'BR') {
			lines.push('');
			open = true;
		} else if (node.nodeName === 'IMG') lines[lines.length - 1] += node.getAttribute?.('alt') ? `[${node.getAttribute('alt')}]` : '';
		else if (node.nodeName === 'A') lines[lines.length - 1] += link(node);
		else if (node.nodeName === 'HR') add(['', '---', '']);
		else if (node.nodeName === 'BLOCKQUOTE') add(linesOf(node).map((l) => (l.startsWith('>') ? `>${l}` : `> ${l}`.trimEnd())));
		else if (node.nodeName === 'LI') {
			const mark = root.nodeName === 'OL' ? `${++number}. ` : '- ';
			add(trimmed(linesOf(node)).map((l, i) => (i === 0 ? mark : ' '.repeat(mark.length)) + l));
		} else if (blocks.has(node.nodeName)) {
			const inside = linesOf(node);
			if (inside.at(-1) === '') inside.pop(); // the end of a block ends its last line
			if (inside.length === 0) inside.push('');
			add(node.nodeName === 'P' || node.nodeName === 'UL' || node.nodeName === 'OL' ? paragraph(inside, root.nodeName) : inside);
		} else {
			const [first = '', ...rest] = linesOf(node);
			lines[lines.length - 1] += first;
			lines.push(...rest);
		}
	}
	if (lines.length > 1 && lines.at(-1) === '') lines.pop();
	return lines;
}

function paragraph(lines: string[], inside: string): string[] {
	return inside === 'LI' ? lines : [...lines, ''];
}

function trimmed(lines: string[]): string[] {
	const out = [...lines];
	while (out.length > 1 && out.at(-1) === '') out.pop();
	return out;
}

// space folds white space as a browser does.
function space(text: string, before: string): string {
	const folded = text.replaceAll('\u200b', '').replaceAll(/[ \t\r\n]+/g, ' ').replaceAll('\u00a0', ' ');
	return before === '' || before.endsWith(' ') ? folded.replace(/^ /, '') : folded;
}

function link(a: Tree): string {
	const text = (a.textContent ?? '').trim();
	const href = a.getAttribute?.('href') ?? '';
	const bare = href.replace(/^mailto:/i, '').replace(/\/$/, '');
	if (!href || href.startsWith('#') || text.replace(/\/$/, '') === bare || text === href || `https://${text}` === bare || `http://${text}` === bare) return text;
	return text ? `${text} <${bare}>` : bare;
}
