package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// A domain where nobody answers has its few connections, others theirs; once it
// is known to be dead, the rest of its mail is put off without asking again.
func TestADeadDomainHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("dead.test", "192.0.2.66", nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	const messages = 80
	for i := range messages {
		w.submit(t, nil, fmt.Sprintf("m%d@dead.test", i))
	}
	w.submit(t, nil, "dave@remote.test")
	w.send.Schedule = []time.Duration{time.Hour}
	var now, most, dials atomic.Int32
	silence := make(chan struct{})
	w.send.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasPrefix(addr, "192.0.2.66") {
			return w.wires.dial(ctx, network, addr)
		}
		dials.Add(1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		select {
		case <-silence:
		case <-ctx.Done():
		}
		return nil, errors.New("nobody answers")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.send.Run(ctx) }()
	until(t, "the other domain has its mail", func() bool { return len(r.messages()) == 1 })
	close(silence)
	until(t, "the dead one's is put off", func() bool {
		left, err := w.Store.Pending(ctx, 2*messages)
		for _, o := range left {
			if o.Attempts != 1 || o.LastError == "" {
				return false
			}
		}
		return err == nil && len(left) == messages
	})
	if most.Load() > 5 || dials.Load() > 10 {
		t.Errorf("%d connections at once, %d in all", most.Load(), dials.Load())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// until waits for something, for a bounded time.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(steady.Patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}
