package mail

import (
	"fmt"
	"strconv"
	"time"
)

// A Type is a kind of object that views follow (RFC 8620 §1.5 calls it so).
type Type uint8

// The types.
const (
	TypeMailbox   Type = iota + 1
	TypeEmail          // messages as JMAP shows them
	TypeThread         // conversations as JMAP shows them
	TypePlacement      // messages in one mailbox as IMAP shows them
	TypeMetadata       // annotations of mailboxes and the account; only News names it: see store.Reader.MetadataSince
	TypeNames          // names, uses and subscriptions of mailboxes, and which there are; only News names it

	// The types of Objects.
	TypeIdentity   // as whom one writes (RFC 8621 §6)
	TypeSubmission // what was sent, or is to be (RFC 8621 §7)
)

// typeNames are in the order of the types.
var typeNames = [...]string{"nothing", "mailbox", "email", "thread", "placement", "annotation", "name", "identity", "submission"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// A ChangeOp is what became of an object since a position.
type ChangeOp uint8

// The operations of a delta. An object that left and came back is Updated to
// whoever knew it.
const (
	Created ChangeOp = iota + 1
	Updated
	Destroyed
)

// Change is one object that differs from what a position knew.
type Change struct {
	Op      ChangeOp
	ID      int64   // MailboxID, MessageKey, ThreadID, PlacementID or ObjectID
	UID     UID     // of a placement
	EmailID EmailID // of an email
	ModSeq  ModSeq  // of the change, or of the leaving
}

// Position is where a reader of the changes stands. Between two deltas it is a
// ModSeq: "I know everything up to Since". Inside one it also says to which
// Target the delta leads and how far it got; what changes past the target waits
// for the next delta, so that pages fit together exactly.
type Position struct {
	Epoch  Epoch
	Since  ModSeq
	Target ModSeq // 0 between deltas
	Phase  ChangeOp
	At     ModSeq
	ID     int64 // the object the last page stopped at
}

// At returns the position of a reader who knows everything up to n.
func (e Epoch) At(n ModSeq) Position { return Position{Epoch: e, Since: n} }

// String writes "<epoch>.<modseq>", and inside a delta also where it stopped.
func (p Position) String() string {
	if p.Target == 0 {
		return Token{p.Epoch, p.Since}.String()
	}
	return fmt.Sprintf("%d.%d-%d-%d-%d-%d", p.Epoch, p.Since, p.Target, p.Phase, p.At, p.ID)
}

// ParsePosition reads what Position.String wrote.
func ParsePosition(s string) (Position, bool) {
	if t, ok := ParseToken(s); ok {
		return t.Epoch.At(t.ModSeq), true
	}
	var p Position
	n, err := fmt.Sscanf(s, "%d.%d-%d-%d-%d-%d", &p.Epoch, &p.Since, &p.Target, &p.Phase, &p.At, &p.ID)
	return p, err == nil && n == 6 && p.Target != 0 && p.Phase >= Created && p.Phase <= Destroyed && p.String() == s
}

// ChangePage is a part of a delta.
type ChangePage struct {
	Changes []Change
	Next    Position
	More    bool // Next is inside the delta
	// Stops are where a reader stands after each of the changes, if asked for: who
	// takes only some of a page goes on from there.
	Stops []Position
}

// News is what watchers of an account hear after a commit.
type News struct {
	ModSeq    ModSeq
	Types     TypeSet
	Mailboxes []MailboxID // where placements came, changed or left; nil with many set means any
	Many      bool
	Device    DeviceID  // who did it; 0 also when several
	At        time.Time // of the commit
	// Puts, unless it is nil, are all that happened to placements: those that came and
	// those whose flags changed, with the flags they have then; of one that is named
	// twice the last counts. At most MaxNewsPuts. Other nodes are not told of them.
	Puts []Put
	// Look says that more may have happened than the news tell, as they came from
	// another node, or did not come: who waits looks at the store. Such news touch
	// everything.
	Look bool
}

// Put is a placement that came or changed, with the flags it has then.
type Put struct {
	Mailbox MailboxID
	UID     UID
	Flags   Flags
}

// MaxNewsPuts bounds the list in News.
const MaxNewsPuts = 16

// LookNews are for those who wait when nobody knows what happened, only that the
// account is at head by now.
func LookNews(head ModSeq, at time.Time) News { return News{ModSeq: head, At: at}.Widen() }

// Widen has news touch everything, and tell who hears them to look.
func (n News) Widen() News {
	n.Many, n.Mailboxes, n.Puts, n.Look, n.Device = true, nil, nil, true, 0
	for t := TypeMailbox; t <= TypeSubmission; t++ {
		n.Types.Add(t)
	}
	return n
}

// TypeSet is a set of Types.
type TypeSet uint32

// Add puts t into the set.
func (s *TypeSet) Add(t Type) { *s |= 1 << t }

// Has reports whether t is in the set.
func (s TypeSet) Has(t Type) bool { return s&(1<<t) != 0 }

// MaxNewsMailboxes bounds the list in News; beyond it Many is set.
const MaxNewsMailboxes = 16

// Touches reports whether placements of the mailbox may have changed.
func (n News) Touches(mb MailboxID) bool {
	if n.Many {
		return true
	}
	for _, m := range n.Mailboxes {
		if m == mb {
			return true
		}
	}
	return false
}

// Merge adds what another commit did, which mostly is a later one.
func (n News) Merge(later News) News {
	out := News{ModSeq: later.ModSeq, Types: n.Types | later.Types, Many: n.Many || later.Many, Device: later.Device, At: later.At, Look: n.Look || later.Look}
	if n.ModSeq > later.ModSeq {
		out.ModSeq, out.At = n.ModSeq, n.At
	}
	if n.Device != later.Device {
		out.Device = 0
	}
	if out.Many {
		return out
	}
	out.Mailboxes = append(out.Mailboxes, n.Mailboxes...)
	for _, m := range later.Mailboxes {
		if !n.Touches(m) {
			out.Mailboxes = append(out.Mailboxes, m)
		}
	}
	if len(out.Mailboxes) > MaxNewsMailboxes {
		out.Mailboxes, out.Many = nil, true
	}
	return out
}
