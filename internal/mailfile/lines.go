package mailfile

import (
	"bufio"
	"io"
)

// crlfReader reads lines with CRLF, however they end in the file.
type crlfReader struct {
	in   *bufio.Reader
	cr   bool
	out  []byte
	line []byte // behind out
}

func newCRLFReader(r io.Reader) io.Reader {
	return &crlfReader{in: bufio.NewReaderSize(r, mboxBuffer)}
}

// Read implements io.Reader.
func (r *crlfReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		piece, err := r.in.ReadSlice('\n')
		if len(piece) == 0 {
			return 0, err
		}
		n := len(piece)
		bare := piece[n-1] == '\n' && !(n > 1 && piece[n-2] == '\r' || n == 1 && r.cr)
		r.cr = piece[n-1] == '\r'
		r.out = piece
		if bare {
			r.line = append(append(r.line[:0], piece[:n-1]...), crlf...)
			r.out = r.line
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// lfReader reads lines with LF for CRLF.
type lfReader struct {
	in  *bufio.Reader
	cr  bool // a CR is held back
	out []byte
}

func newLFReader(r io.Reader) io.Reader {
	return &lfReader{in: bufio.NewReaderSize(r, mboxBuffer)}
}

// Read implements io.Reader.
func (r *lfReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		piece, err := r.in.ReadSlice('\n')
		if len(piece) == 0 {
			if r.cr && err == io.EOF {
				r.cr, r.out = false, crlf[:1]
				break
			}
			return 0, err
		}
		r.out = r.strip(piece)
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *lfReader) strip(piece []byte) []byte {
	if r.cr && piece[0] != '\n' {
		piece = append([]byte{'\r'}, piece...)
	}
	n := len(piece)
	r.cr = piece[n-1] == '\r'
	switch {
	case r.cr:
		return piece[:n-1]
	case n > 1 && piece[n-2] == '\r' && piece[n-1] == '\n':
		piece[n-2] = '\n'
		return piece[:n-1]
	}
	return piece
}
