package sqlstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// site is a directory with a database and its mark.
type site struct {
	t   *testing.T
	dir string
	o   Options
	now time.Time
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	s.o = Options{Mark: s.path("mark"), Now: func() time.Time { return s.now }}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// open opens the database, with an account.
func (s *site) open() (*DB, mail.AccountID) {
	s.t.Helper()
	s.now = s.now.Add(time.Hour)
	db, err := Open(s.t.Context(), s.path("lockstep.db"), s.o)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := db.PrincipalByLogin(s.t.Context(), "ann@example.test")
	if err != nil {
		p, err = db.CreateAccount(s.t.Context(), restorer, store.NewAccount{Login: "ann@example.test"})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return db, p.Account
}

// lives opens the database, delivers so many messages, and closes it.
func (s *site) lives(messages int) mail.Account {
	s.t.Helper()
	db, id := s.open()
	for i := range messages {
		s.deliver(db, id, i)
	}
	a := stateNow(s.t, db, id)
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *site) deliver(db *DB, id mail.AccountID, n int) mail.Placement {
	s.t.Helper()
	var p mail.Placement
	_, err := db.Update(s.t.Context(), id, restorer, func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		if err == nil {
			p, err = tx.Append(inbox.ID, arrival(n))
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func stateNow(t *testing.T, db *DB, id mail.AccountID) (a mail.Account) {
	t.Helper()
	err := db.View(t.Context(), id, func(r store.Reader) (err error) { a, err = r.Account(); return err })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// copy copies a file over another, as cp does: what is there keeps its inode.
func (s *site) copy(from, to string) {
	s.t.Helper()
	b, err := os.ReadFile(s.path(from))
	if err == nil {
		err = os.WriteFile(s.path(to), b, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) remove(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

func TestAnOlderCopyIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		name     string
		back     func(*site)
		restored bool
	}{
		{"nothing happened", func(*site) {}, false},
		{"copied over", func(s *site) { s.copy("backup", "lockstep.db") }, true},
		{"the same again", func(s *site) { s.copy("lockstep.db", "other"); s.copy("other", "lockstep.db") }, false},
		{"moved in its place", func(s *site) {
			if err := os.Rename(s.path("backup"), s.path("lockstep.db")); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"without its mark", func(s *site) { s.remove("mark") }, true},
		{"as new as its mark, in another file", func(s *site) {
			s.copy("lockstep.db", "clone")
			s.remove("lockstep.db")
			s.copy("clone", "lockstep.db")
		}, true},
		{"another one", func(s *site) {
			other := newSite(t)
			other.lives(1)
			for range 9 {
				other.lives(0)
			}
			b, err := os.ReadFile(other.path("lockstep.db"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.path("lockstep.db"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a new one beside an old mark", func(s *site) { s.remove("lockstep.db") }, false}, // no account that was: see below
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.lives(2)
			s.copy("lockstep.db", "backup")
			before := s.lives(3)
			c.back(s)
			after := s.lives(0)
			if got := after.Restored != 0; got != c.restored || c.restored && after.Epoch <= before.Epoch {
				t.Errorf("restored is %v: %+v after %+v", got, after, before)
			}
			for range 2 {
				if again := s.lives(1); again.Epoch != after.Epoch {
					t.Errorf("the next start begins anew too: %+v after %+v", again, after)
				}
			}
		})
	}
}

// Where a file's inode says nothing, or the mark was written elsewhere, a clone that
// is as new as its mark is not found out, and a start is no false alarm.
func TestAFileThatCannotBeNamedIsNoAlarm(t *testing.T) {
	s := newSite(t)
	s.lives(1)
	s.o.Identity = func(string) string { return "" }
	if a := s.lives(1); a.Restored != 0 {
		t.Error("a start that can't name the file begins anew")
	}
	s.o.Identity = nil
	if a := s.lives(1); a.Restored != 0 {
		t.Error("a start that can name it again begins anew")
	}
}

// An account that was made since the copy, and is made again, hands out no number
// that the first one did.
func TestWhatIsMadeAgainRepeatsNothing(t *testing.T) {
	s := newSite(t)
	lives := func() mail.Mailbox {
		db, id := s.open()
		defer db.Close()
		var mb mail.Mailbox
		err := db.View(t.Context(), id, func(r store.Reader) (err error) { mb, err = r.MailboxByPath("INBOX"); return err })
		if err != nil {
			t.Fatal(err)
		}
		return mb
	}
	first := lives()
	s.remove("lockstep.db")
	second := lives()
	if second.UIDValidity < first.UIDValidity+1<<16 || second.ID <= first.ID {
		t.Errorf("%+v, then %+v", first, second)
	}
}

// handed is a ledger of what was handed out, over whatever was restored.
type handed map[string]string

func (g handed) note(t *testing.T, p mail.Placement, what string) {
	t.Helper()
	for _, key := range []string{fmt.Sprintf("UID %d", p.UID), fmt.Sprintf("placement %d", p.ID), fmt.Sprintf("message %d", p.Message), fmt.Sprintf("line %d", p.Lineage), fmt.Sprintf("modseq %d", p.ModSeq)} {
		if was, taken := g[key]; taken {
			t.Errorf("%s was given to %s, and to %s", key, was, what)
		}
		g[key] = what
	}
}

// The same copy comes back again and again, also with no time between, and where what
// was the future comes back as well.
func TestTheSameCopyMayComeBackAgain(t *testing.T) {
	s := newSite(t)
	s.lives(3)
	s.copy("lockstep.db", "backup")
	g := handed{}
	for life := range 5 {
		s.now = s.now.Add(-time.Hour) // which open adds
		db, id := s.open()
		for i := range 50 {
			g.note(t, s.deliver(db, id, 1000*life+i), fmt.Sprintf("life %d, message %d", life, i))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if life == 2 {
			s.copy("lockstep.db", "future")
		}
		if life == 3 {
			s.copy("future", "lockstep.db")
			continue
		}
		s.copy("backup", "lockstep.db")
	}
}

// The copy comes back where nobody knows that it did before.
func TestTheSameCopyMayComeBackElsewhere(t *testing.T) {
	s := newSite(t)
	s.lives(3)
	g := handed{}
	for life := range 3 {
		other := newSite(t)
		other.now = s.now.Add(time.Duration(life) * time.Minute)
		b, err := os.ReadFile(s.path("lockstep.db"))
		if err == nil {
			err = os.WriteFile(other.path("lockstep.db"), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		db, id := other.open()
		for i := range 50 {
			g.note(t, other.deliver(db, id, 1000*life+i), fmt.Sprintf("life %d, message %d", life, i))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a crash cuts of beginning anew is done by the next start before anything else.
func TestBeginningAnewGoesOnAfterACrash(t *testing.T) {
	s := newSite(t)
	db, _ := s.open()
	for i := range restoreChunk + 5 {
		if _, err := db.CreateAccount(t.Context(), restorer, store.NewAccount{Login: fmt.Sprintf("p%d@example.test", i)}); err != nil {
			t.Fatal(err)
		}
	}
	cut := fmt.Errorf("cut")
	rounds := 0
	err := func() error { // as goOnRestoring, but that it dies in between
		err := db.write(t.Context(), directoryLane, func(c conn) error {
			_, err := c.exec(beginRestoring, s.now.Unix(), 1<<20, 1)
			return err
		}, nil)
		for err == nil {
			if rounds++; rounds == 2 {
				return cut
			}
			err = db.write(t.Context(), directoryLane, func(c conn) error { _, err := db.restoreSome(c); return err }, nil)
		}
		return err
	}()
	if err != cut {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, id := s.open()
	defer db.Close()
	all, err := db.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := stateNow(t, db, id)
	for _, p := range all {
		if a := stateNow(t, db, p.Account); a.Restored == 0 || a.Epoch != first.Epoch {
			t.Errorf("%s: %+v, the first %+v", p.Login, a, first)
		}
	}
}

// killed makes the directory what a kill leaves now, in another one.
func (s *site) killed() *site {
	s.t.Helper()
	other := newSite(s.t)
	other.now, other.o.Identity = s.now, func(string) string { return "" }
	for _, name := range []string{"mark", "lockstep.db", "lockstep.db-wal"} {
		b, err := os.ReadFile(s.path(name))
		if err == nil {
			err = os.WriteFile(other.path(name), b, 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return other
}

// A server that was killed leaves a log. It belongs to the file that lies there, and
// to no copy that is put in its place: that is refused, until somebody says which of
// the two goes.
func TestALogIsNotTakenUpByACopy(t *testing.T) {
	s := newSite(t)
	s.lives(3)
	s.copy("lockstep.db", "backup")
	db, id := s.open()
	defer db.Close()
	for i := range 20 {
		s.deliver(db, id, 100+i)
		if i == 5 || i == 10 {
			db.writeBack()
		}
		if err := db.Marked(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := stateNow(t, db, id)

	if a := s.killed().lives(0); a.Restored != 0 || a.Head != before.Head {
		t.Errorf("after a kill: %+v, was %+v", a, before)
	}
	over := s.killed()
	b, err := os.ReadFile(s.path("backup"))
	if err == nil {
		err = os.WriteFile(over.path("lockstep.db"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if db, err := Open(t.Context(), over.path("lockstep.db"), over.o); err == nil {
			db.Close()
			t.Fatal("a copy takes up the log of what was there before")
		} else if !strings.Contains(err.Error(), "move it away") {
			t.Fatal(err)
		}
	}
	over.remove("lockstep.db-wal")
	if a := over.lives(0); a.Restored == 0 || a.Emails != 3 {
		t.Errorf("without the log: %+v", a)
	}
	both := s.killed()
	both.copy("mark", "elsewhere")
	both.remove("mark")
	if a := both.lives(0); a.Restored == 0 || a.Emails != before.Emails {
		t.Errorf("with its own log, and no mark: %+v", a)
	}
}

func TestADamagedMarkIsSaid(t *testing.T) {
	s := newSite(t)
	s.lives(1)
	for _, text := range []string{"", "{", `{"instance":"00","generation":3}`, strings.Repeat("x", 1000)} {
		if err := os.WriteFile(s.o.Mark, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), s.path("lockstep.db"), s.o); err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	s.remove("mark")
	if a := s.lives(1); a.Restored == 0 {
		t.Error("without its mark it does not begin anew")
	}
}

// The mark costs a write for a minute with changes, and none for one without.
func TestTheMarkGrowsWithChangesOnly(t *testing.T) {
	s := newSite(t)
	db, id := s.open()
	defer db.Close()
	generation := func() int64 {
		m, found, err := readMark(s.o.Mark)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		return m.Generation
	}
	db.catchUpMark(context.Background())
	n := generation()
	db.catchUpMark(context.Background())
	if generation() != n {
		t.Error("it grows without a change")
	}
	s.deliver(db, id, 1)
	db.catchUpMark(context.Background())
	if generation() != n+1 {
		t.Error("it does not grow with a change")
	}
}

// FuzzMark: whatever lies there is a mark or is refused.
func FuzzMark(f *testing.F) {
	f.Add([]byte(`{"instance":"00112233445566778899aabbccddeeff","generation":3,"restores":1,"file":"inode 7"}`))
	f.Add([]byte(`{}`))
	path := filepath.Join(f.TempDir(), "mark")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, found, err := readMark(path)
		if err != nil {
			return
		}
		if err := m.write(path); err != nil {
			t.Fatal(err)
		}
		if again, _, err := readMark(path); !found || err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

// A first start that is cut anywhere between the mark and the database is no copy that
// came back; nor is the next.
func TestFirstStartThatIsCutIsNoCopy(t *testing.T) {
	for _, heard := range []bool{false, true} { // whether the database heard of its instance
		s := newSite(t)
		s.o.Mark = ""
		s.lives(2) // of a time before there were marks
		s.o.Mark = s.path("mark")
		m := mark{Instance: newInstance(), Generation: 1, First: true}
		if heard {
			s.lives(1)
			was, _, err := readMark(s.o.Mark)
			if err != nil || was.First {
				t.Fatal(was, err)
			}
			m.Instance = was.Instance
		}
		if err := m.write(s.o.Mark); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			db, _ := s.open()
			if why, _ := db.Returned(); why != "" {
				t.Errorf("heard %v: taken for a copy: %s", heard, why)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if is, _, err := readMark(s.o.Mark); err != nil || is.First || is.Instance != m.Instance {
				t.Errorf("heard %v: the mark is %+v, %v", heard, is, err)
			}
		}
	}
}
