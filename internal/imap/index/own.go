package index

import "lockstep/internal/mail"

// Flagged is told of a STORE by who made it: at n the flags of uids changed as
// change says. If nothing else happened to the account since the newest Version, the
// next one follows from that alone, and nobody reads the change again.
func (b *Box) Flagged(n mail.ModSeq, uids mail.UIDSet, change mail.FlagChange) {
	b.loading.Lock()
	defer b.loading.Unlock()
	v := b.current.Load()
	if v == nil || v.ModSeq+1 != n || b.stale.Load() || v.flags.bloated(v.count) {
		return
	}
	if next := v.flagged(n, uids, change); next != nil {
		b.current.Store(next)
	}
}

// flagged returns v after a STORE, or nil if that is not about what v has.
func (v *Version) flagged(n mail.ModSeq, uids mail.UIDSet, change mail.FlagChange) *Version {
	puts := make([]Entry, 0, uids.Count())
	for uid := range uids.All() {
		e, found := v.Find(uid)
		if !found {
			return nil
		}
		puts = append(puts, Entry{UID: uid, flags: v.flags.id(change.Apply(v.Flags(e))), ModSeq: n})
	}
	next := v.with(puts, nil)
	next.ModSeq, next.HighestModSeq = n, n
	return next
}
