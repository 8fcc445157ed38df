package delivery_test

import (
	"context"
	"net"
	"net/textproto"
	"sync"
	"testing"
	"time"
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

func TestStopWaitsForTheWordOfWhoHasItAll(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.exchanger("remote.test", "192.0.2.10", &remote{addr: l.Addr().String()})
	w.submit(t, nil, "dave@remote.test")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hungUp := make(chan struct{})
	w.send.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := w.wires.dial(ctx, network, addr)
		return closeConn{nc, sync.OnceFunc(func() { close(hungUp) })}, err
	}
	done := make(chan error, 1)
	go func() { done <- w.send.Run(ctx) }()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	other := textproto.NewConn(nc)
	for _, answer := range []string{"220 hello", "250 remote.test", "250 ok", "250 ok", "354 go on"} {
		if err := other.PrintfLine("%s", answer); err != nil {
			t.Fatal(err)
		}
		if _, err := other.ReadLine(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.ReadDotBytes(); err != nil {
		t.Fatal(err)
	}
	stop()
	select {
	case <-hungUp:
		t.Error("hung up on a server that had the whole message")
	case <-time.After(100 * time.Millisecond):
	}
	other.PrintfLine("250 taken")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, err := w.Store.Pending(t.Context(), 10); err != nil || len(left) != 0 {
		t.Errorf("%d still queued, to be sent a second time; %v", len(left), err)
	}
}
