package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

func (h home) appendOne(n int) error {
	_, err := h.Update(context.Background(), h.id, by, func(tx store.Tx) error {
		_, err := tx.Append(h.inbox, arrival(n))
		return err
	})
	return err
}

func (h home) placements() (n int64) {
	h.view(func(r store.Reader) error {
		mb, err := r.Mailbox(h.inbox)
		n = mb.Counts.Placements
		return err
	})
	return n
}

// hold keeps the writer inside a closure until release is called, so that others
// gather behind it.
func (h home) hold() (release func()) {
	inside, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		done <- h.Note(context.Background(), h.id, func(store.Notes) error {
			once.Do(func() { close(inside) })
			<-let
			return nil
		})
	}()
	<-inside
	return func() {
		close(let)
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	}
}

// gathered waits until n jobs stand behind the one that holds the writer.
func (h home) gathered(n int) {
	h.t.Helper()
	for deadline := time.Now().Add(steady.Patience); len(h.writer.jobs) < n; {
		if time.Now().After(deadline) {
			h.t.Fatalf("%d of %d jobs came", len(h.writer.jobs), n)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestManyWritersShareOneCommit(t *testing.T) {
	const n = 50
	h := newHome(t, Options{})
	release := h.hold()
	before := h.Stats()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := h.appendOne(i); err != nil {
				t.Error(err)
			}
		})
	}
	h.gathered(n)
	release()
	all.Wait()
	after := h.Stats()
	if commits := after.Commits - before.Commits; commits > 20 {
		t.Errorf("%d commits for %d closures", commits, n)
	}
	if got := h.placements(); got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
}

func TestALoneWriterCommitsAtOnce(t *testing.T) {
	h := newHome(t, Options{})
	before := h.Stats()
	for i := range 5 {
		if err := h.appendOne(i); err != nil {
			t.Fatal(err)
		}
		if commits := h.Stats().Commits - before.Commits; commits != int64(i+1) {
			t.Fatalf("%d commits after %d updates", commits, i+1)
		}
	}
}

func TestABatchIsBounded(t *testing.T) {
	h := newHome(t, Options{})
	release := h.hold()
	var all sync.WaitGroup
	for i := range maxBatch + 10 {
		all.Go(func() {
			if err := h.appendOne(i); err != nil {
				t.Error(err)
			}
		})
	}
	h.gathered(maxBatch)
	before := h.Stats()
	release()
	all.Wait()
	if commits := h.Stats().Commits - before.Commits; commits < 2 {
		t.Errorf("%d closures in %d commits", maxBatch+11, commits)
	}
}

func TestFailureAndPanicLeaveTheBatchAlone(t *testing.T) {
	for _, twice := range []bool{false, true} {
		h := newHome(t, Options{RunTwice: twice})
		release := h.hold()
		refused := errors.New("no")
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				defer func() {
					if v := recover(); (v != nil) != (i%3 == 0) || v != nil && !strings.Contains(fmt.Sprint(v), "boom") {
						t.Errorf("job %d panicked with %v", i, v)
					}
				}()
				_, err := h.Update(context.Background(), h.id, by, func(tx store.Tx) error {
					if _, err := tx.Append(h.inbox, arrival(i)); err != nil {
						return err
					}
					switch i % 3 {
					case 0:
						panic("boom")
					case 1:
						return refused
					}
					return nil
				})
				if i%3 == 1 && err != refused || i%3 == 2 && err != nil {
					t.Errorf("job %d: %v", i, err)
				}
			})
		}
		h.gathered(12)
		release()
		all.Wait()
		if got := h.placements(); got != 4 {
			t.Errorf("twice=%v: %d messages, want 4", twice, got)
		}
	}
}

func TestClosuresRunTwiceInTests(t *testing.T) {
	h := newHome(t, Options{RunTwice: true})
	runs := 0
	n := h.update(func(tx store.Tx) error {
		runs++
		_, err := tx.Append(h.inbox, arrival(1))
		return err
	})
	if runs != 2 || n != 2 || h.placements() != 1 {
		t.Errorf("ran %d times, modseq %d, %d messages", runs, n, h.placements())
	}
}

// The engine may roll the whole transaction back by itself, as SQLite does when
// the disk is full.
func TestABatchThatIsRolledBackRunsAgainOneByOne(t *testing.T) {
	h := newHome(t, Options{})
	release := h.hold()
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			if err := h.appendOne(i); err != nil {
				t.Error(err)
			}
		})
	}
	h.gathered(10)
	lost := 0
	h.writer.lost = func(c conn) {
		if lost++; lost == 6 {
			if err := c.script("ROLLBACK"); err != nil {
				t.Error(err)
			}
		}
	}
	release()
	all.Wait()
	if got := h.placements(); got != 10 {
		t.Errorf("%d messages, want 10", got)
	}
	if h.Stats().Reruns != 1 {
		t.Errorf("%d reruns", h.Stats().Reruns)
	}
}

func TestATransactionLostAloneIsAnError(t *testing.T) {
	h := newHome(t, Options{})
	told := 0
	defer h.Watch(h.id, func(mail.News) { told++ })()
	h.writer.lost = func(c conn) { c.script("ROLLBACK") }
	if err := h.appendOne(1); err == nil {
		t.Error("a lost transaction was acknowledged")
	}
	h.writer.lost = nil
	if err := h.appendOne(2); err != nil {
		t.Error(err)
	}
	if h.placements() != 1 || told != 1 {
		t.Errorf("%d messages, told %d times", h.placements(), told)
	}
}

func TestAFailedCommitIsEverybodysError(t *testing.T) {
	h := newHome(t, Options{})
	told := 0
	defer h.Watch(h.id, func(mail.News) { told++ })()
	h.writer.c = &failingCommit{conn: h.writer.c}
	if err := h.appendOne(1); !errors.Is(err, errNoCommit) {
		t.Errorf("got %v", err)
	}
	h.writer.c = h.writer.c.(*failingCommit).conn
	if h.placements() != 0 || told != 0 {
		t.Errorf("%d messages, told %d times", h.placements(), told)
	}
	if err := h.appendOne(1); err != nil {
		t.Error(err)
	}
}

type failingCommit struct{ conn }

var errNoCommit = errors.New("the disk went away")

func (f *failingCommit) commit() error { return errNoCommit }

func TestAnAbandonedUpdateDoesNotRun(t *testing.T) {
	h := newHome(t, Options{})
	release := h.hold()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := h.Update(ctx, h.id, by, func(store.Tx) error { t.Error("ran"); return nil })
		done <- err
	}()
	h.gathered(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	release()
}

func TestAfterCloseIsUnavailable(t *testing.T) {
	h := newHome(t, Options{})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.appendOne(1); mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
	if err := h.View(t.Context(), h.id, func(store.Reader) error { return nil }); mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
}

func TestWhatWasCommittedIsThereWhenOpenedAgain(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(3)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), h.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	again := home{db, t, h.id, h.inbox}
	if again.placements() != 3 {
		t.Error(again.placements())
	}
}

// A change costs the same statements however many messages there are around it,
// and however many it changes.
func TestStatementsDoNotGrowWithTheMailbox(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine counts statements: nothing for the race detector")
	}
	flagged, _ := mail.NewFlags(`\Flagged`)
	cost := func(h home, fn func(store.Tx) error) int64 {
		before := h.Stats().Statements
		h.update(fn)
		return h.Stats().Statements - before
	}
	costs := func(n int) [4]int64 {
		h := newHome(t, Options{})
		h.fill(n)
		var archive mail.MailboxID
		h.view(func(r store.Reader) error {
			mb, err := r.MailboxByPath("Archive")
			archive = mb.ID
			return err
		})
		return [4]int64{
			cost(h, func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(5), mail.FlagChange{Add: flagged}, nil)
				return err
			}),
			cost(h, func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, mail.AllUIDs, mail.FlagChange{Add: flagged}, nil)
				return err
			}),
			cost(h, func(tx store.Tx) error { _, err := tx.Copy(h.inbox, mail.AllUIDs, archive); return err }),
			cost(h, func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.AllUIDs, false); return err }),
		}
	}
	few, many := costs(100), costs(5_000)
	if few != many {
		t.Errorf("100 messages: %v statements; 5000: %v", few, many)
	}
	t.Logf("flags of one, flags of all, copy all, expunge all: %v statements", many)
}

// stubborn is a connection that can't roll back while it is told so.
type stubborn struct {
	conn
	refuse bool
}

func (s *stubborn) script(sql string) error {
	if s.refuse && sql == "ROLLBACK" {
		return errors.New("the disk is gone")
	}
	return s.conn.script(sql)
}

// A transaction that can't be rolled back is never continued: writing is
// Unavailable until it can, and then goes on without what failed.
func TestFailedRollbackKeepsNothingAndHeals(t *testing.T) {
	h := newHome(t, Options{})
	c := &stubborn{conn: h.writer.c}
	swap := func(to conn, refuse bool) {
		h.writer.turn.Lock()
		defer h.writer.turn.Unlock()
		c.refuse, h.writer.c = refuse, to
	}
	swap(c, true)
	_, err := h.Update(t.Context(), h.id, by, func(tx store.Tx) error {
		if _, err := tx.Append(h.inbox, arrival(1)); err != nil {
			return err
		}
		return errors.New("changed its mind")
	})
	if err == nil {
		t.Error("it went through")
	}
	for range 2 {
		if err := h.appendOne(2); err == nil || mail.KindOf(err) != mail.Unavailable {
			t.Errorf("while the transaction stands: %v, want Unavailable", err)
		}
	}
	swap(c, false)
	if err := h.appendOne(3); err != nil {
		t.Errorf("after that: %v", err)
	}
	swap(c.conn, false)
	if n := h.placements(); n != 1 {
		t.Errorf("%d messages, want the last one only", n)
	}
}

// underWay is the n-th arrival, of bytes that are not durable yet.
func underWay(n int) mail.Arrival {
	a := arrival(n)
	a.Blob.Pending = mail.NewPending()
	return a
}

// deliver appends in the background.
func (h home) deliver(a mail.Arrival) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := h.Update(context.Background(), h.id, by, func(tx store.Tx) error {
			_, err := tx.Append(h.inbox, a)
			return err
		})
		done <- err
	}()
	return done
}

// ran waits until n closures have run in all.
func (h home) ran(n int64) {
	h.t.Helper()
	for deadline := time.Now().Add(steady.Patience); h.Stats().Closures < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%d of %d closures ran", h.Stats().Closures, n)
		}
	}
}

func TestCommitWaitsForTheBytesAndNotTheClosures(t *testing.T) {
	h := newHome(t, Options{})
	before, commits := h.Stats().Closures, h.Stats().Commits
	late := underWay(1)
	done := h.deliver(late)
	h.ran(before + 1)
	if n := h.Stats().Commits; n != commits {
		t.Errorf("%d commits before the bytes are durable", n-commits)
	}
	late.Blob.Pending.Done(nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLostBytesFailTheirOwnJobAlone(t *testing.T) {
	for _, twice := range []bool{false, true} {
		h := newHome(t, Options{RunTwice: twice})
		before := h.Stats().Closures
		good, lost := underWay(1), underWay(2)
		first := h.deliver(good)
		h.ran(before + 1)
		second := h.deliver(lost)
		good.Blob.Pending.Done(nil)
		refused := errors.New("the disk refused")
		lost.Blob.Pending.Done(refused)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := <-second; err != refused {
			t.Errorf("got %v", err)
		}
		if n := h.placements(); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		if err := h.appendOne(3); err != nil {
			t.Error(err)
		}
	}
}
