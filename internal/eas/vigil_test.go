package eas

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// watched is a vigil over a mailbox that finds something once it is told to.
func watched(mb mail.MailboxID, ready *atomic.Bool, looks *atomic.Int32) *vigil {
	return &vigil{
		until: time.Now().Add(time.Hour), mailboxes: []mail.MailboxID{mb},
		look: func(*request, store.Reader, mail.News) (bool, error) {
			looks.Add(1)
			return ready.Load(), nil
		},
		tell: func(_ *request, found bool, err error) (*answer, error) {
			status := 1
			if found {
				status = 2
			}
			return &answer{root: wbxml.New(wbxml.PingPing, wbxml.Int(wbxml.PingStatus, status))}, err
		},
	}
}

// await keeps a request of the phone and returns its answer, when it comes.
func (p *phone) await(v *vigil) <-chan string {
	q, answered := p.request(), make(chan string, 1)
	q.cmd = command{name: "Ping", root: wbxml.PingPing}
	rec := httptest.NewRecorder()
	began := make(chan struct{})
	look := v.look
	v.look = func(q *request, r store.Reader, n mail.News) (bool, error) {
		select {
		case <-began:
		default:
			close(began)
		}
		return look(q, r, n)
	}
	go func() {
		p.w.server.keep(rec, q.http, q, v)
		if rec.Code != http.StatusOK {
			answered <- rec.Body.String()
			return
		}
		answered <- short(p.w.decode("Ping", rec.Body))
	}()
	<-began
	return answered
}

func heard(t *testing.T, answered <-chan string, want string) {
	t.Helper()
	select {
	case got := <-answered:
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	case <-time.After(steady.Patience):
		t.Fatalf("no answer; want %s", want)
	}
}

func waits(t *testing.T, answered <-chan string) {
	t.Helper()
	select {
	case got := <-answered:
		t.Fatalf("%s although it should wait", got)
	default:
	}
}

// until returns when something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(steady.Patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

const (
	expired = "Ping(Status=1)"
	changed = "Ping(Status=2)"
)

func TestAVigilHearsOfItsMailboxes(t *testing.T) {
	w := newTown(t)
	var ready atomic.Bool
	var looks atomic.Int32
	p := w.phone(v161)
	answer := p.await(watched(w.mailbox("INBOX").ID, &ready, &looks))
	w.put("Sent", "Subject: x\r\n\r\n")
	w.put("INBOX", "Subject: x\r\n\r\n") // of which the device need not hear
	until(t, "it looked again", func() bool { return looks.Load() >= 2 })
	waits(t, answer)
	if looks.Load() > 2 {
		t.Errorf("looked %d times, want once for each change of its own", looks.Load())
	}
	ready.Store(true)
	w.put("INBOX", "Subject: x\r\n\r\n")
	heard(t, answer, changed)
}

func TestAVigilThatFindsSomethingAtOnceDoesNotWait(t *testing.T) {
	w := newTown(t)
	var ready atomic.Bool
	var looks atomic.Int32
	ready.Store(true)
	heard(t, w.phone(v161).await(watched(1, &ready, &looks)), changed)
}

func TestAVigilEndsInTime(t *testing.T) {
	w := newTown(t)
	v := watched(1, new(atomic.Bool), new(atomic.Int32))
	v.until = time.Now().Add(20 * time.Millisecond)
	heard(t, w.phone(v161).await(v), expired)
}

func TestANewerVigilEndsTheOlder(t *testing.T) {
	w := newTown(t)
	p, other := w.phone(v161), w.phone(v161)
	other.id = "PHONE2"
	first := p.await(watched(1, new(atomic.Bool), new(atomic.Int32)))
	elsewhere := other.await(watched(1, new(atomic.Bool), new(atomic.Int32)))
	second := p.await(watched(1, new(atomic.Bool), new(atomic.Int32)))
	heard(t, first, expired)
	waits(t, second)
	waits(t, elsewhere)
	w.auth.EndAll(w.alice.Account, "signed out")
	heard(t, second, expired)
	heard(t, elsewhere, expired)
}

func TestALookThatFailsEndsTheVigil(t *testing.T) {
	w := newTown(t)
	v := watched(1, new(atomic.Bool), new(atomic.Int32))
	v.look = func(*request, store.Reader, mail.News) (bool, error) { return false, errors.New("broken") }
	heard(t, w.phone(v161).await(v), "Ping(Status=111)")
}

// A device that was signed out is told nothing, not even what was found before.
func TestWhoIsSignedOutIsToldNothing(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	var ready atomic.Bool
	ready.Store(true)
	heard(t, p.await(watched(w.mailbox("INBOX").ID, &ready, new(atomic.Int32))), changed)
	answer := p.await(watched(w.mailbox("INBOX").ID, &ready, new(atomic.Int32))) // found, and put off
	w.auth.EndAll(w.alice.Account, "signed out")
	heard(t, answer, expired)
}

// The first change after a quiet time wakes at once; what follows shares the next.
func TestWakesKeepTheirDistance(t *testing.T) {
	var p paces
	key := deviceKey{account: 1}
	p.begin(key, &watch{})
	at := time.Now()
	for i, c := range []struct {
		after, late time.Duration
		vain        bool
	}{
		{0, 0, false}, {100 * time.Millisecond, 200 * time.Millisecond, false}, {time.Second, 0, false},
		{time.Second, time.Second, true}, {3 * time.Second, time.Second, true}, {4500 * time.Millisecond, 3500 * time.Millisecond, true},
	} {
		if late, vain := p.wake(key, at.Add(c.after)); late != c.late || vain != c.vain {
			t.Errorf("wake %d: %v late, in vain %v; want %v, %v", i, late, vain, c.late, c.vain)
		}
	}
	for range 20 { // it is not slowed down without end
		at = p.all[key].woken
		if late, _ := p.wake(key, at); late > maxWakePause {
			t.Errorf("%v late", late)
		}
	}
	at = p.all[key].woken
	if late, _ := p.wake(key, at); late != maxWakePause {
		t.Errorf("%v late, want %v", late, maxWakePause)
	}
	p.brought(key)
	if late, vain := p.wake(key, p.all[key].woken.Add(time.Second)); late != 0 || vain {
		t.Errorf("%v late, in vain %v, although a Sync brought something", late, vain)
	}
}

// A phone that hangs up and asks again, because its owner does something, does not go
// in circles.
func TestWakesThatNobodyHeardDoNotCount(t *testing.T) {
	var p paces
	key := deviceKey{account: 1}
	p.begin(key, &watch{})
	at := time.Now()
	p.wake(key, at)
	for i := range 10 {
		late, vain := p.wake(key, at.Add(100*time.Millisecond))
		if late != 200*time.Millisecond || vain {
			t.Fatalf("wake %d: %v late, in vain %v", i, late, vain)
		}
		p.unheard(key)
	}
}

func TestQuietDevicesAreForgotten(t *testing.T) {
	var p paces
	p.begin(deviceKey{account: 1}, &watch{})
	for i := range 5000 {
		p.begin(deviceKey{account: 2, device: mail.DeviceID(i)}, &watch{})()
	}
	if len(p.all) > 1001 {
		t.Errorf("%d devices are remembered", len(p.all))
	}
	if p.all[deviceKey{account: 1}] == nil {
		t.Error("one that waits was forgotten")
	}
}

func TestWhatBringsSomethingIsTold(t *testing.T) {
	collection := func(child wbxml.Tag) *wbxml.Element {
		return wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection), wbxml.New(wbxml.AirSyncCollection, wbxml.New(child))))
	}
	folders := func(n int) *wbxml.Element {
		return wbxml.New(wbxml.FolderFolderSync, wbxml.New(wbxml.FolderChanges, wbxml.Int(wbxml.FolderCount, n)))
	}
	for _, c := range []struct {
		root *wbxml.Element
		want bool
	}{
		{nil, false}, {collection(wbxml.AirSyncCommands), true}, {collection(wbxml.AirSyncMoreAvailable), true}, {collection(wbxml.AirSyncResponses), false},
		{folders(0), false}, {folders(2), true}, {wbxml.New(wbxml.PingPing), false},
	} {
		if got := brings(c.root); got != c.want {
			t.Errorf("%s: %v", short(c.root), got)
		}
	}
}

// Devices that wait hold no goroutine, and a few kilobytes with all that belongs to
// them but their connection.
func TestVigilsCostLittle(t *testing.T) {
	w := newTown(t)
	w.server.init()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var waiting atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	inbox := w.mailbox("INBOX").ID
	var ready atomic.Bool
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		q := &query{version: v161, deviceID: strings.Clone(r.Header.Get("Device")), deviceType: "SmartPhone"}
		sess, err := w.server.signIn(r, q)
		if err != nil {
			t.Error(err)
			return
		}
		w.server.keep(rw, r, &request{query: q, srv: w.server, ctx: r.Context(), http: r, sess: sess, cmd: command{name: "Ping", root: wbxml.PingPing}}, watched(inbox, &ready, new(atomic.Int32)))
	})}
	go func() {
		served <- longpoll.Serve(ctx, srv, longpoll.Listen(inner, longpoll.Options{Waiting: &waiting}), time.Second)
	}()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	const n = 40 // the devices that an account may have are bounded
	var conns []net.Conn
	before := 0
	for range n + 1 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r, _ := http.NewRequest("POST", "http://x"+Path, nil)
		r.SetBasicAuth(login, password)
		r.Header.Set("Device", "PHONE"+strings.Repeat("x", len(conns)%20)+string(rune('a'+len(conns)/20)))
		r.Write(c)
		conns = append(conns, c)
		until(t, "it waits", func() bool { return waiting.Load() == int64(len(conns)) })
		if len(conns) == 1 {
			before = runtime.NumGoroutine()
		}
	}
	until(t, "no goroutine waits", func() bool { return runtime.NumGoroutine() <= before+2 })
	ready.Store(true)
	w.put("INBOX", "Subject: x\r\n\r\n")
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(steady.Patience))
		head := make([]byte, 12)
		if _, err := c.Read(head); err != nil || string(head) != "HTTP/1.1 200" {
			t.Fatalf("%q, %v", head, err)
		}
	}
}
