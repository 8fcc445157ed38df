import type activity from './en/activity.json';
import type app from './en/app.json';
import type compose from './en/compose.json';
import type devices from './en/devices.json';
import type mail from './en/mail.json';
import type settings from './en/settings.json';
import type signin from './en/signin.json';

// The one catalogue: a folder for each language, a file for each area. A new area is
// a file in every language and a line here.
export type Key =
	| keyof typeof activity
	| keyof typeof app
	| keyof typeof compose
	| keyof typeof devices
	| keyof typeof mail
	| keyof typeof settings
	| keyof typeof signin;

export const languages = { en: 'English', de: 'Deutsch' } as const;
export type Language = keyof typeof languages;

type Args = Record<string, string | number | boolean>;
type Messages = Record<string, (args: Args) => string>;

const catalogues: Record<Language, () => Promise<{ default: Messages }>> = {
	en: () => import('virtual:messages/en'),
	de: () => import('virtual:messages/de'),
};

let messages = $state.raw<Messages>({});
let current = $state<Language>('en');

// language is the one that is spoken now.
export function language(): Language {
	return current;
}

// preferred is the first of the browser's languages that we speak.
export function preferred(): Language {
	return navigator.languages.map((l) => l.slice(0, 2)).find((l): l is Language => l in languages) ?? 'en';
}

export async function speak(wanted: Language): Promise<void> {
	messages = (await catalogues[wanted]()).default;
	current = wanted;
	document.documentElement.lang = wanted;
}

// t says something in the person's language.
export function t(key: Key, args: Args = {}): string {
	return messages[key]?.(args) ?? key;
}

// say is t for keys that come from data, such as the labels of acts.
export function say(label: { key: string; args?: Record<string, string | number> }): string {
	return t(label.key as Key, label.args);
}
