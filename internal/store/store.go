// Package store keeps accounts: their mailboxes and messages, and the journal of
// every change made to them.
//
// A change and its journal record commit together or not at all, so a reader who
// follows the changes misses nothing and sees nothing twice. What this package
// declares is implemented by store/sqlstore; store/model is the naive truth that
// storetest holds every engine against.
package store

import (
	"context"
	"time"

	"lockstep/internal/mail"
)

// Store keeps the accounts. Methods are safe for concurrent use. An account that
// does not exist is NotFound.
type Store interface {
	// View runs fn on one snapshot of the account. It never waits for writers and
	// should end within a second: long work is many short Views.
	View(ctx context.Context, id mail.AccountID, fn func(Reader) error) error

	// Update runs fn in a transaction on behalf of by and returns the ModSeq that
	// its changes share, or 0 if there were none: then no record is written. fn may
	// run more than once and uses nothing but tx: no I/O, and no View or Update
	// inside, which would wait for itself for ever (tests panic). What fn returned
	// as an error comes back unchanged, nothing is changed then and nobody is told.
	// It is durable when Update returns, and every later View sees it.
	Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(Tx) error) (mail.ModSeq, error)

	// Note runs fn for bookkeeping (cursors, last seen): durable like Update, but it
	// takes no ModSeq, writes no record and wakes nobody.
	Note(ctx context.Context, id mail.AccountID, fn func(Notes) error) error

	// Watch calls fn after each commit to the account, in the order of the commits,
	// until stop is called; a call already under way may still come after. fn must
	// not block: it is called in the path of the commit. Package notify turns it
	// into a channel.
	Watch(id mail.AccountID, fn func(mail.News)) (stop func())
}

// Reader is one snapshot of an account.
type Reader interface {
	Account() (mail.Account, error)

	// Mailboxes returns all mailboxes, INBOX first, then by path, folded.
	Mailboxes() ([]mail.Mailbox, error)
	Mailbox(mail.MailboxID) (mail.Mailbox, error)
	// MailboxByPath finds a mailbox by its full path; "inbox" in any case is INBOX.
	MailboxByPath(path string) (mail.Mailbox, error)
	// MailboxAs returns the mailbox as a member sees it: unseen and HighestModSeq
	// are the member's own. As 0 it is Mailbox.
	MailboxAs(id mail.MailboxID, as mail.PrincipalID) (mail.Mailbox, error)
	// Rights returns who else may do what in the mailbox, by principal.
	Rights(mail.MailboxID) ([]mail.Grant, error)
	// Shared returns what a principal, itself or as anyone, may do in which mailboxes.
	Shared(mail.PrincipalID) (map[mail.MailboxID]mail.Rights, error)
	// OwnSeen returns those of uids that have the member's own \Seen, also those
	// that departed, inside the horizon.
	OwnSeen(mb mail.MailboxID, as mail.PrincipalID, uids mail.UIDSet) (mail.UIDSet, error)
	// Subscriptions returns the subscribed paths, sorted. A path may outlive its
	// mailbox (RFC 9051 §6.3.7).
	Subscriptions() ([]string, error)

	// Preference returns what the account chose, else the default; Invalid for a name
	// that is none.
	Preference(mail.Preference) (string, error)

	// Metadata returns the annotations of a mailbox, 0 being the account itself, by
	// name: the shared ones, and who's private ones; who 0 is the owner.
	Metadata(mb mail.MailboxID, who mail.PrincipalID) ([]mail.Metadata, error)
	// MetadataSince returns what who may see of the annotations that changed after n,
	// also those that were removed, by mailbox and name. Below the horizon it is
	// TooOld, as from before a restore.
	MetadataSince(n mail.ModSeq, who mail.PrincipalID) ([]mail.Metadata, error)

	// Object returns one of a type that objects can be of; Objects all, by id: there are
	// mail.MaxObjects at most.
	Object(mail.Type, mail.ObjectID) (mail.Object, error)
	Objects(mail.Type) ([]mail.Object, error)

	// Placements calls fn with each placement q asks for, by UID. The value is the
	// callee's only during the call.
	Placements(q PlacementQuery, fn func(*mail.Placement) error) error
	// Annotations calls fn with the annotations of messages, by UID, of each first the
	// private ones, then by name. A message that left inside the horizon, also with its
	// mailbox, still has them.
	Annotations(q AnnotationQuery, fn func(*mail.Annotation) error) error
	// Messages calls fn with each message q's placements are of, and the placement,
	// by UID. Who wants to open the blobs asks for them with q.Located.
	Messages(q PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error
	// Message returns one message; also one that left, inside the horizon.
	Message(mail.MessageKey) (mail.Message, error)
	// KeptMessages calls fn with each message that left all mailboxes and is kept until
	// the horizon, in the order in which they left; what was erased is not kept.
	KeptMessages(fn func(mail.MessageKey) error) error
	// MessageByEmailID finds a visible message by its lasting name.
	MessageByEmailID(mail.EmailID) (mail.Message, error)
	// EmailAt reports whether a message of that lasting name was visible as of a ModSeq,
	// which history still reaches. One that left the account and came back is another
	// message under its old name, of which Changes tells as of any two.
	EmailAt(id mail.EmailID, n mail.ModSeq) (bool, error)
	// PlacementsOf returns the placements of one message, by mailbox and UID.
	PlacementsOf(mail.MessageKey) ([]mail.Placement, error)
	// ByDate returns the placements of a mailbox in the order of their internal dates,
	// newest first. It costs what it returns, however large the mailbox is.
	ByDate(DateQuery) ([]mail.Dated, error)
	// EmailsByDate returns visible messages of the whole account in the order of their
	// internal dates, newest first, each once and without its Places. It costs what it
	// returns and skips, and of what it passes also those that are not visible: some
	// 0.3 ms for a page of 50, and 1 ms more for each 2 000 skipped.
	EmailsByDate(EmailDateQuery) ([]mail.Email, error)
	// EmailsBefore counts the visible messages that stand before a place in that order,
	// the newer ones. It costs what it counts: a millisecond for each 3 000.
	EmailsBefore(mail.Arrived) (int64, error)
	// Emails calls fn with each visible message of the account, by key. It is for
	// filters and sorts that no order helps: 0.15 s for 100 000. Of what is only shown it reads nothing.
	Emails(fn func(*mail.Email) error) error
	// EmailsOf returns those of the messages that are visible, by key and without their
	// Places: for a page that ByDate, Placements or Thread named, at two microseconds
	// each.
	EmailsOf([]mail.MessageKey) ([]mail.Email, error)
	// Versions returns the versions of lines in a mailbox, by line, then the newest
	// message last. mail.Shown says which of a line is its item. Below the horizon
	// LeftAfter is TooOld.
	Versions(VersionQuery) ([]mail.Version, error)
	// Thread returns the visible messages of a thread, oldest first.
	Thread(mail.ThreadID) ([]mail.MessageKey, error)

	// Vanished returns the UIDs that left the mailbox after since, also those that
	// came after it: who has not been told of a newer ModSeq may know them all the
	// same. Below the horizon, or from before a restore, it is TooOld: the caller then
	// names every known UID that is not there.
	Vanished(mb mail.MailboxID, since mail.ModSeq) (mail.UIDSet, error)
	// Departed returns a placement that left the mailbox inside the horizon, as it
	// was; a session that was not told yet may still ask for it.
	Departed(mb mail.MailboxID, uid mail.UID) (mail.Placement, error)

	// Left calls fn with the placements that left a mailbox after q.Since and had come
	// by then, by UID; also of a mailbox that is gone, and none of one that never was.
	// With those that are there and had come by then they are what the mailbox held.
	// Below the horizon it is TooOld.
	Left(q LeftQuery, fn func(*mail.Departure) error) error
	// DeletedMailboxes returns the mailboxes that were deleted inside the horizon and
	// are not back, by id. An id is seen once, as it left last.
	DeletedMailboxes() ([]mail.DeletedMailbox, error)
	// AllMetadata returns the annotations of the account and of its mailboxes, whoever's,
	// by mailbox, whose and name; also of those deleted mailboxes, as they were then.
	AllMetadata() ([]mail.KeptMetadata, error)

	// Changes returns the next page of the delta from q.From to now. From a position
	// of another epoch or below the horizon it is TooOld, from one that was never
	// given out Invalid. Placements that came are by UID, the others of a kind by ModSeq.
	Changes(q ChangeQuery) (mail.ChangePage, error)

	// Journal returns records, newest first.
	Journal(q JournalQuery) ([]mail.Record, error)

	// Floods returns what devices deleted in a rush and nobody decided about, oldest
	// first.
	Floods() ([]mail.Flood, error)

	Devices() ([]mail.Device, error)
	Device(mail.DeviceID) (mail.Device, error)
	// DeviceByKey finds the device known by that key.
	DeviceByKey(key string) (mail.Device, error)

	// Cursor returns a consumer's remembered state; NotFound if there is none.
	Cursor(mail.DeviceID, string) ([]byte, error)
	// Cursors returns the names that begin with prefix, of what a device's consumers
	// remember, sorted.
	Cursors(device mail.DeviceID, prefix string) ([]string, error)
	// Remembered returns what came of an idempotent arrival; NotFound if the key is
	// not, or no longer, remembered.
	Remembered(key string) (mail.Placement, error)
	// Upload returns what a client put beside its mail; NotFound if it has expired. Its
	// blob has no handle that expires: a message can be made of it at once.
	Upload(mail.UploadID) (mail.Upload, error)
}

// PlacementQuery selects placements of one mailbox. Zero fields do not restrict.
type PlacementQuery struct {
	Mailbox      mail.MailboxID
	UIDs         mail.UIDSet // nil is all
	ChangedSince mail.ModSeq // ModSeq greater than
	Limit        int
	Backwards    bool // newest first
	Located      bool // Messages also says where the bytes lie: more than the blob's name
	// As is the member whose view it is: \Seen is the member's own, and the ModSeq
	// the greater of the placement's and of that \Seen. 0 is the owner's view. What
	// the member may do is not looked at.
	As mail.PrincipalID
	// Messages fills in only what never changes and is shown: of the placement UID,
	// Message, SaveDate and Size, of the message Key, Size, Blob and Parsed.
	Shown bool
}

// DateQuery asks for a page of a mailbox in the order of internal dates, newest first.
type DateQuery struct {
	Mailbox mail.MailboxID
	Before  mail.Dated // that come before; zero is from the newest
	Since   time.Time  // not older than
	Limit   int        // at least 1
}

// EmailDateQuery asks for a page of the account in the order of internal dates,
// newest first.
type EmailDateQuery struct {
	Before mail.Arrived // that come before; zero is from the newest. Without a key: older than its date
	Since  time.Time    // not older than
	Skip   int          // pass over that many first
	Limit  int          // at least 1
}

// VersionQuery selects versions of lines in a mailbox.
type VersionQuery struct {
	Mailbox mail.MailboxID
	Lines   []mail.Lineage
	// LeftAfter asks also for those that left after it; 0 is for none of them.
	LeftAfter mail.ModSeq
	// Later asks only for those that do not hold the line they began: successors and
	// earlier versions. Who holds a placement that began its line asks so, for next to
	// nothing, whether it is alone.
	Later bool
}

// LeftQuery selects placements that left a mailbox.
type LeftQuery struct {
	Mailbox mail.MailboxID
	Since   mail.ModSeq
	After   mail.UID // UID greater than
	Limit   int      // 0 is all
}

// AnnotationQuery selects annotations of messages of one mailbox.
type AnnotationQuery struct {
	Mailbox   mail.MailboxID
	UIDs      mail.UIDSet      // nil is all
	Who       mail.PrincipalID // whose private ones; 0 is the owner's
	Everybody bool             // everybody's private ones
	// ChangedSince selects what changed after it, also what was removed; 0 is what
	// there is.
	ChangedSince mail.ModSeq
}

// ChangeQuery asks for one page of a delta.
type ChangeQuery struct {
	Type    mail.Type
	Mailbox mail.MailboxID // of TypePlacement
	From    mail.Position
	Limit   int  // at least 1
	Stops   bool // fill in the page's Stops
	// As is the member whose view of TypePlacement it is; 0 is the owner's. To who
	// may not read the mailbox it is NotFound; a position from before the member's
	// rights changed is TooOld.
	As mail.PrincipalID
}

// JournalQuery selects records. Zero fields do not restrict. Who reads in pages goes
// on Before the last. An Act and what lies between Before and After are found by an
// index; of that each record is looked at, down to the Limit or to After: 1 000 in a
// millisecond, and four times that where Mailbox or Message makes it read what they
// did.
type JournalQuery struct {
	Before  mail.ModSeq // less than
	After   mail.ModSeq // greater than
	Act     mail.ActID
	Mailbox mail.MailboxID // that touch it
	UID     mail.UID       // of Mailbox, that touch it
	// Message is one whose placements they touch, also those that left, inside the
	// horizon. Nothing before its first placement is looked at. With Mailbox only
	// those there.
	Message  mail.MessageKey
	Device   mail.DeviceID
	Protocol mail.Protocol
	Cause    mail.Cause
	Since    time.Time // not earlier
	Until    time.Time // earlier
	Limit    int       // 0 is a default bound of 1000
}

// Tx is a transaction: a Reader that sees its own changes, the bookkeeping, and
// one verb for each thing people do to mail.
type Tx interface {
	Reader
	Notes

	// CreateMailbox makes a mailbox. A name that is taken is Exists, a role that is
	// taken too. Names are NFC, without delimiter or control characters, not empty;
	// "INBOX" at the top in any case is the inbox's. An unknown parent is NotFound.
	CreateMailbox(mail.MailboxImage) (mail.Mailbox, error)
	// SetMailbox renames, moves and marks a mailbox: its image becomes the given
	// one. Below itself is Invalid. Subscriptions of it and of what lies below
	// follow. The inbox keeps its name and place.
	SetMailbox(mail.MailboxID, mail.MailboxImage) error
	// DeleteMailbox removes a mailbox with its messages. With mailboxes below it is
	// HasChildren; the inbox is Denied.
	DeleteMailbox(mail.MailboxID) error
	// SetRights lets a principal, or anyone, do so much in the mailbox; 0 is nothing.
	// The owner, principal 0, has all rights always (Invalid). A new mailbox has the
	// grants of its parent.
	SetRights(mb mail.MailboxID, p mail.PrincipalID, r mail.Rights) error
	// Subscribe and Unsubscribe change the set of subscribed paths; a path need not
	// exist to be unsubscribed, but does to be subscribed, unless it is below
	// OtherUsers, where the caller looks. It is a change of the mailbox's properties, and
	// none that its HighestModSeq tells.
	Subscribe(path string) error
	Unsubscribe(path string) error

	// SetMetadata sets an annotation of a mailbox, 0 being the account; nil removes it.
	// A private one is who's. It is a change of the mailbox's HighestModSeq. A bound on
	// annotations is Limit.
	SetMetadata(mb mail.MailboxID, who mail.PrincipalID, name string, value []byte) error

	// PutObject makes an object, whose id is 0, or changes its data; the same data is no
	// change. NotFound if there is none of that id, a bound is Limit. An undo brings
	// back what was dropped under the id it had.
	PutObject(mail.Object) (mail.Object, error)
	DropObject(mail.Type, mail.ObjectID) error

	// Append puts a message into a mailbox. OverQuota, Expired (put the blob again),
	// NotFound also if what it replaces or continues is not there. A line is handed on
	// by who holds it; an earlier version has none to give, and its successor begins
	// one of its own.
	Append(mail.MailboxID, mail.Arrival) (mail.Placement, error)
	// The verbs below change those of uids that are there; an empty set is none of
	// them, nil too. mail.AllUIDs is all.

	// StoreFlags changes the flags of those of uids that are there, as change.As sees
	// them: a member's \Seen is their own, unless the mailbox has a common one. A copy
	// has each member's \Seen of what it was made from. With unchangedSince
	// not nil it leaves those alone whose ModSeq is greater, and names them in
	// Modified. A placement whose flags do not change keeps its ModSeq.
	StoreFlags(mb mail.MailboxID, uids mail.UIDSet, change mail.FlagChange, unchangedSince *mail.ModSeq) (StoreResult, error)
	// Annotate sets annotations of those of uids that are there, nil removing one; UID
	// and ModSeq of changes are not looked at. A message raises its ModSeq when one of
	// them really changes. unchangedSince is as for StoreFlags. A bound is Limit.
	Annotate(mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, unchangedSince *mail.ModSeq) (StoreResult, error)
	// Copy and Move put placements into another mailbox, in UID order, flags kept;
	// the result names those of uids that were there. Copying into the same mailbox
	// duplicates; moving gives new UIDs. Annotations go along, with a copy only shared
	// ones and the owner's.
	Copy(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (Mapping, error)
	Move(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (Mapping, error)
	// Expunge, a Move to Trash or Junk and DeleteMailbox are Limit when they would make
	// a flood and the account's guard holds floods back; see mail.GuardRule.

	// Expunge removes those of uids that are there, only those with \Deleted if
	// onlyDeleted, and returns them.
	Expunge(mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error)

	// BringBack puts placements that left a mailbox inside the horizon into it again,
	// as Undo does: the same messages under new UIDs, with the flags, annotations and
	// save dates they had when they left. The result names those of uids that are still
	// kept; a line is held again by who held it last.
	BringBack(mb mail.MailboxID, uids mail.UIDSet) (Mapping, error)
	// BringBackMailbox makes a deleted mailbox again, without its messages, with its id
	// and UIDVALIDITY, its annotations and the given image; nobody has rights in it.
	// NotFound if it is there or no longer kept, else as CreateMailbox.
	BringBackMailbox(mail.MailboxID, mail.MailboxImage) (mail.Mailbox, error)

	// Erase takes messages and objects out for good: they leave as by an Expunge, also
	// what had left and was kept, and of what is kept until the horizon only numbers
	// stay. What it says in the journal, of flags, annotations and objects, goes too;
	// the record of the erasing stays, without content. What is not there is passed
	// over. An Undo of anything that needs what was erased says so. Message is NotFound
	// then, Departed has no flags. That the message arrived is still remembered. More
	// than mail.MaxErasing is Limit.
	Erase(mail.Erasing) (mail.Erased, error)

	// Undo takes back what an act changed, where nothing later touched it, and says
	// what it had to leave. Several acts are undone in one transaction one after the
	// other, the newest first, with nothing between: what one put back is in the way of
	// none. In an Update that ends with an error it is a preview: the report is true and
	// nothing changed. An act of an act's undo is a redo. NotFound below the
	// horizon. What comes back holds the line it held when it left; if it had handed
	// that on, only when this undo took the holder away, else it begins one of its own.
	Undo(mail.ActID) (mail.UndoReport, error)

	// UndoFlood takes back all that the device deleted in a flood, which settles it. What
	// comes back is no longer \Deleted.
	// NotFound if it is settled.
	UndoFlood(id mail.ModSeq) (mail.UndoReport, error)
	// AcceptFlood settles a flood by leaving what was deleted to the horizon. NotFound
	// if it is settled.
	AcceptFlood(id mail.ModSeq) error

	// SetDevice changes what people decide about a device: its name, whether it may
	// come in, what is to be wiped and what came of that. The rest is as it was.
	SetDevice(mail.Device) error
	// SetQuota sets the bytes the account may use; 0 is without bound.
	SetQuota(bytes int64) error
	// SetPreference chooses; "" is to choose nothing, so that the default holds. A name
	// or value that is none is Invalid.
	SetPreference(p mail.Preference, value string) error
}

// StoreResult is what a STORE did.
type StoreResult struct {
	Changed  mail.UIDSet // flags really changed
	Same     mail.UIDSet // there, but already so
	Modified mail.UIDSet // refused: changed since (RFC 7162 §3.1.3)
}

// Mapping pairs UIDs: the n-th of From became the n-th of To.
type Mapping struct{ From, To mail.UIDSet }

// Notes is bookkeeping.
type Notes interface {
	// AddDevice adds a device under a key that is not taken (Exists) and returns it
	// with its id.
	AddDevice(mail.Device) (mail.Device, error)
	// SawDevice notes the last contact.
	SawDevice(id mail.DeviceID, at time.Time, addr string) error
	// DeviceTold notes what a device told of itself, clipped.
	DeviceTold(mail.DeviceID, mail.Told) error
	// SetCursor remembers a consumer's state; nil forgets it.
	SetCursor(device mail.DeviceID, name string, state []byte) error
	// SwapCursor is SetCursor for who read the state before and made the new one from
	// it: Conflict if the state is not was any more. Nil is that there is none.
	SwapCursor(device mail.DeviceID, name string, was, state []byte) error
	// ClaimRecent returns the first UID that no session has shown as \Recent yet,
	// and marks all there are as shown.
	ClaimRecent(mail.MailboxID) (mail.UID, error)
	// ToldFlood notes that the account was told. NotFound if the flood is settled.
	ToldFlood(id mail.ModSeq) error
	// Remember makes the account remember, for a while, that the arrival known by
	// key became the placement; Forget takes it back. What left no placement is
	// remembered with 0, and Remembered returns the zero Placement.
	Remember(key string, p mail.PlacementID, until time.Time) error
	Forget(key string) error
	// AddUpload keeps bytes for mail.UploadLife, and returns them as Upload would. To
	// make room, the oldest go.
	// Expired (put the blob again), Exists if the id is taken; a bound is Limit.
	AddUpload(mail.Upload) (mail.Upload, error)
	// UsedUpload keeps an upload for that long from now, and notes which emails were
	// made of it. NotFound if it has expired.
	UsedUpload(id mail.UploadID, made ...mail.EmailID) error
}

// CursorMoved is what who swaps a cursor gets when somebody else was quicker.
func CursorMoved() error {
	return mail.Errorf(mail.Conflict, "somebody else changed what is remembered of this; try again")
}

// Checker looks whether accounts are in order.
type Checker interface {
	// Check recounts everything derived in an account and says what differs; with
	// repair it is put right.
	Check(ctx context.Context, id mail.AccountID, repair bool) ([]string, error)
}

// Keeper is the upkeep of accounts' history.
type Keeper interface {
	// Prune forgets history older than the moment: records, what vanished; and what
	// has expired: memories, uploads. It moves the horizon, but not past a flood that nobody decided about.
	Prune(ctx context.Context, id mail.AccountID, olderThan time.Time) error
	// Untold returns the accounts that have a flood nobody was told of.
	Untold(ctx context.Context) ([]mail.AccountID, error)
	Checker
	// Reparsed replaces what was derived from the bytes of messages. It is
	// bookkeeping: it takes no ModSeq and wakes nobody. A message that has gone is
	// left out.
	Reparsed(ctx context.Context, id mail.AccountID, all []Derived) error
	// Restored begins all accounts anew after the store came back from an older copy
	// of itself, before anybody is served: devices know of a time that never was. Each
	// account's epoch grows; its head, ids, UIDVALIDITYs and UIDNEXTs leap beyond what
	// can have been handed out, as mail.Leap says; everything in it
	// counts as changed at the new head; and no position from before is good. A record
	// says so. What people see is as it was, history is kept and can be undone, and so
	// are memories of arrivals. What was on its way out is held: it may be gone
	// already, or taken back by its author. What was tried before, is in nobody's hand and
	// not due within ClocksApart is certain to be where it was, and goes on. What a crash
	// cuts is finished before the store is next used.
	Restored(ctx context.Context) error
}

// Derived is what a message's row says of its bytes. Its thread is no part of it:
// that was decided when it arrived.
type Derived struct {
	Message   mail.MessageKey
	SentAt    time.Time
	MessageID string
	Parsed    []byte
	Preview   string
}
