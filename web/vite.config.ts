import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

import { messages } from './build/messages.ts';
import { notices } from './build/notices.ts';
import { shell } from './build/shell.ts';

// The server that `npm run dev` speaks to: `go run ./cmd/lockstep demo`.
const server = process.env.LOCKSTEP ?? 'http://127.0.0.1:8080';

export default defineConfig({
	plugins: [svelte(), messages(), notices(), shell()],
	build: {
		target: ['chrome123', 'firefox125', 'safari17.5'],
		assetsInlineLimit: 0, // the policy lets no data: styles or scripts in
		modulePreload: { polyfill: false },
		reportCompressedSize: false,
		rolldownOptions: {
			input: { index: 'index.html', sw: 'src/sw/sw.ts' },
			output: {
				entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
				chunkFileNames: 'assets/[name]-[hash].js',
				assetFileNames: 'assets/[name]-[hash][extname]',
			},
		},
	},
	server: {
		proxy: {
			'/jmap': { target: server, ws: true },
			'/auth': server,
			'/.well-known': server,
			'/frame': server,
		},
	},
	test: { include: ['src/**/*.test.ts', 'test/**/*.test.ts'], environment: 'node', testTimeout: 30_000 },
} as Parameters<typeof defineConfig>[0]);
