package imap

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// memory is what is in use of the heap, with 4 KiB for each goroutine. What the runtime
// says of stacks counts its threads' too, and how many there are is the database's doing.
func memory() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) + int64(runtime.NumGoroutine())*4<<10
}

// TestIdleConnectionsCostLittle holds many sessions in IDLE and looks at what each
// costs. The clients are in the same process, and what they take is taken off.
func TestIdleConnectionsCostLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	const sessions = 400
	for _, test := range []struct {
		name   string
		tls    bool
		notify bool // between commands, following all mailboxes
		bound  int64
		client int64
	}{{"plain", false, false, 1920, 1 << 10}, {"TLS", true, false, 6500, 6 << 10}, {"NOTIFY", false, true, 4 << 10, 1 << 10}} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, func(s *Server) {
				s.Limits.PerAddress, s.Limits.LoginTime = 2*sessions, time.Minute
				if test.tls {
					s.TLS = testTLS(t)
				}
			})
			h.update(func(tx store.Tx) error {
				mb, err := tx.MailboxByPath("INBOX")
				for range 1000 {
					if err == nil {
						_, err = tx.Append(mb.ID, h.dot())
					}
				}
				return err
			})
			wait := func() net.Conn { return h.idle(t, test.tls) }
			if test.notify {
				wait = func() net.Conn { return h.notified(t) }
			}
			warm := wait()
			before := memory()
			var conns []net.Conn
			for range sessions {
				conns = append(conns, wait())
			}
			h.awaitLot(t, sessions+1)
			each := int64(math.MaxInt64)
			for n := 0; n < 20 && each > test.bound; n++ { // what others hold for a moment is not theirs
				time.Sleep(time.Duration(n) * time.Millisecond)
				each = min(each, (memory()-before)/sessions-test.client)
			}
			t.Logf("%d bytes each", each)
			if each > test.bound {
				t.Errorf("%d bytes each, want at most %d", each, test.bound)
			}
			runtime.KeepAlive(warm)
			runtime.KeepAlive(conns)
		})
	}
}

// awaitLot returns when so many sessions wait without a goroutine.
func (h *house) awaitLot(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(steady.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if h.server.napping.Load() == int64(n) {
			return
		}
	}
	t.Fatalf("%d of %d sessions are in the lot", h.server.napping.Load(), n)
}

// idle brings a new connection into IDLE and returns it bare.
func (h *house) idle(t testing.TB, withTLS bool) net.Conn {
	c := dial(t, h.addr).ready()
	if withTLS {
		c.must("STARTTLS")
		c.startTLS()
	}
	c.login()
	c.must("ENABLE QRESYNC")
	c.must("SELECT INBOX")
	c.run("IDLE")
	c.in = nil
	return c.conn
}

// notified is idle by NOTIFY.
func (h *house) notified(t testing.TB) net.Conn {
	c := dial(t, h.addr).ready().login()
	c.must("ENABLE QRESYNC")
	c.must("SELECT INBOX")
	c.must("NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge FlagChange MailboxName))")
	c.in = nil
	return c.conn
}

// A change reaches everybody who waits.
func TestEverybodyInIdleHears(t *testing.T) {
	h := newHouse(t, nil)
	h.put("INBOX", "Subject: x\r\n\r\n", mail.Flags{}, 1, 0)
	const n = 50
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = h.idle(t, false)
	}
	w := dial(t, h.addr).ready().login()
	w.must("SELECT INBOX")
	w.must(`STORE 1 +FLAGS (\Flagged)`)
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			c.SetReadDeadline(time.Now().Add(steady.Patience))
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.Contains(line, `FETCH (UID 1 FLAGS (\Flagged`) {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
	all.Wait()
}

// Half a line is no reason to keep quiet.
func TestIdleGoesOnWhileTheClientHesitates(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		h := newHouse(t, func(s *Server) { s.TLS = testTLS(t) })
		c := h.idle(t, withTLS)
		io.WriteString(c, "DO")
		for n := range mail.UID(20) {
			h.put("INBOX", "x", mail.Flags{}, n+1, 0)
		}
		c.SetDeadline(time.Now().Add(steady.Patience))
		in := bufio.NewReader(c)
		for line := ""; !strings.HasPrefix(line, "* 20 EXISTS"); {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(c, "NE\r\n")
		for line := ""; !strings.Contains(line, "OK IDLE"); {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// BenchmarkStoreToIdle is from one client's STORE to another's line in IDLE.
func BenchmarkStoreToIdle(b *testing.B) {
	h := newHouse(b, nil)
	h.put("INBOX", "Subject: x\r\n\r\n", mail.Flags{}, 1, 0)
	in := bufio.NewReader(h.idle(b, false))
	w := dial(b, h.addr).ready().login()
	w.must("SELECT INBOX")
	sign := "+"
	for b.Loop() {
		fmt.Fprintf(w.conn, "a STORE 1 %sFLAGS (\\Flagged)\r\n", sign)
		if _, err := in.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		w.tag = "a"
		w.answer()
		sign = map[string]string{"+": "-", "-": "+"}[sign]
	}
}
