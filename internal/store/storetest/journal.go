package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var journalChecks = []check{
	{"RecordsSayWhoWhatAndWhy", recordsAttribute},
	{"AnActSpansTransactions", actSpans},
	{"JournalIsFilteredAndNewestFirst", journalFilters},
	{"RecordsNameOnlyWhatReallyChanged", recordsAreExact},
	{"RecordsSayWhatWasBefore", recordsSayWhatWas},
	{"PagesEndAnywhere", pagesEndAnywhere},
	{"ChangesRefuseStrangePositions", strangePositions},
	{"PositionsOfAnotherEpochAreTooOld", otherEpoch},
	{"WhatLeftAndCameBackIsUpdated", leftAndCameBack},
	{"WhatChangesPastTheTargetWaits", pastTarget},
	{"WhatLeavesPastTheTargetIsNotDestroyedBeforeIt", leavesPastTarget},
	{"UndoOfADeleteBringsTheMailboxBack", undoDelete},
	{"UndoLeavesWhatOthersTouched", undoLeaves},
	{"UndoOfADeleteBringsBackWhatItDeleted", undoEmptied},
	{"UndoOfAnUndoIsARedo", undoUndo},
	{"UndoOfManyTransactionsTakesAllBack", undoMany},
	{"UndoOfSeveralActsAtOnceTakesAllBack", undoSeveral},
	{"UndoThatFailsIsAPreview", undoPreview},
	{"UndoMindsWhatIsDoneBetween", undoBetween},
	{"UndoOfTwoMovesOfOneMessageTakesBothBack", undoTwoMoves},
}

func recordsAttribute(t *trial) {
	s := t.subject()
	before := time.Now().Add(-time.Second)
	by := mail.NewOrigin("filter@example.test", s.devices[1], mail.LMTP, mail.ByDelivery).WithSession("c42")
	_, n, err := change(s, by, func(tx store.Tx) (mail.Placement, error) { return tx.Append(s.boxIn(tx, "INBOX"), arrival(1)) })
	ok(err)
	r := s.records(store.JournalQuery{Limit: 1})[0]
	equal("modseq", r.ModSeq, n)
	equal("act", r.Act, mail.ActID(n))
	equal("undoes", r.Undoes, 0)
	equal("actor", r.Actor, "filter@example.test")
	equal("device", r.Device, s.devices[1])
	equal("session", r.Session, "c42")
	equal("protocol", r.Protocol, mail.LMTP)
	equal("cause", r.Cause, mail.ByDelivery)
	equal("time is now", r.Time.After(before) && r.Time.Before(time.Now().Add(time.Second)), true)
	equal("entries", len(r.Entries), 1)
	equal("op", r.Entries[0].Op, mail.OpAppend)
	equal("UIDs", r.Entries[0].UIDs.String(), "1")
	n, err = s.Update(ctx, s.account, mail.Origin{}, func(tx store.Tx) error { return tx.Unsubscribe("INBOX") })
	if err == nil || n != 0 || s.head() != r.ModSeq {
		fail("a change without an origin: modseq %d, error %v", n, err)
	}
	first := s.records(store.JournalQuery{Before: s.base + 1})
	if len(first) == 0 || first[len(first)-1].Cause != mail.BySetup || first[len(first)-1].Actor != "setup" {
		fail("the account began with %+v", first)
	}
}

func actSpans(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	inbox := s.box("INBOX").ID
	_, first, err := change(s, s.origin(0), func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox, uids("1"), false) })
	ok(err)
	_, second, err := change(s, s.origin(0).InAct(mail.ActID(first)), func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox, uids("2"), false) })
	ok(err)
	rs := s.records(store.JournalQuery{Act: mail.ActID(first)})
	equal("records of the act", len(rs), 2)
	equal("newest first", rs[0].ModSeq, second)
}

func journalFilters(t *trial) {
	s := t.subject()
	s.append("INBOX", arrival(1))
	s.append("Archive", arrival(2))
	inbox, archive := s.box("INBOX").ID, s.box("Archive").ID
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox, mail.AllUIDs, archive) }))
	_, n, err := change(s, s.origin(1), func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(archive, uids("2"), add(`\Seen`), nil)
	})
	ok(err)
	message := s.placement(inbox, 1).Message
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(archive, uids("2"), false) }))
	expunged := s.head()
	by := mail.NewOrigin("cleaner", 0, mail.Local, mail.ByAdmin)
	must(s.Update(ctx, s.account, by, func(tx store.Tx) error { return tx.Unsubscribe("Trash") }))
	all := s.records(store.JournalQuery{})
	last := all[0].Time
	ok(s.do(func(tx store.Tx) error { return tx.Subscribe("Trash") }))
	for _, c := range []struct {
		what string
		q    store.JournalQuery
		want int
	}{
		{"by protocol", store.JournalQuery{Protocol: mail.Local, After: s.base}, 1},
		{"by cause", store.JournalQuery{Cause: mail.ByUser, After: s.base}, 6},
		{"by both", store.JournalQuery{Protocol: mail.IMAP, Cause: mail.ByAdmin}, 0},
		{"of one message", store.JournalQuery{Message: message}, 4},
		{"of one message, in its mailbox", store.JournalQuery{Message: message, Mailbox: inbox}, 2},
		{"of one message, where it left", store.JournalQuery{Message: message, Mailbox: archive, Before: expunged}, 2},
		{"of one message, elsewhere", store.JournalQuery{Message: message, Mailbox: s.box("Trash").ID}, 0},
		{"of no message", store.JournalQuery{Message: 1 << 40}, 0},
		{"since long ago", store.JournalQuery{After: s.base, Since: last.Add(-time.Hour)}, 7},
		{"since a moment to come", store.JournalQuery{Since: time.Now().Add(time.Hour)}, 0},
		{"until long ago", store.JournalQuery{Until: last.Add(-time.Hour)}, 0},
		{"of one moment", store.JournalQuery{Since: last, Until: last.Add(time.Microsecond), Cause: mail.ByAdmin}, 1},
		{"until just before it", store.JournalQuery{Until: last, Cause: mail.ByAdmin}, 0},
		{"all", store.JournalQuery{After: s.base}, 7},
		{"limit", store.JournalQuery{Limit: 2}, 2},
		{"before", store.JournalQuery{After: s.base, Before: n}, 3},
		{"after", store.JournalQuery{After: n - 1}, 4},
		{"inbox", store.JournalQuery{After: s.base, Mailbox: inbox}, 2},
		{"archive", store.JournalQuery{After: s.base, Mailbox: archive}, 4},
		{"a message", store.JournalQuery{After: s.base, Mailbox: archive, UID: 2}, 3},
		{"a device", store.JournalQuery{Device: s.devices[1]}, 1},
	} {
		rs := s.records(c.q)
		equal("records, "+c.what, len(rs), c.want)
		for i := 1; i < len(rs); i++ {
			equal("newest first", rs[i-1].ModSeq > rs[i].ModSeq, true)
		}
	}
}

func recordsAreExact(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("1"), add(`\Seen`, "blue"), nil)
	}))
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, mail.AllUIDs, mail.FlagChange{Replace: true, Add: flags(`\Seen`)}, nil)
	}))
	said := map[string]string{}
	for _, e := range s.records(store.JournalQuery{Limit: 1})[0].Entries {
		equal("op", e.Op, mail.OpFlags)
		said[e.UIDs.String()] = "+" + flags(e.Added...).String() + " -" + flags(e.Removed...).String()
	}
	equal("entries", len(said), 2)
	equal("of UID 1", said["1"], "+ -blue")
	equal("of the others", said["2:3"], `+\Seen -`)
}

// recordsSayWhatWas looks at all that a walk back through the journal needs.
func recordsSayWhatWas(t *trial) {
	s := t.subject()
	inbox, work := s.fill("INBOX", 3).ID, s.create("Work")
	member := s.members[0]
	s.grant(inbox, member, "lrs")
	must(s.annotate(inbox, 7, "/private/comment", "one"))
	renamed := work.Image()
	renamed.Name = "Play"
	last := func(fn func(store.Tx) error) mail.Entry {
		ok(s.do(fn))
		return s.records(store.JournalQuery{Limit: 1})[0].Entries[0]
	}
	e := last(func(tx store.Tx) error { return tx.SetMetadata(inbox, 7, "/private/comment", []byte("two")) })
	equal("the annotation", fmt.Sprintf("%s %s of %d: %s, %s", e.Op, e.Name, e.Who, e.Old, e.New), "metadata /private/comment of 7: one, two")
	e = last(func(tx store.Tx) error { return tx.SetRights(inbox, member, mail.MayRead) })
	equal("the rights", fmt.Sprintf("%v, %v", e.Had, e.Has), "lrs, r")
	e = last(func(tx store.Tx) error {
		_, err := tx.StoreFlags(inbox, uids("2"), mail.FlagChange{Add: flags(`\Seen`), As: member}, nil)
		return err
	})
	equal("whose \\Seen it is", e.Who, member)
	e = last(func(tx store.Tx) error { return tx.SetMailbox(work.ID, renamed) })
	equal("the image before", *e.Before, work.Image())
	equal("and after", *e.After, renamed)
	e = last(func(tx store.Tx) error { return tx.Unsubscribe("INBOX") })
	equal("the subscription", fmt.Sprint(e.Op, " ", e.Name), "unsubscribe INBOX")
	e = last(func(tx store.Tx) error { _, err := tx.Expunge(inbox, uids("1,3"), false); return err })
	equal("who left", e.UIDs.String(), "1,3")
}

// pagesEndAnywhere reads deltas in which each kind of change ends a page.
func pagesEndAnywhere(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 8).ID
	before := s.snapshot()
	ok(s.do(func(tx store.Tx) error {
		if _, err := tx.StoreFlags(inbox, uids("1:4"), add(`\Flagged`), nil); err != nil {
			return err
		}
		_, err := tx.Expunge(inbox, uids("5:8"), false)
		return err
	}))
	for n := range 4 {
		s.append("INBOX", arrival(10+n))
	}
	now := s.snapshot()
	f := feed{typ: mail.TypePlacement, mailbox: inbox}
	for limit := range 13 {
		s.exactDelta(f, before, before.objects(f), now.objects(f), 1+limit)
	}
}

func strangePositions(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	a := must(view(s, store.Reader.Account))
	for _, from := range []mail.Position{
		{Epoch: a.Epoch, Since: a.Head + 1},
		{Epoch: a.Epoch, Since: a.Head, Target: a.Head + 1, Phase: mail.Created},
		{Epoch: a.Epoch, Since: a.Head, Target: a.Head - 1, Phase: mail.Created},
	} {
		_, err := view(s, func(r store.Reader) (mail.ChangePage, error) {
			return r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: from, Limit: 1})
		})
		want(mail.Invalid, err)
	}
	_, err := view(s, func(r store.Reader) (mail.ChangePage, error) {
		return r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: 1 << 40, From: a.Epoch.At(0), Limit: 1})
	})
	want(mail.NotFound, err)
}

func otherEpoch(t *trial) {
	s := t.subject()
	a := must(view(s, store.Reader.Account))
	for _, e := range []mail.Epoch{a.Epoch + 1, a.Epoch - 1} {
		_, err := view(s, func(r store.Reader) (mail.ChangePage, error) {
			return r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: e.At(a.Head), Limit: 1})
		})
		want(mail.TooOld, err)
	}
}

// since returns the whole delta of a feed.
func (s *subject) since(f feed, n mail.ModSeq) []mail.Change {
	at := must(view(s, store.Reader.Account)).Epoch.At(n)
	return s.page(store.ChangeQuery{Type: f.typ, Mailbox: f.mailbox, From: at, Limit: 1000}).Changes
}

func leftAndCameBack(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1))
	known := s.head()
	mark := func(c mail.FlagChange) {
		must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(p.Mailbox, mail.AllUIDs, c, nil) }))
	}
	mark(add(`\Deleted`))
	hidden := s.head()
	mark(mail.FlagChange{Remove: flags(`\Deleted`)})
	for _, f := range []feed{{typ: mail.TypeEmail}, {typ: mail.TypeThread}} {
		s.only(f, known, mail.Updated)
		s.only(f, hidden, mail.Created)
		s.only(f, known-1, mail.Created)
	}
	work := s.create("Work")
	known = s.head()
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) }))
	gone := s.head()
	s.only(feed{typ: mail.TypeMailbox}, known, mail.Destroyed)
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(gone)) }))
	s.only(feed{typ: mail.TypeMailbox}, known, mail.Updated)
	s.only(feed{typ: mail.TypeMailbox}, gone, mail.Created)
}

// only gives up unless the delta is one change of that kind.
func (s *subject) only(f feed, since mail.ModSeq, op mail.ChangeOp) {
	cs := s.since(f, since)
	if len(cs) != 1 || cs[0].Op != op {
		fail("%v since %d: got %+v, want one change of kind %d", f, since, cs, op)
	}
}

func pastTarget(t *trial) {
	s := t.subject()
	start := must(view(s, store.Reader.Account))
	inbox := s.fill("INBOX", 3)
	q := store.ChangeQuery{Type: mail.TypePlacement, Mailbox: inbox.ID, From: start.Epoch.At(start.Head), Limit: 2}
	page := s.page(q)
	equal("more", page.More, true)
	equal("target", page.Next.Target, s.head())
	s.append("INBOX", arrival(8))
	q.From = page.Next
	page = s.page(q)
	equal("the rest of the delta", len(page.Changes), 1)
	equal("more", page.More, false)
	q.From = page.Next
	page = s.page(q)
	equal("what came later", len(page.Changes), 1)
	equal("its UID", page.Changes[0].UID, 4)
}

// leavesPastTarget reads a delta in which messages left and came back, and which
// they leave once more while it is read: that is the next delta's to tell.
func leavesPastTarget(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	start := must(view(s, store.Reader.Account))
	mark := func(c mail.FlagChange) {
		must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, mail.AllUIDs, c, nil) }))
	}
	mark(add(`\Deleted`))
	mark(mail.FlagChange{Remove: flags(`\Deleted`)})
	for _, typ := range []mail.Type{mail.TypeEmail, mail.TypeThread} {
		q := store.ChangeQuery{Type: typ, From: start.Epoch.At(start.Head), Limit: 1}
		page := s.page(q)
		equal("the first is updated", page.Changes[0].Op, mail.Updated)
		mark(add(`\Deleted`))
		for page.More {
			q.From = page.Next
			page = s.page(q)
			for _, c := range page.Changes {
				equal("destroyed at the target", c.Op == mail.Destroyed, false)
			}
		}
		q.From, q.Limit = page.Next, 9
		page = s.page(q)
		equal("left since", len(page.Changes), 2)
		equal("as destroyed", page.Changes[0].Op, mail.Destroyed)
		mark(mail.FlagChange{Remove: flags(`\Deleted`)})
	}
}

func undoDelete(t *trial) {
	s := t.subject()
	work := s.create("Work")
	a := arrival(1, `\Flagged`, "blue")
	was := s.append("Work", a)
	before := s.box("Work")
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) }))
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx))) }))
	equal("left", len(r.Left), 0)
	after := s.box("Work")
	equal("id", after.ID, before.ID)
	equal("UIDVALIDITY", after.UIDValidity, before.UIDValidity)
	is := s.placement(work.ID, was.UID+1)
	equal("message", is.Message, was.Message)
	equal("flags", is.Flags, was.Flags)
	equal("lineage", is.Lineage, was.Lineage)
	equal("size of the mailbox", len(s.placements(store.PlacementQuery{Mailbox: work.ID})), 1)
	m := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(is.Message) }))
	equal("EMAILID", m.EmailID, a.EmailID)
	equal("internal date", dateAndZone(m.InternalDate), dateAndZone(a.InternalDate))
}

// undoEmptied takes a mailbox away in the transaction in which messages left it,
// and brings it back: each message returns once, and by the entry it left by.
func undoEmptied(t *trial) {
	s := t.subject()
	archive := s.box("Archive").ID
	made := must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		mb, err := tx.CreateMailbox(mail.MailboxImage{Name: "Made"})
		if err != nil {
			return mb, err
		}
		_, err = tx.Append(mb.ID, arrival(1))
		return mb, err
	})).ID
	undone := func(what string, placements, archived int) {
		r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx))) }))
		equal(what+": left", len(r.Left), 0)
		_, err := view(s, func(r store.Reader) (mail.Mailbox, error) { return r.Mailbox(made) })
		if placements < 0 {
			want(mail.NotFound, err)
		} else {
			ok(err)
			equal(what+": messages", len(s.placements(store.PlacementQuery{Mailbox: made})), placements)
		}
		equal(what+": archived", len(s.placements(store.PlacementQuery{Mailbox: archive})), archived)
	}
	undone("undo of making it", -1, 0)
	undone("its redo", 1, 0)
	s.append("Made", arrival(2))
	uid := s.append("Made", arrival(3)).UID
	ok(s.do(func(tx store.Tx) error {
		if _, err := tx.Move(made, mail.MakeUIDSet(uid), archive); err != nil {
			return err
		}
		if _, err := tx.Expunge(made, mail.MakeUIDSet(uid-1), false); err != nil {
			return err
		}
		return tx.DeleteMailbox(made)
	}))
	undone("undo of deleting it", 3, 0)
	undone("its redo", -1, 1)
	undone("undo of the redo", 3, 0)
}

// headIn is the newest record a transaction sees.
func (s *subject) headIn(tx store.Tx) mail.ModSeq {
	rs, err := tx.Journal(store.JournalQuery{Limit: 1})
	if err != nil || len(rs) == 0 {
		return 0
	}
	return rs[0].ModSeq
}

func undoLeaves(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	_, act, err := change(s, s.origin(0), func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, mail.AllUIDs, add(`\Flagged`, "blue"), nil)
	})
	ok(err)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, uids("1"), false) }))
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("2"), mail.FlagChange{Add: flags(`\Seen`), Remove: flags("blue")}, nil)
	}))
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(act)) }))
	equal("flags", s.placement(inbox.ID, 2).Flags.String(), `\Seen`)
	equal("something is left", len(r.Left) > 0, true)
	equal("undone", r.Undone, 1)

	p := s.append("Archive", arrival(9))
	came := s.head()
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(p.Mailbox, mail.AllUIDs, add(`\Flagged`), nil)
	}))
	r = must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(came)) }))
	equal("what others touched is left", len(r.Left), 1)
	equal("and is there", s.placement(p.Mailbox, p.UID).ID, p.ID)
}

func undoUndo(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	archive := s.box("Archive").ID
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, uids("1:2"), archive) }))
	act := mail.ActID(s.head())
	for i := range 4 {
		_, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) })
		ok(err)
		equal("the record undoes", s.records(store.JournalQuery{Limit: 1})[0].Undoes, act)
		act = mail.ActID(n)
		equal("in the inbox", len(s.placements(store.PlacementQuery{Mailbox: inbox.ID})), []int{3, 1}[i%2])
		equal("in the archive", len(s.placements(store.PlacementQuery{Mailbox: archive})), []int{0, 2}[i%2])
	}
}

func undoMany(t *trial) {
	s := t.subject()
	s.fill("INBOX", 3)
	before := s.snapshot()
	by := s.origin(0)
	for i, fn := range []func(tx store.Tx) error{
		func(tx store.Tx) error { _, err := tx.Append(s.boxIn(tx, "INBOX"), arrival(9)); return err },
		func(tx store.Tx) error {
			_, err := tx.StoreFlags(s.boxIn(tx, "INBOX"), mail.AllUIDs, add(`\Seen`), nil)
			return err
		},
		func(tx store.Tx) error {
			_, err := tx.Move(s.boxIn(tx, "INBOX"), uids("2:4"), s.boxIn(tx, "Archive"))
			return err
		},
		func(tx store.Tx) error { _, err := tx.Expunge(s.boxIn(tx, "Archive"), uids("2"), false); return err },
		func(tx store.Tx) error {
			_, err := tx.Copy(s.boxIn(tx, "Archive"), mail.AllUIDs, s.boxIn(tx, "Trash"))
			return err
		},
	} {
		n := must(s.Update(ctx, s.account, by, fn))
		if i == 0 {
			by = by.InAct(mail.ActID(n))
		}
	}
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(by.Act()) }))
	if len(r.Left) > 0 {
		fail("left %q", r.Left)
	}
	if d := difference(s.snapshot().contents(), before.contents()); d != "" {
		fail("not as before: %s", d)
	}
}

// several does five acts, each in the way of the one before, and returns them, the
// newest first.
func (s *subject) several() (acts []mail.ActID) {
	for _, fn := range []func(tx store.Tx) error{
		func(tx store.Tx) error { _, err := tx.Append(s.boxIn(tx, "INBOX"), arrival(9)); return err },
		func(tx store.Tx) error {
			_, err := tx.StoreFlags(s.boxIn(tx, "INBOX"), mail.AllUIDs, add(`\Seen`, "blue"), nil)
			return err
		},
		func(tx store.Tx) error {
			_, err := tx.Move(s.boxIn(tx, "INBOX"), uids("2:4"), s.boxIn(tx, "Archive"))
			return err
		},
		func(tx store.Tx) error { _, err := tx.Expunge(s.boxIn(tx, "Archive"), uids("2:3"), false); return err },
		func(tx store.Tx) error {
			_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Late"})
			if err == nil {
				_, err = tx.Copy(s.boxIn(tx, "Archive"), mail.AllUIDs, s.boxIn(tx, "Late"))
			}
			return err
		},
	} {
		acts = append([]mail.ActID{mail.ActID(must(s.Update(ctx, s.account, s.origin(0), fn)))}, acts...)
	}
	return acts
}

// undoAll undoes acts in one transaction.
func undoAll(tx store.Tx, acts []mail.ActID) (all mail.UndoReport, err error) {
	for _, act := range acts {
		r, err := tx.Undo(act)
		if err != nil {
			return all, err
		}
		all.Undone += r.Undone
		all.Left = append(all.Left, r.Left...)
	}
	return all, nil
}

func undoSeveral(t *trial) {
	s := t.subject()
	s.fill("INBOX", 3)
	before := s.snapshot()
	acts := s.several()
	after := s.snapshot()
	r, n, err := change(s, s.origin(0).WithCause(mail.ByUndo), func(tx store.Tx) (mail.UndoReport, error) { return undoAll(tx, acts) })
	ok(err)
	if len(r.Left) > 0 {
		fail("left %q", r.Left)
	}
	if d := difference(s.snapshot().contents(), before.contents()); d != "" {
		fail("not as before: %s", d)
	}
	equal("one record", len(s.records(store.JournalQuery{After: after.account.Head})), 1)
	r = must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(n)) }))
	if len(r.Left) > 0 {
		fail("redone, left %q", r.Left)
	}
	if d := difference(s.snapshot().contents(), after.contents()); d != "" {
		fail("redone, not as it was done: %s", d)
	}
	s.snapshot().sound()
	s.checked()
}

func undoPreview(t *trial) {
	s := t.subject()
	s.fill("INBOX", 3)
	acts := s.several()
	must(update(s, func(tx store.Tx) (store.StoreResult, error) { // in the way of some of it
		return tx.StoreFlags(s.boxIn(tx, "INBOX"), uids("1"), mail.FlagChange{Remove: flags("blue")}, nil)
	}))
	w := newWatch(s)
	var foreseen mail.UndoReport
	s.unchanged("a preview", func() {
		_, err := update(s, func(tx store.Tx) (int, error) {
			var err error
			foreseen, err = undoAll(tx, acts)
			return 0, cmp.Or(err, errBroken)
		})
		equal("its own error", errors.Is(err, errBroken), true)
	})
	w.stop()
	equal("news of a preview", len(w.news()), 0)
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return undoAll(tx, acts) }))
	equal("the report", fmt.Sprint(r), fmt.Sprint(foreseen))
	equal("it left something, and not all", len(r.Left) > 0 && r.Undone > 0, true)
}

func undoBetween(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1))
	came := mail.ActID(s.head())
	_, n, err := change(s, s.origin(0), func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(p.Mailbox, mail.AllUIDs, add(`\Seen`), nil)
	})
	ok(err)
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) {
		if _, err := tx.Undo(mail.ActID(n)); err != nil {
			return mail.UndoReport{}, err
		}
		if _, err := tx.StoreFlags(p.Mailbox, mail.AllUIDs, add(`\Flagged`), nil); err != nil {
			return mail.UndoReport{}, err
		}
		return tx.Undo(came)
	}))
	equal("what was changed between is left", len(r.Left), 1)
	equal("and is there", s.placement(p.Mailbox, p.UID).Flags.String(), `\Flagged`)
}

// undoTwoMoves moves a message inside its mailbox twice in one transaction: the
// record must not say that what the first move placed is still there.
func undoTwoMoves(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 1)
	_, n, err := change(s, s.origin(0), func(tx store.Tx) (store.Mapping, error) {
		if _, err := tx.Move(inbox.ID, uids("1"), inbox.ID); err != nil {
			return store.Mapping{}, err
		}
		return tx.Move(inbox.ID, uids("2"), inbox.ID)
	})
	ok(err)
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(n)) }))
	if len(r.Left) > 0 {
		fail("left %q", r.Left)
	}
	equal("messages", len(s.placements(store.PlacementQuery{Mailbox: inbox.ID})), 1)
}
