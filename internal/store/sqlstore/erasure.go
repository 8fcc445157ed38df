package sqlstore

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	insertErasure  = "INSERT INTO erasure (erasure_id, begun, open, state, proof) VALUES (?1, ?2, 1, ?3, x'')"
	updateErasure  = "UPDATE erasure SET open = ?2, state = ?3, proof = ?4 WHERE erasure_id = ?1"
	selectErasures = "SELECT erasure_id, begun, open, state, proof FROM erasure ORDER BY erasure_id"
	selectProofs   = "SELECT erasure_id, begun, open, NULL, proof FROM erasure ORDER BY erasure_id"
)

// BeginErasure implements store.Erasures.
func (db *DB) BeginErasure(ctx context.Context, state []byte) (id int64, err error) {
	if len(state) > store.MaxErasureState {
		return 0, tooMuchErased()
	}
	err = db.write(ctx, directoryLane, func(c conn) (err error) {
		if id, err = draw(c, "erasure"); err == nil {
			_, err = c.exec(insertErasure, id, db.now(), notNil(state))
		}
		return err
	}, nil)
	return id, err
}

// SetErasure implements store.Erasures.
func (db *DB) SetErasure(ctx context.Context, e store.Erasure) error {
	if len(e.State) > store.MaxErasureState || len(e.Proof) > store.MaxErasureState {
		return tooMuchErased()
	}
	return db.writeOne(ctx, "no such erasure", updateErasure, e.ID, e.Open, notNil(e.State), notNil(e.Proof))
}

// Erasures implements store.Erasures.
func (db *DB) Erasures(ctx context.Context, onlyProofs bool) (all []store.Erasure, err error) {
	sql := selectErasures
	if onlyProofs {
		sql = selectProofs
	}
	err = db.ask(ctx, func(c conn) error {
		return c.query(sql, func(r row) error {
			all = append(all, store.Erasure{ID: r.num(0), Begun: unstamp(r.num(1)), Open: r.num(2) != 0, State: r.bytes(3), Proof: r.bytes(4)})
			return nil
		})
	})
	return all, err
}

func tooMuchErased() error {
	return mail.Errorf(mail.Limit, "too much is to be erased at once")
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
