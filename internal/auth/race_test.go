package auth

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// lookupHook calls then after each look-up of a principal.
type lookupHook struct {
	store.Directory
	then func()
}

func (d lookupHook) PrincipalByLogin(ctx context.Context, login string) (store.Principal, error) {
	p, err := d.Directory.PrincipalByLogin(ctx, login)
	d.then()
	return p, err
}

func TestDisablingReachesWhoIsJustSigningIn(t *testing.T) {
	b := newBench(t)
	dir := b.dir
	b.dir = lookupHook{dir, func() {
		if err := b.SetDisabled(t.Context(), b.alice.Account, true); err != nil {
			t.Error(err)
		}
	}}
	s, err := b.Login(t.Context(), attempt(password))
	if mail.KindOf(err) == mail.Denied {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.watch(s):
	case <-time.After(steady.Patience):
		t.Error("the account is disabled, and the session goes on")
	}
}

// slowNotes holds up the notes of one account.
type slowNotes struct {
	store.Store
	slow    mail.AccountID
	entered chan struct{}
	release chan struct{}
}

func (s slowNotes) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	if id == s.slow {
		s.entered <- struct{}{}
		<-s.release
	}
	return s.Store.Note(ctx, id, fn)
}

func TestNobodyWaitsForAnothersFirstContact(t *testing.T) {
	b := newBench(t)
	b.account("bob@example.test", verifier())
	slow := slowNotes{b.store, b.alice.Account, make(chan struct{}), make(chan struct{})}
	b.Service.store = slow
	done := make(chan error, 2)
	go func() {
		_, err := b.Login(t.Context(), attempt(password))
		done <- err
	}()
	<-slow.entered
	go func() {
		a := attempt(password)
		a.Login = "bob@example.test"
		_, err := b.Login(t.Context(), a)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(steady.Patience):
		t.Error("bob waits for alice's device to be written")
	}
	close(slow.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// usedCounter counts writes of the last use.
type usedCounter struct {
	store.Directory
	n *atomic.Int32
}

func (d usedCounter) UsedCredential(ctx context.Context, id int64, at time.Time) error {
	d.n.Add(1)
	return d.Directory.UsedCredential(ctx, id, at)
}

func TestLastUseIsWrittenNowAndThen(t *testing.T) {
	b := newBench(t)
	var n atomic.Int32
	b.dir = usedCounter{b.dir, &n}
	for range 3 {
		b.in(attempt(password))
	}
	if got := n.Load(); got != 1 {
		t.Errorf("written %d times, want once", got)
	}
	b.clock = b.clock.Add(writeContactAtMostEach)
	b.in(attempt(password))
	if got := n.Load(); got != 2 {
		t.Errorf("written %d times later, want twice", got)
	}
}

func TestGuessingAllAtOnceTellsNoMore(t *testing.T) {
	b := newBench(t)
	var told atomic.Int32
	var all sync.WaitGroup
	for i := range freeFailuresPair + 4*runtime.NumCPU() {
		all.Go(func() {
			_, err := b.Login(t.Context(), attempt(fmt.Sprintf("wrong-horse-%d", i)))
			if mail.KindOf(err) == mail.BadCredentials {
				told.Add(1)
			}
		})
	}
	all.Wait()
	if got, most := int(told.Load()), freeFailuresPair+runtime.NumCPU(); got > most {
		t.Errorf("%d guesses were answered, want at most %d", got, most)
	}
}

// viewHook calls then once, after a view.
type viewHook struct {
	store.Store
	then func()
}

func (s *viewHook) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	err := s.Store.View(ctx, id, fn)
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return err
}

// A session that becomes a device which is blocked, or signed out, between look-up
// and switch does not go on as it.
func TestEndingReachesWhoIsJustNamed(t *testing.T) {
	for name, end := range map[string]func(*bench, mail.DeviceID) error{
		"blocked": func(b *bench, d mail.DeviceID) error {
			return b.SetAccess(t.Context(), by, b.alice.Account, d, mail.Blocked)
		},
		"signed out": func(b *bench, d mail.DeviceID) error { return b.SignOut(t.Context(), b.alice, d) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			mutt := attempt(password)
			mutt.Client = "Mutt"
			d := b.in(mutt).Device()
			unnamed := b.in(attempt(password))
			ended := b.watch(unnamed)
			b.Service.store = &viewHook{b.store, func() {
				if err := end(b, d.ID); err != nil {
					t.Error(err)
				}
			}}
			err := b.Named(t.Context(), unnamed, "mutt")
			select {
			case <-ended:
			case <-time.After(steady.Patience):
				t.Errorf("it goes on as %+v, %v", unnamed.Device(), err)
			}
		})
	}
}
