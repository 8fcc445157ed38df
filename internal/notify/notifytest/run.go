package notifytest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/steady"
)

// patience is how long a word may take in a test.
const patience = steady.Patience

// Run proves a kind of bus. Open makes a place of its own for each test, and returns
// what adds a node to it.
func Run(t *testing.T, open func(t *testing.T) (node func() notify.Bus)) {
	for name, test := range map[string]func(*testing.T, func() notify.Bus){
		"words reach all others and not who said them": wordsReachOthers,
		"who listens to all below a topic hears those": allBelow,
		"who stopped hears no more":                    stopped,
		"listening is in force when it has begun":      inForce,
		"what does not fit is told as a gap":           tooMuch,
		"a flood arrives or is told as a gap":          flood,
		"what is no topic is refused":                  noTopic,
		"closing is the end":                           closing,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// ear collects what was heard.
type ear struct {
	mu    sync.Mutex
	words []string
	came  chan struct{}
}

func listen(t *testing.T, b notify.Bus, topic string) (*ear, func()) {
	t.Helper()
	e := &ear{came: make(chan struct{}, 1)}
	stop, err := b.Receive(topic, func(topic string, body []byte) {
		e.mu.Lock()
		e.words = append(e.words, topic+"="+string(body))
		e.mu.Unlock()
		select {
		case e.came <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, stop
}

func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.words...)
}

// await waits until n words were heard.
func (e *ear) await(t *testing.T, n int) []string {
	t.Helper()
	late := time.After(patience)
	for {
		if words := e.heard(); len(words) >= n {
			return words
		}
		select {
		case <-e.came:
		case <-late:
			t.Fatalf("heard %d words of %d: %.200q", len(e.heard()), n, e.heard())
		}
	}
}

func wordsReachOthers(t *testing.T, node func() notify.Bus) {
	a, b, c := node(), node(), node()
	toA, _ := listen(t, a, "signin")
	toB, _ := listen(t, b, "signin")
	again, _ := listen(t, b, "signin")
	toC, _ := listen(t, c, "signin")
	other, _ := listen(t, c, "limit")
	large := strings.Repeat("\x00\xff'\\", notify.MaxWord/4)
	for _, body := range []string{"one", "", large} {
		a.Send("signin", []byte(body))
	}
	c.Send("signin", []byte("four"))
	for name, e := range map[string]*ear{"b": toB, "b again": again} {
		if words := e.await(t, 4); !bytes.Contains([]byte(strings.Join(words, " ")), []byte(large)) || len(words) != 4 {
			t.Errorf("%s heard %.100q", name, words)
		}
	}
	if words := toC.await(t, 3); len(words) != 3 {
		t.Errorf("c heard %.100q", words)
	}
	if words := toA.await(t, 1); len(words) != 1 || words[0] != "signin=four" {
		t.Errorf("a heard %.100q", words)
	}
	if words := other.heard(); len(words) > 0 {
		t.Errorf("of another topic was heard %q", words)
	}
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // it is counted once the server has answered
		if s := a.Stats(); s.Sent == 3 && s.Dropped == 0 && s.Connected && s.Received == 1 {
			break
		} else if time.Now().After(late) {
			t.Fatalf("counted %+v", s)
		}
	}
}

func allBelow(t *testing.T, node func() notify.Bus) {
	a, b := node(), node()
	all, _ := listen(t, b, "account.>")
	one, _ := listen(t, b, "account.7")
	last, _ := listen(t, b, "last")
	for _, topic := range []string{"account.7", "account.8", "account", "accounts.7", "last"} {
		a.Send(topic, []byte("x"))
	}
	last.await(t, 1)
	if words := all.await(t, 2); len(words) != 2 {
		t.Errorf("of all was heard %q", words)
	}
	if words := one.await(t, 1); len(words) != 1 || words[0] != "account.7=x" {
		t.Errorf("of one was heard %q", words)
	}
}

func stopped(t *testing.T, node func() notify.Bus) {
	a, b := node(), node()
	gone, stop := listen(t, b, "limit")
	stays, stopOther := listen(t, b, "limit")
	defer stopOther()
	stop()
	stop() // twice is harmless
	a.Send("limit", []byte("x"))
	stays.await(t, 1)
	if words := gone.heard(); len(words) > 0 {
		t.Errorf("heard %q", words)
	}
	again, stop := listen(t, b, "limit")
	a.Send("limit", []byte("y"))
	again.await(t, 1)
	stop()
}

func inForce(t *testing.T, node func() notify.Bus) {
	a, b := node(), node()
	for i := range 50 {
		topic := fmt.Sprintf("account.%d", i+1)
		e, stop := listen(t, b, topic)
		a.Send(topic, []byte("x"))
		e.await(t, 1)
		stop()
	}
}

func tooMuch(t *testing.T, node func() notify.Bus) {
	a, b := node(), node()
	var gaps atomic.Int64
	missed := make(chan struct{}, 1)
	stop := b.OnGap(func() {
		gaps.Add(1)
		select {
		case missed <- struct{}{}:
		default:
		}
	})
	e, _ := listen(t, b, "signin")
	select {
	case <-missed: // of connecting
	default:
	}
	a.Send("signin", make([]byte, notify.MaxWord+1))
	select {
	case <-missed:
	case <-time.After(patience):
		t.Error("the others were told nothing")
	}
	if s := a.Stats(); s.Dropped != 1 {
		t.Errorf("counted %+v", s)
	}
	stop()
	before := gaps.Load()
	a.Send("signin", make([]byte, notify.MaxWord+1))
	a.Send("signin", []byte("x"))
	e.await(t, 1)
	if gaps.Load() != before {
		t.Error("told of a gap after stop")
	}
}

// flood says more than any queue holds.
func flood(t *testing.T, node func() notify.Bus) {
	a, b := node(), node()
	missed := make(chan struct{}, 1)
	b.OnGap(func() {
		select {
		case missed <- struct{}{}:
		default:
		}
	})
	var heard atomic.Int64
	const many = 50_000
	all := make(chan struct{})
	_, err := b.Receive("account.>", func(string, []byte) {
		if heard.Add(1) == many {
			close(all)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-missed:
	default:
	}
	for range many {
		a.Send("account.1", make([]byte, 20))
	}
	select {
	case <-missed:
	case <-all:
	case <-time.After(patience):
		t.Errorf("%d of %d were heard, and no gap was told", heard.Load(), many)
	}
}

func noTopic(t *testing.T, node func() notify.Bus) {
	b := node()
	for _, topic := range []string{"", ">", "*", "a b", "a..b", ".a", "a.", "a.>.b", "a.*", "ä", "a\x00", strings.Repeat("a", notify.MaxTopic+1)} {
		if _, err := b.Receive(topic, func(string, []byte) {}); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", topic, err)
		}
		if topic != ">" {
			b.Send(topic, nil) // is dropped, and breaks nothing
		}
	}
}

func closing(t *testing.T, node func() notify.Bus) {
	a, b := node(), node()
	e, stop := listen(t, b, "signin")
	a.Send("signin", []byte("x"))
	e.await(t, 1)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	b.Send("signin", []byte("y"))
	a.Send("signin", []byte("z"))
	if words := e.heard(); len(words) != 1 {
		t.Errorf("after closing was heard %q", words)
	}
	if b.Stats().Connected {
		t.Error("it says that it is connected")
	}
}
