package smtp

import (
	"bufio"
	"errors"
	"io"

	"lockstep/internal/mail"
)

var errTooBig = mail.Errorf(mail.Limit, "larger than this server takes")

// dotReader reads the body behind DATA (RFC 5321 §4.1.1.4). Only CRLF.CRLF ends
// it, and only a dot behind CRLF is taken away: who also took a bare LF for the
// end of a line would see commands where the sender sees text. All else is passed
// on as it comes. Used by one session.
type dotReader struct {
	in    *bufio.Reader
	limit int64 // bytes that may still come; past it errTooBig

	inLine bool // the last byte was not the LF of a CRLF
	cr     bool // the last byte was CR
	rest   []byte
	err    error
}

// Read implements io.Reader.
func (d *dotReader) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.rest, d.err = d.next()
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (d *dotReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for d.err == nil {
		var piece []byte
		piece, d.err = d.next()
		n, err := w.Write(piece)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, ignore(d.err, io.EOF)
}

func ignore(err, usual error) error {
	if err == usual {
		return nil
	}
	return err
}

// next returns the next piece, which is good until the one after it.
func (d *dotReader) next() ([]byte, error) {
	piece, err := d.piece()
	if err != nil {
		return nil, err
	}
	if d.limit -= int64(len(piece)); d.limit < 0 {
		return nil, errTooBig
	}
	return piece, nil
}

// piece reads a line, or as much of it as fits in the buffer.
func (d *dotReader) piece() ([]byte, error) {
	line, err := d.in.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		return nil, unexpected(err)
	}
	n := len(line)
	begins := !d.inLine
	crBefore := d.cr
	if n > 1 {
		crBefore = line[n-2] == '\r'
	}
	d.inLine = line[n-1] != '\n' || !crBefore
	d.cr = line[n-1] == '\r'
	if !begins || line[0] != '.' {
		return line, nil
	}
	if n == 3 && !d.inLine {
		return nil, io.EOF
	}
	return line[1:], nil
}

// unexpected turns the end of the connection into what it is for a body.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// drain reads the body to its end, so that the answer comes where the client
// expects it. An error is one of the connection.
func (d *dotReader) drain() error {
	if d.err == io.EOF || d.err != nil && !errors.Is(d.err, errTooBig) {
		return ignore(d.err, io.EOF)
	}
	for {
		if _, err := d.piece(); err != nil {
			return ignore(err, io.EOF)
		}
	}
}
