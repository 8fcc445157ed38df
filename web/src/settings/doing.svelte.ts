import { t } from '../i18n/index.svelte';
import { MethodError, Offline, RequestError } from '../jmap/errors';
import type { SetError, SetResponse } from '../jmap/types';

// Doing is what a form does, one thing at a time, and why it did not work.
export class Doing {
	busy = $state(false);
	problem = $state('');

	// run says whether it was done. What act returns false from was given up by the person.
	async run(act: () => Promise<boolean | void>): Promise<boolean> {
		if (this.busy) return false;
		this.busy = true;
		this.problem = '';
		try {
			return (await act()) !== false;
		} catch (e) {
			this.problem = explain(e);
			return false;
		} finally {
			this.busy = false;
		}
	}
}

export class Refused extends Error {
	constructor(readonly why: SetError) {
		super(why.description ?? why.type);
	}
}

// settled throws what a set refused, of the one object that it was about.
export function settled<T>(answer: SetResponse<T>): SetResponse<T> {
	const why = [answer.notCreated, answer.notUpdated, answer.notDestroyed].flatMap((n) => Object.values(n ?? {}))[0];
	if (why) throw new Refused(why);
	return answer;
}

export function explain(e: unknown): string {
	if (e instanceof Offline) return t('signin.offline');
	if (e instanceof DOMException) return t('signin.passkeyFailed');
	if (e instanceof RequestError) {
		if (e.status === 429 && e.retryAfter) return t('signin.slow', { seconds: e.retryAfter });
		if (e.status === 401 || e.type.endsWith(':wrong-code')) return t('signin.wrong');
		if (e.status === 410) return t('signin.tooLate');
		return t('settings.failed', { why: e.message });
	}
	if (e instanceof MethodError) return t('settings.failed', { why: e.description || e.type });
	return t('settings.failed', { why: e instanceof Error ? e.message : String(e) });
}
