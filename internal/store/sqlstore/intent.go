package sqlstore

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	insertIntent  = "INSERT INTO intent (intent_id, owner_id, state) VALUES (?1, ?2, ?3)"
	selectIntents = "SELECT intent_id, owner_id, state FROM intent ORDER BY intent_id"
	deleteIntent  = "DELETE FROM intent WHERE intent_id = ?1"
	deleteIntents = "DELETE FROM intent WHERE owner_id = ?1"
)

// Intend implements store.Intents.
func (db *DB) Intend(ctx context.Context, owner mail.AccountID, state []byte) (id int64, err error) {
	err = db.write(ctx, directoryLane, func(c conn) (err error) {
		if id, err = draw(c, "intent"); err == nil {
			_, err = c.exec(insertIntent, id, owner, state)
		}
		return err
	}, nil)
	return id, err
}

// Intents implements store.Intents.
func (db *DB) Intents(ctx context.Context) ([]store.Intent, error) {
	var all []store.Intent
	err := db.ask(ctx, func(c conn) error {
		return c.query(selectIntents, func(r row) error {
			all = append(all, store.Intent{ID: r.num(0), Owner: mail.AccountID(r.num(1)), State: r.bytes(2)})
			return nil
		})
	})
	return all, err
}

// Settled implements store.Intents.
func (db *DB) Settled(ctx context.Context, id int64) error {
	return db.writeOne(ctx, "no such intent", deleteIntent, id)
}
