package mail

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// GuardRule says when what a device deletes is a flood. Zero fields are those of
// the default.
type GuardRule struct {
	Share   int           // more than so many hundredths of a mailbox; 50
	Minimum int64         // and more than so many messages; 100
	Window  time.Duration // within that time; an hour
	Else    string        // the preference Guard of who chose nothing; GuardKeep
}

// OrDefault fills in what is not set.
func (g GuardRule) OrDefault() GuardRule {
	return GuardRule{
		Share: cmp.Or(g.Share, 50), Minimum: cmp.Or(g.Minimum, 100), Window: cmp.Or(g.Window, time.Hour), Else: cmp.Or(g.Else, GuardKeep),
	}
}

// IsFlood says whether n deleted messages of a mailbox that had all of them are too
// many.
func (g GuardRule) IsFlood(n, all int64) bool {
	return n > g.Minimum && n*100 > all*int64(g.Share)
}

// A Flood is what one device deleted in a rush, kept past the horizon until somebody
// decides: expunges, moves to Trash and Junk, deletions of mailboxes.
type Flood struct {
	ID      ModSeq // names it
	Device  DeviceID
	First   ModSeq // of what it deleted
	Last    ModSeq
	Began   time.Time
	Ended   time.Time // so far
	Removed int64     // messages, counted as often as they were deleted
	Told    bool      // a message in the inbox says so
}

// HeldBack is the error of deletions that the guard refuses.
func HeldBack(path string) error {
	return Errorf(Limit, "too many messages of %s deleted at once: the account's guard holds that back", path)
}

// AcceptedFlood is how the journal says that a flood was accepted.
func AcceptedFlood(device string, f Flood) string {
	return fmt.Sprintf("accept what %s deleted from %s to %s", device, f.Began.UTC().Format("2006-01-02 15:04"), f.Ended.UTC().Format("15:04 MST"))
}

// Deletions are what a record deleted: expunges, moves to what isBin says is a bin,
// and deletions of mailboxes, with the rights that went. What a message replaced is
// not deleted.
func Deletions(rec Record, isBin func(MailboxID) bool) []Entry {
	var out []Entry
	for _, e := range rec.Entries {
		switch {
		case e.Op == OpAppend:
			return nil
		case e.Op == OpExpunge, e.Op == OpDeleteMailbox, e.Op == OpRights && deletes(rec, e.Mailbox), e.Op == OpMove && e.Mailbox != e.Dest && isBin(e.Dest) && !isBin(e.Mailbox):
			out = append(out, e)
		}
	}
	return out
}

// deletes says whether a record deleted the mailbox.
func deletes(rec Record, mb MailboxID) bool {
	return slices.ContainsFunc(rec.Entries, func(e Entry) bool { return e.Op == OpDeleteMailbox && e.Mailbox == mb })
}
