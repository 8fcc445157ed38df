package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/eas/wbxml"
)

// Who the phones belong to: an account has fifty devices at most.
const (
	phonesEach    = 50
	phoneAccounts = 200
)

func phoneAccount(i int) string { return fmt.Sprintf("phone%03d", i) }

// easIdle measures the memory of phones that wait in Ping, under TLS.
func easIdle(ctx context.Context, s *site) ([]figure, error) {
	if err := s.restart(ctx, false, ""); err != nil {
		return nil, err
	}
	n := min(s.sizes.idlers, phonesEach*phoneAccounts)
	empty, err := residentKB(s.pid())
	if err != nil {
		return nil, err
	}
	phones, err := s.pingers(ctx, n)
	defer func() {
		for _, p := range phones {
			p.Close()
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

// pingers brings n phones into Ping, a few at a time.
func (s *site) pingers(ctx context.Context, n int) (phones []*phone, err error) {
	var mu sync.Mutex // guards phones and err
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				p, failed := s.dialPhone(phoneAccount(i/phonesEach), fmt.Sprintf("bench%d", i))
				if failed == nil {
					failed = p.ping()
				}
				mu.Lock()
				if p != nil {
					phones = append(phones, p)
				}
				if failed != nil {
					err = failed
				}
				stop := err != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	all.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return phones, err
}

// A phone that was just woken is left alone for 300 ms, and what comes in it gathered:
// so many phones take turns that each has been quiet for longer.
const (
	quiet      = 350 * time.Millisecond
	pushPhones = 40
)

// settling is how long a phone may take to be waiting once it asked to.
const settling = 5 * time.Millisecond

// easPush is how long changes take to and from a phone: from the write of a UID STORE
// to the read of a waiting Ping's answer, and of a waiting Sync's; and from the write of
// a Sync that changes a message to the read of the untagged FETCH in IDLE.
func easPush(_ context.Context, s *site) ([]figure, error) {
	a, _, err := s.dialInbox(pushAccount)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	phones := make([]*phone, pushPhones)
	for i := range phones {
		if phones[i], err = s.dialPhone(pushAccount, fmt.Sprintf("bench%d", i)); err != nil {
			return nil, err
		}
		defer phones[i].Close()
	}
	pings, err := s.pushes(phones, func(p *phone) (time.Duration, error) { return s.storeToPing(a, p) })
	if err != nil {
		return nil, fmt.Errorf("to Ping: %w", err)
	}
	syncs, err := s.pushes(phones, func(p *phone) (time.Duration, error) { return s.storeToSync(a, p) })
	if err != nil {
		return nil, fmt.Errorf("to Sync: %w", err)
	}
	if err := a.idle(); err != nil {
		return nil, err
	}
	if err := phones[0].catchUp(); err != nil {
		return nil, err
	}
	idles, err := s.pushes(phones[:1], func(p *phone) (time.Duration, error) { return syncToIdle(a, p) })
	if err != nil {
		return nil, fmt.Errorf("to IDLE: %w", err)
	}
	return []figure{
		{pushMedian, milliseconds(percentile(pings, 50))}, {pushTail, milliseconds(percentile(pings, 99))},
		{"Sync p50 ms", milliseconds(percentile(syncs, 50))}, {"Sync p99 ms", milliseconds(percentile(syncs, 99))},
		{toIdle, milliseconds(percentile(idles, 50))}, {"to IDLE p99 ms", milliseconds(percentile(idles, 99))},
	}, nil
}

const toIdle = "to IDLE p50 ms"

// pushes does one push after another; the phones take turns.
func (s *site) pushes(phones []*phone, one func(*phone) (time.Duration, error)) (took []time.Duration, err error) {
	for i := range s.sizes.pushes {
		t, err := one(phones[i%len(phones)])
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		took = append(took, t)
	}
	return took, nil
}

// catchUp brings a phone in step, and waits until it has been quiet.
func (p *phone) catchUp() error {
	for {
		c, err := p.sync()
		if err != nil || c == nil {
			time.Sleep(time.Until(p.woken.Add(quiet)))
			return err
		}
	}
}

func (s *site) storeToPing(a *imapConn, p *phone) (time.Duration, error) {
	if err := p.catchUp(); err != nil {
		return 0, err
	}
	if err := p.ping(); err != nil {
		return 0, err
	}
	return s.storeTo(a, p, func() (time.Time, error) {
		root, err := p.answer()
		if err == nil && root.Get(wbxml.PingStatus) != "2" {
			err = fmt.Errorf("status %q of Ping", root.Get(wbxml.PingStatus))
		}
		return p.heard, err
	})
}

func (s *site) storeToSync(a *imapConn, p *phone) (time.Duration, error) {
	if err := p.catchUp(); err != nil {
		return 0, err
	}
	waiting := p.syncing().Add(wbxml.Int(wbxml.AirSyncHeartbeatInterval, 3540))
	if err := p.send("Sync", waiting); err != nil {
		return 0, err
	}
	return s.storeTo(a, p, func() (time.Time, error) {
		c, err := p.synced()
		if err == nil && !c.Child(wbxml.AirSyncCommands).Has(wbxml.AirSyncChange) {
			err = fmt.Errorf("the Sync brought nothing")
		}
		return p.heard, err
	})
}

// storeTo is the time from a STORE until it was heard of.
func (s *site) storeTo(a *imapConn, p *phone, heard func() (time.Time, error)) (time.Duration, error) {
	time.Sleep(settling)
	done := make(chan error, 1)
	var when time.Time
	go func() {
		var err error
		when, err = heard()
		done <- err
	}()
	begun := time.Now()
	err := a.do(toggle(s.pushed, pushInbox, "pushed"), nil)
	s.pushed++
	if err != nil {
		return 0, err
	}
	if err := <-done; err != nil {
		return 0, err
	}
	p.woken = when
	return when.Sub(begun), nil
}

// syncToIdle is the time from a Sync that says of a message whether it was read until
// IDLE says so too.
func syncToIdle(a *imapConn, p *phone) (time.Duration, error) {
	p.read = !p.read
	change := wbxml.New(wbxml.AirSyncChange, wbxml.Text(wbxml.AirSyncServerId, p.first), wbxml.New(wbxml.AirSyncApplicationData, wbxml.Bool(wbxml.EmailRead, p.read)))
	heard := make(chan error, 1)
	var when time.Time
	go func() { heard <- a.await([]byte("* "), &when) }()
	start := time.Now()
	if _, err := p.sync(change); err != nil {
		return 0, err
	}
	if err := <-heard; err != nil {
		return 0, err
	}
	return when.Sub(start), nil
}
