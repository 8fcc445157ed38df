package imap

import (
	"sync/atomic"

	"lockstep/internal/mail"
)

// allowance bounds what one command, or one session, holds of something that grows
// with the mailbox, and what all of them hold together.
type allowance struct {
	most  int64
	used  int64
	all   *atomic.Int64
	bound int64 // of all
}

// sortsAtOnce is how many of the largest SORTs and THREADs there is memory for at
// a time.
const sortsAtOnce = 2

// mayHold is what one SORT or THREAD may hold; release it.
func (s *Server) mayHold() *allowance {
	return &allowance{most: s.limits.SortBytes, all: &s.sorting, bound: sortsAtOnce * s.limits.SortBytes}
}

// take asks for n bytes more. Limit means that there are none.
func (m *allowance) take(n int64) error {
	if m.used+n > m.most {
		return mail.Errorf(mail.Limit, "There are too many messages to put in order; narrow the search")
	}
	if m.all.Add(n) > m.bound {
		m.all.Add(-n)
		return mail.Errorf(mail.Limit, "Too much is being put in order at the moment")
	}
	m.used += n
	return nil
}

// release gives everything back.
func (m *allowance) release() {
	m.all.Add(-m.used)
	m.used = 0
}
