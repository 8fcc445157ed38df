package storetest

import (
	"errors"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var mailboxChecks = []check{
	{"NewAccountHasStandardMailboxesSubscribed", standardMailboxes},
	{"MailboxesComeInboxFirstThenByPath", mailboxOrder},
	{"InboxIsFoundInAnyCase", inboxInAnyCase},
	{"BadMailboxesAreRefusedByKind", badMailboxes},
	{"MailboxBoundsHoldOnePast", mailboxBounds},
	{"RenameKeepsIdentityAndChildrenFollow", renameKeeps},
	{"InboxKeepsItsNameAndPlace", inboxStays},
	{"DeleteRefusesInboxAndParents", deleteRefuses},
	{"SubscriptionsFollowRenamesAndOutliveDeletes", subscriptions},
	{"UIDValidityIsNeverGivenTwice", validityGrows},
	{"NothingChangesAfterAnError", errorsChangeNothing},
}

func standardMailboxes(t *trial) {
	s := t.subject()
	mbs := must(view(s, store.Reader.Mailboxes))
	equal("mailboxes", len(mbs), len(mail.Standard))
	for _, std := range mail.Standard {
		mb := s.box(std.Name)
		equal("role of "+std.Name, mb.Role, std.Role)
		equal("UIDNEXT of "+std.Name, mb.UIDNext, 1)
		equal("counts of "+std.Name, mb.Counts, mail.Counts{})
		if mb.UIDValidity == 0 || mb.HighestModSeq == 0 || mb.HighestModSeq > s.base {
			fail("%s begins as %+v", std.Name, mb)
		}
	}
	equal("subscriptions", strings.Join(must(view(s, store.Reader.Subscriptions)), " "), "Archive Drafts INBOX Junk Sent Trash")
	a := must(view(s, store.Reader.Account))
	equal("login", a.Name, login)
	equal("epoch is set", a.Epoch > 0, true)
	equal("horizon", a.Horizon, 0)
}

func mailboxOrder(t *trial) {
	s := t.subject()
	for _, name := range []string{"zebra", "apple", "Banana"} {
		s.create(name)
	}
	child := must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: "below", Parent: s.boxIn(tx, "Banana")})
	}))
	equal("path", child.Path, "Banana/below")
	var names []string
	for _, mb := range must(view(s, store.Reader.Mailboxes)) {
		names = append(names, mb.Path)
	}
	equal("order", strings.Join(names, " "), "INBOX apple Archive Banana Banana/below Drafts Junk Sent Trash zebra")
	_, err := view(s, func(r store.Reader) (mail.Mailbox, error) { return r.MailboxByPath("Banana/elsewhere") })
	want(mail.NotFound, err)
	_, err = view(s, func(r store.Reader) (mail.Mailbox, error) { return r.MailboxByPath("below") })
	want(mail.NotFound, err)
}

func inboxInAnyCase(t *trial) {
	s := t.subject()
	equal("inbox", s.box("iNbOx").ID, s.box("INBOX").ID)
	equal("its path", s.box("inbox").Path, "INBOX")
}

func badMailboxes(t *trial) {
	s := t.subject()
	s.create("Work")
	trash := s.box("Trash")
	for _, c := range []struct {
		why  string
		im   mail.MailboxImage
		kind mail.Kind
	}{
		{"empty", mail.MailboxImage{}, mail.Invalid},
		{"delimiter", mail.MailboxImage{Name: "a/b"}, mail.Invalid},
		{"control character", mail.MailboxImage{Name: "a\tb"}, mail.Invalid},
		{"not NFC", mail.MailboxImage{Name: "A\u0308"}, mail.Invalid},
		{"not UTF-8", mail.MailboxImage{Name: "a\xff"}, mail.Invalid},
		{"taken", mail.MailboxImage{Name: "Work"}, mail.Exists},
		{"the inbox's", mail.MailboxImage{Name: "inbox"}, mail.Exists},
		{"role taken", mail.MailboxImage{Name: "Bin", Role: mail.RoleTrash}, mail.Exists},
		{"no such parent", mail.MailboxImage{Name: "x", Parent: 1 << 40}, mail.NotFound},
	} {
		s.unchanged(c.why, func() {
			_, err := update(s, func(tx store.Tx) (mail.Mailbox, error) { return tx.CreateMailbox(c.im) })
			refused("create, "+c.why, err, c.kind)
			if c.why == "taken" || c.why == "role taken" || c.im.Name == "" || !strings.ContainsAny(c.im.Name, "x") {
				refused("rename, "+c.why, s.do(func(tx store.Tx) error { return tx.SetMailbox(s.boxIn(tx, "Work"), renamedTo(c.im, trash)) }), c.kind)
			}
		})
	}
}

// renamedTo is the image a rename would ask for; renaming to one's own name is
// no error, so the taken name is another's.
func renamedTo(im mail.MailboxImage, other mail.Mailbox) mail.MailboxImage {
	if im.Name == "Work" {
		im.Name = other.Name
	}
	return im
}

func refused(what string, err error, k mail.Kind) {
	if err == nil || mail.KindOf(err) != k {
		fail("%s: got %v, want %v", what, err, k)
	}
}

func mailboxBounds(t *trial) {
	s := t.subject()
	s.create(strings.Repeat("n", mail.MaxMailboxNameBytes))
	_, err := update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: strings.Repeat("n", mail.MaxMailboxNameBytes+1)})
	})
	want(mail.Limit, err)
	var deepest mail.Mailbox
	ok(s.do(func(tx store.Tx) (err error) {
		deepest = mail.Mailbox{}
		for range mail.MaxMailboxDepth {
			if deepest, err = tx.CreateMailbox(mail.MailboxImage{Name: "d", Parent: deepest.ID}); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err = update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: "d", Parent: deepest.ID})
	})
	want(mail.Limit, err)
	other := s.create("other")
	want(mail.Limit, s.do(func(tx store.Tx) error {
		return tx.SetMailbox(other.ID, mail.MailboxImage{Name: "other", Parent: deepest.ID})
	}))
}

func renameKeeps(t *trial) {
	s := t.subject()
	work := s.create("Work")
	child := must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: "plans", Parent: work.ID})
	}))
	s.fill("Work", 2)
	before := s.box("Work")
	old := s.box("Archive")
	n := must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error {
		return tx.SetMailbox(work.ID, mail.MailboxImage{Name: "Done", Parent: old.ID, SortOrder: 5})
	}))
	after := s.box("Archive/Done")
	equal("id", after.ID, before.ID)
	equal("UIDVALIDITY", after.UIDValidity, before.UIDValidity)
	equal("UIDNEXT", after.UIDNext, before.UIDNext)
	equal("counts", after.Counts, before.Counts)
	equal("props modseq", after.PropsModSeq, n)
	equal("highest modseq", after.HighestModSeq, n)
	equal("sort order", after.SortOrder, 5)
	equal("child", s.box("Archive/Done/plans").ID, child.ID)
	want(mail.Invalid, s.do(func(tx store.Tx) error {
		return tx.SetMailbox(work.ID, mail.MailboxImage{Name: "Done", Parent: child.ID})
	}))
	want(mail.Invalid, s.do(func(tx store.Tx) error {
		return tx.SetMailbox(work.ID, mail.MailboxImage{Name: "Done", Parent: work.ID})
	}))
	s.unchanged("setting the same image", func() {
		n := must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetMailbox(work.ID, after.Image()) }))
		equal("modseq", n, 0)
	})
}

func inboxStays(t *trial) {
	s := t.subject()
	inbox, archive := s.box("INBOX"), s.box("Archive")
	for _, im := range []mail.MailboxImage{{Name: "Post", Role: mail.RoleInbox}, {Name: "INBOX", Role: mail.RoleInbox, Parent: archive.ID}} {
		want(mail.Denied, s.do(func(tx store.Tx) error { return tx.SetMailbox(inbox.ID, im) }))
	}
}

func deleteRefuses(t *trial) {
	s := t.subject()
	work := s.create("Work")
	must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: "plans", Parent: work.ID})
	}))
	del := func(id mail.MailboxID) error {
		return s.do(func(tx store.Tx) error { return tx.DeleteMailbox(id) })
	}
	want(mail.HasChildren, del(work.ID))
	want(mail.Denied, del(s.box("INBOX").ID))
	want(mail.NotFound, del(1<<40))
	ok(del(s.box("Work/plans").ID))
	s.fill("Work", 3)
	used := must(view(s, store.Reader.Account)).Used
	equal("used is something", used > 0, true)
	ok(del(work.ID))
	equal("used without it", must(view(s, store.Reader.Account)).Used, 0)
	_, err := view(s, func(r store.Reader) (mail.Mailbox, error) { return r.Mailbox(work.ID) })
	want(mail.NotFound, err)
	want(mail.NotFound, s.View(ctx, s.account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: work.ID}, func(*mail.Placement) error { return nil })
	}))
}

func subscriptions(t *trial) {
	s := t.subject()
	work := s.create("Work")
	must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: "plans", Parent: work.ID})
	}))
	s.create("Workshop")
	for _, path := range []string{"Work", "Work/plans", "Workshop"} {
		ok(s.do(func(tx store.Tx) error { return tx.Subscribe(path) }))
	}
	want(mail.NotFound, s.do(func(tx store.Tx) error { return tx.Subscribe("Nowhere") }))
	ok(s.do(func(tx store.Tx) error { return tx.Unsubscribe("Nowhere") }))
	ok(s.do(func(tx store.Tx) error { return tx.SetMailbox(work.ID, mail.MailboxImage{Name: "Done"}) }))
	s.subscribed("Done Done/plans Workshop")
	plans := s.box("Done/plans")
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(plans.ID) }))
	s.subscribed("Done Done/plans Workshop")
	ok(s.do(func(tx store.Tx) error { return tx.Unsubscribe("Done/plans") }))
	s.subscribed("Done Workshop")
}

// subscribed gives up unless these and the standard mailboxes are subscribed.
func (s *subject) subscribed(paths string) {
	got := slices.DeleteFunc(must(view(s, store.Reader.Subscriptions)), func(p string) bool {
		return slices.ContainsFunc(mail.Standard, func(std struct {
			Name string
			Role mail.Role
		}) bool {
			return std.Name == p
		})
	})
	equal("subscribed", strings.Join(got, " "), paths)
}

func validityGrows(t *trial) {
	s := t.subject()
	var last mail.UIDValidity
	for _, mb := range must(view(s, store.Reader.Mailboxes)) {
		last = max(last, mb.UIDValidity)
	}
	for range 3 {
		mb := s.create("Work")
		if mb.UIDValidity <= last {
			fail("UIDVALIDITY %d after %d", mb.UIDValidity, last)
		}
		last = mb.UIDValidity
		ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(mb.ID) }))
	}
}

func errorsChangeNothing(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	w := newWatch(s)
	own := errors.New("mine")
	s.unchanged("a closure that failed", func() {
		n, err := s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error {
			if _, err := tx.CreateMailbox(mail.MailboxImage{Name: "Work"}); err != nil {
				return err
			}
			if _, err := tx.Expunge(inbox.ID, mail.AllUIDs, false); err != nil {
				return err
			}
			if _, err := tx.Append(inbox.ID, arrival(9)); err != nil {
				return err
			}
			if err := tx.SetCursor(0, "c", []byte("x")); err != nil {
				return err
			}
			return own
		})
		equal("modseq", n, 0)
		equal("error comes back unchanged", err, own)
	})
	_, err := view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(0, "c") })
	want(mail.NotFound, err)
	for i, fn := range []func(tx store.Tx) error{
		func(tx store.Tx) error { _, err := tx.Append(1<<40, arrival(8)); return err },
		func(tx store.Tx) error { _, err := tx.StoreFlags(1<<40, mail.AllUIDs, add(`\Seen`), nil); return err },
		func(tx store.Tx) error { _, err := tx.Copy(inbox.ID, mail.AllUIDs, 1<<40); return err },
		func(tx store.Tx) error { _, err := tx.Move(inbox.ID, mail.AllUIDs, 1<<40); return err },
		func(tx store.Tx) error { _, err := tx.Expunge(1<<40, mail.AllUIDs, false); return err },
		func(tx store.Tx) error { return tx.SetMailbox(1<<40, mail.MailboxImage{Name: "x"}) },
		func(tx store.Tx) error { _, err := tx.Undo(1 << 40); return err },
		func(tx store.Tx) error { return tx.SetDevice(mail.Device{ID: 1 << 40, Name: "x"}) },
	} {
		s.unchanged("an error", func() {
			if err := s.do(fn); mail.KindOf(err) != mail.NotFound {
				fail("verb %d on what is not there: %v", i, err)
			}
		})
	}
	w.stop()
	equal("news of what failed", len(w.news()), 0)
	s.checked()
}
