package pgbus

import (
	"encoding/base64"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/freeport"
	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/steady"
	"lockstep/internal/store/sqlstore/pgtest"
)

func open(t testing.TB, url string) *Bus {
	t.Helper()
	b, err := Open(Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// connected waits until buses say that they are, or are not.
func connected(t testing.TB, is bool, buses ...*Bus) {
	t.Helper()
	for late := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		all := true
		for _, b := range buses {
			all = all && b.Stats().Connected == is
		}
		switch {
		case all:
			return
		case time.Now().After(late):
			t.Fatalf("connected is not %v", is)
		}
	}
}

func TestABusOverPostgreSQL(t *testing.T) {
	notifytest.Run(t, func(t *testing.T) func() notify.Bus {
		url := pgtest.Database(t)
		return func() notify.Bus {
			b := open(t, url)
			connected(t, true, b)
			return b
		}
	})
}

func TestNobodyHearsWhatIsSaidInAnotherDatabase(t *testing.T) {
	one, two := pgtest.Database(t), pgtest.Database(t)
	a, b, other := open(t, one), open(t, one), open(t, two)
	connected(t, true, a, b, other)
	heard := make(chan string, 10)
	for name, b := range map[string]*Bus{"b": b, "other": other} {
		if _, err := b.Receive("signin", func(string, []byte) { heard <- name }); err != nil {
			t.Fatal(err)
		}
	}
	a.Send("signin", nil)
	a.Send("signin", nil)
	for range 2 {
		if name := <-heard; name != "b" {
			t.Errorf("%s heard it", name)
		}
	}
}

// road is the way to a server, which can be cut.
type road struct {
	to   string
	at   string
	mu   sync.Mutex
	l    net.Listener
	open map[net.Conn]struct{}
}

func newRoad(t *testing.T, to string) *road {
	at, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	r := &road{to: to, at: at, open: map[net.Conn]struct{}{}}
	r.mend(t)
	t.Cleanup(r.cut)
	return r
}

func (r *road) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.l.Close()
	for c := range r.open {
		c.Close()
	}
	clear(r.open)
}

func (r *road) mend(t *testing.T) {
	l, err := net.Listen("tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.l, r.at = l, l.Addr().String()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			r.carry(c)
		}
	}()
}

func (r *road) carry(c net.Conn) {
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		c.Close()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c], r.open[far] = struct{}{}, struct{}{}
	for from, to := range map[net.Conn]net.Conn{c: far, far: c} {
		go func() {
			_, _ = io.Copy(to, from) // until either is closed
			to.Close()
		}()
	}
}

func TestAConnectionThatBreaksAndIsThereAgainIsAGap(t *testing.T) {
	at, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	r := newRoad(t, at.Host)
	direct := at.String()
	at.Host = r.at
	a, b, c := open(t, at.String()), open(t, at.String()), open(t, direct)
	connected(t, true, a, b, c)
	heard, gaps, there := make(chan string, 100), make(chan struct{}, 100), make(chan struct{}, 100)
	if _, err := b.Receive("signin", func(_ string, body []byte) { heard <- string(body) }); err != nil {
		t.Fatal(err)
	}
	b.OnGap(func() { gaps <- struct{}{} })
	a.Send("signin", []byte("before"))
	if got := <-heard; got != "before" {
		t.Fatal(got)
	}
	r.cut()
	connected(t, false, a, b)
	c.OnGap(func() { there <- struct{}{} })
	a.Send("signin", []byte("meanwhile"))
	r.mend(t)
	<-gaps
	<-there // who was connected all the time is told of what a may have lost
	connected(t, true, a, b)
	a.Send("signin", []byte("after"))
	for got := range heard {
		if got == "after" {
			break
		}
	}
}

func TestWhoIsNoLongerListenedToIsConnectedAgain(t *testing.T) {
	at := pgtest.Database(t)
	a, b := open(t, at), open(t, at)
	connected(t, true, a, b)
	gaps := make(chan struct{}, 100)
	b.OnGap(func() { gaps <- struct{}{} })
	c, err := pgconn.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep notify' AND datname = current_database()").Close(); err != nil {
		t.Fatal(err)
	}
	<-gaps
	connected(t, true, a, b)
}

func TestFramesCarryAllWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		var words []notify.Word
		for range r.IntN(400) {
			w := notify.Word{Topic: "account.1234567", Body: make([]byte, r.IntN(40))}
			if r.IntN(30) == 0 {
				w.Body = make([]byte, notify.MaxWord-r.IntN(3))
			}
			for i := range w.Body {
				w.Body[i] = byte(r.Uint32())
			}
			words = append(words, w)
		}
		gap := r.IntN(2) == 0
		payloads, last := pack(nodeID{7}, 100, gap, words)
		if last != 100+uint64(len(payloads)) {
			t.Fatalf("%d payloads end with %d", len(payloads), last)
		}
		var got []notify.Word
		for i, p := range payloads {
			f, ok := parse(p)
			if !ok || f.node != (nodeID{7}) || f.seq != 101+uint64(i) || f.gap != (gap && i == 0) {
				t.Fatalf("%.50s… is %+v, %v", p, f, ok)
			}
			got = append(got, f.words...)
		}
		if len(got) != len(words) {
			t.Fatalf("%d words became %d", len(words), len(got))
		}
		for i := range got {
			if got[i].Topic != words[i].Topic || string(got[i].Body) != string(words[i].Body) {
				t.Fatalf("%+v became %+v", words[i], got[i])
			}
		}
	}
	large := notify.Word{Topic: string(make([]byte, notify.MaxTopic)), Body: make([]byte, notify.MaxWord)}
	if payloads, _ := pack(nodeID{}, 1<<63, true, []notify.Word{large}); len(payloads) != 1 || len(payloads[0]) > maxPayload {
		t.Error("the largest word has no room in a frame")
	}
}

func FuzzParse(f *testing.F) {
	payloads, _ := pack(nodeID{1, 2, 3}, 700, true, []notify.Word{{Topic: "account.7", Body: []byte("x")}, {Topic: "signin"}})
	f.Add(payloads[0])
	f.Add("")
	f.Fuzz(func(t *testing.T, payload string) {
		is, ok := parse(payload)
		if !ok {
			return
		}
		again, _ := pack(is.node, is.seq-1, is.gap, is.words)
		if len(again) != 1 {
			return // written otherwise it was shorter
		}
		if f, ok := parse(again[0]); !ok || !reflect.DeepEqual(f, is) {
			t.Errorf("%+v became %+v, %v", is, f, ok)
		}
		if b, err := base64.RawStdEncoding.DecodeString(payload); err != nil || len(is.words) > len(b) {
			t.Errorf("%d words of %d bytes", len(is.words), len(b))
		}
	})
}

func BenchmarkBus(b *testing.B) {
	at := pgtest.Database(b)
	notifytest.Bench(b, func() notify.Bus {
		n := open(b, at)
		connected(b, true, n)
		return n
	})
}
