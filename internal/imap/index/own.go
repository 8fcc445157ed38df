package index

import (
	"maps"
	"slices"

	"lockstep/internal/mail"
)

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

// believe makes Versions of news that say all that happened, as far as each is of the
// commit right behind the newest Version: then nobody reads what was just written.
func (b *Box) believe(told []mail.News) {
	if len(told) == 0 {
		return
	}
	b.loading.Lock()
	defer b.loading.Unlock()
	old := b.current.Load()
	v := old
	for _, n := range told {
		if v == nil || b.stale.Load() || v.flags.bloated(v.count) {
			break
		}
		if n.ModSeq <= v.ModSeq {
			continue
		}
		next := v.after(n, b.key.mailbox)
		if next == nil {
			break
		}
		v = next
	}
	if v == old {
		return
	}
	b.current.Store(v)
	if v.count != old.count {
		b.cache.resized(b, v.size())
	}
}

// after returns v after what news tell of, or nil if they are not of the next commit, or
// not about what v has.
func (v *Version) after(n mail.News, mb mail.MailboxID) *Version {
	if n.ModSeq != v.ModSeq+1 {
		return nil
	}
	last := map[mail.UID]mail.Flags{} // of each, what it is in the end
	for _, p := range n.Puts {
		if p.Mailbox == mb {
			last[p.UID] = p.Flags
		}
	}
	next := v.UIDNext
	puts := make([]Entry, 0, len(last))
	for _, uid := range slices.Sorted(maps.Keys(last)) {
		if _, found := v.Find(uid); !found {
			if uid < next {
				return nil
			}
			next = uid + 1
		}
		puts = append(puts, Entry{UID: uid, flags: v.flags.id(last[uid]), ModSeq: n.ModSeq})
	}
	w := v.with(puts, nil)
	w.ModSeq, w.HighestModSeq, w.UIDNext = n.ModSeq, n.ModSeq, next
	return w
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
