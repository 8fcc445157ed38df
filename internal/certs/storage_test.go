package certs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

var testKey = bytes.Repeat([]byte{7}, 32)

// shared is what nodes share.
type shared interface {
	store.Files
	store.Leases
}

func openTest(t *testing.T, m shared, node string, key []byte) *storage {
	t.Helper()
	s, err := newSeal(key)
	if err != nil {
		t.Fatal(err)
	}
	return newStorage(m, m, s, node, slog.New(slog.DiscardHandler))
}

func TestWhatOneNodeStoresAnotherFinds(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testStorage(t, newMemory()) })
	t.Run("store", func(t *testing.T) {
		db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "db"), sqlstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		testStorage(t, db)
	})
}

func testStorage(t *testing.T, m shared) {
	if err := openTest(t, m, "a", testKey).Lock(t.Context(), "issue_cert_*.example.test"); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := openTest(t, m, "b", testKey).Lock(soon, "issue_cert_*.example.test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that another has: %v", err)
	}
	a, b := openTest(t, m, "a", testKey), openTest(t, m, "b", testKey)
	ctx := t.Context()
	for _, key := range []string{"acme/ca/users/x/x.key", "certificates/ca/mail.test/mail.test.crt", "certificates/ca/mail.test/mail.test.key", "certificates/ca/other.test/other.test.crt"} {
		if err := a.Store(ctx, key, []byte("of "+key)); err != nil {
			t.Fatal(err)
		}
		got, err := b.Load(ctx, key)
		if err != nil || string(got) != "of "+key {
			t.Errorf("%s: %q, %v", key, got, err)
		}
		if st, err := b.Stat(ctx, key); err != nil || st.Size != int64(len(got)) || !st.IsTerminal || st.Modified.IsZero() {
			t.Errorf("%s: %+v, %v", key, st, err)
		}
	}
	for _, c := range []struct {
		dir       string
		recursive bool
		want      string
	}{
		{"certificates/ca", false, "certificates/ca/mail.test certificates/ca/other.test"},
		{"certificates/ca/mail.test", true, "certificates/ca/mail.test/mail.test.crt certificates/ca/mail.test/mail.test.key"},
		{"", false, "acme certificates"},
	} {
		got, err := b.List(ctx, c.dir, c.recursive)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("below %q: %q, %v", c.dir, got, err)
		}
	}
	if !b.Exists(ctx, "certificates/ca") || b.Exists(ctx, "certificates/c") || b.Exists(ctx, "none") {
		t.Error("what exists is not as it is")
	}
	if st, err := b.Stat(ctx, "certificates/ca"); err != nil || st.IsTerminal {
		t.Errorf("a directory: %+v, %v", st, err)
	}
	if err := a.Delete(ctx, "certificates/ca"); err != nil {
		t.Fatal(err)
	}
	if err := a.Delete(ctx, "certificates/ca"); err != nil {
		t.Errorf("what is gone can be deleted: %v", err)
	}
	for _, err := range []error{
		second(b.Load(ctx, "certificates/ca/mail.test/mail.test.crt")), second(b.Stat(ctx, "certificates/ca")), second(b.List(ctx, "certificates", true)),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what is not there: %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestWhatIsStoredIsSealedUnderItsName(t *testing.T) {
	m := newMemory()
	a := openTest(t, m, "a", testKey)
	const key, secret = "certificates/ca/x/x.key", "-----BEGIN PRIVATE KEY-----"
	if err := a.Store(t.Context(), key, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	f := m.files[under+key]
	if bytes.Contains(f.Data, []byte("PRIVATE")) {
		t.Error("the key lies in clear")
	}
	if _, err := openTest(t, m, "b", bytes.Repeat([]byte{8}, 32)).Load(t.Context(), key); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("with another key: %v", err)
	}
	f.Name = under + "certificates/ca/y/y.key"
	if err := m.PutFile(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Load(t.Context(), "certificates/ca/y/y.key"); err == nil {
		t.Error("what was moved to another name opens")
	}
	for n := range len(m.files[under+key].Data) {
		cut := store.File{Name: under + "cut", Data: m.files[under+key].Data[:n]}
		if err := m.PutFile(t.Context(), cut); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Load(t.Context(), "cut"); err == nil {
			t.Fatalf("%d bytes of it open", n)
		}
	}
}

func FuzzSealOpens(f *testing.F) {
	s, err := newSeal(testKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("name", s.close("name", []byte("text")))
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, name string, sealed []byte) {
		plain, err := s.open(name, sealed)
		if err != nil {
			return
		}
		if again, err := s.open(name, s.close(name, plain)); err != nil || !bytes.Equal(again, plain) {
			t.Errorf("%q, %v", again, err)
		}
	})
}

// What a node that died left of a challenge goes by itself.
func TestTokensOfChallengesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openTest(t, newMemory(), "a", testKey)
		const token, cert = "acme/ca/challenge_tokens/mail.test.json", "certificates/ca/x/x.crt"
		for _, key := range []string{token, cert} {
			if err := a.Store(t.Context(), key, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(tokenLife + time.Second)
		if a.Exists(t.Context(), token) || !a.Exists(t.Context(), cert) {
			t.Error("a token is to end, a certificate is not")
		}
	})
}

// One of all who want a lock has it, on whatever node; who waits gets it when it is let
// go of, or when its node died.
func TestOneOfAllHasALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		nodes := []*storage{openTest(t, m, "a", testKey), openTest(t, m, "b", testKey)}
		inside, most, done := 0, 0, make(chan bool)
		for i := range 8 {
			go func() {
				s := nodes[i%2]
				if err := s.Lock(t.Context(), "issue_cert_x"); err != nil {
					t.Error(err)
				}
				inside++
				most = max(most, inside)
				time.Sleep(3 * lockLife) // it is renewed meanwhile
				inside--
				if err := s.Unlock(t.Context(), "issue_cert_x"); err != nil {
					t.Error(err)
				}
				done <- true
			}()
		}
		for range 8 {
			<-done
		}
		if most != 1 || len(m.leases) != 0 {
			t.Errorf("%d had it at once, %d leases are left", most, len(m.leases))
		}
		if _, err := m.Take(t.Context(), under+"y", "dead", lockLife); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := nodes[0].Lock(t.Context(), "y"); err != nil || time.Since(began) < lockLife || time.Since(began) > lockLife+2*lockRetry {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := nodes[1].Lock(ctx, "y"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("what another has: %v", err)
		}
		nodes[0].close()
		if err := nodes[1].Lock(t.Context(), "y"); err != nil || nodes[1].Unlock(t.Context(), "y") != nil {
			t.Errorf("what a node that stopped had: %v", err)
		}
		if err := nodes[1].Unlock(t.Context(), "y"); err == nil {
			t.Error("what nobody has can be let go of")
		}
		for _, err := range []error{nodes[0].Lock(t.Context(), "z"), nodes[0].Store(t.Context(), "z", nil), second(nodes[0].Load(t.Context(), "z"))} {
			if !errors.Is(err, errClosed) {
				t.Errorf("after the end: %v", err)
			}
		}
		if err := nodes[0].Unlock(t.Context(), "y"); err != nil {
			t.Errorf("who lets go late: %v", err)
		}
	})
}

func TestOurLogHasWhatCertmagicSays(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	z := zapOn(log).Named("x")
	z.Info("detail")
	z.Error("trouble")
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	want := []string{`level=DEBUG msg="acme: detail"`, `level=INFO msg="acme: trouble"`}
	if len(lines) != 2 || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want[0]) }) || !strings.Contains(lines[1], want[1]) {
		t.Errorf("%q", lines)
	}
}
