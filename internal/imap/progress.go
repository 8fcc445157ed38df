package imap

import (
	"strings"
	"time"
)

// progress tells a client that waits how far a long command is (RFC 9585).
type progress struct {
	s    *session
	tag  string
	goal uint64
	next time.Time
}

func (s *session) newProgress(tag string, goal uint64) *progress {
	return &progress{s, tag, goal, time.Now().Add(s.srv.limits.Progress)}
}

// at says that so much is done, if nothing was said for a while, and somebody
// waits for it.
func (p *progress) at(done uint64) error {
	if p == nil {
		return nil
	}
	now := time.Now()
	if now.Before(p.next) || done >= p.goal {
		return nil
	}
	p.next = now.Add(p.s.srv.limits.Progress)
	out := p.s.enc.Star().Atom("OK").OpenCode("INPROGRESS").Open()
	if strings.Contains(p.tag, "]") { // it would end the code for old parsers (RFC 9585 §4)
		out.NIL()
	} else {
		out.String(p.tag)
	}
	out.Number(done).Number(p.goal).Close().CloseCode().Text("Still at it").End()
	if err := p.s.flush(); err != nil {
		return err
	}
	return nil
}
