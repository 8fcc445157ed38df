package jmap

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
)

// An eventSource tells a client what changes, for as long as it listens (§7.3). It
// holds no goroutine while nothing happens: see longpoll.
type eventSource struct {
	longpoll.Stream
	follower
	heard   heard
	srv     *Server
	ctx     context.Context
	once    bool          // it ends with the first change
	ping    time.Duration // 0 never pings
	next    time.Time     // when it pings
	head    []byte        // of the answer; nil once it is written
	chunked bool
	forget  []func()
}

// events serves an event source.
func (s *Server) events(w http.ResponseWriter, r *http.Request, sess *auth.Session) {
	e := &eventSource{srv: s, chunked: r.ProtoAtLeast(1, 1)}
	if wrong := e.parse(r); wrong != nil {
		wrong.write(w)
		return
	}
	if r.Method == http.MethodHead {
		e.headers(w.Header())
		return
	}
	leave, ok := s.rooms.enter(sess.Principal.ID, "pushes", s.limits.Pushes)
	if !ok {
		httpProblem(http.StatusTooManyRequests, "too many connections of yours listen already").write(w)
		return
	}
	ctx, stop := context.WithCancel(context.Background()) // the request's ends when the handler returns
	e.ctx, e.Turn, e.Over = ctx, e.turn, e.over
	e.forget = []func(){stop, leave, s.Accounts.Track(sess, func(string) { e.End() }), s.Store.Watch(sess.Account(), e.hear)}
	f, err := s.follow(ctx, sess.Principal, e.types, r.Header.Get("Last-Event-ID"))
	if err != nil {
		e.over()
		s.logFault(ctx, "EventSource", mail.KindOf(err), err)
		httpProblem(http.StatusInternalServerError, mail.DetailOf(err)).write(w)
		return
	}
	e.follower, e.head = f, e.begin(w.Header())
	if !e.Hold(w, r) {
		e.over()
		httpProblem(http.StatusServiceUnavailable, "nobody can listen now; try again later").write(w)
	}
}

// parse reads what the client wants to hear.
func (e *eventSource) parse(r *http.Request) *problem {
	q := r.URL.Query()
	e.types = parsePushTypes(q.Get("types"))
	switch q.Get("closeafter") {
	case "state":
		e.once = true
	case "no", "":
	default:
		return httpProblem(http.StatusBadRequest, "closeafter is state or no")
	}
	seconds := int64(0)
	if s := q.Get("ping"); s != "" {
		var err error
		if seconds, err = strconv.ParseInt(s, 10, 64); err != nil || seconds < 0 {
			return httpProblem(http.StatusBadRequest, "ping is a number of seconds; 0 is never")
		}
	}
	if seconds > 0 {
		e.ping = min(max(time.Duration(min(seconds, 1<<31))*time.Second, e.srv.limits.MinPing), maxPing)
	}
	return nil
}

func (e *eventSource) headers(h http.Header) {
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no") // what stands before us should hold nothing back
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
}

// begin is the head of the answer.
func (e *eventSource) begin(h http.Header) []byte {
	e.headers(h)
	h.Set("Connection", "close")
	if e.chunked {
		h.Del("Connection")
		h.Set("Transfer-Encoding", "chunked")
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}

// hear takes note of news. It must not block.
func (e *eventSource) hear(n mail.News) {
	if e.concerns(n) {
		e.heard.hear(n)
		e.Wake()
	}
}

// turn tells what changed, or that nothing did for a while.
func (e *eventSource) turn(t longpoll.Turn) (time.Time, error) {
	var out bytes.Buffer
	now := time.Now()
	first := e.head != nil
	if first {
		out.Write(e.head)
		e.head, e.next = nil, now.Add(e.ping)
	}
	told := false
	if t.Woken && !t.Stopping {
		states, err := e.news(first)
		if err != nil {
			e.srv.logFault(e.ctx, "EventSource", mail.KindOf(err), err)
			return now, err
		}
		if told = states != nil; told {
			e.event(&out, "state", e.known.String(), e.stateChange(states))
			e.next = now.Add(e.ping)
		}
	}
	if e.ping > 0 && !now.Before(e.next) {
		e.event(&out, "ping", "", map[string]int64{"interval": int64(e.ping / time.Second)})
		e.next = now.Add(e.ping)
	}
	end := t.Stopping || told && e.once
	if end && e.chunked {
		out.WriteString("0\r\n\r\n")
	}
	if _, err := e.Write(out.Bytes()); err != nil {
		return now, err
	}
	if end {
		return now, io.EOF
	}
	if e.ping == 0 {
		return now.Add(never), nil
	}
	return e.next, nil
}

// news are the states of what changed since the last turn; in the first, since the
// client stopped.
func (e *eventSource) news(first bool) (map[string]string, error) {
	l := e.heard.take()
	if first {
		return e.look(e.ctx, e.srv)
	}
	return e.lookAt(e.ctx, e.srv, l)
}

// event writes one (HTML Living Standard §9.2.5).
func (e *eventSource) event(out *bytes.Buffer, name, id string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	text := fmt.Appendf(nil, "event: %s\ndata: %s\n", name, b)
	if id != "" {
		text = fmt.Appendf(text, "id: %s\n", id)
	}
	text = append(text, '\n')
	if e.chunked {
		fmt.Fprintf(out, "%x\r\n%s\r\n", len(text), text)
		return
	}
	out.Write(text)
}

// over gives back what was held.
func (e *eventSource) over() {
	for _, forget := range e.forget {
		forget()
	}
}
