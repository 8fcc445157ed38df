package natsbus

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/natsbus/natstest"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/steady"
)

func open(t testing.TB, url string) *Bus {
	t.Helper()
	b, err := Open(url, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// connected waits until a bus says that it is.
func connected(t testing.TB, buses ...*Bus) {
	t.Helper()
	for late := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		all := true
		for _, b := range buses {
			all = all && b.Stats().Connected
		}
		switch {
		case all:
			return
		case time.Now().After(late):
			t.Fatal("not connected")
		}
	}
}

func TestABusOverNATS(t *testing.T) {
	notifytest.Run(t, func(t *testing.T) func() notify.Bus {
		s := natstest.Start(t, nil)
		return func() notify.Bus {
			b := open(t, s.URL)
			connected(t, b)
			return b
		}
	})
}

func TestTwoClustersShareAServer(t *testing.T) {
	s := natstest.Start(t, nil)
	ours, theirs := open(t, s.URL+"?prefix=mail.ours"), open(t, s.URL+"?prefix=mail.theirs")
	second := open(t, s.URL+"?prefix=mail.ours")
	connected(t, ours, theirs, second)
	heard := make(chan string, 10)
	for name, b := range map[string]*Bus{"second": second, "theirs": theirs} {
		if _, err := b.Receive("account.>", func(topic string, _ []byte) { heard <- name + " " + topic }); err != nil {
			t.Fatal(err)
		}
	}
	ours.Send("account.7", nil)
	if got := <-heard; got != "second account.7" {
		t.Error(got)
	}
	theirs.Send("account.8", nil) // to nobody
	ours.Send("account.9", nil)
	if got := <-heard; got != "second account.9" {
		t.Error(got)
	}
}

func TestAServerThatDiesAndComesBackIsAGap(t *testing.T) {
	s := natstest.Start(t, nil)
	a, b := open(t, s.URL), open(t, s.URL)
	connected(t, a, b)
	heard, gaps := make(chan string, 100), make(chan struct{}, 100)
	if _, err := b.Receive("signin", func(_ string, body []byte) { heard <- string(body) }); err != nil {
		t.Fatal(err)
	}
	b.OnGap(func() { gaps <- struct{}{} })
	a.Send("signin", []byte("before"))
	if got := <-heard; got != "before" {
		t.Fatal(got)
	}
	for len(gaps) > 0 {
		<-gaps
	}
	s.Stop()
	for a.Stats().Connected || b.Stats().Connected {
		time.Sleep(time.Millisecond)
	}
	a.Send("signin", []byte("lost"))
	// What is listened to meanwhile is heard afterwards.
	late := make(chan string, 10)
	if _, err := b.Receive("limit", func(_ string, body []byte) { late <- string(body) }); err != nil {
		t.Fatal(err)
	}
	s.Again()
	<-gaps
	connected(t, a, b)
	a.Send("signin", []byte("after"))
	a.Send("limit", []byte("after"))
	if got := <-heard; got != "after" {
		t.Errorf("heard %q", got)
	}
	if got := <-late; got != "after" {
		t.Errorf("heard %q", got)
	}
	if d := a.Stats().Dropped; d != 1 {
		t.Errorf("%d words counted as dropped", d)
	}
}

func TestTheServerMayComeAfterTheNodes(t *testing.T) {
	s := natstest.Start(t, nil)
	s.Stop()
	a, b := open(t, s.URL), open(t, s.URL)
	gaps, heard := make(chan struct{}, 10), make(chan string, 10)
	b.OnGap(func() { gaps <- struct{}{} })
	if _, err := b.Receive("signin", func(_ string, body []byte) { heard <- string(body) }); err != nil {
		t.Fatal(err)
	}
	s.Again()
	<-gaps
	connected(t, a, b)
	a.Send("signin", []byte("x"))
	if got := <-heard; got != "x" {
		t.Error(got)
	}
}

func TestWhoIsRefusedIsToldAtOnce(t *testing.T) {
	s := natstest.Start(t, &server.Options{Username: "lockstep", Password: "right"})
	host := strings.TrimPrefix(s.URL, "nats://")
	for _, as := range []string{"", "lockstep:wrong@", "token@"} {
		b, err := Open("nats://"+as+host, "test", slog.New(slog.DiscardHandler))
		if err == nil {
			b.Close()
			t.Errorf("as %q we are let in", as)
		} else if strings.Contains(err.Error(), "wrong") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	connected(t, open(t, "nats://lockstep:right@"+host))
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	connected(t, open(t, "nats://lockstep@"+host+"?password_file="+file))
}

func TestURLsOfServers(t *testing.T) {
	for url, want := range map[string]string{
		"nats://127.0.0.1:4222":                                     "",
		"nats://user:pass@a.example:4222,nats://b.example:4222":     "",
		"tls://a.example?ca=/etc/ca.pem&prefix=mail.one":            "",
		"nats://a.example?creds=/etc/lockstep/nats.creds":           "",
		"nats://user@a.example?password_file=/etc/lockstep/nats":    "",
		"http://a.example":                                          `begins with "http"`,
		"a.example:4222":                                            "begins with",
		"nats://":                                                   "no host",
		"nats://a.example/path":                                     "behind the host",
		"nats://a.example?jetstream=yes":                            "no option",
		"nats://a.example?prefix=":                                  "be something",
		"nats://a.example?prefix=a.>":                               "prefix",
		"nats://a.example?prefix=a..b":                              "prefix",
		"nats://a.example?cert=/x":                                  "go together",
		"nats://u:p@a.example?creds=/x":                             "leave the user out",
		"nats://u:p@a.example?password_file=/x":                     "password_file goes with",
		"nats://a.example?password_file=/x":                         "password_file goes with",
		"nats://a.example,nats://u:p@b.example":                     "with the first server",
		"nats://a.example?prefix=a&prefix=b":                        "said once",
		"nats://a.example:99999999999999999999999999/%zz?creds=%zz": "no URL",
	} {
		err := Check(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A node has a subscription for each account that somebody watches, and one by which it
// hears of gaps.
func TestTheServerKeepsOnlyWhatIsWatched(t *testing.T) {
	s := natstest.Start(t, nil)
	b := open(t, s.URL)
	connected(t, b)
	before := s.Subscriptions()
	var h notify.Hub
	leave, err := h.Join(b, func(context.Context, mail.AccountID) (mail.ModSeq, error) { return 1, nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan mail.AccountID, 200)
	for a := range mail.AccountID(100) {
		for range 2 {
			defer h.Watch(a+1, func(mail.News) { told <- a })()
		}
	}
	for inForce := map[mail.AccountID]bool{}; len(inForce) < 100; { // that it is, is told; to a second only if it was there already
		inForce[<-told] = true
	}
	if n := s.Subscriptions() - before; n != 100 {
		t.Errorf("%d subscriptions for 100 accounts", n)
	}
	leave()
	if err := b.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := s.Subscriptions() - before; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func BenchmarkBus(b *testing.B) {
	s := natstest.Start(b, nil)
	notifytest.Bench(b, func() notify.Bus {
		n := open(b, s.URL)
		connected(b, n)
		return n
	})
}
