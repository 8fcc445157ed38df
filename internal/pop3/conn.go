package pop3

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

var (
	errShutdown    = errors.New("the server is stopping")
	errLineTooLong = errors.New("line too long")
)

// conn is one connection: lines in, answers out. Answers wait until there is
// nothing more to read, so that pipelined commands are answered together
// (RFC 2449 §6.6). Used by one session goroutine, except shut.
type conn struct {
	nc     net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	limits *Limits
	by     time.Time // when the line that is awaited has to be there
	sent   int64

	mu      sync.Mutex
	closing bool // it is to end at once
	leaving bool // it is to end before the next command
	between bool // no command is under way
	woken   bool // the deadline is none of the client's
}

const outBufferBytes = 16 << 10

func newConn(nc net.Conn, limits *Limits) *conn {
	c := &conn{nc: nc, limits: limits}
	c.in = bufio.NewReaderSize(c, maxLineBytes)
	c.out = bufio.NewWriterSize(writer{c}, outBufferBytes)
	return c
}

// Read implements io.Reader for the buffer in front of it.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	if err := c.await(); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	if err != nil && c.isClosing() {
		err = errShutdown
	}
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.wasWoken() {
		return c.Read(p)
	}
	return n, err
}

// await gives the client its time, unless the session has to end.
func (c *conn) await() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.leaving && c.between && c.in.Buffered() == 0 {
		return errShutdown
	}
	return c.nc.SetReadDeadline(c.by)
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// lastWords is how long a client that is to go may take to hear it.
const lastWords = 5 * time.Second

// shut wakes a session that waits for its client, and lets it wait no more.
func (c *conn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.nc.SetReadDeadline(time.Unix(1, 0))
	c.nc.SetWriteDeadline(time.Now().Add(lastWords))
}

// Leave implements lot.Leaver: a command that has begun to come is waited for and
// answered, and none after it is read.
func (c *conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.closing {
		return
	}
	if c.leaving = true; c.between {
		c.woken = true
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// wasWoken reports whether it was Leave that ended a read, once.
func (c *conn) wasWoken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.woken = false }()
	return c.woken
}

// awaitCommand says that the next line is a command; there is none for a session that
// leaves.
func (c *conn) awaitCommand() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving {
		return errShutdown
	}
	c.between = true
	return nil
}

func (c *conn) commandCame() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.between = false
}

// writer is the socket behind the answers.
type writer struct{ c *conn }

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	if err := w.c.mayWrite(); err != nil {
		return 0, err
	}
	n, err := w.c.nc.Write(p)
	w.c.sent += int64(n)
	return n, err
}

func (c *conn) mayWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil // with the deadline that shut gave it
	}
	return c.nc.SetWriteDeadline(time.Now().Add(c.limits.Stall))
}

// readCommand is readLine between commands, where a session may leave.
func (c *conn) readCommand(by time.Time) (string, error) {
	if err := c.awaitCommand(); err != nil {
		return "", err
	}
	defer c.commandCame()
	return c.readLine(maxCommandBytes, by)
}

// readLine reads a line without its end, until the moment given. A line of more
// than limit bytes is read to its end and reported.
func (c *conn) readLine(limit int, by time.Time) (string, error) {
	c.by = by
	line, err := c.in.ReadSlice('\n')
	tooLong := err == bufio.ErrBufferFull || len(line) > limit
	for err == bufio.ErrBufferFull {
		_, err = c.in.ReadSlice('\n')
	}
	if err == nil && tooLong {
		err = errLineTooLong
	}
	if err != nil {
		return "", err
	}
	return trimLine(line), nil
}

func trimLine(line []byte) string {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
	}
	if n > 0 && line[n-1] == '\r' {
		n--
	}
	return string(line[:n])
}

// startTLS makes the connection one over TLS. Nothing read before counts after.
func (c *conn) startTLS(config *tls.Config, by time.Time) (tls.ConnectionState, error) {
	t := tls.Server(c.nc, config)
	if err := t.SetDeadline(by); err != nil {
		return tls.ConnectionState{}, err
	}
	if err := t.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	c.mu.Lock()
	c.nc = t
	c.mu.Unlock()
	c.in.Reset(c)
	return t.ConnectionState(), nil
}

// isOutOfFiles reports whether waiting may help an accept that failed.
func isOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}
