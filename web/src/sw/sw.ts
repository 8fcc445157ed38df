/// <reference lib="webworker" />
// The service worker keeps the files of the app, so that it starts without a network.
// Mail it never sees: that lies in IndexedDB, and requests for it pass through.
export {};
declare const self: ServiceWorkerGlobalScope;
declare const __SHELL__: { version: string; files: string[] };

const shell = __SHELL__;
const name = `shell-${shell.version}`;

self.addEventListener('install', (e) => {
	e.waitUntil(
		(async () => {
			const cache = await caches.open(name);
			await cache.addAll(shell.files.map((f) => new Request(f, { cache: f.startsWith('/assets/') ? 'default' : 'reload' })));
			// The first one has nobody to wait for.
			if (!self.registration.active) await self.skipWaiting();
		})(),
	);
});

self.addEventListener('activate', (e) => {
	e.waitUntil(
		(async () => {
			for (const key of await caches.keys()) if (key.startsWith('shell-') && key !== name) await caches.delete(key);
			await self.clients.claim();
		})(),
	);
});

self.addEventListener('message', (e) => {
	if (e.data === 'take over') void self.skipWaiting();
});

self.addEventListener('fetch', (e) => {
	const url = new URL(e.request.url);
	if (e.request.method !== 'GET' || url.origin !== location.origin) return;
	const path = isPage(url.pathname) && e.request.mode === 'navigate' ? '/' : url.pathname;
	if (!shell.files.includes(path)) return;
	e.respondWith(caches.open(name).then(async (c) => (await c.match(path)) ?? fetch(e.request)));
});

function isPage(path: string): boolean {
	return path === '/' || /^\/(mail|search|settings|devices|activity|outbox)(\/|$)/.test(path);
}
