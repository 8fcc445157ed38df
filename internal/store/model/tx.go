package model

import (
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// noTime is what a stored blob's handle says: it does not expire.
var noTime time.Time

// tx is a transaction: base is what was, s what will be.
type tx struct {
	reader
	base, s *state
	by      mail.Origin
	n       mail.ModSeq // that its changes share
	now     time.Time
	entries []mail.Entry
	undoes  mail.ActID
	own     map[mail.MailboxID]bool  // boxes already copied
	names   bool                     // threadOf and subjects already copied
	dirty   bool                     // what is derived is not settled
	settles map[mail.MessageKey]bool // messages settled before, to be settled again
	news    mail.News
}

func (st *Store) begin(a *account, by mail.Origin) *tx {
	base := a.current.Load()
	t := &tx{base: base, s: base.clone(), by: by, n: base.account.Head + 1, now: st.Now(), own: map[mail.MailboxID]bool{}, settles: map[mail.MessageKey]bool{}}
	t.reader = reader{state: t.settled, raw: func() *state { return t.s }, clock: st.Now}
	return t
}

// did notes an entry for the journal. More of the same, done to later UIDs, joins
// the entry before, so that a set over many messages reads as one.
func (t *tx) did(e mail.Entry) {
	t.dirty = true
	if n := len(t.entries); n > 0 && continues(t.entries[n-1], e) {
		last := &t.entries[n-1]
		last.UIDs, last.DestUIDs = joined(last.UIDs, e.UIDs), joined(last.DestUIDs, e.DestUIDs)
		return
	}
	t.entries = append(t.entries, e)
}

func continues(a, b mail.Entry) bool {
	switch {
	case a.Op != b.Op || a.Mailbox != b.Mailbox || a.Dest != b.Dest || !slices.Equal(a.Added, b.Added) || !slices.Equal(a.Removed, b.Removed):
		return false
	case a.Op == mail.OpMove && a.Mailbox == a.Dest: // what the first placed the second may have moved on
		return false
	case a.Op != mail.OpAppend && a.Op != mail.OpCopy && a.Op != mail.OpMove && a.Op != mail.OpFlags && a.Op != mail.OpExpunge:
		return false
	}
	return later(a.UIDs, b.UIDs) && later(a.DestUIDs, b.DestUIDs)
}

func later(a, b mail.UIDSet) bool {
	return len(a) == 0 || len(b) == 0 || b[0].First > a[len(a)-1].Last
}

func joined(a, b mail.UIDSet) mail.UIDSet {
	a = slices.Clone(a)
	for _, r := range b {
		a.AddRange(r.First, r.Last)
	}
	return a
}

// edit returns the mailbox to be changed.
func (t *tx) edit(id mail.MailboxID) *box {
	b := t.s.boxes[id]
	if b != nil && !t.own[id] {
		b = &box{b.Mailbox, slices.Clone(b.list)}
		t.s.boxes[id], t.own[id] = b, true
	}
	return b
}

// touch is edit for what IMAP counts as a change of the mailbox.
func (t *tx) touch(id mail.MailboxID) *box {
	b := t.edit(id)
	b.HighestModSeq = t.n
	t.dirty = true
	return b
}

// put places a message into a mailbox under its next UID.
func (t *tx) put(mb mail.MailboxID, p mail.Placement) *mail.Placement {
	b := t.touch(mb)
	p.ID, p.Mailbox, p.UID = mail.PlacementID(t.s.newID()), mb, b.UIDNext
	p.Created, p.ModSeq, p.ChangedBy = t.n, t.n, t.by.Device()
	if p.Lineage == 0 {
		p.Lineage = mail.Lineage(p.ID)
	}
	b.UIDNext++
	b.list = append(b.list, &p)
	key := int64(p.Message)
	t.s.where.set(key, append(slices.Clip(t.s.where.get(key)), &p))
	return &p
}

// drop takes a placement out of its mailbox.
func (t *tx) drop(p *mail.Placement) {
	b := t.touch(p.Mailbox)
	i, _ := b.find(p.UID)
	b.list = slices.Delete(b.list, i, i+1)
	t.replaceWhere(p, nil)
	t.s.left[p.Mailbox] = append(t.s.left[p.Mailbox], departed{*p, t.n})
}

// reflag gives a placement other flags.
func (t *tx) reflag(p *mail.Placement, f mail.Flags) {
	b := t.touch(p.Mailbox)
	changed := *p
	changed.Flags, changed.ModSeq, changed.ChangedBy = f, t.n, t.by.Device()
	i, _ := b.find(p.UID)
	b.list[i] = &changed
	t.replaceWhere(p, &changed)
}

func (t *tx) replaceWhere(p, with *mail.Placement) {
	var ps []*mail.Placement
	for _, q := range t.s.where.get(int64(p.Message)) {
		if q.ID != p.ID {
			ps = append(ps, q)
		} else if with != nil {
			ps = append(ps, with)
		}
	}
	t.s.where.set(int64(p.Message), ps)
}

// commit writes the record and returns the news.
func (t *tx) commit() mail.News {
	if len(t.entries) == 0 {
		return mail.News{}
	}
	s := t.settled()
	act := t.by.Act()
	if act == 0 {
		act = mail.ActID(t.n)
	}
	s.journal = append(s.journal, mail.Record{ModSeq: t.n, Act: act, Undoes: t.undoes, Time: t.now, Actor: t.by.Actor(), Device: t.by.Device(),
		Session: t.by.Session(), Protocol: t.by.Protocol(), Cause: t.by.Cause(), Entries: t.entries})
	return t.news
}

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
	s.account.Used = s.used()
	for typ, n := range s.account.Last {
		if n == t.n {
			t.news.Types.Add(typ)
		}
	}
	return s
}

// settlePlacements compares the lists of the mailboxes and returns the messages
// whose placements differ.
func (t *tx) settlePlacements() map[mail.MessageKey]bool {
	messages := map[mail.MessageKey]bool{}
	for _, id := range t.mailboxes() {
		was, is := t.base.boxes[id], t.s.boxes[id]
		if was == is {
			continue
		}
		touched := was != nil && is != nil && was.UIDNext != is.UIDNext
		for uid, d := range differences(was, is) {
			touched = true
			messages[d.message] = true
			t.s.live(int64(d.id), life{typ: mail.TypePlacement, mailbox: id, uid: uid}, d.was, d.is, t.n)
		}
		if touched {
			t.s.account.Last[mail.TypePlacement] = t.n
			t.news.Mailboxes = append(t.news.Mailboxes, id)
		}
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
			} else if was.get(p.UID) != p {
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
	case was == nil || jmapCounts(was.Counts) != jmapCounts(b.Counts):
		b.CountsModSeq = t.n
	default:
		b.CountsModSeq = was.CountsModSeq
	}
	return b
}
