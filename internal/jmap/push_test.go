package jmap

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/auth/authtest"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// wire is a town's server on a real listener.
type wire struct {
	*town
	addr    string
	secure  bool
	waiting atomic.Int64
	stop    func() // and wait
}

var testTLS = sync.OnceValue(func() *tls.Config {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	c := srv.TLS.Clone()
	c.NextProtos = nil
	return c
})

func (w *town) listen(secure bool) *wire {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.T.Fatal(err)
	}
	x := &wire{town: w, addr: l.Addr().String(), secure: secure}
	o := longpoll.Options{Waiting: &x.waiting, Lateness: 10 * time.Millisecond, Spread: 50 * time.Millisecond}
	if secure {
		o.TLS = testTLS()
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- longpoll.Serve(ctx, &http.Server{Handler: w.server}, longpoll.Listen(l, o), time.Second)
	}()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			w.T.Error(err)
		}
	})
	w.T.Cleanup(x.stop)
	return x
}

// dial connects.
func (x *wire) dial() net.Conn {
	x.T.Helper()
	c, err := net.Dial("tcp", x.addr)
	if err != nil {
		x.T.Fatal(err)
	}
	if x.secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	c.SetDeadline(time.Now().Add(steady.Patience))
	x.T.Cleanup(func() { c.Close() })
	return c
}

const basic = "Authorization: Basic "

func credentials() string {
	return basic + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

// listener is a client that hears events.
type listener struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
	id string // of the last event
}

// events begins to listen; more are header lines.
func (x *wire) events(query string, more ...string) *listener {
	x.T.Helper()
	c := x.dial()
	fmt.Fprintf(c, "GET %s?%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", eventSourcePath, query, strings.Join(append(more, credentials()), "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		x.T.Fatal(r, err)
	}
	return &listener{Conn: c, t: x.T, in: bufio.NewReader(r.Body)}
}

// event reads the next one.
func (l *listener) event() (name, data string) {
	l.t.Helper()
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			l.t.Fatal(err)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			data = value
		case "id":
			l.id = value
		case "":
			return name, data
		}
	}
}

// states reads a StateChange about Alice's account.
func (l *listener) states(account string) map[string]string {
	l.t.Helper()
	name, data := l.event()
	var sc stateChange
	if err := json.Unmarshal([]byte(data), &sc); err != nil || name != "state" || sc.Type != "StateChange" || len(sc.Changed) != 1 {
		l.t.Fatalf("%s %s: %v", name, data, err)
	}
	return sc.Changed[account]
}

func (w *town) state(t mail.Type) (s string) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		a, err := r.Account()
		s = stateOf(a, t)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return s
}

func (w *town) mark(p mail.Placement, flag string, on bool) {
	w.T.Helper()
	w.change(func(tx store.Tx) error {
		c := mail.FlagChange{Add: flags(w.T, flag)}
		if !on {
			c.Add, c.Remove = c.Remove, c.Add
		}
		_, err := tx.StoreFlags(p.Mailbox, mail.AllUIDs, c, nil)
		return err
	})
}

func onBoth(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Run("plain", func(t *testing.T) { test(t, false) })
	t.Run("TLS", func(t *testing.T) { test(t, true) })
}

func TestEventsTellWhatChanged(t *testing.T) {
	onBoth(t, func(t *testing.T, secure bool) {
		w := newTown(t)
		p := w.put("INBOX", letter)
		x := w.listen(secure)
		all, mailboxes := x.events("types=*&closeafter=no&ping=0"), x.events("types=Mailbox,Nothing&closeafter=no&ping=0")
		w.mark(p, `\Flagged`, true)
		got := all.states(w.account)
		if got["Email"] != w.state(mail.TypeEmail) || got["EmailDelivery"] != "" || got["Mailbox"] != "" {
			t.Errorf("a flag: %v", got)
		}
		w.put("INBOX", letter)
		got = all.states(w.account)
		if got["Email"] != w.state(mail.TypeEmail) || got["EmailDelivery"] == "" || got["Mailbox"] != w.state(mail.TypeMailbox) || got["Thread"] != w.state(mail.TypeThread) {
			t.Errorf("a message: %v", got)
		}
		got = mailboxes.states(w.account) // which slept through the flag
		if got["Mailbox"] != w.state(mail.TypeMailbox) || len(got) != 1 {
			t.Errorf("Mailbox alone: %v", got)
		}
	})
}

func TestEventsCatchUp(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	x := w.listen(false)
	l := x.events("types=Email,EmailDelivery,Mailbox&closeafter=no&ping=0")
	w.mark(p, `\Flagged`, true)
	l.states(w.account)
	id := l.id
	l.Close()
	w.mark(p, `\Flagged`, false)
	l = x.events("types=Email,EmailDelivery,Mailbox&closeafter=no&ping=0", "Last-Event-ID: "+id)
	if got := l.states(w.account); len(got) != 1 || got["Email"] != w.state(mail.TypeEmail) {
		t.Errorf("after a flag: %v", got)
	}
	for _, id := range []string{"nonsense", "7.1", "0.99999"} {
		l = x.events("types=Email,EmailDelivery,Mailbox&closeafter=no&ping=0", "Last-Event-ID: "+id)
		if got := l.states(w.account); len(got) != 3 {
			t.Errorf("after %s: %v", id, got)
		}
	}
	w.put("INBOX", letter)
	l = x.events("types=EmailDelivery&closeafter=no&ping=0", "Last-Event-ID: "+id)
	if got := l.states(w.account); got["EmailDelivery"] == "" {
		t.Errorf("after mail: %v", got)
	}
}

func TestCloseAfterState(t *testing.T) {
	onBoth(t, func(t *testing.T, secure bool) {
		w := newTown(t)
		p := w.put("INBOX", letter)
		l := w.listen(secure).events("types=*&closeafter=state&ping=0")
		w.mark(p, `\Flagged`, true)
		l.states(w.account)
		if rest, err := io.ReadAll(l.in); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		// The connection serves the next request.
		fmt.Fprintf(l, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", sessionPath, credentials())
		if r, err := http.ReadResponse(bufio.NewReader(l.Conn), nil); err != nil || r.StatusCode != 200 {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func TestPings(t *testing.T) {
	w := newTown(t)
	w.server.Limits = Limits{MinPing: time.Second}
	l := w.listen(false).events("types=*&closeafter=no&ping=1")
	if name, data := l.event(); name != "ping" || data != `{"interval":1}` {
		t.Errorf("%s %s", name, data)
	}
	e := &eventSource{srv: w.server}
	for asked, want := range map[string]time.Duration{"0": 0, "": 0, "1": time.Second, "100": 100 * time.Second, "99999999999999": maxPing} {
		e.ping = 0
		r := httptest.NewRequest("GET", eventSourcePath+"?ping="+asked, nil)
		if wrong := e.parse(r); wrong != nil || e.ping != want {
			t.Errorf("%q: %v %v, want %v", asked, e.ping, wrong, want)
		}
	}
}

func TestWhatAnEventSourceRefuses(t *testing.T) {
	w := newTown(t)
	w.server.Limits = Limits{Pushes: 1}
	for query, want := range map[string]int{"closeafter=never": 400, "ping=-1": 400, "ping=x": 400, "types=*": 503 /* no connection */} {
		if rec := w.do("GET", eventSourcePath+"?"+query, "", nil); rec.Code != want {
			t.Errorf("%s: HTTP %d, want %d", query, rec.Code, want)
		}
	}
	if rec := w.do("HEAD", eventSourcePath, "", nil); rec.Code != 200 {
		t.Errorf("HEAD: HTTP %d", rec.Code)
	}
	x := w.listen(false)
	first := x.events("types=*")
	c := x.dial()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", eventSourcePath, credentials())
	if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != 429 {
		t.Errorf("one too many: %v, %v", r, err)
	}
	first.Close()
	x.await("room again", func() bool {
		w.server.rooms.mu.Lock()
		defer w.server.rooms.mu.Unlock()
		return len(w.server.rooms.inside) == 0
	})
	x.events("types=*")
}

func (x *wire) await(what string, so func() bool) {
	x.T.Helper()
	for end := time.Now().Add(steady.Patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			x.T.Fatalf("never: %s", what)
		}
	}
}

func TestSignedOutMeansNoMoreEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, secure bool) {
		w := newTown(t)
		there := authtest.Beside(t, w.Store, w.auth)
		x := w.listen(secure)
		l := x.events("types=*&closeafter=no&ping=0")
		x.await("it waits", func() bool { return x.waiting.Load() == 1 })
		if err := there.SetDisabled(t.Context(), w.alice.Account, true); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(l.in); err == nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestEventsEndWhenTheServerStops(t *testing.T) {
	w := newTown(t)
	x := w.listen(false)
	l := x.events("types=*&closeafter=no&ping=0")
	go x.stop()
	if rest, err := io.ReadAll(l.in); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// Many listen while many change: whoever listens is told a state that is no older than
// the last change, whatever came together.
func TestNoChangeIsLostToAListener(t *testing.T) {
	w := newTown(t)
	x := w.listen(true)
	const listeners, writers, changes = 20, 4, 25
	var all []*listener
	for range listeners {
		all = append(all, x.events("types=Email,EmailDelivery&closeafter=no&ping=0"))
	}
	next := make([]func() map[string]string, 0, 2*listeners)
	for _, l := range all {
		next = append(next, func() map[string]string { return l.states(w.account) })
	}
	for range listeners / 2 {
		k := x.talk()
		k.send(`{"@type":"WebSocketPushEnable","dataTypes":["Email","EmailDelivery"]}`)
		k.send(echo("a", ""))
		k.reply()
		next = append(next, func() map[string]string { return k.reply().Changed[w.account] })
	}
	var writing sync.WaitGroup
	var last atomic.Uint64
	for range writers {
		a, err := w.Delivery.Ingest(t.Context(), strings.NewReader(letter))
		if err != nil {
			t.Fatal(err)
		}
		inbox := w.mailbox("INBOX").ID
		writing.Go(func() {
			for range changes {
				n, err := w.Store.Update(t.Context(), w.alice.Account, deliverytest.By, func(tx store.Tx) error {
					_, err := tx.Append(inbox, a)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				for old := last.Load(); old < uint64(n) && !last.CompareAndSwap(old, uint64(n)); old = last.Load() {
				}
			}
		})
	}
	var hearing sync.WaitGroup
	finished := make(chan struct{})
	go func() { writing.Wait(); close(finished) }()
	for i, states := range next {
		hearing.Go(func() {
			told := mail.Token{}
			for {
				states := states()
				now, ok := mail.ParseToken(states["Email"])
				if !ok || now.ModSeq <= told.ModSeq || states["EmailDelivery"] != states["Email"] {
					t.Errorf("listener %d: %v after %v", i, states, told)
					return
				}
				told = now
				if now.ModSeq == writers*changes+firstOf(w) {
					<-finished
					if uint64(now.ModSeq) != last.Load() {
						t.Errorf("told %d, last %d", now.ModSeq, last.Load())
					}
					return
				}
			}
		})
	}
	hearing.Wait()
}

// firstOf is the account's head before anything was put into it.
func firstOf(w *town) mail.ModSeq {
	fresh := newTown(w.T)
	var a mail.Account
	err := fresh.Store.View(w.T.Context(), fresh.alice.Account, func(r store.Reader) (err error) {
		a, err = r.Account()
		return err
	})
	if err != nil {
		w.T.Error(err)
	}
	return a.Head
}

// memory is what is in use of heap and stacks.
func memory() int64 {
	for range 3 { // stacks shrink by half at each collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// A thousand who listen cost some kilobytes each, and no goroutine. The clients are in
// the same process, and what they take is taken off.
func TestListenersCostLittle(t *testing.T) {
	if racing || testing.Short() {
		t.Skip("a thousand connections; and the race detector needs memory of its own")
	}
	const n = 1000
	for _, c := range []struct {
		name, request string
		bound         int64
	}{
		{"event sources", "GET " + eventSourcePath + "?types=*&closeafter=no&ping=300 HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n\r\n", 10 << 10},
		{"WebSockets", handshake("") + string(frame(0x81, `{"@type":"WebSocketPushEnable","dataTypes":null}`)), 10 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t)
			w.server.Limits = Limits{Pushes: n + 1}
			x := w.listen(true)
			conns := make([]net.Conn, 0, n+1)
			before, goroutines := int64(0), 0
			for i := range n + 1 {
				conn := x.dial()
				io.WriteString(conn, c.request)
				conns = append(conns, conn)
				x.await("it waits", func() bool { return x.waiting.Load() == int64(i+1) })
				if i == 0 {
					before, goroutines = memory(), runtime.NumGoroutine()
				}
			}
			each := (memory()-before)/n - clientTLS
			t.Logf("%d bytes each, %d goroutines more", each, runtime.NumGoroutine()-goroutines)
			if each > c.bound {
				t.Errorf("%d bytes each, want at most %d", each, c.bound)
			}
			x.await("no goroutine waits", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
			runtime.KeepAlive(conns)
		})
	}
}

// clientTLS is what the client of a TLS connection takes in this process.
const clientTLS = 8 << 10

// Among nodes news come that say no more than to look: told is what changed, no more, and
// nothing that came before them and was not heard of.
func TestNewsThatSayLook(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	f, err := w.server.follow(t.Context(), store.Principal{ID: w.alice.ID, Account: w.alice.Account}, pushTypesOf(nil), "")
	if err != nil {
		t.Fatal(err)
	}
	hear := func(news ...mail.News) map[string]string {
		var h heard
		for _, n := range news {
			h.hear(n)
		}
		states, err := f.lookAt(t.Context(), w.server, h.take())
		if err != nil {
			t.Fatal(err)
		}
		return states
	}
	look := func() mail.News { return mail.LookNews(w.head(), time.Now()) }
	if got := hear(look()); got != nil {
		t.Errorf("nothing happened, and told is %v", got)
	}
	w.mark(p, `\Flagged`, true)
	lost := w.state(mail.TypeEmail)
	w.must("Mailbox/set", `{"accountId":"`+w.account+`","create":{"a":{"name":"A"}}}`, &struct{}{})
	if got := hear(look()); len(got) != 2 || got["Email"] != lost || got["Mailbox"] != w.state(mail.TypeMailbox) {
		t.Errorf("a flag and a mailbox: %v", got)
	}
	if got := hear(look(), look()); got != nil {
		t.Errorf("again: %v", got)
	}
}
