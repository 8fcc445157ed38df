package storetest

import (
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// horizon proves that after a Prune the deltas from positions above the horizon
// are exact, those from below are refused, and the account is otherwise as it
// was.
func (h *history) horizon() {
	s := h.subject()
	first := history{h.trial, h.ops[:len(h.ops)/2], h.seed}
	second := history{h.trial, h.ops[len(h.ops)/2:], h.seed}
	past := first.record(s)
	cut := time.Now().Add(time.Millisecond)
	for !time.Now().After(cut.Add(2 * time.Millisecond)) { // so that the records of the second half are later
		time.Sleep(time.Millisecond)
	}
	past = append(past, second.record(s)[1:]...)
	s.pruned(cut, past)
	s.settleFloods()
	s.pruned(time.Now().Add(time.Hour), past)
	now := s.snapshot()
	equal("the horizon after everything is pruned", now.account.Horizon, now.account.Head)
	for _, o := range randomOps(h.seed+1, 20) {
		o.do(s)
	}
	s.snapshot().sound()
	s.checked()
}

// pruned prunes and looks at what every earlier position gives.
func (s *subject) pruned(olderThan time.Time, past []*snapshot) {
	before := s.snapshot()
	dead := s.records(store.JournalQuery{Limit: 1 << 20})
	ok(s.Prune(ctx, s.account, olderThan))
	now := s.snapshot()
	if d := difference(now.text(s), before.text(s)); d != "" {
		fail("Prune changed the account: %s", d)
	}
	horizon := now.account.Horizon
	for _, r := range dead {
		if (r.ModSeq <= horizon) != (r.Time.Before(olderThan) && !pinned(before.floods, r.ModSeq)) {
			fail("pruned what is older than %v: horizon %d, record %d is of %v", olderThan, horizon, r.ModSeq, r.Time)
		}
		if mail.ModSeq(r.Act) <= horizon {
			_, err := update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(r.Act) })
			want(mail.NotFound, err)
		}
	}
	for _, r := range s.records(store.JournalQuery{Limit: 1 << 20}) {
		if r.ModSeq <= horizon {
			fail("record %d is below the horizon %d", r.ModSeq, horizon)
		}
	}
	for _, old := range past {
		if old.account.Head >= horizon {
			s.exactDeltas(old, now)
		} else {
			s.tooOld(old, now)
		}
	}
	now.sound()
	s.checked()
}

// tooOld gives up unless every delta from old is refused.
func (s *subject) tooOld(old, now *snapshot) {
	for _, f := range now.feeds() {
		_, err := view(s, func(r store.Reader) (mail.ChangePage, error) {
			return r.Changes(store.ChangeQuery{Type: f.typ, Mailbox: f.mailbox, From: old.account.Epoch.At(old.account.Head), Limit: 7})
		})
		want(mail.TooOld, err)
	}
	for _, mb := range now.mailboxes {
		_, err := view(s, func(r store.Reader) (mail.UIDSet, error) { return r.Vanished(mb.ID, old.account.Head) })
		want(mail.TooOld, err)
	}
}
