package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// Carried says what was written, and read.
type Carried struct {
	Read    int64 // rows of the source
	Written int64
	Dropped int64 // rows that the target had, and the source no more, or otherwise
	Bytes   int64 // written
}

func (c *Carried) add(o Carried) {
	c.Read += o.Read
	c.Written += o.Written
	c.Dropped += o.Dropped
	c.Bytes += o.Bytes
}

// Add adds what was done elsewhere.
func (c *Carried) Add(o Carried) { c.add(o) }

// arrange keeps the tables in the order in which they are carried: content is found by
// its message, so that one stands before it; the account's own row comes last, and
// says how far all others are at least.
func (s *Side) arrange(accounts, globals []*carried) {
	rank := func(t *carried) int {
		switch t.name {
		case "message":
			return 0
		case "content":
			return 1
		case "account":
			return 3
		}
		return 2
	}
	slices.SortFunc(accounts, func(a, b *carried) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a.name, b.name)) })
	slices.SortFunc(globals, func(a, b *carried) int { return strings.Compare(a.name, b.name) })
	s.accounts, s.globals = accounts, globals
}

// A Carrier brings rows from one side to the other, on a connection of its own to each.
// One goroutine uses it.
type Carrier struct {
	from, to *Side
	c        conn // writes
	load     *loader
}

// NewCarrier returns one for two sides that were paired.
func NewCarrier(from, to *Side) (*Carrier, error) {
	c, err := to.open()
	if err != nil {
		return nil, err
	}
	return &Carrier{from: from, to: to, c: c, load: &loader{c: c}}, nil
}

// Close ends the connection.
func (k *Carrier) Close() error { return k.c.close() }

// Account makes an account at the target what it is at the source: one transaction.
// What the source changes meanwhile may be there or not; the account's own row is as it
// was at the beginning, so that it does not claim more than there is. What the target
// has is brought up by its position; with whole, row by row.
func (k *Carrier) Account(ctx context.Context, id mail.AccountID, whole bool) (done Carried, err error) {
	err = k.transaction(func() error {
		own, err := k.ownRow(ctx, id)
		if err != nil {
			return err
		}
		fresh, err := k.isFresh(id)
		if err != nil {
			return err
		}
		since, known, err := k.position(own[0].body)
		if err != nil {
			return err
		}
		for _, t := range k.from.accounts {
			if known && !fresh && !whole && (len(changedAt[t.name]) > 0 || t.name == "content") {
				did, same, err := k.tableSince(ctx, t, id, since)
				done.add(did)
				if err != nil {
					return fmt.Errorf("%s of account %d: %w", t.name, id, err)
				}
				if same {
					continue
				}
			}
			did, err := k.table(ctx, t, id, own, fresh)
			done.add(did)
			if err != nil {
				return fmt.Errorf("%s of account %d: %w", t.name, id, err)
			}
		}
		return nil
	})
	return done, err
}

// Globals does the same for what belongs to no account.
func (k *Carrier) Globals(ctx context.Context) (done Carried, err error) {
	for _, t := range k.from.globals {
		err = k.transaction(func() error {
			did, err := k.table(ctx, t, 0, nil, false)
			done.add(did)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return done, nil
}

// Drop removes an account from the target that the source has no more.
func (k *Carrier) Drop(ctx context.Context, id mail.AccountID) (done Carried, err error) {
	err = k.transaction(func() error {
		for _, t := range k.from.accounts {
			none := func() (record, bool, error) { return record{}, false, nil }
			did, err := k.merge(ctx, t, none, k.there(t, id))
			done.add(did)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

func (k *Carrier) transaction(fn func() error) error {
	if err := begin(k.c); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		err = k.load.flush()
	}
	if err != nil {
		k.load.forget()
		return errors.Join(err, rollback(k.c))
	}
	if err := k.c.commit(); err != nil {
		return err
	}
	return k.foldLog()
}

// foldLog writes SQLite's log back when it is long: nobody else does.
func (k *Carrier) foldLog() error {
	if k.to.pg || k.load.since < foldBytes {
		return nil
	}
	k.load.since = 0
	return k.c.script("PRAGMA wal_checkpoint(TRUNCATE)")
}

// foldBytes is after how much the log is written back.
const foldBytes = 64 << 20

// ownRow reads the account's own row. NotFound if there is none.
func (k *Carrier) ownRow(ctx context.Context, id mail.AccountID) ([]record, error) {
	r := k.at(ctx, k.from, k.accountTable(), id)
	own, found, err := r.next()
	if err == nil && !found {
		err = noAccount()
	}
	return []record{own}, err
}

func (k *Carrier) accountTable() *carried { return k.from.accounts[len(k.from.accounts)-1] }

// isFresh reports whether the target has nothing of an account.
func (k *Carrier) isFresh(id mail.AccountID) (bool, error) {
	found, err := one(k.c, selectHead, func(row) {}, id)
	return !found, err
}

// at returns the rows of a table at a side, as both engines see them.
func (k *Carrier) at(ctx context.Context, s *Side, t *carried, id mail.AccountID) *rowReader {
	return newRowReader(t, id, func(fn func(conn) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.ask(ctx, fn)
	})
}

// rowSource gives rows in the order of their keys.
type rowSource func() (rec record, found bool, err error)

// there are the target's rows, also those that were just written.
func (k *Carrier) there(t *carried, id mail.AccountID) rowSource {
	return newRowReader(t, id, func(fn func(conn) error) error { return fn(k.c) }).next
}

// table brings one table over. own is the account's row, which was read before.
func (k *Carrier) table(ctx context.Context, t *carried, id mail.AccountID, own []record, fresh bool) (Carried, error) {
	from := k.at(ctx, k.from, t, id)
	switch t.name {
	case "account":
		from.page, from.done = own, true
	case "thread_name":
		over, err := waitingNames(ctx, k.from, t, id)
		if err != nil {
			return Carried{}, err
		}
		from.over = over
	}
	if fresh {
		return k.all(t, from.next)
	}
	return k.merge(ctx, t, from.next, k.there(t, id))
}

// all writes rows where there are none.
func (k *Carrier) all(t *carried, from rowSource) (done Carried, err error) {
	for {
		rec, found, err := from()
		if err != nil || !found {
			return done, errors.Join(err, k.load.flush())
		}
		done.Read++
		done.Written++
		done.Bytes += int64(len(rec.body))
		if err := k.load.put(t, rec.body); err != nil {
			return done, err
		}
	}
}

// merge writes what differs. What goes or changes is dropped before what comes, as two
// rows may change their names.
func (k *Carrier) merge(ctx context.Context, t *carried, from, there rowSource) (done Carried, err error) {
	m := &merger{t: t, from: from, there: there}
	err = m.run(func(put, drop []byte) error {
		if drop == nil && t.name == "content" { // it may be there without its message, which came after
			if err := k.load.drop(t, put); err != nil {
				return err
			}
		}
		if drop != nil {
			done.Dropped++
			if err := k.load.drop(t, drop); err != nil {
				return err
			}
		}
		if put == nil {
			return nil
		}
		done.Written++
		done.Bytes += int64(len(put))
		return k.load.put(t, put)
	})
	done.Read = m.read
	return done, errors.Join(err, k.load.flush())
}

// A merger walks two tables in the order of their keys.
type merger struct {
	t           *carried
	from, there rowSource
	read        int64
}

// run calls fn with each row that is to be put, and each that is to be dropped.
func (m *merger) run(fn func(put, drop []byte) error) error {
	a, more, err := m.from()
	b, left, err2 := m.there()
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	for more || left {
		if more && m.t.isOdd(a.body) || left && m.t.isOdd(b.body) {
			return m.byMap(a, more, b, left, fn)
		}
		order := compareRows(a, more, b, left)
		switch {
		case order < 0:
			err = fn(a.body, nil)
		case order > 0:
			err = fn(nil, b.body)
		case !bytes.Equal(a.body, b.body):
			err = fn(a.body, b.body)
		}
		if err == nil && order <= 0 {
			m.read++
			a, more, err = m.from()
		}
		if err == nil && order >= 0 {
			b, left, err = m.there()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func compareRows(a record, more bool, b record, left bool) int {
	switch {
	case !more:
		return 1
	case !left:
		return -1
	}
	return bytes.Compare(a.order, b.order)
}

// byMap does the rest in memory, where the engines sort otherwise than each other:
// texts of clients that no text should have. Such a text sorts first or last of what
// its table has of an account, so the rest may be all of it.
func (m *merger) byMap(a record, more bool, b record, left bool, fn func(put, drop []byte) error) (err error) {
	rest := map[string][]byte{}
	for ; left && err == nil; b, left, err = m.there() {
		rest[string(b.order)] = b.body
	}
	var puts [][]byte
	for ; more && err == nil; a, more, err = m.from() {
		m.read++
		old, found := rest[string(a.order)]
		if found && bytes.Equal(a.body, old) {
			delete(rest, string(a.order))
			continue
		}
		puts = append(puts, a.body)
	}
	for _, body := range rest { // gone, or otherwise now
		if err == nil {
			err = fn(nil, body)
		}
	}
	for _, body := range puts {
		if err == nil {
			err = fn(body, nil)
		}
	}
	return err
}

// waitingNames are the names that wait outside the index, as rows of it.
func waitingNames(ctx context.Context, s *Side, t *carried, id mail.AccountID) (all []record, err error) {
	err = s.ask(ctx, func(c conn) error {
		var namedTo int64
		if _, err := one(c, selectNamedTo, func(r row) { namedTo = r.num(0) }, id); err != nil {
			return err
		}
		tl := &tail{names: map[int64]mail.ThreadID{}}
		err := c.query(selectTail, func(r row) error { tl.add(mail.ThreadID(r.num(0)), r.bytes(1)); return nil }, id, namedTo)
		for name, thread := range tl.names {
			all = append(all, t.record(map[string]int64{"account_id": int64(id), "name": name, "thread_id": int64(thread)}))
		}
		slices.SortFunc(all, func(a, b record) int { return bytes.Compare(a.order, b.order) })
		return err
	})
	return all, err
}

const selectNamedTo = "SELECT named_to FROM account WHERE account_id = ?1"

// record makes a row of numbers.
func (t *carried) record(of map[string]int64) record {
	var body []byte
	for _, c := range t.columns {
		body = appendField(body, appendNumber(nil, of[c.name]))
	}
	return record{t.orderOf(body), body}
}
