// Where one is: the path of the page, and nothing else, so that a reload, a link and
// the back button all lead to the same place.

export type Route =
	| { page: 'mail'; mailbox: string; thread: string | null } // mailbox: a role, or an id
	| { page: 'search'; query: string; thread: string | null }
	| { page: PageName; rest: string[] };

// pages are loaded when somebody goes there. web/web.go serves the shell at these.
export const pageNames = ['settings', 'devices', 'activity', 'outbox'] as const;
export type PageName = (typeof pageNames)[number];

export const home: Route = { page: 'mail', mailbox: 'inbox', thread: null };

export function parse(path: string): Route {
	const [, page = '', ...parts] = path.split('/');
	const rest = parts.map((p) => decodeURIComponent(p));
	if (page === 'mail' && rest[0]) return { page, mailbox: rest[0], thread: rest[1] || null };
	if (page === 'search') return { page, query: rest[0] ?? '', thread: rest[1] || null };
	if ((pageNames as readonly string[]).includes(page)) return { page: page as PageName, rest: rest.filter((p) => p !== '') };
	return home;
}

export function href(route: Route): string {
	const parts = 'rest' in route ? route.rest : route.page === 'mail' ? [route.mailbox, route.thread] : [route.query, route.thread];
	return ['', route.page, ...parts.filter((p) => p !== null)].map(encodeURIComponent).join('/');
}

let current = $state.raw<Route>(parse(location.pathname));

export function route(): Route {
	return current;
}

// go leads somewhere; replace leaves no step back.
export function go(to: Route, { replace = false } = {}): void {
	const url = href(to);
	if (url !== location.pathname) history[replace ? 'replaceState' : 'pushState']({ app: true }, '', url);
	current = to;
}

// back goes where one came from, or up to where a link from elsewhere lies in.
export function back(up: Route): void {
	const state = history.state as { app?: boolean } | null;
	if (state?.app) history.back();
	else go(up, { replace: true });
}

addEventListener('popstate', () => (current = parse(location.pathname)));

// followLinks lets plain links of ours work without a load of the page.
export function followLinks(e: MouseEvent): void {
	if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
	const a = (e.target as Element).closest<HTMLAnchorElement>('a[href]');
	if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin) return;
	if (!/^\/(mail|search|settings|devices|activity|outbox)(\/|$)|^\/$/.test(a.pathname)) return;
	e.preventDefault();
	go(parse(a.pathname));
}
