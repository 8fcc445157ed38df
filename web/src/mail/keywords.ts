// Keywords: which of them are words that a person gave, and the colour of each.

// shownKeywords are those that are shown as chips.
export function shownKeywords(keywords: Record<string, true>): string[] {
	return Object.keys(keywords)
		// Those with $ are for programs, and so are these three of Thunderbird's.
		.filter((k) => !k.startsWith('$') && !/^(nonjunk|notjunk|junk)$/i.test(k))
		.sort();
}

// hueOf is the class of a keyword's colour: the same word has the same one everywhere.
export function hueOf(keyword: string): string {
	let h = 2166136261;
	for (const c of keyword.toLowerCase()) h = Math.imul(h ^ c.codePointAt(0)!, 16777619);
	return `k${((h >>> 0) ^ (h >>> 15)) % 8 >>> 0}`;
}

// keywordOf is what somebody typed, as a keyword may be spelled (RFC 8621 §4.1.1);
// undefined when it can't be one.
export function keywordOf(text: string): string | undefined {
	const word = text.trim().toLowerCase().replaceAll(/\s+/g, '-');
	return /^[^\s(){\]%*"\\$\x00-\x20\x7f-\uffff][^\s(){\]%*"\\\x00-\x20\x7f-\uffff]{0,99}$/.test(word) ? word : undefined;
}
