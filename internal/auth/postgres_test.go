package auth

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// TestNodesOnOneDatabase has what the model proves hold where transactions of nodes
// really run beside each other.
func TestNodesOnOneDatabase(t *testing.T) {
	url := sqltest.PostgresURL(t)
	var air notifytest.Air
	at := time.Now() // a clock that stands: no lock-out runs out while passwords are computed
	node := func() (*Service, *sqlstore.DB) {
		db := sqltest.Open(t, url, sqlstore.Options{})
		s := New(db, db, []byte("salts"), slog.New(slog.DiscardHandler))
		s.now = func() time.Time { return at }
		bus := air.Node()
		t.Cleanup(func() { bus.Close() })
		if err := s.Join(t.Context(), Nodes{db, db, bus}); err != nil {
			t.Fatal(err)
		}
		return s, db
	}
	here, db := node()
	there, _ := node()
	alice, err := db.CreateAccount(t.Context(), by, store.NewAccount{Login: "alice@example.test", Verifier: verifier()})
	if err != nil {
		t.Fatal(err)
	}
	follows := make(chan error, 1)
	go func() { follows <- there.Follow(t.Context()) }()
	t.Cleanup(func() {
		if err := <-follows; err != nil {
			t.Error(err)
		}
	})
	_, secret, err := here.AddDevice(t.Context(), alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	phone, err := there.Login(t.Context(), attempt(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Track(phone, func(why string) { ended <- why })()
	if err := here.SignOut(t.Context(), alice, phone.Device().ID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(SeenWithin):
		t.Fatal("the session goes on at the other node")
	}
	if _, err := there.Login(t.Context(), attempt(secret)); mail.KindOf(err) != mail.BadCredentials {
		t.Fatalf("the app password: %v", err)
	}
	var heard atomic.Int64
	var guesses sync.WaitGroup
	for i := range 12 {
		guesses.Go(func() {
			_, err := []*Service{here, there}[i%2].Login(t.Context(), attempt(fmt.Sprint("wrong-horse", i)))
			if mail.KindOf(err) == mail.BadCredentials {
				heard.Add(1)
			}
		})
	}
	guesses.Wait()
	if n := heard.Load(); n != freeFailuresPair-1 { // the app password was one
		t.Errorf("%d guesses were heard, want %d", n, freeFailuresPair-1)
	}
	again, _ := node()
	if _, err := again.Login(t.Context(), attempt(password)); mail.KindOf(err) != mail.Limit {
		t.Errorf("after a start: %v, want that it has to wait", err)
	}
}
