package mail

import "time"

// Record is one line of the journal: one committed transaction.
type Record struct {
	ModSeq   ModSeq
	Act      ActID
	Undoes   ActID // 0 unless it undoes one
	Time     time.Time
	Actor    string
	Device   DeviceID
	Session  string
	Protocol Protocol
	Cause    Cause
	Entries  []Entry
}

// RecordVersion is the format of Entries as stored.
const RecordVersion = 1

// An Op is what an entry did.
type Op string

// The operations.
const (
	OpAppend        Op = "append"         // Mailbox, UIDs
	OpCopy          Op = "copy"           // Mailbox, UIDs → Dest, DestUIDs
	OpMove          Op = "move"           // Mailbox, UIDs → Dest, DestUIDs
	OpFlags         Op = "flags"          // Mailbox, UIDs that really changed, Added, Removed; Who, if it is a member's own \Seen
	OpExpunge       Op = "expunge"        // Mailbox, UIDs
	OpRestore       Op = "restore"        // an expunge undone: Mailbox, UIDs (new) of the placements Was
	OpCreateMailbox Op = "create-mailbox" // Mailbox, After
	OpUpdateMailbox Op = "update-mailbox" // Mailbox, Before, After
	OpDeleteMailbox Op = "delete-mailbox" // Mailbox, Before
	OpSubscribe     Op = "subscribe"      // Name
	OpUnsubscribe   Op = "unsubscribe"    // Name
	OpDevice        Op = "device"         // Name: what was done to which device
	OpPreference    Op = "preference"     // Name, Old, New; nil is the default
	OpAnnotate      Op = "annotate"       // Mailbox, UIDs, Who, Name as Annotation.Spelled, Old, New; nil is none
	OpMetadata      Op = "metadata"       // Mailbox (0 is the account), Who, Name, Old, New; nil is none
	OpRights        Op = "rights"         // Mailbox, Who, Had, Has
	OpObject        Op = "object"         // Type, Object, Old, New; nil is none
	OpRestored      Op = "restored"       // the account came back from an older copy: numbers leapt, nothing else changed
	OpErase         Op = "erase"          // Mailbox, UIDs that left for good, Was those that had left before
	OpErased        Op = "erased"         // Mailbox, UIDs, or Type, Object: what was said here of these was erased later
)

// Names reports whether the operation is one on names of mailboxes, or their
// subscriptions.
func (o Op) Names() bool {
	switch o {
	case OpCreateMailbox, OpUpdateMailbox, OpDeleteMailbox, OpSubscribe, OpUnsubscribe:
		return true
	}
	return false
}

// Entry is one thing a transaction did. Lists of UIDs are parallel and in the
// order of the source; only what really changed is in them. It says enough to
// walk back: what left is kept in full beside the journal up to the horizon.
type Entry struct {
	Op       Op            `json:"op"`
	Mailbox  MailboxID     `json:"mb,omitempty"`
	UIDs     UIDSet        `json:"uids,omitzero"`
	Dest     MailboxID     `json:"to,omitempty"`
	DestUIDs UIDSet        `json:"touids,omitzero"`
	Added    []string      `json:"add,omitempty"`
	Removed  []string      `json:"del,omitempty"`
	Was      UIDSet        `json:"was,omitzero"`
	Before   *MailboxImage `json:"before,omitempty"`
	After    *MailboxImage `json:"after,omitempty"`
	Name     string        `json:"name,omitempty"`
	Who      PrincipalID   `json:"who,omitempty"` // 0 is the owner
	Old      []byte        `json:"old,omitzero"`
	New      []byte        `json:"new,omitzero"`
	Had      Rights        `json:"had,omitempty"`
	Has      Rights        `json:"has,omitempty"`
	Type     Type          `json:"type,omitempty"`
	Object   ObjectID      `json:"object,omitempty"`
}

// MailboxImage is what can be set of a mailbox.
type MailboxImage struct {
	Name      string    `json:"name"`
	Parent    MailboxID `json:"parent,omitempty"`
	Role      Role      `json:"role,omitempty"`
	SortOrder uint32    `json:"sort,omitempty"`
	// CommonSeen says that all who the mailbox is shared with share its \Seen;
	// else each has their own.
	CommonSeen bool `json:"seen,omitempty"`
}

// Image returns what can be set of mb.
func (mb Mailbox) Image() MailboxImage {
	return MailboxImage{Name: mb.Name, Parent: mb.Parent, Role: mb.Role, SortOrder: mb.SortOrder, CommonSeen: mb.CommonSeen}
}

// UndoReport says what an undo did and what it left alone, because something
// later touched it or it can't be undone.
type UndoReport struct {
	Undone int // placements and mailboxes put back
	Left   []string
}
