package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// storm is writers that change accounts, each its own, and write down how each commit
// left it.
type storm struct {
	*DB
	t    testing.TB
	stop chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	states map[mail.AccountID]map[mail.ModSeq]string
}

// The log is written back, and begins anew, all the time.
const stormCheckpoint = 40

func newStorm(t testing.TB, writers int) *storm {
	s := &storm{DB: open(t, Options{LogPages: stormCheckpoint}), t: t, stop: make(chan struct{}), states: map[mail.AccountID]map[mail.ModSeq]string{}}
	for i := range writers {
		p, err := s.CreateAccount(t.Context(), by.WithCause(mail.BySetup), store.NewAccount{Login: fmt.Sprintf("p%d@example.test", i)})
		if err != nil {
			t.Fatal(err)
		}
		s.record(p.Account)
		s.all.Go(func() { s.write(p.Account, rand.New(rand.NewPCG(7, uint64(i)))) })
	}
	return s
}

// record writes down how an account is, that nobody else changes.
func (s *storm) record(id mail.AccountID) {
	var head mail.ModSeq
	var state string
	err := s.View(context.Background(), id, func(r store.Reader) (err error) {
		head, state, err = stateOf(r)
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states[id] == nil {
		s.states[id] = map[mail.ModSeq]string{}
	}
	s.states[id][head] = state
}

// stateOf is all mail of an account, as text.
func stateOf(r store.Reader) (mail.ModSeq, string, error) {
	var b strings.Builder
	a, err := r.Account()
	if err != nil {
		return 0, "", err
	}
	mailboxes, err := r.Mailboxes()
	for _, mb := range mailboxes {
		fmt.Fprintf(&b, "%s %d %+v\n", mb.Path, mb.UIDNext, mb.Counts)
		err = errors.Join(err, r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement, m *mail.Message) error {
			fmt.Fprintf(&b, "%d %v %d %s %s\n", p.UID, p.Flags, p.ModSeq, m.Blob.Name, m.MessageID)
			return nil
		}))
	}
	return a.Head, b.String(), err
}

// write changes an account until the storm is over.
func (s *storm) write(id mail.AccountID, random *rand.Rand) {
	var inbox mail.MailboxID
	n := 0
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		_, err := s.Update(context.Background(), id, by, func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("inbox")
			if err != nil {
				return err
			}
			inbox = mb.ID
			switch k := random.IntN(10); {
			case k < 6 || mb.Counts.Placements == 0:
				for range 1 + random.IntN(20) {
					n++
					if _, err := tx.Append(inbox, arrival(int(id)*1_000_000+n)); err != nil {
						return err
					}
				}
				return nil
			case k < 9 && mb.Counts.Placements < 300:
				flags, _ := mail.NewFlags(`\Seen`, fmt.Sprintf("k%d", random.IntN(5)))
				_, err = tx.StoreFlags(inbox, mail.AllUIDs, mail.FlagChange{Add: flags}, nil)
				return err
			default:
				_, err = tx.Expunge(inbox, mail.AllUIDs, false)
				return err
			}
		})
		if err != nil {
			s.t.Error(err)
			return
		}
		s.record(id)
	}
}

func (s *storm) end() {
	close(s.stop)
	s.all.Wait()
}

// sighting is an account as it was found in a copy.
type sighting struct {
	id    mail.AccountID
	head  mail.ModSeq
	state string
}

// look reads the accounts of a copy.
func (c *copied) look(m store.Moment) (all []sighting, err error) {
	conn, err := openCopied(c.t.Context(), c.path)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	for _, d := range m.Digests {
		r, err := newReader(conn, d.Account, m.Time, false)
		if err != nil {
			return nil, err
		}
		f := sighting{id: d.Account}
		if f.head, f.state, err = stateOf(r); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// judge says what is wrong with what was found in copies.
func (s *storm) judge(all []sighting) error {
	for _, f := range all {
		want, known := s.states[f.id][f.head]
		if !known {
			return fmt.Errorf("account %d has ModSeq %d, which it never had", f.id, f.head)
		}
		if f.state != want {
			return fmt.Errorf("account %d at %d:\n%swas\n%s", f.id, f.head, f.state, want)
		}
	}
	return nil
}

// follow copies as long as there is more to do, and returns the first copy that is not the
// database at its Moment.
func (s *storm) follow(copier *Copier, more func(copies int) bool) (copies int, err error) {
	to := newCopied(s.t)
	var seen []sighting
	for more(copies) {
		m, err := to.take(copier)
		if err != nil {
			return copies, err
		}
		if wrong := to.differs(m); wrong != "" {
			return copies, errors.New(wrong)
		}
		all, err := to.look(m)
		if err != nil {
			return copies, err
		}
		seen = append(seen, all...)
		copies++
	}
	<-s.stop
	s.all.Wait()
	return copies, s.judge(seen)
}

func TestCopiesUnderAStormAreTheDatabaseAtTheirMoments(t *testing.T) {
	s := newStorm(t, 3)
	bound := time.Now().Add(time.Minute)
	var followers, copying sync.WaitGroup
	for range 2 {
		copier := s.copier(t)
		copying.Add(1)
		followers.Go(func() {
			done := sync.OnceFunc(copying.Done)
			defer done()
			n, err := s.follow(copier, func(copies int) bool {
				if copies >= 8 && s.Stats().Checkpoints >= 10 || time.Now().After(bound) {
					done()
					return false
				}
				return true
			})
			if err != nil || n < 8 {
				t.Errorf("%d copies, then %v", n, err)
			}
		})
	}
	copying.Wait()
	s.end()
	followers.Wait()
	t.Logf("%+v of %+v", s.CopyStats(), s.Stats())
}

// What would make a copy wrong is found by the test above.
func TestFaultsOfACopierAreFound(t *testing.T) {
	for _, fault := range []struct {
		name  string
		plant func(*DB)
	}{
		{"the pages of a log that began anew are forgotten", func(db *DB) {
			db.writer.note = func() {
				if h, err := db.indexHeader(); err == nil && h.salt != db.copies.noted.salt {
					db.copies.noted = h
				}
				db.note()
			}
		}},
		{"a commit is not noted", func(db *DB) {
			n := 0
			db.writer.note = func() {
				if n++; n%20 == 0 {
					db.copies.noted, _ = db.indexHeader()
				}
				db.note()
			}
		}},
		{"the log is not read", func(db *DB) {
			db.copies.spoil = func(s *snapshot) { s.frames = 0 }
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s := newStorm(t, 3)
			copier := s.copier(t)
			until := time.Now().Add(steady.Patience)
			s.writer.turn.Lock()
			fault.plant(s.DB)
			s.writer.turn.Unlock()
			found := make(chan error, 1)
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				_, err := s.follow(copier, func(int) bool { return time.Now().Before(until) })
				found <- err
			}()
			var err error
			select {
			case err = <-found:
				s.end()
			case <-time.After(time.Until(until)):
				s.end()
				err = <-found
			}
			<-stopped
			if err == nil {
				t.Error("was not found")
			}
			t.Logf("%.200v", err)
		})
	}
}

// Nor is a copy whole that takes only what the file has at the beginning.
func TestWhatTheLogHoldsAtTheBeginningCounts(t *testing.T) {
	h := newHome(t, Options{})
	h.writeBack()
	h.fill(500) // which is in the log alone
	for _, forgets := range []bool{true, false} {
		c, to := h.copier(t), newCopied(t)
		if forgets {
			c.all = false
			info, err := h.copies.database.Stat()
			if err != nil {
				t.Fatal(err)
			}
			c.dirty.addAll(uint32(info.Size() / 4096))
			header, err := h.indexHeader()
			if err == nil {
				err = h.eachFrame(0, header.frames, func(_, page uint32) { c.dirty.remove(page) })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		m := to.settle(c)
		if wrong := to.differs(m); (wrong != "") != forgets {
			t.Errorf("forgets %t: %q", forgets, wrong)
		}
	}
}

// A writer that changes pages faster than they are taken does not keep a copy from
// coming to an end: the rest goes to a file.
func TestACopyEndsBesideAWriterThatIsFaster(t *testing.T) {
	h := newHome(t, Options{LogPages: 500})
	h.fill(2000)
	c, to := h.copier(t), newCopied(t)
	c.slice = 32
	made := 0
	c.room = func() (*os.File, error) {
		made++
		return h.roomForPages()
	}
	given, rewrite := 0, 0
	m, err := c.Settle(t.Context(), true, func(n uint32, page []byte) error {
		if given++; given%c.slice == 0 && made == 0 {
			rewrite++
			flags := mail.StoredFlags(0, fmt.Sprint("k", rewrite))
			h.update(func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, mail.AllUIDs, mail.FlagChange{Add: flags}, nil)
				return err
			})
		}
		return to.write(n, page, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	to.cut(m)
	if wrong := to.differs(m); wrong != "" || made != 1 {
		t.Errorf("%s; %d files", wrong, made)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(h.path), "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// Who could not keep what was given gets it again, wherever it broke off.
func TestWhatWasNotKeptIsGivenAgain(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(9000)
	c, to := h.copier(t), newCopied(t)
	c.slice = 100
	for stop := 1; ; stop += 700 {
		n := 0
		m, err := c.Settle(t.Context(), true, func(page uint32, b []byte) error {
			if n++; n == stop {
				return io.ErrShortWrite
			}
			return to.write(page, b, c)
		})
		if err == nil {
			to.cut(m)
			if wrong := to.differs(m); wrong != "" {
				t.Error(wrong)
			}
			if n < int(m.Pages)-1 {
				t.Errorf("%d pages of %d", n, m.Pages)
			}
			break
		}
		if !errors.Is(err, io.ErrShortWrite) {
			t.Fatal(err)
		}
	}
	_, err := c.Settle(t.Context(), false, func(uint32, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	c.Kept()
	m, err := c.Settle(t.Context(), false, func(n uint32, _ []byte) error {
		return fmt.Errorf("page %d is given again", n)
	})
	if err != nil || m.Pages == 0 {
		t.Error(err)
	}
}

func TestNoCopierNoCost(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(10)
	if h.copies.database != nil {
		t.Error("the database's file is open a second time")
	}
	c := h.copier(t)
	c.Close()
	h.fill(10)
	if noted := h.copies.noted; noted.frames == uint32(h.logPages()) {
		t.Error("commits are noted for nobody")
	}
}

func TestACopierOfADatabaseThatIsClosed(t *testing.T) {
	h := newHome(t, Options{})
	c := h.copier(t)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Settle(context.Background(), true, nil); mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
	if _, err := h.NewCopier(); mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
}

// The index names the pages of 4096 frames in each of its blocks, but for the first.
func TestFramesAreFoundInAllBlocksOfTheIndex(t *testing.T) {
	h := newHome(t, Options{})
	for i := 0; h.logPages() < 2*framesInBlock+1000; i++ {
		h.update(func(tx store.Tx) error {
			for j := range 500 {
				if _, err := tx.Append(h.inbox, arrival(1000*i+j)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	log, err := os.ReadFile(h.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	frames := uint32(0)
	err = h.eachFrame(0, uint32(h.logPages()), func(frame, page uint32) {
		frames++
		at := logHeaderBytes + int(frame-1)*(frameHeaderBytes+4096)
		if want := uint32(log[at])<<24 | uint32(log[at+1])<<16 | uint32(log[at+2])<<8 | uint32(log[at+3]); frame != frames || page != want {
			t.Fatalf("frame %d holds page %d, want frame %d, %d", frame, page, frames, want)
		}
	})
	if err != nil || frames != uint32(h.logPages()) {
		t.Errorf("%d frames of %d, %v", frames, h.logPages(), err)
	}
}

// bytesOf reads all pages of a snapshot.
func bytesOf(s *snapshot) (string, error) {
	all := make([]uint32, s.pages)
	for i := range all {
		all[i] = uint32(i) + 1
	}
	c := &Copier{db: s.db}
	err := c.read(s, all)
	return string(c.buf), err
}

// A snapshot stays what it is while others commit, and write the log back: whether it
// needs the log, or all of it is in the database's file.
func TestASnapshotIsHeld(t *testing.T) {
	for _, trial := range []struct {
		name  string
		whole bool // the log is written back
		spoil func(*snapshot)
	}{
		{"with the log", false, nil},
		{"without the log", true, nil},
		{"that is none", false, func(s *snapshot) {
			s.conn.exec("COMMIT")
		}},
		{"of a log that may begin anew", true, func(s *snapshot) {
			h, _ := s.db.indexHeader()
			s.frames = h.frames
		}},
		{"without the log that it needs", false, func(s *snapshot) { s.frames = 0 }},
	} {
		t.Run(trial.name, func(t *testing.T) {
			h := newHome(t, Options{})
			c := h.copier(t)
			c.Close() // the files are open
			h.fill(300)
			if trial.whole {
				h.writeBack()
			}
			h.copies.spoil = trial.spoil
			err := h.pinned(t.Context(), func(*snapshot) {}, func(s *snapshot) error {
				if trial.spoil == nil && s.frames == 0 != trial.whole {
					t.Errorf("reads %d frames", s.frames)
				}
				before, err := bytesOf(s)
				for range 4 {
					h.fill(100)
					h.writeBack()
					after, again := bytesOf(s)
					if err = errors.Join(err, again); err == nil && before != after {
						return errors.New("pages have changed")
					}
				}
				return err
			})
			if (err != nil) != (trial.spoil != nil) {
				t.Error(err)
			}
		})
	}
}

func TestPageSets(t *testing.T) {
	var s, other pageSet
	for _, last := range []uint32{1, 63, 64, 65, 128, 1000} {
		s = pageSet{}
		s.addAll(last)
		if got := s.from(0, 0); len(got) != int(last) || s.n != int(last) || got[0] != 1 || got[last-1] != last {
			t.Errorf("all to %d: %d of them, %d counted", last, len(got), s.n)
		}
	}
	other.add(70)
	other.add(5000)
	other.remove(6000)
	other.addSet(&s)
	s.addSet(&other)
	s.remove(3)
	s.remove(3)
	if s.n != 1000 || !s.has(5000) || s.has(3) || s.has(1<<31) || s.from(1000, 5)[1] != 5000 || len(s.from(1, 7)) != 7 {
		t.Errorf("%d pages, from 1000 on %v", s.n, s.from(1000, 5))
	}
}
