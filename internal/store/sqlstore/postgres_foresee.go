package sqlstore

import (
	"bytes"
	"context"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What a change is about to look at is asked in the first trip of its transaction, behind
// the lock of its account, and is found when it is asked for: a flag takes two trips in
// place of four. What was foreseen and not asked for until the change changes something
// is forgotten, as it may not be so any more.

// maxForeseen bounds the messages that are asked for so.
const maxForeseen = 256

// foresee returns what a change of an account asks first, as its context says.
func foresee(ctx context.Context, in lane) []ask {
	f := store.Foreseen(ctx)
	if f == nil || in <= 0 {
		return nil
	}
	id := mail.AccountID(in)
	sql := selectAccount
	if store.IsAmongRemoved(ctx) {
		sql = selectAnyAccount
	}
	asks := []ask{{sql, []any{id}}}
	if f.Path != "" {
		asks = append(asks, ask{selectMailboxByPath, []any{id, canonical(f.Path)}})
	}
	if f.Mailbox != 0 {
		asks = append(asks, ask{selectMailbox, []any{id, f.Mailbox}})
	}
	for _, key := range f.Keys {
		asks = append(asks, ask{selectMemory, []any{id, key}})
	}
	if len(f.UIDs) == 1 && f.UIDs.Count() <= maxForeseen {
		asks = append(asks, ask{selectHeld, []any{id, f.Mailbox, f.UIDs[0].First, f.UIDs[0].Last}})
	}
	if f.Arrival == nil {
		return asks
	}
	return append(asks, asksOf(id, *f.Arrival)...)
}

// asksOf are what an arrival asks beside its mailbox.
func asksOf(id mail.AccountID, a mail.Arrival) (asks []ask) {
	if a.Once != "" {
		asks = append(asks, ask{selectMemory, []any{id, a.Once}})
	}
	if _, names := namesOf(a); a.Replaces == 0 && len(names) > 0 {
		asks = append(asks, askNames(id, names))
	}
	return asks
}

// is reports whether it is this statement with these arguments.
func (w *pgWaiting) is(st *pgStatement, values [][]byte) bool {
	return w.st == st && slices.EqualFunc(w.values, values, bytes.Equal)
}

// prospect is what was asked ahead: it waits, or is known.
type prospect struct {
	waiting  []pgWaiting // in the order in which they were asked for
	known    []pgAnswer  // to what was asked ahead
	foreseen bool        // some of it was foreseen
}

// claim reports whether something was foreseen, which is asked ahead from now on.
func (p *prospect) claim(st *pgStatement, values [][]byte) bool {
	if !p.foreseen {
		return false
	}
	for i := range p.waiting {
		if w := &p.waiting[i]; w.foreseen && w.is(st, values) {
			w.foreseen = false
			return true
		}
	}
	for i := range p.known {
		if a := &p.known[i]; a.foreseen && a.is(st, values) {
			a.foreseen = false
			return true
		}
	}
	return false
}

// forgetAhead forgets what was asked ahead and not foreseen.
func (p *prospect) forgetAhead() {
	p.waiting = slices.DeleteFunc(p.waiting, func(w pgWaiting) bool { return w.ahead && !w.foreseen })
	p.known = slices.DeleteFunc(p.known, func(a pgAnswer) bool { return !a.foreseen })
}

// forgetForeseen forgets what was foreseen: something is about to change.
func (p *prospect) forgetForeseen() {
	if !p.foreseen {
		return
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w pgWaiting) bool { return w.foreseen })
	p.known = slices.DeleteFunc(p.known, func(a pgAnswer) bool { return a.foreseen })
	p.foreseen = false
}

// foresee asks what a change is about to ask, in the trip in which its transaction
// begins; else it is too late.
func (p *pgConn) foresee(asks []ask) error {
	if len(asks) == 0 || p.c == nil || p.c.IsClosed() || p.c.TxStatus() != 'I' || len(p.waiting) == 0 {
		return nil
	}
	for _, q := range asks {
		p.args.bind(q.args)
		st, err := p.prepare(q.sql, p.args.kinds)
		if err != nil {
			return err
		}
		p.noteRun(st)
		p.waiting = append(p.waiting, pgWaiting{st: st, values: cloneValues(p.args.values), ahead: true, foreseen: true})
	}
	p.foreseen = true
	return nil
}

// foresee does so for an account of a convoy.
func (m *wagon) foresee(asks []ask) {
	for _, q := range asks {
		st := m.bind(q.sql, q.args)
		m.note(st)
		m.waiting = append(m.waiting, pgWaiting{st: st, values: cloneValues(m.args.values), ahead: true, foreseen: true})
	}
	m.foreseen = len(asks) > 0
}
