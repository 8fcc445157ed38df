package delivery_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
)

// named submits other bytes under a name each time.
func (w *world) named(t *testing.T, name, body string, to ...string) {
	t.Helper()
	env := envelope(t, w.House, "alice@example.test", to...)
	env.Hop.Protocol, env.Once, env.OnceFor = mail.EAS, name, 24*time.Hour
	if err := w.Delivery.Submit(t.Context(), w.alice, env, strings.NewReader(outgoing+body)); err != nil {
		t.Fatal(err)
	}
}

// A submission with a name makes one copy for each recipient, whatever its bytes and
// whether or not the first one left already.
func TestANamedSubmissionIsSentOnce(t *testing.T) {
	w := newWorld(t)
	bob := w.Account("bob@example.test", 0, nil).Account
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.named(t, "one", "a", "dave@remote.test", "bob@example.test")
	w.named(t, "one", "b", "dave@remote.test", "bob@example.test")
	w.run(t)
	w.named(t, "one", "c", "dave@remote.test", "bob@example.test", "erin@remote.test")
	w.named(t, "two", "c", "dave@remote.test")
	w.run(t)
	var to []string
	for _, m := range r.messages() {
		to = append(to, m.to...)
	}
	if got := strings.Join(to, " "); strings.Count(got, "dave") != 2 || strings.Count(got, "erin") != 1 {
		t.Errorf("sent to %s", got)
	}
	if n := len(w.Inbox(bob)); n != 1 {
		t.Errorf("bob has %d copies", n)
	}
}

// What was refused for good is not tried again under the same name.
func TestANamedSubmissionFailsOnce(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil, err550)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.named(t, "one", "a", "dave@remote.test")
	w.run(t)
	w.named(t, "one", "a", "dave@remote.test")
	w.run(t)
	if n := len(w.Inbox(w.alice)); n != 1 || len(r.messages()) != 0 {
		t.Errorf("%d reports, want 1; the remote has %d messages", n, len(r.messages()))
	}
}

// Submitting again and sending meet without making two.
func TestNamedSubmissionsRaceTheSender(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.Delivery.Wake = w.send.Wake
	var all sync.WaitGroup
	envs := make([]*delivery.Envelope, 20)
	for i := range envs {
		envs[i] = envelope(t, w.House, "alice@example.test", "dave@remote.test")
		envs[i].Hop.Protocol, envs[i].Once, envs[i].OnceFor = mail.EAS, "one", time.Hour
	}
	for _, env := range envs {
		all.Go(func() {
			if err := w.Delivery.Submit(t.Context(), w.alice, env, strings.NewReader(outgoing)); err != nil {
				t.Error(err)
			}
		})
	}
	runQueue(t, w.Store, w.send)
	all.Wait()
	runQueue(t, w.Store, w.send)
	if n := len(r.messages()); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

// An author behind a CR alone, which leaves as a line end, is an author.
func TestNoAuthorHidesBehindACR(t *testing.T) {
	w := newWorld(t)
	env := envelope(t, w.House, "alice@example.test", "dave@remote.test")
	text := strings.Replace(outgoing, "Subject: hello", "Subject: hello\rFrom: boss@remote.test", 1)
	if err := w.Delivery.Submit(t.Context(), w.alice, env, strings.NewReader(text)); mail.KindOf(err) != mail.Denied {
		t.Errorf("%v, want Denied", err)
	}
}
