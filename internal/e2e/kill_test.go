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

	"lockstep/internal/steady"
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

// rounds is how often something is killed: some times, more in CI, and as long as a
// soak lasts.
type rounds struct {
	n, least int
	until    time.Time
}

func newRounds(t *testing.T, least, inCI int) *rounds {
	t.Helper()
	r := &rounds{least: least}
	if os.Getenv("CI") == "true" && !testing.Short() {
		r.least = inCI
	}
	r.until = time.Now().Add(steady.Soak(t))
	return r
}

// more tells whether there is another round.
func (r *rounds) more() bool {
	r.n++
	return r.n <= r.least || time.Now().Before(r.until)
}

// A crowd is people who work on a server until it dies. Half of them deliver, and the
// others act, each on a mailbox of its own and two that all have.
type crowd struct {
	*server
	l         *ledger
	rng       *rand.Rand
	seed      uint64 // of the acts; the moment of death is nobody's to repeat
	workers   []*worker
	mailboxes []string
}

// newCrowd starts a server for so many.
func newCrowd(t *testing.T, n int) *crowd {
	t.Helper()
	c := &crowd{server: newServer(t, ""), seed: steady.Seed(t), mailboxes: []string{"INBOX", "Archive"},
		l: &ledger{fates: map[string]*fate{}, uids: map[string]string{}, heads: map[string]map[string]int{}}}
	c.rng = rand.New(rand.NewPCG(c.seed, 0))
	c.addAccount(alice)
	c.start()
	hers, err := c.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer hers.close()
	for i := range n {
		w := &worker{s: c.server, l: c.l, name: fmt.Sprintf("W%d", i), rng: rand.New(rand.NewPCG(c.seed, uint64(i+1)))}
		c.workers = append(c.workers, w)
		if i < n/2 {
			continue
		}
		c.mailboxes = append(c.mailboxes, w.name)
		if _, err := hers.do("CREATE %s", w.name); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// work lets all work until the server dies, or quits.
func (c *crowd) work() *sync.WaitGroup {
	running := &sync.WaitGroup{}
	for i, w := range c.workers {
		running.Go(func() {
			work := w.act
			if i < len(c.workers)/2 {
				work = w.deliver
			}
			var no *refusal
			var never *textproto.Error
			if err := work(); errors.As(err, &no) || errors.As(err, &never) { // else the server died
				c.t.Error(err)
			}
		})
	}
	return running
}

// wantAll holds the server to what it acknowledged.
func (c *crowd) wantAll(round int) {
	c.t.Helper()
	c.l.hold(c.t, c.server, c.mailboxes)
	for _, w := range c.workers[len(c.workers)/2:] {
		w.mine = slices.DeleteFunc(w.mine, func(id string) bool { return c.l.fates[id].in[0] != w.name })
	}
	if c.t.Failed() {
		c.t.Fatalf("seed %d, round %d", c.seed, round)
	}
}

// Killed at random moments under load, the server comes back with everything it
// acknowledged, nothing twice, and no number going back.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	r := newRounds(t, 4, 12)
	c := newCrowd(t, 6)
	for r.more() {
		running := c.work()
		time.Sleep(time.Duration(200+c.rng.IntN(800)) * time.Millisecond) // the moment is the point
		c.kill()
		running.Wait()
		began := time.Now()
		c.start()
		took := time.Since(began)
		c.wantAll(r.n)
		t.Logf("round %d: %d messages known, back after %v", r.n, len(c.l.fates), took.Round(time.Millisecond))
	}
	c.stop()
	if out := c.lockstep("", "doctor"); !strings.Contains(out, "All is well.") {
		t.Error(out)
	}
}
