// Offline says that the server could not be reached; nothing is known of what became
// of the request.
export class Offline extends Error {
	override name = 'Offline';
}

// SignedOut says that the cookie is not, or no longer, good.
export class SignedOut extends Error {
	override name = 'SignedOut';
}

// RequestError is a problem with the request as a whole (RFC 8620 §3.6.1).
export class RequestError extends Error {
	override name = 'RequestError';
	constructor(
		readonly status: number,
		readonly type: string,
		readonly detail: string,
		readonly retryAfter: number | null = null, // seconds
	) {
		super(detail || type || `HTTP ${status}`);
	}

	// Whether the same request may do better later.
	get passing(): boolean {
		return this.status >= 500 || this.status === 429 || this.type === 'urn:ietf:params:jmap:error:limit';
	}
}

// MethodError is a method call's "error" response (RFC 8620 §3.6.2).
export class MethodError extends Error {
	override name = 'MethodError';
	constructor(
		readonly type: string,
		readonly description: string,
		readonly method: string,
	) {
		super(`${method}: ${description || type}`);
	}

	get passing(): boolean {
		return this.type === 'serverUnavailable' || this.type === 'serverFail' || this.type === 'serverPartialFail';
	}
}
