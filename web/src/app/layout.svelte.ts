import { MediaQuery } from 'svelte/reactivity';

import { prefs, setPrefs } from './prefs.svelte';

// How many panes there is room for.
const wide = new MediaQuery('(min-width: 1200px)');
const middle = new MediaQuery('(min-width: 768px)');

let drawer = $state(false);

export const layout = {
	get panes(): 1 | 2 | 3 {
		return wide.current ? 3 : middle.current ? 2 : 1;
	},
	// Whether the mailboxes are seen: in their column, or slid in over the rest.
	get tree(): boolean {
		return this.panes === 3 ? prefs().treeOpen : drawer;
	},
	get drawer(): boolean {
		return drawer && this.panes !== 3;
	},
};

export function toggleTree(): void {
	if (layout.panes === 3) void setPrefs({ treeOpen: !prefs().treeOpen });
	else drawer = !drawer;
}

export function closeDrawer(): void {
	drawer = false;
}
