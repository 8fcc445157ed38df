package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/store/sqlstore/pgserver"
)

// A Standby follows a primary without being waited for.
type Standby struct{ *pgserver.Server }

// Pair starts a primary and a standby of it, both of their own and gone after the
// test.
func Pair(t testing.TB) (primary *pgserver.Server, standby Standby) {
	t.Helper()
	server(t) // skips where there is no PostgreSQL
	primary = mustStart(t, pgserver.Options{Durable: true, Settings: []string{"wal_level=replica", "max_wal_senders=4", "hot_standby=on"}})
	dir, err := os.MkdirTemp("", "lockstep-postgres-")
	if err == nil {
		err = pgserver.Own(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(primary.URL)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgserver.Command(filepath.Join(primary.Programs, "pg_basebackup"), "-h", "127.0.0.1", "-p", u.Port(), "-U", "postgres", "-D", filepath.Join(dir, "data"), "-R", "-X", "stream", "-c", "fast").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	return primary, Standby{mustStart(t, pgserver.Options{Durable: true, Dir: dir, Prepared: true, Settings: []string{"hot_standby=on"}, Goes: true})}
}

func mustStart(t testing.TB, o pgserver.Options) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Start(o)
	if err == nil {
		s.URL, err = patient(s.URL)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// CatchUp waits until the standby has all that the primary has.
func (s Standby) CatchUp(t testing.TB, primary *pgserver.Server) {
	t.Helper()
	at := one(t, primary.URL, "SELECT pg_current_wal_lsn()")
	for end := time.Now().Add(pgserver.StartTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if one(t, s.URL, fmt.Sprintf("SELECT pg_last_wal_replay_lsn() >= '%s'", at)) == "t" {
			return
		}
	}
	t.Fatal("the standby does not catch up")
}

// Pause makes the standby receive nothing any more.
func (s Standby) Pause(t testing.TB) {
	t.Helper()
	for _, sql := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if err := s.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	for one(t, s.URL, "SELECT count(*) FROM pg_stat_wal_receiver") != "0" {
		time.Sleep(10 * time.Millisecond)
	}
}

// Promote makes the standby a primary.
func (s Standby) Promote(t testing.TB) {
	t.Helper()
	if err := s.Exec("SELECT pg_promote(true, 60)"); err != nil {
		t.Fatal(err)
	}
}

func one(t testing.TB, url, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pgserver.StartTime)
	defer cancel()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	r := c.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 1 {
		t.Fatal(sql, r.Err)
	}
	return string(r.Rows[0][0])
}
