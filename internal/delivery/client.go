package delivery

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"time"
)

// How long another server may take (RFC 5321 §4.5.3.2).
const (
	connectTimeout = 30 * time.Second
	commandTimeout = 5 * time.Minute
	dataTimeout    = 3 * time.Minute // for each write of the body
	finalTimeout   = 10 * time.Minute
	lastWordTime   = 5 * time.Second // for who has the whole message when we have to stop
)

// client is the sending side of one connection. Used by one attempt.
type client struct {
	host string
	nc   net.Conn
	text *textproto.Conn
	in   *replyReader
	ext  map[string]string
	stop func() bool

	mu      sync.Mutex
	waiting bool // for the word on a message that was sent whole
}

// smtpError is what another server said.
type smtpError struct {
	host string
	code int
	text string
}

func (e *smtpError) Error() string { return fmt.Sprintf("%s said: %d %s", e.host, e.code, e.text) }

// greet takes a connection over: it reads the greeting and says EHLO. ctx ends
// the connection; a server that has a whole message may still say that it took it.
func greet(ctx context.Context, nc net.Conn, host, name string) (*client, error) {
	c := &client{host: host, nc: nc}
	c.stop = context.AfterFunc(ctx, func() { c.interrupt(nc) })
	c.speakOver(nc)
	nc.SetDeadline(time.Now().Add(commandTimeout))
	err := c.expect(220)
	if err == nil {
		err = c.hello(name)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// speakOver goes on over another connection, or the first one.
func (c *client) speakOver(nc net.Conn) {
	c.nc, c.in = nc, &replyReader{from: nc}
	c.text = textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{c.in, nc, nc})
}

// maxReplyBytes bounds one reply of another server, all its lines.
const maxReplyBytes = 64 << 10

// replyReader reads no more than one reply may be long.
type replyReader struct {
	from io.Reader
	left int
}

// Read implements io.Reader.
func (r *replyReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errors.New("a reply without end")
	}
	n, err := r.from.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// interrupt ends the connection: soon, if the message may be the other's already,
// since it would be sent a second time to who is not heard.
func (c *client) interrupt(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		nc.SetReadDeadline(time.Now().Add(lastWordTime))
	} else {
		nc.Close()
	}
}

// awaitLastWord gives the other server its time to take a message.
func (c *client) awaitLastWord() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = true
	c.nc.SetDeadline(time.Now().Add(finalTimeout))
}

// close says goodbye without waiting for an answer.
func (c *client) close() {
	c.stop()
	c.nc.SetDeadline(time.Now().Add(time.Second))
	c.text.PrintfLine("QUIT")
	c.nc.Close()
}

// cmd sends a command and wants an answer that begins with code: 2, 25 or 250.
func (c *client) cmd(code int, format string, args ...any) error {
	c.nc.SetDeadline(time.Now().Add(commandTimeout))
	if err := c.text.PrintfLine(format, args...); err != nil {
		return err
	}
	return c.expect(code)
}

func (c *client) expect(code int) error {
	_, err := c.read(code)
	return err
}

func (c *client) read(code int) (string, error) {
	c.in.left = maxReplyBytes
	_, text, err := c.text.ReadResponse(code)
	if e := (*textproto.Error)(nil); errors.As(err, &e) {
		return "", &smtpError{c.host, e.Code, e.Msg}
	}
	return text, err
}

// hello says EHLO, and HELO to a server that does not know it.
func (c *client) hello(name string) error {
	c.nc.SetDeadline(time.Now().Add(commandTimeout))
	if err := c.text.PrintfLine("EHLO %s", name); err != nil {
		return err
	}
	text, err := c.read(250)
	if e := (*smtpError)(nil); errors.As(err, &e) && e.code/100 == 5 {
		return c.cmd(250, "HELO %s", name)
	}
	c.ext = map[string]string{}
	lines := strings.Split(text, "\n")
	for _, l := range lines[1:] {
		word, params, _ := strings.Cut(l, " ")
		c.ext[strings.ToUpper(word)] = params
	}
	return err
}

func (c *client) offers(ext string) bool {
	_, ok := c.ext[ext]
	return ok
}

// startTLS serves RFC 3207 from the other side: what was learned before is
// forgotten.
func (c *client) startTLS(ctx context.Context, config *tls.Config, name string) error {
	if !c.offers("STARTTLS") {
		return &routeError{"4.7.0", false, fmt.Errorf("%s offers no TLS", c.host)}
	}
	if err := c.cmd(220, "STARTTLS"); err != nil {
		return err
	}
	t := tls.Client(c.nc, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return &routeError{"4.7.5", false, err}
	}
	c.speakOver(t)
	return c.hello(name)
}

// auth signs in with PLAIN or LOGIN, whichever is offered, and never in clear.
func (c *client) auth(r *Relay) error {
	if _, secure := c.nc.(*tls.Conn); !secure {
		return &routeError{"4.7.0", false, errors.New("the relay wants a password, but there is no TLS")}
	}
	mechs := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	b64 := base64.StdEncoding.EncodeToString
	for _, m := range mechs {
		switch m {
		case "PLAIN":
			return temporary(c.cmd(235, "AUTH PLAIN %s", b64([]byte("\x00"+r.Login+"\x00"+r.Secret))))
		case "LOGIN":
			if err := c.cmd(334, "AUTH LOGIN"); err != nil {
				return temporary(err)
			}
			if err := c.cmd(334, "%s", b64([]byte(r.Login))); err != nil {
				return temporary(err)
			}
			return temporary(c.cmd(235, "%s", b64([]byte(r.Secret))))
		}
	}
	return &routeError{"4.7.0", false, errors.New("the relay offers neither AUTH PLAIN nor LOGIN")}
}

// temporary makes a refusal by the relay one that may pass: it is the operator's
// to mend, not the sender's to hear.
func temporary(err error) error {
	if e := (*smtpError)(nil); errors.As(err, &e) {
		return &routeError{"4.7.8", false, err}
	}
	return err
}

// data sends the body and waits for the word that makes it the other's.
func (c *client) data(body io.Reader) error {
	c.nc.SetDeadline(time.Now().Add(finalTimeout))
	w := &dotWriter{out: bufio.NewWriterSize(deadlineWriter{c.nc}, 16<<10), newLine: true}
	if _, err := io.Copy(w, body); err != nil {
		return err
	}
	c.awaitLastWord()
	if err := w.end(); err != nil {
		return err
	}
	return c.expect(250)
}

// deadlineWriter gives each write its time.
type deadlineWriter struct{ nc net.Conn }

// Write implements io.Writer.
func (w deadlineWriter) Write(p []byte) (int, error) {
	w.nc.SetWriteDeadline(time.Now().Add(dataTimeout))
	return w.nc.Write(p)
}

// dotWriter writes a body as RFC 5321 §4.5.2 wants it. A CR or an LF alone leaves
// as CRLF: what another server takes it for could be the end of the message.
type dotWriter struct {
	out     *bufio.Writer
	newLine bool
	cr      bool // a CR was read whose LF may follow
}

// Write implements io.Writer.
func (w *dotWriter) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n':
			w.endLine()
			w.cr = false
			continue
		case w.cr:
			w.endLine()
			w.cr = false
		}
		if b == '\r' {
			w.cr = true
			continue
		}
		if w.newLine && b == '.' {
			w.out.WriteByte('.')
		}
		w.newLine = false
		if err := w.out.WriteByte(b); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *dotWriter) endLine() {
	w.out.WriteString("\r\n")
	w.newLine = true
}

// end writes what ends the body.
func (w *dotWriter) end() error {
	if w.cr || !w.newLine {
		w.endLine()
	}
	w.out.WriteString(".\r\n")
	return w.out.Flush()
}

var enhancedCode = regexp.MustCompile(`^([245])\.\d{1,3}\.\d{1,3}\b`)

// resultOf is what an error of an attempt means for a recipient.
func resultOf(err error) result {
	r := result{err: err, status: "4.4.2", diagnostic: err.Error()}
	if e := (*routeError)(nil); errors.As(err, &e) {
		r.status, r.permanent = e.status, e.permanent
		return r
	}
	e := (*smtpError)(nil)
	if !errors.As(err, &e) {
		return r
	}
	r.host, r.diagnostic = e.host, fmt.Sprintf("%d %s", e.code, e.text)
	r.permanent = e.code/100 == 5
	r.status = enhancedCode.FindString(e.text)
	if class := pick(r.permanent, "5", "4"); !strings.HasPrefix(r.status, class) {
		r.status = class + ".0.0"
	}
	return r
}
