package model

import (
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// settled derives anew, by comparing base and s, everything that follows from
// the placements, and returns s.
func (t *tx) settled() *state {
	if !t.dirty {
		return t.s
	}
	t.dirty = false
	s := t.s
	s.lives, s.account.Last, s.account.Head = t.base.lives, maps.Clone(t.base.account.Last), t.n
	t.news = mail.News{ModSeq: t.n, Device: t.by.Device(), At: t.now}
	maps.Copy(t.settles, t.settlePlacements())
	threads := t.settleEmails(t.settles)
	t.settleThreads(threads)
	t.settleMailboxes(threads)
	t.settleObjects()
	s.account.Used = s.used()
	s.account.Emails, s.account.Threads = s.visible()
	for typ, n := range s.account.Last {
		if n == t.n {
			t.news.Types.Add(typ)
		}
	}
	if t.annotates {
		t.news.Types.Add(mail.TypeMetadata)
	}
	if slices.ContainsFunc(t.entries, func(e mail.Entry) bool { return e.Op.Names() }) {
		t.news.Types.Add(mail.TypeNames)
	}
	return s
}

// settlePlacements compares the lists of the mailboxes and returns the messages
// whose placements differ.
func (t *tx) settlePlacements() map[mail.MessageKey]bool {
	messages := map[mail.MessageKey]bool{}
	all := t.mailboxes()
	for id := range t.hailed {
		if !slices.Contains(all, id) { // made and deleted
			all = append(all, id)
		}
	}
	slices.Sort(all)
	whole := true // puts are all there is to say of placements
	for _, id := range all {
		was, is := t.base.boxes[id], t.s.boxes[id]
		if was == is && !t.hailed[id] {
			continue
		}
		touched := t.hailed[id]
		for uid, d := range differences(was, is) {
			touched = true
			if !d.is || d.was && was.get(uid).Flags == is.get(uid).Flags {
				whole = false
			} else {
				t.news.Puts = append(t.news.Puts, mail.Put{Mailbox: id, UID: uid, Flags: is.get(uid).Flags})
			}
			messages[d.message] = true
			t.s.live(int64(d.id), life{typ: mail.TypePlacement, mailbox: id, uid: uid}, d.was, d.is, t.n)
		}
		if touched {
			t.s.account.Last[mail.TypePlacement] = t.n
			t.news.Mailboxes = append(t.news.Mailboxes, id)
		}
	}
	if !whole || len(t.news.Puts) > mail.MaxNewsPuts {
		t.news.Puts = nil
	}
	if len(t.news.Mailboxes) > mail.MaxNewsMailboxes {
		t.news.Mailboxes, t.news.Many = nil, true
	}
	return messages
}

// mailboxes returns the ids of those before and after, in order.
func (t *tx) mailboxes() []mail.MailboxID {
	all := maps.Clone(t.base.boxes)
	maps.Copy(all, t.s.boxes)
	return slices.Sorted(maps.Keys(all))
}

// difference is a placement that came, changed or left.
type difference struct {
	id      mail.PlacementID
	message mail.MessageKey
	was, is bool
}

// differences compares the lists of two versions of a mailbox, either of which
// may be nil.
func differences(was, is *box) map[mail.UID]difference {
	all := map[mail.UID]difference{}
	if was != nil {
		for _, p := range was.list {
			if is == nil || is.get(p.UID) == nil {
				all[p.UID] = difference{p.ID, p.Message, true, false}
			}
		}
	}
	if is != nil {
		for _, p := range is.list {
			if was == nil || was.get(p.UID) == nil {
				all[p.UID] = difference{p.ID, p.Message, false, true}
			} else if was.get(p.UID).ModSeq != p.ModSeq {
				all[p.UID] = difference{p.ID, p.Message, true, true}
			}
		}
	}
	return all
}

// settleEmails compares messages as JMAP shows them and returns their threads.
func (t *tx) settleEmails(keys map[mail.MessageKey]bool) map[mail.ThreadID]bool {
	threads := map[mail.ThreadID]bool{}
	for key := range keys {
		was, is := t.base.email(key), t.s.email(key)
		m := *t.s.messages.get(int64(key))
		threads[m.Thread] = true
		m.Created, m.ModSeq = 0, 0
		if old := t.base.messages.get(int64(key)); old != nil {
			m.Created, m.ModSeq = old.Created, old.ModSeq
		}
		if !was.equal(is) {
			m.ModSeq = t.n
			t.s.live(int64(key), life{typ: mail.TypeEmail, emailID: m.EmailID}, was != nil, is != nil, t.n)
		}
		if was == nil && is != nil {
			m.Created = t.n
		}
		t.s.messages.set(int64(key), &m)
	}
	return threads
}

func (t *tx) settleThreads(ids map[mail.ThreadID]bool) {
	for id := range ids {
		was, is := t.base.thread(id), t.s.thread(id)
		if !slices.Equal(was, is) {
			t.s.live(int64(id), life{typ: mail.TypeThread}, was != nil, is != nil, t.n)
		}
	}
}

// settleMailboxes counts again each mailbox that changed or holds a message of
// one of the threads.
func (t *tx) settleMailboxes(threads map[mail.ThreadID]bool) {
	again := map[mail.MailboxID]bool{}
	for id := range threads {
		for _, key := range t.s.members.get(int64(id)) {
			for _, p := range t.s.where.get(int64(key)) {
				again[p.Mailbox] = true
			}
		}
	}
	for _, id := range t.mailboxes() {
		was, is := t.base.boxes[id], t.s.boxes[id]
		if is == nil {
			t.s.live(int64(id), life{typ: mail.TypeMailbox}, true, false, t.n)
			continue
		}
		if was == is && !again[id] {
			continue
		}
		is = t.recount(id, was)
		if was == nil || is.CountsModSeq == t.n || is.PropsModSeq == t.n {
			t.s.live(int64(id), life{typ: mail.TypeMailbox}, was != nil, true, t.n)
		}
	}
}

func (t *tx) recount(id mail.MailboxID, was *box) *box {
	b := t.edit(id)
	b.Counts = t.s.counts(b)
	switch {
	case was == nil || b.Created == t.n || jmapCounts(was.Counts) != jmapCounts(b.Counts):
		b.CountsModSeq = t.n // of one that left and came back in this transaction too
	default:
		b.CountsModSeq = was.CountsModSeq
	}
	return b
}
