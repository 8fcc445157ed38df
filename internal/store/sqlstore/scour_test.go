package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var secretWord = regexp.MustCompile("wort[0-9]{5}geheim")

// traces says which of the words lie in the database's files.
func traces(t *testing.T, path string, words ...string) (found []string) {
	t.Helper()
	wanted := map[string]bool{}
	for _, w := range words {
		wanted[w] = true
	}
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range secretWord.FindAllString(string(text), -1) {
			if wanted[w] {
				found = append(found, filepath.Base(file)+": "+w)
			}
		}
	}
	return found
}

// scourHouse is a database in a directory of its own, with an account.
func scourHouse(t *testing.T) (db *DB, path string, id mail.AccountID) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "db")
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	by := mail.NewOrigin("test", 0, mail.Local, mail.BySetup)
	p, err := db.CreateAccount(t.Context(), by, store.NewAccount{Login: "ann@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	return db, path, p.Account
}

func fillWith(t *testing.T, db *DB, id mail.AccountID, n int, secret func(i int) string) (keys []mail.MessageKey) {
	t.Helper()
	by := mail.NewOrigin("test", 0, mail.Local, mail.ByDelivery)
	for from := 0; from < n; from += 50 {
		_, err := db.Update(t.Context(), id, by, func(tx store.Tx) error {
			inbox, err := tx.MailboxByPath("INBOX")
			for i := from; i < min(from+50, n) && err == nil; i++ {
				var p mail.Placement
				a := mail.Arrival{Blob: mail.Blob{Name: mail.BlobName{9, byte(i >> 8), byte(i)}, Size: 10, Place: fmt.Sprintf("p-%d", i), Key: []byte{1}, Fresh: true},
					MessageID: secret(i) + "@example.test", Parsed: []byte(strings.Repeat(secret(i), 1+i%700)), Preview: "preview " + secret(i)}
				if p, err = tx.Append(inbox.ID, a); err == nil {
					keys = append(keys, p.Message)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func TestWhatIsScouredLeavesNoTrace(t *testing.T) {
	db, path, id := scourHouse(t)
	word := func(i int) string { return fmt.Sprintf("wort%05dgeheim", i) }
	keys := fillWith(t, db, id, 1500, word)
	r := rand.New(rand.NewPCG(1, 2))
	by := mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin)
	var gone, kept []string
	var some []mail.MessageKey
	for i, k := range keys {
		if r.IntN(3) > 0 {
			kept = append(kept, word(i))
			continue
		}
		gone, some = append(gone, word(i)), append(some, k)
		if len(some) == 40 {
			if _, err := db.Update(t.Context(), id, by, func(tx store.Tx) error {
				_, err := tx.Erase(mail.Erasing{Messages: some})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			some = nil
		}
	}
	gone = gone[:len(gone)-len(some)]
	if len(traces(t, path, gone...)) == 0 {
		t.Fatal("there is nothing to scour: the test is not about what it says")
	}
	done, err := db.Scour(t.Context())
	if err != nil || done.Pages == 0 || done.Written == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if left := traces(t, path, gone...); len(left) > 0 {
		t.Fatalf("%d traces: %s", len(left), left[0])
	}
	if again, err := db.Scour(t.Context()); err != nil || again.Written != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	// What is written afterwards brings nothing back.
	fillWith(t, db, id, 300, func(i int) string { return fmt.Sprintf("later%05d", i) })
	if _, err := db.Scour(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, path, gone...); len(left) > 0 {
		t.Fatalf("after more was written, %d traces: %s", len(left), left[0])
	}
	sound(t, db, id, len(kept))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, path, gone...); len(left) > 0 {
		t.Fatalf("closed, %d traces: %s", len(left), left[0])
	}
	db, err = Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sound(t, db, id, len(kept))
	if left := traces(t, path, kept...); len(left) < len(kept) {
		t.Fatalf("of %d messages that were not erased %d are left", len(kept), len(left))
	}
}

// sound asks SQLite, and the account's own check.
func sound(t *testing.T, db *DB, id mail.AccountID, atLeast int) {
	t.Helper()
	var said []string
	if err := db.read(t.Context(), func(c conn) error {
		return c.query("PRAGMA integrity_check", func(r row) error { said = append(said, r.text(0)); return nil })
	}); err != nil || len(said) != 1 || said[0] != "ok" {
		t.Fatalf("%v, %v", said, err)
	}
	wrong, err := db.Check(t.Context(), id, false)
	if err != nil || len(wrong) > 0 {
		t.Fatalf("%v, %v", wrong, err)
	}
	n := 0
	if err := db.View(t.Context(), id, func(r store.Reader) error {
		inbox, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: inbox.ID}, func(_ *mail.Placement, m *mail.Message) error {
			if word, _, _ := strings.Cut(m.MessageID, "@"); !strings.HasSuffix(m.Preview, word) || !strings.HasPrefix(string(m.Parsed), word) {
				return fmt.Errorf("message %s says %q", m.MessageID, m.Preview)
			}
			n++
			return nil
		})
	}); err != nil || n < atLeast {
		t.Fatalf("%d messages, want %d: %v", n, atLeast, err)
	}
}

func TestScouringIsInNobodysWay(t *testing.T) {
	db, path, id := scourHouse(t)
	fillWith(t, db, id, 300, func(i int) string { return fmt.Sprintf("first%05d", i) })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			for ctx.Err() == nil {
				if err := db.View(context.Background(), id, func(r store.Reader) error {
					inbox, err := r.MailboxByPath("INBOX")
					if err != nil {
						return err
					}
					return r.Messages(store.PlacementQuery{Mailbox: inbox.ID}, func(*mail.Placement, *mail.Message) error { return nil })
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Go(func() {
		by := mail.NewOrigin("test", 0, mail.Local, mail.ByUser)
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := db.Update(context.Background(), id, by, func(tx store.Tx) error {
				inbox, err := tx.MailboxByPath("INBOX")
				if err == nil {
					_, err = tx.Expunge(inbox.ID, mail.MakeUIDSet(mail.UID(i+1)), false)
				}
				return err
			}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 5 {
		if _, err := db.Scour(t.Context()); err != nil && mail.KindOf(err) != mail.Unavailable {
			t.Fatal(err)
		}
	}
	stop()
	wait.Wait()
	if _, err := db.Scour(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, db, id, 0)
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the log has %v, %v", info, err)
	}
}

// FuzzFreeSpace looks at pages that anybody made: nothing that is in a cell is free.
func FuzzFreeSpace(f *testing.F) {
	db, err := Open(f.Context(), filepath.Join(f.TempDir(), "db"), Options{})
	if err != nil {
		f.Fatal(err)
	}
	db.Close()
	text, err := os.ReadFile(db.path)
	if err != nil {
		f.Fatal(err)
	}
	for at := 4096; at+4096 <= len(text) && at < 40*4096; at += 4096 {
		f.Add(text[at : at+4096])
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if len(page) < 512 || len(page) > 65536 {
			return
		}
		p := treePage{b: page, used: make([]bool, len(page))}
		children, chains, err := p.read()
		if err != nil {
			return
		}
		for i := range page {
			if !p.used[i] {
				page[i] = 0
			}
		}
		q := treePage{b: page, used: make([]bool, len(page))}
		children2, chains2, err := q.read()
		if err != nil || !slices.Equal(children, children2) || !slices.Equal(chains, chains2) || !slices.Equal(p.used, q.used) {
			t.Fatalf("it says something else when what is free is zero: %v", err)
		}
	})
}
