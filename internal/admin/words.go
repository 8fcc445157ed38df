package admin

import (
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// names turns numbers of the journal into words.
type names struct {
	mailboxes map[mail.MailboxID]string
	devices   map[mail.DeviceID]string
	members   map[mail.PrincipalID]string // with whom something is shared
}

func readNames(r store.Reader) (names, error) {
	n := names{map[mail.MailboxID]string{}, map[mail.DeviceID]string{}, nil}
	mailboxes, err := r.Mailboxes()
	if err != nil {
		return n, err
	}
	for _, mb := range mailboxes {
		n.mailboxes[mb.ID] = mb.Path
	}
	devices, err := r.Devices()
	for _, d := range devices {
		n.devices[d.ID] = d.Name
	}
	return n, err
}

// who says with what a record was made: "phone (imap)".
func (n names) who(rec mail.Record) string {
	name := n.devices[rec.Device]
	switch {
	case name != "":
	case rec.Device != 0:
		name = "a removed device"
	case rec.Protocol == mail.Local:
		return rec.Actor
	default:
		name = "<" + rec.Actor + ">" // a reverse path
	}
	return fmt.Sprintf("%s (%s)", name, rec.Protocol)
}

// maxClauses bounds how much of one record is said in one line.
const maxClauses = 4

// what says what a record did.
func (n names) what(rec mail.Record) string {
	var clauses []string
	entries := together(rec.Entries)
	for i, e := range entries {
		if i == maxClauses {
			clauses = append(clauses, fmt.Sprintf("and %d more", len(entries)-i))
			break
		}
		clauses = append(clauses, n.clause(rec, e))
	}
	s := strings.Join(clauses, ", ")
	switch {
	case rec.Undoes != 0:
		s = fmt.Sprintf("undid act %d: %s", rec.Undoes, s)
	case rec.Cause == mail.ByRestore && !slices.ContainsFunc(rec.Entries, func(e mail.Entry) bool { return e.Op == mail.OpRestored }):
		s = "made it as it was: " + s
	}
	return s
}

// together joins what was done to several messages of a mailbox one by one.
func together(entries []mail.Entry) []mail.Entry {
	at := map[string]int{}
	var joined []mail.Entry
	for _, e := range entries {
		key := fmt.Sprint(e.Op, e.Mailbox, e.Dest, e.Added, e.Removed, e.Who, e.Name, e.New == nil)
		i, again := at[key]
		if !again || len(e.UIDs) == 0 {
			at[key] = len(joined)
			joined = append(joined, e)
			continue
		}
		both := slices.Clone(joined[i].UIDs)
		for _, r := range e.UIDs {
			both.AddRange(r.First, r.Last)
		}
		joined[i].UIDs = both
	}
	return joined
}

func (n names) clause(rec mail.Record, e mail.Entry) string {
	count := messages(e.UIDs)
	switch e.Op {
	case mail.OpAppend:
		return appendWord(rec) + " " + count + " to " + n.mailbox(e.Mailbox, nil)
	case mail.OpCopy:
		return fmt.Sprintf("copied %s from %s to %s", count, n.mailbox(e.Mailbox, nil), n.mailbox(e.Dest, nil))
	case mail.OpMove:
		return fmt.Sprintf("moved %s from %s to %s", count, n.mailbox(e.Mailbox, nil), n.mailbox(e.Dest, nil))
	case mail.OpFlags:
		words := flagWords(e.Added, e.Removed, count) + " in " + n.mailbox(e.Mailbox, nil)
		if e.Who != 0 {
			words += ", for " + n.member(e.Who) + " alone"
		}
		return words
	case mail.OpExpunge:
		return "removed " + count + " from " + n.mailbox(e.Mailbox, nil)
	case mail.OpRestore:
		return "brought " + count + " back to " + n.mailbox(e.Mailbox, nil)
	case mail.OpCreateMailbox:
		return "made mailbox " + n.mailbox(e.Mailbox, e.After)
	case mail.OpUpdateMailbox:
		return n.updated(e)
	case mail.OpDeleteMailbox:
		return "deleted mailbox " + n.mailbox(e.Mailbox, e.Before)
	case mail.OpSubscribe:
		return "subscribed " + e.Name
	case mail.OpUnsubscribe:
		return "unsubscribed " + e.Name
	case mail.OpDevice:
		return e.Name
	case mail.OpRights:
		return n.rights(e)
	case mail.OpPreference:
		return preferred(e)
	case mail.OpAnnotate:
		return remarked(e) + " " + count + " in " + n.mailbox(e.Mailbox, nil)
	case mail.OpMetadata:
		return n.annotated(e)
	case mail.OpErase:
		return "erased " + messages(joinedUIDs(e.UIDs, e.Was)) + " from " + n.mailbox(e.Mailbox, nil) + " for good"
	case mail.OpErased:
		return "did something that was erased since"
	case mail.OpObject:
		return objectWords(e)
	case mail.OpRestored:
		return "came back from an older copy: devices start over"
	}
	return string(e.Op)
}

// objectWords says what became of an identity, or of what is kept of a message that
// was sent.
func objectWords(e mail.Entry) string {
	words := map[mail.Type][3]string{
		mail.TypeIdentity:   {"made an identity", "changed an identity", "removed an identity"},
		mail.TypeSubmission: {"sent a message", "noted what became of a sent message", "forgot a sent message"},
	}[e.Type]
	switch {
	case e.Old == nil:
		return words[0]
	case e.New == nil:
		return words[2]
	}
	return words[1]
}

func preferred(e mail.Entry) string {
	if e.New == nil {
		return "set " + e.Name + " to its default"
	}
	return fmt.Sprintf("set %s to %s", e.Name, e.New)
}

// annotated leaves the value out: a note can be long, and private.
func (n names) annotated(e mail.Entry) string {
	if e.Mailbox == 0 && e.Name == mail.VacationEntry {
		return awayWords(e)
	}
	if e.Mailbox == 0 && e.Name == mail.FollowEntry {
		return "changed where conversations go whose messages follow the earlier ones"
	}
	what, where := "set ", "the account"
	if e.New == nil {
		what = "removed "
	}
	if e.Mailbox != 0 {
		where = n.mailbox(e.Mailbox, nil)
	}
	return what + "the annotation " + e.Name + " of " + where
}

// awayWords says what became of the answers for who is away.
func awayWords(e mail.Entry) string {
	before, _ := mail.DecodeVacation(e.Old)
	after, _ := mail.DecodeVacation(e.New) // what is none answers nothing
	switch {
	case after.Enabled && !before.Enabled:
		return "turned automatic answers on"
	case before.Enabled && !after.Enabled:
		return "turned automatic answers off"
	}
	return "changed the automatic answers"
}

// remarked leaves the value out too.
func remarked(e mail.Entry) string {
	name := mail.ReadAnnotation(e.Name, 0, nil).Name
	if e.New == nil {
		return "removed the annotation " + name + " of"
	}
	return "annotated (" + name + ")"
}

func appendWord(rec mail.Record) string {
	switch rec.Cause {
	case mail.ByDelivery:
		return "delivered"
	case mail.ByImport:
		return "imported"
	}
	return "added"
}

// mailbox names a mailbox by its path, or, when it is gone, by what it was.
func (n names) mailbox(id mail.MailboxID, image *mail.MailboxImage) string {
	if p, ok := n.mailboxes[id]; ok {
		return p
	}
	if image != nil {
		return image.Name
	}
	return "a deleted mailbox"
}

func (n names) updated(e mail.Entry) string {
	now := n.mailbox(e.Mailbox, e.After)
	switch {
	case e.Before == nil || e.After == nil:
		return "changed mailbox " + now
	case e.Before.Name != e.After.Name:
		return fmt.Sprintf("renamed mailbox %s to %s", e.Before.Name, e.After.Name)
	case e.Before.Parent != e.After.Parent:
		return "moved mailbox to " + now
	case e.Before.Role != e.After.Role && e.After.Role != mail.NoRole:
		return fmt.Sprintf("made mailbox %s the one for %s", now, e.After.Role)
	}
	if e.Before.CommonSeen != e.After.CommonSeen {
		return map[bool]string{true: "made read and unread common to all in " + now, false: "gave each their own read and unread in " + now}[e.After.CommonSeen]
	}
	return "changed mailbox " + now
}

func joinedUIDs(a, b mail.UIDSet) mail.UIDSet {
	a = slices.Clone(a)
	for _, r := range b {
		a.AddRange(r.First, r.Last)
	}
	return a
}

func messages(uids mail.UIDSet) string {
	if n := uids.Count(); n != 1 {
		return fmt.Sprintf("%d messages", n)
	}
	return "1 message"
}

var flagWord = map[string][2]string{`\Seen`: {"read", "unread"}, `\Flagged`: {"flagged", "not flagged"}, `\Answered`: {"answered", "not answered"},
	`\Deleted`: {"deleted", "not deleted"}, `\Draft`: {"a draft", "no draft"}, "$Forwarded": {"forwarded", "not forwarded"}, "$Junk": {"junk", "not junk"}}

// flagWords says a change of flags: "marked 3 messages read and flagged".
func flagWords(added, removed []string, count string) string {
	var words []string
	for i, list := range [][]string{added, removed} {
		for _, f := range list {
			w := flagWord[f][i]
			if w == "" {
				w = [2]string{"", "not "}[i] + f
			}
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return "changed flags of " + count
	}
	return "marked " + count + " " + strings.Join(words, " and ")
}
