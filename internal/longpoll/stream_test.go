package longpoll

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// brook is a server whose requests stream: each turn writes a line of why it was
// made, then what is to be said.
type brook struct {
	*house
	until time.Duration
	reads bool

	mu      sync.Mutex
	streams map[string]*Stream
	say     map[string]string // by path; "end" ends the answer, "fail" the connection
	over    chan string
}

func newBrook(t testing.TB, secure, withLot bool, change func(*Options)) *brook {
	b := &brook{until: time.Hour, streams: map[string]*Stream{}, say: map[string]string{}, over: make(chan string, 10_000)}
	b.house = newHouseOf(t, secure, withLot, change, func(h *house) http.Handler { b.house = h; return b })
	return b
}

// ServeHTTP streams requests whose path begins with /stream; others are the house's.
func (b *brook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/stream") {
		b.house.ServeHTTP(rw, r)
		return
	}
	first := true
	s := &Stream{Reads: b.reads, Over: func() { b.over <- path }}
	s.Turn = func(t Turn) (time.Time, error) {
		until := time.Now().Add(b.until)
		if first {
			first = false
			_, err := io.WriteString(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			b.mu.Lock()
			b.streams[path] = s
			b.mu.Unlock()
			if err != nil || !t.Came && !t.Stopping {
				return until, err
			}
		}
		b.mu.Lock()
		say := b.say[path]
		b.mu.Unlock()
		switch say {
		case "panic":
			panic("as it should")
		case "end":
			if _, err := io.WriteString(s, "0\r\n\r\n"); err != nil {
				return until, err
			}
			return until, io.EOF
		case "fail":
			return until, errors.New("failed")
		}
		line := "stopping"
		switch {
		case t.Stopping:
		case t.Came:
			in := make([]byte, 3000)
			n, err := s.Read(in)
			if err != nil {
				return until, err
			}
			line = "came " + string(in[:n])
		case t.Woken:
			line = "woken"
		case t.Due:
			line = "due"
		}
		_, err := fmt.Fprintf(s, "%x\r\n%s\n\r\n", len(line)+1, line)
		return until, err
	}
	if !s.Hold(rw, r) {
		http.Error(rw, "no", http.StatusServiceUnavailable)
	}
}

func (b *brook) stream(path string) (s *Stream) {
	b.t.Helper()
	b.await(path+" streams", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		s = b.streams[path]
		return s != nil
	})
	return s
}

func (b *brook) tell(path, what string) {
	b.mu.Lock()
	b.say[path] = what
	b.mu.Unlock()
}

func (b *brook) isOver(path string) {
	b.t.Helper()
	select {
	case got := <-b.over:
		if got != path {
			b.t.Errorf("%s is over, want %s", got, path)
		}
	case <-time.After(steady.Patience):
		b.t.Fatalf("never over: %s", path)
	}
}

// begin asks for a stream and returns its lines.
func (c *client) begin(path string) *bufio.Reader {
	c.t.Helper()
	c.ask(path, "")
	r, err := http.ReadResponse(c.in, nil)
	if err != nil || r.StatusCode != 200 {
		c.t.Fatal(r, err)
	}
	return bufio.NewReaderSize(r.Body, 16)
}

func line(t testing.TB, in *bufio.Reader, want string) {
	t.Helper()
	got, err := in.ReadString('\n')
	if err != nil || strings.TrimSuffix(got, "\n") != want {
		t.Fatalf("%q (%v), want %q", got, err, want)
	}
}

// everywhere runs a test with TLS and without, with a lot and without.
func everywhere(t *testing.T, test func(t *testing.T, secure, withLot bool)) {
	both(t, func(t *testing.T, secure bool) {
		t.Run("lot", func(t *testing.T) { test(t, secure, true) })
		t.Run("no lot", func(t *testing.T) { test(t, secure, false) })
	})
}

func TestAStreamIsWrittenToAgainAndAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		b := newBrook(t, secure, withLot, nil)
		c := b.dial()
		in := c.begin("/stream")
		s := b.stream("/stream")
		for range 5 {
			if withLot {
				b.awaitLot(1)
			}
			s.Wake()
			line(t, in, "woken")
		}
		b.tell("/stream", "end")
		s.Wake()
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Fatalf("%q, %v", rest, err)
		}
		b.isOver("/stream")
		s.Wake()
		s.End() // too late: it is the connection of somebody else now
		c.ask("/other", "x").must("/other 1")
	})
}

func TestAStreamIsDueInTime(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		b := newBrook(t, secure, withLot, nil)
		b.until = 5 * time.Millisecond
		in := b.dial().begin("/stream")
		line(t, in, "due")
		line(t, in, "due")
	})
}

func TestAStreamReadsWhatItsClientSends(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		b := newBrook(t, secure, withLot, nil)
		b.reads = true
		c := b.dial()
		io.WriteString(c, request("/stream", "")+"early")
		r, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(r.Body)
		line(t, in, "came early")
		long := strings.Repeat("y", 10_000)
		for _, words := range []string{"one", "two", long} {
			io.WriteString(c, words)
			got := ""
			for len(got) < len(words) {
				part, err := in.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				got += strings.TrimSuffix(strings.TrimPrefix(part, "came "), "\n")
			}
			if got != words {
				t.Fatalf("%q, want %q", got, words)
			}
		}
		b.stream("/stream").Wake()
		line(t, in, "woken")
		c.Close()
		b.isOver("/stream")
	})
}

func TestAStreamEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		for _, how := range []string{"End", "fail", "panic", "client"} {
			b := newBrook(t, secure, withLot, nil)
			c := b.dial()
			in := c.begin("/stream")
			s := b.stream("/stream")
			switch how {
			case "End":
				s.End()
			case "client":
				c.Close()
			default:
				b.tell("/stream", how)
				s.Wake()
			}
			b.isOver("/stream")
			s.End()
			if rest, err := io.ReadAll(in); err == nil {
				t.Errorf("%s: %q, and the answer is whole", how, rest)
			}
			b.await("nobody is in", func() bool { return b.inside.Load() == 0 && b.waiting.Load() == 0 })
		}
	})
}

// A client that does not read holds no more than a turn, and that not for ever; and
// it can be thrown out.
func TestAStreamThatNobodyReads(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		for _, end := range []bool{false, true} {
			b := newBrook(t, secure, withLot, func(o *Options) {
				if o.Stall = time.Hour; !end {
					o.Stall = 20 * time.Millisecond
				}
			})
			b.dial().begin("/stream")
			s := b.stream("/stream")
			inner := s.Turn
			big := make([]byte, 64<<20)
			entered := make(chan struct{})
			s.Turn = func(t Turn) (time.Time, error) { // set while it waits, and before it is woken
				close(entered)
				if _, err := s.Write(big); err != nil {
					return time.Time{}, err
				}
				return inner(t)
			}
			s.Wake()
			<-entered
			if end {
				s.End()
			}
			b.isOver("/stream")
		}
	})
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		b := newBrook(t, secure, withLot, func(o *Options) { o.Spread = 10 * time.Millisecond })
		var all []*bufio.Reader
		for i := range 5 {
			path := fmt.Sprint("/stream/", i)
			all = append(all, b.dial().begin(path))
			b.stream(path)
		}
		b.stop()
		for _, in := range all {
			line(t, in, "stopping")
		}
		if err := <-b.served; err != nil {
			t.Error(err)
		}
		b.served = nil
		if b.inside.Load() != 0 || len(b.over) != 5 {
			t.Errorf("%d in, %d over", b.inside.Load(), len(b.over))
		}
	})
}

// Many who wake, end and read at once: nothing is lost, and nothing is left.
func TestNoWakeIsLost(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		b := newBrook(t, secure, withLot, func(o *Options) { o.Lateness = time.Millisecond })
		b.until = 3 * time.Millisecond
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				path := fmt.Sprint("/stream/", i)
				c := b.dial()
				in := c.begin(path)
				s := b.stream(path)
				for range 100 {
					go s.Wake()
					for got := ""; !strings.HasPrefix(got, "woken"); {
						var err error
						if got, err = in.ReadString('\n'); err != nil {
							t.Error(err)
							return
						}
					}
				}
				go s.End()
				c.Close()
			})
		}
		all.Wait()
		b.await("nobody is in", func() bool { return b.inside.Load() == 0 && b.waiting.Load() == 0 && len(b.over) == 4 })
	})
}

// What is no connection of ours can't be had.
func TestAStreamNeedsAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if new(Stream).Hold(rw, r) {
			t.Error("held")
		}
	})}
	go srv.Serve(l)
	defer srv.Close()
	r, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
}

// TestStreamsCostLittle holds many streams and looks at what each costs.
func TestStreamsCostLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	const n = 300
	for _, test := range []struct {
		secure        bool
		bound, client int64
	}{{false, 3 << 10, 1400}, {true, 10 << 10, 8 << 10}} {
		t.Run(fmt.Sprintf("TLS %v", test.secure), func(t *testing.T) {
			b := newBrook(t, test.secure, true, nil)
			b.reads = true
			warm := b.dial()
			warm.begin("/stream")
			b.awaitLot(1)
			before, goroutines := memory(), runtime.NumGoroutine()
			clients := make([]*client, n)
			for i := range clients {
				clients[i] = b.dial().ask(fmt.Sprintf("/stream/%d", i), "")
				b.stream(fmt.Sprintf("/stream/%d", i)).Wake()
			}
			b.awaitLot(n + 1)
			each := (memory()-before)/n - test.client
			t.Logf("%d bytes each, %d goroutines more", each, runtime.NumGoroutine()-goroutines)
			if each > test.bound {
				t.Errorf("%d bytes each, want at most %d", each, test.bound)
			}
			b.await("no goroutine waits", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
			runtime.KeepAlive(warm)
			runtime.KeepAlive(clients)
		})
	}
}
