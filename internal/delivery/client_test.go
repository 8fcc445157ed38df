package delivery_test

import (
	"context"
	"net"
	"testing"
)

func TestAnswerWithoutEndIsCutShort(t *testing.T) {
	w := newWorld(t)
	w.exchanger("remote.test", "192.0.2.10", nil)
	w.submit(t, nil, "dave@remote.test")
	said := make(chan int, 1)
	r := startRemote(t, nil)
	first := true
	w.send.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !first {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", r.addr)
		}
		first = false
		ours, theirs := net.Pipe()
		go func() {
			n, err := theirs.Write([]byte("220-"))
			for more := 0; err == nil; n += more {
				more, err = theirs.Write([]byte("hello hello hello hello "))
			}
			said <- n
		}()
		return ours, nil
	}
	w.run(t)
	if n := <-said; n > 1<<20 {
		t.Errorf("listened to %d bytes of one answer", n)
	}
	if got := len(r.messages()); got != 1 {
		t.Errorf("%d messages at the second attempt, want 1", got)
	}
}
