package wire

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"sync"
)

// A Source is where commands come from; *bufio.Reader is one. ReadSlice may
// return bufio.ErrBufferFull with the part of a line that filled its buffer.
type Source interface {
	io.Reader
	ReadSlice(delim byte) ([]byte, error)
}

// A Reader reads the commands of one client. It is used by one goroutine.
// Between commands it holds no buffer.
type Reader struct {
	Limits *Limits // shared by those who have the same; nil is the defaults

	// UTF8 says that mailbox names come as UTF-8 instead of modified UTF-7:
	// after ENABLE UTF8=ACCEPT or IMAP4rev2 (RFC 6855 §3, RFC 9051 §5.1).
	UTF8 bool

	// Continue tells the client to go on with a synchronising literal: it writes
	// "+ " with some text and flushes.
	Continue func() error

	src     Source
	pending *Append // whose messages are not read to the end
}

// NewReader reads from src; cont is Reader.Continue.
func NewReader(src Source, l *Limits, cont func() error) *Reader {
	return &Reader{src: src, Limits: l, Continue: cont}
}

// Reset goes on reading from src: after STARTTLS and COMPRESS.
func (r *Reader) Reset(src Source) { r.src = src }

func (r *Reader) limits() Limits {
	if r.Limits == nil {
		return Limits{}.orDefault()
	}
	return r.Limits.orDefault()
}

// ReadCommand reads the next command. Errors other than *Error are the
// source's. Messages that remain of an APPEND are passed over first.
func (r *Reader) ReadCommand() (Command, error) {
	if a := r.pending; a != nil {
		if err := a.Close(); err != nil {
			return Command{}, err
		}
	}
	p := &parser{r: r, limits: r.limits()}
	p.skipLeft = p.limits.Skip
	cmd := p.command()
	if p.err == nil && r.pending != nil {
		return cmd, nil // its messages follow
	}
	if err := p.finish(); err != nil {
		return Command{}, err
	}
	return cmd, nil
}

// ReadSASL reads one answer of an AUTHENTICATE exchange, decoded, or
// ErrCancelled. An *Error ends the exchange.
func (r *Reader) ReadSASL() ([]byte, error) {
	line, err := r.readWholeLine()
	if err != nil {
		return nil, err
	}
	if line == "*" {
		return nil, ErrCancelled
	}
	return decodeSASL(line)
}

// ReadDone waits for the DONE that ends an IDLE (RFC 9051 §6.3.13). It returns
// an *Error for any other line.
func (r *Reader) ReadDone() error {
	line, err := r.readWholeLine()
	if err == nil && !strings.EqualFold(line, "DONE") {
		err = bad("Expected DONE")
	}
	return err
}

func (r *Reader) readWholeLine() (string, error) {
	p := &parser{r: r, limits: r.limits()}
	p.skipLeft = p.limits.Skip
	defer p.release()
	p.readLine()
	return string(p.buf), p.err
}

func decodeSASL(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, bad("Not base64")
	}
	return b, nil
}

// lines are the buffers commands are parsed in, shared by all Readers.
var lines = sync.Pool{New: func() any { return new([]byte) }}

const maxPooledLine = 8 << 10

func (p *parser) release() {
	if p.held != nil && cap(p.buf) <= maxPooledLine {
		*p.held = p.buf[:0]
		lines.Put(p.held)
	}
	p.held, p.buf, p.pos = nil, nil, 0
}

// tailBytes are kept of the end of a line that is too long, enough to see a
// literal's announcement there.
const tailBytes = 32

// readLine makes the next line, without its end, the one that is parsed. A line
// past the limit is read to its end and reported; what is kept of it has its
// first bytes and its last.
func (p *parser) readLine() {
	p.buf, p.pos = p.buf[:0], 0
	tooLong, ended := false, false
	for !ended {
		part, err := p.r.src.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			p.stop(err)
			return
		}
		if p.held == nil { // only now: a client that says nothing holds no buffer
			p.held = lines.Get().(*[]byte)
			p.buf = (*p.held)[:0]
		}
		ended = err == nil
		p.lineBytes += len(part)
		if over := p.lineBytes > p.limits.Line+2; over || tooLong {
			tooLong = true
			p.skipLeft -= int64(len(part))
			if p.skipLeft < 0 {
				p.stop(bye("TOOBIG", "Command line too long"))
				return
			}
			p.keepEnds(part)
			continue
		}
		p.buf = append(p.buf, part...)
	}
	p.buf = trimLineEnd(p.buf)
	if tooLong {
		p.fail(badCode("TOOBIG", "Command line too long"))
	}
}

// keepEnds adds part to a line that is too long, dropping its middle.
func (p *parser) keepEnds(part []byte) {
	head := max(0, p.limits.Line-tailBytes)
	if room := min(head-len(p.buf), len(part)); room > 0 {
		p.buf, part = append(p.buf, part[:room]...), part[room:]
	}
	p.buf = append(p.buf, part[max(0, len(part)-tailBytes):]...)
	if len(p.buf) > head+2*tailBytes {
		p.buf = append(p.buf[:head], p.buf[len(p.buf)-tailBytes:]...)
	}
}

func trimLineEnd(b []byte) []byte {
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

// finish ends a command: it makes sure that nothing is left of it in the
// source, and returns its error with the tag.
func (p *parser) finish() error {
	defer p.release()
	if p.err == nil && p.pos < len(p.buf) {
		p.fail(bad("Unexpected text at the end of the command"))
	}
	cause := p.err
	if e, ok := p.err.(*Error); p.err == nil || ok && e.Status != "BYE" {
		p.err = nil
		p.passOver()
		if stopped := p.err; stopped != nil {
			if e, ok := stopped.(*Error); !ok || e.Status == "BYE" {
				cause = stopped
			}
		}
	}
	if e, ok := cause.(*Error); ok {
		e.Tag = p.tag
		e.Text = p.prefix() + e.Text
	}
	return cause
}

// passOver reads past the non-synchronising literals that belong to a command
// which is not parsed further. A synchronising one is never sent once the
// command has been answered.
func (p *parser) passOver() {
	for {
		n, sync, ok := announced(p.buf)
		if !ok || sync {
			return
		}
		p.discard(n)
		if p.stopped {
			return
		}
		p.readLine()
		if p.stopped {
			return
		}
	}
}

// discard reads past n bytes, if that is worth it.
func (p *parser) discard(n int64) {
	p.skipLeft -= n
	if p.skipLeft < 0 {
		p.stop(bye("TOOBIG", "Literal too large"))
		return
	}
	if _, err := io.CopyN(io.Discard, p.r.src, n); err != nil {
		p.stop(unexpectedEOF(err))
	}
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// announced reports the literal that a line ends with.
func announced(line []byte) (size int64, sync, ok bool) {
	n := len(line) - 1
	if n < 2 || line[n] != '}' {
		return 0, false, false
	}
	sync = true
	if line[n-1] == '+' {
		sync = false
		n--
	}
	start := n
	for start > 0 && isDigit(line[start-1]) {
		start--
	}
	if start == n || start == 0 || line[start-1] != '{' {
		return 0, false, false
	}
	size, _ = parseNumber(line[start:n])
	return size, sync, true
}
