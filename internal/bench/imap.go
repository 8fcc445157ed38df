package bench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// patience is how long a client waits for one answer before the run fails.
const patience = 3 * time.Minute

// imapConn is one IMAP client. Used by one goroutine.
type imapConn struct {
	net.Conn
	r    *bufio.Reader
	line []byte // the response being read, without its literals
	cmd  []byte // the command being written
	tag  int

	received int64 // bytes, since the connection began
	literals int64 // how many of them in literals
}

// dialIMAP connects and reads the greeting; secure is nil for plain TCP.
// readSize is small where many connections wait, large where much is fetched.
func dialIMAP(addr string, secure *tls.Config, readSize int) (*imapConn, error) {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if secure != nil {
		nc = tls.Client(nc, secure)
	}
	c := &imapConn{Conn: nc, r: bufio.NewReaderSize(nc, readSize)}
	c.SetDeadline(time.Now().Add(patience))
	greeting, err := c.response()
	if err == nil && !bytes.HasPrefix(greeting, []byte("* OK")) {
		err = fmt.Errorf("greeting %q", greeting)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("imap %s: %w", addr, err)
	}
	return c, nil
}

// response reads one response. It is valid until the next.
func (c *imapConn) response() ([]byte, error) {
	c.line = c.line[:0]
	for {
		part, err := c.r.ReadSlice('\n')
		c.line = append(c.line, part...)
		c.received += int64(len(part))
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n, ok := literalAtEnd(c.line)
		if !ok {
			return bytes.TrimRight(c.line, "\r\n"), nil
		}
		if _, err := c.r.Discard(n); err != nil {
			return nil, err
		}
		c.received += int64(n)
		c.literals += int64(n)
	}
}

// literalAtEnd reads the {n} that ends a line (RFC 9051 §4.3).
func literalAtEnd(line []byte) (n int, ok bool) {
	body, found := bytes.CutSuffix(line, []byte("}\r\n"))
	if !found {
		return 0, false
	}
	open := bytes.LastIndexByte(body, '{')
	if open < 0 {
		return 0, false
	}
	n, err := strconv.Atoi(string(body[open+1:]))
	return n, err == nil && n >= 0
}

// do sends a command and reads to its end; each hears every untagged response.
// Anything but OK is an error.
func (c *imapConn) do(command string, each func(line []byte)) error {
	if err := c.start(command); err != nil {
		return err
	}
	return c.finish(each)
}

// start sends a command without waiting for its answer.
func (c *imapConn) start(command string) error {
	c.tag++
	c.SetDeadline(time.Now().Add(patience))
	c.cmd = append(c.cmd[:0], 't')
	c.cmd = strconv.AppendInt(c.cmd, int64(c.tag), 10)
	c.cmd = append(c.cmd, ' ')
	c.cmd = append(c.cmd, command...)
	c.cmd = append(c.cmd, '\r', '\n')
	_, err := c.Write(c.cmd)
	return err
}

// finish reads the answer of the command that start sent last.
func (c *imapConn) finish(each func(line []byte)) error {
	var tag [24]byte
	want := append(strconv.AppendInt(append(tag[:0], 't'), int64(c.tag), 10), ' ')
	for {
		line, err := c.response()
		if err != nil {
			return err
		}
		if rest, ok := bytes.CutPrefix(line, want); ok {
			if !bytes.HasPrefix(rest, []byte("OK")) {
				return fmt.Errorf("%s", line)
			}
			return nil
		}
		if each != nil {
			each(line)
		}
	}
}

// pipeline sends n commands without waiting for their answers, which it reads
// meanwhile. Any answer but OK is an error.
func (c *imapConn) pipeline(n int, command func(i int) string, each func(line []byte)) error {
	c.SetDeadline(time.Now().Add(patience))
	var all []byte
	for i := range n {
		all = fmt.Appendf(all, "p%d %s\r\n", i, command(i))
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(all)
		sent <- err
	}()
	for i := 0; i < n; {
		line, err := c.response()
		if err != nil {
			return err
		}
		if line[0] != 'p' {
			each(line)
			continue
		}
		if !bytes.HasPrefix(line, fmt.Appendf(nil, "p%d OK", i)) {
			return fmt.Errorf("command %d: %s", i, line)
		}
		i++
	}
	return <-sent
}

// login signs in.
func (c *imapConn) login(user, password string) error {
	return c.do("LOGIN "+user+" "+password, nil)
}

// appendTo is APPEND of whole messages in one command (RFC 3502, RFC 7888).
func (c *imapConn) appendTo(mailbox string, messages ...letter) error {
	c.tag++
	c.SetDeadline(time.Now().Add(patience))
	b := fmt.Appendf(c.cmd[:0], "t%d APPEND %s", c.tag, mailbox)
	for _, m := range messages {
		b = append(b, ' ')
		if m.flags != "" {
			b = append(append(append(b, '('), m.flags...), ") "...)
		}
		b = append(append(strconv.AppendInt(append(b, '{'), int64(len(m.text)), 10), "+}\r\n"...), m.text...)
	}
	c.cmd = append(b, '\r', '\n')
	if _, err := c.Write(c.cmd); err != nil {
		return err
	}
	return c.finish(nil)
}

// idle begins IDLE and waits until the server says it is there (RFC 2177).
func (c *imapConn) idle() error {
	if err := c.start("IDLE"); err != nil {
		return err
	}
	for {
		line, err := c.response()
		if err != nil {
			return err
		}
		if line[0] == '+' {
			return nil
		}
	}
}

// opened is what SELECT told.
type opened struct {
	exists        int
	uidValidity   int64
	highestModSeq int64
}

// selectMailbox selects INBOX; with QRESYNC parameters also what it says.
func (c *imapConn) selectInbox(params string) (opened, error) {
	var o opened
	command := "SELECT INBOX"
	if params != "" {
		command += " (" + params + ")"
	}
	err := c.do(command, func(line []byte) {
		if n, ok := untaggedNumber(line, "EXISTS"); ok {
			o.exists = n
		}
		if n, ok := codeNumber(line, "UIDVALIDITY"); ok {
			o.uidValidity = n
		}
		if n, ok := codeNumber(line, "HIGHESTMODSEQ"); ok {
			o.highestModSeq = n
		}
	})
	return o, err
}

// untaggedNumber reads "* n WORD…".
func untaggedNumber(line []byte, word string) (int, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("* "))
	if !ok {
		return 0, false
	}
	number, rest, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !bytes.HasPrefix(rest, []byte(word)) {
		return 0, false
	}
	n, err := strconv.Atoi(string(number))
	return n, err == nil
}

// codeNumber reads "* OK [CODE n]…".
func codeNumber(line []byte, code string) (int64, bool) {
	_, rest, ok := bytes.Cut(line, []byte("["+code+" "))
	if !ok {
		return 0, false
	}
	number, _, ok := bytes.Cut(rest, []byte("]"))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	return n, err == nil
}

// isFetch reports whether line is a FETCH response (RFC 9051 §7.5.2), without
// looking into it.
func isFetch(line []byte) bool {
	if len(line) < 9 || line[0] != '*' || line[1] != ' ' {
		return false
	}
	i := 2
	for i < len(line) && line[i] >= '0' && line[i] <= '9' {
		i++
	}
	return i > 2 && bytes.HasPrefix(line[i:], []byte(" FETCH"))
}
