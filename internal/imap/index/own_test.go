package index

import (
	"context"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Who changes flags tells the box, which then reads nothing; but only if nothing
// else happened meanwhile.
func TestOwnChangesAreNotReadAgain(t *testing.T) {
	s := newScene(t, 0)
	counted := &countingStore{Store: s.st}
	s.cache.store = counted
	b := s.cache.Open(s.account, s.inbox)
	defer b.Close()
	s.add(600)
	if _, err := b.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	flagged, _ := mail.NewFlags(`\Flagged`, "later")
	seen, _ := mail.NewFlags(`\Seen`)
	for i, c := range []struct {
		change   mail.FlagChange
		uids     mail.UIDSet
		between  func()
		expected int // Views
	}{
		{mail.FlagChange{Add: flagged}, mail.MakeUIDSet(1, 300, 301, 600), nil, 0},
		{mail.FlagChange{Add: seen}, mail.MakeUIDSet(300), nil, 0},
		{mail.FlagChange{Add: seen, Replace: true}, mail.MakeUIDSet(300, 302), nil, 0},
		{mail.FlagChange{Remove: seen}, mail.MakeUIDSet(300), func() { s.add(1) }, 1},
		{mail.FlagChange{Add: seen}, mail.MakeUIDSet(601), nil, 0},
		{mail.FlagChange{Add: seen}, mail.MakeUIDSet(7), func() {
			s.update(func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "elsewhere"}); return err })
		}, 1},
	} {
		if c.between != nil {
			c.between()
		}
		var res store.StoreResult
		n := s.update(func(tx store.Tx) (err error) { res, err = tx.StoreFlags(s.inbox, c.uids, c.change, nil); return err })
		b.Flagged(n, res.Changed, c.change)
		counted.views = 0
		v, err := b.At(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		s.check(v)
		if counted.views != c.expected || v.ModSeq != n || v.HighestModSeq != n {
			t.Errorf("step %d: %d Views, at %d (%d), want %d at %d", i, counted.views, v.ModSeq, v.HighestModSeq, c.expected, n)
		}
	}
}

// What news say in full is not read again before those who wait are woken: mail that
// comes and flags that change. Where more happened, or news are missing, it is read.
func TestNewsAreNotReadAgain(t *testing.T) {
	s := newScene(t, 0)
	counted := &countingStore{Store: s.st}
	s.cache.store = counted
	b := s.cache.Open(s.account, s.inbox)
	defer b.Close()
	s.add(600)
	if _, err := b.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	w := make(waker, 1)
	b.Wake(w)
	defer b.Sleep(w)
	flag := func(change string, uids ...mail.UID) func(store.Tx) error {
		flags, _ := mail.NewFlags(change)
		return func(tx store.Tx) error {
			_, err := tx.StoreFlags(s.inbox, mail.MakeUIDSet(uids...), mail.FlagChange{Add: flags}, nil)
			return err
		}
	}
	appends := func(flags string, n int) func(store.Tx) error {
		f, _ := mail.NewFlags(flags)
		return func(tx store.Tx) error {
			for range n {
				if _, err := tx.Append(s.inbox, mail.Arrival{Blob: mail.Blob{Size: 1}, Flags: f}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for i, c := range []struct {
		do       func(store.Tx) error
		expected int // Views
	}{
		{flag(`\Seen`, 1, 300, 600), 0},
		{flag("later", 300), 0},
		{appends(`\Flagged`, 1), 0},
		{appends("new", 3), 0},
		{flag(`\Seen`, 601, 604), 0},
		{appends("", mail.MaxNewsPuts+1), 1},
		{func(tx store.Tx) error { _, err := tx.Expunge(s.inbox, mail.MakeUIDSet(5), false); return err }, 1},
		{func(tx store.Tx) error { _, err := tx.Copy(s.inbox, mail.MakeUIDSet(7), s.inbox); return err }, -1},
		{func(tx store.Tx) error {
			_, err := tx.CreateMailbox(mail.MailboxImage{Name: "elsewhere"})
			if err == nil {
				err = flag("x", 8)(tx)
			}
			return err
		}, -1},
	} {
		counted.views = 0
		n := s.update(c.do)
		<-w
		s.cache.Wait()
		v, err := b.At(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		s.check(v)
		if c.expected >= 0 && counted.views != c.expected || v.ModSeq != n || v.HighestModSeq != n {
			t.Errorf("step %d: %d Views, at %d (%d), want %d at %d", i, counted.views, v.ModSeq, v.HighestModSeq, c.expected, n)
		}
	}
	s.update(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "unheard of here"})
		return err
	})
	counted.views = 0
	n := s.update(flag("y", 9))
	<-w
	s.cache.Wait()
	if v, err := b.At(context.Background(), n); err != nil || counted.views != 1 {
		t.Errorf("after a change elsewhere: %d Views, %v", counted.views, err)
	} else {
		s.check(v)
	}
}
