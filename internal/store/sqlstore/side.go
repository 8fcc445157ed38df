package sqlstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A Side is a database as a migration between engines sees it: tables with rows,
// whatever they mean. Reading changes nothing, also in a database that a server has
// open.
type Side struct {
	where   string
	pg      bool
	readers *pool
	open    func() (conn, error) // a connection that writes
	tables  map[string]*carried
	// carrying are the tables as both sides have them, once they were compared.
	accounts, globals []*carried
}

// sideReaders is how many connections a Side reads by, at most.
const sideReaders = 16

// IsPostgres reports whether a place is named as a database of PostgreSQL.
func IsPostgres(where string) bool {
	return strings.HasPrefix(where, PostgresURL) || strings.HasPrefix(where, "postgresql://")
}

// OpenSource opens a database to read: the path of the embedded engine's file, or the
// URL of PostgreSQL. One of another schema than this program's is Unavailable.
func OpenSource(ctx context.Context, where string, o Options) (*Side, error) {
	s := &Side{where: where, pg: IsPostgres(where)}
	if s.pg {
		dial, err := pgDialer(where, o, &changeover{})
		if err != nil {
			return nil, err
		}
		s.readers = newPool(sideReaders, func() (pooled, error) {
			c := &pgConn{open: dial}
			return c, c.connect(context.Background())
		})
		s.open = func() (conn, error) {
			c := &pgConn{open: dial}
			return c, c.connect(context.Background())
		}
	} else {
		if _, err := os.Stat(where); err != nil {
			return nil, &mail.Error{Kind: mail.NotFound, Detail: "there is no database " + where, Err: err}
		}
		s.readers = newPool(sideReaders, func() (pooled, error) { return openToLook(where) })
		s.open = func() (conn, error) { return openSQLite(where, writerCacheBytes) }
	}
	return s, s.look(ctx, o)
}

// OpenTarget opens a database to fill, and makes its schema if it has none.
func OpenTarget(ctx context.Context, where string, o Options) (*Side, error) {
	if !IsPostgres(where) {
		c, err := openUpgraded(where, o)
		if err != nil {
			return nil, err
		}
		if err := c.close(); err != nil {
			return nil, err
		}
		s, err := OpenSource(ctx, where, o)
		if err == nil { // all of one process by the same means, as they share locks
			s.readers.open = func() (pooled, error) { return openSQLite(where, readerCacheBytes) }
		}
		return s, err
	}
	dial, err := pgDialer(where, o, &changeover{})
	if err != nil {
		return nil, err
	}
	if err := migratePostgres(ctx, dial, o); err != nil {
		return nil, err
	}
	return OpenSource(ctx, where, o)
}

// look reads what tables there are, and refuses a schema that is not this program's.
func (s *Side) look(ctx context.Context, o Options) error {
	if o.steps == nil {
		o.steps, o.stepsIn = migrations, sqliteSteps
		if s.pg {
			o.stepsIn = postgresSteps
		}
	}
	err := s.ask(ctx, func(c conn) (err error) {
		m, err := planMigration(c, s.where, o)
		if err != nil {
			return err
		}
		if len(m.taken) == 0 {
			return mail.Errorf(mail.NotFound, "there is no Lockstep in %s", s.name())
		}
		if len(m.pending) > 0 || len(m.unknown) > 0 {
			return mail.Errorf(mail.Unavailable, "%s has schema %d, and this version works with %d: start the server once with this version first", s.name(), m.schema(), lastOf(m.steps))
		}
		s.tables, err = readTables(c)
		return err
	})
	if err != nil {
		s.Close()
	}
	return err
}

// Concurrent reports whether several can write at once.
func (s *Side) Concurrent() bool { return s.pg }

// name is where a database is, without secrets.
func (s *Side) name() string {
	if !s.pg {
		return s.where
	}
	return PostgresName(s.where)
}

// PostgresName is a URL without its password.
func PostgresName(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		rest = user + rest[at:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	return scheme + "://" + rest
}

// Close lets go of the database.
func (s *Side) Close() { s.readers.close() }

// ask runs fn on a connection that reads.
func (s *Side) ask(ctx context.Context, fn func(conn) error) error {
	c, err := s.readers.get(ctx)
	if err != nil {
		return err
	}
	defer s.readers.put(c)
	return fn(c)
}

// snapshot runs fn on one state of the database.
func (s *Side) snapshot(ctx context.Context, fn func(conn) error) error {
	return s.ask(ctx, func(c conn) error {
		sql := "BEGIN"
		if s.pg {
			sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
		}
		if _, err := c.exec(sql); err != nil {
			return err
		}
		defer c.script("ROLLBACK")
		return fn(c)
	})
}

// Accounts returns up to limit accounts after one, and where they are.
func (s *Side) Accounts(ctx context.Context, after mail.AccountID, limit int) (all []store.Digest, err error) {
	err = s.ask(ctx, func(c conn) error {
		return c.query(selectSomeHeads, func(r row) error { all = append(all, scanHead(r)); return nil }, after, limit)
	})
	return all, err
}

const (
	selectSomeHeads = "SELECT account_id, epoch, head FROM account WHERE account_id > ?1 ORDER BY account_id LIMIT ?2"
	selectMoving    = "SELECT state, origin, peer, at FROM moving"
	deleteMoving    = "DELETE FROM moving"
	insertMoving    = "INSERT INTO moving (state, origin, peer, at) VALUES (?1, ?2, ?3, ?4)"
)

// States of a database whose rows move.
const (
	Arriving = "arriving" // rows are on their way in: nobody is served
	Gone     = "gone"     // they went elsewhere: nobody is served
)

// Moving says that a database's rows are on their way in, or have gone.
type Moving struct {
	State  string // "": neither
	Origin string // which database they come from
	Peer   string // where that is, or where they went
}

func readMoving(c conn) (m Moving, err error) {
	_, err = one(c, selectMoving, func(r row) { m = Moving{r.text(0), r.text(1), r.text(2)} })
	return m, err
}

// refuseMoving refuses to serve a database whose rows are half there, or elsewhere.
func refuseMoving(c conn) error {
	m, err := readMoving(c)
	switch {
	case err != nil:
		return err
	case m.State == Arriving:
		return mail.Errorf(mail.Unavailable, "rows are still being moved here from %s: run the same lockstep migrate again, which goes on where it was", m.Peer)
	case m.State == Gone:
		return mail.Errorf(mail.Unavailable, "the accounts have moved to %s, and what is here is as of then: serve them from there. If they are to be served from here after all, without what came since: lockstep migrate --undo", m.Peer)
	}
	return nil
}

// Moving returns what a database says of itself.
func (s *Side) Moving(ctx context.Context) (m Moving, err error) {
	err = s.ask(ctx, func(c conn) (err error) { m, err = readMoving(c); return err })
	return m, err
}

// SetMoving has a database say of itself that its rows arrive, or are gone; the zero
// Moving is that it can be served. It is durable when SetMoving returns.
func (s *Side) SetMoving(ctx context.Context, m Moving, at int64) error {
	return s.write(ctx, func(c conn) error { return setMoving(c, m, at) })
}

func setMoving(c conn, m Moving, at int64) error {
	if p, is := c.(*pgConn); is {
		if err := p.script(takeWrites); err != nil {
			return err
		}
	}
	if _, err := c.exec(deleteMoving); err != nil || m.State == "" {
		return err
	}
	_, err := c.exec(insertMoving, m.State, m.Origin, m.Peer, at)
	return err
}

// Settle makes what an engine numbers by itself go on after what was carried here.
func (s *Side) Settle(ctx context.Context) error {
	if !s.pg {
		return nil // SQLite numbers on from the greatest there is
	}
	return s.write(ctx, func(c conn) error {
		return c.query("SELECT setval(pg_get_serial_sequence('content', 'content_id'), (SELECT coalesce(max(content_id), 0) + 1 FROM content), false)", nil)
	})
}

// write runs fn in a transaction of its own.
func (s *Side) write(ctx context.Context, fn func(conn) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := begin(c); err != nil {
		return err
	}
	if err := fn(c); err != nil {
		rollback(c)
		return err
	}
	return c.commit()
}

const nameMark = "UPDATE mark SET instance = ?1 WHERE length(instance) = 0"

// Begin has a database say that rows from another are on their way in.
func (s *Side) Begin(ctx context.Context, origin, peer string, at int64) error {
	return s.write(ctx, func(c conn) error {
		instance, err := hex.DecodeString(newInstance())
		if err != nil {
			return err
		}
		if err := setMoving(c, Moving{Arriving, origin, peer}, at); err != nil {
			return err
		}
		_, err = c.exec(nameMark, instance) // so that it has an origin of its own
		return err
	})
}

// Origin names the database itself, and no copy of it: what it was begun as.
func (s *Side) Origin(ctx context.Context) (origin string, err error) {
	err = s.ask(ctx, func(c conn) error {
		if !s.pg {
			_, err := one(c, selectMark, func(r row) { origin = "instance " + hex.EncodeToString(r.bytes(0)) })
			return err
		}
		sql := "SELECT current_database()::text, oid::bigint FROM pg_database WHERE datname = current_database()"
		_, err := one(c, sql, func(r row) { origin = fmt.Sprintf("database %s %d", r.text(0), r.num(1)) })
		return err
	})
	return origin, err
}

// Pair compares the tables of two sides and keeps what is carried from the one to the
// other.
func Pair(from, to *Side) error {
	var accounts, globals []*carried
	for name, t := range from.tables {
		other := to.tables[name]
		if err := t.matches(other); err != nil {
			return mail.Errorf(mail.Unavailable, "%v: both have to be of this version", err)
		}
		for i := range t.columns {
			for _, c := range other.columns {
				t.columns[i].nullable = t.columns[i].nullable || c.name == t.columns[i].name && c.nullable
			}
		}
		if t.ofOne {
			accounts = append(accounts, t)
		} else {
			globals = append(globals, t)
		}
	}
	for name, t := range to.tables {
		if err := t.matches(from.tables[name]); err != nil {
			return mail.Errorf(mail.Unavailable, "%v: both have to be of this version", err)
		}
	}
	from.arrange(accounts, globals)
	to.arrange(accounts, globals)
	return nil
}
