package storetest

import (
	"fmt"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var receivedChecks = []check{
	{"ByDateIsNewestFirst", byDate},
	{"ByDateLeapsOverWhatIsAstray", byDateAstray},
	{"ByDateNeedsALimitAndAMailbox", byDateRefuses},
	{"VersionsOfALineAreFoundByIt", versionsFound},
	{"VersionsBelowTheHorizonAreTooOld", versionsTooOld},
	{"ReturnedAndMovedMessagesKeepTheOrders", ordersKept},
}

func (s *subject) byDate(q store.DateQuery) []mail.Dated {
	return must(view(s, func(r store.Reader) ([]mail.Dated, error) { return r.ByDate(q) }))
}

func (s *subject) versions(q store.VersionQuery) []mail.Version {
	return must(view(s, func(r store.Reader) ([]mail.Version, error) { return r.Versions(q) }))
}

// dates are those of a mailbox, as its rows say, newest first.
func (sn *snapshot) dates(mb mail.MailboxID) []mail.Dated {
	var all []mail.Dated
	for _, r := range sn.messages[mb] {
		all = append(all, mail.Dated{Date: r.message.InternalDate.UTC(), UID: r.UID})
	}
	slices.SortFunc(all, func(a, b mail.Dated) int { return b.Compare(a) })
	return all
}

// inOrder gives up unless pages of a mailbox by date are what its rows say, from the
// newest, from each of them, and down to each.
func (sn *snapshot) inOrder(r store.Reader, mb mail.MailboxID) error {
	want := sn.dates(mb)
	equalDates := func(q store.DateQuery, want []mail.Dated) error {
		q.Mailbox = mb
		got, err := r.ByDate(q)
		if err == nil && !slices.EqualFunc(got, want, func(a, b mail.Dated) bool { return a.UID == b.UID && a.Date.Equal(b.Date) }) {
			err = fmt.Errorf("mailbox %d by date %+v: got %v, want %v", mb, q, got, want)
		}
		return err
	}
	if err := equalDates(store.DateQuery{Limit: len(want) + 1}, want); err != nil {
		return err
	}
	for i := 0; i < len(want); i += len(want)/5 + 1 {
		d, n := want[i], min(len(want), i+8)
		if err := equalDates(store.DateQuery{Before: d, Limit: 7}, want[i+1:max(n, i+1)]); err != nil {
			return err
		}
		between := mail.Dated{Date: d.Date, UID: d.UID + 1} // that may be nobody's
		if err := equalDates(store.DateQuery{Before: between, Limit: 1}, want[i:i+1]); err != nil {
			return err
		}
		older := slices.IndexFunc(want, func(e mail.Dated) bool { return e.Date.Before(d.Date) })
		if older < 0 {
			older = len(want)
		}
		if err := equalDates(store.DateQuery{Since: d.Date, Limit: 1000}, want[:older]); err != nil {
			return err
		}
	}
	return nil
}

func byDate(t *trial) {
	s := t.subject()
	mb := s.fill("INBOX", 60) // days that jump about
	s.snapshot()
	whole := s.byDate(store.DateQuery{Mailbox: mb.ID, Limit: 100})
	equal("how many", len(whole), 60)
	var paged []mail.Dated
	for at := (mail.Dated{}); ; at = paged[len(paged)-1] {
		page := s.byDate(store.DateQuery{Mailbox: mb.ID, Before: at, Limit: 7})
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	equal("in pages", slices.Equal(paged, whole), true)
	window := s.byDate(store.DateQuery{Mailbox: mb.ID, Before: mail.Dated{Date: whole[20].Date}, Since: whole[40].Date, Limit: 100})
	for _, d := range window {
		equal("in the window", d.Date.Before(whole[20].Date) && !d.Date.Before(whole[40].Date), true)
	}
	equal("the window ends in", window[len(window)-1].Date, whole[40].Date)
}

// One in order, then many that are older, in turns; and then those in order leave.
func byDateAstray(t *trial) {
	s := t.subject()
	mb := s.box("INBOX")
	var ordered mail.UIDSet
	for turn := range 4 {
		for i := range 21 {
			a := arrival(turn*21 + i)
			a.InternalDate = time.Date(2025, 1, 1, 0, 0, (turn*21+i)*17%60, 0, time.UTC)
			if i == 0 {
				a.InternalDate = time.Date(2025, 2, 1+turn, 0, 0, 0, 0, time.UTC)
			}
			p := s.append("INBOX", a)
			if i == 0 && turn > 0 {
				ordered.Add(p.UID)
			}
		}
	}
	s.snapshot()
	ok(s.do(func(tx store.Tx) error { _, err := tx.Expunge(mb.ID, ordered, false); return err }))
	s.snapshot()
	s.append("INBOX", arrival(900))
	s.snapshot()
	s.checked()
}

func byDateRefuses(t *trial) {
	s := t.subject()
	mb := s.box("INBOX")
	_, err := view(s, func(r store.Reader) ([]mail.Dated, error) { return r.ByDate(store.DateQuery{Mailbox: mb.ID}) })
	want(mail.Invalid, err)
	_, err = view(s, func(r store.Reader) ([]mail.Dated, error) {
		return r.ByDate(store.DateQuery{Mailbox: 1 << 40, Limit: 1})
	})
	want(mail.NotFound, err)
	_, err = view(s, func(r store.Reader) ([]mail.Version, error) { return r.Versions(store.VersionQuery{Mailbox: 1 << 40}) })
	want(mail.NotFound, err)
}

func versionsFound(t *trial) {
	s := t.subject()
	mb := s.fill("INBOX", 40)
	first := s.placement(mb.ID, 13)
	line := first.Lineage
	edit := func(n int, old mail.UID, goesOn bool) mail.Placement {
		a := arrival(n)
		a.Replaces = old
		if goesOn {
			a.Replaces, a.Continues = 0, old
		}
		return s.append("INBOX", a)
	}
	at0 := s.head()
	second := edit(100, first.UID, false)
	at1 := s.head()
	third := edit(101, second.UID, true)

	ids := func(q store.VersionQuery) []mail.PlacementID {
		q.Mailbox = mb.ID
		var all []mail.PlacementID
		for _, v := range s.versions(q) {
			all = append(all, v.ID)
		}
		return all
	}
	same := func(what string, got []mail.PlacementID, want ...mail.PlacementID) {
		if !slices.Equal(got, want) {
			fail("%s: got %v, want %v", what, got, want)
		}
	}
	ask := []mail.Lineage{line, -line, 1 << 40}
	same("those there", ids(store.VersionQuery{Lines: ask}), second.ID, third.ID)
	same("with those that left since", ids(store.VersionQuery{Lines: ask, LeftAfter: at0}), first.ID, second.ID, third.ID)
	same("after that", ids(store.VersionQuery{Lines: ask, LeftAfter: at1}), second.ID, third.ID)
	same("later ones", ids(store.VersionQuery{Lines: ask, LeftAfter: at0, Later: true}), first.ID, second.ID, third.ID)
	other := s.placement(mb.ID, 20)
	same("one that is alone", ids(store.VersionQuery{Lines: []mail.Lineage{other.Lineage}}), other.ID)
	same("later ones of it", ids(store.VersionQuery{Lines: []mail.Lineage{other.Lineage}, Later: true}))
	ok(s.do(func(tx store.Tx) error { _, err := tx.Expunge(mb.ID, mail.MakeUIDSet(other.UID), false); return err }))
	same("that left", ids(store.VersionQuery{Lines: []mail.Lineage{other.Lineage}, LeftAfter: at1}), other.ID)
	same("that left, now", ids(store.VersionQuery{Lines: []mail.Lineage{other.Lineage}}))
	shown := mail.Shown(s.versions(store.VersionQuery{Mailbox: mb.ID, Lines: ask, LeftAfter: at0}))
	equal("the item", shown.ID, third.ID)
	equal("its date", shown.Date.Equal(day(101)), true)
}

func versionsTooOld(t *trial) {
	s := t.subject()
	mb := s.fill("INBOX", 3)
	line := s.placement(mb.ID, 2).Lineage
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	_, err := view(s, func(r store.Reader) ([]mail.Version, error) {
		return r.Versions(store.VersionQuery{Mailbox: mb.ID, Lines: []mail.Lineage{line}, LeftAfter: s.head() - 1})
	})
	want(mail.TooOld, err)
	equal("those there", len(s.versions(store.VersionQuery{Mailbox: mb.ID, Lines: []mail.Lineage{line}})), 1)
}

// Undo, moves there and back, copies into the same mailbox, a mailbox that falls and
// comes back: dates, ids and UIDs stay in their orders.
func ordersKept(t *trial) {
	s := t.subject()
	mb, archive := s.fill("INBOX", 30), s.box("Archive")
	act := func(fn func(store.Tx) error) mail.ActID {
		return mail.ActID(must(s.Update(ctx, s.account, s.origin(0), fn)))
	}
	moved := act(func(tx store.Tx) error { _, err := tx.Move(mb.ID, uids("3:20"), archive.ID); return err })
	act(func(tx store.Tx) error { _, err := tx.Copy(mb.ID, uids("1:25"), mb.ID); return err })
	act(func(tx store.Tx) error { _, err := tx.Undo(moved); return err })
	gone := act(func(tx store.Tx) error { _, err := tx.Expunge(mb.ID, uids("21:33"), false); return err })
	s.snapshot()
	act(func(tx store.Tx) error { _, err := tx.Undo(gone); return err })
	s.snapshot()
	act(func(tx store.Tx) error { _, err := tx.Copy(mb.ID, mail.AllUIDs, archive.ID); return err })
	fell := act(func(tx store.Tx) error { return tx.DeleteMailbox(archive.ID) })
	act(func(tx store.Tx) error { _, err := tx.Undo(fell); return err })
	s.snapshot()
	s.checked()
}

// linesKnown gives up unless the versions of all lines are those that one snapshot or
// the other shows.
func (s *subject) linesKnown(mb mail.MailboxID, old, now *snapshot) {
	want := map[mail.PlacementID]bool{}
	var lines []mail.Lineage
	for i, sn := range []*snapshot{old, now} {
		for _, r := range sn.messages[mb] {
			want[r.ID] = want[r.ID] || i == 1
			lines = append(lines, r.Lineage)
		}
	}
	got := map[mail.PlacementID]bool{}
	for _, v := range s.versions(store.VersionQuery{Mailbox: mb, Lines: lines, LeftAfter: old.account.Head}) {
		if v.Left == 0 || v.Created <= old.account.Head {
			got[v.ID] = v.Left == 0
		}
	}
	for id, there := range want {
		if is, found := got[id]; !found || is != there {
			fail("versions after %d: placement %d is there %v, found %v, said to be there %v", old.account.Head, id, there, found, is)
		}
	}
	if len(got) != len(want) {
		fail("versions after %d: got %v, want %v", old.account.Head, got, want)
	}
}
