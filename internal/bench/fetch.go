package bench

import (
	"context"
	"fmt"
)

// openWarm opens the big INBOX as a program does that was away: SELECT and the
// flags of all.
func openWarm(_ context.Context, s *site) ([]figure, error) { return s.open(bigAccount) }

// openHuge does so with an INBOX in which nothing that grows with it stays small.
func openHuge(_ context.Context, s *site) ([]figure, error) { return s.open(hugeAccount) }

func (s *site) open(account string) ([]figure, error) {
	c, err := s.dial(account)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	spent, err := s.timed(func() error { return s.openAll(c) })
	return []figure{{totalMS, milliseconds(spent.elapsed)}, {"CPU ms", milliseconds(spent.cpu)}}, err
}

// openCold does so right after the server started with nothing in the page
// cache. Signing in comes before the clock starts.
func openCold(ctx context.Context, s *site) ([]figure, error) {
	if err := s.restart(ctx, true, ""); err != nil {
		return nil, err
	}
	return openWarm(ctx, s)
}

func (s *site) openAll(c *imapConn) error {
	o, err := c.selectInbox("")
	if err != nil {
		return err
	}
	return s.fetchAll(c, fmt.Sprintf("1:%d (UID FLAGS)", o.exists), o.exists, 0)
}

// fetchAll does one FETCH and checks that n messages came, with literals of at
// least so many bytes each.
func (s *site) fetchAll(c *imapConn, what string, n, literal int) error {
	got, before := 0, c.literals
	err := c.do("FETCH "+what, func(line []byte) {
		if isFetch(line) {
			got++
		}
	})
	if err == nil && got != n {
		err = fmt.Errorf("%s answered FETCH %s for %d of %d messages", s.name(), what, got, n)
	}
	if err == nil && c.literals-before < int64(n)*int64(literal) {
		err = fmt.Errorf("%s sent %d bytes in literals for FETCH %s", s.name(), c.literals-before, what)
	}
	return err
}

func fetchEnvelopes(_ context.Context, s *site) ([]figure, error) {
	return s.fetchRate("(UID ENVELOPE)", s.sizes.mid, 0)
}

func fetchHeaders(_ context.Context, s *site) ([]figure, error) {
	return s.fetchRate("(UID BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID REFERENCES)])", s.sizes.mid, 100)
}

func fetchBodies(_ context.Context, s *site) ([]figure, error) {
	return s.fetchRate("(UID BODY.PEEK[])", s.sizes.bodies, letterSize)
}

// fetchPiped fetches the first messages of the middle INBOX by a command each, as
// programs do that mirror a mailbox: the commands go out as fast as the server
// takes them.
func fetchPiped(_ context.Context, s *site) ([]figure, error) {
	c, _, err := s.dialInbox(midAccount)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	n, got, before := s.sizes.bodies, 0, c.literals
	spent, err := s.timed(func() error {
		return c.pipeline(n, func(i int) string { return fmt.Sprintf("FETCH %d (UID BODY.PEEK[])", i+1) }, func(line []byte) {
			if isFetch(line) {
				got++
			}
		})
	})
	if err == nil && (got != n || c.literals-before < int64(n)*letterSize) {
		err = fmt.Errorf("%s answered %d of %d FETCHes with %d bytes in literals", s.name(), got, n, c.literals-before)
	}
	return rate(n, spent), err
}

// afterRestart measures what the first client meets: the server has nothing in
// memory, the kernel has its files.
func afterRestart(measure func(context.Context, *site) ([]figure, error)) func(context.Context, *site) ([]figure, error) {
	return func(ctx context.Context, s *site) ([]figure, error) {
		if err := s.restart(ctx, false, ""); err != nil {
			return nil, err
		}
		if err := s.catchUp(ctx); err != nil {
			return nil, err
		}
		return measure(ctx, s)
	}
}

// rate says a span in which n messages came.
func rate(n int, spent span) []figure {
	return []figure{{perSecond, float64(n) / spent.elapsed.Seconds()}, {"CPU µs each", float64(spent.cpu.Microseconds()) / float64(n)}}
}

// fetchRate fetches the first n messages of the middle INBOX in one command.
func (s *site) fetchRate(items string, n, literal int) ([]figure, error) {
	c, _, err := s.dialInbox(midAccount)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	spent, err := s.timed(func() error { return s.fetchAll(c, fmt.Sprintf("1:%d %s", n, items), n, literal) })
	return rate(n, spent), err
}
