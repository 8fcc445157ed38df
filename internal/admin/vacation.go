package admin

import (
	"context"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// SetVacation changes what an account answers while its owner is away.
type SetVacation struct {
	Login    string
	Vacation mail.Vacation
}

// The verbs of automatic answers.
var (
	VacationShow = Verb[OfAccount, mail.Vacation]{"vacation/show", (*Ops).vacationShow}
	VacationSet  = Verb[SetVacation, Nothing]{"vacation/set", (*Ops).vacationSet}
)

func (o *Ops) vacationShow(ctx context.Context, q OfAccount, emit func(mail.Vacation) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	var v mail.Vacation
	err = o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		v, err = delivery.Vacation(r)
		return err
	})
	if err != nil {
		return err
	}
	return emit(v)
}

func (o *Ops) vacationSet(ctx context.Context, q SetVacation, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	_, err = o.Store.Update(ctx, p.Account, operator(), func(tx store.Tx) error { return delivery.SetVacation(tx, q.Vacation) })
	return err
}
