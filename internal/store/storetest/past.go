package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var pastChecks = []check{
	{"WhatLeftIsToldInPages", leftInPages},
	{"WhatLeftComesBack", bringBack},
	{"ADeletedMailboxComesBackEmpty", bringBackMailbox},
	{"TheHorizonSaysSinceWhen", horizonAt},
}

// held gives up unless what is there and what left tell what a mailbox held.
func (s *subject) held(mb mail.MailboxID, sn *snapshot) {
	keys := map[mail.UID]mail.MessageKey{}
	ok(s.View(ctx, s.account, func(r store.Reader) error {
		err := r.Left(store.LeftQuery{Mailbox: mb, Since: sn.account.Head}, func(d *mail.Departure) error {
			if d.Left <= sn.account.Head {
				fail("UID %d left at %d, before %d", d.UID, d.Left, sn.account.Head)
			}
			keys[d.UID] = d.Message
			return nil
		})
		if err != nil {
			return err
		}
		err = r.Placements(store.PlacementQuery{Mailbox: mb}, func(p *mail.Placement) error {
			if p.Created <= sn.account.Head {
				keys[p.UID] = p.Message
			}
			return nil
		})
		if mail.KindOf(err) == mail.NotFound {
			return nil // it is gone
		}
		return err
	}))
	want := map[mail.UID]mail.MessageKey{}
	for _, r := range sn.messages[mb] {
		want[r.UID] = r.Message
	}
	if !maps.Equal(keys, want) {
		fail("at %d mailbox %d held %v, want %v", sn.account.Head, mb, keys, want)
	}
}

// keptMailboxes gives up unless exactly the mailboxes that are gone are kept, with
// their annotations.
func (s *subject) keptMailboxes(now *snapshot, records []mail.Record, fallen map[mail.ModSeq]map[note]string) {
	want := map[mail.MailboxID]mail.DeletedMailbox{}
	for _, r := range slices.Backward(records) {
		for _, e := range r.Entries {
			if e.Op == mail.OpDeleteMailbox {
				want[e.Mailbox] = mail.DeletedMailbox{ID: e.Mailbox, Image: *e.Before, Left: r.ModSeq}
			}
		}
	}
	maps.DeleteFunc(want, func(id mail.MailboxID, _ mail.DeletedMailbox) bool { _, there := now.box(id); return there })
	notes := now.world(s).metadata
	for _, d := range must(view(s, store.Reader.DeletedMailboxes)) {
		w := want[d.ID]
		w.UIDValidity, w.UIDNext = d.UIDValidity, d.UIDNext
		if d != w || d.UIDValidity == 0 {
			fail("kept is %+v, want %+v", d, w)
		}
		delete(want, d.ID)
		for n, value := range fallen[d.Left] {
			if n.mailbox == d.ID {
				notes[n] = value
			}
		}
	}
	if len(want) > 0 {
		fail("not kept: %v", want)
	}
	kept := map[note]string{}
	for _, m := range must(view(s, store.Reader.AllMetadata)) {
		kept[note{m.Mailbox, m.Who, m.Name}] = string(m.Value)
	}
	if !maps.Equal(kept, notes) {
		fail("the annotations kept are %v, want %v", kept, notes)
	}
}

func (s *subject) left(q store.LeftQuery) string {
	text := ""
	ok(s.View(ctx, s.account, func(r store.Reader) error {
		text = ""
		return r.Left(q, func(d *mail.Departure) error { text += fmt.Sprintf("%d@%d ", d.UID, d.Left-s.base); return nil })
	}))
	return text
}

func leftInPages(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 6).ID
	was := s.head()
	s.append("INBOX", arrival(7))
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox, uids("1:3,7"), false) }))
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox, uids("5"), s.trash(tx)) }))
	equal("all", s.left(store.LeftQuery{Mailbox: inbox, Since: was}), "1@8 2@8 3@8 5@9 ")
	equal("a page", s.left(store.LeftQuery{Mailbox: inbox, Since: was, Limit: 2}), "1@8 2@8 ")
	equal("the next", s.left(store.LeftQuery{Mailbox: inbox, Since: was, After: 2, Limit: 2}), "3@8 5@9 ")
	equal("later", s.left(store.LeftQuery{Mailbox: inbox, Since: was + 2}), "5@9 ")
	equal("of no mailbox", s.left(store.LeftQuery{Mailbox: 9999, Since: was}), "")
	ok(s.do(func(tx store.Tx) error {
		if _, err := tx.Expunge(inbox, uids("4"), false); err != nil {
			return err
		}
		return tx.Left(store.LeftQuery{Mailbox: inbox, Since: was, After: 3}, func(d *mail.Departure) error {
			_, err := tx.Expunge(inbox, mail.MakeUIDSet(d.UID+1), false)
			return err
		})
	}))
	equal("while it changes", s.left(store.LeftQuery{Mailbox: inbox, Since: was}), "1@8 2@8 3@8 4@10 5@9 6@10 ")
	horizon := s.head()
	s.pruneAll()
	err := s.View(ctx, s.account, func(r store.Reader) error {
		return r.Left(store.LeftQuery{Mailbox: inbox, Since: horizon - 1}, func(*mail.Departure) error { return nil })
	})
	want(mail.TooOld, err)
	equal("at the horizon", s.left(store.LeftQuery{Mailbox: inbox, Since: horizon}), "")
}

func (s *subject) trash(r store.Reader) mail.MailboxID { return must(r.MailboxByPath("Trash")).ID }

func bringBack(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3).ID
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox, uids("2"), add(`\Flagged`, "blue"), nil)
	}))
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.Annotate(inbox, uids("2"), []mail.Annotation{{Name: "/comment", Shared: true, Value: []byte("look")}}, nil)
	}))
	before := s.snapshot()
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox, uids("2:3"), false) }))
	expunge := mail.ActID(s.head())
	m := must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.BringBack(inbox, uids("2,9")) }))
	equal("came back", fmt.Sprint(m.From, m.To), "2 4")
	is, was := s.snapshot().messages[inbox], before.messages[inbox]
	if got, want := is[1], was[1]; got.Message != want.Message || got.Flags != want.Flags || got.notes != want.notes || got.Lineage != want.Lineage || !got.SaveDate.Equal(want.SaveDate) || got.UID != 4 {
		fail("%+v came back as %+v", want, got)
	}
	r := s.records(store.JournalQuery{Limit: 1})[0].Entries
	if len(r) != 1 || r[0].Op != mail.OpRestore || r[0].Was.String() != "2" || r[0].UIDs.String() != "4" {
		fail("the record says %+v", r)
	}
	m = must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.BringBack(inbox, uids("2")) }))
	equal("again", fmt.Sprint(m.From, m.To), "2 5")
	if is = s.snapshot().messages[inbox]; is[2].Lineage == is[1].Lineage {
		fail("both hold line %d", is[1].Lineage)
	}
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx))) }))
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(expunge) }))
	m = must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.BringBack(inbox, uids("100")) }))
	equal("none", len(m.From)+len(m.To), 0)
	_, err := update(s, func(tx store.Tx) (store.Mapping, error) { return tx.BringBack(9999, uids("1")) })
	want(mail.NotFound, err)
	s.checked()
}

func bringBackMailbox(t *trial) {
	s := t.subject()
	work := s.create("Work")
	s.fill("Work", 2)
	s.grant(work.ID, s.members[0], "lr")
	ok(s.do(func(tx store.Tx) error { return tx.SetMetadata(work.ID, 0, "/private/comment", []byte("mine")) }))
	again := func(im mail.MailboxImage) error {
		_, err := update(s, func(tx store.Tx) (mail.Mailbox, error) { return tx.BringBackMailbox(work.ID, im) })
		return err
	}
	want(mail.NotFound, again(work.Image()))
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) }))
	if all := must(view(s, store.Reader.AllMetadata)); len(all) != 1 || all[0].Mailbox != work.ID || string(all[0].Value) != "mine" {
		fail("of what is kept the annotations are %+v", all)
	}
	want(mail.Exists, again(mail.MailboxImage{Name: "Archive"}))
	want(mail.NotFound, again(mail.MailboxImage{Name: "x", Parent: 9999}))
	ok(again(mail.MailboxImage{Name: "Again", SortOrder: 3}))
	is := s.box("Again")
	if is.ID != work.ID || is.UIDValidity != work.UIDValidity || is.UIDNext != 3 || is.SortOrder != 3 || is.Counts.Placements != 0 {
		fail("it came back as %+v", is)
	}
	equal("grants", s.may(work.ID), "")
	if all := must(view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.Metadata(work.ID, 0) })); len(all) != 1 {
		fail("its annotations are %+v", all)
	}
	m := must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.BringBack(work.ID, mail.AllUIDs) }))
	equal("its messages", fmt.Sprint(m.From, m.To), "1:2 3:4")
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx))) }))
	if r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx)) - 2) })); len(r.Left) > 0 {
		fail("the undo left %q", r.Left)
	}
	_, err := view(s, func(r store.Reader) (mail.Mailbox, error) { return r.Mailbox(work.ID) })
	want(mail.NotFound, err)
	want(mail.NotFound, func() error {
		_, err := update(s, func(tx store.Tx) (mail.Mailbox, error) {
			return tx.BringBackMailbox(9999, mail.MailboxImage{Name: "x"})
		})
		return err
	}())
	s.checked()
}

func horizonAt(t *trial) {
	s := t.subject()
	a := must(view(s, store.Reader.Account))
	equal("at first", a.HorizonAt, a.Created)
	s.fill("INBOX", 2)
	last := s.records(store.JournalQuery{Limit: 1})[0].Time
	s.pruneAll()
	if a = must(view(s, store.Reader.Account)); !a.HorizonAt.Equal(last) {
		fail("since %v, want %v", a.HorizonAt, last)
	}
	s.pruneAll()
	if a = must(view(s, store.Reader.Account)); !a.HorizonAt.Equal(last) {
		fail("nothing was pruned, since %v", a.HorizonAt)
	}
}

func (s *subject) pruneAll() { ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour))) }

// doPast brings back what left, or the mailbox that was deleted last.
func (st step) doPast(s *subject, tx store.Tx) (string, error) {
	if st.verb == "bring-back" {
		mb, set, err := st.resolve(s, tx)
		if err != nil {
			return "", err
		}
		m, err := tx.BringBack(mb.ID, set)
		return fmt.Sprintf("%s came back as %s", m.From, m.To), err
	}
	all, err := tx.DeletedMailboxes()
	if err != nil || len(all) == 0 {
		return "no mailbox", err
	}
	last := slices.MaxFunc(all, func(a, b mail.DeletedMailbox) int {
		return cmp.Or(cmp.Compare(a.Left, b.Left), cmp.Compare(a.ID, b.ID))
	})
	mb, err := tx.BringBackMailbox(last.ID, last.Image)
	if err != nil {
		return "", err
	}
	m, err := tx.BringBack(mb.ID, mail.AllUIDs)
	return fmt.Sprintf("%s again, %s came back as %s", mb.Path, m.From, m.To), err
}
