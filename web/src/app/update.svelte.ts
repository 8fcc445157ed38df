// The service worker, and the newer version that it may hold.

let waiting = $state.raw<ServiceWorker | null>(null);

export function newVersion(): boolean {
	return waiting !== null;
}

export async function watchForUpdates(): Promise<void> {
	if (!('serviceWorker' in navigator) || import.meta.env.DEV) return;
	const registration = await navigator.serviceWorker.register('/sw.js', { updateViaCache: 'none' });
	const look = () => {
		if (registration.waiting && navigator.serviceWorker.controller) waiting = registration.waiting;
	};
	look();
	registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', look));
	document.addEventListener('visibilitychange', () => {
		if (document.visibilityState === 'visible') void registration.update().catch(() => {});
	});
}

// takeNewVersion loads the page anew with it.
export function takeNewVersion(): void {
	navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
	waiting?.postMessage('take over');
}
