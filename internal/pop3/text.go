package pop3

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

// wholeMessage is so many lines of a body that it is all of them.
const wholeMessage = -1

const textBufferBytes = 32 << 10

var textReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, textBufferBytes) }}

// sendText writes a message as a multi-line response (RFC 1939 §3), to its end or
// only so many lines of its body (TOP). Every line ends with CRLF, however it does
// in the message: a client that takes a bare LF for a line's end must not find the
// response's end within a message.
func sendText(out *bufio.Writer, text io.Reader, lines int) error {
	in := textReaders.Get().(*bufio.Reader)
	defer textReaders.Put(in)
	in.Reset(text)
	w := textWriter{out: out}
	body := false
	for !body || lines != 0 {
		line, err := in.ReadSlice('\n')
		began := w.within
		w.piece(line, err == nil)
		switch {
		case err == io.EOF:
			return w.end()
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return errors.Join(err, out.Flush())
		case body:
			lines--
		case !began && isBlank(line):
			body = true
		}
	}
	return w.end()
}

func isBlank(line []byte) bool { return len(line) == 1 || len(line) == 2 && line[0] == '\r' }

// textWriter writes lines.
type textWriter struct {
	out    *bufio.Writer
	within bool // a line that has begun
	cr     bool // the line so far ends with CR
}

// piece writes a piece of a line, its last with the line's end. Errors stay with
// the buffered writer until it is flushed.
func (w *textWriter) piece(p []byte, last bool) {
	if len(p) == 0 {
		return
	}
	if !w.within && p[0] == '.' {
		w.out.WriteByte('.')
	}
	if !last {
		w.out.Write(p)
		w.within, w.cr = true, p[len(p)-1] == '\r'
		return
	}
	p = p[:len(p)-1]
	if len(p) > 0 {
		w.cr = p[len(p)-1] == '\r'
	}
	w.out.Write(p)
	if !w.cr {
		w.out.WriteByte('\r')
	}
	w.out.WriteByte('\n')
	w.within, w.cr = false, false
}

// end ends the response.
func (w *textWriter) end() error {
	if w.within {
		w.out.WriteString("\r\n")
	}
	_, err := w.out.WriteString(".\r\n")
	return err
}
