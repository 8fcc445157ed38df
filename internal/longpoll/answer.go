package longpoll

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// answer is an http.ResponseWriter on a connection that net/http gave up. An answer
// that does not say its Content-Length is held until it is whole.
type answer struct {
	header http.Header
	last   bool // the connection ends with it
	out    *bufio.Writer
	held   bytes.Buffer
	status int   // 0 until it is known
	left   int64 // bytes of the body still to come; -1 if it is held
}

func newAnswer(to io.Writer, last bool) *answer {
	return &answer{header: http.Header{}, last: last, out: bufio.NewWriter(to)}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status, a.left = status, -1
	if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil {
		a.left = n
		a.begin(n)
	}
}

// theirs are the headers that are ours to say.
var theirs = map[string]bool{"Connection": true, "Content-Length": true, "Date": true, "Transfer-Encoding": true}

// begin writes the head. What can't be written is noticed when it is flushed.
func (a *answer) begin(size int64) {
	fmt.Fprintf(a.out, "HTTP/1.1 %03d %s\r\nDate: %s\r\n", a.status, http.StatusText(a.status), time.Now().UTC().Format(http.TimeFormat))
	if a.last {
		_, _ = a.out.WriteString("Connection: close\r\n")
	}
	_ = a.header.WriteSubset(a.out, theirs)
	fmt.Fprintf(a.out, "Content-Length: %d\r\n\r\n", size)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.left < 0 {
		return a.held.Write(b)
	}
	if int64(len(b)) > a.left {
		return 0, http.ErrContentLength
	}
	a.left -= int64(len(b))
	n, err := a.out.Write(b)
	if err == nil && a.left == 0 {
		err = a.out.Flush() // whoever answers may have more to do
	}
	return n, err
}

// end writes what is held, and says whether the answer was written whole.
func (a *answer) end() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.left < 0 {
		a.left = 0
		a.begin(int64(a.held.Len()))
		_, _ = a.held.WriteTo(a.out)
	}
	if a.left > 0 {
		return http.ErrContentLength
	}
	return a.out.Flush()
}
