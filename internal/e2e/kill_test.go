package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fate is where a message may be, "" being nowhere, and what flags it may have.
// Before the server is asked to change something both sides of the change may be;
// once it has said OK, only the new one.
type fate struct {
	in, flags []string
	uid       string // in the one mailbox it was last seen in
}

// ledger is what the server may be held to.
type ledger struct {
	mu    sync.Mutex
	fates map[string]*fate
	uids  map[string]string // mailbox and UID → message, for ever
	heads map[string]map[string]int
}

// change widens the fate, runs do, and narrows it when that was acknowledged.
func (l *ledger) change(id string, widen, narrow func(*fate), do func() error) error {
	l.with(id, widen)
	err := do()
	if err == nil {
		l.with(id, narrow)
	}
	return err
}

func (l *ledger) with(id string, fn func(*fate)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fates[id] == nil {
		l.fates[id] = &fate{in: []string{""}, flags: []string{""}}
	}
	fn(l.fates[id])
}

// worker does one kind of thing until the server dies.
type worker struct {
	s    *server
	l    *ledger
	name string
	rng  *rand.Rand
	n    int
	mine []string
}

func (w *worker) text() (id, text string) {
	w.n++
	id = fmt.Sprintf("%s.%d@kill.example", w.name, w.n)
	return id, fmt.Sprintf("Message-ID: <%s>\r\nSubject: %s\r\n\r\n%s\r\n", id, id, strings.Repeat("x", w.rng.IntN(20_000)))
}

func goTo(mailboxes ...string) func(*fate) { return func(f *fate) { f.in = mailboxes } }

// deliver delivers by LMTP.
func (w *worker) deliver() error {
	for {
		id, text := w.text()
		if err := w.l.change(id, goTo("", "INBOX"), goTo("INBOX"), func() error { return w.s.tryLMTP(alice, text) }); err != nil {
			return err
		}
	}
}

// act appends to a mailbox of its own, marks, moves and expunges what is there.
func (w *worker) act() error {
	c, err := w.s.dial(alice, password)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.do("SELECT %q", w.name); err != nil {
		return err
	}
	for {
		if err := w.actOnce(c); err != nil {
			return err
		}
	}
}

func (w *worker) actOnce(c *client) error {
	at := -1
	if len(w.mine) > 0 {
		at = w.rng.IntN(len(w.mine))
	}
	switch op := w.rng.IntN(10); {
	case op < 4 || at < 0:
		id, text := w.text()
		return w.l.change(id, goTo("", w.name), func(f *fate) {
			f.in = []string{w.name}
			w.mine = append(w.mine, id)
		}, func() error {
			uid, err := c.append(w.name, text)
			w.l.with(id, func(f *fate) { f.uid = uid })
			return err
		})
	case op < 8:
		flags := []string{`\Seen`, `\Flagged \Seen`, "", `\Answered`}[w.rng.IntN(4)]
		return w.one(c, at, func(f *fate) { f.flags = append(f.flags, flags) }, func(f *fate) { f.flags = []string{flags} }, "STORE %s FLAGS ("+flags+")")
	case op < 9:
		defer w.forget(at)
		return w.one(c, at, goTo(w.name, "Archive"), goTo("Archive"), "MOVE %s Archive")
	default:
		defer w.forget(at)
		if err := w.one(c, at, func(f *fate) { f.flags = append(f.flags, f.flags[0]+` \Deleted`) }, func(f *fate) { f.flags = f.flags[len(f.flags)-1:] }, `STORE %s +FLAGS.SILENT (\Deleted)`); err != nil {
			return err
		}
		return w.one(c, at, goTo(w.name, ""), goTo(""), "EXPUNGE %s")
	}
}

// one runs a UID command on one message.
func (w *worker) one(c *client, at int, widen, narrow func(*fate), command string) error {
	id := w.mine[at]
	var uid string
	w.l.with(id, func(f *fate) { uid = f.uid })
	return w.l.change(id, widen, narrow, func() error {
		_, err := c.do("UID "+command, uid)
		return err
	})
}

func (w *worker) forget(at int) { w.mine = slices.Delete(w.mine, at, at+1) }

func sortedFlags(s string) string {
	f := strings.Fields(s)
	slices.Sort(f)
	return strings.Join(f, " ")
}

// hold compares what the server has with the ledger, and settles what was under
// way.
func (l *ledger) hold(t *testing.T, s *server, mailboxes []string) {
	t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	found := map[string][]seen{}
	for _, mb := range mailboxes {
		all, numbers, err := c.list(mb)
		if err != nil {
			t.Fatal(err)
		}
		l.holdNumbers(t, mb, numbers)
		for _, m := range all {
			found[m.id] = append(found[m.id], m)
			key := mb + " " + m.uid
			if before, ok := l.uids[key]; ok && before != m.id {
				t.Errorf("UID %s was %s and is %s", key, before, m.id)
			}
			l.uids[key] = m.id
		}
	}
	for id, f := range l.fates {
		where, flags := "", ""
		switch at := found[id]; len(at) {
		case 0:
		case 1:
			where, flags = at[0].mailbox, sortedFlags(at[0].flags)
			f.uid = at[0].uid
		default:
			t.Errorf("%s is there %d times: %v", id, len(at), at)
			continue
		}
		if !slices.Contains(f.in, where) {
			t.Errorf("%s is in %q, but may only be in %q", id, where, f.in)
		}
		if where != "" && !slices.ContainsFunc(f.flags, func(s string) bool { return sortedFlags(s) == flags }) {
			t.Errorf("%s is marked %q, but may only be %q", id, flags, f.flags)
		}
		f.in, f.flags = []string{where}, []string{flags}
		delete(found, id)
	}
	for id := range found {
		t.Errorf("%s came from nowhere", id)
	}
}

// holdNumbers wants UIDVALIDITY to stay and the others to grow.
func (l *ledger) holdNumbers(t *testing.T, mailbox string, now map[string]int) {
	t.Helper()
	before := l.heads[mailbox]
	if before != nil && (now["UIDVALIDITY"] != before["UIDVALIDITY"] || now["UIDNEXT"] < before["UIDNEXT"] || now["HIGHESTMODSEQ"] < before["HIGHESTMODSEQ"]) {
		t.Errorf("%s went from %v to %v", mailbox, before, now)
	}
	l.heads[mailbox] = now
}

// Killed at random moments under load, the server comes back with everything it
// acknowledged, nothing twice, and no number going back.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	rounds, until := 4, time.Time{}
	if os.Getenv("CI") == "true" && !testing.Short() {
		rounds = 12
	}
	if text := os.Getenv("LOCKSTEP_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		until = time.Now().Add(d)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed) // of the acts; the moment of death is nobody's to repeat
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newServer(t, "")
	s.addAccount(alice)
	l := &ledger{fates: map[string]*fate{}, uids: map[string]string{}, heads: map[string]map[string]int{}}
	mailboxes := []string{"INBOX", "Archive"}
	var workers []*worker
	for i := range 6 {
		w := &worker{s: s, l: l, name: fmt.Sprintf("W%d", i), rng: rand.New(rand.NewPCG(seed, uint64(i+1)))}
		workers = append(workers, w)
		if i >= 3 {
			mailboxes = append(mailboxes, w.name)
		}
	}
	s.start()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	for _, mb := range mailboxes[2:] {
		if _, err := c.do("CREATE %s", mb); err != nil {
			t.Fatal(err)
		}
	}
	c.close()
	for round := 0; round < rounds || time.Now().Before(until); round++ {
		var running sync.WaitGroup
		for i, w := range workers {
			running.Go(func() {
				work := w.act
				if i < 3 {
					work = w.deliver
				}
				var no *refusal
				var never *textproto.Error
				if err := work(); errors.As(err, &no) || errors.As(err, &never) { // else the server died
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Duration(200+rng.IntN(800)) * time.Millisecond) // the moment is the point
		s.kill()
		running.Wait()
		began := time.Now()
		s.start()
		took := time.Since(began)
		l.hold(t, s, mailboxes)
		for _, w := range workers[3:] {
			w.mine = slices.DeleteFunc(w.mine, func(id string) bool { return l.fates[id].in[0] != w.name })
		}
		t.Logf("round %d: %d messages known, back after %v", round, len(l.fates), took.Round(time.Millisecond))
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
	s.stop()
	if out := s.lockstep("", "doctor"); !strings.Contains(out, "All is well.") {
		t.Error(out)
	}
}
