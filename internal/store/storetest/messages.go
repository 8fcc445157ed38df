package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var messageChecks = []check{
	{"AppendKeepsWhatArrived", appendKeeps},
	{"AppendDrawsWhatIsMissing", appendDraws},
	{"ExpiredBlobsAreRefused", expiredBlobs},
	{"QuotaCountsAMessageOnce", quota},
	{"OnceAppendsOnce", once},
	{"ReplaceHandsOnItsLineage", replace},
	{"ReplaceInAnotherMailbox", replaceElsewhere},
	{"ContinuingHandsOnTheLine", continues},
	{"WhatReturnsBesideItsSuccessorBeginsALine", returnsBeside},
	{"FlagsMergeAsAdditionsAndRemovals", flagsMerge},
	{"StoreOfNothingKeepsTheModSeq", storeSame},
	{"UnchangedSinceLeavesChangedOnesAlone", unchangedSince},
	{"KeywordsAreBounded", keywordBound},
	{"CopyMakesAPlacementNotAMessage", copyKeeps},
	{"MoveGivesNewUIDsAndKeepsTheEmail", moveKeeps},
	{"ExpungeOfDeletedOnlyTakesTheMarked", expungeDeleted},
	{"DepartedMessagesCanStillBeAskedFor", departed},
	{"ANameIsKnownAtEachMoment", namedAt},
	{"AnEmptySetOfUIDsIsNobody", emptySet},
	{"QueriesSelectByUIDModSeqAndNumber", queries},
	{"JMAPHidesDeletedAndNeedsAllSeen", jmapView},
	{"ThreadsFollowReferencesThenSubject", threading},
	{"UIDsAreNeverReused", uidsGrow},
}

func appendKeeps(t *trial) {
	s := t.subject()
	a := arrival(1, `\Flagged`, "blue")
	a.SentAt = time.Date(2025, 2, 3, 4, 5, 6, 0, time.UTC)
	p, n, err := change(s, s.origin(1), func(tx store.Tx) (mail.Placement, error) { return tx.Append(s.boxIn(tx, "INBOX"), a) })
	ok(err)
	equal("UID", p.UID, 1)
	got := s.placement(p.Mailbox, p.UID)
	equal("what Append returned", withoutTime(p), withoutTime(got))
	equal("modseq", got.ModSeq, n)
	equal("created", got.Created, n)
	equal("changed by", got.ChangedBy, s.devices[1])
	equal("flags", got.Flags, a.Flags)
	equal("lineage", got.Lineage, mail.Lineage(got.ID))
	equal("saved just now", time.Since(got.SaveDate) < time.Minute, true)
	m := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }))
	equal("EMAILID", m.EmailID, a.EmailID)
	equal("size", m.Size, a.Blob.Size)
	equal("internal date", dateAndZone(m.InternalDate), dateAndZone(a.InternalDate))
	equal("sent at", m.SentAt.Equal(a.SentAt), true)
	equal("Message-ID", m.MessageID, a.MessageID)
	equal("preview", m.Preview, a.Preview)
	equal("parsed", bytes.Equal(m.Parsed, a.Parsed), true)
	equal("blob name", m.Blob.Name, a.Blob.Name)
	equal("blob place", m.Blob.Place, a.Blob.Place)
	equal("blob key", bytes.Equal(m.Blob.Key, a.Blob.Key), true)
	equal("blob handle does not expire", m.Blob.Until.IsZero(), true)
	equal("created", m.Created, n)
	byID := must(view(s, func(r store.Reader) (mail.Message, error) { return r.MessageByEmailID(a.EmailID) }))
	equal("by EMAILID", byID.Key, m.Key)
}

// boxIn finds a mailbox inside a transaction; 0 is found nowhere.
func (s *subject) boxIn(tx store.Tx, path string) mail.MailboxID {
	mb, err := tx.MailboxByPath(path)
	if err != nil {
		return 0
	}
	return mb.ID
}

func withoutTime(p mail.Placement) mail.Placement {
	p.SaveDate = time.Time{}
	return p
}

func appendDraws(t *trial) {
	s := t.subject()
	a := arrival(1)
	a.EmailID, a.InternalDate, a.MessageID = mail.EmailID{}, time.Time{}, ""
	p, q := s.append("INBOX", a), s.append("INBOX", a)
	m := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }))
	o := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(q.Message) }))
	if m.EmailID == o.EmailID || m.EmailID == (mail.EmailID{}) || m.Thread == o.Thread || m.Key == o.Key {
		fail("two arrivals became %+v and %+v", m, o)
	}
	equal("internal date is now", time.Since(m.InternalDate) < time.Minute, true)
	equal("zone of now", dateAndZone(m.InternalDate), dateAndZone(m.InternalDate.UTC()))
	equal("sent at", m.SentAt.IsZero(), true)
}

func expiredBlobs(t *trial) {
	s := t.subject()
	for _, part := range []bool{false, true} {
		a := arrival(1)
		b := &a.Blob
		if part {
			a.Parts = []mail.Blob{a.Blob}
			b = &a.Parts[0]
		}
		b.Until = time.Now().Add(-time.Second)
		s.unchanged("an expired blob", func() {
			_, err := update(s, func(tx store.Tx) (mail.Placement, error) { return tx.Append(s.boxIn(tx, "INBOX"), a) })
			want(mail.Expired, err)
		})
	}
}

func quota(t *trial) {
	s := t.subject()
	ok(s.do(func(tx store.Tx) error { return tx.SetQuota(1000) }))
	a := arrival(1)
	a.Blob.Size = 600
	s.append("INBOX", a)
	must(update(s, func(tx store.Tx) (store.Mapping, error) {
		return tx.Copy(s.boxIn(tx, "INBOX"), mail.AllUIDs, s.boxIn(tx, "Archive"))
	}))
	acct := must(view(s, store.Reader.Account))
	equal("used", acct.Used, 600)
	equal("quota", acct.Quota, 1000)
	b := arrival(2)
	b.Blob.Size = 401
	s.unchanged("a message too many", func() {
		_, err := update(s, func(tx store.Tx) (mail.Placement, error) { return tx.Append(s.boxIn(tx, "INBOX"), b) })
		want(mail.OverQuota, err)
	})
	b.Blob.Size = 400
	s.append("INBOX", b)
	equal("used", must(view(s, store.Reader.Account)).Used, 1000)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(s.boxIn(tx, "INBOX"), uids("1"), false) }))
	equal("used while a copy remains", must(view(s, store.Reader.Account)).Used, 1000)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(s.boxIn(tx, "Archive"), mail.AllUIDs, false) }))
	equal("used after the last copy went", must(view(s, store.Reader.Account)).Used, 400)
}

func emptySet(t *trial) {
	s := t.subject()
	s.append("INBOX", arrival(1, `\Deleted`))
	for _, none := range []mail.UIDSet{nil, {}} {
		s.unchanged("verbs on nobody", func() {
			ok(s.do(func(tx store.Tx) error {
				inbox, archive := s.boxIn(tx, "INBOX"), s.boxIn(tx, "Archive")
				r := must(tx.StoreFlags(inbox, none, add(`\Seen`), nil))
				equal("changed", r.Changed.String()+r.Same.String()+r.Modified.String(), "")
				equal("copied", must(tx.Copy(inbox, none, archive)).From.String(), "")
				equal("moved", must(tx.Move(inbox, none, archive)).From.String(), "")
				equal("expunged", must(tx.Expunge(inbox, none, true)).String(), "")
				return nil
			}))
		})
	}
}

func once(t *trial) {
	s := t.subject()
	a := arrival(1)
	a.Once, a.OnceFor = "delivery 7", time.Hour
	p := s.append("INBOX", a)
	s.unchanged("the same arrival again", func() {
		again := s.append("INBOX", a)
		equal("what came of it", again.UID, p.UID)
		equal("message", again.Message, p.Message)
	})
	r := must(view(s, func(r store.Reader) (mail.Placement, error) { return r.Remembered("delivery 7") }))
	equal("remembered", r.ID, p.ID)
	ok(s.Note(ctx, s.account, func(n store.Notes) error { return n.Forget("delivery 7") }))
	a.EmailID, a.OnceFor = emailID(2), time.Nanosecond
	equal("UID after Forget", s.append("INBOX", a).UID, 2)
	time.Sleep(time.Millisecond) // the memory lasts a nanosecond
	a.EmailID = emailID(3)
	equal("UID after the memory expired", s.append("INBOX", a).UID, 3)
}

func replace(t *trial) {
	s := t.subject()
	old := s.append("Drafts", arrival(1, `\Draft`))
	a := arrival(2, `\Draft`)
	a.Replaces = old.UID
	p, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.Placement, error) { return tx.Append(old.Mailbox, a) })
	ok(err)
	equal("lineage", p.Lineage, old.Lineage)
	equal("UID", p.UID, 2)
	equal("placements", len(s.placements(store.PlacementQuery{Mailbox: old.Mailbox})), 1)
	v := must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.Vanished(old.Mailbox, n-1) }))
	equal("vanished", v.String(), "1")
	a.Replaces, a.EmailID = 77, emailID(3)
	s.unchanged("replacing nothing", func() {
		_, err := update(s, func(tx store.Tx) (mail.Placement, error) { return tx.Append(old.Mailbox, a) })
		want(mail.NotFound, err)
	})
}

func replaceElsewhere(t *trial) {
	s := t.subject()
	old := s.append("Drafts", arrival(1, `\Draft`))
	sent := s.box("Sent").ID
	a := arrival(2, `\Seen`)
	a.Replaces, a.ReplacesIn = old.UID, old.Mailbox
	p, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.Placement, error) { return tx.Append(sent, a) })
	ok(err)
	equal("lineage", p.Lineage, old.Lineage)
	equal("drafts", len(s.placements(store.PlacementQuery{Mailbox: old.Mailbox})), 0)
	equal("transactions", s.head(), n)
	a.ReplacesIn = 1 << 40
	s.unchanged("replacing in a mailbox that is not there", func() {
		_, err := update(s, func(tx store.Tx) (mail.Placement, error) { return tx.Append(sent, a) })
		want(mail.NotFound, err)
	})
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(n)) }))
	equal("left", len(r.Left), 0)
	equal("lineage of what came back", s.placement(old.Mailbox, 2).Lineage, old.Lineage)
	equal("sent", len(s.placements(store.PlacementQuery{Mailbox: sent})), 0)
}

func continues(t *trial) {
	s := t.subject()
	old := s.append("Drafts", arrival(1, `\Draft`))
	before := s.head()
	a := arrival(2, `\Draft`)
	a.Continues = old.UID
	p := s.append("Drafts", a)
	equal("lineage", p.Lineage, old.Lineage)
	left := s.placement(old.Mailbox, old.UID)
	equal("line of the earlier version", left.Lineage, old.Lineage.HandedOn())
	equal("its ModSeq", left.ModSeq, old.ModSeq)
	s.only(feed{typ: mail.TypePlacement, mailbox: old.Mailbox}, before, mail.Created)
	a.EmailID = emailID(3)
	fork := s.append("Drafts", a)
	equal("successor of an earlier version", fork.Lineage, mail.Lineage(fork.ID))
	a.Continues, a.EmailID = 77, emailID(4)
	s.unchanged("continuing nothing", func() {
		_, err := update(s, func(tx store.Tx) (mail.Placement, error) { return tx.Append(old.Mailbox, a) })
		want(mail.NotFound, err)
	})
}

// returnsBeside undoes the replacement of a draft whose successor somebody changed:
// both are there, and each is an item of its own.
func returnsBeside(t *trial) {
	s := t.subject()
	old := s.append("Drafts", arrival(1, `\Draft`))
	a := arrival(2, `\Draft`)
	a.Replaces = old.UID
	p := s.append("Drafts", a)
	act := mail.ActID(s.head())
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(p.Mailbox, uids("2"), add(`\Flagged`), nil)
	}))
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	equal("left", len(r.Left), 1)
	equal("the successor's lineage", s.placement(p.Mailbox, 2).Lineage, old.Lineage)
	back := s.placement(p.Mailbox, 3)
	equal("message", back.Message, old.Message)
	equal("lineage of what came back", back.Lineage, mail.Lineage(back.ID))
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	equal("lineage of what came back twice", s.placement(p.Mailbox, 4).Lineage.Held(), true)
	s.snapshot().sound()
}

func flagsMerge(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1, `\Seen`, "$forwarded"))
	for _, c := range []struct {
		change mail.FlagChange
		want   string
	}{
		{add(`\Flagged`, "blue"), `\Flagged \Seen $Forwarded blue`},
		{mail.FlagChange{Remove: flags(`\Seen`, "$FORWARDED")}, `\Flagged blue`},
		{mail.FlagChange{Add: flags(`\Answered`), Remove: flags("blue")}, `\Answered \Flagged`},
		{mail.FlagChange{Replace: true, Add: flags(`\Draft`, "x")}, `\Draft x`},
		{mail.FlagChange{Replace: true}, ``},
	} {
		_, n, err := change(s, s.origin(1), func(tx store.Tx) (store.StoreResult, error) {
			return tx.StoreFlags(p.Mailbox, uids("1"), c.change, nil)
		})
		ok(err)
		got := s.placement(p.Mailbox, 1)
		equal("flags", got.Flags.String(), c.want)
		equal("modseq", got.ModSeq, n)
		equal("changed by", got.ChangedBy, s.devices[1])
	}
}

func storeSame(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1, `\Seen`))
	s.append("INBOX", arrival(2))
	s.unchanged("storing what is so already", func() {
		r, n, err := change(s, s.origin(1), func(tx store.Tx) (store.StoreResult, error) {
			return tx.StoreFlags(p.Mailbox, uids("1,9"), add(`\Seen`), nil)
		})
		ok(err)
		equal("modseq", n, 0)
		equal("same", r.Same.String(), "1")
		equal("changed", r.Changed.String(), "")
	})
	r := must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(p.Mailbox, mail.AllUIDs, add(`\Seen`), nil)
	}))
	equal("changed", r.Changed.String(), "2")
	equal("modseq of the other", s.placement(p.Mailbox, 1).ModSeq, p.ModSeq)
}

func unchangedSince(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	limit := s.placement(inbox.ID, 2).ModSeq
	r := must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, mail.AllUIDs, add(`\Flagged`), &limit)
	}))
	equal("changed", r.Changed.String(), "1:2")
	equal("modified", r.Modified.String(), "3")
	equal("flags of the refused", s.placement(inbox.ID, 3).Flags, mail.Flags{})
	zero := mail.ModSeq(0)
	r = must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, mail.AllUIDs, add(`\Flagged`), &zero)
	}))
	equal("UNCHANGEDSINCE 0 refuses all", r.Modified.String(), "1:3")
}

func keywordBound(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1, "k"))
	var names []string
	for i := range mail.MaxKeywords {
		names = append(names, fmt.Sprintf("w%d", i))
	}
	s.unchanged("a keyword too many", func() {
		_, err := update(s, func(tx store.Tx) (store.StoreResult, error) {
			return tx.StoreFlags(p.Mailbox, mail.AllUIDs, add(names...), nil)
		})
		want(mail.Limit, err)
	})
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(p.Mailbox, mail.AllUIDs, add(names[1:]...), nil)
	}))
}

func copyKeeps(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("2"), add(`\Seen`, "blue"), nil)
	}))
	archive := s.box("Archive")
	m := must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox.ID, uids("1:9"), archive.ID) }))
	equal("from", m.From.String(), "1:2")
	equal("to", m.To.String(), "1:2")
	a, b := s.placement(inbox.ID, 2), s.placement(archive.ID, 2)
	equal("message", b.Message, a.Message)
	equal("flags", b.Flags, a.Flags)
	equal("another placement", a.ID != b.ID, true)
	of := must(view(s, func(r store.Reader) ([]mail.Placement, error) { return r.PlacementsOf(a.Message) }))
	equal("placements of the message", len(of), 2)
	m = must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox.ID, uids("1"), inbox.ID) }))
	equal("copied into itself", m.To.String(), "3")
	s.unchanged("copying nothing", func() {
		m, n, err := change(s, s.origin(0), func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox.ID, uids("70:80"), archive.ID) })
		ok(err)
		equal("modseq", n, 0)
		equal("from", len(m.From), 0)
	})
}

func moveKeeps(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	before := s.placement(inbox.ID, 2)
	archive := s.box("Archive")
	m, n, err := change(s, s.origin(0), func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, uids("2:3"), archive.ID) })
	ok(err)
	equal("from", m.From.String(), "2:3")
	equal("to", m.To.String(), "1:2")
	equal("message", s.placement(archive.ID, 1).Message, before.Message)
	equal("left in the source", len(s.placements(store.PlacementQuery{Mailbox: inbox.ID})), 1)
	v := must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.Vanished(inbox.ID, n-1) }))
	equal("vanished", v.String(), "2:3")
	equal("source's highest modseq", s.box("INBOX").HighestModSeq, n)
	m = must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, uids("1"), inbox.ID) }))
	equal("moved into itself", m.To.String(), "4")
	equal("and nothing is doubled", len(s.placements(store.PlacementQuery{Mailbox: inbox.ID})), 1)
}

func expungeDeleted(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 4)
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("2:3"), add(`\Deleted`), nil)
	}))
	equal("deleted", s.box("INBOX").Counts.Deleted, 2)
	gone := must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, uids("1:2"), true) }))
	equal("gone", gone.String(), "2")
	gone = must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, mail.AllUIDs, true) }))
	equal("gone", gone.String(), "3")
	gone = must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, uids("1"), false) }))
	equal("gone", gone.String(), "1")
}

func departed(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1, `\Flagged`, "blue"))
	_, err := view(s, func(r store.Reader) (mail.Placement, error) { return r.Departed(p.Mailbox, 1) })
	want(mail.NotFound, err)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(p.Mailbox, mail.AllUIDs, false) }))
	d := must(view(s, func(r store.Reader) (mail.Placement, error) { return r.Departed(p.Mailbox, 1) }))
	equal("departed", withoutTime(d), withoutTime(p))
	m := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }))
	equal("its message", m.EmailID, emailID(1))
	_, err = view(s, func(r store.Reader) (mail.Message, error) { return r.MessageByEmailID(emailID(1)) })
	want(mail.NotFound, err)
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	_, err = view(s, func(r store.Reader) (mail.Placement, error) { return r.Departed(p.Mailbox, 1) })
	want(mail.NotFound, err)
}

// namedAt asks whether an email was there, of one that hides, shows, leaves and comes
// back under its name as another message.
func namedAt(t *trial) {
	s := t.subject()
	there := map[mail.ModSeq]bool{s.head(): false}
	note := func(visible bool) { there[s.head()] = visible }
	a := arrival(1)
	inbox := s.append("INBOX", a).Mailbox
	note(true)
	flag := func(c mail.FlagChange) {
		must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, mail.AllUIDs, c, nil) }))
	}
	flag(add(`\Deleted`))
	note(false)
	flag(mail.FlagChange{Remove: flags(`\Deleted`)})
	note(true)
	for range 2 {
		must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox, mail.AllUIDs, false) }))
		note(false)
		s.append("INBOX", a)
		note(true)
	}
	unnamed := arrival(2)
	unnamed.EmailID = mail.EmailID{}
	p := s.append("INBOX", unnamed)
	drawn := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }))
	there[s.head()] = true
	for n, visible := range there {
		equal(fmt.Sprintf("at %d", n), must(view(s, func(r store.Reader) (bool, error) { return r.EmailAt(a.EmailID, n) })), visible)
		equal(fmt.Sprintf("the drawn name at %d", n), must(view(s, func(r store.Reader) (bool, error) { return r.EmailAt(drawn.EmailID, n) })), n == s.head())
		equal(fmt.Sprintf("no name at %d", n), must(view(s, func(r store.Reader) (bool, error) { return r.EmailAt(emailID(77), n) })), false)
	}
}

func queries(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 6)
	third := s.placement(inbox.ID, 3).ModSeq
	for _, c := range []struct {
		q    store.PlacementQuery
		want []mail.UID
	}{
		{store.PlacementQuery{}, []mail.UID{1, 2, 3, 4, 5, 6}},
		{store.PlacementQuery{UIDs: uids("2,5:99")}, []mail.UID{2, 5, 6}},
		{store.PlacementQuery{UIDs: mail.AllUIDs, Limit: 2}, []mail.UID{1, 2}},
		{store.PlacementQuery{ChangedSince: third}, []mail.UID{4, 5, 6}},
		{store.PlacementQuery{Backwards: true, Limit: 2}, []mail.UID{6, 5}},
		{store.PlacementQuery{Backwards: true, UIDs: uids("1:4"), ChangedSince: third}, []mail.UID{4}},
		{store.PlacementQuery{UIDs: mail.UIDSet{}}, nil},
	} {
		c.q.Mailbox = inbox.ID
		var got []mail.UID
		for _, p := range s.placements(c.q) {
			got = append(got, p.UID)
		}
		if !slices.Equal(got, c.want) {
			fail("%+v: got %v, want %v", c.q, got, c.want)
		}
	}
}

func jmapView(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1))
	inbox, archive := p.Mailbox, s.box("Archive").ID
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox, mail.AllUIDs, archive) }))
	message := func() mail.Message {
		return must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }))
	}
	set := func(mb mail.MailboxID, c mail.FlagChange) mail.ModSeq {
		_, n, err := change(s, s.origin(0), func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(mb, mail.AllUIDs, c, nil) })
		ok(err)
		return n
	}
	before := message()
	set(inbox, add(`\Seen`))
	equal("modseq while one is unseen", message().ModSeq, before.ModSeq)
	equal("unread emails", s.box("INBOX").Counts.UnreadEmails, 1)
	n := set(archive, add(`\Seen`))
	equal("modseq when all are seen", message().ModSeq, n)
	equal("unread emails", s.box("INBOX").Counts.UnreadEmails, 0)
	n = set(inbox, add(`\Deleted`))
	equal("modseq when it left a mailbox", message().ModSeq, n)
	equal("emails", s.box("INBOX").Counts.Emails, 0)
	set(archive, add(`\Deleted`))
	_, err := view(s, func(r store.Reader) (mail.Message, error) { return r.MessageByEmailID(emailID(1)) })
	want(mail.NotFound, err)
	n = set(archive, mail.FlagChange{Remove: flags(`\Deleted`)})
	equal("created when it came back", message().Created, n)
	keys := must(view(s, func(r store.Reader) ([]mail.MessageKey, error) { return r.Thread(placement(p).threadIn(s)) }))
	equal("thread", len(keys), 1)
}

func threading(t *trial) {
	s := t.subject()
	thread := func(n int, subject string, reply bool, refs ...int) mail.ThreadID {
		a := arrival(n)
		a.BaseSubject, a.IsReply = subject, reply
		for _, r := range refs {
			a.References = append(a.References, fmt.Sprintf("%d@example.test", r))
		}
		return placement(s.append("INBOX", a)).threadIn(s)
	}
	first := thread(1, "lunch", false)
	equal("a reply by reference", thread(2, "dinner", true, 1), first)
	equal("a reply by subject", thread(3, "lunch", true), first)
	other := thread(4, "lunch", false)
	equal("the same subject, no reply: another thread", other != first, true)
	equal("a reply by subject goes to the newest-begun", thread(5, "lunch", true), other)
	equal("the last known reference decides", thread(6, "x", true, 1, 4, 99), other)
	equal("a message that others referred to joins them", thread(99, "y", false), other)
	equal("only a thread's first message names its subject", thread(7, "dinner", true) != first, true)
	equal("an empty subject joins nothing", thread(8, "", true) != thread(9, "", true), true)
}

// placement lets a Placement be asked for its thread.
type placement mail.Placement

func (p placement) threadIn(s *subject) mail.ThreadID {
	return must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) })).Thread
}

func uidsGrow(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, mail.AllUIDs, false) }))
	equal("UID after an expunge", s.append("INBOX", arrival(7)).UID, 3)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, mail.AllUIDs, false) }))
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	equal("UID after a prune", s.append("INBOX", arrival(8)).UID, 4)
}
