package storetest

import (
	"fmt"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var endingChecks = []check{
	{"WhatKeepsSomebodyOutIsAnEnding", endings},
	{"EndingsAreReadInPagesAndInOrder", endingPages},
	{"EndingsHaveTheOrderOfTheirCommits", endingOrder},
}

// endings returns how many there are of the account since it was asked last, and gives
// up on a number left out.
func (s *subject) endings() (n int) {
	for _, e := range must(s.EndingsAfter(ctx, s.ending, 1000)) {
		if e.ID <= s.ending || e.At.IsZero() {
			fail("ending %+v after %d", e, s.ending)
		}
		s.ending = e.ID
		if e.Account == s.account {
			n++
		}
	}
	return n
}

func endings(t *trial) {
	s := t.subject()
	p := must(s.PrincipalByLogin(ctx, login))
	app := must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword, Verifier: []byte("v")}))
	code := must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.Recovery, Verifier: []byte("v")}))
	must2(s.AddSignIn(ctx, signIn(p.ID, "a", 0), 1))
	device := func(change func(*mail.Device)) {
		d := must(view(s, func(r store.Reader) (mail.Device, error) { return r.Device(s.devices[0]) }))
		change(&d)
		ok(s.do(func(tx store.Tx) error { return tx.SetDevice(d) }))
	}
	for _, c := range []struct {
		what string
		want int
		do   func()
	}{
		{"another password", 1, func() { ok(s.SetPassword(ctx, p.ID, []byte("w"))) }},
		{"a new app password", 0, func() { must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword})) }},
		{"an app password taken away", 1, func() { ok(s.RemoveCredential(ctx, app.ID)) }},
		{"a recovery code used up", 0, func() { ok(s.RemoveCredential(ctx, code.ID)) }},
		{"a second factor", 1, func() { must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.TOTP})) }},
		{"a passkey", 1, func() { must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.Passkey})) }},
		{"a sign-in in another's place", 1, func() { must2(s.AddSignIn(ctx, signIn(p.ID, "b", 1), 1)) }},
		{"one beside it", 0, func() { must2(s.AddSignIn(ctx, signIn(p.ID, "c", 2), 2)) }},
		{"one that ends", 1, func() { ok(s.RemoveSignIn(ctx, must(s.SignInByKey(ctx, []byte("c"))).ID)) }},
		{"one that is not there", 0, func() { want(mail.NotFound, s.RemoveSignIn(ctx, 1<<40)) }},
		{"another name", 0, func() { device(func(d *mail.Device) { d.Name = "other" }) }},
		{"a device blocked", 1, func() { device(func(d *mail.Device) { d.Access = mail.Blocked }) }},
		{"let in", 0, func() { device(func(d *mail.Device) { d.Access = mail.Allowed }) }},
		{"to be wiped", 1, func() {
			device(func(d *mail.Device) { d.Wipe = mail.Wipe{State: mail.WipeRequested, Scope: mail.WipeAccount} })
		}},
		{"a device signed out", 1, func() { must(s.EndSessions(ctx, s.account, s.devices[1])) }},
		{"disabled", 1, func() { ok(s.SetDisabled(ctx, s.account, true)) }},
		{"enabled", 0, func() { ok(s.SetDisabled(ctx, s.account, false)) }},
		{"removed", 1, func() { ok(s.KeepRemoved(ctx, s.account)) }},
		{"brought back", 0, func() { must2(s.Reinstate(ctx, s.account, "")) }},
		{"removed for good", 1, func() { ok(s.RemoveAccount(ctx, s.account)) }},
	} {
		c.do()
		equal(c.what, s.endings(), c.want)
	}
	equal("the last", must(s.LastEnding(ctx)), s.ending)
}

// must2 gives up on an error.
func must2[A, B any](_ A, _ B, err error) { ok(err) }

func endingPages(t *trial) {
	s := t.subject()
	equal("none yet", must(s.LastEnding(ctx)), int64(0))
	for _, d := range []mail.DeviceID{7, 8, 9} {
		must(s.EndSessions(ctx, s.account, d))
	}
	first := must(s.EndingsAfter(ctx, 0, 2))
	rest := must(s.EndingsAfter(ctx, 2, 2))
	equal("a page", len(first), 2)
	equal("the rest", len(rest), 1)
	equal("pages", fmt.Sprint(first[0].ID, first[0].Device, first[1].ID, first[1].Device, rest[0].ID, rest[0].Device), "1 7 2 8 3 9")
	equal("after the last", len(must(s.EndingsAfter(ctx, 3, 2))), 0)
}

// endingOrder looks for one that appears before what was read already.
func endingOrder(t *trial) {
	s := t.subject()
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, _ = s.EndSessions(ctx, s.account, s.devices[0]) // what is missing is seen below
			}
		})
	}
	last := int64(0)
	for last < writers*each {
		for _, e := range must(s.EndingsAfter(ctx, last, 10)) {
			if e.ID != last+1 {
				fail("ending %d came after %d", e.ID, last)
			}
			last = e.ID
		}
	}
	wg.Wait()
}
