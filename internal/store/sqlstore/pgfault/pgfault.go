// Package pgfault breaks connections to a real PostgreSQL where it hurts: at the end of
// a transaction, before the server has heard of it or when its answer is on the way.
package pgfault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// Wires are the connections of one process, which break when they are told to. Behind
// each there is the server, so that who waits for an answer does not wait for time to
// pass. The zero Wires are ready.
type Wires struct {
	mu   sync.Mutex
	all  map[*wire]struct{}
	dead bool
	next End
}

// An End is how a connection breaks.
type End uint8

// The ends.
const (
	Never     End = iota
	Before        // as the transaction is about to commit; the server takes it back
	Afterward     // when it has committed, and before anybody hears of it
)

// ErrBroken is what becomes of a connection that broke.
var ErrBroken = errors.New("the connection to the database broke")

// Dial makes a connection, as sqlstore.Options.Dial.
func (w *Wires) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if w.isDead() {
		return nil, ErrBroken
	}
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	p := &wire{Conn: c, of: w, statements: map[string]statement{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		c.Close()
		return nil, ErrBroken
	}
	if w.all == nil {
		w.all = map[*wire]struct{}{}
	}
	w.all[p] = struct{}{}
	return p, nil
}

func (w *Wires) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// HangUp breaks all connections. Whatever the server had heard by then it has done or
// taken back when HangUp returns.
func (w *Wires) HangUp() {
	w.mu.Lock()
	all := w.all
	w.all = nil
	w.mu.Unlock()
	for p := range all {
		p.end()
	}
}

// Die is HangUp, and no new connections are made.
func (w *Wires) Die() {
	w.mu.Lock()
	w.dead = true
	w.mu.Unlock()
	w.HangUp()
}

// EndNext sets how the connection of the next transaction of an account ends; Never
// takes that back. Other transactions, and what is only read, are left alone.
func (w *Wires) EndNext(e End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = e
}

// take takes what was set, once.
func (w *Wires) take() End {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.next
	w.next = Never
	return e
}

func (w *Wires) forget(p *wire) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, p)
}

// statement is what a prepared statement is for.
type statement uint8

const (
	other statement = iota
	begin
	lock // of an account
	commit
)

func statementOf(sql string) statement {
	switch {
	case sql == "COMMIT":
		return commit
	case strings.HasPrefix(sql, "BEGIN"):
		return begin
	case strings.HasPrefix(sql, "SELECT 1 FROM account ") && strings.HasSuffix(sql, " FOR UPDATE"):
		return lock
	}
	return other
}

// wire is a connection that knows what is said on it: it reads along in what a frontend
// says (PostgreSQL documentation, "Message Formats").
type wire struct {
	net.Conn
	of *Wires

	// Used by who writes.
	said       []byte // of a message that is not whole
	greeted    bool
	statements map[string]statement // by name
	locked     bool                 // in a transaction of an account

	mu     sync.Mutex
	broken bool
}

// Write implements net.Conn.
func (p *wire) Write(b []byte) (int, error) {
	if p.isBroken() {
		return 0, ErrBroken
	}
	how := Never
	if p.listen(b) {
		how = p.of.take()
	}
	if how == Before {
		p.end()
		return 0, ErrBroken
	}
	n, err := p.Conn.Write(b)
	if how == Afterward {
		p.end()
	}
	return n, err
}

// listen reads along and reports whether a transaction of an account is to commit.
func (p *wire) listen(b []byte) (commits bool) {
	p.said = append(p.said, b...)
	for {
		letter := 1
		if !p.greeted {
			letter = 0 // the first message has none
		}
		if len(p.said) < letter+4 {
			return commits
		}
		size := letter + int(binary.BigEndian.Uint32(p.said[letter:]))
		if len(p.said) < size {
			return commits
		}
		if p.greeted && p.hear(p.said[0], p.said[letter+4:size]) {
			commits = true
		}
		p.greeted = true
		p.said = p.said[size:]
	}
}

// hear reads one message.
func (p *wire) hear(letter byte, body []byte) (commits bool) {
	first, rest, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	switch letter {
	case 'P': // Parse: the statement's name, then what it says
		p.statements[string(first)] = statementOf(string(second))
	case 'B': // Bind: the portal's name, then the statement's
		switch p.statements[string(second)] {
		case begin:
			p.locked = false
		case lock:
			p.locked = true
		case commit:
			return p.locked
		}
	}
	return false
}

// end breaks the connection once the server has done what it heard, and has gone.
func (p *wire) end() {
	p.mu.Lock()
	was := p.broken
	p.broken = true
	p.mu.Unlock()
	if was {
		return
	}
	p.of.forget(p)
	if half, ok := p.Conn.(*net.TCPConn); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, half)
	}
	p.Conn.Close()
}

func (p *wire) isBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// Read implements net.Conn.
func (p *wire) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if p.isBroken() {
		return 0, ErrBroken
	}
	return n, err
}

// Close implements net.Conn.
func (p *wire) Close() error {
	p.of.forget(p)
	return p.Conn.Close()
}
