package model

import (
	"cmp"

	"lockstep/internal/mail"
)

// Preference returns what the account chose, else the default.
func (r reader) Preference(p mail.Preference) (string, error) {
	if p == mail.Guard {
		return cmp.Or(r.state().chosen[p], r.guard.Else), nil
	}
	return cmp.Or(r.state().chosen[p], p.Default()), p.Check("")
}

// SetPreference chooses.
func (t *tx) SetPreference(p mail.Preference, value string) error {
	if err := p.Check(value); err != nil {
		return err
	}
	old := t.s.chosen[p]
	if old == value {
		return nil
	}
	if value == "" {
		delete(t.s.chosen, p)
	} else {
		t.s.chosen[p] = value
	}
	t.did(mail.Entry{Op: mail.OpPreference, Name: string(p), Old: given(old), New: given(value)})
	return nil
}

// given is nil for what was not chosen.
func given(value string) []byte {
	if value == "" {
		return nil
	}
	return []byte(value)
}

func (u *undo) preference(e mail.Entry) {
	p := mail.Preference(e.Name)
	if u.s.chosen[p] != string(e.New) {
		u.left("the preference %s was changed since", p)
		return
	}
	if err := u.SetPreference(p, string(e.Old)); err != nil {
		u.left("the preference %s: %s", p, mail.DetailOf(err))
		return
	}
	u.report.Undone++
}
