package sqlstore_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgserver"
	"lockstep/internal/store/sqlstore/sqltest"
)

// wire is a network between a node and its database. It breaks the connection on
// which the byte comes that was told.
type wire struct {
	to   string
	l    net.Listener
	left [2]atomic.Int64 // until it breaks: to the database, and from there
}

const unbroken = 1 << 60

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: to, l: l}
	w.heal()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c.(*net.TCPConn))
		}
	}()
	return w
}

func (w *wire) heal() {
	for i := range w.left {
		w.left[i].Store(unbroken)
	}
}

func (w *wire) carry(c *net.TCPConn) {
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		c.Close()
		return
	}
	var both sync.WaitGroup
	cut := func() { // not a word more to anybody
		c.SetLinger(0)
		s.(*net.TCPConn).SetLinger(0)
		c.Close()
		s.Close()
	}
	both.Go(func() { w.copy(s, c, 0); cut() })
	both.Go(func() { w.copy(c, s, 1); cut() })
	both.Wait()
}

// copy carries bytes up to the one that it breaks at.
func (w *wire) copy(to, from net.Conn, direction int) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		left := w.left[direction].Add(-int64(n))
		if left <= 0 && left > -int64(n) { // it is among these
			to.Write(buf[:int64(n)+left])
			return
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}

// throughWire is the URL of a database that is reached through the wire.
func throughWire(t *testing.T, database string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, u.Host)
	u.Host = w.l.Addr().String()
	return w, u.String()
}

// arrive delivers a message once, and makes a flag of it.
func arrive(ctx context.Context, db *sqlstore.DB, id mail.AccountID, i int) error {
	a := letter(i, true)
	a.Once, a.OnceFor = fmt.Sprintf("delivery %d", i), time.Hour
	_, err := db.Update(ctx, id, byAdmin, func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		p, err := tx.Append(inbox.ID, a)
		if err != nil || p.ID == 0 {
			return err
		}
		_, err = tx.StoreFlags(inbox.ID, mail.MakeUIDSet(p.UID), mail.FlagChange{Add: mail.Flags{System: mail.Flagged}}, nil)
		return err
	})
	return err
}

// holds says how often an account has each of the messages, whole.
func holds(t *testing.T, db *sqlstore.DB, id mail.AccountID) map[string]int {
	t.Helper()
	have := map[string]int{}
	err := db.View(context.Background(), id, func(r store.Reader) error {
		inbox, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Placements(store.PlacementQuery{Mailbox: inbox.ID}, func(p *mail.Placement) error {
			m, err := r.Message(p.Message)
			if err != nil {
				return err
			}
			if p.Flags.System&mail.Flagged == 0 {
				t.Errorf("half of a delivery: %+v", p)
			}
			have[m.MessageID]++
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// unavailable holds an error against what people are told of a database that is away.
func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if mail.KindOf(err) != mail.Unavailable || mail.DetailOf(err) == "" || strings.Contains(mail.DetailOf(err), "SQL") {
		t.Errorf("%s: %v (%v: %s)", what, err, mail.KindOf(err), mail.DetailOf(err))
	}
}

// cuts is how many places each direction is cut at; everything is each byte of the
// first kilobytes.
func cuts() int {
	if os.Getenv("LOCKSTEP_TEST_ALL") != "" {
		return 4000
	}
	if testing.Short() {
		return 30
	}
	return 120
}

// A connection may break at any byte. What was acknowledged is there, what was not is
// there whole or not at all, sending it again does not double it, and what follows
// works.
func TestConnectionsBreakAtAnyByteOnPostgres(t *testing.T) {
	database := sqltest.PostgresURL(t)
	w, through := throughWire(t, database)
	direct, db := sqltest.Open(t, database, sqlstore.Options{}), sqltest.Open(t, through, sqlstore.Options{Readers: 2})
	const each = 3
	account := func(name string) mail.AccountID {
		p, err := direct.CreateAccount(t.Context(), byAdmin, store.NewAccount{Login: name + "@example.test"})
		if err != nil {
			t.Fatal(err)
		}
		return p.Account
	}
	live := func(id mail.AccountID) (refused int) {
		for i := range each {
			if err := arrive(t.Context(), db, id, i); err != nil {
				unavailable(t, "a delivery", err)
				refused++
			}
			if err := db.View(t.Context(), id, func(r store.Reader) error { _, err := r.MailboxByPath("INBOX"); return err }); err != nil {
				unavailable(t, "a view", err)
				refused++
			}
		}
		return refused
	}
	for range 20 { // so that the writers know their statements
		live(account(fmt.Sprintf("warm%d", time.Now().UnixNano())))
	}
	live(account("measured"))
	var traffic [2]int64
	for i := range traffic {
		traffic[i] = unbroken - w.left[i].Load()
	}
	w.heal()
	live(account("measured2"))
	for i := range traffic {
		traffic[i] = unbroken - w.left[i].Load()
	}
	t.Logf("%d bytes to the database and %d from it", traffic[0], traffic[1])
	refused, broke := 0, 0
	for direction := range traffic {
		n := min(int64(cuts()), traffic[direction])
		for k := range n {
			id := account(fmt.Sprintf("cut%d-%d", direction, k))
			w.left[direction].Store(1 + k*traffic[direction]/n)
			before := refused
			refused += live(id)
			w.heal()
			if refused > before {
				broke++
			}
			if refused-before > 1 {
				t.Errorf("cut %d of direction %d: %d calls failed for one connection", k, direction, refused-before)
			}
			first := holds(t, direct, id)
			if len(first) < each-(refused-before) {
				t.Errorf("cut %d of direction %d: of %d messages there are %v", k, direction, each, first)
			}
			if again := live(id); again > 0 {
				t.Errorf("cut %d of direction %d: %d calls fail afterwards", k, direction, again)
			}
			have := holds(t, direct, id)
			for i := range each {
				if have[fmt.Sprintf("%d@example.test", i)] != 1 {
					t.Errorf("cut %d of direction %d: %v", k, direction, have)
				}
			}
			if wrong, err := direct.Check(t.Context(), id, false); err != nil || len(wrong) > 0 {
				t.Errorf("cut %d of direction %d: %v, %v", k, direction, wrong, err)
			}
		}
	}
	t.Logf("%d cuts were felt", broke)
	if broke == 0 {
		t.Error("no cut was felt")
	}
}

// crash ends a server as a crash does, or fast, and returns when it is gone.
func crash(t *testing.T, s *pgserver.Server, how syscall.Signal) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, how); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			return
		}
	}
	t.Fatal("the server did not end")
}

// The server crashes, stops and ends connections in the middle of commits, while
// people are at work who send again what was not acknowledged.
func TestPostgresEndsUnderLoad(t *testing.T) {
	if _, err := pgserver.Programs(); err != nil && os.Getenv("CI") == "" {
		t.Skip("skipped: ", err)
	}
	dir, err := os.MkdirTemp("", "lockstep-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir); os.Remove(dir + ".log") })
	if err := pgserver.Own(dir); err != nil {
		t.Fatal(err)
	}
	s, err := pgserver.Start(pgserver.Options{Durable: true, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	again := func() {
		if s, err = pgserver.Start(pgserver.Options{Durable: true, Dir: dir, Port: port, Prepared: true}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { crash(t, s, syscall.SIGQUIT) })
	db, err := sqlstore.OpenPostgres(t.Context(), s.URL, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })

	const people = 6
	var accounts [people]mail.AccountID
	for i := range accounts {
		p, err := db.CreateAccount(t.Context(), byAdmin, store.NewAccount{Login: fmt.Sprintf("p%d@example.test", i)})
		if err != nil {
			t.Fatal(err)
		}
		accounts[i] = p.Account
	}
	var stop atomic.Bool
	var acknowledged [people]int
	var served atomic.Int64 // last, as time
	var refused atomic.Int64
	var load sync.WaitGroup
	for i, id := range accounts {
		load.Go(func() {
			for !stop.Load() {
				err := arrive(context.Background(), db, id, acknowledged[i])
				if err != nil {
					unavailable(t, "a delivery", err)
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
					continue
				}
				served.Store(time.Now().UnixNano())
				acknowledged[i]++
			}
		})
	}
	servedAgain := func(what string) {
		began := time.Now()
		for end := began.Add(time.Minute); served.Load() < began.UnixNano(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s: nobody is served", what)
				return
			}
		}
		t.Logf("%s: served again %v after the server was", what, time.Since(began).Round(time.Millisecond))
	}
	servedAgain("at first")
	for range 15 {
		if err := s.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep'"); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	servedAgain("connections ended")
	for what, how := range map[string]syscall.Signal{"crashed": syscall.SIGQUIT, "stopped": syscall.SIGINT} {
		crash(t, s, how)
		again()
		servedAgain(what)
	}
	stop.Store(true)
	load.Wait()
	t.Logf("%d calls were refused", refused.Load())
	for i, id := range accounts {
		have := holds(t, db, id)
		for m := range acknowledged[i] {
			if n := have[fmt.Sprintf("%d@example.test", m)]; n != 1 {
				t.Errorf("message %d of person %d was acknowledged and is there %d times", m, i, n)
			}
		}
		if len(have) > acknowledged[i]+1 {
			t.Errorf("%d messages of %d", len(have), acknowledged[i])
		}
	}
	soundness(t, db)
}

// Whoever waits too long for others is told so, and can go on later.
func TestALockThatIsHeldIsUnavailable(t *testing.T) {
	n := twoNodes(t)
	db := sqltest.Open(t, n.url+"&lock_timeout=100", sqlstore.Options{})
	other := n.connect()
	n.sql(other, fmt.Sprintf("BEGIN; SELECT 1 FROM account WHERE account_id = %d FOR UPDATE", n.ann.Account))
	unavailable(t, "an account that is held", arrive(t.Context(), db, n.ann.Account, 1))
	n.must(arrive(t.Context(), db, n.bob.Account, 1))
	n.sql(other, "COMMIT")
	n.must(arrive(t.Context(), db, n.ann.Account, 1))
	slow := sqltest.Open(t, n.url+"&statement_timeout=100", sqlstore.Options{})
	n.sql(other, fmt.Sprintf("BEGIN; SELECT 1 FROM account WHERE account_id = %d FOR UPDATE", n.ann.Account))
	unavailable(t, "a statement that takes long", arrive(t.Context(), slow, n.ann.Account, 2))
	n.sql(other, "ROLLBACK")
	n.must(arrive(t.Context(), slow, n.ann.Account, 2))
}

// Of a large mailbox that is read a page at a time, the server sends a page.
func TestAPageOfALargeMailboxIsAllThatComes(t *testing.T) {
	database := sqltest.PostgresURL(t)
	w, through := throughWire(t, database)
	db := sqltest.Open(t, through, sqlstore.Options{Readers: 1})
	p, err := db.CreateAccount(t.Context(), byAdmin, store.NewAccount{Login: "ann@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	var inbox mail.MailboxID
	for from := 0; from < 2000; from += 250 {
		_, err := db.Update(t.Context(), p.Account, byAdmin, func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("INBOX")
			inbox = mb.ID
			for i := range 250 {
				if err == nil {
					l := letter(from+i, true)
					l.Preview = strings.Repeat("a preview of it, ", 12)
					l.InternalDate = time.Unix(int64(from+i), 0)
					_, err = tx.Append(inbox, l)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, read := range map[string]func(r store.Reader) (int, error){
		"newest messages": func(r store.Reader) (n int, err error) {
			return n, r.Messages(store.PlacementQuery{Mailbox: inbox, Backwards: true, Limit: 10}, func(*mail.Placement, *mail.Message) error { n++; return nil })
		},
		"first placements": func(r store.Reader) (n int, err error) {
			return n, r.Placements(store.PlacementQuery{Mailbox: inbox, Limit: 10}, func(*mail.Placement) error { n++; return nil })
		},
		"newest by date": func(r store.Reader) (int, error) {
			all, err := r.ByDate(store.DateQuery{Mailbox: inbox, Limit: 10})
			return len(all), err
		},
	} {
		for range 2 { // the first time, statements are prepared
			w.heal()
			n := 0
			if err := db.View(t.Context(), p.Account, func(r store.Reader) (err error) { n, err = read(r); return err }); err != nil {
				t.Fatal(err)
			}
			if n != 10 {
				t.Errorf("%s: %d", what, n)
			}
		}
		if came := unbroken - w.left[1].Load(); came > 32<<10 {
			t.Errorf("%s: %d bytes came for 10 of 2000", what, came)
		}
	}
}
