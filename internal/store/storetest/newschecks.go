package storetest

import (
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var newsChecks = []check{
	{"NewsNamesTypesAndMailboxes", newsNames},
	{"NewsNamesMailboxesThatPlacementsOnlyPassed", newsPassed},
	{"NewsComesOnceAfterEachCommitInOrder", newsInOrder},
	{"NewsOfVeryManyMailboxesSaysSo", newsOfMany},
	{"NewsEndsWithStop", newsStops},
	{"NewsIsOfOneAccount", newsOfOne},
	{"NoteWakesNobody", noteIsQuiet},
}

func newsNames(t *trial) {
	s := t.subject()
	inbox, archive := s.box("INBOX"), s.box("Archive")
	for _, c := range []struct {
		what  string
		fn    func(tx store.Tx) error
		boxes []mail.MailboxID
		types []mail.Type
	}{
		{"append", func(tx store.Tx) error { _, err := tx.Append(inbox.ID, arrival(1)); return err },
			[]mail.MailboxID{inbox.ID}, []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypeThread, mail.TypePlacement}},
		{"flag", func(tx store.Tx) error {
			_, err := tx.StoreFlags(inbox.ID, mail.AllUIDs, add(`\Flagged`), nil)
			return err
		},
			[]mail.MailboxID{inbox.ID}, []mail.Type{mail.TypeEmail, mail.TypePlacement}},
		{"read", func(tx store.Tx) error {
			_, err := tx.StoreFlags(inbox.ID, mail.AllUIDs, add(`\Seen`), nil)
			return err
		},
			[]mail.MailboxID{inbox.ID}, []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypePlacement}},
		{"move", func(tx store.Tx) error { _, err := tx.Move(inbox.ID, mail.AllUIDs, archive.ID); return err },
			[]mail.MailboxID{inbox.ID, archive.ID}, []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypePlacement}},
		{"create", func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "Work"}); return err },
			nil, []mail.Type{mail.TypeMailbox, mail.TypeNames}},
		{"subscribe", func(tx store.Tx) error { return tx.Subscribe("Work") }, nil, []mail.Type{mail.TypeMailbox, mail.TypeNames}},
		{"expunge", func(tx store.Tx) error { _, err := tx.Expunge(archive.ID, mail.AllUIDs, false); return err },
			[]mail.MailboxID{archive.ID}, []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypeThread, mail.TypePlacement}},
	} {
		w := newWatch(s)
		n := must(s.Update(ctx, s.account, s.origin(1), c.fn))
		w.stop()
		heard := w.news()
		if len(heard) != 1 {
			fail("%s: %d news", c.what, len(heard))
		}
		got := heard[0]
		slices.Sort(got.Mailboxes)
		slices.Sort(c.boxes)
		var types mail.TypeSet
		for _, typ := range c.types {
			types.Add(typ)
		}
		equal(c.what+": modseq", got.ModSeq, n)
		equal(c.what+": device", got.Device, s.devices[1])
		equal(c.what+": types", got.Types, types)
		if !slices.Equal(got.Mailboxes, c.boxes) || got.Many || got.At.IsZero() {
			fail("%s: news %+v, want mailboxes %v", c.what, got, c.boxes)
		}
		last := must(view(s, store.Reader.Account)).Last
		for _, typ := range c.types {
			if typ != mail.TypeNames { // only News names it
				equal(c.what+": last change of the type", last[typ], n)
			}
		}
	}
}

// newsPassed looks at transactions after which nothing is left where messages
// came: the mailbox is named all the same, and also if it is gone.
func newsPassed(t *trial) {
	s := t.subject()
	archive, work := s.box("Archive").ID, s.create("Work").ID
	var made mail.MailboxID
	for _, c := range []struct {
		what string
		fn   func(tx store.Tx) error
	}{
		{"into a new mailbox and on", func(tx store.Tx) error {
			mb, err := tx.CreateMailbox(mail.MailboxImage{Name: "New"})
			if err != nil {
				return err
			}
			made = mb.ID
			if _, err := tx.Append(made, arrival(1)); err != nil {
				return err
			}
			_, err = tx.Move(made, mail.AllUIDs, archive)
			return err
		}},
		{"into a mailbox that is deleted", func(tx store.Tx) error {
			made = work
			if _, err := tx.Append(work, arrival(2)); err != nil {
				return err
			}
			return tx.DeleteMailbox(work)
		}},
		{"into a new mailbox that is deleted", func(tx store.Tx) error {
			mb, err := tx.CreateMailbox(mail.MailboxImage{Name: "Newer"})
			if err != nil {
				return err
			}
			made = mb.ID
			if _, err := tx.Append(made, arrival(3)); err != nil {
				return err
			}
			return tx.DeleteMailbox(made)
		}},
	} {
		w := newWatch(s)
		n := must(s.Update(ctx, s.account, s.origin(0), c.fn))
		w.stop()
		heard := w.news()
		if len(heard) != 1 || !heard[0].Touches(made) || !heard[0].Types.Has(mail.TypePlacement) {
			fail("%s, which is %d: news %+v", c.what, made, heard)
		}
		equal(c.what+": last change of a placement", must(view(s, store.Reader.Account)).Last[mail.TypePlacement], n)
	}
}

func newsInOrder(t *trial) {
	s := t.subject()
	w := newWatch(s)
	s.fill("INBOX", 20)
	s.fill("Archive", 5)
	w.heardAll()
}

func newsOfMany(t *trial) {
	s := t.subject()
	w := newWatch(s)
	ok(s.do(func(tx store.Tx) error {
		for i := range mail.MaxNewsMailboxes + 1 {
			mb, err := tx.CreateMailbox(mail.MailboxImage{Name: string(rune('a' + i))})
			if err != nil {
				return err
			}
			if _, err := tx.Append(mb.ID, arrival(i)); err != nil {
				return err
			}
		}
		return nil
	}))
	w.stop()
	heard := w.news()
	if len(heard) != 1 || !heard[0].Many || heard[0].Mailboxes != nil {
		fail("heard %+v", heard)
	}
}

func newsStops(t *trial) {
	s := t.subject()
	w := newWatch(s)
	w.stop()
	s.fill("INBOX", 1)
	equal("news after stop", len(w.news()), 0)
}

func newsOfOne(t *trial) {
	s := t.subject()
	other := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test"}))
	w := newWatch(s)
	must(s.Update(ctx, other.Account, setup, func(tx store.Tx) error { return tx.Unsubscribe("INBOX") }))
	w.stop()
	equal("news of another account", len(w.news()), 0)
}

func noteIsQuiet(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	w := newWatch(s)
	records := len(s.records(store.JournalQuery{}))
	inbox := s.box("INBOX").ID
	s.unchanged("a note", func() {
		ok(s.Note(ctx, s.account, func(n store.Notes) error {
			if err := n.SetCursor(s.devices[0], "inbox", []byte("here")); err != nil {
				return err
			}
			_, err := n.ClaimRecent(inbox)
			return err
		}))
	})
	s.unchanged("an update that only notes", func() {
		n := must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetCursor(s.devices[0], "inbox", []byte("there")) }))
		equal("modseq", n, 0)
	})
	got := must(view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(s.devices[0], "inbox") }))
	equal("cursor", string(got), "there")
	w.stop()
	equal("news", len(w.news()), 0)
	equal("records", len(s.records(store.JournalQuery{})), records)
}
