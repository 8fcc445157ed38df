package delivery_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
)

// closeConn calls closed once it was closed.
type closeConn struct {
	net.Conn
	closed func()
}

func (c closeConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}

func TestStopDoesNotForgetWhatWasTaken(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, nil, "dave@remote.test")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.send.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := w.wires.dial(ctx, network, addr)
		return closeConn{nc, cancel}, err // the server stops when the other has said 250
	}
	if err := w.send.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(r.messages()); got != 1 {
		t.Fatalf("the other server has %d messages, want 1", got)
	}
	left, err := w.Store.Pending(t.Context(), 10)
	if err != nil || len(left) != 0 {
		t.Errorf("still queued, to be sent a second time: %+v, %v", left, err)
	}
}

// fullBlobs has no room for some puts.
type fullBlobs struct {
	delivery.Blobs
	refuse atomic.Int32
}

func (b *fullBlobs) Put(ctx context.Context, r io.Reader, o blob.PutOptions) (mail.Blob, []mail.Blob, error) {
	if b.refuse.Add(-1) >= 0 {
		return mail.Blob{}, nil, mail.Errorf(mail.Unavailable, "the disk is full")
	}
	return b.Blobs.Put(ctx, r, o)
}

func TestFailureThatCanNotBeReportedNowIsReportedLater(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	r.rcpt["dave@remote.test"] = err550
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, nil, "dave@remote.test")
	full := &fullBlobs{Blobs: w.Delivery.Blobs}
	full.refuse.Store(2)
	w.Delivery.Blobs = full
	w.run(t)
	if n := len(w.Inbox(w.alice)); n != 1 {
		t.Errorf("%d reports, want 1", n)
	}
}
