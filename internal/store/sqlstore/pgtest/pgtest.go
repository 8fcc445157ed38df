// Package pgtest gives tests databases of a real PostgreSQL server, which is started
// for them and ends with them.
package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/internal/steady"
	"lockstep/internal/store/sqlstore/pgserver"
)

// Variable names a server that is there already, by its URL, whose user may make
// databases.
const Variable = "LOCKSTEP_TEST_POSTGRES"

var shared = sync.OnceValues(func() (*pgserver.Server, error) {
	s, err := &pgserver.Server{URL: os.Getenv(Variable)}, error(nil)
	if s.URL == "" {
		s, err = pgserver.Start(pgserver.Options{})
	}
	if err == nil {
		s.URL, err = patient(s.URL)
	}
	return s, err
})

// patient is the URL of a server whose connections may take as long as tests wait.
func patient(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	all := u.Query()
	all.Set("connect_timeout", fmt.Sprint(int(steady.Patience.Seconds())))
	u.RawQuery = all.Encode()
	return u.String(), nil
}

var databases atomic.Int64

// Database returns the URL of an empty database that goes with the test.
func Database(t testing.TB) string {
	t.Helper()
	s := server(t)
	db := create(t, s, "template0")
	t.Cleanup(func() {
		if err := s.Exec("DROP DATABASE " + db + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.Of(db)
}

// server is the one that tests share.
func server(t testing.TB) *pgserver.Server {
	t.Helper()
	s, err := shared()
	if errors.Is(err, pgserver.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip("skipped: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// process is this process's part of the names of databases: the machine gives its own
// numbers of processes out again.
var process = strings.ToLower(rand.Text())

func create(t testing.TB, s *pgserver.Server, template string) string {
	t.Helper()
	db := fmt.Sprintf("test_%s_%d", process, databases.Add(1))
	if err := s.Exec("CREATE DATABASE " + db + " TEMPLATE " + template + " ENCODING 'UTF8'"); err != nil {
		t.Fatal(err)
	}
	return db
}

// A Kind of databases is made once, and used by one test after the other: a fresh
// database takes the server longer than most tests do.
type Kind struct {
	Name    string                 // letters
	Prepare func(url string) error // makes of an empty database what tests want
	Reset   string                 // statements that make it so again

	mu   sync.Mutex
	made bool
	err  error
	free []string
}

// Database returns the URL of a database of the kind, which the test has for itself.
func (k *Kind) Database(t testing.TB) string {
	t.Helper()
	url, giveBack := k.Borrow(t)
	t.Cleanup(giveBack)
	return url
}

// Borrow is Database for a part of a test: the database is another's once it was given
// back.
func (k *Kind) Borrow(t testing.TB) (url string, giveBack func()) {
	t.Helper()
	s := server(t)
	db, err := k.take(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return s.Of(db), func() {
		if err := s.In(db, k.Reset); err != nil {
			t.Error(err)
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.free = append(k.free, db)
	}
}

func (k *Kind) take(t testing.TB, s *pgserver.Server) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	template := fmt.Sprintf("template_%s_%s", process, k.Name)
	if !k.made {
		k.made = true
		k.err = s.Exec("CREATE DATABASE " + template + " TEMPLATE template0 ENCODING 'UTF8'")
		if k.err == nil {
			k.err = k.Prepare(s.Of(template))
		}
	}
	if k.err != nil {
		return "", k.err
	}
	if n := len(k.free); n > 0 {
		db := k.free[n-1]
		k.free = k.free[:n-1]
		return db, nil
	}
	return create(t, s, template), nil
}
