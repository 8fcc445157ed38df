import type { Cache } from '../store/db';

// Whose images are loaded without asking.

const key = 'imagesFrom';
const most = 2000;

export async function sendersAllowed(cache: Cache): Promise<string[]> {
	return (await cache.getMeta<string[]>(key)) ?? [];
}

export async function allowSender(cache: Cache, sender: string): Promise<void> {
	const all = await sendersAllowed(cache);
	if (!all.includes(sender)) await cache.setMeta(key, [...all, sender].slice(-most));
}

export async function forgetSender(cache: Cache, sender: string): Promise<void> {
	await cache.setMeta(key, (await sendersAllowed(cache)).filter((s) => s !== sender));
}
