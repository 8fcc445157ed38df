package delivery_test

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery"
)

func TestElsewhere(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.10": true, "2001:db8::1": true, "10.1.2.3": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "224.0.0.1": false, "ff02::1": false,
	} {
		if got := delivery.Elsewhere(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	ours, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range ours {
		if ip := netip.MustParsePrefix(a.String()).Addr(); delivery.Elsewhere(ip) {
			t.Errorf("%v is this machine's", ip)
		}
	}
}

// Whoever names the address, the sender does not connect to this machine.
func TestMailDoesNotGoToThisMachine(t *testing.T) {
	for name, to := range map[string]string{"literal": "dave@[127.0.0.1]", "IPv6 literal": "dave@[IPv6:::1]", "MX": "dave@remote.test"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.exchanger("remote.test", "127.0.0.1", startRemote(t, nil))
			w.send.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
				t.Errorf("it dialled %s", addr)
				return nil, net.ErrClosed
			}
			w.submit(t, nil, to)
			w.run(t)
			if got := w.Inbox(w.alice); len(got) != 1 || !strings.Contains(got[0], "Status: 5.4.6\r\n") {
				t.Errorf("reports: %q", got)
			}
		})
	}
}

func TestOperatorMaySendMailToThisMachine(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "127.0.0.1", r)
	w.send.MayConnect = func(a netip.Addr) bool { return a.IsLoopback() }
	w.submit(t, nil, "dave@remote.test")
	w.run(t)
	if got := len(r.messages()); got != 1 {
		t.Errorf("%d messages arrived, want 1", got)
	}
}

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

// An exchanger that has no time after its greeting is passed over too (RFC 5321
// §5.1), and what one said for good is not asked of the next.
func TestBusyExchangerIsPassedOver(t *testing.T) {
	w := newWorld(t)
	busy, free := startRemote(t, nil), startRemote(t, nil)
	busy.rcpt["dave@remote.test"], busy.rcpt["gone@remote.test"] = err451, err550
	w.exchanger("remote.test", "192.0.2.10", busy)
	w.exchanger("remote.test", "192.0.2.11", free)
	w.submit(t, nil, "dave@remote.test", "gone@remote.test")
	w.run(t)
	got := free.messages()
	if len(got) != 1 || len(got[0].to) != 1 || got[0].to[0] != "dave@remote.test" || busy.sessions != 1 {
		t.Errorf("the next one got %+v after %d sessions with the first, want dave's after one", got, busy.sessions)
	}
	if reports := w.Inbox(w.alice); len(reports) != 1 || !strings.Contains(reports[0], "gone@remote.test") || strings.Contains(reports[0], "Final-Recipient: rfc822;dave") {
		t.Errorf("reports: %q", reports)
	}
}

// Who was taken by one exchanger is not sent to another.
func TestExchangerThatTookARecipientIsNotPassedOver(t *testing.T) {
	w := newWorld(t)
	first, second := startRemote(t, nil), startRemote(t, nil)
	first.rcpt["dave@remote.test"] = err451
	w.exchanger("remote.test", "192.0.2.10", first)
	w.exchanger("remote.test", "192.0.2.11", second)
	w.submit(t, nil, "erin@remote.test", "dave@remote.test")
	w.run(t)
	if got := first.messages(); len(got) != 1 || got[0].to[0] != "erin@remote.test" {
		t.Errorf("the first got %+v", got)
	}
	if got := second.messages(); len(got) != 1 || len(got[0].to) != 1 || got[0].to[0] != "dave@remote.test" {
		t.Errorf("the second got %+v", got)
	}
}

// What a process had in hand when it was killed goes out when the next one begins.
func TestMailInHandOfAKilledProcessIsSentAtOnce(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, nil, "dave@remote.test")
	connected := make(chan struct{})
	killed := &delivery.Sender{Service: w.Delivery, Resolver: w.zone, Dial: func(context.Context, string, string) (net.Conn, error) {
		close(connected)
		runtime.Goexit() // its goroutine goes, and settles nothing
		return nil, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- killed.Run(ctx) }()
	<-connected
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if left, err := w.Store.Pending(t.Context(), 1); err != nil || len(left) != 1 || !left[0].Next.After(time.Now().Add(time.Minute)) {
		t.Fatalf("queued %+v, %v, want one under a lease", left, err)
	}
	w.run(t)
	if got := len(r.messages()); got != 1 {
		t.Errorf("%d messages arrived, want 1", got)
	}
}
