package bench

import (
	"bytes"
	"context"
)

func containsWord(line []byte, word string) bool {
	for _, f := range bytes.Fields(line) {
		if string(f) == word {
			return true
		}
	}
	return false
}

// deliverOne is LMTP on one connection.
func deliverOne(ctx context.Context, s *site) ([]figure, error) {
	o, err := s.race(ctx, 1, s.sizes.single, s.deliverer(s.fresh(s.sizes.single)))
	return o.figures(), err
}

// deliverMany is LMTP on many connections, each to an account of its own.
func deliverMany(ctx context.Context, s *site) ([]figure, error) {
	o, err := s.race(ctx, manyConns, s.sizes.many, s.deliverer(s.fresh(s.sizes.many)))
	return o.figures(), err
}

func (s *site) deliverer(letters []letter) func(int) (worker, error) {
	return func(w int) (worker, error) {
		c, err := dialLMTP(s.lmtpAddr())
		if err != nil {
			return worker{}, err
		}
		to := address(deliveryAccount(w))
		return worker{do: func(i int) error { return c.deliver(to, letters[i].text) }, stop: func() { c.Close() }}, nil
	}
}

// appendOne is APPEND on one connection.
func appendOne(ctx context.Context, s *site) ([]figure, error) {
	o, err := s.race(ctx, 1, s.sizes.single, s.appender(deliveryAccount, s.fresh(s.sizes.single)))
	return o.figures(), err
}

// appendMany is APPEND on many connections, each to an account of its own.
func appendMany(ctx context.Context, s *site) ([]figure, error) {
	o, err := s.race(ctx, manyConns, s.sizes.many, s.appender(deliveryAccount, s.fresh(s.sizes.many)))
	return o.figures(), err
}

func (s *site) appender(account func(w int) string, letters []letter) func(int) (worker, error) {
	return func(w int) (worker, error) {
		c, err := s.dial(account(w))
		if err != nil {
			return worker{}, err
		}
		return worker{do: func(i int) error { return c.appendTo("INBOX", letters[i]) }, stop: func() { c.Close() }}, nil
	}
}

// syncs counts the waits for the disk for each delivery, APPEND and STORE. The
// servers run under strace meanwhile, so nothing else is measured.
func syncs(ctx context.Context, s *site) ([]figure, error) {
	var all []figure
	for _, job := range []struct {
		name string
		n    int
		run  func(context.Context, *site) ([]figure, error)
	}{
		{"each LMTP ×1", s.sizes.single, deliverOne},
		{"each LMTP ×64", s.sizes.many, deliverMany},
		{"each APPEND ×64", s.sizes.many, appendMany},
		{"each STORE ×16", s.sizes.stores * storeConns, storeMany},
	} {
		n, err := s.syncsDuring(ctx, func() error { _, err := job.run(ctx, s); return err })
		if err != nil {
			return nil, err
		}
		all = append(all, figure{job.name, float64(n) / float64(job.n)})
	}
	return all, nil
}
