import { local } from './client';
import type { Client } from './client';
import { WEBSOCKET } from './types';
import type { StateChange } from './types';

export interface PushEvents {
	// changed says that the account has new states of these types.
	changed(types: Record<string, string>): void;
	// opened says that from here on changes are told: what happened before must be asked for.
	opened(): void;
	lost(): void;
}

const slowest = 60_000;
const silence = 120_000; // with pings every 30 s, a connection this silent is dead

// Push keeps one connection on which the server says what changed: a WebSocket (RFC
// 8887), or where that cannot be had an EventSource (RFC 8620 §7.3). It comes back by
// itself, later each time.
export class Push {
	private stopped = false;
	private failures = 0;
	private close: () => void = () => {};
	private timer: ReturnType<typeof setTimeout> | undefined;
	private watchdog: ReturnType<typeof setTimeout> | undefined;
	private socketWorks: boolean | undefined;
	private pushState: string | undefined;

	constructor(
		private readonly client: Client,
		private readonly events: PushEvents,
	) {}

	start(): void {
		this.stopped = false;
		this.connect();
	}

	stop(): void {
		this.stopped = true;
		clearTimeout(this.timer);
		clearTimeout(this.watchdog);
		this.close();
		this.close = () => {};
	}

	// retry connects now, for when the network came back.
	retry(): void {
		if (this.stopped || this.timer === undefined) return;
		this.failures = 0;
		this.connect();
	}

	private connect(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		const url = this.socketUrl();
		if (url && this.socketWorks !== false) this.connectSocket(url);
		else this.connectEvents();
	}

	private socketUrl(): string | undefined {
		const capability = this.client.session?.capabilities[WEBSOCKET] as { url?: string; supportsPush?: boolean } | undefined;
		if (!capability?.url || capability.supportsPush === false) return undefined;
		return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${local(capability.url)}`;
	}

	private connectSocket(url: string): void {
		const socket = new WebSocket(url, 'jmap');
		let opened = false;
		socket.onopen = () => {
			opened = true;
			this.socketWorks = true;
			socket.send(JSON.stringify({ '@type': 'WebSocketPushEnable', dataTypes: null, pushState: this.pushState }));
			this.alive();
		};
		socket.onmessage = (e) => this.hear(JSON.parse(String(e.data)) as StateChange);
		socket.onclose = () => {
			// A proxy that knows no WebSockets refuses the first one: the other way then.
			if (!opened && this.socketWorks === undefined) this.socketWorks = false;
			this.again();
		};
		this.close = () => {
			socket.onclose = null;
			socket.close();
		};
	}

	private connectEvents(): void {
		const template = this.client.session?.eventSourceUrl;
		if (!template) return this.again();
		const values: Record<string, string> = { types: '*', closeafter: 'no', ping: '30' };
		const source = new EventSource(local(template).replace(/\{(\w+)\}/g, (_, k: string) => encodeURIComponent(values[k] ?? '')), { withCredentials: true });
		source.onopen = () => this.alive();
		source.addEventListener('state', (e) => this.hear(JSON.parse((e as MessageEvent<string>).data) as StateChange));
		source.addEventListener('ping', () => this.beat());
		source.onerror = () => {
			source.close();
			this.again();
		};
		this.close = () => source.close();
	}

	private alive(): void {
		this.failures = 0;
		this.beat();
		this.events.opened();
	}

	private beat(): void {
		clearTimeout(this.watchdog);
		if (this.socketWorks) return; // the browser itself answers a socket's pings and closes dead ones
		this.watchdog = setTimeout(() => {
			this.close();
			this.again();
		}, silence);
	}

	private hear(message: StateChange): void {
		this.beat();
		if (message['@type'] !== 'StateChange') return;
		this.pushState = message.pushState ?? this.pushState;
		const types = message.changed[this.client.accountId];
		if (types) this.events.changed(types);
	}

	private again(): void {
		clearTimeout(this.watchdog);
		if (this.stopped) return;
		this.events.lost();
		const wait = Math.min(slowest, 500 * 2 ** this.failures++) * (0.5 + Math.random());
		this.timer = setTimeout(() => this.connect(), wait);
	}
}
