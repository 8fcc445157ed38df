package sqlstore

import (
	"context"

	"lockstep/internal/mail"
)

// Check implements store.Keeper.
func (db *DB) Check(ctx context.Context, id mail.AccountID, repair bool) ([]string, error) {
	var wrong []string
	run := func(c conn) (err error) {
		wrong, err = check(c, id, repair)
		return err
	}
	if repair {
		return wrong, db.write(ctx, run, nil)
	}
	err := db.read(ctx, run)
	return wrong, err
}

func check(c conn, id mail.AccountID, repair bool) ([]string, error) {
	_, err := loadAccount(c, id)
	return nil, err
}
