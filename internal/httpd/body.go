package httpd

import (
	"io"
	"net/http"
	"time"
)

// body is a request's body that has to keep coming. Only the time that is spent
// waiting for the client counts.
type body struct {
	io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration // that one read may take
	left  time.Duration // that all may take still; grows with each byte
	each  time.Duration // by so much
	done  bool
}

// newBody bounds the time that the body of a request takes.
func newBody(w http.ResponseWriter, r *http.Request, l Limits) io.ReadCloser {
	b := &body{r.Body, http.NewResponseController(w), l.Stall, l.Stall, time.Second / time.Duration(l.BodyRate), r.ContentLength == 0}
	if !b.done {
		b.bound(b.stall) // also when nobody reads it
	}
	return b
}

// bound has reads fail after a while. What is no connection, as in tests, has no
// such bound.
func (b *body) bound(d time.Duration) { _ = b.conn.SetReadDeadline(time.Now().Add(d)) }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return b.ReadCloser.Read(p)
	}
	began := time.Now()
	b.bound(min(b.stall, b.left))
	n, err := b.ReadCloser.Read(p)
	b.left += time.Duration(n)*b.each - time.Since(began)
	if err == io.EOF {
		b.done = true
		_ = b.conn.SetReadDeadline(time.Time{}) // the next request has bounds of its own
	}
	return n, err
}
