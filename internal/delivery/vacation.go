package delivery

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Vacation reads what an account answers while its owner is away. What the
// annotation holds that is none is no vacation.
func Vacation(r store.Reader) (mail.Vacation, error) {
	all, err := r.Metadata(0, 0)
	for _, m := range all {
		if m.Name == mail.VacationEntry {
			v, bad := mail.DecodeVacation(m.Value)
			if bad != nil {
				v = mail.Vacation{}
			}
			return v, err
		}
	}
	return mail.Vacation{}, err
}

// SetVacation changes it, in the journal; Invalid or Limit if it can't be kept.
func SetVacation(tx store.Tx, v mail.Vacation) error {
	value, err := mail.EncodeVacation(v)
	if err != nil {
		return err
	}
	return tx.SetMetadata(0, 0, mail.VacationEntry, value)
}
