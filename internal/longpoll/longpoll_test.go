package longpoll

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// Wait and answer, again and again, on one connection.
func TestAConnectionGoesOnAfterItsWait(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, nil)
		c := h.dial()
		for i := range 5 {
			wait, other := fmt.Sprintf("/wait/%d", i), fmt.Sprintf("/other/%d", i)
			c.ask(wait, "body")
			h.awaitLot(1)
			h.end(wait)
			c.must(wait)
			h.heard(wait + " 0")
			h.awaitLot(1) // it waits for the next request there too
			c.ask(other, "four")
			c.must(other + " 4")
			h.awaitLot(0)
			if h.tls[wait] != secure || h.tls[other] != secure || h.from[other] != c.LocalAddr().String() {
				t.Errorf("TLS %v and %v, from %s", h.tls[wait], h.tls[other], h.from[other])
			}
		}
		if h.inside.Load() != 1 {
			t.Errorf("%d connections are counted", h.inside.Load())
		}
	})
}

func TestAWaitLastsUntilItsTime(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, nil)
		h.until = 20 * time.Millisecond
		c := h.dial().ask("/wait", "")
		c.must("/wait")
		h.heard("/wait 1")
		c.ask("/other", "")
		c.must("/other 0")
	})
}

func TestWhoHangsUpIsNoticed(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, nil)
		c := h.dial().ask("/wait", "")
		h.awaitLot(1)
		io.WriteString(c, request("/never", "")) // what it sent before is no reason to wait
		c.Close()
		h.heard("/wait 2")
		h.await("nobody is in", func() bool { return h.inside.Load() == 0 && h.waiting.Load() == 0 })
	})
}

// An end that comes before the wait is held is not lost.
func TestAnEarlyEndIsRemembered(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, nil)
		h.early = true
		c := h.dial()
		for range 20 {
			c.ask("/wait", "").must("/wait")
			h.heard("/wait 0")
		}
	})
}

// What comes while a request waits is answered after it, however it is cut.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, nil)
		large := strings.Repeat("x", 50_000)
		for _, test := range []struct{ with, later string }{
			{request("/other/1", "one"), ""},
			{"", request("/other/1", "one")},
			{request("/other/1", "one")[:7], request("/other/1", "one")[7:]},
			{request("/other/1", "one") + request("/other/2", large)[:10_000], request("/other/2", large)[10_000:]},
		} {
			c := h.dial()
			io.WriteString(c, request("/wait", "body")+test.with)
			h.awaitLot(1)
			io.WriteString(c, test.later)
			h.end("/wait")
			c.must("/wait")
			c.must("/other/1 3")
			if strings.Contains(test.later, "xxx") {
				c.must("/other/2 50000")
			}
			if h.tls["/other/1"] != secure {
				t.Errorf("TLS %v", !secure)
			}
			io.WriteString(c, request("/wait", "")+request("/wait/2", "")) // and waits again
			h.end("/wait")
			c.must("/wait")
			h.end("/wait/2")
			c.must("/wait/2")
			c.Close()
			h.awaitLot(0)
		}
	})
}

func TestWhoWantsNoMoreIsClosed(t *testing.T) {
	for _, ask := range []string{
		"POST /wait HTTP/1.0\r\n\r\n",
		"POST /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		fmt.Sprintf("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", maxRest+2, strings.Repeat("x", maxRest+1)), // a body that is not read to its end
	} {
		h := newHouse(t, false, nil)
		c := h.dial()
		io.WriteString(c, ask)
		h.end("/wait")
		if r, body := c.answer(); body != "/wait" || !r.Close {
			t.Errorf("%.40q: %q, close %v", ask, body, r.Close)
		}
		c.closed()
	}
}

func TestABodyNobodyReadIsPassedOver(t *testing.T) {
	h := newHouse(t, false, nil)
	c := h.dial().ask("/wait", strings.Repeat("x", maxRest))
	h.end("/wait")
	c.must("/wait")
	c.ask("/other", "").must("/other 0")
}

// Between an answer and the next request a connection may be silent for a while.
func TestSilentConnectionsAreClosed(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, func(o *Options) { o.Idle = 20 * time.Millisecond })
		h.early = true
		c := h.dial().ask("/wait", "")
		c.must("/wait")
		c.closed()
		h.await("nobody is in", func() bool { return h.inside.Load() == 0 })
	})
}

// An answer that is not what its length says ends the connection: the next one would
// be read as its rest.
func TestAnAnswerThatIsTooShortEndsTheConnection(t *testing.T) {
	h := newHouse(t, false, nil)
	c := h.dial().ask("/wait/said", "")
	h.end("/wait/said")
	c.must("/wait/said")
	c.ask("/wait/short", "")
	h.end("/wait/short")
	if b, _ := io.ReadAll(c.in); strings.Contains(string(b), "200 OK") {
		t.Errorf("%q", b)
	}
}

func TestABugEndsItsOwnConnection(t *testing.T) {
	h := newHouse(t, false, nil)
	other := h.dial().ask("/wait", "")
	c := h.dial().ask("/wait/panic", "")
	h.end("/wait/panic")
	c.closed()
	h.end("/wait")
	other.must("/wait")
}

// A server that stops answers everybody, closes what is silent, and leaves nothing.
func TestAllAreAnsweredWhenTheServerStops(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, nil)
		const n = 50
		var clients []*client
		for i := range n {
			clients = append(clients, h.dial().ask(fmt.Sprintf("/wait/%d", i), ""))
		}
		silent := h.dial().ask("/wait", "")
		h.end("/wait")
		silent.must("/wait")
		fresh := h.dial().ask("/other", "")
		fresh.must("/other 0")
		h.awaitLot(n + 1)
		began := time.Now()
		h.stop()
		for i, c := range clients {
			if r, body := c.answer(); body != fmt.Sprintf("/wait/%d", i) || r.Header.Get("X-Why") != fmt.Sprint(Stopping) || !r.Close {
				t.Errorf("%d: %q %v, close %v", i, body, r.Header, r.Close)
			}
			c.closed()
		}
		silent.closed()
		fresh.closed()
		if err := <-h.served; err != nil {
			t.Error(err)
		}
		h.served = nil
		if h.inside.Load() != 0 || h.waiting.Load() != 0 || time.Since(began) > steady.Patience {
			t.Errorf("%d in, %d in the lot, after %v", h.inside.Load(), h.waiting.Load(), time.Since(began))
		}
		if _, err := net.Dial("tcp", h.addr); err == nil {
			t.Error("it still listens")
		}
	})
}

func TestWhoMayNotComeInIsTurnedAway(t *testing.T) {
	h := newHouse(t, false, func(o *Options) { o.Enter = func(netip.Addr) (func(), bool) { return nil, false } })
	h.dial().closed()
}

// Where the connection can't be had, the handler's goroutine waits.
func TestWithoutAConnectionAGoroutineWaits(t *testing.T) {
	for why, act := range map[Why]func(*Wait){
		Ended: func(w *Wait) { go w.End() }, Late: func(w *Wait) { w.Until = time.Now().Add(time.Millisecond) },
	} {
		w := &Wait{Until: time.Now().Add(time.Hour)}
		w.Over = func(got Why, rw http.ResponseWriter) {
			if got != why {
				t.Errorf("over for %d, want %d", got, why)
			}
			rw.Header().Set("X", "y")
			rw.WriteHeader(201)
			io.WriteString(rw, "z")
		}
		act(w)
		rec := httptest.NewRecorder()
		w.Hold(rec, httptest.NewRequest("POST", "/", nil))
		if rec.Code != 201 || rec.Body.String() != "z" || rec.Header().Get("X") != "y" {
			t.Errorf("%d %q %v", rec.Code, rec.Body, rec.Header())
		}
	}
}

// TestHTTP2Waits shows that what can't be hijacked is answered all the same.
func TestHTTP2Waits(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &Wait{Until: time.Now().Add(time.Millisecond), Over: func(_ Why, rw http.ResponseWriter) { io.WriteString(rw, r.Proto) }}
		w.Hold(rw, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	r, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, _ := io.ReadAll(r.Body); string(b) != "HTTP/2.0" {
		t.Errorf("%q", b)
	}
}

// Many clients, whose waits end for every reason at once: each request has one
// answer, and nothing is left.
func TestWaitsEndOnce(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		h := newHouse(t, secure, func(o *Options) { o.Lateness = time.Millisecond })
		h.until = 3 * time.Millisecond
		var all sync.WaitGroup
		for i := range 8 {
			chance := rand.New(rand.NewPCG(uint64(i), 1))
			all.Go(func() {
				c := h.dial()
				for round := range 60 {
					path := fmt.Sprintf("/wait/%d/%d", i, round)
					if _, err := io.WriteString(c, request(path, "x")); err != nil {
						t.Error(err)
						return
					}
					switch chance.IntN(4) {
					case 0:
						c.Close()
						c = h.dial()
						continue
					case 1:
						time.Sleep(time.Duration(chance.IntN(6)) * time.Millisecond)
						h.mu.Lock()
						if w := h.waits[path]; w != nil {
							go w.End()
							go w.End()
						}
						h.mu.Unlock()
					case 2:
						io.WriteString(c, request("/other", "y"))
						c.must(path)
						c.must("/other 1")
						continue
					}
					c.must(path)
				}
				c.Close()
			})
		}
		all.Wait()
		h.await("nobody is in", func() bool { return h.inside.Load() == 0 && h.waiting.Load() == 0 })
	})
}

func TestAnswersAreWrittenAsTheyAreSaid(t *testing.T) {
	for _, c := range []struct {
		say  func(http.ResponseWriter)
		want string
	}{
		{func(http.ResponseWriter) {}, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{func(w http.ResponseWriter) { w.Write([]byte("a")); w.WriteHeader(500); w.Write([]byte("b")) }, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"},
		{func(w http.ResponseWriter) {
			w.Header().Set("Date", "never")
			w.Header().Set("X", "y\r\nZ: z")
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(449)
			w.Write([]byte("abc"))
			if _, err := w.Write([]byte("d")); err == nil {
				t.Error("more was taken than said")
			}
		}, "HTTP/1.1 449 \r\nConnection: close\r\nX: y  Z: z\r\nContent-Length: 3\r\n\r\nabc"},
	} {
		var b strings.Builder
		a := newAnswer(&b, true)
		c.say(a)
		if err := a.end(); err != nil {
			t.Error(err)
		}
		head, rest, _ := strings.Cut(b.String(), "\r\nDate: ")
		_, rest, _ = strings.Cut(rest, " GMT")
		if got := head + rest; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
