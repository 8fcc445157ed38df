package sqlstore

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"lockstep/internal/mail"
)

// sqliteConn is the SQLite dialect of conn.
type sqliteConn struct {
	c     *sqlite.Conn
	cache map[string]*statement
	alone map[string]string // forOne
	count atomic.Int64
	wrote int64
	waits pending
	idle  atomic.Bool // nobody may use it: what a View left behind is the next one's
}

// statement is a prepared statement; busy while its rows are being read.
type statement struct {
	*sqlite.Stmt
	params int
	reads  bool // and changes nothing
	busy   bool
}

// SQLite's bounds, in bytes.
const (
	writerCacheBytes = 32 << 20
	readerCacheBytes = 4 << 20
)

// busyTimeout is how long a connection waits for another's lock. Only the
// checkpointer and another process can hold one that long.
const busyTimeout = time.Minute

// openSQLite opens a connection. Commits are durable when they return.
func openSQLite(path string, cacheBytes int) (*sqliteConn, error) {
	return openThrough(logVFSName, path, cacheBytes)
}

// openKeeper opens the connection that writes the log back, and commits nothing.
func openKeeper(path string) (*sqliteConn, error) {
	return openThrough(keeperVFSName, path, readerCacheBytes)
}

// openSettler opens the connection by which the log is settled.
func openSettler(path string) (*sqliteConn, error) {
	return openThrough(settlerVFSName, path, readerCacheBytes)
}

func openThrough(vfs, path string, cacheBytes int) (*sqliteConn, error) {
	holdMemory()
	uri, err := throughLogVFS(path, vfs)
	if err != nil {
		return nil, err
	}
	c, err := sqlite.OpenConn(uri, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenURI)
	if err != nil {
		return nil, readable(err)
	}
	c.SetInterrupt(nil)
	c.SetBusyTimeout(busyTimeout)
	s := &sqliteConn{c: c, cache: map[string]*statement{}, alone: map[string]string{}}
	for _, pragma := range []string{
		"journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0", "foreign_keys=OFF", "temp_store=MEMORY",
		"mmap_size=0", // a mapping counts once for each connection, and is made anew after each commit
		fmt.Sprintf("cache_size=-%d", cacheBytes>>10),
	} {
		if err := s.script("PRAGMA " + pragma); err != nil {
			c.Close()
			return nil, err
		}
	}
	return s, nil
}

// openToLook opens a connection that changes nothing. A snapshot, which nobody
// writes, is looked at without files beside it.
func openToLook(path string) (*sqliteConn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	options := "mode=ro"
	if filepath.Base(filepath.Dir(path)) == SnapshotDir {
		options += "&immutable=1"
	}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: options}
	c, err := sqlite.OpenConn(uri.String(), sqlite.OpenReadOnly|sqlite.OpenURI)
	if err != nil {
		return nil, readable(err)
	}
	c.SetBusyTimeout(busyTimeout)
	return &sqliteConn{c: c, cache: map[string]*statement{}, alone: map[string]string{}}, nil
}

// expand turns list(?n) into what SQLite has for it. And where a limit is a parameter and
// nothing else SQLite looks at its value when it plans, and so plans anew, for longer than
// most statements run, whenever another is bound. The plan is to be the same for all.
func expand(sql string) string {
	return boundLimit.ReplaceAllString(expandList(sql, "(SELECT value FROM json_each(", "))"), "$0 + 0")
}

var boundLimit = regexp.MustCompile(`LIMIT \?\d+`)

var inList = regexp.MustCompile(`IN list\((\?\d+)\)`)

// forOne turns a statement about a list into the one about a number, when the
// list has no more: nearly all have not, and it does without a parser of JSON, a
// table for what it finds, and a Bloom filter in front of that.
func (s *sqliteConn) forOne(sql string) string {
	one, known := s.alone[sql]
	if !known {
		one = inList.ReplaceAllString(sql, "= $1")
		s.alone[sql] = one
	}
	return one
}

// prepare returns a statement that is not in use.
func (s *sqliteConn) prepare(sql string) (st *statement, transient bool, err error) {
	st = s.cache[sql]
	if st != nil && !st.busy {
		return st, false, nil
	}
	p, trailing, err := s.c.PrepareTransient(expand(sql))
	if err != nil {
		return nil, false, fmt.Errorf("%w in %s", readable(err), sql)
	}
	if trailing != 0 {
		p.Finalize()
		return nil, false, fmt.Errorf("more than one statement in %s", sql)
	}
	fresh := &statement{Stmt: p, params: p.BindParamCount(), reads: strings.HasPrefix(sql, "SELECT")}
	if st != nil {
		return fresh, true, nil
	}
	s.cache[sql] = fresh
	return fresh, false, nil
}

func (s *sqliteConn) query(sql string, each func(row) error, args ...any) error {
	if s.idle.Load() {
		panic("sqlstore: a Reader is used after its View")
	}
	for _, arg := range args {
		if list, ok := arg.(ints); ok && len(list) == 1 {
			sql = s.forOne(sql)
		}
	}
	st, transient, err := s.prepare(sql)
	if err != nil {
		return err
	}
	if st.params != len(args) {
		panic(fmt.Sprintf("sqlstore: %d arguments for %d parameters in %s", len(args), st.params, sql))
	}
	s.count.Add(1)
	if !st.reads {
		s.wrote++
	}
	st.busy = true
	defer func() {
		st.busy = false
		st.Reset()
		if transient {
			st.Finalize()
		}
	}()
	for i, arg := range args {
		st.bind(i+1, arg)
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
		if err := each(sqliteRow{st.Stmt}); err != nil {
			return err
		}
	}
}

func (st *statement) bind(n int, arg any) {
	if list, ok := arg.(ints); ok && len(list) == 1 {
		st.BindInt64(n, list[0]) // which is JSON too
		return
	}
	if v, ok := number(arg); ok {
		st.BindInt64(n, v)
		return
	}
	switch v := plain(arg).(type) {
	case string:
		st.BindText(n, v)
	case []byte:
		st.BindBytes(n, v)
	case nil:
		st.BindNull(n)
	}
}

func (s *sqliteConn) exec(sql string, args ...any) (int64, error) {
	err := s.query(sql, nil, args...)
	return int64(s.c.Changes()), err
}

func (s *sqliteConn) insert(sql string, args ...any) (int64, error) {
	err := s.query(sql, nil, args...)
	return s.c.LastInsertRowID(), err
}

func (s *sqliteConn) ahead(...ask) error { return nil } // nothing is far away

func (s *sqliteConn) later(sql string, args ...any) error { return s.query(sql, nil, args...) }

func (s *sqliteConn) flush() error { return nil }

func (s *sqliteConn) commit() error { return s.query("COMMIT", nil) }

func (s *sqliteConn) pending() *pending { return &s.waits }

func (s *sqliteConn) setIdle(idle bool) { s.idle.Store(idle) }

func (s *sqliteConn) isBroken() bool { return false }

func (s *sqliteConn) mark() int64 { return 0 }

func (s *sqliteConn) brokeAt(int64) bool { return false }

func (s *sqliteConn) script(sql string) error {
	for sql = strings.TrimSpace(sql); sql != ""; sql = strings.TrimSpace(sql) {
		st, trailing, err := s.c.PrepareTransient(sql)
		if err != nil {
			return readable(err)
		}
		for more := true; more && err == nil; {
			more, err = st.Step()
		}
		st.Finalize()
		if err != nil {
			return readable(err)
		}
		sql = sql[len(sql)-trailing:]
	}
	return nil
}

func (s *sqliteConn) inTransaction() bool { return !s.c.AutocommitEnabled() }

func (s *sqliteConn) statements() int64 { return s.count.Load() }

func (s *sqliteConn) writes() int64 { return s.wrote }

func (s *sqliteConn) close() error {
	for _, st := range s.cache {
		st.Finalize()
	}
	return s.c.Close()
}

// readable gives the errors that people can do something about a Kind and
// words; the rest stays Internal.
func readable(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return &mail.Error{Kind: mail.Unavailable, Detail: "the server's disk is full", Err: err}
	case sqlite.ResultIOErr:
		return &mail.Error{Kind: mail.Unavailable, Detail: "the server cannot read or write its disk", Err: err}
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database is in use by another program", Err: err}
	case sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultPerm:
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database cannot be opened for writing", Err: err}
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return &mail.Error{Kind: mail.Corrupt, Detail: "the database is damaged", Err: err}
	}
	return err
}

type sqliteRow struct{ *sqlite.Stmt }

func (r sqliteRow) num(col int) int64   { return r.ColumnInt64(col) }
func (r sqliteRow) text(col int) string { return r.ColumnText(col) }

func (r sqliteRow) bytes(col int) []byte {
	n := r.ColumnLen(col)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	r.ColumnBytes(col, b)
	return b
}
