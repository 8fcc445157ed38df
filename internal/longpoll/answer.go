package longpoll

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// An Answer is what is said when a wait is over. Its length and date are added.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// write writes the answer to a connection that net/http gave up, in one piece.
func (a Answer) write(to io.Writer, last bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %03d %s\r\nDate: %s\r\n", a.Status, http.StatusText(a.Status), time.Now().UTC().Format(http.TimeFormat))
	if last {
		b.WriteString("Connection: close\r\n")
	}
	err := a.Header.WriteSubset(&b, map[string]bool{"Connection": true, "Content-Length": true, "Date": true, "Transfer-Encoding": true})
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(a.Body))
	b.Write(a.Body)
	if err == nil {
		_, err = to.Write(b.Bytes())
	}
	return err
}

// send gives the answer to net/http.
func (a Answer) send(rw http.ResponseWriter, last bool) {
	h := rw.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	if last {
		h.Set("Connection", "close")
	}
	rw.WriteHeader(a.Status)
	_, _ = rw.Write(a.Body) // who hung up asks again
}
