package upkeep

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs"
)

// Scrub goes through everything that is stored, again and again. Set its fields,
// call Open, then Run.
type Scrub struct {
	Blobs    *blob.Store
	Rows     Rows
	Store    store.Store
	Accounts func(context.Context) ([]store.Principal, error)
	// Reindex makes the search index of an account anew, whose messages were not what
	// they are; nil: there is none.
	Reindex func(context.Context, mail.AccountID) error
	// Spare opens the record that a backup has of what lies at a place of the packs; it
	// is fs.ErrNotExist if none has. nil: there is no backup.
	Spare func(ctx context.Context, place string) (io.ReadCloser, error)
	FS    vfs.FS
	File  string        // where it remembers how far it is
	Rate  int64         // bytes that it reads in a second, at most
	Every time.Duration // from the beginning of a pass to that of the next; 0: none by itself
	Log   *slog.Logger
	// Shared is where nodes that take turns remember it instead; nil: there is one.
	Shared store.Files

	passing sync.Mutex // held during a pass
	running atomic.Bool
	hurry   atomic.Bool
	kick    chan struct{}
	pace    pace
	saved   time.Time
	packs   packBytes
	settled time.Time // when damage was last seen to
	took    time.Duration
	tried   map[mail.BlobName]bool // to be mended, in this pass

	mu    sync.Mutex
	state state // guarded by mu; written by the pass alone
	err   error // of the last pass, if it broke off; guarded by mu
	stats Stats
}

// Rows are what a scrub needs of the database.
type Rows interface {
	store.Checker
	// Reparsed is that of store.Keeper.
	Reparsed(ctx context.Context, id mail.AccountID, all []store.Derived) error
	// LookOver is Check that changes nothing and gives way: then it is mail.Unavailable.
	LookOver(ctx context.Context, id mail.AccountID) ([]string, error)
	// Tables names all tables, in order.
	Tables(ctx context.Context) ([]string, error)
	// Integrity has the database check a table, and with repair make its indexes anew
	// where they differ. It says what was wrong and what still is. It gives way too.
	Integrity(ctx context.Context, table string, repair bool) (wrong, left []string, err error)
}

// The stages of a pass, in order.
const (
	StageBytes  = "bytes"  // of all blobs
	StageRows   = "rows"   // of all accounts
	StageTables = "tables" // pages and indexes of the database
)

// Pass is one time through everything.
type Pass struct {
	Began time.Time
	Ended time.Time // zero: it is under way
	// Where it is: the stage, and what in it was last looked at.
	Stage string
	After string

	Bytes    int64 // read of packs
	Blobs    int64
	Accounts int64
	Tables   int64
	Findings
}

// Findings are what a pass found.
type Findings struct {
	Mended   int      // blobs of which there was another good record
	Restored int      // blobs that were fetched from a backup
	PutRight int      // things in accounts and tables
	Left     []string // what is still wrong with accounts and tables, maxLeft at most
	Skipped  []string // what could not be looked at, maxLeft at most
}

// maxLeft bounds how many findings are remembered; the doctor finds them all.
const maxLeft = 100

// state is what is remembered.
type state struct {
	Since time.Time // when scrubbing began here
	Pass  *Pass     // under way
	Last  *Pass     // the last whole one
}

// Stats are counts since the start.
type Stats struct {
	Bytes                                          int64
	Damaged, Mended, Restored, PutRight, LeftWrong int64
}

// Status is how the scrub stands.
type Status struct {
	Since   time.Time
	Pass    *Pass // under way; nil if none is
	Last    *Pass // the last whole one; nil if there was none
	Next    time.Time
	Packs   int64 // bytes of all packs
	Damaged int   // blobs known to be damaged now
	Rate    int64
	Every   time.Duration
	Err     string // why the last one broke off; it will be taken up again
	Stats   Stats
}

// How long after the start a pass begins or goes on, when one that broke off is taken
// up again, and how often its place is written down meanwhile.
const (
	scrubBegins = 5 * time.Minute
	scrubRetry  = 10 * time.Minute
	saveEvery   = time.Minute
)

// Open reads where the scrub was. A memory that can't be read is begun anew.
func (s *Scrub) Open() {
	s.kick = make(chan struct{}, 1)
	if err := s.memory().load(&s.state); err != nil {
		s.Log.Warn("scrub: its place is lost, so it begins anew", "err", err)
		s.state = state{}
	}
	if p := s.state.Pass; p != nil && p.Stage != StageBytes && p.Stage != StageRows && p.Stage != StageTables {
		s.state.Pass = nil
	}
}

func (s *Scrub) memory() memory { return memory{s.FS, s.File, s.Shared} }

// hear goes on where another node was.
func (s *Scrub) hear() {
	if s.Shared == nil {
		return
	}
	s.passing.Lock()
	defer s.passing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var is state
	if err := s.memory().load(&is); err != nil {
		s.Log.Warn("scrub: where another node was is lost", "err", err)
		return
	}
	s.state = is
}

// Run makes a pass whenever one is due, until ctx ends.
func (s *Scrub) Run(ctx context.Context) error {
	s.running.Store(true)
	defer s.running.Store(false)
	s.hear()
	s.mu.Lock()
	if s.state.Since.IsZero() {
		s.state.Since = time.Now()
	}
	s.mu.Unlock()
	for least := scrubBegins; ; {
		if !s.waitFor(ctx, max(least, s.due())) {
			return nil
		}
		least = 0
		if err := s.Pass(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "scrub broke off, and will go on", "err", err)
			least = scrubRetry
		}
	}
}

// waitFor waits until a pass is due, or asked for; false is the end.
func (s *Scrub) waitFor(ctx context.Context, d time.Duration) bool {
	var timer <-chan time.Time
	if s.Every > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer:
	case <-s.kick:
	}
	return ctx.Err() == nil
}

// due is how long it is until the next pass begins, or goes on.
func (s *Scrub) due() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Pass != nil || s.state.Last == nil {
		return 0
	}
	left := time.Until(s.state.Last.Began.Add(s.Every))
	return min(max(left, 0), s.Every) // a clock that was put back delays it by no more
}

// Pass makes a pass, or goes on with the one that is under way. It returns when it
// is whole, or breaks off; its place is remembered then.
func (s *Scrub) Pass(ctx context.Context) (err error) {
	s.passing.Lock()
	defer s.passing.Unlock()
	s.begin()
	defer func() {
		s.mu.Lock()
		s.err = err
		if ctx.Err() != nil {
			s.err = nil // it was told to
		}
		s.mu.Unlock()
		s.save()
		s.hurry.Store(false)
	}()
	for _, st := range []struct {
		name string
		next string
		run  func(context.Context) error
	}{{StageBytes, StageRows, s.bytes}, {StageRows, StageTables, s.rows}, {StageTables, "", s.tables}} {
		if s.at().Stage != st.name {
			continue
		}
		s.pace.begin()
		if err := st.run(ctx); err != nil {
			return err
		}
		s.moved(func(p *Pass) { p.Stage, p.After = st.next, "" })
	}
	s.end(ctx)
	return nil
}

// begin begins a pass, or goes on.
func (s *Scrub) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.state.Since.IsZero() {
		s.state.Since = now
	}
	if s.state.Pass == nil {
		s.state.Pass = &Pass{Began: now, Stage: StageBytes}
	}
	s.saved = now
	s.pace = pace{}
	s.tried = map[mail.BlobName]bool{}
}

// end ends a pass that is whole.
func (s *Scrub) end(ctx context.Context) {
	s.mu.Lock()
	p := s.state.Pass
	p.Ended = time.Now()
	s.state.Last, s.state.Pass = p, nil
	s.mu.Unlock()
	s.Log.InfoContext(ctx, "scrub done", "blobs", p.Blobs, "bytes", p.Bytes, "accounts", p.Accounts, "mended", p.Mended, "restored", p.Restored,
		"put_right", p.PutRight, "damaged", s.Blobs.Damaged(), "left", len(p.Left), "skipped", len(p.Skipped), "took", p.Ended.Sub(p.Began).Round(time.Second).String())
}

// at is the pass under way.
func (s *Scrub) at() Pass {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.state.Pass
}

// moved notes how far the pass is, and writes that down now and then.
func (s *Scrub) moved(change func(*Pass)) {
	s.mu.Lock()
	change(s.state.Pass)
	due := time.Since(s.saved) >= saveEvery
	s.mu.Unlock()
	if due {
		s.save()
	}
}

// save writes the place down. Nothing fails when that can't be: it is looked at
// again.
func (s *Scrub) save() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = time.Now()
	if err := s.memory().keep(s.state); err != nil {
		s.Log.Warn("scrub: its place can't be written down", "err", err)
	}
}

// rest rests after bytes were read, as long as the pace wants.
func (s *Scrub) rest(ctx context.Context, bytes int64) error {
	s.pace.rate, s.pace.share = s.Rate, restShare
	if s.hurry.Load() {
		s.pace.rate, s.pace.share = 0, hurryShare
	}
	s.mu.Lock()
	s.state.Pass.Bytes += bytes
	s.stats.Bytes += bytes
	s.mu.Unlock()
	return s.pace.wait(ctx, bytes)
}

// Status returns how the scrub stands.
func (s *Scrub) Status() Status {
	packs := s.packs.now(s.Blobs)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Since: s.state.Since, Packs: packs, Damaged: s.Blobs.Damaged(), Rate: s.Rate, Every: s.Every, Stats: s.stats}
	for from, to := range map[*Pass]**Pass{s.state.Pass: &st.Pass, s.state.Last: &st.Last} {
		if from != nil {
			p := *from
			*to = &p
		}
	}
	if st.Pass == nil && st.Last != nil && s.Every > 0 {
		st.Next = st.Last.Began.Add(s.Every)
	}
	if s.err != nil {
		st.Err = s.err.Error()
	}
	return st
}

// packBytes remembers how large the packs are: whoever looks at metrics asks often.
type packBytes struct {
	mu    sync.Mutex
	at    time.Time
	bytes int64
}

// packsAsked is how long that holds.
const packsAsked = 10 * time.Second

func (p *packBytes) now(b *blob.Store) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) >= packsAsked {
		p.bytes, _ = b.PackBytes() // what can't be listed is told by the pass
		p.at = time.Now()
	}
	return p.bytes
}

// Share is how much of the pass under way is done, from 0 to 1; 1 if none is.
func (st Status) Share() float64 {
	switch {
	case st.Pass == nil && st.Last == nil:
		return 0
	case st.Pass == nil:
		return 1
	case st.Pass.Stage != StageBytes || st.Packs == 0:
		return 0.99 // the rest is short
	}
	return min(0.99, float64(st.Pass.Bytes)/float64(st.Packs))
}

// Age is how long ago the last whole pass ended, or scrubbing began here if there
// was none; 0 if it never did.
func (st Status) Age(now time.Time) time.Duration {
	switch {
	case st.Last != nil:
		return now.Sub(st.Last.Ended)
	case st.Since.IsZero():
		return 0
	}
	return now.Sub(st.Since)
}

// tellEvery is how often Now tells how far it is.
const tellEvery = time.Second

// Now makes a pass at once, or hurries the one that is under way: without regard to
// the rate, but still with rests. It tells how far it is. When ctx ends, a pass of the
// running server goes on, at its usual pace again.
func (s *Scrub) Now(ctx context.Context, tell func(Status) error) error {
	began := time.Now()
	s.hurry.Store(true)
	done := make(chan error, 1)
	if s.running.Load() {
		defer s.hurry.Store(false)
		select {
		case s.kick <- struct{}{}:
		default: // asked for already
		}
	} else {
		go func() { done <- s.Pass(ctx) }()
	}
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			return tell(s.Status())
		case <-ctx.Done():
			if !s.running.Load() {
				<-done
			}
			return ctx.Err()
		case <-t.C:
		}
		st := s.Status()
		if err := tell(st); err != nil {
			return err
		}
		if s.running.Load() && st.Last != nil && !st.Last.Ended.Before(began) {
			return nil
		}
		if s.running.Load() && st.Err != "" {
			return mail.Errorf(mail.Unavailable, "the pass broke off, and will go on: %s", st.Err)
		}
	}
}
