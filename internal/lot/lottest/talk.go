// Package lottest has connections whose clients are fuzzers.
package lottest

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A Part is what one client says, by its number, before another says something.
type Part struct {
	Client int
	Text   []byte
	// Answer makes the Text, when its turn has come, of what this client heard; nil is
	// that it was known before.
	Answer func(heard string) []byte
}

// A Talk is what clients say to a server who do not listen, as fuzzers have it. Each
// says its next part when the server has read the one before, whoever's that was, and
// asks for more: so what is said before is done before. Behind the last part all hang up.
type Talk struct {
	mu    sync.Mutex
	moved sync.Cond // guarded by mu: a part was read, a connection closed, a deadline passed
	parts []Part
	conns map[int]*TalkConn
}

// NewTalk makes a talk of the parts. A part of a client whose Conn nobody asks for keeps
// the others waiting.
func NewTalk(parts ...Part) *Talk {
	t := &Talk{parts: parts, conns: map[int]*TalkConn{}}
	t.moved.L = &t.mu
	return t
}

// Conn is the server's end of a client's connection.
func (t *Talk) Conn(client int) *TalkConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.conns[client]
	if c == nil {
		c = &TalkConn{talk: t, client: client}
		t.conns[client] = c
	}
	return c
}

// skip passes over parts that are read, and those of clients that are gone.
func (t *Talk) skip() {
	for len(t.parts) > 0 {
		next := &t.parts[0]
		c := t.conns[next.Client]
		if c != nil && !c.closed && next.Answer != nil {
			next.Text, next.Answer = next.Answer(c.heard.String()), nil
		}
		if c == nil || !c.closed && len(next.Text) > 0 {
			return
		}
		t.parts = t.parts[1:]
		t.moved.Broadcast()
	}
}

// TalkConn is a connection of a Talk. It implements net.Conn.
type TalkConn struct {
	talk   *Talk
	client int

	// guarded by talk.mu
	closed bool
	by     time.Time // the read deadline
	heard  bytes.Buffer
}

// Read implements io.Reader. It waits for this client's turn.
func (c *TalkConn) Read(b []byte) (int, error) {
	t := c.talk
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		t.skip()
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.by.IsZero() && !time.Now().Before(c.by):
			return 0, os.ErrDeadlineExceeded
		case len(t.parts) == 0:
			return 0, io.EOF
		case t.parts[0].Client == c.client:
			n := copy(b, t.parts[0].Text)
			t.parts[0].Text = t.parts[0].Text[n:]
			return n, nil
		}
		c.wait()
	}
}

// wait returns when something moved, or the deadline has come.
func (c *TalkConn) wait() {
	if !c.by.IsZero() {
		stop := time.AfterFunc(time.Until(c.by), func() {
			c.talk.mu.Lock()
			defer c.talk.mu.Unlock()
			c.talk.moved.Broadcast()
		})
		defer stop.Stop()
	}
	c.talk.moved.Wait()
}

// Write implements io.Writer.
func (c *TalkConn) Write(b []byte) (int, error) {
	c.talk.mu.Lock()
	defer c.talk.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	return c.heard.Write(b)
}

// Heard is what the server said up to now.
func (c *TalkConn) Heard() string {
	c.talk.mu.Lock()
	defer c.talk.mu.Unlock()
	return c.heard.String()
}

// Close implements io.Closer.
func (c *TalkConn) Close() error {
	c.talk.mu.Lock()
	defer c.talk.mu.Unlock()
	c.closed = true
	c.talk.moved.Broadcast()
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *TalkConn) SetReadDeadline(by time.Time) error {
	c.talk.mu.Lock()
	defer c.talk.mu.Unlock()
	c.by = by
	c.talk.moved.Broadcast()
	return nil
}

// SetWriteDeadline implements net.Conn. Nobody is slow to listen.
func (c *TalkConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *TalkConn) SetDeadline(by time.Time) error { return c.SetReadDeadline(by) }

// LocalAddr implements net.Conn.
func (c *TalkConn) LocalAddr() net.Addr { return talkAddr }

// RemoteAddr implements net.Conn. The client is on this machine.
func (c *TalkConn) RemoteAddr() net.Addr { return talkAddr }

var talkAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
