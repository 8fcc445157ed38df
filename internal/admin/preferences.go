package admin

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Choice is what an account chose where it can choose.
type Choice struct {
	Login string
	Name  mail.Preference
	Value string // "" asks for the default
}

// Preference is what holds for an account.
type Preference struct {
	Name    mail.Preference
	Value   string
	Choices []string // the default first
}

// The verbs of preferences.
var (
	AccountSet  = Verb[Choice, Nothing]{"account/set", (*Ops).accountSet}
	AccountShow = Verb[OfAccount, Preference]{"account/show", (*Ops).accountShow}
)

func (o *Ops) accountSet(ctx context.Context, q Choice, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	if q.Name == mail.DevicePolicy && q.Value != "" && !o.Policies.Has(q.Value) {
		return o.noPolicy(q.Value)
	}
	_, err = o.Store.Update(ctx, p.Account, operator(), func(tx store.Tx) error { return tx.SetPreference(q.Name, q.Value) })
	return err
}

func (o *Ops) accountShow(ctx context.Context, q OfAccount, emit func(Preference) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	var all []Preference
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		all = nil
		for _, name := range mail.Preferences() {
			value, err := r.Preference(name)
			if err != nil {
				return err
			}
			choices := name.Choices()
			if name == mail.DevicePolicy {
				choices = o.Policies.Names()
			}
			all = append(all, Preference{name, value, choices})
		}
		return nil
	})
	for _, row := range all {
		if err == nil {
			err = emit(row)
		}
	}
	return err
}
