package storetest

import (
	"cmp"
	"slices"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// watch is what a watcher of the account heard.
type watch struct {
	s     *subject
	stop  func()
	mu    sync.Mutex
	heard []mail.News
}

func newWatch(s *subject) *watch {
	w := &watch{s: s}
	w.stop = s.Watch(s.account, func(n mail.News) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, n)
	})
	return w
}

func (w *watch) news() []mail.News {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heard)
}

// heardAll gives up unless there was one News for each record, in order, which
// names what the record touched.
func (w *watch) heardAll() {
	w.stop()
	heard := w.news()
	if _, several := w.s.Engine.(Scattered); several {
		slices.SortFunc(heard, func(a, b mail.News) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	}
	records := w.s.records(store.JournalQuery{After: w.s.base, Limit: 1 << 20})
	slices.Reverse(records)
	if len(heard) != len(records) {
		fail("%d records, %d news", len(records), len(heard))
	}
	for i, r := range records {
		heardOf(heard[i], r)
	}
}

// heardTypes gives up unless the newest News names each type that the account
// says changed last then.
func (w *watch) heardTypes(now *snapshot) {
	heard := w.news()
	if len(heard) == 0 {
		return
	}
	newest := heard[len(heard)-1]
	for typ, n := range now.account.Last {
		if n == newest.ModSeq && !newest.Types.Has(typ) {
			fail("news %+v does not name type %d, which changed", newest, typ)
		}
	}
}

// heardPuts gives up unless the newest News, if it says all that happened to placements,
// does; and where that was an arrival or a change of flags it has to.
func (w *watch) heardPuts(before, now *snapshot) {
	heard := w.news()
	if len(heard) == 0 || heard[len(heard)-1].ModSeq != now.account.Head || before.account.Head+1 != now.account.Head {
		return
	}
	n := heard[len(heard)-1]
	said := map[mail.MailboxID]map[mail.UID]mail.Flags{}
	for _, p := range n.Puts {
		if said[p.Mailbox] == nil {
			said[p.Mailbox] = map[mail.UID]mail.Flags{}
		}
		said[p.Mailbox][p.UID] = p.Flags
	}
	puts, gone := 0, false
	for mb, rows := range now.messages {
		for _, r := range rows {
			if r.ModSeq != n.ModSeq {
				continue
			}
			puts++
			if flags, ok := said[mb][r.UID]; n.Puts != nil && (!ok || flags != r.Flags) {
				fail("news say of %d in %d %v (%v), and it is (%v)", r.UID, mb, flags, ok, r.Flags)
			}
		}
	}
	for mb, rows := range before.messages {
		for _, r := range rows {
			gone = gone || !slices.ContainsFunc(now.messages[mb], func(is row) bool { return is.UID == r.UID })
		}
	}
	total := 0
	for _, of := range said {
		total += len(of)
	}
	if n.Puts != nil && (gone || total != puts || len(n.Puts) > mail.MaxNewsPuts) {
		fail("news say that %d placements came or changed, and no more; there are %d, and some left: %v", total, puts, gone)
	}
	if plain := w.s.isPlain(n.ModSeq); plain && n.Puts == nil {
		fail("news of %d do not say what became of %d placements", n.ModSeq, puts)
	}
}

// isPlain reports whether a record tells of one arrival, or of flags of one message.
func (s *subject) isPlain(n mail.ModSeq) bool {
	records := s.records(store.JournalQuery{After: n - 1, Limit: 1})
	if len(records) != 1 || len(records[0].Entries) != 1 {
		return false
	}
	e := records[0].Entries[0]
	return (e.Op == mail.OpAppend || e.Op == mail.OpFlags) && e.Who == 0 && e.UIDs.Count() == 1
}

// heardOf gives up unless the News is of the record.
func heardOf(n mail.News, r mail.Record) {
	if n.ModSeq != r.ModSeq || n.Device != r.Device {
		fail("news %d is of %d by %d, the record of %d by %d", n.ModSeq, n.ModSeq, n.Device, r.ModSeq, r.Device)
	}
	if len(n.Mailboxes) > mail.MaxNewsMailboxes {
		fail("news names %d mailboxes", len(n.Mailboxes))
	}
	for _, e := range r.Entries {
		if e.Op.Names() && !n.Types.Has(mail.TypeNames) {
			fail("news %+v does not say that %+v changed names", n, e)
		}
		switch e.Op {
		case mail.OpAppend, mail.OpCopy, mail.OpMove, mail.OpFlags, mail.OpExpunge, mail.OpRestore:
			source := e.Op != mail.OpCopy && !n.Touches(e.Mailbox)
			if source || e.Dest != 0 && !n.Touches(e.Dest) || !n.Types.Has(mail.TypePlacement) {
				fail("news %+v does not name what %+v touched", n, e)
			}
		case mail.OpCreateMailbox, mail.OpUpdateMailbox, mail.OpDeleteMailbox:
			if !n.Types.Has(mail.TypeMailbox) && !undone(r, e.Mailbox) {
				fail("news %+v does not say that %+v changed a mailbox", n, e)
			}
		}
	}
}

// undone says whether one transaction touched the mailbox more than once, so
// that nothing may be left of it.
func undone(r mail.Record, mb mail.MailboxID) bool {
	n := 0
	for _, e := range r.Entries {
		if e.Mailbox == mb {
			n++
		}
	}
	return n > 1
}
