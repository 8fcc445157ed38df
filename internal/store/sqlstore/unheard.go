package sqlstore

import (
	"context"
	"sync"
	"time"

	"lockstep/internal/mail"
)

// How soon it is asked again what became of a commit whose answer was lost.
const (
	unheardFirst = 50 * time.Millisecond
	unheardLast  = 10 * time.Second // between two questions
)

// unheard are the accounts of which a transaction may have committed that nobody was
// told of.
type unheard struct {
	mu       sync.Mutex
	accounts map[mail.AccountID]unknown
	stop     chan struct{}
}

// unknown is what an account may have come to, and how often that is not known.
type unknown struct {
	least mail.ModSeq
	times int
}

func newUnheard() unheard {
	return unheard{accounts: map[mail.AccountID]unknown{}, stop: make(chan struct{})}
}

// hearOf has those who watch an account told if it came to n. Whoever asked for that
// was told that it may have failed.
func (db *DB) hearOf(id mail.AccountID, n mail.ModSeq) {
	db.closing.RLock()
	defer db.closing.RUnlock()
	if !db.closed && db.pg.unheard.add(id, n) {
		db.done.Go(func() { db.keepAsking(id) })
	}
}

// add reports whether nobody asks yet.
func (u *unheard) add(id mail.AccountID, n mail.ModSeq) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	is, asking := u.accounts[id]
	if !asking {
		is.least = n
	}
	u.accounts[id] = unknown{min(is.least, n), is.times + 1}
	return !asking
}

func (u *unheard) of(id mail.AccountID) unknown {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.accounts[id]
}

// settle reports whether nothing was added meanwhile.
func (u *unheard) settle(id mail.AccountID, is unknown) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.accounts[id] != is {
		return false
	}
	delete(u.accounts, id)
	return true
}

// keepAsking asks until there is an answer.
func (db *DB) keepAsking(id mail.AccountID) {
	for pause := unheardFirst; ; pause = min(2*pause, unheardLast) {
		is := db.pg.unheard.of(id)
		if db.tellIfAt(id, is.least) == nil && db.pg.unheard.settle(id, is) {
			return
		}
		select {
		case <-time.After(pause):
		case <-db.pg.unheard.stop:
			return
		}
	}
}

const selectHeadNow = "SELECT head FROM account WHERE account_id = ?1"

// tellIfAt tells those who watch an account to look if it is at n or beyond. It begins
// with the account's lock, and so waits for what is under way on a connection that broke.
func (db *DB) tellIfAt(id mail.AccountID, n mail.ModSeq) error {
	var head mail.ModSeq
	return db.write(context.Background(), laneOf(id), func(c conn) error {
		head = 0
		_, err := one(c, selectHeadNow, func(r row) { head = mail.ModSeq(r.num(0)) }, id)
		return err
	}, func() {
		if head >= n {
			db.hub.Publish(id, mail.LookNews(head, db.now()))
		}
	})
}
