package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

// storeMany is UID STORE of one message after another, each account on one
// connection. Every STORE changes something.
func storeMany(ctx context.Context, s *site) ([]figure, error) {
	o, err := s.race(ctx, storeConns, storeConns*s.sizes.stores, func(w int) (worker, error) {
		c, _, err := s.dialInbox(storeAccount(w))
		if err != nil {
			return worker{}, err
		}
		store := func(int) error {
			command := toggle(s.stored[w], storeInbox, "stored")
			s.stored[w]++
			return c.do(command, nil)
		}
		return worker{do: store, stop: func() { c.Close() }}, nil
	})
	return o.figures(), err
}

// toggle is the STORE that changes something as the nth of its kind: a keyword
// goes to each of the messages in turn, and then from each.
func toggle(n, messages int, keyword string) string {
	op := "+FLAGS"
	if (n/messages)%2 == 1 {
		op = "-FLAGS"
	}
	return fmt.Sprintf("UID STORE %d %s (%s)", n%messages+1, op, keyword)
}

// push is the time from the write of A's UID STORE to the read of B's untagged
// FETCH in IDLE.
func push(_ context.Context, s *site) ([]figure, error) {
	a, _, err := s.dialInbox(pushAccount)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, _, err := s.dialInbox(pushAccount)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := b.idle(); err != nil {
		return nil, err
	}
	n := s.sizes.pushes
	if s.name() == "Dovecot" {
		n = s.sizes.peerPushes
	}
	var latencies []time.Duration
	for i := range n {
		took, err := onePush(a, b, s.pushed)
		s.pushed++
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		latencies = append(latencies, took)
	}
	return []figure{{pushMedian, milliseconds(percentile(latencies, 50))}, {pushTail, milliseconds(percentile(latencies, 99))}}, nil
}

// onePush changes one message in A and waits for B to hear of it.
func onePush(a, b *imapConn, n int) (time.Duration, error) {
	want := fmt.Appendf(nil, "* %d FETCH", n%pushInbox+1) // nothing was expunged: UID and sequence number are the same
	heard := make(chan error, 1)
	var when time.Time
	go func() { heard <- b.await(want, &when) }()
	start := time.Now()
	if err := a.do(toggle(n, pushInbox, "pushed"), nil); err != nil {
		return 0, err
	}
	if err := <-heard; err != nil {
		return 0, err
	}
	return when.Sub(start), nil
}

// await reads until a response begins with want and notes when.
func (c *imapConn) await(want []byte, when *time.Time) error {
	c.SetDeadline(time.Now().Add(patience))
	for {
		line, err := c.response()
		*when = time.Now()
		if err != nil || bytes.HasPrefix(line, want) {
			return err
		}
	}
}

// qresync opens the big INBOX again and again as of before 100 changes: flags
// of 90 messages and 10 expunged.
func qresync(_ context.Context, s *site) ([]figure, error) {
	c, o, err := s.dialInbox(bigAccount)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.do("ENABLE QRESYNC", nil); err != nil {
		return nil, err
	}
	if o, err = c.selectInbox(""); err != nil {
		return nil, err
	}
	if err := s.change(c); err != nil {
		return nil, err
	}
	const opens = 11
	params := "QRESYNC (" + strconv.FormatInt(o.uidValidity, 10) + " " + strconv.FormatInt(o.highestModSeq, 10) + ")"
	var times []float64
	var received int64
	for range opens {
		if err := c.do("UNSELECT", nil); err != nil {
			return nil, err
		}
		before, start, fetched, vanished := c.received, time.Now(), 0, 0
		err := c.do("SELECT INBOX ("+params+")", func(line []byte) {
			if isFetch(line) {
				fetched++
			}
			if bytes.HasPrefix(line, []byte("* VANISHED (EARLIER)")) {
				vanished++
			}
		})
		if err != nil {
			return nil, err
		}
		if fetched < changes*9/10 || vanished == 0 {
			return nil, fmt.Errorf("%s told %d changes and %d VANISHED", s.name(), fetched, vanished)
		}
		times = append(times, milliseconds(time.Since(start)))
		received = c.received - before
	}
	return []figure{{totalMS, median(times)}, {kilobytes, float64(received) / 1000}}, nil
}

// change gives 90 messages spread over the mailbox another keyword, and expunges
// 10. Each call takes messages that no earlier call took.
func (s *site) change(c *imapConn) error {
	s.changed++
	step := s.sizes.big / (changes * 11 / 10)
	for i := range changes * 9 / 10 {
		if err := c.do(fmt.Sprintf("STORE %d FLAGS.SILENT (changed)", (i+5)*step+13*s.changed), nil); err != nil {
			return err
		}
	}
	for i := range changes / 10 {
		if err := c.do(fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Deleted)`, i*7+1), nil); err != nil {
			return err
		}
	}
	return c.do("EXPUNGE", nil)
}
