package sqlstore

import (
	"context"
	"sync"
	"time"

	"lockstep/internal/mail"
)

// Long work that nobody waits for reads beside everybody, but a snapshot that is
// held keeps the log from beginning anew. So it is given up when the log becomes
// asideLog times as long as it is written back at, which is long before the writer
// would wait.
const (
	asideLog  = 2
	asideLook = 50 * time.Millisecond // how often that is looked at
)

// errAside is what becomes of long work that gave way.
var errAside = mail.Errorf(mail.Unavailable, "people were at work; it can be tried again later")

// aside runs fn, which is one long statement, until it ends, ctx does, or the log
// becomes long: then it fails with errAside.
func (db *DB) aside(ctx context.Context, fn func(conn) error) error {
	if db.pg != nil { // whose snapshots are in nobody's way
		return db.ask(ctx, fn)
	}
	db.notInside()
	free, err := db.readers.get(ctx)
	if err != nil {
		return err
	}
	defer db.readers.put(free)
	c := free.(*sqliteConn)
	ended, interrupt := make(chan struct{}), make(chan struct{})
	var why error
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if why = db.watchAside(ctx, ended); why != nil {
			close(interrupt)
		}
	})
	c.c.SetInterrupt(interrupt)
	err = fn(c)
	close(ended)
	watcher.Wait()
	c.c.SetInterrupt(nil)
	if err != nil && why != nil {
		return why
	}
	return err
}

// watchAside waits for the end of long work, and says why it has to end before.
func (db *DB) watchAside(ctx context.Context, ended <-chan struct{}) error {
	t := time.NewTicker(asideLook)
	defer t.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if db.logPages() >= asideLog*db.pages {
				return errAside
			}
		}
	}
}
