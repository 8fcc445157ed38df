package search

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"lockstep/internal/mail"
)

// format is the version of what is stored and of what is made of messages: an index
// of another one is made anew.
const format = 1

// schema of one account's index. Words are ours: they come separated by spaces, and
// all that the engine's tokenizer does is to cut there.
const schema = `
CREATE TABLE state (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE doc (key INTEGER NOT NULL PRIMARY KEY, flags INTEGER NOT NULL, date INTEGER NOT NULL) STRICT;
CREATE TABLE doc_text (key INTEGER NOT NULL PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE trouble (key INTEGER NOT NULL PRIMARY KEY, why TEXT NOT NULL) STRICT;
CREATE TABLE segment (segment_id INTEGER NOT NULL PRIMARY KEY, docs INTEGER NOT NULL, keys BLOB NOT NULL) STRICT;
CREATE TABLE gram_block (block_id INTEGER NOT NULL PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE VIRTUAL TABLE word USING fts5 (subject, sender, recipients, body, names, files, content = '', contentless_delete = 1, tokenize = 'ascii');
INSERT INTO word (word, rank) VALUES ('rank', 'bm25(10, 8, 4, 2, 2, 1)');
`

// docFlags say what is known of a message.
type docFlags int64

const (
	docLossy  docFlags = 1 << iota // some word of the body is not the letters of the text but for ASCII case
	docCut                         // its text is not kept whole
	docUnread                      // it could not be read, and is not searched here
)

// Page caches, of a connection that waits to be asked and of one that writes.
const (
	readCache  = 1 << 20
	writeCache = 16 << 20
)

const busyFor = 10 * time.Second

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

var errNoIndex = mail.Errorf(mail.NotFound, "there is no search index yet")

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

// columnBytes is the value of a column, valid as long as buf.
func columnBytes(st *sqlite.Stmt, col int, buf []byte) []byte {
	n := st.ColumnLen(col)
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	st.ColumnBytes(col, buf)
	return buf
}

// blockID is where a block lies: its segment and its first gram.
func blockID(segment int64, first gram) int64 { return segment<<24 | int64(first) }

// encodeKeys writes the messages of a segment, by number.
func encodeKeys(keys []mail.MessageKey) []byte {
	var b []byte
	last := mail.MessageKey(0)
	for _, k := range keys {
		b = binary.AppendVarint(b, int64(k-last))
		last = k
	}
	return b
}

func decodeKeys(b []byte) ([]mail.MessageKey, error) {
	var keys []mail.MessageKey
	last := int64(0)
	for len(b) > 0 {
		diff, n := binary.Varint(b)
		if n <= 0 || len(keys) == maxSegment {
			return nil, errDamaged
		}
		last += diff
		keys = append(keys, mail.MessageKey(last))
		b = b[n:]
	}
	return keys, nil
}
