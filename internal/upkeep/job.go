package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs"
)

// A Job is something that is done every so often. Set its fields, call Open, then Run.
type Job struct {
	Name  string        // in the log
	Every time.Duration // from the beginning of one to that of the next; 0: none by itself
	// Do does it, and says what it did in a few words.
	Do   func(ctx context.Context) (said string, err error)
	FS   vfs.FS
	File string // where is remembered when it was done last
	Log  *slog.Logger
	// Shared is where nodes that take turns remember it instead; nil: there is one.
	Shared store.Files
	// Only does something on one node of all; Conflict while another does it. nil: there
	// is one.
	Only func(ctx context.Context, name string, do func(context.Context) error) error

	busy sync.Mutex // held while it is done

	mu    sync.Mutex
	last  Record    // guarded by mu
	since time.Time // when the one that is being done began; zero: none is; guarded by mu
	next  time.Time // when it is due; zero: never; guarded by mu
}

// Record is what is remembered of a job.
type Record struct {
	Began, Ended time.Time // of the last that was done; zero: none was
	Said         string    // what it did
	// Of those that failed since.
	Failed time.Time // when the last of them began; zero: none did
	Times  int
	Err    string
}

// JobStatus is how a job stands.
type JobStatus struct {
	Record
	Every time.Duration
	Since time.Time // when the one that is being done now began; zero: none is
	Next  time.Time // when it will be done by itself; zero: not at all
}

// When a job is done first after the start, if it is due; and again after it failed: the
// pause is doubled each time, up to a quarter of what lies between two.
const (
	jobBegins    = 5 * time.Minute
	jobRetry     = 5 * time.Minute
	jobMostRetry = 6 * time.Hour
)

// ErrNotYet is what a job returns that has nothing to do yet. It did not fail, and was not
// done; it is asked again after notYetPause.
var ErrNotYet = errors.New("there is nothing to do yet")

const notYetPause = time.Hour

// maxSaid bounds what is remembered of what a job said.
const maxSaid = 4 << 10

// Open reads when the job was done last. A memory that can't be read is none.
func (j *Job) Open() {
	if err := j.memory().load(&j.last); err != nil {
		j.Log.Warn("when this was done last is lost", "job", j.Name, "err", err)
		j.last = Record{}
	}
}

func (j *Job) memory() memory { return memory{j.FS, j.File, j.Shared} }

// hear hears what other nodes did.
func (j *Job) hear() {
	if j.Shared == nil {
		return
	}
	var last Record
	if err := j.memory().load(&last); err != nil {
		j.Log.Warn("when this was done last is not known now", "job", j.Name, "err", err)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = last
}

// Run does the job whenever it is due, until ctx ends.
func (j *Job) Run(ctx context.Context) error {
	if j.Every <= 0 {
		return nil
	}
	j.hear()
	for first := jobBegins; ; {
		before := j.Status().Record
		if sleep(ctx, j.wait(first)) != nil {
			return nil
		}
		j.hear()
		if j.Status().Record != before { // it was done by hand meanwhile
			continue
		}
		first = 0
		switch err := j.Now(ctx); {
		case errors.Is(err, ErrNotYet):
			first = notYetPause
		case err != nil && ctx.Err() == nil && mail.KindOf(err) != mail.Conflict:
			j.Log.ErrorContext(ctx, "this failed, and will be tried again", "job", j.Name, "err", err)
		}
	}
}

// wait is how long it is until the job is due, and notes when that is.
func (j *Job) wait(least time.Duration) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	d := max(least, j.dueIn(now), time.Second) // another may be doing it: it is asked again
	j.next = now.Add(d)
	return d
}

// dueIn is how long it is until the job is due. A clock that was put back delays it by
// no more than the time between two. mu is held.
func (j *Job) dueIn(now time.Time) time.Duration {
	due, most := time.Duration(0), j.Every
	switch {
	case j.last.Times > 0:
		most = j.retry(j.last.Times)
		due = j.last.Failed.Add(most).Sub(now)
	case !j.last.Began.IsZero():
		due = j.last.Began.Add(j.Every).Sub(now)
	}
	return min(max(due, 0), most)
}

// retry is the pause after so many failures.
func (j *Job) retry(times int) time.Duration {
	pause, most := jobRetry, max(jobRetry, min(jobMostRetry, j.Every/4))
	for range times - 1 {
		if pause *= 2; pause >= most {
			return most
		}
	}
	return min(pause, most)
}

// Now does the job. One that is being done already is mail.Conflict.
func (j *Job) Now(ctx context.Context) error { return j.Once(ctx, j.Do) }

// Once does the job in another way, this once.
func (j *Job) Once(ctx context.Context, do func(context.Context) (said string, err error)) error {
	var said string
	began := time.Now()
	met := true
	err := j.Alone(ctx, func(ctx context.Context) (err error) {
		met = false
		said, err = do(ctx)
		return err
	})
	switch {
	case met || errors.Is(err, ErrNotYet):
	case err != nil && ctx.Err() != nil:
		return errors.Join(ctx.Err(), err) // it was told to stop, which is no failure
	default:
		j.Note(began, said, err)
	}
	return err
}

// Alone runs fn while the job is not done, and remembers nothing of it. It is
// mail.Conflict when the job is being done, by any node.
func (j *Job) Alone(ctx context.Context, fn func(context.Context) error) error {
	if !j.busy.TryLock() {
		return mail.Errorf(mail.Conflict, "the %s is under way already: wait until it has ended", j.Name)
	}
	defer j.busy.Unlock()
	j.under(time.Now())
	defer j.under(time.Time{})
	if j.Only == nil {
		return fn(ctx)
	}
	return j.Only(ctx, j.Name, func(ctx context.Context) error {
		j.hear()
		return fn(ctx)
	})
}

func (j *Job) under(since time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.since = since
}

// Note notes that the job was done, or failed; also when somebody else did it.
func (j *Job) Note(began time.Time, said string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.last.Failed, j.last.Times, j.last.Err = began, j.last.Times+1, clip(err.Error())
	} else {
		j.last = Record{Began: began, Ended: time.Now(), Said: clip(said)}
		j.Log.Info("done", "job", j.Name, "said", said, "took", j.last.Ended.Sub(began).Round(time.Millisecond).String())
	}
	if !j.next.IsZero() {
		j.next = time.Now().Add(j.dueIn(time.Now()))
	}
	if err := j.memory().keep(j.last); err != nil {
		j.Log.Warn("when this was done can't be written down", "job", j.Name, "err", err)
	}
}

func clip(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxSaid)], "") }

// Status returns how the job stands.
func (j *Job) Status() JobStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	return JobStatus{Record: j.last, Every: j.Every, Since: j.since, Next: j.next}
}
