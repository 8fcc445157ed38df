package delivery_test

import (
	"context"
	"net"
	"testing"
)

func TestAnExchangerThatMayComeBackOutweighsOneThatIsGone(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", nil) // down for now
	w.exchanger("remote.test", "192.0.2.11", nil)
	delete(w.zone.ip, "mx-192.0.2.11") // does not exist
	w.submit(t, nil, "dave@remote.test")
	dials := 0
	w.send.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials++; dials == 2 {
			w.wires["192.0.2.10"] = r
		}
		return w.wires.dial(ctx, network, addr)
	}
	w.run(t)
	if got := len(r.messages()); got != 1 {
		t.Errorf("%d messages arrived, want 1; reports: %q", got, w.Inbox(w.alice))
	}
}
