import type { EmailAddress, Identity } from '../jmap/types';

export type Editable = Pick<Identity, 'name' | 'replyTo' | 'bcc' | 'textSignature' | 'htmlSignature'>;

// addresses reads what a field of several addresses holds. Who stood there before keeps
// their name.
export function addresses(field: string, before: EmailAddress[] | null): EmailAddress[] | null {
	const all = field.split(',').map((s) => s.trim()).filter((s) => s !== '');
	if (all.length === 0) return null;
	return all.map((email) => before?.find((b) => b.email === email) ?? { name: null, email });
}

export function joined(list: EmailAddress[] | null): string {
	return (list ?? []).map((a) => a.email).join(', ');
}

// changed is the patch (RFC 8620 §5.3) that makes one of the other: what nobody touched
// stays as another program may have set it meanwhile.
export function changed(was: Editable, is: Editable): Partial<Editable> {
	const keys = Object.keys(is) as (keyof Editable)[];
	return Object.fromEntries(keys.filter((k) => JSON.stringify(was[k]) !== JSON.stringify(is[k])).map((k) => [k, is[k]]));
}
