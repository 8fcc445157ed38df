package model

import (
	"context"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// farOff is when the next attempt is of what is held.
var farOff = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Restored begins all accounts anew.
func (st *Store) Restored(context.Context) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.Now()
	st.restored(mail.NewLeap(now, now.Sub(st.newest(now)), 1))
	return nil
}

// RestoredBy is Restored beside an engine that leapt so far.
func (st *Store) RestoredBy(leap mail.Leap) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.restored(leap)
}

// restored puts everything ahead; mu is held.
func (st *Store) restored(leap mail.Leap) {
	now := st.Now()
	for id, a := range st.accounts {
		a.mu.Lock()
		s := a.current.Load().clone()
		s.beginAnew(now, leap)
		a.current.Store(s)
		a.mu.Unlock()
		defer st.Hub.Publish(id, mail.RestoredNews(s.account.Head, now))
	}
	d := &st.directory
	global := func(last int64) int64 { return leap.Global(last+1) - 1 } // what leaps is the next one
	d.lastAccount = mail.AccountID(global(int64(d.lastAccount)))
	d.lastCredential, d.lastSignIn = global(d.lastCredential), global(d.lastSignIn)
	st.intents.last, st.queue.last = global(st.intents.last), global(st.queue.last)
	st.erasures.last, st.endings.last = global(st.erasures.last), global(st.endings.last)
	st.firstID, st.validity = leap.ID(st.firstID+1)-1, leap.UIDValidity(st.validity+1)-1
	for id, o := range st.queue.rows {
		if o.Restored || o.Attempts == 0 || st.queue.hands[id] != "" || !o.Next.After(now.Add(store.ClocksApart)) {
			o.Restored, o.Next = true, farOff
			st.queue.rows[id] = o
		}
	}
	clear(st.queue.hands)
}

// newest is when the last change was made, of any account.
func (st *Store) newest(now time.Time) time.Time {
	newest := time.Time{}
	for _, a := range st.accounts {
		if journal := a.current.Load().journal; len(journal) > 0 {
			if at := journal[len(journal)-1].Time; at.After(newest) {
				newest = at
			}
		}
	}
	if newest.IsZero() {
		return now
	}
	return newest
}

// beginAnew puts the numbers of an account ahead.
func (s *state) beginAnew(now time.Time, leap mail.Leap) {
	a := &s.account
	a.Head, a.Epoch = leap.ModSeq(a.Head), leap.Epoch(a.Epoch)
	a.Restored = a.Head
	for _, typ := range []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypeThread, mail.TypePlacement, mail.TypeIdentity, mail.TypeSubmission} {
		a.Last[typ] = a.Head
	}
	s.nextID, s.lastValidity = leap.ID(s.nextID+1)-1, leap.UIDValidity(s.lastValidity+1)-1
	for id, b := range s.boxes {
		leapt := *b
		leapt.UIDNext, leapt.HighestModSeq = leap.UIDNext(b.UIDNext), a.Head
		s.boxes[id] = &leapt
	}
	for id, f := range maps.Clone(s.fallen) {
		f.UIDNext = leap.UIDNext(f.UIDNext)
		s.fallen[id] = f
	}
	s.journal = append(slices.Clip(s.journal), mail.Record{ModSeq: a.Head, Act: mail.ActID(a.Head), Time: now, Actor: "restore",
		Protocol: mail.Local, Cause: mail.ByRestore, Entries: []mail.Entry{{Op: mail.OpRestored}}})
}

// Held counts what Restored holds.
func (st *Store) Held(context.Context) (n int, _ error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, o := range st.queue.rows {
		if o.Restored {
			n++
		}
	}
	return n, nil
}

// Release makes due what is held.
func (st *Store) Release(_ context.Context, id int64) (int, error) {
	now := st.Now()
	return st.heldBack(id, func(o store.Outgoing) {
		o.Restored, o.Next = false, now
		if o.Arrived.After(now) {
			o.Next = o.Arrived
		}
		st.queue.rows[o.ID] = o
	}), nil
}

// Drop removes what is held.
func (st *Store) Drop(_ context.Context, id int64) (int, error) {
	return st.heldBack(id, func(o store.Outgoing) { delete(st.queue.rows, o.ID) }), nil
}

// heldBack calls fn with what is held, or with one of it.
func (st *Store) heldBack(id int64, fn func(store.Outgoing)) (n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, o := range st.queue.rows {
		if o.Restored && (id == 0 || o.ID == id) {
			fn(o)
			n++
		}
	}
	return n
}

// Copy returns how to make the store again what it is now, as if somebody had copied
// it and put the copy back; Restored is what has to follow.
func (st *Store) Copy() (putBack func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	states := map[mail.AccountID]*state{}
	for id, a := range st.accounts {
		states[id] = a.current.Load()
	}
	directory, queue, intents, erasures := st.directory.clone(), st.queue, st.intents, st.erasures
	queue.rows, intents.all, erasures.all = maps.Clone(queue.rows), maps.Clone(intents.all), maps.Clone(erasures.all)
	firstID, validity := st.firstID, st.validity
	return func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		maps.DeleteFunc(st.accounts, func(id mail.AccountID, _ *account) bool { return states[id] == nil })
		for id, s := range states {
			if st.accounts[id] == nil {
				st.accounts[id] = &account{}
			}
			st.accounts[id].current.Store(s)
		}
		st.directory, st.queue, st.intents, st.erasures = directory.clone(), queue, intents, erasures
		st.queue.rows, st.intents.all, st.erasures.all = maps.Clone(queue.rows), maps.Clone(intents.all), maps.Clone(erasures.all)
		st.firstID, st.validity = firstID, validity
	}
}

func (d directory) clone() directory {
	d.principals, d.credentials, d.signIns = maps.Clone(d.principals), maps.Clone(d.credentials), maps.Clone(d.signIns)
	d.kept = maps.Clone(d.kept)
	d.addresses, d.domains = maps.Clone(d.addresses), maps.Clone(d.domains)
	return d
}
