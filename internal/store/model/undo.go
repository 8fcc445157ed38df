package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// undo is an undo under way.
type undo struct {
	*tx
	report mail.UndoReport
	acts   map[mail.ModSeq]bool      // the records that are undone
	now    map[place]place           // where what the act placed is now, if the undo itself moved it
	kept   map[mail.PlacementID]bool // whether what the undo itself wrote was untouched before
	ended  map[mail.Lineage]place    // lines whose holders the undo took away, and where from
}

// place is where a placement was when the act named it.
type place struct {
	mailbox mail.MailboxID
	uid     mail.UID
}

// Undo takes back what an act changed, newest first.
func (t *tx) Undo(act mail.ActID) (mail.UndoReport, error) {
	var records []mail.Record
	for _, rec := range slices.Backward(t.base.journal) {
		if rec.Act == act {
			records = append(records, rec)
		}
	}
	u := t.goOnUndoing(records)
	if act == 0 || len(records) == 0 || mail.ModSeq(act) <= t.base.account.Horizon {
		return u.report, mail.Errorf(mail.NotFound, "there is no such act any more")
	}
	t.undoes = act
	for _, rec := range records {
		for _, e := range slices.Backward(rec.Entries) {
			u.entry(e)
		}
	}
	t.undone, t.undoneAt = u, t.added
	return u.report, nil
}

// goOnUndoing begins to undo records, and knows of what the transaction undid just
// before.
func (t *tx) goOnUndoing(records []mail.Record) *undo {
	u := t.newUndo(records)
	if before := t.undone; before != nil && t.undoneAt == t.added {
		u.now, u.kept, u.ended = before.now, before.kept, before.ended
		maps.Copy(u.acts, before.acts)
	}
	return u
}

// newUndo begins to undo records.
func (t *tx) newUndo(records []mail.Record) *undo {
	u := &undo{tx: t, acts: map[mail.ModSeq]bool{}, now: map[place]place{}, kept: map[mail.PlacementID]bool{}, ended: map[mail.Lineage]place{}}
	for _, rec := range records {
		u.acts[rec.ModSeq] = true
	}
	return u
}

func (u *undo) left(format string, args ...any) {
	u.report.Left = append(u.report.Left, fmt.Sprintf(format, args...))
}

func (u *undo) entry(e mail.Entry) {
	switch e.Op {
	case mail.OpAppend, mail.OpRestore:
		u.remove(e.Mailbox, e.UIDs)
	case mail.OpCopy:
		u.remove(e.Dest, e.DestUIDs)
	case mail.OpMove:
		u.moveBack(e)
	case mail.OpFlags:
		u.flags(e)
	case mail.OpExpunge:
		u.restore(e.Mailbox, e.UIDs)
	case mail.OpCreateMailbox:
		u.uncreate(e)
	case mail.OpUpdateMailbox:
		u.previousImage(e)
	case mail.OpDeleteMailbox:
		u.bringBack(e)
	case mail.OpSubscribe:
		if u.s.subs[e.Name] {
			delete(u.s.subs, e.Name)
			u.did(mail.Entry{Op: mail.OpUnsubscribe, Name: e.Name})
			u.resubscribed(e.Name)
		}
	case mail.OpUnsubscribe:
		u.subscribe(e.Name)
	case mail.OpPreference:
		u.preference(e)
	case mail.OpAnnotate:
		u.annotations(e)
	case mail.OpMetadata:
		u.metadata(e)
	case mail.OpRights:
		u.rights(e)
	case mail.OpObject:
		u.object(e)
	case mail.OpErase, mail.OpErased:
		u.leftErased(e.UIDs.Count() + e.Was.Count())
		if e.Object != 0 {
			u.left("the %s was erased", e.Type)
		}
	default:
		u.left("%s: %s can't be undone", e.Op, e.Name)
	}
}

// find returns what the act called uid, wherever the undo has put it.
func (u *undo) find(mb mail.MailboxID, uid mail.UID) *mail.Placement {
	at := place{mb, uid}
	for next, ok := u.now[at]; ok; next, ok = u.now[at] {
		at = next
	}
	if b := u.s.boxes[at.mailbox]; b != nil {
		return b.get(at.uid)
	}
	return nil
}

// untouched says whether nobody but the act and its undo changed a placement.
func (u *undo) untouched(p *mail.Placement) bool {
	if kept, known := u.kept[p.ID]; known {
		return kept
	}
	return u.acts[p.ModSeq]
}

func (u *undo) remove(mb mail.MailboxID, uids mail.UIDSet) {
	gone := map[mail.MailboxID]mail.UIDSet{}
	for uid := range uids.All() {
		p := u.find(mb, uid)
		switch {
		case p == nil:
			u.left("a message that came is no longer there")
		case !u.untouched(p):
			u.left("a message that came was changed since")
		default:
			u.drop(p)
			if p.Lineage.Held() {
				u.ended[p.Lineage] = place{p.Mailbox, p.UID}
			}
			set := gone[p.Mailbox]
			set.Add(p.UID)
			gone[p.Mailbox] = set
			u.report.Undone++
		}
	}
	for _, mb := range u.mailboxes() {
		if gone[mb] != nil {
			u.did(mail.Entry{Op: mail.OpExpunge, Mailbox: mb, UIDs: gone[mb]})
		}
	}
}

func (u *undo) moveBack(e mail.Entry) {
	type back struct {
		p      *mail.Placement
		source mail.UID
	}
	var backs []back
	sources := slices.Collect(e.UIDs.All())
	for i, uid := range slices.Collect(e.DestUIDs.All()) {
		p := u.find(e.Dest, uid)
		switch {
		case p == nil || p.Mailbox != e.Dest:
			u.left("a message that was moved is no longer there")
		case u.s.boxes[e.Mailbox] == nil:
			u.left("the mailbox a message was moved from is gone")
		default:
			backs = append(backs, back{p, sources[i]})
		}
	}
	// The sets of a record are in the order of the source.
	slices.SortFunc(backs, func(a, b back) int { return cmp.Compare(a.p.UID, b.p.UID) })
	var from, to mail.UIDSet
	for _, m := range backs {
		is := u.put(e.Mailbox, mail.Placement{Message: m.p.Message, Flags: m.p.Flags, SaveDate: u.tx.now, Size: m.p.Size})
		u.copyOwn(e.Dest, m.p.UID, e.Mailbox, is.UID)
		u.carry(e.Dest, m.p.UID, is, true)
		u.kept[is.ID] = u.untouched(m.p)
		u.now[place{e.Mailbox, m.source}] = place{e.Mailbox, is.UID}
		u.drop(m.p)
		from.Add(m.p.UID)
		to.Add(is.UID)
		u.report.Undone++
	}
	if len(from) > 0 {
		u.did(mail.Entry{Op: mail.OpMove, Mailbox: e.Dest, UIDs: from, Dest: e.Mailbox, DestUIDs: to})
	}
}

func (u *undo) flags(e mail.Entry) {
	added, err1 := mail.NewFlags(e.Added...)
	removed, err2 := mail.NewFlags(e.Removed...)
	if err1 != nil || err2 != nil {
		panic("model: the journal holds flags that are none")
	}
	for uid := range e.UIDs.All() {
		p := u.find(e.Mailbox, uid)
		if p == nil {
			u.left("a message whose flags were changed is no longer there")
			continue
		}
		if e.Who != 0 {
			u.ownBack(p, e.Who, removed.Has(mail.Seen))
			continue
		}
		if !p.Flags.Minus(removed).Union(added).Minus(p.Flags).IsEmpty() || !p.Flags.Minus(p.Flags.Minus(removed)).IsEmpty() {
			u.left("flags of a message were changed since")
		}
		f := p.Flags.Minus(added).Union(removed)
		if f == p.Flags {
			continue
		}
		if len(f.Keywords()) > mail.MaxKeywords {
			u.left("a message has at most %d keywords", mail.MaxKeywords)
			continue
		}
		u.kept[p.ID] = u.untouched(p)
		u.reflag(p, f)
		u.did(mail.Entry{Op: mail.OpFlags, Mailbox: p.Mailbox, UIDs: mail.MakeUIDSet(p.UID), Added: f.Minus(p.Flags).Names(), Removed: p.Flags.Minus(f).Names()})
		u.report.Undone++
	}
}

func (u *undo) restore(mb mail.MailboxID, uids mail.UIDSet) {
	var was, is mail.UIDSet
	for uid := range uids.All() {
		d, ok := u.s.departed(mb, uid)
		switch {
		case !ok:
			u.left("a message that left is no longer kept")
		case u.s.erased[d.Message]:
			u.leftErased(1)
		case u.s.boxes[mb] == nil:
			u.left("the mailbox of a message that left is gone")
		default:
			p := u.put(mb, mail.Placement{Message: d.Message, Lineage: u.lineOf(place{mb, uid}, d.Lineage), Flags: d.Flags, SaveDate: d.SaveDate, Size: d.Size})
			u.copyOwn(mb, uid, mb, p.UID)
			u.carry(mb, uid, p, true)
			u.kept[p.ID] = true
			u.now[place{mb, uid}] = place{mb, p.UID}
			was.Add(uid)
			is.Add(p.UID)
			u.report.Undone++
		}
	}
	if len(was) > 0 {
		u.did(mail.Entry{Op: mail.OpRestore, Mailbox: mb, UIDs: is, Was: was})
	}
}

// lineOf is the line that what comes back holds; 0 begins one of its own.
func (u *undo) lineOf(was place, l mail.Lineage) mail.Lineage {
	if l.Held() {
		u.handedOn(was)
		return l
	}
	holder, ended := u.ended[l.Line()]
	if !ended {
		return 0
	}
	delete(u.ended, l.Line())
	u.handedOn(holder)
	return l.Line()
}

// handedOn notes that what left no longer holds its line.
func (u *undo) handedOn(was place) {
	left := slices.Clone(u.s.left[was.mailbox])
	for i := range left {
		if left[i].UID == was.uid {
			left[i].Lineage = left[i].Lineage.HandedOn()
		}
	}
	u.s.left[was.mailbox] = left
}

func (u *undo) uncreate(e mail.Entry) {
	b := u.s.boxes[e.Mailbox]
	switch {
	case b == nil:
		u.left("mailbox %s is gone already", e.After.Name)
	case len(b.list) > 0:
		u.left("mailbox %s holds messages", b.Name)
	default:
		if err := u.DeleteMailbox(e.Mailbox); err != nil {
			u.left("mailbox %s: %s", b.Name, mail.DetailOf(err))
			return
		}
		u.report.Undone++
	}
}

func (u *undo) previousImage(e mail.Entry) {
	b := u.s.boxes[e.Mailbox]
	if b == nil {
		u.left("mailbox %s is gone", e.Before.Name)
		return
	}
	if b.Image() != *e.After {
		u.left("mailbox %s was changed since", b.Name)
		return
	}
	if err := u.SetMailbox(e.Mailbox, *e.Before); err != nil {
		u.left("mailbox %s: %s", b.Name, mail.DetailOf(err))
		return
	}
	u.report.Undone++
}

// bringBack makes a deleted mailbox again, with what was in it when it went.
func (u *undo) bringBack(e mail.Entry) {
	f, ok := u.s.fallen[e.Mailbox]
	if !ok {
		u.left("mailbox %s is no longer kept", e.Before.Name)
		return
	}
	if _, err := u.BringBackMailbox(e.Mailbox, *e.Before); err != nil {
		u.left("mailbox %s: %s", e.Before.Name, mail.DetailOf(err))
		return
	}
	u.report.Undone++
	var uids mail.UIDSet
	for _, d := range u.s.left[e.Mailbox] {
		if d.at == f.at && d.fell {
			uids.Add(d.UID)
		}
	}
	u.restore(e.Mailbox, uids)
}
