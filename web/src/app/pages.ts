import type { Component } from 'svelte';

import type { PageName } from './router.svelte';

type Page = () => Promise<{ default: Component<{ rest: string[] }> }>;

// What is not mail is loaded when somebody goes there.
export const pages: Partial<Record<PageName, Page>> = {
	activity: () => import('../activity/ActivityPage.svelte'),
	devices: () => import('../devices/DevicesPage.svelte'),
	outbox: () => import('../compose/OutboxPage.svelte'),
	settings: () => import('../settings/SettingsPage.svelte'),
};
