package sqlstore_test

import (
	"context"
	"sync"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// cutAll ends every connection to the database but the one that looks on.
func (n *pair) cutAll() {
	n.t.Helper()
	n.number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

// After a restart of the server each connection that was used a moment ago is broken,
// and nobody knows it yet: no View fails for that.
func TestAViewOutlivesARestartOfTheServer(t *testing.T) {
	const atOnce = 6
	n := twoNodes(t)
	ctx := context.Background()
	look := func() (errs [atOnce]error) {
		var all, inside sync.WaitGroup
		inside.Add(atOnce) // each has a connection of its own
		for i := range atOnce {
			all.Go(func() {
				var once sync.Once
				defer once.Do(inside.Done)
				errs[i] = n.b.View(ctx, n.ann.Account, func(r store.Reader) error {
					once.Do(inside.Done)
					inside.Wait()
					_, err := r.Mailboxes()
					return err
				})
			})
		}
		all.Wait()
		return errs
	}
	for range 2 {
		for i, err := range look() {
			if err != nil {
				t.Errorf("View %d: %v", i, err)
			}
		}
		n.cutAll()
	}
	if _, err := n.b.NextDue(ctx); err != nil {
		t.Errorf("one statement alone: %v", err)
	}
	for i, err := range look() {
		if err != nil {
			t.Errorf("View %d, afterwards: %v", i, err)
		}
	}
}

// A View that has heard something is not begun again: what it heard it has perhaps
// passed on.
func TestAViewThatHeardSomethingIsNotBegunAgain(t *testing.T) {
	n := twoNodes(t)
	times := 0
	err := n.b.View(context.Background(), n.ann.Account, func(r store.Reader) error {
		times++
		if _, err := r.Mailboxes(); err != nil {
			return err
		}
		n.cutAll()
		_, err := r.Devices()
		return err
	})
	if mail.KindOf(err) != mail.Unavailable || err == nil || times != 1 {
		t.Errorf("%v, after %d times", err, times)
	}
}
