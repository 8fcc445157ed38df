package sqlstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// heldSyncs are the syncs of a database's log, each of which ends when it is told whether
// it succeeds.
type heldSyncs struct {
	began chan chan<- bool
	free  atomic.Bool // from now on they end by themselves
}

func holdSyncs(h home) *heldSyncs {
	s := &heldSyncs{began: make(chan chan<- bool)}
	h.syncs.sync = func(log *os.File) error {
		if s.free.Load() {
			return syncDataOf(log)
		}
		end := make(chan bool)
		s.began <- end
		if !<-end {
			return errors.New("the disk refused")
		}
		return syncDataOf(log)
	}
	return s
}

// inBackground runs fn and tells what came of it.
func inBackground(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

// look counts the messages.
func (h home) look() (n int64, err error) {
	err = h.View(h.t.Context(), h.id, func(r store.Reader) error {
		mb, err := r.Mailbox(h.inbox)
		n = mb.Counts.Placements
		return err
	})
	return n, err
}

func none(t *testing.T, what string, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Errorf("%s: %v, before it was durable", what, err)
	case <-time.After(20 * time.Millisecond): // long enough to see it nearly always, and never wrong
	}
}

func TestNothingIsAnsweredOrShownBeforeItIsDurable(t *testing.T) {
	if !hasSyncData {
		t.Skip("commits are synced by SQLite here")
	}
	h := newHome(t, Options{})
	s := holdSyncs(h)
	told := make(chan error, 10)
	defer h.Watch(h.id, func(mail.News) { told <- nil })()
	var seen atomic.Int64
	first := inBackground(func() error { return h.appendOne(1) })
	one := <-s.began
	view := inBackground(func() error { n, err := h.look(); seen.Store(n); return err })
	none(t, "a View", view)
	second := inBackground(func() error { return h.appendOne(2) })
	two := <-s.began // the writer waits for no sync
	none(t, "an answer", first)
	none(t, "news", told)
	one <- true
	for _, done := range []<-chan error{first, told} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	none(t, "the second answer", second)
	two <- true
	for _, done := range []<-chan error{second, view} { // which may have begun late, and wait for both
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := seen.Load(); n < 1 {
		t.Errorf("the View shows %d", n)
	}
}

// A sync that began later is for what was committed before it, too.
func TestASyncIsForAllThatWasCommitted(t *testing.T) {
	if !hasSyncData {
		t.Skip("commits are synced by SQLite here")
	}
	h := newHome(t, Options{})
	s := holdSyncs(h)
	first := inBackground(func() error { return h.appendOne(1) })
	one := <-s.began
	second := inBackground(func() error { return h.appendOne(2) })
	two := <-s.began
	two <- true
	for _, done := range []<-chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s.free.Store(true)
	one <- true
	if n, err := h.look(); n != 2 || err != nil {
		t.Error(n, err)
	}
}

// logAnew makes the next commit begin the log anew.
func (h home) logAnew() {
	h.writeBack()
}

// What a sync that failed was for is taken back, with all that was built on it, and
// what comes next is as if it had never been, for each connection and every copy.
func TestWhatCouldNotBeSyncedIsTakenBack(t *testing.T) {
	if !hasSyncData {
		t.Skip("commits are synced by SQLite here")
	}
	for name, before := range map[string]func(home){
		"in the midst of the log": func(home) {},
		"as it begins anew":       func(h home) { h.logAnew() },
	} {
		for _, fails := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, sync %d of 2", name, fails+1), func(t *testing.T) { testTakenBack(t, before, fails) })
		}
	}
}

func testTakenBack(t *testing.T, before func(home), fails int) {
	h := newHome(t, Options{})
	c := followed(t, h)
	for i := range 5 {
		if err := h.appendOne(i); err != nil {
			t.Fatal(err)
		}
	}
	was := stateNow(t, h.DB, h.id)
	before(h)
	s := holdSyncs(h)
	told := 0
	defer h.Watch(h.id, func(mail.News) { told++ })()
	first := inBackground(func() error { return h.appendOne(11) })
	one := <-s.began
	view := inBackground(func() error { _, err := h.look(); return err })
	copying := inBackground(func() error { return c.settle() })
	second := inBackground(func() error { return h.appendOne(12) })
	two := <-s.began
	none(t, "a View", view)
	s.free.Store(true)
	syncs := []chan<- bool{one, two}
	syncs[fails] <- false
	for !h.syncs.failed.Load() {
		time.Sleep(time.Millisecond)
	}
	syncs[1-fails] <- true // and is not believed
	for what, done := range map[string]<-chan error{"an answer": first, "the second answer": second, "a View": view} {
		if err := <-done; mail.KindOf(err) != mail.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	<-copying // it may have begun after all was over
	h.mend()  // somebody does, but perhaps later
	if a := stateNow(t, h.DB, h.id); a.Head != was.Head || a.Emails != was.Emails || told > 0 {
		t.Errorf("%+v after %+v, told %d times", a, was, told)
	}
	again := stateNow(t, h.DB, h.id)
	for i := range 30 {
		if err := h.appendOne(20 + i); err != nil {
			t.Fatal(err)
		}
	}
	if a := stateNow(t, h.DB, h.id); a.Head != again.Head+30 || a.Emails != again.Emails+30 {
		t.Errorf("%+v after %+v", a, again)
	}
	if findings, err := h.Check(t.Context(), h.id, false); err != nil || len(findings) > 0 {
		t.Error(findings, err)
	}
	if err := c.settle(); err != nil {
		t.Error(err)
	}
	c.isWhole(stateNow(t, h.DB, h.id))
	h.writeBack()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), h.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if a := stateNow(t, db, h.id); a.Emails != again.Emails+30 {
		t.Errorf("%+v after %+v, opened again", a, again)
	}
}

// A log is not written back before it is synced, and what is lost is not written back.
func TestOnlyWhatIsDurableIsWrittenBack(t *testing.T) {
	if !hasSyncData {
		t.Skip("commits are synced by SQLite here")
	}
	for _, succeeds := range []bool{true, false} {
		h := newHome(t, Options{})
		h.writeBack()
		s := holdSyncs(h)
		first := inBackground(func() error { return h.appendOne(1) })
		end := <-s.began
		back := inBackground(func() error { h.keeping.Lock(); defer h.keeping.Unlock(); _, err := h.copyLog("PASSIVE"); return err })
		none(t, "a checkpoint", back)
		if head, err := h.indexHeader(); err != nil || head.written != 0 {
			t.Errorf("%+v, %v: written back before it was synced", head, err)
		}
		s.free.Store(true)
		end <- succeeds
		if err := <-first; (err == nil) != succeeds {
			t.Error(err)
		}
		if err := <-back; (err == nil) != succeeds {
			t.Errorf("succeeds=%v: %v", succeeds, err)
		}
		if err := h.appendOne(2); err != nil {
			t.Error(err)
		}
	}
}

// A database whose last sync failed, and can't be mended, leaves its log as it is.
func TestWhatCannotBeTakenBackIsNotWrittenBack(t *testing.T) {
	if !hasSyncData {
		t.Skip("commits are synced by SQLite here")
	}
	h := newHome(t, Options{})
	if err := h.appendOne(1); err != nil {
		t.Fatal(err)
	}
	readOnly, err := os.Open(h.path + "-shm")
	if err != nil {
		t.Fatal(err)
	}
	index := h.walIndex
	h.walIndex = readOnly
	s := holdSyncs(h)
	first := inBackground(func() error { return h.appendOne(2) })
	end := <-s.began
	s.free.Store(true)
	end <- false
	if err := <-first; mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
	if _, err := h.look(); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("shown: %v", err)
	}
	if err := h.appendOne(3); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("built upon: %v", err)
	}
	h.writer.turn.Lock()
	h.walIndex = index
	h.writer.turn.Unlock()
	if err := h.appendOne(3); err != nil {
		t.Error(err)
	}
	if n, err := h.look(); n != 2 || err != nil {
		t.Error(n, err)
	}
}

// follower is a copy of a database that is kept up.
type follower struct {
	t    *testing.T
	c    *Copier
	path string
}

func followed(t *testing.T, h home) *follower {
	c, err := h.NewCopier()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f := &follower{t, c, filepath.Join(t.TempDir(), "copy.db")}
	if err := f.settle(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *follower) settle() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	m, err := f.c.Settle(f.t.Context(), false, func(n uint32, page []byte) error {
		_, err := file.WriteAt(page, int64(n-1)*int64(len(page)))
		return err
	})
	if err != nil {
		return err
	}
	f.c.Kept()
	return file.Truncate(int64(m.Pages) * int64(m.PageSize))
}

// isWhole holds the copy against the account as it is.
func (f *follower) isWhole(want mail.Account) {
	f.t.Helper()
	db, err := Open(f.t.Context(), f.path, Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	findings, err := db.Check(f.t.Context(), 1, false)
	got := stateNow(f.t, db, 1)
	if err := errors.Join(err, db.Close()); err != nil || len(findings) > 0 || got.Head != want.Head || got.Emails != want.Emails {
		f.t.Errorf("the copy has %+v, not %+v: %v %v", got, want, findings, err)
	}
}
