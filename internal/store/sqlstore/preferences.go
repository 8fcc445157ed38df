package sqlstore

import (
	"cmp"
	"slices"

	"lockstep/internal/mail"
)

const (
	selectPreference = "SELECT value FROM preference WHERE account_id = ?1 AND name = ?2"
	upsertPreference = `INSERT INTO preference (account_id, name, value) VALUES (?1, ?2, ?3)
	ON CONFLICT (account_id, name) DO UPDATE SET value = excluded.value`
	deletePreference = "DELETE FROM preference WHERE account_id = ?1 AND name = ?2"
)

// Preference implements store.Reader.
func (r *reader) Preference(p mail.Preference) (string, error) {
	if err := p.Check(""); err != nil {
		return "", err
	}
	chosen, err := r.chosen(p)
	if p == mail.Guard {
		return cmp.Or(string(chosen), r.guard.OrDefault().Else), err
	}
	return cmp.Or(string(chosen), p.Default()), err
}

// chosen returns what was chosen; nil is nothing.
func (r *reader) chosen(p mail.Preference) (value []byte, err error) {
	_, err = one(r.c, selectPreference, func(row row) { value = []byte(row.text(0)) }, r.id, string(p))
	return value, err
}

// SetPreference implements store.Tx.
func (t *tx) SetPreference(p mail.Preference, value string) error {
	if err := p.Check(value); err != nil {
		return err
	}
	if value == "" {
		return t.choose(p, nil)
	}
	return t.choose(p, []byte(value))
}

func (t *tx) choose(p mail.Preference, value []byte) error {
	old, err := t.chosen(p)
	if err != nil || slices.Equal(old, value) {
		return err
	}
	if value == nil {
		_, err = t.c.exec(deletePreference, t.id, string(p))
	} else {
		_, err = t.c.exec(upsertPreference, t.id, string(p), string(value))
	}
	t.add(mail.Entry{Op: mail.OpPreference, Name: string(p), Old: old, New: value})
	return err
}

// preference chooses again what was chosen before, unless somebody chose since.
func (u *undo) preference(e mail.Entry) error {
	p := mail.Preference(e.Name)
	now, err := u.chosen(p)
	switch {
	case err != nil:
		return err
	case !slices.Equal(now, e.New):
		u.left("the preference %s was changed since", p)
		return nil
	case p.Check(string(e.Old)) != nil:
		u.left("the preference %s can no longer be %s", p, e.Old)
		return nil
	}
	u.report.Undone++
	return u.choose(p, e.Old)
}
