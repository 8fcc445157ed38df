import './ui/base.css';
import { mount } from 'svelte';

import { start } from './app/account.svelte';
import App from './app/App.svelte';
import { applyPrefs } from './app/prefs.svelte';
import { watchForUpdates } from './app/update.svelte';

// The words and who one is are asked for at the same time.
const started = start();
await applyPrefs();
mount(App, { target: document.getElementById('app')! });
await started;
await watchForUpdates();
