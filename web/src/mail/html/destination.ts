// destination is where a link leads, as one can read it.
export function destination(href: string): string {
	if (/^mailto:/i.test(href)) return decoded(href.slice(7).split('?')[0]!);
	try {
		return new URL(href).href;
	} catch {
		return href;
	}
}

// decoded undoes percent encoding where there is some to undo.
export function decoded(s: string): string {
	try {
		return decodeURIComponent(s);
	} catch {
		return s;
	}
}
