package sqlstore

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// View implements store.Store.
func (db *DB) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	return db.read(ctx, func(c conn) error {
		r, err := newReader(c, id, db.now(), store.IsAmongRemoved(ctx))
		if err != nil {
			return err
		}
		r.guard = db.guard
		return fn(r)
	})
}

// Update implements store.Store.
func (db *DB) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	if by.IsZero() {
		return 0, mail.Errorf(mail.Invalid, "a change needs an origin")
	}
	var news mail.News
	err := db.write(ctx, laneOf(id), func(c conn) error {
		news = mail.News{}
		t, err := db.newTxAmong(c, id, by, store.IsAmongRemoved(ctx))
		if err != nil {
			return err
		}
		t.guard = db.guard
		if err := fn(t); err != nil {
			return err
		}
		news, err = t.finish()
		return err
	}, func() {
		if news.ModSeq != 0 {
			news.At = db.now()
			db.hub.Publish(id, news)
		}
	})
	if news.ModSeq != 0 && db.isUnknown(err) {
		db.hearOf(id, news.ModSeq)
	}
	return news.ModSeq, err
}

// Note implements store.Store.
func (db *DB) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	return db.write(ctx, laneOf(id), func(c conn) error {
		t, err := db.newTxAmong(c, id, mail.Origin{}, store.IsAmongRemoved(ctx))
		if err != nil {
			return err
		}
		t.guard = db.guard
		if err := fn(t.notes); err != nil {
			return err
		}
		return t.finishNotes()
	}, nil)
}

// Watch implements store.Store.
func (db *DB) Watch(id mail.AccountID, fn func(mail.News)) (stop func()) { return db.hub.Watch(id, fn) }
