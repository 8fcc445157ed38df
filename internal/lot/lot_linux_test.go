package lot

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/steady"
)

type guest struct {
	conn    net.Conn
	raw     syscall.RawConn
	seat    Seat
	stirred chan Why
}

func (g *guest) Descriptor() syscall.RawConn { return g.raw }
func (g *guest) Seat() *Seat                 { return &g.seat }
func (g *guest) Stir(w Why)                  { g.stirred <- w }

// pair returns a guest and the other end of its connection.
func pair(t *testing.T) (*guest, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return &guest{conn: near, raw: raw, stirred: make(chan Why, 2)}, far
}

func open(t *testing.T) (*Lot, *atomic.Int64) {
	var in atomic.Int64
	l := Open(10*time.Millisecond, &in)
	if l == nil {
		t.Fatal("the kernel lets us not")
	}
	t.Cleanup(l.Close)
	return l, &in
}

func (g *guest) await(t *testing.T, want Why) {
	t.Helper()
	select {
	case got := <-g.stirred:
		if got != want {
			t.Errorf("stirred for %d, want %d", got, want)
		}
	case <-time.After(steady.Patience):
		t.Fatal("not stirred")
	}
}

var far = time.Now().Add(time.Hour)

func TestGuestsAreStirredForWhatTheyWaitFor(t *testing.T) {
	l, in := open(t)
	g, other := pair(t)
	for range 3 { // a seat serves again and again
		if !l.Add(g, Input, far) || in.Load() != 1 {
			t.Fatal("not in")
		}
		other.Write([]byte("x"))
		g.await(t, Came)
		g.conn.Read(make([]byte, 1))
	}
	other.Write([]byte("x"))
	l.Add(g, End, time.Now().Add(30*time.Millisecond))
	g.await(t, Late) // what there is to read stirs nobody who waits for the end
	l.Add(g, End, far)
	other.Close()
	g.await(t, Came)
	if in.Load() != 0 {
		t.Errorf("%d are still in", in.Load())
	}
}

func TestARemovedGuestIsLeftAlone(t *testing.T) {
	l, in := open(t)
	g, other := pair(t)
	l.Add(g, Input, time.Now())
	if !l.Remove(g) || l.Remove(g) {
		t.Error("removed not once")
	}
	other.Write([]byte("x"))
	h, _ := pair(t)
	l.Add(h, Input, time.Now()) // in the slot that g had
	h.await(t, Late)
	if len(g.stirred) != 0 || in.Load() != 0 {
		t.Errorf("stirred after it was removed; %d in", in.Load())
	}
	if len(l.Guests()) != 0 {
		t.Error("somebody is in")
	}
}

func TestWithoutADescriptorThereIsNoPlace(t *testing.T) {
	l, _ := open(t)
	if l.Add(&guest{}, Input, far) {
		t.Error("a pipe got a place")
	}
	var none *Lot
	g, _ := pair(t)
	if none.Add(g, Input, far) || none.Remove(g) {
		t.Error("a place where there is no lot")
	}
	none.Close()
}

// What is read is cut at the records' ends, wherever the reads end.
func TestReadsStayWithinRecords(t *testing.T) {
	stream := []byte{22, 3, 3, 0, 3, 1, 2, 3, 23, 3, 3, 0, 0, 23, 3, 3, 1, 0}
	stream = append(stream, make([]byte, 256)...)
	ends := map[int]bool{5: true, 8: true, 13: true, 18: true, 274: true}
	for _, size := range []int{1, 2, 7, 1000} {
		var r Records
		for at := 0; at < len(stream); {
			n := min(r.Most(), size, len(stream)-at)
			if n <= 0 {
				t.Fatalf("reads of %d: stuck at %d", size, at)
			}
			for i := at + 1; i < at+n; i++ {
				if ends[i] {
					t.Fatalf("reads of %d: one from %d to %d goes past the end at %d", size, at, at+n, i)
				}
			}
			r.Passed(stream[at : at+n])
			at += n
		}
	}
}
