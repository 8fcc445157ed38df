package search

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lockstep/internal/mail"
)

// schema of one account's index.
const schema = `
CREATE TABLE state (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE doc (key INTEGER NOT NULL PRIMARY KEY, flags INTEGER NOT NULL, date INTEGER NOT NULL, words INTEGER NOT NULL) STRICT;
CREATE TABLE doc_text (key INTEGER NOT NULL PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE trouble (key INTEGER NOT NULL PRIMARY KEY, why TEXT NOT NULL) STRICT;
CREATE TABLE segment (segment_id INTEGER NOT NULL PRIMARY KEY, docs INTEGER NOT NULL, words INTEGER NOT NULL, keys BLOB NOT NULL) STRICT;
CREATE TABLE block (block_id INTEGER NOT NULL PRIMARY KEY, segment_id INTEGER NOT NULL, first BLOB NOT NULL, data BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX block_place ON block (segment_id, first);
`

// Page caches, of a connection that waits to be asked and of one that writes.
const (
	readCache  = 1 << 20
	writeCache = 16 << 20
)

const busyFor = 10 * time.Second

// files keeps each account's index in a SQLite database of its own, in one directory.
// Its methods are safe for concurrent use; one process at a time may have it.
type files struct {
	dir string

	mu   sync.Mutex
	free []freeConn             // the one used last at the end
	made map[mail.AccountID]int // how often its database was discarded
}

// freeConn is a connection that nobody uses.
type freeConn struct {
	*sqlite.Conn
	account mail.AccountID
}

// maxFree is how many connections are kept open for the next question or change:
// the last one of a database that is closed writes its log back, and waits for the
// disk.
const maxFree = 32

func newFiles(dir string) *files { return &files{dir: dir, made: map[mail.AccountID]int{}} }

func (s *files) path(a mail.AccountID) string { return filepath.Join(s.dir, fmt.Sprintf("%d.db", a)) }

func (s *files) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.free {
		f.Close()
	}
	s.free = nil
	return nil
}

func (s *files) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.free {
		_ = run(f.Conn, "PRAGMA shrink_memory") // who gets it next meets the error again
	}
}

func (s *files) read(ctx context.Context, a mail.AccountID, fn func(shelf) error) error {
	c, made, err := s.takeConn(a, open)
	if err != nil {
		return err
	}
	defer func() { s.giveBack(a, made, c) }()
	return snapshot(c, func() error {
		c.SetInterrupt(ctx.Done())
		defer c.SetInterrupt(nil)
		return fn(&file{c: c})
	})
}

func (s *files) take(_ context.Context, a mail.AccountID) (pen, error) {
	c, made, err := s.takeConn(a, create)
	if err != nil {
		return nil, err
	}
	f := &file{c: c, back: func() {
		_ = resize(c, readCache)
		s.giveBack(a, made, c)
	}}
	if err := resize(c, writeCache); err != nil {
		f.putBack()
		return nil, err
	}
	return f, nil
}

func (s *files) discard(_ context.Context, a mail.AccountID) error {
	s.letGo(a)
	return discard(s.path(a))
}

func (s *files) mine(mail.AccountID) bool { return true }

func (s *files) size(_ context.Context, a mail.AccountID) (n int64, err error) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path(a) + suffix); err == nil {
			n += info.Size()
		}
	}
	return n, nil
}

func (s *files) check(ctx context.Context, a mail.AccountID) (problems []string, err error) {
	s.letGo(a) // what open connections hold in memory says nothing of the file
	err = s.read(ctx, a, func(r shelf) error {
		for _, sql := range []string{"PRAGMA integrity_check(1)", "SELECT 'a message has no text' FROM doc WHERE flags & 4 = 0 AND key NOT IN (SELECT key FROM doc_text) LIMIT 1"} {
			err := query(r.(*file).c, sql, func(st *sqlite.Stmt) error {
				if what := st.ColumnText(0); what != "ok" {
					problems = append(problems, what)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return problems, err
}

// takeConn returns a connection that nobody uses, or a new one.
func (s *files) takeConn(a mail.AccountID, connect func(path string) (*sqlite.Conn, error)) (*sqlite.Conn, int, error) {
	_, err := os.Stat(s.path(a))
	if errors.Is(err, fs.ErrNotExist) {
		s.letGo(a)
	}
	s.mu.Lock()
	made := s.made[a]
	for i := len(s.free) - 1; i >= 0; i-- {
		if c := s.free[i]; c.account == a {
			s.free = slices.Delete(s.free, i, i+1)
			s.mu.Unlock()
			return c.Conn, made, nil
		}
	}
	s.mu.Unlock()
	c, err := connect(s.path(a))
	return c, made, err
}

func (s *files) giveBack(a mail.AccountID, made int, c *sqlite.Conn) {
	s.mu.Lock()
	surplus := c
	if made == s.made[a] && c.AutocommitEnabled() { // else it was left in the middle
		if surplus = nil; len(s.free) == maxFree {
			surplus = s.free[0].Conn
			s.free = slices.Delete(s.free, 0, 1)
		}
		s.free = append(s.free, freeConn{c, a})
	}
	s.mu.Unlock()
	if surplus != nil {
		surplus.Close()
	}
}

// letGo closes what is open of an account's database.
func (s *files) letGo(a mail.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[a]++
	s.free = slices.DeleteFunc(s.free, func(f freeConn) bool {
		if f.account == a {
			f.Close()
		}
		return f.account == a
	})
}

// file is a shelf and a pen: an account's database.
type file struct {
	c    *sqlite.Conn
	back func()
}

func (f *file) putBack() { f.back() }

func (f *file) transact(fn func() error) error { return transact(f.c, fn) }

func (f *file) state() (value string, err error) {
	err = query(f.c, "SELECT value FROM state WHERE name = 'state'", func(st *sqlite.Stmt) error {
		value = st.ColumnText(0)
		return nil
	})
	return value, err
}

func (f *file) setState(value string) error {
	return run(f.c, "INSERT INTO state (name, value) VALUES ('state', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1", value)
}

func (f *file) count() (n counts, err error) {
	err = query(f.c, "SELECT (SELECT count(*) FROM doc), (SELECT count(*) FROM doc WHERE flags & 4 <> 0), (SELECT count(*) FROM trouble)", func(st *sqlite.Stmt) error {
		n = counts{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)}
		return nil
	})
	return n, err
}

func (f *file) segments() (all []segmentRow, err error) {
	err = query(f.c, "SELECT segment_id, docs, words FROM segment ORDER BY segment_id", func(st *sqlite.Stmt) error {
		all = append(all, segmentRow{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)})
		return nil
	})
	return all, err
}

func (f *file) segmentKeys(ids []int64) (map[int64][]mail.MessageKey, error) {
	all := map[int64][]mail.MessageKey{}
	for _, id := range ids {
		err := query(f.c, "SELECT keys FROM segment WHERE segment_id = ?1", func(st *sqlite.Stmt) (err error) {
			all[id], err = decodeKeys(columnBytes(st, 0))
			return err
		}, id)
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (f *file) docs(keys []mail.MessageKey, each func(docRow) error) error {
	for _, k := range keys {
		if err := query(f.c, "SELECT key, flags, date, words FROM doc WHERE key = ?1", eachDoc(each), int64(k)); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) docsBetween(first, last mail.MessageKey, limit int, each func(docRow) error) error {
	return query(f.c, "SELECT key, flags, date, words FROM doc WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3", eachDoc(each), int64(first), int64(last), int64(limit))
}

func eachDoc(each func(docRow) error) func(*sqlite.Stmt) error {
	return func(st *sqlite.Stmt) error {
		return each(docRow{key: mail.MessageKey(st.ColumnInt64(0)), flags: docFlags(st.ColumnInt64(1)), date: st.ColumnInt64(2), words: st.ColumnInt64(3)})
	}
}

func (f *file) texts(keys []mail.MessageKey, each func(mail.MessageKey, []byte) error) error {
	for _, k := range keys {
		err := query(f.c, "SELECT sealed FROM doc_text WHERE key = ?1", func(st *sqlite.Stmt) error { return each(k, columnBytes(st, 0)) }, int64(k))
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	blockAt    = "SELECT first, data FROM block WHERE segment_id = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1"
	blocksFrom = "SELECT first, data FROM block WHERE segment_id = ?1 AND first >= ?2 AND first <= ?3 ORDER BY first LIMIT ?4"
)

func (f *file) blocks(asks []blockAsk) ([][]block, error) {
	all := make([][]block, len(asks))
	for i, ask := range asks {
		from := ask.low
		err := query(f.c, blockAt, func(st *sqlite.Stmt) error {
			from = columnBytes(st, 0)
			all[i] = append(all[i], block{from, columnBytes(st, 1)})
			from = append(from[:len(from):len(from)], 0) // the next that there can be
			return nil
		}, ask.segment, ask.low)
		if err != nil {
			return nil, err
		}
		if string(from) > string(ask.high) || string(ask.low) == string(ask.high) {
			continue
		}
		more, err := f.blocksFrom(ask.segment, from, ask.high, -1)
		if err != nil {
			return nil, err
		}
		all[i] = append(all[i], more...)
	}
	return all, nil
}

func (f *file) blocksFrom(segment int64, first, last []byte, limit int) (all []block, err error) {
	err = query(f.c, blocksFrom, func(st *sqlite.Stmt) error {
		all = append(all, block{columnBytes(st, 0), columnBytes(st, 1)})
		return nil
	}, segment, first, last, int64(limit))
	return all, err
}

func (f *file) addDocs(docs []docRow) error {
	for _, d := range docs {
		err := run(f.c, "INSERT INTO doc (key, flags, date, words) VALUES (?1, ?2, ?3, ?4)", int64(d.key), int64(d.flags), d.date, d.words)
		if err == nil && d.trouble != "" {
			err = run(f.c, "INSERT INTO trouble (key, why) VALUES (?1, ?2)", int64(d.key), d.trouble)
		}
		if err == nil && d.sealed != nil {
			err = run(f.c, "INSERT INTO doc_text (key, sealed) VALUES (?1, ?2)", int64(d.key), d.sealed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *file) removeDocs(keys []mail.MessageKey) error {
	for _, k := range keys {
		for _, sql := range []string{"DELETE FROM doc WHERE key = ?1", "DELETE FROM trouble WHERE key = ?1", "DELETE FROM doc_text WHERE key = ?1"} {
			if err := run(f.c, sql, int64(k)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *file) addSegment(s segmentRow, keys []mail.MessageKey) error {
	return run(f.c, "INSERT INTO segment (segment_id, docs, words, keys) VALUES (?1, ?2, ?3, ?4)", s.id, s.docs, s.words, encodeKeys(keys))
}

func (f *file) addBlocks(segment int64, some []block) error {
	for _, b := range some {
		if err := run(f.c, "INSERT INTO block (segment_id, first, data) VALUES (?1, ?2, ?3)", segment, b.first, b.data); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) removeSegments(ids []int64) error {
	for _, id := range ids {
		for _, sql := range []string{"DELETE FROM segment WHERE segment_id = ?1", "DELETE FROM block WHERE segment_id = ?1"} {
			if err := run(f.c, sql, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect opens a connection to an account's database. A commit survives a kill at
// once and a power cut soon: the position is committed with what it stands for, so
// what a power cut takes back is done again.
func connect(path string, flags sqlite.OpenFlags) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(onDisk(path), flags|sqlite.OpenURI)
	if err != nil {
		return nil, readable(err)
	}
	c.SetBusyTimeout(busyFor)
	for _, pragma := range []string{"journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "mmap_size = 0", cacheSize(readCache)} {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+pragma, nil); err != nil {
			c.Close()
			return nil, readable(err)
		}
	}
	return c, nil
}

// onDisk names a file as the machine's own VFS opens it. The store has put one of its
// own in front, which keeps what is written to a log until it is synced; here a commit
// is not synced, and other connections have to see it.
func onDisk(path string) string {
	vfs := "unix"
	if runtime.GOOS == "windows" {
		vfs = "win32"
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "vfs=" + vfs}).String()
}

func resize(c *sqlite.Conn, bytes int) error { return run(c, "PRAGMA "+cacheSize(bytes)) }

func cacheSize(bytes int) string { return fmt.Sprintf("cache_size = -%d", bytes>>10) }

// create opens an account's database for writing, and makes it when it is not there
// or not one of ours.
func create(path string) (*sqlite.Conn, error) {
	c, err := connect(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	made, err := version(c)
	if err == nil && made == 0 {
		err = readable(sqlitex.ExecuteScript(c, fmt.Sprintf("%s PRAGMA user_version = %d;", schema, format), nil))
	} else if err == nil && made != format {
		err = errDamaged
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// open opens it for reading. It is NotFound when it is not there.
func open(path string) (*sqlite.Conn, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoIndex
	}
	c, err := connect(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	made, err := version(c)
	if err == nil && made != format {
		err = errNoIndex
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func version(c *sqlite.Conn) (int64, error) {
	var n int64
	err := query(c, "PRAGMA user_version", func(st *sqlite.Stmt) error {
		n = st.ColumnInt64(0)
		return nil
	})
	return n, err
}

// discard removes an account's database.
func discard(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// query runs a statement and calls each with every row.
func query(c *sqlite.Conn, sql string, each func(*sqlite.Stmt) error, args ...any) error {
	st, err := c.Prepare(sql)
	if err != nil {
		return readable(err)
	}
	defer st.Reset()
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			st.BindInt64(i+1, v)
		case string:
			st.BindText(i+1, v)
		case []byte:
			st.BindBytes(i+1, v)
		default:
			panic(fmt.Sprintf("search: argument of type %T", arg))
		}
	}
	for {
		more, err := st.Step()
		if err != nil {
			return readable(err)
		}
		if !more {
			return nil
		}
		if each == nil {
			continue
		}
		if err := each(st); err != nil {
			return err
		}
	}
}

func run(c *sqlite.Conn, sql string, args ...any) error { return query(c, sql, nil, args...) }

// snapshot runs fn on what is there now.
func snapshot(c *sqlite.Conn, fn func() error) error {
	if err := run(c, "BEGIN"); err != nil {
		return err
	}
	defer run(c, "ROLLBACK")
	return fn()
}

// transact runs fn in a transaction.
func transact(c *sqlite.Conn, fn func() error) error {
	if err := run(c, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		err = run(c, "COMMIT")
	}
	if err != nil && !c.AutocommitEnabled() {
		err = errors.Join(err, run(c, "ROLLBACK"))
	}
	return err
}

// readable gives damage and a full disk a Kind.
func readable(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return &mail.Error{Kind: mail.Corrupt, Detail: "the search index is damaged", Err: err}
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultBusy, sqlite.ResultLocked:
		return &mail.Error{Kind: mail.Unavailable, Detail: "the search index cannot be used", Err: err}
	}
	return err
}

// columnBytes is the value of a column.
func columnBytes(st *sqlite.Stmt, col int) []byte {
	b := make([]byte, st.ColumnLen(col))
	st.ColumnBytes(col, b)
	return b
}
