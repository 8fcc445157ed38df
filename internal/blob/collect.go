package blob

import (
	"context"
	"time"

	"lockstep/internal/mail"
)

const (
	condemnedLife  = time.Hour // from condemned to forgotten
	collectPage    = 500
	maxUnnamed     = 1 << 20 // names that one pass remembers; the rest waits for a later one
	deletesPerPass = 1 << 20
)

// A pass is what one call of Collect found.
type pass struct {
	began   time.Time
	unnamed map[mail.BlobName]struct{}
}

// Collected says what a pass did.
type Collected struct {
	Unnamed   int // found unnamed and untouched; the next pass may condemn them
	Condemned int // found so twice
	Forgotten int // condemned an hour ago or more: their bytes are dead now
}

// Collect makes one pass over the index. It is meant to be called every hour or
// so; what a pass found is not kept over a restart, which only delays.
func (s *Store) Collect(ctx context.Context) (Collected, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c Collected
	var err error
	if c.Forgotten, err = s.forget(ctx); err != nil {
		return c, err
	}
	this := pass{began: s.now(), unnamed: map[mail.BlobName]struct{}{}}
	var after mail.BlobName
	for len(this.unnamed) < maxUnnamed {
		names, err := s.index.Unnamed(ctx, this.began.Add(-HandleLife), after, collectPage)
		if err != nil {
			return c, err
		}
		if len(names) == 0 {
			break
		}
		n, err := s.condemn(ctx, names)
		if err != nil {
			return c, err
		}
		c.Condemned += n
		for _, name := range names {
			this.unnamed[name] = struct{}{}
		}
		after = names[len(names)-1]
	}
	s.lastPass = this
	c.Unnamed = len(this.unnamed)
	return c, nil
}

// condemn condemns those of names that the pass before found too, if they were
// not touched since it began.
func (s *Store) condemn(ctx context.Context, names []mail.BlobName) (int, error) {
	var again []mail.BlobName
	for _, name := range names {
		if _, ok := s.lastPass.unnamed[name]; ok {
			again = append(again, name)
		}
	}
	if len(again) == 0 {
		return 0, nil
	}
	return s.index.Condemn(ctx, again, s.lastPass.began)
}

func (s *Store) forget(ctx context.Context) (int, error) {
	total := 0
	for total < deletesPerPass {
		n, err := s.index.Forget(ctx, s.now().Add(-condemnedLife), collectPage)
		total += n
		s.stats.collected.Add(int64(n))
		if err != nil || n == 0 {
			return total, err
		}
	}
	return total, nil
}
