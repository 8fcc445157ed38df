package smtp

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

// conn is one connection: bytes in, replies out. Replies wait until there is
// nothing more to read, so that pipelined commands are answered together
// (RFC 2920 §3.1). Used by one session goroutine, except shut and hangUp.
type conn struct {
	nc     net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	limits *Limits

	lineBy    time.Time // when the line that is awaited has to be there
	messageBy time.Time // when the next body has to have begun
	bodyBegan time.Time // zero outside of bodies
	bodyBytes int64     // that came since then

	mu      sync.Mutex
	closing bool // it is to end at once
	leaving bool // it is to end before the next command
	between bool // no command is under way
	woken   bool // the deadline is none of the client's
}

func newConn(nc net.Conn, limits *Limits) *conn {
	c := &conn{nc: nc, limits: limits}
	c.endBody()
	c.in = bufio.NewReaderSize(c, maxLineBytes)
	c.out = bufio.NewWriterSize(writer{c}, 1024)
	return c
}

// Read implements io.Reader for the buffer in front of it.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	if err := c.expectBytes(); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	c.bodyBytes += int64(n)
	if err != nil && c.isClosing() {
		err = errShutdown
	}
	if n == 0 && isTimeout(err) && c.wasWoken() {
		return c.Read(p)
	}
	return n, err
}

// expectBytes gives the client its time, unless the session has to end.
func (c *conn) expectBytes() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.leaving && c.between && c.in.Buffered() == 0 {
		return errShutdown
	}
	return c.nc.SetReadDeadline(c.readBy(time.Now()))
}

// readBy is when more has to be there. A line has its time as a whole, and a body
// time that grows with what came of it, up to the largest message: who sends byte
// by byte keeps nobody else out for long.
func (c *conn) readBy(now time.Time) time.Time {
	if c.bodyBegan.IsZero() {
		return c.lineBy
	}
	seconds := min(c.bodyBytes, c.limits.MessageBytes) / c.limits.BodyRate
	return earlier(now.Add(c.limits.Idle), c.bodyBegan.Add(c.limits.Idle+time.Duration(seconds)*time.Second))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// beginBody says that a message's text follows, and with BDAT commands between
// its chunks.
func (c *conn) beginBody() { c.bodyBegan, c.bodyBytes = time.Now(), 0 }

// endBody says that commands follow.
func (c *conn) endBody() {
	c.bodyBegan, c.messageBy = time.Time{}, time.Now().Add(c.limits.WithoutMessage)
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// shut wakes a session that waits for its client, and lets it wait no more.
func (c *conn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.nc.SetReadDeadline(time.Unix(1, 0))
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

// writer is the socket behind the replies.
type writer struct{ c *conn }

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	by := time.Now().Add(w.c.limits.Idle)
	if w.c.bodyBegan.IsZero() {
		by = earlier(by, w.c.messageBy.Add(w.c.limits.Idle))
	}
	if err := w.c.nc.SetWriteDeadline(by); err != nil {
		return 0, err
	}
	return w.c.nc.Write(p)
}

// readCommand is readLine between commands, where a session may leave.
func (c *conn) readCommand() (string, error) {
	if err := c.awaitCommand(); err != nil {
		return "", err
	}
	defer c.commandCame()
	return c.readLine()
}

// readLine reads a line without its end. A line that is too long is read to its
// end and reported.
func (c *conn) readLine() (string, error) {
	c.lineBy = earlier(time.Now().Add(c.limits.Idle), c.messageBy)
	line, err := c.in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return trimLine(line), err
	}
	for err == bufio.ErrBufferFull {
		_, err = c.in.ReadSlice('\n')
	}
	if err == nil {
		err = errLineTooLong
	}
	return "", err
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

// startTLS makes the connection one over TLS. Nothing read before counts after
// (RFC 3207 §4.2).
func (c *conn) startTLS(config *tls.Config, limit time.Duration) (tls.ConnectionState, error) {
	t := tls.Server(c.nc, config)
	if err := t.SetDeadline(time.Now().Add(limit)); err != nil {
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

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
