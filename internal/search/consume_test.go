package search

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// run starts the consumer and returns what ends it and waits.
func (h *house) run() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.x.Run(ctx) }()
	return func() {
		h.t.Helper()
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run: %v", err)
		}
	}
}

// eventually waits for what another goroutine brings about.
func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(steady.Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("not in %v: %s", steady.Patience, what)
		}
	}
}

func (h *house) status() Status {
	s, err := h.x.Status(context.Background(), h.account)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) has(needle string) int {
	n := 0
	for _, match := range h.ask(Text, needle, h.all()) {
		if match {
			n++
		}
	}
	return n
}

func TestTheIndexFollowsTheMail(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: before\r\n\r\nold\r\n")
	stop := h.run()
	h.eventually("what was there is indexed", func() bool { return h.status().Messages == 1 })
	p := h.put("Subject: after\r\n\r\nnew\r\n")[0]
	h.eventually("what arrives is indexed", func() bool { return h.status().Messages == 2 })
	h.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Add: flags(t, `\Deleted`)}, nil)
		return err
	})
	h.eventually("what is hidden leaves", func() bool { return h.status().Messages == 1 })
	h.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Remove: flags(t, `\Deleted`)}, nil)
		return err
	})
	h.eventually("what is shown again comes back", func() bool { return h.status().Messages == 2 && h.has("new") == 1 })
	h.update(func(tx store.Tx) error {
		_, err := tx.Expunge(h.inbox, mail.MakeUIDSet(p.UID), false)
		return err
	})
	h.eventually("what is expunged leaves", func() bool { return h.status().Messages == 1 })
	other := h.addAccount("bob@example.test")
	if err := h.db.RemoveAccount(context.Background(), h.account); err != nil {
		t.Fatal(err)
	}
	if err := h.x.Forget(t.Context(), h.account); err != nil {
		t.Fatal(err)
	}
	stop()
	if onPostgres() {
		h.empty()
	} else if files, _ := filepath.Glob(filepath.Join(h.dir, "search", fmt.Sprintf("%d.db*", h.account))); len(files) > 0 {
		t.Errorf("of a removed account %q are left", files)
	}
	_ = other
}

func flags(t *testing.T, names ...string) mail.Flags {
	f, err := mail.NewFlags(names...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFlagsCostTheIndexNothing(t *testing.T) {
	ofFiles(t)
	h := newHouse(t)
	p := h.put("Subject: a\r\n\r\nb\r\n")[0]
	h.settle()
	before, err := os.Stat(h.path(h.account))
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Add: flags(t, `\Seen`)}, nil)
		return err
	})
	only, err := h.x.onlyUpdates(t.Context(), h.account)
	after, _ := os.Stat(h.path(h.account))
	if !only || err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("only %v, %v", only, err)
	}
	h.put("Subject: c\r\n\r\nd\r\n")
	if only, err := h.x.onlyUpdates(t.Context(), h.account); only || err != nil {
		t.Errorf("an arrival is passed over: %v", err)
	}
}

func TestAnIndexThatIsRemovedUnderTheServerIsMadeAgain(t *testing.T) {
	ofFiles(t)
	h := newHouse(t)
	h.put("Subject: a\r\n\r\nneedle\r\n")
	stop := h.run()
	defer stop()
	h.eventually("it is indexed", func() bool { return len(h.ask(Text, "needle", h.all())) == 1 })
	if err := discard(h.path(h.account)); err != nil {
		t.Fatal(err)
	}
	h.eventually("it is indexed again", func() bool { return len(h.ask(Text, "needle", h.all())) == 1 })
	if _, err := os.Stat(h.path(h.account)); err != nil {
		t.Error(err)
	}
}

func TestAFloodOfChangesIsLetPass(t *testing.T) {
	h := newHouse(t)
	h.x.mark.at = time.Now().Add(-time.Second)
	if h.x.flooded() {
		t.Error("quiet is a flood")
	}
	h.x.mark.at = time.Now().Add(-time.Second)
	for range 2 * flood {
		h.x.heard(h.account, 1)
	}
	if !h.x.flooded() {
		t.Error("hundreds of changes in a second are none")
	}
	if l := h.x.Lag(); l.Accounts != 1 || l.Changes != 2*flood {
		t.Errorf("%+v", l)
	}
}

func TestARemovedAccountsIndexGoesAtTheStart(t *testing.T) {
	ofFiles(t)
	h := newHouse(t)
	h.put("Subject: a\r\n\r\nb\r\n")
	h.settle()
	left := h.path(h.account)
	if err := h.db.RemoveAccount(t.Context(), h.account); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	stop := h.run()
	h.eventually("the file goes", func() bool { _, err := os.Stat(left); return os.IsNotExist(err) })
	stop()
}

// A kill is a file as it lies at some moment. What is copied between two commits
// must go on from there, and end as the index that was not killed.
func TestAKillLosesNothing(t *testing.T) {
	h := newHouse(t)
	for i := range 30 {
		h.put(fmt.Sprintf("Subject: %d\r\n\r\nword%d\r\n", i, i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for at := range 6 {
		n := 0
		ctx, cancel := context.WithCancel(ctx)
		_, err := h.x.catchUp(ctx, h.account, time.Hour, func() {
			if n++; n > at%3 {
				cancel()
			}
		})
		cancel()
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		h.reopen()
		h.put(fmt.Sprintf("Subject: late %d\r\n\r\nlate%d\r\n", at, at))
		if at == 3 {
			h.forget(h.all()[:3])
		}
	}
	h.settle()
	keys := h.all()
	for i := range 36 {
		needle := fmt.Sprintf("word%d\r\n", i)
		if i >= 30 {
			needle = fmt.Sprintf("late%d", i-30)
		}
		got := h.ask(Body, needle, keys)
		if len(got) != len(keys) {
			t.Fatalf("%d of %d decided", len(got), len(keys))
		}
		for _, k := range keys {
			if got[k] != h.truth(Body, needle, k) {
				t.Errorf("%q in %d: %v", needle, k, got[k])
			}
		}
	}
}

func TestALostOrDamagedIndexIsMadeAgain(t *testing.T) {
	ofFiles(t)
	for name, harm := range map[string]func(path string) error{
		"lost":      os.Remove,
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"cut":       func(path string) error { return os.Truncate(path, 8192) },
		"no SQLite": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("nonsense ", 5000)), 0o600) },
		"overwritten": func(path string) error {
			data, err := os.ReadFile(path)
			if err == nil {
				for i := 4096; i < len(data); i++ {
					data[i] ^= 0x5a
				}
				err = os.WriteFile(path, data, 0o600)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			for i := range 20 {
				h.put(fmt.Sprintf("Subject: %d\r\n\r\nneedle %d\r\n", i, i))
			}
			h.settle()
			h.x.Close()
			if err := harm(h.path(h.account)); err != nil {
				t.Fatal(err)
			}
			h.reopen()
			for _, match := range h.ask(Text, "needle", h.all()) {
				if !match {
					t.Error("a damaged index said no")
				}
			}
			stop := h.run()
			defer stop()
			h.eventually("the index is whole again", func() bool { return len(h.ask(Text, "needle", h.all())) == 20 })
			if n := h.has("needle 7"); n != 1 {
				t.Errorf("%d found", n)
			}
		})
	}
}

func TestAnIndexOfAnotherFormatOrKeyIsMadeAgain(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: a\r\n\r\nneedle\r\n")
	h.settle()
	h.x.Close()
	h.x.Secret = []byte("another")
	h.ask(Text, "zz", h.all()) // finds the text sealed
	stop := h.run()
	h.eventually("the text can be read", func() bool { return len(h.ask(Text, "zz", h.all())) == 1 })
	stop()
	h.x.Close()
	h.exec(fmt.Sprintf("PRAGMA user_version = %d", format+1), fmt.Sprintf("UPDATE search_state SET format = %d", format-1))
	h.reopen()
	if got := h.ask(Text, "needle", h.all()); len(got) != 0 {
		t.Errorf("an index of another format was asked")
	}
	h.settle()
	if n := h.has("needle"); n != 1 {
		t.Errorf("%d found", n)
	}
}

func TestPastTheHorizonTheIndexStartsOver(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: a\r\n\r\none\r\n")
	h.settle()
	h.forget(nil)
	h.put("Subject: b\r\n\r\ntwo\r\n")
	h.update(func(tx store.Tx) error {
		_, err := tx.Expunge(h.inbox, mail.MakeUIDSet(1), false)
		return err
	})
	h.put("Subject: c\r\n\r\nthree\r\n")
	if err := h.db.Prune(t.Context(), h.account, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	h.settle()
	if s := h.status(); s.Messages != 2 || h.has("two") != 1 || h.has("three") != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAPoisonMessageHoldsUpNoOther(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: a\r\n\r\nneedle\r\n", "Subject: poison\r\n\r\nneedle\r\n", "Subject: c\r\n\r\nneedle\r\n")
	var bad mail.Blob
	keys := h.all()
	h.view(func(r store.Reader) error {
		m, err := r.Message(keys[1])
		bad = m.Blob
		return err
	})
	h.mu.Lock()
	delete(h.blobs, bad.Name)
	h.mu.Unlock()
	h.settle()
	got := h.ask(Text, "needle", keys)
	if _, sure := got[keys[1]]; sure || !got[keys[0]] || !got[keys[2]] {
		t.Errorf("%v", got)
	}
	if s := h.status(); s.Messages != 3 || s.Unread != 1 {
		t.Errorf("%+v", s)
	}
	h.forget(keys[1:2])
	if s := h.status(); s.Messages != 2 || s.Unread != 0 {
		t.Errorf("after it has gone: %+v", s)
	}
}

func TestSegmentsAreFewAndForgetWhatIsGone(t *testing.T) {
	h := newHouse(t)
	for i := range 100 {
		h.put(fmt.Sprintf("Subject: %d\r\n\r\nsegment needle%d\r\n", i, i))
		h.settle()
	}
	h.forget(h.all()[:50])
	for i := range 40 {
		h.put(fmt.Sprintf("Subject: more %d\r\n\r\nsegment more%d\r\n", i, i))
		h.settle()
	}
	var all []segmentRow
	err := h.x.read(t.Context(), h.account, func(r *reader) (err error) {
		all, err = r.segments()
		return err
	})
	if err != nil || len(all) > 3*mergeAt {
		t.Errorf("%d segments, %v", len(all), err)
	}
	if n := h.has("segment"); n != 90 {
		t.Errorf("%d found, want 90", n)
	}
	if n := h.has("needle77\r\n"); n != 1 {
		t.Errorf("%d found, want 1", n)
	}
}

func TestMergeableSegmentsNeverGrowTooLarge(t *testing.T) {
	var all []segmentRow
	for i := range 40 {
		all = append(all, segmentRow{int64(i), 5000, 1})
	}
	some := mergeable(all)
	sum := int64(0)
	for _, s := range some {
		sum += s.docs
	}
	if len(some) < 2 || sum > maxSegment {
		t.Errorf("%d segments with %d messages", len(some), sum)
	}
	if some := mergeable([]segmentRow{{1, maxSegment, 1}, {2, maxSegment, 1}, {3, 400, 1}}); some != nil {
		t.Errorf("merges %v", some)
	}
}

func TestRebuildTellsHowFarItIs(t *testing.T) {
	h := newHouse(t)
	h.fill(30)
	h.settle()
	var told []int64
	err := h.x.Rebuild(t.Context(), h.account, func(n int64) error { told = append(told, n); return nil })
	if err != nil || len(told) == 0 || h.status().Messages != 30 || h.status().Filling {
		t.Errorf("%v, told %v, %+v", err, told, h.status())
	}
	if problems, err := h.x.Check(t.Context(), h.account, false); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
}

// exec runs a statement on what lies below the index, as its storage has it.
func (h *house) exec(file, table string) {
	h.t.Helper()
	if h.url != "" {
		c, err := h.db.Dial(context.Background())
		if err != nil {
			h.t.Fatal(err)
		}
		defer c.Close(context.Background())
		if err := c.Exec(context.Background(), table).Close(); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	c, err := create(h.path(h.account))
	if err == nil {
		err = errors.Join(run(c, file), c.Close())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// empty expects that no row is left in the shared tables.
func (h *house) empty() {
	h.t.Helper()
	c, err := h.db.Dial(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, table := range []string{"search_state", "search_doc", "search_text", "search_trouble", "search_segment", "search_block"} {
		r := c.ExecParams(context.Background(), "SELECT 1 FROM "+table+" LIMIT 1", nil, nil, nil, nil).Read()
		if r.Err != nil || len(r.Rows) > 0 {
			h.t.Errorf("%s has %d rows: %v", table, len(r.Rows), r.Err)
		}
	}
}
