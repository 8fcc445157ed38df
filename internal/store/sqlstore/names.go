package sqlstore

import (
	"encoding/binary"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// The names by which arrivals find their threads are digests, scattered over the
// account's part of an index: two pages of log for each message. So the names of the
// last messages of an account lie beside the messages, where they cost nothing, and
// in memory, and go into the index many at a time.

// Bounds of what waits for the index.
const (
	tailMessages = 256  // of an account, then they go into the index
	maxTails     = 2000 // accounts in memory; with more, all are read again when they are wanted
)

const (
	selectNames = "SELECT name, thread_id FROM thread_name WHERE account_id = ?1 AND name IN list(?2)"
	upsertName  = `INSERT INTO thread_name (account_id, name, thread_id) VALUES (?1, ?2, ?3)
	ON CONFLICT (account_id, name) DO UPDATE SET thread_id = excluded.thread_id`
	upsertNames = `INSERT INTO thread_name (account_id, name, thread_id) SELECT ?1, value, ?2 FROM list(?3) AS l WHERE 1 = 1
	ON CONFLICT (account_id, name) DO UPDATE SET thread_id = excluded.thread_id`
	selectTail = `SELECT m.thread_id, c.names FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key > ?2 ORDER BY m.message_key`
	setNamedTo = "UPDATE account SET named_to = next_id - 1 WHERE account_id = ?1"
)

// tails are the names that wait, of the accounts that were written to last. Used by
// the writer alone, which has them forgotten when something is rolled back.
type tails struct {
	of map[mail.AccountID]*tail
	// direct puts names into the index at once: other nodes would not know of what waits
	// in the memory of this one.
	direct bool
}

type tail struct {
	names    map[int64]mail.ThreadID
	messages int
}

func (ts *tails) forget() { ts.of = nil }

// get returns the names of an account's messages past key namedTo.
func (ts *tails) get(c conn, id mail.AccountID, namedTo int64) (*tail, error) {
	if ts.direct {
		return &tail{}, nil
	}
	if tl := ts.of[id]; tl != nil {
		return tl, nil
	}
	tl := &tail{names: map[int64]mail.ThreadID{}}
	err := c.query(selectTail, func(r row) error {
		tl.add(mail.ThreadID(r.num(0)), r.bytes(1))
		return nil
	}, id, namedTo)
	if err != nil {
		return nil, err
	}
	if ts.of == nil || len(ts.of) >= maxTails {
		ts.of = map[mail.AccountID]*tail{}
	}
	ts.of[id] = tl
	return tl, nil
}

// add adds the names that a message made known.
func (tl *tail) add(id mail.ThreadID, names []byte) {
	tl.messages++
	for ; len(names) >= 8; names = names[8:] {
		tl.names[int64(binary.BigEndian.Uint64(names))] = id
	}
}

// index puts what waits into the index.
func (tl *tail) index(c conn, id mail.AccountID) error {
	for _, name := range slices.Sorted(maps.Keys(tl.names)) {
		if err := c.later(upsertName, id, name, tl.names[name]); err != nil {
			return err
		}
	}
	clear(tl.names)
	tl.messages = 0
	return nil
}

// settle puts all names of an account into the index: messages are about to go, and
// their names stay.
func (ts *tails) settle(c conn, a account) error {
	tl, err := ts.get(c, a.ID, a.namedTo)
	if err != nil || tl.messages == 0 {
		return err
	}
	if err := tl.index(c, a.ID); err != nil {
		return err
	}
	err = c.later(setNamedTo, a.ID)
	return err
}

// threadsOf returns which of names are known, and by what thread.
func (t *tx) threadsOf(names ints) (map[int64]mail.ThreadID, error) {
	tl, err := t.tails.get(t.c, t.id, t.account.namedTo)
	if err != nil {
		return nil, err
	}
	var known map[int64]mail.ThreadID // most often there are none
	learn := func(name int64, id mail.ThreadID) {
		if known == nil {
			known = map[int64]mail.ThreadID{}
		}
		known[name] = id
	}
	asked := make(ints, 0, len(names))
	for _, name := range names {
		if id := tl.names[name]; id != 0 {
			learn(name, id)
		} else {
			asked = append(asked, name)
		}
	}
	each := func(r row) error { learn(r.num(0), mail.ThreadID(r.num(1))); return nil }
	if len(asked) > 0 && t.account.namedTo != 0 {
		q := askNames(t.id, asked)
		err = t.c.query(q.sql, each, q.args...)
	}
	return known, err
}

// askNames asks for the threads of names.
func askNames(id mail.AccountID, names ints) ask {
	return ask{selectNames, []any{id, names}}
}

// sortedSet is each of them once, in the order in which rows are locked.
func sortedSet(all ints) ints {
	if len(all) < 2 {
		return all
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// name makes names lead to a thread. It returns them as they are written beside the
// message, whose key was drawn before.
func (t *tx) name(id mail.ThreadID, names ints) ([]byte, error) {
	var text []byte
	for _, name := range names {
		text = binary.BigEndian.AppendUint64(text, uint64(name))
	}
	if t.tails.direct {
		t.account.namedTo, t.unwell = t.account.nextID-1, true
		return text, t.c.later(upsertNames, t.id, id, sortedSet(names))
	}
	tl, err := t.tails.get(t.c, t.id, t.account.namedTo)
	if err != nil {
		return nil, err
	}
	tl.add(id, text)
	if tl.messages < tailMessages {
		return text, nil
	}
	t.account.namedTo, t.unwell = t.account.nextID-1, true
	return text, tl.index(t.c, t.id)
}
