import { Offline, RequestError, SignedOut } from './errors';
import type { Client } from './client';
import type { Id } from './types';

export interface Uploaded {
	accountId: Id;
	blobId: Id;
	type: string;
	size: number;
}

export interface UploadOptions {
	onProgress?: (sent: number, total: number) => void;
	signal?: AbortSignal;
}

// upload sends a file (RFC 8620 §6.1). fetch tells nothing of progress, so this is
// an XMLHttpRequest.
export function upload(client: Client, data: Blob, { onProgress, signal }: UploadOptions = {}): Promise<Uploaded> {
	return new Promise((resolve, reject) => {
		const xhr = new XMLHttpRequest();
		xhr.open('POST', client.uploadUrl());
		xhr.responseType = 'json';
		xhr.setRequestHeader('Content-Type', data.type || 'application/octet-stream');
		if (client.csrf) xhr.setRequestHeader('X-CSRF-Token', client.csrf);
		xhr.upload.onprogress = (e) => onProgress?.(e.loaded, data.size);
		xhr.onload = () => {
			const body = xhr.response as (Uploaded & { type?: string; detail?: string }) | null;
			if (xhr.status >= 200 && xhr.status < 300 && body) resolve(body);
			else if (xhr.status === 401) reject(new SignedOut('signed out'));
			else reject(new RequestError(xhr.status, body?.type ?? '', body?.detail ?? ''));
		};
		xhr.onerror = () => reject(new Offline('upload'));
		xhr.onabort = () => reject(new DOMException('aborted', 'AbortError'));
		signal?.addEventListener('abort', () => xhr.abort());
		xhr.send(data);
	});
}
