package index

import (
	"context"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// countedStore counts Views.
type countedStore struct {
	store.Store
	views int
}

func (s *countedStore) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	s.views++
	return s.Store.View(ctx, id, fn)
}

// Who changes flags tells the box, which then reads nothing; but only if nothing
// else happened meanwhile.
func TestOwnChangesAreNotReadAgain(t *testing.T) {
	s := newScene(t, 0)
	counted := &countedStore{Store: s.st}
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
