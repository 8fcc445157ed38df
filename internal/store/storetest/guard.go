package storetest

import (
	"fmt"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// Rule is the guard's rule for engines under test: small, so that random histories
// make floods.
var Rule = mail.GuardRule{Share: 60, Minimum: 8}

// newModel is the truth under Rule.
func newModel() *model.Store {
	m := model.New()
	m.Guard = Rule
	return m
}

var guardChecks = []check{
	{"AFloodIsKeptUntilSomebodyDecides", floodIsKept},
	{"AFloodIsUndoneInOneAct", floodUndone},
	{"ADeviceGoesOnInItsFlood", floodGoesOn},
	{"WhatMakesNoFlood", noFlood},
	{"TheGuardHoldsFloodsBack", floodHeld},
	{"AFloodIsToldOnce", floodTold},
}

// many fills the inbox so that deleting all of it makes a flood.
func (s *subject) many() mail.Mailbox { return s.fill("INBOX", int(Rule.Minimum)+4) }

func (s *subject) floods() []mail.Flood { return must(view(s, store.Reader.Floods)) }

func (s *subject) flood() mail.Flood {
	all := s.floods()
	if len(all) != 1 {
		fail("floods: %+v, want one", all)
	}
	return all[0]
}

func (s *subject) expunge(device int, mb mail.MailboxID, set string) (mail.ModSeq, error) {
	_, n, err := change(s, s.origin(device), func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(mb, uids(set), false) })
	return n, err
}

func floodIsKept(t *trial) {
	s := t.subject()
	inbox := s.many()
	must(s.expunge(1, inbox.ID, "1:4"))
	equal("floods of a few", len(s.floods()), 0)
	first := s.head()
	n := must(s.expunge(1, inbox.ID, "5:10"))
	f := s.flood()
	equal("device", f.Device, s.devices[1])
	equal("first", f.First, first)
	equal("last", f.Last, n)
	equal("removed", f.Removed, 10)
	equal("told", f.Told, false)
	act := mail.ActID(s.head())
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	equal("the horizon", must(view(s, store.Reader.Account)).Horizon, first-1)
	left := must(view(s, func(r store.Reader) (mail.Placement, error) { return r.Departed(inbox.ID, 1) }))
	equal("what left is there", left.UID, 1)
	ok(s.do(func(tx store.Tx) error { return tx.AcceptFlood(f.ID) }))
	equal("floods", len(s.floods()), 0)
	want(mail.NotFound, s.do(func(tx store.Tx) error { return tx.AcceptFlood(f.ID) }))
	_, err := update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.UndoFlood(f.ID) })
	want(mail.NotFound, err)
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	equal("the horizon when it is accepted", must(view(s, store.Reader.Account)).Horizon, s.head())
	_, err = update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) })
	want(mail.NotFound, err)
}

func floodUndone(t *trial) {
	s := t.subject()
	inbox := s.many()
	trash := s.box("Trash").ID
	work := s.create("Work")
	s.append("Work", arrival(90))
	before := s.snapshot()
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("2,11"), add(`\Deleted`), nil)
	}))
	move := func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, uids("1:10"), trash) }
	_, _, err := change(s, s.origin(1), move)
	ok(err)
	must(s.expunge(1, trash, "1:10"))
	_, err = s.Update(ctx, s.account, s.origin(1), func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) })
	ok(err)
	_, _, err = change(s, s.origin(1), func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("12"), add(`\Seen`), nil)
	})
	ok(err)
	must(s.expunge(0, inbox.ID, "11"))
	must(s.expunge(1, s.fill("Archive", 1).ID, "1"))
	f := s.flood()
	equal("removed", f.Removed, 22)
	r, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.UndoReport, error) { return tx.UndoFlood(f.ID) })
	ok(err)
	equal("left", len(r.Left), 0)
	equal("floods", len(s.floods()), 0)
	equal("in the inbox", s.box("INBOX").Counts.Placements, before.mailboxes[0].Counts.Placements-1)
	equal("read, as it was no deletion", s.placement(inbox.ID, 12).Flags.Has(mail.Seen), true)
	equal("marked", s.box("INBOX").Counts.Deleted, 0)
	equal("in the archive", s.box("Archive").Counts.Placements, 1)
	equal("in the trash", s.box("Trash").Counts.Placements, 0)
	equal("in the mailbox that was deleted", s.box("Work").Counts.Placements, 1)
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(n)) }))
	equal("undone again, in the inbox", s.box("INBOX").Counts.Placements, 1)
	s.checked()
}

func floodGoesOn(t *trial) {
	s := t.subject()
	inbox := s.many()
	s.fill("Archive", 2)
	must(s.expunge(0, inbox.ID, "1:10"))
	id := s.flood().ID
	n := must(s.expunge(0, s.box("Archive").ID, "1"))
	f := s.flood()
	equal("it is the same", f.ID, id)
	equal("last", f.Last, n)
	equal("removed", f.Removed, 11)
	must(s.expunge(1, s.box("Archive").ID, "2"))
	equal("another device's", s.flood().Removed, 11)
}

func noFlood(t *trial) {
	s := t.subject()
	inbox := s.many()
	archive, trash := s.box("Archive").ID, s.box("Trash").ID
	all := mail.AllUIDs
	_, _, err := change(s, s.origin(0), func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, all, archive) })
	ok(err)
	equal("a move elsewhere", len(s.floods()), 0)
	_, _, err = change(s, s.origin(0).WithCause(mail.ByAdmin), func(tx store.Tx) (store.Mapping, error) { return tx.Move(archive, all, trash) })
	ok(err)
	equal("not a person", len(s.floods()), 0)
	must(s.expunge(0, trash, "1:100"))
	equal("in the trash", len(s.floods()), 0)
	s.many()
	s.choose(mail.Guard, mail.GuardOff)
	must(s.expunge(0, inbox.ID, "1:100"))
	equal("where the guard is off", len(s.floods()), 0)
	s.choose(mail.Guard, "")
	for i := range 100 { // a tenth of a large mailbox
		s.append("INBOX", arrival(200+i))
	}
	equal("there", s.box("INBOX").Counts.Placements, 100)
}

func floodHeld(t *trial) {
	s := t.subject()
	inbox := s.many()
	s.choose(mail.Guard, mail.GuardHold)
	trash := s.box("Trash").ID
	s.unchanged("what is held back", func() {
		_, err := s.expunge(0, inbox.ID, "1:100")
		want(mail.Limit, err)
		_, err = update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, mail.AllUIDs, trash) })
		want(mail.Limit, err)
	})
	must(s.expunge(0, inbox.ID, "1:3"))
	must(s.expunge(1, inbox.ID, "4:5"))
	_, err := s.expunge(0, inbox.ID, "6:12")
	want(mail.Limit, err)
	equal("left", s.box("INBOX").Counts.Placements, Rule.Minimum+4-5)
	equal("floods", len(s.floods()), 0)
	work := s.create("Work")
	s.fill("Work", int(Rule.Minimum)+1)
	want(mail.Limit, s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) }))
}

func floodTold(t *trial) {
	s := t.subject()
	must(s.expunge(0, s.many().ID, "1:100"))
	untold := func() bool { return fmt.Sprint(must(s.Untold(ctx))) == fmt.Sprint([]mail.AccountID{s.account}) }
	equal("untold", untold(), true)
	_, err := s.Update(ctx, s.account, setup, func(tx store.Tx) error {
		if err := tx.ToldFlood(s.flood0(tx).ID); err != nil {
			return err
		}
		return errBroken
	})
	equal("broken", err, errBroken)
	equal("untold after a failure", untold(), true)
	ok(s.do(func(tx store.Tx) error { return tx.ToldFlood(s.flood0(tx).ID) }))
	equal("told", s.flood().Told, true)
	equal("untold", len(must(s.Untold(ctx))), 0)
	must(s.expunge(0, s.box("INBOX").ID, "1:100"))
	want(mail.NotFound, s.do(func(tx store.Tx) error { return tx.ToldFlood(1 << 40) }))
}

// flood0 is the first flood a transaction sees.
func (s *subject) flood0(tx store.Tx) mail.Flood {
	all, err := tx.Floods()
	if err != nil || len(all) == 0 {
		fail("floods: %v, %v", all, err)
	}
	return all[0]
}

// settleFloods accepts every flood, so that nothing is pinned.
func (s *subject) settleFloods() {
	for _, f := range s.floods() {
		ok(s.do(func(tx store.Tx) error { return tx.AcceptFlood(f.ID) }))
	}
}

// pinned says whether a flood that nobody decided about needs the record.
func pinned(floods []mail.Flood, n mail.ModSeq) bool {
	for _, f := range floods {
		if n >= f.First {
			return true
		}
	}
	return false
}
