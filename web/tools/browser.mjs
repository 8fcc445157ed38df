import { chromium } from 'playwright-core';

// launch starts Debian's Chromium, or the one that CHROMIUM names.
export function launch(options = {}) {
	return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'], ...options });
}
