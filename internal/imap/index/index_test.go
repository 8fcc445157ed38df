package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

var origin = mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin)

type scene struct {
	t       *testing.T
	st      *model.Store
	account mail.AccountID
	inbox   mail.MailboxID
	cache   *Cache
}

func newScene(t *testing.T, budget int64) *scene {
	s := &scene{t: t, st: model.New()}
	p, err := s.st.CreateAccount(context.Background(), origin, store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	s.account = p.Account
	s.inbox = s.mailbox("INBOX")
	s.cache = NewCache(s.st, budget)
	t.Cleanup(s.cache.Wait)
	return s
}

func (s *scene) mailbox(path string) mail.MailboxID {
	var mb mail.Mailbox
	err := s.st.View(context.Background(), s.account, func(r store.Reader) (err error) {
		mb, err = r.MailboxByPath(path)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return mb.ID
}

func (s *scene) update(fn func(store.Tx) error) mail.ModSeq {
	s.t.Helper()
	n, err := s.st.Update(context.Background(), s.account, origin, fn)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *scene) add(n int) mail.ModSeq {
	return s.update(func(tx store.Tx) error {
		for range n {
			if _, err := tx.Append(s.inbox, mail.Arrival{Blob: mail.Blob{Size: 1}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// check compares a Version with the store.
func (s *scene) check(v *Version) {
	s.t.Helper()
	seq := uint32(0)
	err := s.st.View(context.Background(), s.account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: s.inbox}, func(p *mail.Placement) error {
			seq++
			if seq > v.Len() {
				return fmt.Errorf("%d messages, want more", v.Len())
			}
			e := v.At(seq)
			if e.UID != p.UID || e.ModSeq != p.ModSeq || v.Flags(e) != p.Flags || v.FlagText(e) != p.Flags.String() {
				return fmt.Errorf("message %d is %v (%s), want %v", seq, e, v.FlagText(e), *p)
			}
			if n, ok := v.Seq(p.UID); !ok || n != seq {
				return fmt.Errorf("uid %d has number %d, want %d", p.UID, n, seq)
			}
			return nil
		})
	})
	if err == nil && seq != v.Len() {
		err = fmt.Errorf("%d messages, want %d", v.Len(), seq)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestVersionsFollowTheStore(t *testing.T) {
	for seed := range uint64(5) {
		s := newScene(t, 0)
		rng := rand.New(rand.NewPCG(seed, 1))
		b := s.cache.Open(s.account, s.inbox)
		defer b.Close()
		s.add(700)
		old, err := b.At(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		view := old
		for step := range 120 {
			n := s.random(rng)
			now, err := b.At(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			s.check(now)
			checkDifference(t, old, now)
			if step%3 == 0 { // a session that may not be told of expunges
				d := Compare(view, now)
				view = Keep(view, now, d.Gone)
				if rest := Compare(view, now); len(rest.Changed)+len(rest.Added) > 0 || len(rest.Gone) != len(d.Gone) {
					t.Fatalf("seed %d, step %d: kept %d, differs by %d, %d, %d", seed, step, len(d.Gone), len(rest.Gone), len(rest.Changed), len(rest.Added))
				}
			}
			old = now
		}
	}
}

// random changes something.
func (s *scene) random(rng *rand.Rand) mail.ModSeq {
	first := mail.UID(1 + rng.IntN(900))
	set := mail.UIDSet{{First: first, Last: first + mail.UID(rng.IntN(40))}}
	switch rng.IntN(4) {
	case 0:
		return s.add(1 + rng.IntN(20))
	case 1:
		return s.update(func(tx store.Tx) error {
			_, err := tx.Expunge(s.inbox, set, false)
			return err
		})
	case 2:
		return s.update(func(tx store.Tx) error { return tx.Subscribe("Trash") })
	}
	f, err := mail.NewFlags(`\Seen`, fmt.Sprintf("$k%d", rng.IntN(5)))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(s.inbox, set, mail.FlagChange{Add: f, Replace: rng.IntN(2) == 0}, nil)
		return err
	})
}

func checkDifference(t *testing.T, old, now *Version) {
	t.Helper()
	d := Compare(old, now)
	have := map[mail.UID]Entry{}
	for _, e := range old.All() {
		have[e.UID] = e
	}
	for _, e := range d.Gone {
		delete(have, e.UID)
	}
	for _, c := range d.Changed {
		have[c.New.UID] = c.New
	}
	for _, e := range d.Added {
		have[e.UID] = e
	}
	var got []Entry
	for _, e := range have {
		got = append(got, e)
	}
	slices.SortFunc(got, func(a, b Entry) int { return compareUID(a, b.UID) })
	var want []Entry
	for _, e := range now.All() {
		want = append(want, e)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the difference leads to %v, want %v", got, want)
	}
}

// What one change costs must not grow with the mailbox.
func TestOneChangeCopiesOneChunk(t *testing.T) {
	s := newScene(t, 0)
	s.add(5000)
	b := s.cache.Open(s.account, s.inbox)
	defer b.Close()
	old, err := b.At(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	n := s.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(s.inbox, mail.MakeUIDSet(2500), mail.FlagChange{Add: mail.StoredFlags(mail.Seen, "")}, nil)
		return err
	})
	now, err := b.At(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	differ := 0
	for i := range now.chunks {
		if now.chunks[i] != old.chunks[i] {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d of %d chunks were copied, want 1", differ, len(now.chunks))
	}
}

type waker chan struct{}

func (w waker) Wake() { w <- struct{}{} }

func TestOneReadServesAllWhoWait(t *testing.T) {
	s := newScene(t, 0)
	counting := &countingStore{Store: s.st}
	s.cache = NewCache(counting, 0)
	t.Cleanup(s.cache.Wait)
	b := s.cache.Open(s.account, s.inbox)
	defer b.Close()
	if _, err := b.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	counting.views = 0
	w := make(waker)
	others := make([]waker, 20)
	b.Wake(w)
	for i := range others {
		others[i] = make(waker, 1)
		b.Wake(others[i])
	}
	n := s.add(mail.MaxNewsPuts + 1) // more than news say
	<-w
	for _, o := range others {
		<-o
	}
	if v, err := b.At(context.Background(), n); err != nil || v.Len() != mail.MaxNewsPuts+1 {
		t.Errorf("%v, %v", v, err)
	}
	if counting.views != 1 {
		t.Errorf("%d reads, want 1", counting.views)
	}
}

type countingStore struct {
	store.Store
	views int
}

func (c *countingStore) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	c.views++
	return c.Store.View(ctx, id, fn)
}

func TestWhatNobodyHasOpenIsForgottenPastTheBudget(t *testing.T) {
	s := newScene(t, 1)
	s.add(10)
	a := s.cache.Open(s.account, s.inbox)
	if _, err := a.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if len(s.cache.boxes) != 1 || s.cache.total == 0 {
		t.Errorf("%d boxes of %d bytes, though one is open", len(s.cache.boxes), s.cache.total)
	}
	a.Close()
	if len(s.cache.boxes) != 0 || s.cache.total != 0 {
		t.Errorf("%d boxes of %d bytes are left", len(s.cache.boxes), s.cache.total)
	}
}

func TestReopenedBoxCatchesUp(t *testing.T) {
	s := newScene(t, 0)
	s.add(3)
	b := s.cache.Open(s.account, s.inbox)
	if _, err := b.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	s.add(2) // nobody listens
	b = s.cache.Open(s.account, s.inbox)
	defer b.Close()
	if v, err := b.At(context.Background(), 0); err != nil || v.Len() != 5 {
		t.Errorf("%d messages, %v; want 5", v.Len(), err)
	}
}

func TestDeletedMailboxIsNotFound(t *testing.T) {
	s := newScene(t, 0)
	trash := s.mailbox("Trash")
	b := s.cache.Open(s.account, trash)
	defer b.Close()
	if _, err := b.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	n := s.update(func(tx store.Tx) error { return tx.DeleteMailbox(trash) })
	if _, err := b.At(context.Background(), n); mail.KindOf(err) != mail.NotFound || err == nil {
		t.Errorf("%v, want NotFound", err)
	}
}

func TestHistoryTooShortIsReadAnew(t *testing.T) {
	s := newScene(t, 0)
	s.add(4)
	b := s.cache.Open(s.account, s.inbox)
	if _, err := b.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	s.update(func(tx store.Tx) error {
		_, err := tx.Expunge(s.inbox, mail.MakeUIDSet(2), false)
		return err
	})
	if err := s.st.Prune(context.Background(), s.account, s.st.Now().Add(1)); err != nil {
		t.Fatal(err)
	}
	b = s.cache.Open(s.account, s.inbox)
	defer b.Close()
	v, err := b.At(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.check(v)
}

// A member sees what the owner sees, with a \Seen of their own, as long as they may
// read it.
func TestMembersSeeTheirOwnView(t *testing.T) {
	s := newScene(t, 0)
	s.add(3)
	const member mail.PrincipalID = 77
	grant := func(r mail.Rights) mail.ModSeq {
		return s.update(func(tx store.Tx) error { return tx.SetRights(s.inbox, member, r) })
	}
	grant(mail.MayLookup | mail.MayRead)
	own, theirs := s.cache.Open(s.account, s.inbox), s.cache.OpenAs(s.account, s.inbox, member)
	defer own.Close()
	defer theirs.Close()
	before, err := own.At(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.At(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	seen := mail.StoredFlags(mail.Seen, "")
	n := s.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(s.inbox, mail.MakeUIDSet(2), mail.FlagChange{Add: seen, As: member}, nil)
		return err
	})
	v, err := theirs.At(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	e := v.At(2)
	if v.Flags(e) != seen || e.ModSeq != n || v.HighestModSeq != n || v.Rights.String() != "lr" {
		t.Errorf("the member sees %v (%s), highest %d, and may %s", e, v.FlagText(e), v.HighestModSeq, v.Rights)
	}
	after, err := own.At(context.Background(), n)
	if d := Compare(before, after); err != nil || !d.Empty() || after.HighestModSeq != before.HighestModSeq || after.Rights != mail.AllRights {
		t.Errorf("the owner is told %+v, highest %d and then %d, %v", d, before.HighestModSeq, after.HighestModSeq, err)
	}
	w := make(waker, 1)
	theirs.Wake(w)
	n = grant(mail.MayLookup)
	<-w
	if _, err := theirs.At(context.Background(), n); err == nil || mail.KindOf(err) != mail.NotFound {
		t.Errorf("without r: %v, want NotFound", err)
	}
}
