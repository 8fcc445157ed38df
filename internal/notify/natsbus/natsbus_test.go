package natsbus

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
)

// serve starts a NATS server; port 0 takes one that is free.
func serve(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not begin")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func open(t *testing.T, url string) *Bus {
	t.Helper()
	b, err := Open(url, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// connected waits until a bus says that it is.
func connected(t *testing.T, buses ...*Bus) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
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
		s := serve(t, &server.Options{})
		return func() notify.Bus {
			b := open(t, s.ClientURL())
			connected(t, b)
			return b
		}
	})
}

func TestTwoClustersShareAServer(t *testing.T) {
	s := serve(t, &server.Options{})
	ours, theirs := open(t, s.ClientURL()+"?prefix=mail.ours"), open(t, s.ClientURL()+"?prefix=mail.theirs")
	second := open(t, s.ClientURL()+"?prefix=mail.ours")
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
	s := serve(t, &server.Options{})
	port := s.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	a, b := open(t, s.ClientURL()), open(t, s.ClientURL())
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
	s.Shutdown()
	s.WaitForShutdown()
	for a.Stats().Connected || b.Stats().Connected {
		time.Sleep(time.Millisecond)
	}
	a.Send("signin", []byte("lost"))
	// What is listened to meanwhile is heard afterwards.
	late := make(chan string, 10)
	if _, err := b.Receive("limit", func(_ string, body []byte) { late <- string(body) }); err != nil {
		t.Fatal(err)
	}
	serve(t, &server.Options{Port: int(port)})
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
	s := serve(t, &server.Options{})
	url, port := s.ClientURL(), s.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	s.Shutdown()
	s.WaitForShutdown()
	a, b := open(t, url), open(t, url)
	gaps, heard := make(chan struct{}, 10), make(chan string, 10)
	b.OnGap(func() { gaps <- struct{}{} })
	if _, err := b.Receive("signin", func(_ string, body []byte) { heard <- string(body) }); err != nil {
		t.Fatal(err)
	}
	serve(t, &server.Options{Port: int(port)})
	<-gaps
	connected(t, a, b)
	a.Send("signin", []byte("x"))
	if got := <-heard; got != "x" {
		t.Error(got)
	}
}

func TestWhoIsRefusedIsToldAtOnce(t *testing.T) {
	s := serve(t, &server.Options{Username: "lockstep", Password: "right"})
	host := strings.TrimPrefix(s.ClientURL(), "nats://")
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
