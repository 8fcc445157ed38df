package admin

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Flood is what a device deleted in a rush, and nobody decided about.
type Flood struct {
	Login   string
	ID      mail.ModSeq
	Device  string
	Removed int64
	Began   time.Time
	Ended   time.Time
	Told    bool
}

// OfFlood names a flood of an account.
type OfFlood struct {
	Login string
	ID    mail.ModSeq
}

// The verbs of floods. GuardList without a login asks for those of all accounts.
var (
	GuardList   = Verb[OfAccount, Flood]{"guard/list", (*Ops).guardList}
	GuardUndo   = Verb[OfFlood, Undone]{"guard/undo", (*Ops).guardUndo}
	GuardAccept = Verb[OfFlood, Nothing]{"guard/accept", (*Ops).guardAccept}
)

func (o *Ops) guardList(ctx context.Context, q OfAccount, emit func(Flood) error) error {
	all, err := o.Directory.Accounts(ctx)
	if q.Login != "" {
		var p store.Principal
		p, err = o.principal(ctx, q.Login)
		all = []store.Principal{p}
	}
	if err != nil {
		return err
	}
	for _, p := range all {
		floods, err := o.floods(ctx, p)
		if err != nil && mail.KindOf(err) != mail.NotFound { // removed meanwhile
			return err
		}
		for _, f := range floods {
			if err := emit(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *Ops) floods(ctx context.Context, p store.Principal) ([]Flood, error) {
	var rows []Flood
	err := o.Store.View(ctx, p.Account, func(r store.Reader) error {
		all, err := r.Floods()
		if err != nil {
			return err
		}
		n, err := readNames(r)
		rows = nil
		for _, f := range all {
			name := n.devices[f.Device]
			if name == "" {
				name = "a removed device"
			}
			rows = append(rows, Flood{p.Login, f.ID, name, f.Removed, f.Began, f.Ended, f.Told})
		}
		return err
	})
	return rows, err
}

func (o *Ops) guardUndo(ctx context.Context, q OfFlood, emit func(Undone) error) error {
	var report mail.UndoReport
	n, err := o.decide(ctx, q, operator().WithCause(mail.ByUndo), func(tx store.Tx) (err error) {
		report, err = tx.UndoFlood(q.ID)
		return err
	})
	if err != nil {
		return err
	}
	return emit(Undone{1, report.Undone, report.Left, mail.ActID(n)})
}

func (o *Ops) guardAccept(ctx context.Context, q OfFlood, _ func(Nothing) error) error {
	_, err := o.decide(ctx, q, operator(), func(tx store.Tx) error { return tx.AcceptFlood(q.ID) })
	return err
}

func (o *Ops) decide(ctx context.Context, q OfFlood, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return 0, err
	}
	n, err := o.Store.Update(ctx, p.Account, by, fn)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return 0, mail.Errorf(mail.NotFound, "%s has no flood %d that is still to be decided about; see: lockstep guard list", p.Login, q.ID)
	}
	return n, err
}
