package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/eas/wbxml"
)

// connect opens a connection to a port of the server, and reads a line if the server
// speaks first.
func (s *server) connect(port string, greeting bool) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+s.ports[port], patience)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	if greeting {
		if _, err := in.ReadString('\n'); err != nil {
			s.t.Fatal(err)
		}
	}
	return c, in
}

// rest reads what comes until the server hangs up.
func rest(in io.Reader) string {
	b, _ := io.ReadAll(in)
	return string(b)
}

// httpAs is a request of Alice's.
func (s *server) httpAs(method, path string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://127.0.0.1:"+s.ports["http"]+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth(alice, password)
	return r
}

// Whoever is connected by whatever protocol is told in its words to go, what was under
// way is answered and kept, and the server ends well.
func TestADrainedServerLosesNobodysWork(t *testing.T) {
	s := newServer(t, "[cluster]\ndrain_notice = \"1s\"\ndrain_time = \"1h\"\n")
	s.start()
	s.addAccount(alice)

	idle, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.close()
	if _, err := idle.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(idle.c, "i IDLE\r\n")
	if l, err := idle.line(); err != nil || !strings.HasPrefix(l, "+") {
		t.Fatal(l, err)
	}
	_, pop := s.connect("pop3", true)
	_, smtp := s.connect("smtp", true)
	_, submission := s.connect("submission", true)
	lmtp, lmtpIn := s.connect("lmtp", true)
	for _, l := range []string{"LHLO mta.example.test", "MAIL FROM:<bob@example.test>", "RCPT TO:<alice@example.test>", "DATA"} {
		fmt.Fprintf(lmtp, "%s\r\n", l)
		for {
			answer, err := lmtpIn.ReadString('\n')
			if err != nil || answer[0] > '3' {
				t.Fatalf("%s: %q, %v", l, answer, err)
			}
			if answer[3] == ' ' {
				break
			}
		}
	}
	events, err := http.DefaultTransport.RoundTrip(s.httpAs("GET", "/jmap/eventsource/?types=*&closeafter=no&ping=0"))
	if err != nil || events.StatusCode != 200 {
		t.Fatal(events, err)
	}
	defer events.Body.Close()
	ws, _, err := websocket.Dial(t.Context(), "ws://127.0.0.1:"+s.ports["http"]+"/jmap/ws", &websocket.DialOptions{Subprotocols: []string{"jmap"}, HTTPHeader: s.httpAs("GET", "/").Header})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	phone := s.waitingPhone("one")
	ping := phone.ping()
	syncing := s.waitingPhone("two")
	synced := make(chan error, 1)
	go func() {
		e, last, err := syncing.ask("Sync", wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
			wbxml.Text(wbxml.AirSyncSyncKey, syncing.key), wbxml.Text(wbxml.AirSyncCollectionId, syncing.inbox))), wbxml.Int(wbxml.AirSyncHeartbeatInterval, 3540)))
		if err == nil && (e != nil || !last) {
			err = fmt.Errorf("answered with %v, the connection's end is %v", e, last)
		}
		synced <- err
	}()
	if !eventually(func() bool { return s.metric("http_waiting", "") == 4 }) {
		t.Fatalf("%d wait, want 4", s.metric("http_waiting", ""))
	}

	if got := s.get("/readyz"); got != "ok\n" {
		t.Errorf("ready before: %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	drain := exec.CommandContext(ctx, binary, "cluster", "drain", "--over", "1s", "--config", s.config)
	var told syncBuffer
	drain.Stdout, drain.Stderr = &told, &told
	if err := drain.Start(); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return s.get("/readyz") == "not ready: draining\n" }) {
		t.Errorf("the drain is not told: %q", s.get("/readyz"))
	}
	if live, well := s.get("/livez"), s.get("/healthz"); live != "ok\n" || well != "ok\n" {
		t.Errorf("a draining server lives and is well: %q, %q", live, well)
	}
	_, late := s.connect("imap", true) // balancers have not noticed yet

	for name, c := range map[string]struct {
		in   io.Reader
		want string
	}{
		"IDLE": {idle.r, "* BYE [UNAVAILABLE]"}, "IMAP that came late": {late, "* BYE [UNAVAILABLE]"}, "POP3": {pop, "-ERR [SYS/TEMP]"},
		"SMTP": {smtp, "421 4.3.2"}, "submission": {submission, "421 4.3.2"}, "EventSource": {events.Body, ""},
	} {
		if got := rest(c.in); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%s heard %q, want %q", name, got, c.want)
		}
	}
	readFor, stopReading := context.WithTimeout(t.Context(), patience)
	defer stopReading()
	if _, _, err := ws.Read(readFor); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket heard %v", err)
	}
	s.hears(ping, answered{status: "1", last: true})
	if err := <-synced; err != nil {
		t.Errorf("Sync with a wait: %v", err)
	}
	for _, port := range protocols {
		if c, err := net.Dial("tcp", "127.0.0.1:"+s.ports[port]); err == nil {
			c.Close()
			t.Errorf("%s is still taken", port)
		}
	}
	fmt.Fprintf(lmtp, "Subject: under way\r\n\r\ntext\r\n.\r\n") // the server waits for it
	if got := rest(lmtpIn); !strings.HasPrefix(got, "250 ") || !strings.Contains(got, "\r\n421 4.3.2") {
		t.Errorf("LMTP heard %q", got)
	}
	if err := drain.Wait(); err != nil {
		t.Errorf("cluster drain: %v\n%s", err, told.String())
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server did not end well: %v\n%s", err, s.log)
	}
	if !strings.Contains(told.String(), "All sessions have gone.\nThe server has ended.\n") {
		t.Errorf("it was told %q", told.String())
	}
	if out, err := lockstep("", "cluster", "drain", "--config", s.config); err == nil || !strings.Contains(out, "nothing to drain") {
		t.Errorf("without a server: %v, %s", err, out)
	}
	s.start()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if got, err := c.do("STATUS INBOX (MESSAGES)"); err != nil || !strings.Contains(strings.Join(got, ""), "MESSAGES 1") {
		t.Errorf("what was acknowledged: %q, %v", got, err)
	}
	s.stop()
}
