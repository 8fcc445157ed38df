package delivery_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
)

// hold submits what nobody gets before a time.
func (w *world) hold(t *testing.T, name string, until time.Time, to ...string) string {
	t.Helper()
	env := envelope(t, w.House, "alice@example.test", to...)
	env.Hop.Protocol, env.Once, env.OnceFor, env.HoldUntil = mail.JMAP, name, 24*time.Hour, until
	if err := w.Delivery.Submit(t.Context(), w.alice, env, strings.NewReader(outgoing+name)); err != nil {
		t.Fatal(err)
	}
	return env.DeliveryID()
}

// What is held reaches nobody before its time, also nobody here, and not because the
// server starts anew; until then it can be taken back.
func TestWhatIsHeldIsSentInTime(t *testing.T) {
	w := newWorld(t)
	bob := w.Account("bob@example.test", 0, nil).Account
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	var mu sync.Mutex
	fates := map[string]delivery.Outcome{}
	w.Delivery.Outcome = func(_ context.Context, o delivery.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		fates[o.Recipient] = o
	}
	until := time.Now().Add(300 * time.Millisecond)
	kept := w.hold(t, "kept", until, "dave@remote.test", "bob@example.test")
	gone := w.hold(t, "gone", until, "erin@remote.test", "bob@example.test")
	if n, err := w.Store.Withdraw(t.Context(), w.alice, gone, until.Add(-time.Second)); n != 2 || err != nil {
		t.Fatalf("withdrew %d, %v", n, err)
	}
	w.run(t)
	if time.Now().Before(until) {
		t.Error("it went before its time")
	}
	if all := r.messages(); len(all) != 1 || all[0].to[0] != "dave@remote.test" {
		t.Errorf("sent %v", all)
	}
	if n := len(w.Inbox(bob)); n != 1 {
		t.Errorf("bob has %d", n)
	}
	if n, err := w.Store.Withdraw(t.Context(), w.alice, kept, until.Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("withdrew %d of what was sent, %v", n, err)
	}
	for to, want := range map[string]delivery.Fate{"dave@remote.test": delivery.Relayed, "bob@example.test": delivery.Arrived} {
		if o := fates[to]; o.Fate != want || o.Account != w.alice || o.Delivery != kept || !strings.HasPrefix(o.Reply, "250 ") {
			t.Errorf("%s: %+v", to, o)
		}
	}
}

func TestOutcomesAreToldInTheirWords(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil, err550)
	w.exchanger("remote.test", "192.0.2.10", r)
	var told []delivery.Outcome
	w.Delivery.Outcome = func(_ context.Context, o delivery.Outcome) { told = append(told, o) }
	w.named(t, "one", "a", "dave@remote.test")
	w.run(t)
	if len(told) != 1 || told[0].Fate != delivery.GivenUp || !strings.HasPrefix(told[0].Reply, "550 ") {
		t.Errorf("%+v", told)
	}
}
