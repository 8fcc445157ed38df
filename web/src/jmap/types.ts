// What RFC 8620 and RFC 8621 call things, as far as a mail client speaks of them.

export type Id = string;
export type UTCDate = string;

export const CORE = 'urn:ietf:params:jmap:core';
export const MAIL = 'urn:ietf:params:jmap:mail';
export const SUBMISSION = 'urn:ietf:params:jmap:submission';
export const VACATION = 'urn:ietf:params:jmap:vacationresponse';
export const WEBSOCKET = 'urn:ietf:params:jmap:websocket';
export const QUOTA = 'urn:ietf:params:jmap:quota';
// LOCKSTEP is ours: devices, journal, undo, sessions (docs/protocols/jmap.md).
export const LOCKSTEP = 'urn:lockstep:jmap';

// Session Resource (RFC 8620 §2).
export interface Session {
	capabilities: Record<string, Record<string, unknown>> & { [CORE]?: CoreCapability };
	accounts: Record<Id, Account>;
	primaryAccounts: Record<string, Id>;
	username: string;
	apiUrl: string;
	downloadUrl: string;
	uploadUrl: string;
	eventSourceUrl: string;
	state: string;
}

export interface Account {
	name: string;
	isPersonal: boolean;
	isReadOnly: boolean;
	accountCapabilities: Record<string, Record<string, unknown>>;
}

export interface CoreCapability {
	maxSizeUpload: number;
	maxConcurrentUpload: number;
	maxSizeRequest: number;
	maxConcurrentRequests: number;
	maxCallsInRequest: number;
	maxObjectsInGet: number;
	maxObjectsInSet: number;
	collationAlgorithms: string[];
}

// RFC 8621 §2.
export interface Mailbox {
	id: Id;
	name: string;
	parentId: Id | null;
	role: MailboxRole | null;
	sortOrder: number;
	totalEmails: number;
	unreadEmails: number;
	totalThreads: number;
	unreadThreads: number;
	myRights: MailboxRights;
	isSubscribed: boolean;
}

export type MailboxRole = 'inbox' | 'archive' | 'drafts' | 'sent' | 'trash' | 'junk' | 'important' | 'flagged' | 'all' | 'subscribed' | (string & {});

export interface MailboxRights {
	mayReadItems: boolean;
	mayAddItems: boolean;
	mayRemoveItems: boolean;
	maySetSeen: boolean;
	maySetKeywords: boolean;
	mayCreateChild: boolean;
	mayRename: boolean;
	mayDelete: boolean;
	maySubmit: boolean;
}

export interface Thread {
	id: Id;
	emailIds: Id[];
}

export interface EmailAddress {
	name: string | null;
	email: string;
}

export type Keywords = Record<string, true>;
export type MailboxIds = Record<Id, true>;

// EmailHead is what a list needs of an Email (RFC 8621 §4.1).
export interface EmailHead {
	id: Id;
	blobId: Id;
	threadId: Id;
	mailboxIds: MailboxIds;
	keywords: Keywords;
	size: number;
	receivedAt: UTCDate;
	sentAt: string | null;
	from: EmailAddress[] | null;
	to: EmailAddress[] | null;
	cc: EmailAddress[] | null;
	subject: string | null;
	preview: string;
	hasAttachment: boolean;
	messageId: string[] | null;
}

// EmailBody is the rest, fetched when a message is opened.
export interface EmailBody {
	id: Id;
	sender: EmailAddress[] | null;
	bcc: EmailAddress[] | null;
	replyTo: EmailAddress[] | null;
	inReplyTo: string[] | null;
	references: string[] | null;
	textBody: EmailBodyPart[];
	htmlBody: EmailBodyPart[];
	attachments: EmailBodyPart[];
	bodyValues: Record<string, EmailBodyValue>;
	headers?: { name: string; value: string }[];
}

export interface EmailBodyPart {
	partId: string | null;
	blobId: Id | null;
	size: number;
	name: string | null;
	type: string;
	charset: string | null;
	disposition: string | null;
	cid: string | null;
	location?: string | null;
	language?: string[] | null;
	subParts?: EmailBodyPart[] | null;
}

export interface EmailBodyValue {
	value: string;
	isEncodingProblem: boolean;
	isTruncated: boolean;
}

// RFC 8621 §4.4.1.
export interface EmailCondition {
	inMailbox?: Id;
	inMailboxOtherThan?: Id[];
	before?: UTCDate;
	after?: UTCDate;
	minSize?: number;
	maxSize?: number;
	allInThreadHaveKeyword?: string;
	someInThreadHaveKeyword?: string;
	noneInThreadHaveKeyword?: string;
	hasKeyword?: string;
	notKeyword?: string;
	hasAttachment?: boolean;
	text?: string;
	from?: string;
	to?: string;
	cc?: string;
	bcc?: string;
	subject?: string;
	body?: string;
	header?: string[];
}

export interface FilterOperator {
	operator: 'AND' | 'OR' | 'NOT';
	conditions: EmailFilter[];
}

export type EmailFilter = EmailCondition | FilterOperator;

// Comparator (RFC 8620 §5.5).
export interface Comparator {
	property: string;
	isAscending?: boolean;
	collation?: string;
	keyword?: string;
}

export interface Identity {
	id: Id;
	name: string;
	email: string;
	replyTo: EmailAddress[] | null;
	bcc: EmailAddress[] | null;
	textSignature: string;
	htmlSignature: string;
	mayDelete: boolean;
}

// EmailSubmission is what was sent, or waits to be (RFC 8621 §7).
export interface EmailSubmission {
	id: Id;
	emailId: Id;
	threadId: Id;
	identityId: Id;
	sendAt: UTCDate;
	undoStatus: 'pending' | 'final' | 'canceled';
}

export interface SetError {
	type: string;
	description?: string | null;
	properties?: string[];
	existingId?: Id;
}

export interface ResultReference {
	resultOf: string;
	name: string;
	path: string;
}

export interface GetResponse<T> {
	accountId: Id;
	state: string;
	list: T[];
	notFound: Id[];
}

export interface ChangesResponse {
	accountId: Id;
	oldState: string;
	newState: string;
	hasMoreChanges: boolean;
	created: Id[];
	updated: Id[];
	destroyed: Id[];
	updatedProperties?: string[] | null; // Mailbox/changes only (RFC 8621 §2.2)
}

export interface SetResponse<T = { id: Id }> {
	accountId: Id;
	oldState: string | null;
	newState: string;
	created: Record<Id, Partial<T> & { id: Id }> | null;
	updated: Record<Id, Partial<T> | null> | null;
	destroyed: Id[] | null;
	notCreated: Record<Id, SetError> | null;
	notUpdated: Record<Id, SetError> | null;
	notDestroyed: Record<Id, SetError> | null;
}

export interface QueryResponse {
	accountId: Id;
	queryState: string;
	canCalculateChanges: boolean;
	position: number;
	ids: Id[];
	total?: number;
	limit?: number;
}

export interface QueryChangesResponse {
	accountId: Id;
	oldQueryState: string;
	newQueryState: string;
	total?: number;
	removed: Id[];
	added: { id: Id; index: number }[];
}

export type Invocation = [name: string, args: Record<string, unknown>, callId: string];

// StateChange (RFC 8620 §7.1).
export interface StateChange {
	'@type': 'StateChange';
	changed: Record<Id, Record<string, string>>;
	pushState?: string;
}
