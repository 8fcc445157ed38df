import { expect, test } from 'vitest';

import { cleanSheet, remoteUrls, withoutUrls } from './sanitise';

test('addresses go out of style, and what the message brings stays', () => {
	expect(withoutUrls('a{background:url(https://x.test/a.png) red}')).toBe('a{background:none red}');
	expect(withoutUrls(`a{background:url( "https://x.test/)" )}b{background:URL('x')}`)).toBe('a{background:none}b{background:none}');
	expect(withoutUrls('a{background:url("data:image/png;base64,AA")}b{background:url(data:image/png,A)}')).toBe('a{background:url("data:image/png;base64,AA")}b{background:url(data:image/png,A)}');
	expect(withoutUrls('a{background:url(https://x.test/a')).toBe('a{background:none');
	expect(cleanSheet('@import url(https://x.test/a.css);a{}@font-face{src:url(x)}b{}')).toBe('a{}b{}');
	expect(remoteUrls(`a{background:url( ' https://x.test')}b{background:url(//x.test)}c{background:url(data:,)}`)).toBe(2);
});

// A sheet must not keep the page busy for minutes.
test('sheets are looked at once', () => {
	const n = 200_000;
	const began = performance.now();
	for (const css of ['url('.repeat(n), 'url("'.repeat(n), '@import'.repeat(n) + '{', '@font-face{'.repeat(n), 'url(' + ' '.repeat(n), 'image-set('.repeat(n), 'image-set(' + 'x'.repeat(n)]) {
		withoutUrls(css);
		cleanSheet(css);
		remoteUrls(css);
	}
	expect(performance.now() - began).toBeLessThan(5000);
});
