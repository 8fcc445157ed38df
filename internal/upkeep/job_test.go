package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// work is a job that counts, and fails when it is told to.
type work struct {
	*Job
	done  []time.Time
	err   error
	takes time.Duration
}

func newWork(dir string, every time.Duration) *work {
	w := &work{}
	w.Job = &Job{Name: "backup", Every: every, FS: vfs.OS{}, File: filepath.Join(dir, "upkeep", "job.json"), Log: slog.New(slog.DiscardHandler)}
	w.Do = func(ctx context.Context) (string, error) {
		if err := sleep(ctx, w.takes); err != nil {
			return "", err
		}
		w.done = append(w.done, time.Now())
		return "12 messages", w.err
	}
	w.Open()
	return w
}

// run runs the job for some time, as a server that is stopped then.
func (w *work) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAJobIsDoneEverySoOftenAlsoOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWork(dir, 24*time.Hour)
		w.run(t, jobBegins+time.Minute)
		if len(w.done) != 1 || w.Status().Said != "12 messages" {
			t.Fatalf("%d times soon after the first start", len(w.done))
		}
		w.run(t, 73*time.Hour)
		if len(w.done) != 4 {
			t.Errorf("%d times in three days more", len(w.done))
		}
		again := newWork(dir, 24*time.Hour)
		again.run(t, 12*time.Hour)
		if len(again.done) != 0 || !again.Status().Next.Equal(w.done[3].Add(24*time.Hour)) {
			t.Errorf("%d times within a day, over a restart; next %v", len(again.done), again.Status().Next)
		}
		time.Sleep(5 * 24 * time.Hour) // the server is down
		again = newWork(dir, 24*time.Hour)
		again.run(t, time.Hour)
		if len(again.done) != 1 {
			t.Errorf("%d times after it was missed, want one", len(again.done))
		}
	})
}

func TestAJobThatFailsIsTriedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWork(dir, 24*time.Hour)
		w.err = errors.New("the disk is full")
		w.run(t, 10*24*time.Hour)
		if n := len(w.done); n < 30 || n > 60 { // 5, 10, 20 min … then every 6 h
			t.Errorf("tried %d times in ten days", n)
		}
		st := newWork(dir, 24*time.Hour).Status()
		if st.Times != len(w.done) || st.Err != "the disk is full" || !st.Began.IsZero() {
			t.Errorf("%+v", st)
		}
		w.err, w.done = nil, nil
		w.run(t, 7*time.Hour)
		if st := w.Status(); len(w.done) != 1 || st.Times != 0 || st.Err != "" || st.Began.IsZero() {
			t.Errorf("%d times when it works again: %+v", len(w.done), st)
		}
	})
}

func TestNoTwoOfAJobRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t.TempDir(), 24*time.Hour)
		w.takes = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(jobBegins + time.Minute)
		if err := w.Now(ctx); mail.KindOf(err) != mail.Conflict || w.Status().Since.IsZero() {
			t.Errorf("%v, %+v", err, w.Status())
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(w.done) != 1 || !w.Status().Since.IsZero() {
			t.Errorf("done %d times", len(w.done))
		}
		if err := w.Now(ctx); err != nil || len(w.done) != 2 { // by hand
			t.Error(err)
		}
		time.Sleep(22 * time.Hour)
		synctest.Wait()
		if len(w.done) != 2 {
			t.Errorf("%d times: what was done by hand does not count", len(w.done))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAJobThatIsStoppedDidNotFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWork(dir, 24*time.Hour)
		w.takes = time.Hour
		w.run(t, jobBegins+time.Minute)
		if st := w.Status(); st.Times != 0 || len(w.done) != 0 || !st.Since.IsZero() {
			t.Errorf("%+v", st)
		}
		if _, err := os.Stat(w.File); !os.IsNotExist(err) {
			t.Errorf("something is remembered: %v", err)
		}
	})
}

func TestAClockThatWasPutBackDelaysAJobByNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t.TempDir(), 24*time.Hour)
		w.last = Record{Began: time.Now().Add(1000 * time.Hour), Ended: time.Now().Add(1000 * time.Hour)}
		w.run(t, 25*time.Hour)
		if len(w.done) != 1 {
			t.Errorf("done %d times", len(w.done))
		}
	})
}

func TestAJobWithoutATimeIsDoneByHandAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t.TempDir(), 0)
		w.run(t, 1000*time.Hour)
		if err := w.Now(t.Context()); err != nil || len(w.done) != 1 || !w.Status().Next.IsZero() {
			t.Errorf("%v, %d times", err, len(w.done))
		}
	})
}

func TestAJobWithNothingToDoYetDidNotFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t.TempDir(), 24*time.Hour)
		w.err = ErrNotYet
		w.run(t, 5*time.Hour)
		if st := w.Status(); st.Times != 0 || !st.Began.IsZero() || len(w.done) != 5 {
			t.Errorf("asked %d times in five hours, %+v", len(w.done), st)
		}
	})
}

func TestWhatAJobSaidIsBounded(t *testing.T) {
	w := newWork(t.TempDir(), 0)
	w.Note(time.Now(), strings.Repeat("x", maxSaid+1), nil)
	if n := len(w.Status().Said); n != maxSaid {
		t.Errorf("%d bytes are remembered", n)
	}
}
