import { preferred, speak } from '../i18n/index.svelte';
import type { Language } from '../i18n/index.svelte';
import { useSingleKeys } from '../ui/keys';

// What this browser remembers of how one likes it; nothing that belongs to the account.

export type Swipe = 'archive' | 'trash' | 'flag' | 'read' | 'none';

export interface Prefs {
	theme: 'system' | 'light' | 'dark';
	density: 'comfortable' | 'compact';
	language: Language | null; // null: the browser's
	singleKeys: boolean;
	listWidth: number; // px
	treeOpen: boolean;
	folded: string[]; // mailboxes whose children are hidden
	swipeStart: Swipe; // towards the end of the line
	swipeEnd: Swipe;
}

const defaults: Prefs = { theme: 'system', density: 'comfortable', language: null, singleKeys: true, listWidth: 400, treeOpen: true, folded: [], swipeStart: 'archive', swipeEnd: 'flag' };
const key = 'lockstep.prefs';

function read(): Prefs {
	try {
		return { ...defaults, ...(JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Prefs>) };
	} catch {
		return defaults;
	}
}

let current = $state.raw<Prefs>(read());

export function prefs(): Prefs {
	return current;
}

export async function setPrefs(part: Partial<Prefs>): Promise<void> {
	current = { ...current, ...part };
	localStorage.setItem(key, JSON.stringify(current));
	await applyPrefs();
}

// applyPrefs makes the page be as the preferences say.
export async function applyPrefs(): Promise<void> {
	const root = document.documentElement;
	if (current.theme === 'system') delete root.dataset.theme;
	else root.dataset.theme = current.theme;
	useSingleKeys(current.singleKeys);
	await speak(current.language ?? preferred());
}

// Another tab changed them.
window.addEventListener('storage', (e) => {
	if (e.key !== key) return;
	current = read();
	void applyPrefs();
});
