package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var keptChecks = []check{
	{"ARemovedAccountThatIsKeptDoesNotExist", keptIsHidden},
	{"AKeptAccountComesBackAsItWas", keptComesBack},
	{"WhatAKeptAccountHadCanBeGivenToOthers", keptGivenAway},
	{"AKeptAccountComesBackUnderAnotherLogin", keptRenamed},
	{"AKeptAccountIsRemovedForGood", keptThenRemoved},
	{"WhoWentMeanwhileHasNothingLeft", keptWithoutGone},
	{"AKeptAccountIsReachedByWhoAsksForIt", keptReached},
	{"AKeptAccountIsRestoredToo", keptRestored},
}

// withAbsences is a history in which the account is removed, kept and brought back
// now and then.
func withAbsences(ops []op, seed uint64) []op {
	g := rand.New(rand.NewPCG(seed, 6))
	for range 2 {
		ops = slices.Insert(slices.Clone(ops), g.IntN(len(ops)+1), op{absent: true})
	}
	return ops
}

// goAndComeBack is what such an operation does: nothing, in the end.
func (s *subject) goAndComeBack() string {
	was, p := s.snapshot().text(s), must(s.PrincipalByLogin(ctx, login))
	ok(s.KeepRemoved(ctx, s.account))
	s.isAway()
	_, taken, err := s.Reinstate(ctx, s.account, "")
	ok(err)
	equal("principal", must(s.PrincipalByLogin(ctx, login)), p)
	equal("addresses that are gone", len(taken), 0)
	if d := difference(s.snapshot().text(s), was); d != "" {
		fail("an account came back as another: %s", d)
	}
	return "away, and back"
}

// isAway proves that nobody finds the account.
func (s *subject) isAway() {
	want(mail.NotFound, s.View(ctx, s.account, func(store.Reader) error { return nil }))
	_, err := s.Update(ctx, s.account, setup, func(store.Tx) error { return nil })
	want(mail.NotFound, err)
	want(mail.NotFound, s.Note(ctx, s.account, func(store.Notes) error { return nil }))
	_, err = s.PrincipalByLogin(ctx, login)
	want(mail.NotFound, err)
	for _, p := range must(s.Accounts(ctx)) {
		equal("listed", p.Account == s.account, false)
	}
}

func keptIsHidden(t *trial) {
	s := t.subject()
	s.grant(s.fill("INBOX", 2).ID, s.members[0], "lr")
	p := must(s.PrincipalByLogin(ctx, login))
	ok(s.AddAddress(ctx, store.Address{Local: "info", Domain: "else.example", Account: s.account, Alias: true}))
	ok(s.KeepRemoved(ctx, s.account))
	s.isAway()
	want(mail.NotFound, s.KeepRemoved(ctx, s.account))
	want(mail.NotFound, s.SetDisabled(ctx, s.account, true))
	want(mail.NotFound, s.SetName(ctx, s.account, "Ann"))
	want(mail.NotFound, s.SetPassword(ctx, p.ID, []byte("v")))
	want(mail.NotFound, s.AddAddress(ctx, store.Address{Local: "more", Domain: "example.test", Account: s.account}))
	_, err := s.PrincipalByID(ctx, p.ID)
	want(mail.NotFound, err)
	_, err = s.Lookup(ctx, "ann", "example.test")
	want(mail.NotFound, err)
	equal("local without an account", must(s.IsLocal(ctx, "else.example")), false)
	equal("owners who share", len(must(s.SharedWith(ctx, s.members[0]))), 0)
	all := must(s.KeptRemoved(ctx))
	equal("kept", len(all), 1)
	got := all[0]
	if got.Account != s.account || got.ID != p.ID || got.Login != login || got.At.IsZero() || len(got.Addresses) != 2 || got.Addresses[1].Local != "info" {
		fail("kept %+v", got)
	}
	want(mail.NotFound, s.KeepRemoved(ctx, 1<<40))
}

func keptComesBack(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	s.grant(inbox.ID, s.members[0], "lr")
	p := must(s.PrincipalByLogin(ctx, login))
	ok(s.SetName(ctx, s.account, "Ann Example"))
	ok(s.SetDisabled(ctx, s.account, true))
	ok(s.AddAddress(ctx, store.Address{Local: "info", Domain: "else.example", Account: s.account, Alias: true}))
	c := must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword, Name: "phone", Token: []byte("t")}))
	was, addresses := s.snapshot().text(s), must(s.Addresses(ctx, s.account))
	ok(s.KeepRemoved(ctx, s.account))
	back, taken, err := s.Reinstate(ctx, s.account, "")
	ok(err)
	if len(taken) != 0 || back.ID != p.ID || back.Login != login || back.Name != "Ann Example" || !back.Disabled {
		fail("back came %+v, and %v were taken", back, taken)
	}
	if d := difference(s.snapshot().text(s), was); d != "" {
		fail("it is another: %s", d)
	}
	equal("addresses", slices.Equal(must(s.Addresses(ctx, s.account)), addresses), true)
	equal("leads there", must(s.Lookup(ctx, "info", "else.example")).Account, s.account)
	equal("credential", must(s.CredentialByToken(ctx, []byte("t"))).ID, c.ID)
	equal("owners who share", len(must(s.SharedWith(ctx, s.members[0]))), 1)
	equal("kept", len(must(s.KeptRemoved(ctx))), 0)
	_, _, err = s.Reinstate(ctx, s.account, "")
	want(mail.NotFound, err)
	s.append("INBOX", arrival(1000))
	s.checked()
}

func keptGivenAway(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	ok(s.AddAddress(ctx, store.Address{Local: "info", Domain: "example.test", Account: s.account, Alias: true}))
	ok(s.AddAddress(ctx, store.Address{Local: "sales", Domain: "example.test", Account: s.account, Alias: true}))
	ok(s.KeepRemoved(ctx, s.account))
	other := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: login}))
	ok(s.AddAddress(ctx, store.Address{Local: "info", Domain: "example.test", Account: other.Account, Alias: true}))
	_, _, err := s.Reinstate(ctx, s.account, "")
	want(mail.Exists, err)
	_, _, err = s.Reinstate(ctx, s.account, "info@example.test")
	want(mail.Exists, err)
	_, _, err = s.Reinstate(ctx, s.account, "nonsense")
	want(mail.Invalid, err)
	ok(s.KeepRemoved(ctx, other.Account)) // two of one login
	all := must(s.KeptRemoved(ctx))
	equal("kept", len(all), 2)
	equal("the last one first", all[0].Account, other.Account)
	back, taken, err := s.Reinstate(ctx, s.account, "")
	ok(err)
	equal("login", back.Login, login)
	equal("taken", len(taken), 0)
	_, _, err = s.Reinstate(ctx, other.Account, "")
	want(mail.Exists, err)
	equal("addresses", len(must(s.Addresses(ctx, s.account))), 3)
}

func keptRenamed(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	ok(s.KeepRemoved(ctx, s.account))
	other := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: login}))
	back, taken, err := s.Reinstate(ctx, s.account, "Ann.Old@example.test")
	ok(err)
	equal("login", back.Login, "ann.old@example.test")
	if len(taken) != 1 || taken[0].Local != "ann" || taken[0].Account != other.Account {
		fail("taken %+v", taken)
	}
	equal("leads there", must(s.Lookup(ctx, "ann.old", "example.test")).Account, s.account)
	equal("found", must(s.PrincipalByLogin(ctx, "ann.old@example.test")).Account, s.account)
	equal("name", must(view(s, store.Reader.Account)).Name, "ann.old@example.test")
	equal("the other's", must(s.Lookup(ctx, "ann", "example.test")).Account, other.Account)
}

func keptThenRemoved(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	ok(s.AddAddress(ctx, store.Address{Local: "info", Domain: "example.test", Account: s.account, Alias: true}))
	ok(s.KeepRemoved(ctx, s.account))
	ok(s.RemoveAccount(ctx, s.account))
	s.isAway()
	equal("kept", len(must(s.KeptRemoved(ctx))), 0)
	_, _, err := s.Reinstate(ctx, s.account, "")
	want(mail.NotFound, err)
	want(mail.NotFound, s.RemoveAccount(ctx, s.account))
	again := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: login}))
	equal("an id is never reused", again.Account != s.account, true)
}

func keptWithoutGone(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	mia := must(s.PrincipalByID(ctx, s.members[0]))
	s.grant(inbox, mia.ID, "lrs")
	s.grant(inbox, s.members[1], "lr")
	ok(s.do(func(tx store.Tx) error { return tx.SetMetadata(inbox, mia.ID, "/private/comment", []byte("mine")) }))
	ok(s.KeepRemoved(ctx, s.account))
	ok(s.RemoveAccount(ctx, mia.Account))
	_, _, err := s.Reinstate(ctx, s.account, "")
	ok(err)
	grants := must(view(s, func(r store.Reader) ([]mail.Grant, error) { return r.Rights(inbox) }))
	if len(grants) != 1 || grants[0].Principal != s.members[1] {
		fail("grants %+v", grants)
	}
	equal("annotations", len(must(view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.Metadata(inbox, mia.ID) }))), 0)
	s.members = s.members[1:]
	s.checked()
}

func keptRestored(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	was := must(view(s, store.Reader.Account))
	ok(s.KeepRemoved(ctx, s.account))
	ok(s.Restored(ctx))
	_, _, err := s.Reinstate(ctx, s.account, "")
	ok(err)
	now := must(view(s, store.Reader.Account))
	if now.Epoch <= was.Epoch || now.Head < was.Head+leapt {
		fail("a kept account goes on as before a restore: %d.%d after %d.%d", now.Epoch, now.Head, was.Epoch, was.Head)
	}
}

// keptReached erases in an account that is kept, and takes from it who is removed.
func keptReached(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3).ID
	mia := must(s.PrincipalByID(ctx, s.members[0]))
	s.grant(inbox, mia.ID, "lrs")
	ok(s.do(func(tx store.Tx) error { return tx.SetMetadata(inbox, mia.ID, "/private/comment", []byte("mine")) }))
	p := s.placements(store.PlacementQuery{Mailbox: inbox})
	ok(s.KeepRemoved(ctx, s.account))
	among := store.AmongRemoved(ctx)
	_, err := s.Update(among, s.account, setup, func(tx store.Tx) error {
		_, err := tx.Erase(mail.Erasing{Messages: []mail.MessageKey{p[1].Message}})
		return err
	})
	ok(err)
	ok(s.Note(among, s.account, func(store.Notes) error { return nil }))
	ok(s.RemoveAccount(ctx, mia.Account))
	var left []mail.UID
	var notes []mail.Metadata
	ok(s.View(among, s.account, func(r store.Reader) (err error) {
		left = nil
		if notes, err = r.Metadata(inbox, mia.ID); err != nil {
			return err
		}
		return r.Placements(store.PlacementQuery{Mailbox: inbox}, func(p *mail.Placement) error { left = append(left, p.UID); return nil })
	}))
	equal("what is left", fmt.Sprint(left), fmt.Sprint([]mail.UID{p[0].UID, p[2].UID}))
	equal("annotations of who is gone", len(notes), 0)
	s.isAway()
	_, _, err = s.Reinstate(ctx, s.account, "")
	ok(err)
	equal("messages that came back", len(s.placements(store.PlacementQuery{Mailbox: inbox})), 2)
	want(mail.NotFound, s.View(ctx, s.account, func(r store.Reader) error { _, err := r.Message(p[1].Message); return err }))
	want(mail.NotFound, s.View(among, 1<<40, func(store.Reader) error { return nil }))
	s.members = s.members[1:]
	s.checked()
}
