package delivery

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// MaxReceived is how many Received fields a message may have: one with more goes
// in circles (RFC 5321 §6.3 asks for 100 at least to be let through).
const MaxReceived = 100

// ErrLoop is given for a message that goes in circles.
var ErrLoop = mail.Errorf(mail.Invalid, "more than %d Received fields: the message goes in circles", MaxReceived)

// Hop is how a message came to us, for its Received field (RFC 5321 §4.4).
type Hop struct {
	Helo     string
	Addr     netip.Addr
	With     string // the protocol as RFC 3848 and RFC 6531 name it, such as ESMTPSA
	TLS      string // version and cipher; "" without
	ID       string // of the session
	Arrived  time.Time
	Protocol mail.Protocol
}

// received writes the Received field.
func (h Hop) received(by string) []byte {
	b := fmt.Appendf(nil, "Received: from %s (%s)\r\n", traceWord(h.Helo), addressLiteral(h.Addr))
	if h.TLS != "" {
		b = fmt.Appendf(b, "\t(using %s)\r\n", h.TLS)
	}
	b = fmt.Appendf(b, "\tby %s with %s id %s;\r\n", by, h.With, traceWord(h.ID))
	return fmt.Appendf(b, "\t%s\r\n", h.Arrived.Format(time.RFC1123Z))
}

// addressLiteral writes an address as RFC 5321 §4.1.3 does.
func addressLiteral(a netip.Addr) string {
	a = a.Unmap()
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is6():
		return "[IPv6:" + a.WithZone("").String() + "]"
	}
	return "[" + a.String() + "]"
}

// traceWord is what a client said, made fit for a header: ASCII, no white space,
// no comments, no control characters, bounded.
func traceWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>;\,"`, r) {
			return -1
		}
		return r
	}, s)
	if len(s) > maxDomainBytes {
		s = s[:maxDomainBytes]
	}
	if s == "" {
		return "unknown"
	}
	return s
}

func returnPath(reversePath string) []byte {
	return fmt.Appendf(nil, "Return-Path: <%s>\r\n", reversePath)
}

// countReceived counts the Received fields of what came.
func (s *spool) countReceived() (int, error) {
	head, err := s.head()
	n := 0
	for line := range bytes.Lines(head) {
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if len(line) >= len(receivedName) && strings.EqualFold(string(line[:len(receivedName)]), receivedName) {
			n++
		}
	}
	return n, err
}

const receivedName = "Received:"

// head is as much of what came as its header can be. It is good until the next
// write.
func (s *spool) head() ([]byte, error) {
	n := min(s.size, message.MaxHeaderBytes)
	if s.file == nil {
		return (*s.mem)[:n], nil
	}
	head := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(s.file, 0, n), head)
	return head, err
}

// header is the header of what came, without what we add.
func (s *spool) header() (message.Header, error) {
	head, err := s.head()
	if err != nil {
		return "", err
	}
	m, err := message.Parse(bytes.NewReader(head))
	if err != nil {
		return "", err
	}
	return message.Header(head[:min(m.Root.HeaderSize, int64(len(head)))]), nil
}
