package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
	"unicode"

	"lockstep/internal/mail"
)

// The lease is the object by which one writer tells others that it is at work. It
// keeps nobody out who is determined: what a writer does harms no other, but for
// removing objects, and points of two servers in one target are a muddle.
const (
	leaseName = "lease"
	maxLease  = 4 << 10
	// leaseLife is how long a lease holds that is not renewed: longer than one object
	// takes. renewLease is when its holder renews it.
	leaseLife  = 30 * time.Minute
	renewLease = 5 * time.Minute
	// leaseBeat is how often a holder says that it is there, whatever it does.
	leaseBeat = 30 * time.Second
)

type leaseText struct {
	Holder string    `json:"holder"` // who: the same again may take it over
	Doing  string    `json:"doing"`  // what, for people
	Nonce  string    `json:"nonce"`
	Until  time.Time `json:"until"`
	// Database is which one the holder has, as others may have the same host name and
	// directory; "" is not known.
	Database string `json:"database,omitempty"`
	// Seen is when the holder last said that it is there; zero where an older program
	// has the lease, which doesn't.
	Seen time.Time `json:"seen,omitzero"`
}

// sameAs reports whether somebody who takes the lease is who had it.
func (l leaseText) sameAs(had leaseText) bool {
	return had.Holder == readable(l.Holder) && (l.Database == had.Database || l.Database == "" || had.Database == "")
}

type lease struct {
	t    Target
	now  func() time.Time
	text leaseText

	mu    sync.Mutex // guards text.Until and text.Seen, and what is written
	shown time.Time  // when it was said elsewhere that the holder is there

	end   context.CancelFunc // of the beat
	beats sync.WaitGroup
}

// takeLease takes the lease of a target, or fails with mail.Conflict when somebody
// else has it. who names the data directory, which one process at a time uses: what an
// earlier one left is taken over. Release it.
func takeLease(ctx context.Context, t Target, who leaseText, now func() time.Time) (*lease, error) {
	put, err := unlessChanged(ctx, t, leaseName)
	if err != nil {
		return nil, err
	}
	had, err := readLease(ctx, t)
	if err != nil {
		return nil, err
	}
	if had != nil && !who.sameAs(*had) && now().Before(had.Until) {
		return nil, mail.Errorf(mail.Conflict, "%s is writing to the backup in %s (%s). If that has ended without saying so, try again after %s", had.Holder, t, had.Doing, had.Until.UTC().Format("15:04:05 MST"))
	}
	who.Nonce = rand.Text()
	l := &lease{t: t, now: now, text: who}
	if err := put(ctx, l.renewed()); err != nil {
		return nil, err
	}
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	beating, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	l.beats.Go(func() { l.beat(beating) })
	return l, nil
}

// beat says that the holder is there, until ctx ends or somebody else has the lease.
// What fails is tried again: who needs the lease looks after it by himself.
func (l *lease) beat(ctx context.Context) {
	for t := time.NewTicker(leaseBeat); ; {
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if err := l.say(ctx); err != nil && mail.KindOf(err) == mail.Conflict {
			t.Stop()
			return
		}
	}
}

func (l *lease) say(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now().Sub(l.shown) < leaseBeat {
		return nil
	}
	return l.renew(ctx)
}

// show notes that newest was written, which says as much as the lease.
func (l *lease) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = l.now()
}

// renew writes the lease anew, unless somebody else has it; mu is held.
func (l *lease) renew(ctx context.Context) error {
	put, err := unlessChanged(ctx, l.t, leaseName)
	if err != nil {
		return err
	}
	if err := l.check(ctx); err != nil {
		return err
	}
	return put(ctx, l.renewed())
}

// unlessChanged returns what puts an object unless somebody else did since now: where
// the target can't tell, it puts all the same.
func unlessChanged(ctx context.Context, t Target, name string) (put func(context.Context, []byte) error, err error) {
	anyway := func(ctx context.Context, b []byte) error { return putBytes(ctx, t, name, b) }
	s, ok := t.(Swapper)
	if !ok {
		return anyway, nil
	}
	tag, err := s.Tag(ctx, name)
	return func(ctx context.Context, b []byte) error {
		_, err := s.PutIf(ctx, name, bytes.NewReader(b), int64(len(b)), tag)
		switch mail.KindOf(err) {
		case mail.Unimplemented:
			return anyway(ctx, b)
		case mail.Conflict:
			return &mail.Error{Kind: mail.Conflict, Detail: fmt.Sprintf("somebody else begins to write to the backup in %s just now: try again when that has ended", t), Err: err}
		}
		return err
	}, err
}

func readLease(ctx context.Context, t Target) (*leaseText, error) {
	b, err := getBytes(ctx, t, leaseName, maxLease)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var text leaseText
	if json.Unmarshal(b, &text) != nil {
		return nil, nil // whoever wrote that holds nothing
	}
	text.Holder, text.Doing, text.Database = readable(text.Holder), readable(text.Doing), readable(text.Database)
	return &text, nil
}

// readable is a text of somebody else as it can be shown on a terminal.
func readable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func (l *lease) renewed() []byte {
	l.text.Seen = l.now().UTC().Truncate(time.Second)
	l.text.Until = l.text.Seen.Add(leaseLife)
	b, err := json.Marshal(l.text)
	if err != nil {
		panic(err) // it is made of strings and a time
	}
	return b
}

// keep renews the lease when it is time.
func (l *lease) keep(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Until.Sub(l.now()) > leaseLife-renewLease {
		return nil
	}
	return l.renew(ctx)
}

// check fails with mail.Conflict when the lease is somebody else's by now.
func (l *lease) check(ctx context.Context) error {
	has, err := readLease(ctx, l.t)
	if err != nil {
		return err
	}
	if has == nil || has.Nonce != l.text.Nonce {
		who := "somebody"
		if has != nil {
			who = fmt.Sprintf("%s (%s)", has.Holder, has.Doing)
		}
		return mail.Errorf(mail.Conflict, "%s began to write to the backup in %s meanwhile: this run stops. What it stored is used by the next", who, l.t)
	}
	return nil
}

// release gives the lease back, if it still is ours.
func (l *lease) release(ctx context.Context) error {
	l.end()
	l.beats.Wait()
	if err := l.check(ctx); err != nil {
		return err
	}
	return l.t.Delete(ctx, leaseName)
}
