package model

import (
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
	ownOwn  bool                     // own already copied
	hailed  map[mail.MailboxID]bool  // where placements came or left, or members see a change
	dirty   bool                     // what is derived is not settled
	settles map[mail.MessageKey]bool // messages settled before, to be settled again
	news    mail.News

	annotates bool // a mailbox, or the account
	noted     bool // notes already copied
	ends      int  // devices that it keeps out

	added    int   // entries, also those that became one with the one before
	undone   *undo // the last that was undone here
	undoneAt int   // added, after that
}

func (st *Store) begin(a *account, by mail.Origin) *tx {
	base := a.current.Load()
	t := &tx{base: base, s: base.clone(), by: by, n: base.account.Head + 1, now: st.Now(), own: map[mail.MailboxID]bool{}, hailed: map[mail.MailboxID]bool{}, settles: map[mail.MessageKey]bool{}}
	t.reader = reader{state: t.settled, raw: func() *state { return t.s }, clock: st.Now, guard: st.Guard.OrDefault()}
	return t
}

// did notes an entry for the journal. More of the same, done to later UIDs, joins
// the entry before, so that a set over many messages reads as one.
func (t *tx) did(e mail.Entry) {
	t.dirty = true
	t.added++
	if n := len(t.entries); n > 0 && continues(t.entries[n-1], e) {
		last := &t.entries[n-1]
		last.UIDs, last.DestUIDs = joined(last.UIDs, e.UIDs), joined(last.DestUIDs, e.DestUIDs)
		return
	}
	t.entries = append(t.entries, e)
}

func continues(a, b mail.Entry) bool {
	switch {
	case a.Op != b.Op || a.Mailbox != b.Mailbox || a.Dest != b.Dest || a.Who != b.Who || !slices.Equal(a.Added, b.Added) || !slices.Equal(a.Removed, b.Removed):
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
		b = &box{b.Mailbox, slices.Clone(b.list), b.switched}
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
	t.hailed[mb] = true
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
	t.hailed[p.Mailbox] = true
	i, _ := b.find(p.UID)
	b.list = slices.Delete(b.list, i, i+1)
	t.replaceWhere(p, nil)
	t.s.left[p.Mailbox] = append(t.s.left[p.Mailbox], departed{Placement: *p, at: t.n})
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
