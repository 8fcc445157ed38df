package jmap

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"lockstep/internal/auth/authtest"
	"lockstep/internal/jmap/websocket"
	"lockstep/internal/mail"
)

// talk is a client that speaks JMAP over a WebSocket.
type talk struct {
	*coder.Conn
	t   testing.TB
	ctx context.Context
}

func (x *wire) talk() *talk {
	x.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	x.T.Cleanup(cancel)
	scheme := "ws"
	if x.secure {
		scheme = "wss"
	}
	dialer := &http.Client{Transport: &http.Transport{
		DialContext:    func(context.Context, string, string) (net.Conn, error) { return x.dial(), nil },
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return x.dial(), nil },
	}}
	c, _, err := coder.Dial(ctx, scheme+"://"+x.addr+webSocketPath, &coder.DialOptions{
		HTTPClient: dialer, Subprotocols: []string{"jmap"}, HTTPHeader: http.Header{"Authorization": {strings.TrimPrefix(credentials(), "Authorization: ")}},
	})
	if err != nil {
		x.T.Fatal(err)
	}
	c.SetReadLimit(1 << 30)
	x.T.Cleanup(func() { c.CloseNow() })
	return &talk{c, x.T, ctx}
}

func (k *talk) send(text string) {
	k.t.Helper()
	if err := k.Write(k.ctx, coder.MessageText, []byte(text)); err != nil {
		k.t.Fatal(err)
	}
}

// hears reads the next message into a value and returns its text.
func (k *talk) hears(into any) string {
	k.t.Helper()
	_, b, err := k.Read(k.ctx)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		k.t.Fatalf("%s: %v", b, err)
	}
	return string(b)
}

// reply is any message of the server's.
type reply struct {
	Type            string `json:"@type"`
	RequestID       *string
	MethodResponses []json.RawMessage
	SessionState    string
	Error           string `json:"type"`
	Limit           string
	Changed         map[string]map[string]string
	PushState       string
}

func (k *talk) reply() (r reply) {
	k.t.Helper()
	k.hears(&r)
	return r
}

func echo(id, payload string) string {
	return `{"@type":"Request","id":"` + id + `","using":["` + core + `"],"methodCalls":[["Core/echo",{"x":"` + payload + `"},"c"]]}`
}

func TestRequestsOverAWebSocket(t *testing.T) {
	onBoth(t, func(t *testing.T, secure bool) {
		w := newTown(t)
		x := w.listen(secure)
		k := x.talk()
		for _, payload := range []string{"short", strings.Repeat("y", 70_000), strings.Repeat("z", 1<<20)} {
			x.await("it waits", func() bool { return x.waiting.Load() == 1 })
			k.send(echo("R1", payload))
			got := k.reply()
			if got.Type != "Response" || got.RequestID == nil || *got.RequestID != "R1" || got.SessionState == "" || len(got.MethodResponses) != 1 || !strings.Contains(string(got.MethodResponses[0]), payload) {
				t.Errorf("%d bytes: %+.200v", len(payload), got)
			}
		}
		if err := k.Ping(k.readsMeanwhile()); err != nil {
			t.Error(err)
		}
	})
}

// readsMeanwhile has a goroutine read what is not of interest.
func (k *talk) readsMeanwhile() context.Context { return k.CloseRead(k.ctx) }

func TestWrongMessagesAreToldWhatIsWrong(t *testing.T) {
	w := newTown(t)
	w.server.Limits = Limits{Request: 100_000}
	k := w.listen(false).talk()
	for text, want := range map[string]string{
		`{`:                        "notJSON null",
		`[]`:                       "notRequest null",
		`{"@type":"Other"}`:        "notRequest null",
		`{"using":[],"id":"a"}`:    "notRequest a",
		`{"@type":7}`:              "notRequest null",
		`{"@type":"Request"}`:      "notRequest null",
		`{"@type":"a","@type":""}`: "notJSON null",
		`{"@type":"Request","id":"b","using":["urn:none"],"methodCalls":[]}`: "unknownCapability b",
		"\xff": "notJSON null",
	} {
		k.send(text)
		got := k.reply()
		id := "null"
		if got.RequestID != nil {
			id = *got.RequestID
		}
		if said := strings.TrimPrefix(got.Error, problemPrefix) + " " + id; got.Type != "RequestError" || said != want {
			t.Errorf("%s: %+v, want %s", text, got, want)
		}
	}
	k.send(echo("big", strings.Repeat("x", 100_000)))
	if got := k.reply(); got.Limit != "maxSizeRequest" {
		t.Errorf("%+v", got)
	}
	if _, _, err := k.Read(k.ctx); coder.CloseStatus(err) != coder.StatusMessageTooBig {
		t.Errorf("%v", err)
	}
}

func TestPushesOverAWebSocket(t *testing.T) {
	onBoth(t, func(t *testing.T, secure bool) {
		w := newTown(t)
		p := w.put("INBOX", letter)
		x := w.listen(secure)
		k := x.talk()
		w.mark(p, `\Flagged`, true) // of which nobody wants to hear
		k.send(`{"@type":"WebSocketPushEnable","dataTypes":["Mailbox"]}`)
		k.send(echo("a", ""))
		k.reply()
		w.mark(p, `\Flagged`, false) // nor of this
		w.put("INBOX", letter)
		got := k.reply()
		if got.Type != "StateChange" || len(got.Changed[w.account]) != 1 || got.Changed[w.account]["Mailbox"] != w.state(mail.TypeMailbox) || got.PushState == "" {
			t.Errorf("%+v", got)
		}
		w.mark(p, `\Flagged`, true)
		k.send(`{"@type":"WebSocketPushEnable","dataTypes":null,"pushState":"` + got.PushState + `"}`)
		if got := k.reply(); len(got.Changed[w.account]) != 1 || got.Changed[w.account]["Email"] != w.state(mail.TypeEmail) {
			t.Errorf("missed: %+v", got)
		}
		k.send(`{"@type":"WebSocketPushDisable"}`)
		k.send(echo("b", ""))
		k.reply()
		w.mark(p, `\Flagged`, false)
		k.send(echo("c", ""))
		if got := k.reply(); got.RequestID == nil || *got.RequestID != "c" {
			t.Errorf("%+v", got)
		}
	})
}

func TestASignedOutWebSocketEnds(t *testing.T) {
	w := newTown(t)
	there := authtest.Beside(t, w.Store, w.auth)
	x := w.listen(true)
	k := x.talk()
	x.await("it waits", func() bool { return x.waiting.Load() == 1 })
	if err := there.SetDisabled(t.Context(), w.alice.Account, true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Read(k.ctx); err == nil {
		t.Error("it goes on")
	}
	x.await("nothing is held", func() bool {
		w.server.rooms.mu.Lock()
		defer w.server.rooms.mu.Unlock()
		return len(w.server.rooms.inside) == 0
	})
}

func TestAWebSocketSaysThatTheServerStops(t *testing.T) {
	w := newTown(t)
	x := w.listen(false)
	k := x.talk()
	x.await("it waits", func() bool { return x.waiting.Load() == 1 })
	go x.stop()
	if _, _, err := k.Read(k.ctx); coder.CloseStatus(err) != coder.StatusGoingAway {
		t.Errorf("%v", err)
	}
}

// handshake is a client's, with what else it says.
func handshake(more string) string {
	return "GET " + webSocketPath + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		base64.StdEncoding.EncodeToString(make([]byte, 16)) + "\r\nSec-WebSocket-Protocol: jmap\r\n" + credentials() + "\r\n" + more + "\r\n"
}

// frame is a client's, with a mask of zeros.
func frame(first byte, payload string) []byte {
	b := websocket.AppendHeader(nil, websocket.Text, len(payload))
	b[0], b[1] = first, b[1]|0x80
	return append(append(b, 0, 0, 0, 0), payload...)
}

// closing reads until the close frame and returns its code; 0 when there is none.
func closing(t *testing.T, c net.Conn) int {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	for i := 0; i+3 < len(b); i++ {
		if b[i] == 0x88 && int(b[i+1]) == len(b)-i-2 {
			return int(b[i+2])<<8 | int(b[i+3])
		}
	}
	return 0
}

func TestMessagesInParts(t *testing.T) {
	onBoth(t, func(t *testing.T, secure bool) {
		w := newTown(t)
		x := w.listen(secure)
		c := x.dial()
		io.WriteString(c, handshake("")+string(frame(0x01, echo("early", strings.Repeat("x", 100))[:20]))) // with the handshake
		in := bufio.NewReader(c)
		if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		x.await("it waits", func() bool { return x.waiting.Load() == 1 })
		c.Write(frame(0x89, "are you there")) // a ping in between
		pong := make([]byte, 15)
		if _, err := io.ReadFull(in, pong); err != nil || string(pong) != "\x8a\x0dare you there" {
			t.Fatalf("%q, %v", pong, err)
		}
		c.Write(frame(0x00, echo("early", strings.Repeat("x", 100))[20:30]))
		c.Write(frame(0x80, echo("early", strings.Repeat("x", 100))[30:]))
		head := make([]byte, 4)
		if _, err := io.ReadFull(in, head); err != nil || head[0] != 0x81 || head[1] != 126 {
			t.Fatalf("%q, %v", head, err)
		}
		body := make([]byte, int(head[2])<<8|int(head[3]))
		if _, err := io.ReadFull(in, body); err != nil || !strings.Contains(string(body), `"requestId":"early"`) {
			t.Fatalf("%s, %v", body, err)
		}
	})
}

func TestBadFramesEndAWebSocket(t *testing.T) {
	w := newTown(t)
	x := w.listen(false)
	var all sync.WaitGroup
	for _, c := range []struct {
		frames string
		want   int
	}{
		{string(frame(0x82, "x")), websocket.WrongType},
		{string(frame(0x80, "x")), websocket.ProtocolError},
		{string(frame(0x01, "x") /* and then another first */) + string(frame(0x01, "x")), websocket.ProtocolError},
		{"\x81\x01x", websocket.ProtocolError},
		{"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", websocket.TooBig},
		{string(frame(0x88, "")), 0},
	} {
		conn := x.dial()
		io.WriteString(conn, handshake("")+c.frames)
		all.Go(func() {
			if got := closing(t, conn); got != c.want {
				t.Errorf("%q: %d, want %d", c.frames, got, c.want)
			}
		})
	}
	all.Wait()
	x.await("nobody is in", func() bool {
		w.server.rooms.mu.Lock()
		defer w.server.rooms.mu.Unlock()
		return x.waiting.Load() == 0 && len(w.server.rooms.inside) == 0
	})
}

// Messages that come in parts take the rooms that requests by HTTP take.
func TestWebSocketsAreBounded(t *testing.T) {
	w := newTown(t)
	w.server.Limits = Limits{ConcurrentRequests: 1, Pushes: 2}
	x := w.listen(false)
	slow, other := x.dial(), x.talk()
	io.WriteString(slow, handshake("")+string(frame(0x01, strings.Repeat(" ", smallRequest+1))))
	x.await("the room is taken", func() bool {
		w.server.rooms.mu.Lock()
		defer w.server.rooms.mu.Unlock()
		return w.server.rooms.inside[room{w.alice.ID, "requests"}] == 1
	})
	other.send(echo("a", ""))
	if got := other.reply(); got.Limit != "maxConcurrentRequests" || got.RequestID == nil {
		t.Errorf("%+v", got)
	}
	third := x.dial()
	io.WriteString(third, handshake(""))
	if r, err := http.ReadResponse(bufio.NewReader(third), nil); err != nil || r.StatusCode != 429 {
		t.Errorf("%v, %v", r, err)
	}
	slow.Close()
	x.await("there is room", func() bool {
		w.server.rooms.mu.Lock()
		defer w.server.rooms.mu.Unlock()
		return w.server.rooms.inside[room{w.alice.ID, "requests"}] == 0
	})
	other.send(echo("b", ""))
	if got := other.reply(); got.Type != "Response" {
		t.Errorf("%+v", got)
	}
}

func TestWhoIsNoWebSocketIsTold(t *testing.T) {
	w := newTown(t)
	if rec := w.do("GET", webSocketPath, "", nil); rec.Code != 426 || rec.Header().Get("Upgrade") != "websocket" {
		t.Errorf("HTTP %d %v", rec.Code, rec.Header())
	}
	var o sessionObject
	if err := json.Unmarshal(w.do("GET", sessionPath, "", nil).Body.Bytes(), &o); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(o.Capabilities[webSocketURN]); got != "map[supportsPush:true url:ws://localhost/jmap/ws]" {
		t.Error(got)
	}
}
