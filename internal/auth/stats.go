package auth

import (
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
)

// Stats counts sign-ins since the start, by how they ended.
type Stats struct {
	OK      int64
	Wrong   int64 // login, password or proof
	Limited int64 // too many failures before
	Denied  int64 // right, but disabled, blocked or not for that protocol
	Failed  int64 // through our fault
}

type counters struct {
	ok, wrong, limited, denied, failed atomic.Int64
}

// Stats returns the counts.
func (s *Service) Stats() Stats {
	c := &s.counts
	return Stats{c.ok.Load(), c.wrong.Load(), c.limited.Load(), c.denied.Load(), c.failed.Load()}
}

// count counts how a sign-in ended.
func (s *Service) count(err error) {
	c := &s.counts
	switch {
	case err == nil:
		c.ok.Add(1)
	case mail.KindOf(err) == mail.BadCredentials:
		c.wrong.Add(1)
	case mail.KindOf(err) == mail.Limit:
		c.limited.Add(1)
	case mail.KindOf(err) == mail.Denied:
		c.denied.Add(1)
	default:
		c.failed.Add(1)
	}
}

// lastHash is when a password was last hashed, by whatever Service.
var lastHash atomic.Int64

// LastHash is when this process last hashed a password, each time in argonMemoryKiB
// of memory that is garbage afterwards; zero if it never did.
func LastHash() time.Time {
	if n := lastHash.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
