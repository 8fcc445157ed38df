package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// undoes proves that an act undone at once leaves nothing behind, that its redo
// brings it back, and that an act undone later puts back what nobody touched and
// nothing else.
func (h *history) undoes() {
	s, m := h.subject(), newSubject(newModel())
	r := rand.New(rand.NewPCG(h.seed, 1))
	var run []done // one after the other, undone by nobody
	for i, o := range h.ops {
		before := s.snapshot()
		o.do(s)
		o.do(m)
		head := s.head()
		if head != before.account.Head {
			run = append(run, done{o, mail.ActID(head), before})
		}
		if r.IntN(3) == 0 && !o.isUndo() && s.head() != before.account.Head {
			s.undoAndRedo(i, o, before, m)
		}
		if r.IntN(6) == 0 && len(s.acts) > 0 {
			s.undoLater(s.acts[r.IntN(len(s.acts))], m)
		}
		if len(run) > 4 && !o.isUndo() && s.head() == head {
			s.undoRun(run[len(run)-1-r.IntN(4):], m)
		}
		if o.isUndo() || s.head() != head {
			run = nil
		}
	}
	s.checked()
}

// done is an operation, its act, and what was before it.
type done struct {
	op
	act    mail.ActID
	before *snapshot
}

// undoRun takes the newest acts back in one transaction, and brings them back, in
// both engines.
func (s *subject) undoRun(run []done, m *subject) {
	var acts [2][]mail.ActID
	for _, d := range run {
		acts[0] = append([]mail.ActID{d.act}, acts[0]...)
		acts[1] = append([]mail.ActID{d.act - mail.ActID(s.base) + mail.ActID(m.base)}, acts[1]...)
	}
	after := s.snapshot()
	for i, e := range []*subject{s, m} {
		r, n, err := change(e, e.origin(0).WithCause(mail.ByUndo), func(tx store.Tx) (mail.UndoReport, error) { return undoAll(tx, acts[i]) })
		ok(err)
		if len(r.Left) > 0 {
			fail("%v, undone at once, leave %q", run, r.Left)
		}
		acts[i] = []mail.ActID{mail.ActID(n)}
	}
	if d := difference(s.snapshot().contents(), run[0].before.contents()); d != "" {
		fail("%v, undone at once, are not as before: %s", run, d)
	}
	for i, e := range []*subject{s, m} {
		if acts[i][0] == 0 {
			continue
		}
		if r := must(update(e, func(tx store.Tx) (mail.UndoReport, error) { return undoAll(tx, acts[i]) })); len(r.Left) > 0 {
			fail("%v, redone, leave %q", run, r.Left)
		}
	}
	if d := difference(s.snapshot().contents(), after.contents()); d != "" {
		fail("%v, redone, are not as they were done: %s", run, d)
	}
}

func (o op) isUndo() bool {
	return o.goesOn || slices.ContainsFunc(o.steps, func(s step) bool {
		return s.verb == "undo" || s.verb == "block" || s.verb == "wipe" || s.verb == "flood"
	})
}

// undo undoes an act in both engines, which must agree on what remains.
func (s *subject) undo(act mail.ActID, m *subject) mail.UndoReport {
	var reports [2]mail.UndoReport
	for i, e := range []*subject{s, m} {
		a := act - mail.ActID(s.base) + mail.ActID(e.base)
		report, n, err := change(e, e.origin(0).WithCause(mail.ByUndo), func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(a) })
		ok(err)
		reports[i] = report
		if n != 0 {
			e.acts = append(e.acts, mail.ActID(n))
			if r := e.records(store.JournalQuery{Act: mail.ActID(n)}); len(r) != 1 || r[0].Undoes != a {
				fail("undo of %d wrote %+v", a, r)
			}
		}
	}
	if (len(reports[0].Left) == 0) != (len(reports[1].Left) == 0) {
		fail("undo of %d: %+v, the model says %+v", act, reports[0], reports[1])
	}
	if d := difference(s.snapshot().text(s), m.snapshot().text(m)); d != "" {
		fail("undo of %d: the snapshots differ: %s", act, d)
	}
	return reports[0]
}

// undoAndRedo takes back what was done just now, and does it again.
func (s *subject) undoAndRedo(i int, o op, before *snapshot, m *subject) {
	after := s.snapshot()
	act := mail.ActID(after.account.Head)
	if r := s.undo(act, m); len(r.Left) > 0 {
		fail("step %d: %v, undone at once, leaves %q", i, o, r.Left)
	}
	if d := difference(s.snapshot().contents(), before.contents()); d != "" {
		fail("step %d: %v, undone at once, is not as before: %s", i, o, d)
	}
	if s.head() == after.account.Head {
		return // there was nothing to take back
	}
	if r := s.undo(mail.ActID(s.head()), m); len(r.Left) > 0 {
		fail("step %d: %v, redone, leaves %q", i, o, r.Left)
	}
	if d := difference(s.snapshot().contents(), after.contents()); d != "" {
		fail("step %d: %v, redone, is not as it was done: %s", i, o, d)
	}
}

// contents is the account without its numbers: an undo gives new UIDs.
func (sn *snapshot) contents() []string {
	lines := append(sn.metadataLines(), fmt.Sprint("chosen ", sn.chosen))
	lines = append(lines, sn.objectLines(func(o mail.Object) string { return fmt.Sprintf("%s %d %q", o.Type, o.ID, o.Data) })...)
	lines = append(lines, "subscribed "+strings.Join(sn.subs, " "))
	for _, mb := range sn.mailboxes {
		lines = append(lines, fmt.Sprintf("%s %q %d %v id %v uidvalidity %d", mb.Path, mb.Role, mb.SortOrder, mb.CommonSeen, mb.ID, mb.UIDValidity))
		for _, g := range sn.grants[mb.ID] {
			lines = append(lines, fmt.Sprintf("%s: %d may %s", mb.Path, g.Principal, g.Rights))
		}
		lines = append(lines, sn.readLines(mb)...)
		for _, r := range sn.messages[mb.ID] {
			lines = append(lines, fmt.Sprintf("%s: %s key %d thread %d date %s (%s) %s", mb.Path, r.message.EmailID, r.Message, r.message.Thread, dateAndZone(r.message.InternalDate), sortedFlags(r.Flags), r.notes))
		}
	}
	slices.Sort(lines)
	return lines
}

func sortedFlags(f mail.Flags) string { return strings.ToLower(f.String()) }

// placed is a message in a mailbox, whatever its UID.
type placed struct {
	mailbox mail.MailboxID
	key     mail.MessageKey
}

// undoLater undoes an act that others may have written after.
func (s *subject) undoLater(act mail.ActID, m *subject) {
	before := s.snapshot()
	records := s.records(store.JournalQuery{Act: act})
	later := s.records(store.JournalQuery{After: mail.ModSeq(act), Limit: 1 << 20})
	s.undo(act, m)
	after := s.snapshot()
	touched := s.touchedBy(records, before)
	for _, mb := range before.mailboxes {
		is, there := after.box(mb.ID)
		if !touches(records, mb.ID) && (!there || is.Image() != mb.Image()) {
			fail("undo of %d changed %s, which the act did not touch", act, mb.Path)
		}
		for _, r := range before.messages[mb.ID] {
			if !touched[placed{mb.ID, r.Message}] && !slices.Contains(after.flagsOf(mb.ID, r.Message), r.Flags) {
				fail("undo of %d changed %s/%d, which the act did not touch", act, mb.Path, r.UID)
			}
		}
	}
	s.flagsAreBack(act, records, later, after)
}

// touchedBy returns what the records may have touched.
func (s *subject) touchedBy(records []mail.Record, sn *snapshot) map[placed]bool {
	touched := map[placed]bool{}
	mark := func(mb mail.MailboxID, uids mail.UIDSet) {
		for uid := range uids.All() {
			for _, r := range sn.messages[mb] {
				if r.UID == uid {
					touched[placed{mb, r.Message}] = true
				}
			}
		}
	}
	for _, r := range records {
		for _, e := range r.Entries {
			mark(e.Mailbox, e.UIDs)
			mark(e.Dest, e.DestUIDs)
		}
	}
	return touched
}

func touches(records []mail.Record, mb mail.MailboxID) bool {
	return slices.ContainsFunc(records, func(r mail.Record) bool {
		return slices.ContainsFunc(r.Entries, func(e mail.Entry) bool { return e.Mailbox == mb || e.Dest == mb })
	})
}

// flagsOf returns the flags of a message's placements in a mailbox.
func (sn *snapshot) flagsOf(mb mail.MailboxID, key mail.MessageKey) []mail.Flags {
	var all []mail.Flags
	for _, r := range sn.messages[mb] {
		if r.Message == key {
			all = append(all, r.Flags)
		}
	}
	return all
}

// flagsAreBack gives up if the act changed flags of a message that nobody else
// touched, and they are not what they were.
func (s *subject) flagsAreBack(act mail.ActID, records, later []mail.Record, after *snapshot) {
	if len(records) != 1 {
		return
	}
	for _, e := range records[0].Entries {
		if e.Op != mail.OpFlags || e.Who != 0 || len(records[0].Entries) > 1 {
			continue
		}
		flags := after.uids(e.Mailbox)
		for uid := range e.UIDs.All() {
			f, there := flags[uid]
			if there && !touchedLater(later, mail.ModSeq(act), e.Mailbox, uid) && (f.Minus(must(mail.NewFlags(e.Added...))) != f || f.Union(must(mail.NewFlags(e.Removed...))) != f) {
				fail("undo of %d, which did %+v, left UID %d with (%s)", act, e, uid, f)
			}
		}
	}
}

func touchedLater(later []mail.Record, act mail.ModSeq, mb mail.MailboxID, uid mail.UID) bool {
	return slices.ContainsFunc(later, func(r mail.Record) bool {
		return r.ModSeq > act && slices.ContainsFunc(r.Entries, func(e mail.Entry) bool { return e.Mailbox == mb && e.UIDs.Contains(uid) })
	})
}
