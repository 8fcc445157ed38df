package mail

import "time"

// A Role is what a mailbox is for (RFC 6154, RFC 8621 §2). At most one mailbox
// of an account has a given role.
type Role string

// The roles.
const (
	NoRole      Role = ""
	RoleInbox   Role = "inbox"
	RoleDrafts  Role = "drafts"
	RoleSent    Role = "sent"
	RoleArchive Role = "archive"
	RoleJunk    Role = "junk"
	RoleTrash   Role = "trash"
	RoleFlagged Role = "flagged"
	RoleAll     Role = "all"
)

// Standard is what every new account has, in this order.
var Standard = []struct {
	Name string
	Role Role
}{{"INBOX", RoleInbox}, {"Drafts", RoleDrafts}, {"Sent", RoleSent}, {"Archive", RoleArchive}, {"Junk", RoleJunk}, {"Trash", RoleTrash}}

// Delimiter separates the names in a mailbox's path.
const Delimiter = "/"

// Bounds on mailboxes: one past any is refused with Limit.
const (
	MaxMailboxes        = 10_000 // in one account
	MaxMailboxNameBytes = 255    // of one name, not the path
	MaxMailboxDepth     = 32
)

// Account is the state of an account as one snapshot shows it.
type Account struct {
	ID      AccountID
	Name    string // the login of its owner
	Head    ModSeq // of the newest change
	Epoch   Epoch
	Horizon ModSeq // history after it is kept
	// HorizonAt is since when the account is known: from then on what was at any
	// moment can be told.
	HorizonAt time.Time
	// Restored is when the account last came back from an older copy: what was known
	// before holds no more. 0 is never.
	Restored ModSeq
	Last     map[Type]ModSeq // of the last change to each type
	Quota    int64           // bytes; 0 is without bound
	Used     int64           // bytes, a message in several mailboxes counted once
	Emails   int64           // that JMAP shows: some placement is not \Deleted
	Threads  int64           // with such an email
	Disabled bool
	Created  time.Time
	Reparsed uint64 // how often what is derived from the bytes of messages was made anew
}

// Mailbox is where messages live.
type Mailbox struct {
	ID            MailboxID
	Parent        MailboxID // 0 at the top
	Name          string    // one name, without delimiter; "INBOX" at the top is the inbox
	Path          string    // names of all above and its own, joined by Delimiter
	Role          Role
	UIDValidity   UIDValidity
	UIDNext       UID
	SortOrder     uint32
	CommonSeen    bool // see MailboxImage
	Created       ModSeq
	HighestModSeq ModSeq // last change of its placements, expunges or itself (RFC 7162)
	PropsModSeq   ModSeq // last change of name, parent, role, sort order, rights, subscription
	CountsModSeq  ModSeq // last change of the counts that JMAP shows
	Counts        Counts
}

// Counts are kept in the transaction of each change, never counted on demand.
type Counts struct {
	Placements int64 // IMAP MESSAGES
	Unseen     int64 // placements without \Seen (IMAP UNSEEN)
	Deleted    int64 // placements with \Deleted
	Size       int64 // bytes of all placements (RFC 8438)

	// What JMAP shows: placements with \Deleted are hidden, a message is counted
	// once however often it is in the mailbox, and it is read when all its visible
	// placements, in whatever mailbox, are \Seen.
	Emails        int64
	UnreadEmails  int64 // neither read nor a draft
	Threads       int64 // with a visible message here
	UnreadThreads int64 // those with an unread message in any mailbox (RFC 8621 §2)
}

// Visible is the number of placements without \Deleted.
func (c Counts) Visible() int64 { return c.Placements - c.Deleted }

// Message is what never changes about a message, with the ModSeqs of what does.
type Message struct {
	Key          MessageKey
	EmailID      EmailID
	Thread       ThreadID
	Blob         Blob
	Size         int64
	InternalDate time.Time // in the zone it was given in, to the minute
	SentAt       time.Time // what the sender's header claims; zero when it says nothing readable
	MessageID    string    // header, without angle brackets
	Parsed       []byte    // envelope and structure as package message encodes them
	Preview      string
	Created      ModSeq // when it became visible, last
	ModSeq       ModSeq // last change of its keywords or mailboxes as JMAP shows them
}

// Placement is a message in a mailbox.
type Placement struct {
	ID        PlacementID
	Mailbox   MailboxID
	Message   MessageKey
	UID       UID
	Lineage   Lineage
	Flags     Flags
	SaveDate  time.Time // when it came into this mailbox (RFC 8514)
	Created   ModSeq
	ModSeq    ModSeq
	ChangedBy DeviceID // who made the last change
	Size      int64    // of the message
}

// Arrival is a message on its way into a mailbox.
type Arrival struct {
	Blob         Blob   // as put; its handle must not have expired
	Parts        []Blob // the blobs it is put together from, as put
	Flags        Flags
	InternalDate time.Time // zero is now, in UTC
	SentAt       time.Time
	MessageID    string
	References   []string // message ids out of References and In-Reply-To, oldest first
	BaseSubject  string   // RFC 5256
	IsReply      bool     // the subject had a reply or forward prefix
	Parsed       []byte
	Preview      string
	DraftID      string  // what the author's program calls the draft, in each of its versions
	EmailID      EmailID // zero draws a new one
	// Once makes the arrival idempotent: if the account remembers the key, nothing
	// is appended and what came of it the first time is returned.
	Once    string
	OnceFor time.Duration
	// As is the member whose \Seen is among Flags; 0 is the owner.
	As PrincipalID
	// Replaces is a placement that this one takes the place of: it is expunged in the
	// same transaction and hands on its line and annotations. It is in ReplacesIn; 0 is
	// the mailbox that the message arrives in.
	Replaces   UID
	ReplacesIn MailboxID
	// Continues is a placement of the same mailbox that hands on its line and stays,
	// as an earlier version, until somebody expunges it. Without effect if Replaces
	// is set.
	Continues UID
	// Annotations are what it comes with, UID and ModSeq aside; they win over those
	// of what it replaces or continues.
	Annotations []Annotation
}
