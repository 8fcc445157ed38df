import type { Key } from '../i18n/index.svelte';

// The one table of keys: what they are, what they do, and what the help sheet says.

export type Action =
	| 'next' | 'previous' | 'open' | 'back' | 'select' | 'selectAll'
	| 'archive' | 'trash' | 'junk' | 'flag' | 'read' | 'keyword' | 'move' | 'undo' | 'palette'
	| 'reply' | 'replyAll' | 'forward' | 'compose' | 'send'
	| 'search' | 'goInbox' | 'goDrafts' | 'goSent' | 'goArchive' | 'goFlagged' | 'goTrash' | 'goDevices' | 'goActivity' | 'goSettings'
	| 'help';

export type Group = 'move' | 'act' | 'write' | 'go';

export interface Binding {
	action: Action;
	keys: string[]; // each a key, or two in a row: "g i"
	label: Key;
	group: Group;
	always?: boolean; // also while one types, and when the single keys are switched off
}

export const bindings: Binding[] = [
	{ action: 'next', keys: ['j'], label: 'keys.next', group: 'move' },
	{ action: 'previous', keys: ['k'], label: 'keys.previous', group: 'move' },
	{ action: 'open', keys: ['o', 'Enter'], label: 'keys.open', group: 'move' },
	{ action: 'back', keys: ['u', 'Escape'], label: 'keys.back', group: 'move' },
	{ action: 'select', keys: ['x'], label: 'keys.select', group: 'move' },
	{ action: 'selectAll', keys: ['* a'], label: 'keys.selectAll', group: 'move' },
	{ action: 'archive', keys: ['e'], label: 'keys.archive', group: 'act' },
	{ action: 'trash', keys: ['#', 'Delete'], label: 'keys.trash', group: 'act' },
	{ action: 'junk', keys: ['!'], label: 'keys.junk', group: 'act' },
	{ action: 'flag', keys: ['s'], label: 'keys.flag', group: 'act' },
	{ action: 'read', keys: ['i'], label: 'keys.read', group: 'act' },
	{ action: 'keyword', keys: ['l'], label: 'keys.keyword', group: 'act' },
	{ action: 'move', keys: ['v'], label: 'keys.move', group: 'act' },
	{ action: 'undo', keys: ['z'], label: 'keys.undo', group: 'act' },
	{ action: 'palette', keys: ['.'], label: 'keys.palette', group: 'act' },
	{ action: 'compose', keys: ['c'], label: 'keys.compose', group: 'write' },
	{ action: 'reply', keys: ['r'], label: 'keys.reply', group: 'write' },
	{ action: 'replyAll', keys: ['a'], label: 'keys.replyAll', group: 'write' },
	{ action: 'forward', keys: ['f'], label: 'keys.forward', group: 'write' },
	{ action: 'send', keys: ['Control+Enter'], label: 'keys.send', group: 'write', always: true },
	{ action: 'search', keys: ['/'], label: 'keys.search', group: 'go' },
	{ action: 'goInbox', keys: ['g i'], label: 'keys.goInbox', group: 'go' },
	{ action: 'goDrafts', keys: ['g d'], label: 'keys.goDrafts', group: 'go' },
	{ action: 'goSent', keys: ['g s'], label: 'keys.goSent', group: 'go' },
	{ action: 'goArchive', keys: ['g e'], label: 'keys.goArchive', group: 'go' },
	{ action: 'goFlagged', keys: ['g f'], label: 'keys.goFlagged', group: 'go' },
	{ action: 'goTrash', keys: ['g t'], label: 'keys.goTrash', group: 'go' },
	{ action: 'goDevices', keys: ['g v'], label: 'keys.goDevices', group: 'go' },
	{ action: 'goActivity', keys: ['g a'], label: 'keys.goActivity', group: 'go' },
	{ action: 'goSettings', keys: ['g ,'], label: 'keys.goSettings', group: 'go' },
	{ action: 'help', keys: ['?'], label: 'keys.help', group: 'go' },
];

type Handler = (e: KeyboardEvent) => void | false; // false leaves the key to who is below
export type Handlers = Partial<Record<Action, Handler>>;

const layers: Handlers[] = [];
let pending = '';
let pendingTimer: ReturnType<typeof setTimeout> | undefined;
let singleKeys = true;

// useSingleKeys switches the keys off that are pressed without Control.
export function useSingleKeys(on: boolean): void {
	singleKeys = on;
}

// onKeys puts handlers on top of those there are, until the returned function is called.
export function onKeys(handlers: Handlers): () => void {
	layers.push(handlers);
	return () => {
		const i = layers.indexOf(handlers);
		if (i >= 0) layers.splice(i, 1);
	};
}

// perform does what a key would: the palette and menus use it.
export function perform(action: Action, e: KeyboardEvent = new KeyboardEvent('keydown')): boolean {
	for (let i = layers.length - 1; i >= 0; i--) {
		const handler = layers[i]![action];
		if (handler && handler(e) !== false) return true;
	}
	return false;
}

export function can(action: Action): boolean {
	return layers.some((l) => l[action]);
}

function typing(e: KeyboardEvent): boolean {
	const at = e.composedPath()[0];
	return at instanceof HTMLElement && (at.isContentEditable || at.matches('input:not([type=checkbox], [type=radio], [type=button]), textarea, select'));
}

// Enter and Space belong to the button or link that has the focus.
function ofControl(e: KeyboardEvent): boolean {
	const at = e.composedPath()[0];
	return (e.key === 'Enter' || e.key === ' ') && at instanceof HTMLElement && at.matches('a, button, summary, [role=menuitem], [role=option]') && !at.hasAttribute('data-row');
}

// nameOf is what the table calls a key. Letters are the same with Shift, which then says
// more to who handles them; signs are what Shift makes of them.
function nameOf(e: KeyboardEvent): string {
	const control = e.ctrlKey || e.metaKey ? 'Control+' : '';
	return control + (/^\p{Lu}$/u.test(e.key) ? e.key.toLowerCase() : e.key);
}

// press finds what a key does and does it. Modal dialogs keep keys to themselves.
export function press(e: KeyboardEvent): void {
	if (e.defaultPrevented || e.altKey || e.isComposing) return;
	if (document.querySelector('dialog:modal')) return;
	const name = nameOf(e);
	const sequence = pending ? `${pending} ${name}` : name;
	const quiet = typing(e) || !singleKeys;
	const usable = (b: Binding) => b.always || (!quiet && !e.ctrlKey && !e.metaKey) || (b.action === 'back' && name === 'Escape');
	const found = bindings.find((b) => usable(b) && b.keys.includes(sequence));
	const begins = !quiet && bindings.some((b) => usable(b) && b.keys.some((k) => k.startsWith(sequence + ' ')));
	clearTimeout(pendingTimer);
	pending = begins ? sequence : '';
	if (begins) pendingTimer = setTimeout(() => (pending = ''), 1200);
	if (!found || ofControl(e)) return;
	if (perform(found.action, e)) e.preventDefault();
}
