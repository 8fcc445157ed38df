package jmap

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/jmap/websocket"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
)

const webSocketURN = "urn:ietf:params:jmap:websocket"

// webSocketCapability is what the session says of it (RFC 8887 §3).
func webSocketCapability(base string) any {
	return map[string]any{"url": "ws" + strings.TrimPrefix(base, "http") + webSocketPath, "supportsPush": true}
}

// A webSocket carries requests and pushes over one connection (RFC 8887). While
// nothing is said it holds neither goroutine nor buffer: see longpoll. Requests are
// served at the same time, and answered in the order in which they are done.
type webSocket struct {
	longpoll.Stream
	srv    *Server
	sess   *auth.Session
	base   string
	ctx    context.Context
	head   []byte // of the answer; nil once it is written
	forget []func()

	requests sync.WaitGroup // under way
	pushes   atomic.Uint32  // mail.TypeSet of what wakes it
	heard    heard

	writing sync.Mutex

	// What follows is looked at in turns alone.
	follower
	pinged time.Time
	said   *said
}

// said is a message of which parts are still to come.
type said struct {
	text  []byte
	leave func() // of the room that a large one takes; nil
}

// webSocket serves the handshake.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request, sess *auth.Session) {
	if no := websocket.Accept(r, "jmap", w.Header()); no != nil {
		httpProblem(no.Status, no.Detail).write(w)
		return
	}
	leave, ok := s.rooms.enter(sess.Principal.ID, "pushes", s.limits.Pushes)
	if !ok {
		httpProblem(http.StatusTooManyRequests, "too many connections of yours listen already").write(w)
		return
	}
	ctx, stop := context.WithCancel(context.Background()) // the request's ends when the handler returns
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = w.Header().Write(&head)
	head.WriteString("\r\n")
	k := &webSocket{srv: s, sess: sess, base: s.baseURL(r), ctx: ctx, head: head.Bytes()}
	k.account = sess.Account()
	k.Reads, k.Turn, k.Over = true, k.turn, k.over
	k.forget = []func(){stop, leave, s.Accounts.Track(sess, func(string) { k.End() }), s.Store.Watch(sess.Account(), k.hear)}
	if !k.Hold(w, r) {
		k.over()
		for _, name := range []string{"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"} {
			w.Header().Del(name)
		}
		httpProblem(http.StatusServiceUnavailable, "nobody can be connected now; try again later").write(w)
	}
}

// hear takes note of news. It must not block.
func (k *webSocket) hear(n mail.News) {
	if mail.TypeSet(k.pushes.Load())&n.Types != 0 {
		k.heard.hear(n)
		k.Wake()
	}
}

// turn does what there is to do: reads what came, tells what changed.
func (k *webSocket) turn(t longpoll.Turn) (time.Time, error) {
	now := time.Now()
	if k.head != nil {
		if _, err := k.Write(k.head); err != nil {
			return now, err
		}
		k.head, k.pinged = nil, now
	}
	err := k.do(t, now)
	if t.Stopping && err == nil {
		k.requests.Wait() // what was begun is answered
		err = &websocket.Error{Code: websocket.GoingAway, Reason: "the server stops"}
	}
	if e, ok := errors.AsType[*websocket.Error](err); ok && k.write(websocket.AppendClose(nil, e.Code, e.Reason)) == nil && !t.Stopping {
		k.linger()
	}
	return k.pinged.Add(webSocketPing), err
}

// linger lets a client that is still writing read why it is closed: what nobody read
// would have the kernel throw that away.
func (k *webSocket) linger() {
	if k.SetReadDeadline(time.Now().Add(lingering)) == nil {
		_, _ = io.CopyN(io.Discard, &k.Stream, k.srv.limits.Request)
	}
}

func (k *webSocket) do(t longpoll.Turn, now time.Time) error {
	if t.Came {
		if err := k.read(); err != nil {
			return err
		}
	}
	if t.Woken && k.types != nil && !t.Stopping {
		if err := k.push(k.lookAt(k.ctx, k.srv, k.heard.take())); err != nil {
			return err
		}
	}
	if now.Sub(k.pinged) < webSocketPing {
		return nil
	}
	k.pinged = now // so that what stands between us sees that somebody is there
	return k.write(websocket.AppendHeader(nil, websocket.Ping, 0))
}

// readers are lent to whoever has something to read.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// read reads all that has come.
func (k *webSocket) read() error {
	r := readers.Get().(*bufio.Reader)
	r.Reset(&k.Stream)
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	for {
		if err := k.SetReadDeadline(time.Now().Add(readStall)); err != nil {
			return err
		}
		h, err := websocket.ReadHeader(r)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // there was nothing after all
		}
		if err == nil {
			err = k.frame(r, h)
		}
		if err != nil || r.Buffered() == 0 {
			return err
		}
	}
}

// frame reads the payload of one, and does what it asks for.
func (k *webSocket) frame(r *bufio.Reader, h websocket.Header) error {
	switch h.Opcode {
	case websocket.Close:
		if _, err := h.ReadControl(r); err != nil {
			return err
		}
		_ = k.write(websocket.AppendHeader(nil, websocket.Close, 0))
		return io.EOF
	case websocket.Ping:
		b, err := h.ReadControl(r)
		if err != nil {
			return err
		}
		return k.write(append(websocket.AppendHeader(nil, websocket.Pong, len(b)), b...))
	case websocket.Pong:
		_, err := h.ReadControl(r)
		return err
	case websocket.Binary:
		return &websocket.Error{Code: websocket.WrongType, Reason: "JMAP is text"}
	}
	if (h.Opcode == websocket.Continuation) != (k.said != nil) {
		return &websocket.Error{Code: websocket.ProtocolError, Reason: "this is no next part"}
	}
	if k.said == nil {
		k.said = &said{}
	}
	if err := k.payload(r, &h); err != nil || !h.Final {
		return err
	}
	text := k.said.text
	if k.said.leave != nil {
		k.said.leave()
	}
	k.said = nil
	return k.hears(text)
}

// payload reads a part of a message.
func (k *webSocket) payload(r io.Reader, h *websocket.Header) error {
	if err := k.fits(h.Size); err != nil {
		return err
	}
	for left := h.Size; left > 0; {
		if err := k.SetReadDeadline(time.Now().Add(readStall)); err != nil {
			return err
		}
		at := len(k.said.text)
		n := min(left, readChunk)
		k.said.text = append(k.said.text, make([]byte, n)...)
		if _, err := io.ReadFull(r, k.said.text[at:]); err != nil {
			return net.ErrClosed
		}
		h.Unmask(k.said.text[at:], h.Size-left)
		left -= n
	}
	return nil
}

// fits takes a room for a message that is large, as one that comes by HTTP does.
func (k *webSocket) fits(more int64) error {
	size := int64(len(k.said.text)) + more
	if more > k.srv.limits.Request || size > k.srv.limits.Request {
		k.fail(nil, pastLimit("maxSizeRequest", "the request is too large"))
		return &websocket.Error{Code: websocket.TooBig, Reason: "the request is too large"}
	}
	if size <= smallRequest || k.said.leave != nil {
		return nil
	}
	leave, ok := k.srv.rooms.enter(k.sess.Principal.ID, "requests", k.srv.limits.ConcurrentRequests)
	if !ok {
		k.fail(nil, tooManyRequests())
		return &websocket.Error{Code: websocket.TryLater, Reason: "too many requests are under way"}
	}
	k.said.leave = leave
	return nil
}

// envelope is what every message has (RFC 8887 §4.3).
type envelope struct {
	Type string  `json:"@type"`
	ID   *string `json:"id"`

	DataTypes *[]string `json:"dataTypes"` // of WebSocketPushEnable
	PushState string    `json:"pushState"`
}

// hears does what a message asks for. What is wrong with it is answered.
func (k *webSocket) hears(text []byte) error {
	if err := checkJSON(text); err != nil {
		return k.fail(nil, notJSON(err.Error()))
	}
	var in envelope
	if err := json.Unmarshal(text, &in); err != nil {
		return k.fail(nil, notRequest("it is not an object with an @type: "+err.Error()))
	}
	switch in.Type {
	case "Request":
		return k.request(in.ID, text)
	case "WebSocketPushEnable":
		return k.enable(&in)
	case "WebSocketPushDisable":
		k.types = nil
		k.pushes.Store(0)
		return nil
	}
	return k.fail(in.ID, notRequest("there is no @type "+in.Type+" of messages"))
}

// request has a request served while the next are read (RFC 8887 §4.3.2).
func (k *webSocket) request(id *string, text []byte) error {
	leave, ok := k.srv.rooms.enter(k.sess.Principal.ID, "requests", k.srv.limits.ConcurrentRequests)
	if !ok {
		return k.fail(id, tooManyRequests())
	}
	k.requests.Go(func() {
		defer leave()
		defer func() {
			if p := recover(); p != nil {
				k.srv.Log.ErrorContext(k.ctx, "request panicked", "proto", "jmap", "panic", p, "stack", string(debug.Stack()))
				k.End()
			}
		}()
		out, wrong := k.srv.process(k.ctx, k.sess, text, k.base)
		if wrong != nil {
			_ = k.fail(id, wrong) // who left does not hear it
			return
		}
		_ = k.say(struct {
			Type      string  `json:"@type"`
			RequestID *string `json:"requestId,omitempty"`
			*answer
		}{"Response", id, out})
	})
	return nil
}

// enable begins to push (RFC 8887 §4.3.5.2). A client that says where it stopped hears at
// once what it missed.
func (k *webSocket) enable(in *envelope) error {
	var names []string
	if in.DataTypes != nil {
		names = append([]string{}, *in.DataTypes...)
	}
	types := pushTypesOf(names)
	var wakes mail.TypeSet
	for _, t := range types {
		wakes.Add(t.news)
	}
	k.pushes.Store(uint32(wakes)) // first: what changes from here on is not missed
	f, err := k.srv.follow(k.ctx, k.sess.Principal, types, in.PushState)
	if err != nil {
		return err
	}
	k.follower = f
	if in.PushState == "" {
		return nil
	}
	return k.push(k.look(k.ctx, k.srv))
}

// push tells what changed.
func (k *webSocket) push(states map[string]string, err error) error {
	if err != nil {
		k.srv.logFault(k.ctx, "WebSocket", mail.KindOf(err), err)
		return err
	}
	if states == nil {
		return nil
	}
	change := k.stateChange(states)
	change.PushState = k.known.String()
	return k.say(change)
}

// fail answers that a request was refused (RFC 8887 §4.3.4).
func (k *webSocket) fail(id *string, wrong *problem) error {
	return k.say(struct {
		Type      string  `json:"@type"`
		RequestID *string `json:"requestId"`
		*problem
	}{"RequestError", id, wrong})
}

// say sends a message.
func (k *webSocket) say(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // all that is answered can be said in JSON
	}
	return k.write(append(websocket.AppendHeader(make([]byte, 0, 10+len(b)), websocket.Text, len(b)), b...))
}

// write sends a frame, whoever else wants to. A long one may take a stall for each
// part of it.
func (k *webSocket) write(frame []byte) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	for len(frame) > 0 {
		n := min(len(frame), writeChunk)
		if _, err := k.Write(frame[:n]); err != nil {
			k.End() // in the middle of a frame
			return err
		}
		frame = frame[n:]
	}
	return nil
}

// over gives back what was held, when nobody works for the connection any more.
func (k *webSocket) over() {
	for _, forget := range k.forget {
		forget()
	}
	if k.said != nil && k.said.leave != nil {
		k.said.leave()
	}
	k.End()
	k.requests.Wait()
}
