package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var concurrencyChecks = []check{
	{"ConcurrentUpdatesGetDistinctGrowingModSeqs", concurrentUpdates},
	{"EveryViewAfterAnUpdateSeesIt", viewSees},
	{"AViewIsOneSnapshotAndDoesNotWait", viewStands},
	{"ViewAndUpdateInsideAnUpdatePanic", nestingPanics},
	{"AnUpdateSeesItsOwnChanges", ownChanges},
	{"AnEndedContextDoesNothing", endedContext},
	{"NoChangeTakesNoModSeq", noChange},
}

func concurrentUpdates(t *trial) {
	const each = 12
	s := t.subject()
	w := newWatch(s)
	inbox := s.box("INBOX").ID
	var mu sync.Mutex
	seen := map[mail.ModSeq]mail.UID{}
	var errs []error
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			last := mail.ModSeq(0)
			for j := range each {
				a := arrival(i*each + j)
				p, n, err := change(s, s.origin(i%2), func(tx store.Tx) (mail.Placement, error) { return tx.Append(inbox, a) })
				mu.Lock()
				if _, twice := seen[n]; twice || n <= last {
					err = fmt.Errorf("modseq %d after %d, twice %v", n, last, twice)
				}
				seen[n], last = p.UID, n
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	ok(errors.Join(errs...))
	equal("updates", len(seen), writers*each)
	for _, p := range s.placements(store.PlacementQuery{Mailbox: inbox}) {
		equal("UID at its modseq", seen[p.ModSeq], p.UID)
	}
	equal("counted", s.box("INBOX").Counts.Placements, writers*each)
	w.heardAll()
	s.snapshot().sound()
	s.checked()
}

func viewSees(t *trial) {
	s := t.subject()
	for i := range 50 {
		p, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.Placement, error) { return tx.Append(s.boxIn(tx, "INBOX"), arrival(i)) })
		ok(err)
		if head := s.head(); head != n {
			fail("head %d after %d", head, n)
		}
		equal("modseq", s.placement(p.Mailbox, p.UID).ModSeq, n)
	}
}

func viewStands(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	ok(s.View(ctx, s.account, func(r store.Reader) error {
		before, err := r.Mailbox(inbox.ID)
		if err != nil {
			return err
		}
		written := make(chan error)
		go func() {
			_, err := s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error {
				_, err := tx.Append(inbox.ID, arrival(5))
				return err
			})
			written <- err
		}()
		if err := <-written; err != nil {
			return err
		}
		after, err := r.Mailbox(inbox.ID)
		if err == nil && after != before {
			err = fmt.Errorf("a view saw %+v, then %+v", before, after)
		}
		return err
	}))
	inside, viewed := make(chan struct{}), make(chan error)
	go func() {
		<-inside
		viewed <- s.View(ctx, s.account, func(r store.Reader) error {
			mb, err := r.Mailbox(inbox.ID)
			if err == nil && mb.Counts.Placements != 3 {
				err = fmt.Errorf("a view inside an update sees %d messages", mb.Counts.Placements)
			}
			return err
		})
	}()
	var first sync.Once
	ok(s.do(func(tx store.Tx) error {
		if _, err := tx.Append(inbox.ID, arrival(6)); err != nil {
			return err
		}
		var err error
		first.Do(func() {
			close(inside)
			err = <-viewed
		})
		return err
	}))
}

func nestingPanics(t *trial) {
	s := t.subject()
	nested := func(what string, fn func()) {
		panicked := false
		ok(s.do(func(store.Tx) error {
			defer func() { panicked = recover() != nil }()
			fn()
			return nil
		}))
		equal(what+" inside an update panics", panicked, true)
	}
	nested("View", func() { _ = s.View(ctx, s.account, func(store.Reader) error { return nil }) })
	nested("Update", func() {
		_, _ = s.Update(ctx, s.account, s.origin(0), func(store.Tx) error { return nil })
	})
	s.fill("INBOX", 1) // and the account goes on
}

func ownChanges(t *trial) {
	s := t.subject()
	inbox := s.box("INBOX").ID
	ok(s.do(func(tx store.Tx) error {
		p, err := tx.Append(inbox, arrival(1))
		if err != nil {
			return err
		}
		if _, err := tx.StoreFlags(inbox, mail.AllUIDs, add(`\Seen`), nil); err != nil {
			return err
		}
		mb, err := tx.Mailbox(inbox)
		if err != nil {
			return err
		}
		m, err := tx.MessageByEmailID(emailID(1))
		if err != nil {
			return err
		}
		if mb.Counts.Emails != 1 || mb.Counts.UnreadEmails != 0 || mb.UIDNext != 2 || m.Key != p.Message {
			return fmt.Errorf("a transaction sees %+v and %+v", mb, m)
		}
		var flags mail.Flags
		err = tx.Placements(store.PlacementQuery{Mailbox: inbox}, func(p *mail.Placement) error { flags = p.Flags; return nil })
		if err == nil && flags.System != mail.Seen {
			err = fmt.Errorf("a transaction sees flags (%s)", flags)
		}
		return err
	}))
}

func endedContext(t *trial) {
	s := t.subject()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	s.unchanged("an update whose context ended", func() {
		_, err := s.Update(ended, s.account, s.origin(0), func(tx store.Tx) error {
			_, err := tx.Append(s.boxIn(tx, "INBOX"), arrival(1))
			return err
		})
		equal("error", errors.Is(err, context.Canceled), true)
	})
}

func noChange(t *trial) {
	s := t.subject()
	s.unchanged("an update that does nothing", func() {
		n := must(s.Update(ctx, s.account, s.origin(0), func(store.Tx) error { return nil }))
		equal("modseq", n, 0)
		n = must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.Subscribe("INBOX") }))
		equal("modseq of what is so already", n, 0)
	})
}
