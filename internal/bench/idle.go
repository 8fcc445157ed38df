package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// settleTime bounds the wait until a server has given back what signing in and
// selecting took.
const settleTime = 5 * time.Minute

// idlePlain measures the memory of connections that wait.
func idlePlain(ctx context.Context, s *site) ([]figure, error) {
	return s.idlers(ctx, s.imapAddr(), nil)
}

// idleTLS does so under TLS. The clients' half lies in this process, not in the
// server's.
func idleTLS(ctx context.Context, s *site) ([]figure, error) {
	// The certificate is one the server made for itself, on loopback.
	return s.idlers(ctx, s.imapsAddr(), &tls.Config{InsecureSkipVerify: true})
}

func (s *site) idlers(ctx context.Context, addr string, secure *tls.Config) ([]figure, error) {
	if err := s.restart(ctx, false, ""); err != nil {
		return nil, err
	}
	n := s.sizes.idlers
	if s.name() == "Dovecot" {
		n = s.sizes.peerIdlers
	}
	empty, err := residentKB(s.pid())
	if err != nil {
		return nil, err
	}
	conns, err := s.connectIdlers(ctx, n, addr, secure)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	early, err := residentKB(s.pid())
	if err != nil {
		return nil, err
	}
	late, err := s.settle(ctx)
	if err != nil {
		return nil, err
	}
	each := func(kb int64) float64 { return float64(kb-empty) / float64(n) }
	return []figure{{perConnection, each(late)}, {"KB each, at once", each(early)}, {"connections", float64(n)}}, nil
}

// connectIdlers brings n connections into IDLE, a few at a time.
func (s *site) connectIdlers(ctx context.Context, n int, addr string, secure *tls.Config) ([]*imapConn, error) {
	var mu sync.Mutex
	var conns []*imapConn // guarded by mu
	var failed error      // guarded by mu
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for next.Add(1) <= int64(n) && ctx.Err() == nil {
				c, err := s.dialWith(midAccount, addr, secure, 4096)
				if err == nil {
					err = c.becomeIdle()
				}
				mu.Lock()
				if c != nil {
					conns = append(conns, c)
				}
				if err != nil {
					failed = err
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	all.Wait()
	if failed != nil {
		return conns, fmt.Errorf("connection %d of %d: %w", len(conns), n, failed)
	}
	return conns, ctx.Err()
}

// becomeIdle does what phones do.
func (c *imapConn) becomeIdle() error {
	if err := c.do("ENABLE QRESYNC", nil); err != nil {
		return err
	}
	if _, err := c.selectInbox(""); err != nil {
		return err
	}
	if err := c.idle(); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// settle waits until the server's memory stops falling and returns it.
func (s *site) settle(ctx context.Context) (int64, error) {
	// Seconds without a fall of one percent: ours gives back what passwords were
	// hashed in a minute after the last, and collects an idle heap every two.
	calm := 130
	if s.name() == "Dovecot" {
		calm = 5 // it keeps no heap to collect
	}
	least, err := residentKB(s.pid())
	unchanged := 0
	for deadline := time.Now().Add(settleTime); err == nil && unchanged < calm && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
		var now int64
		now, err = residentKB(s.pid())
		unchanged++
		if now < least*99/100 {
			unchanged = 0
		}
		least = min(least, now)
	}
	return least, err
}
