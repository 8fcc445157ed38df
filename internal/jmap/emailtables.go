package jmap

import (
	"context"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// emailTables are the tables of the accounts that asked last. Zero is ready to use.
type emailTables struct {
	mu   sync.Mutex
	kept map[mail.AccountID]*keptTable
	rows int // of all of them
	turn uint64
}

// keptTable is one account's. Who uses it has mu.
type keptTable struct {
	mu    sync.Mutex
	table *emailTable
	rows  int    // guarded by emailTables.mu
	made  bool   // so: there is a table
	used  uint64 // so
}

// on runs fn with an account's table, brought up to the snapshot that it gets. Nobody
// else uses the table meanwhile.
func (ts *emailTables) on(ctx context.Context, s *Server, account mail.AccountID, fn func(store.Reader, *emailTable) error) error {
	k := ts.of(account)
	k.mu.Lock()
	defer k.mu.Unlock()
	err := s.Store.View(ctx, account, func(r store.Reader) error {
		if err := k.follow(ctx, r); err != nil {
			return err
		}
		return fn(r, k.table)
	})
	ts.keep(account, k, s.limits.EmailRows)
	return err
}

func (k *keptTable) follow(ctx context.Context, r store.Reader) error {
	if k.table != nil {
		current, err := k.table.follow(r)
		if current {
			return nil
		}
		k.table = nil // it may be half way
		if err != nil {
			return err
		}
	}
	t, err := makeEmailTable(ctx, r)
	if err == nil {
		k.table = t
	}
	return err
}

// has reports whether there is a table of an account.
func (ts *emailTables) has(account mail.AccountID) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	k := ts.kept[account]
	return k != nil && k.made
}

func (ts *emailTables) of(account mail.AccountID) *keptTable {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	k := ts.kept[account]
	if k == nil {
		k = &keptTable{}
		if ts.kept == nil {
			ts.kept = map[mail.AccountID]*keptTable{}
		}
		ts.kept[account] = k
	}
	ts.turn++
	k.used = ts.turn
	return k
}

// keep counts what a table has become, and lets those go that nobody asked for long
// when all of them are too much. The one that was just used stays.
func (ts *emailTables) keep(account mail.AccountID, k *keptTable, most int) {
	rows := 0
	if k.table != nil {
		rows = k.table.weight()
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.kept[account] != k {
		return // it was let go meanwhile
	}
	ts.rows += rows - k.rows
	k.rows, k.made = rows, k.table != nil
	for (ts.rows > most || len(ts.kept) > maxEmailTables) && len(ts.kept) > 1 {
		ts.letGo(account)
	}
}

// weight is how many rows a table is worth, with what it remembers of its Emails.
func (t *emailTable) weight() int {
	n := len(t.rows) + len(t.says)
	for _, answers := range t.answers {
		n += len(answers) / answersPerRow
	}
	return n
}

// answersPerRow is how many answers take as much memory as a row.
const answersPerRow = 8

// letGo forgets the table that was asked for longest ago, but for one.
func (ts *emailTables) letGo(but mail.AccountID) {
	var oldest mail.AccountID
	for id, k := range ts.kept {
		if id != but && (oldest == 0 || k.used < ts.kept[oldest].used) {
			oldest = id
		}
	}
	ts.rows -= ts.kept[oldest].rows
	delete(ts.kept, oldest)
}

// maxEmailTables bounds the accounts whose tables are kept, also of small ones.
const maxEmailTables = 10_000
