package sqlstore

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// undo is an undo under way. Where it moves or restores something itself, what
// the act did earlier to the same message is found at the new place.
type undo struct {
	*tx
	report mail.UndoReport
	acts   map[mail.ModSeq]bool      // the records being undone
	now    map[spot]spot             // from where the act knew it to where it is
	intact map[mail.PlacementID]bool // of what the undo itself changed: only the act had
	ended  map[mail.Lineage]spot     // lines whose holders the undo took away, and where from
}

// spot is a UID in a mailbox.
type spot struct {
	mailbox mail.MailboxID
	uid     mail.UID
}

// Undo implements store.Tx.
func (t *tx) Undo(act mail.ActID) (mail.UndoReport, error) {
	records, err := t.reader.Journal(store.JournalQuery{Act: act, Limit: 1 << 30})
	if err != nil {
		return mail.UndoReport{}, err
	}
	if act == 0 || len(records) == 0 || mail.ModSeq(act) <= t.account.Horizon {
		return mail.UndoReport{}, mail.Errorf(mail.NotFound, "there is no such act any more")
	}
	u := t.goOnUndoing(records)
	t.undoes = act
	for _, rec := range records {
		for _, e := range slices.Backward(rec.Entries) {
			if err := u.entry(e); err != nil {
				return mail.UndoReport{}, err
			}
		}
	}
	t.undone, t.undoneAt = u, t.added
	return u.report, nil
}

// goOnUndoing begins to undo records, and knows of what the transaction undid just
// before: that is no change that would be in the way.
func (t *tx) goOnUndoing(records []mail.Record) *undo {
	u := t.newUndo(records)
	if before := t.undone; before != nil && t.undoneAt == t.added {
		u.now, u.intact, u.ended = before.now, before.intact, before.ended
		maps.Copy(u.acts, before.acts)
	}
	return u
}

// newUndo begins to undo records.
func (t *tx) newUndo(records []mail.Record) *undo {
	u := &undo{tx: t, acts: map[mail.ModSeq]bool{}, now: map[spot]spot{}, intact: map[mail.PlacementID]bool{}, ended: map[mail.Lineage]spot{}}
	for _, rec := range records {
		u.acts[rec.ModSeq] = true
	}
	return u
}

func (u *undo) left(format string, args ...any) {
	u.report.Left = append(u.report.Left, fmt.Sprintf(format, args...))
}

// entry takes one entry back.
func (u *undo) entry(e mail.Entry) error {
	switch e.Op {
	case mail.OpAppend, mail.OpRestore:
		return u.remove(e.Mailbox, e.UIDs)
	case mail.OpCopy:
		return u.remove(e.Dest, e.DestUIDs)
	case mail.OpMove:
		return u.moveBack(e)
	case mail.OpFlags:
		return u.flags(e)
	case mail.OpExpunge:
		return u.bringBackMessages(e.Mailbox, e.UIDs)
	case mail.OpCreateMailbox:
		return u.uncreate(e)
	case mail.OpUpdateMailbox:
		return u.previousImage(e)
	case mail.OpDeleteMailbox:
		return u.bringBackMailbox(e)
	case mail.OpSubscribe:
		return u.unsubscribe(e.Name)
	case mail.OpUnsubscribe:
		return u.subscribe(e.Name)
	case mail.OpPreference:
		return u.preference(e)
	case mail.OpAnnotate:
		return u.annotations(e)
	case mail.OpMetadata:
		return u.metadata(e)
	case mail.OpRights:
		return u.rights(e)
	case mail.OpObject:
		return u.object(e)
	case mail.OpErase, mail.OpErased:
		u.leftErased(e.UIDs.Count() + e.Was.Count())
		if e.Object != 0 {
			u.left("the %s was erased", e.Type)
		}
		return nil
	}
	u.left("%s: %s cannot be undone", e.Op, e.Name)
	return nil
}

// leftErased says of messages that there is nothing to bring back.
func (u *undo) leftErased(n uint64) {
	for range n {
		u.left("a message was erased, and can't come back")
	}
}

// found is what the act called was, if it is still there.
type found struct {
	was spot
	at  *held
}

// find returns where each of uids is now.
func (u *undo) find(mb mail.MailboxID, uids mail.UIDSet) ([]found, error) {
	var all []found
	var spots []spot
	asked := map[mail.MailboxID]mail.UIDSet{}
	for uid := range uids.All() {
		at := spot{mb, uid}
		all = append(all, found{was: at})
		for next, ok := u.now[at]; ok; next, ok = u.now[at] {
			at = next
		}
		spots = append(spots, at)
		set := asked[at.mailbox]
		set.Add(at.uid)
		asked[at.mailbox] = set
	}
	there := map[spot]*held{}
	for _, id := range slices.Sorted(maps.Keys(asked)) {
		hs, err := u.load(id, asked[id], every)
		if err != nil {
			return nil, err
		}
		for i := range hs {
			there[spot{id, hs[i].UID}] = &hs[i]
		}
	}
	for i := range all {
		all[i].at = there[spots[i]]
	}
	return all, nil
}

// untouched says whether nobody but the act, and its undo, changed a placement
// last.
func (u *undo) untouched(h *held) bool {
	if intact, known := u.intact[h.ID]; known {
		return intact
	}
	return u.acts[h.ModSeq]
}

// remove takes out what the act brought.
func (u *undo) remove(mb mail.MailboxID, uids mail.UIDSet) error {
	all, err := u.find(mb, uids)
	if err != nil {
		return err
	}
	gone := map[mail.MailboxID][]held{}
	for _, f := range all {
		switch {
		case f.at == nil:
			u.left("a message that came is no longer there")
		case !u.untouched(f.at):
			u.left("a message that came was changed since")
		default:
			gone[f.at.Mailbox] = append(gone[f.at.Mailbox], *f.at)
			if f.at.Lineage.Held() {
				u.ended[f.at.Lineage] = spot{f.at.Mailbox, f.at.UID}
			}
			u.report.Undone++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		b, err := u.box(id)
		if err != nil {
			return err
		}
		if err := u.vanish(b, gone[id], expunged); err != nil {
			return err
		}
		set, _ := uidsOf(gone[id])
		u.add(mail.Entry{Op: mail.OpExpunge, Mailbox: id, UIDs: set})
	}
	return nil
}

// boxOrNil returns nil for a mailbox that is gone.
func (u *undo) boxOrNil(id mail.MailboxID) (*box, error) {
	b, err := u.box(id)
	if mail.KindOf(err) == mail.NotFound {
		return nil, nil
	}
	return b, err
}

// moveBack moves what the act moved to where it was, under new UIDs.
func (u *undo) moveBack(e mail.Entry) error {
	all, err := u.find(e.Dest, e.DestUIDs)
	if err != nil {
		return err
	}
	home, err := u.boxOrNil(e.Mailbox)
	if err != nil {
		return err
	}
	type back struct {
		held
		source mail.UID
	}
	var backs []back
	sources := slices.Collect(e.UIDs.All())
	for i, f := range all {
		switch {
		case f.at == nil || f.at.Mailbox != e.Dest:
			u.left("a message that was moved is no longer there")
		case home == nil:
			u.left("the mailbox a message was moved from is gone")
		default:
			backs = append(backs, back{*f.at, sources[i]})
			u.report.Undone++
		}
	}
	if len(backs) == 0 {
		return nil
	}
	slices.SortFunc(backs, func(a, b back) int { return cmp.Compare(a.UID, b.UID) })
	hs := make([]held, len(backs))
	for i := range backs {
		hs[i] = backs[i].held
	}
	dest, err := u.box(e.Dest)
	if err != nil {
		return err
	}
	placed, err := u.duplicate(dest, hs, home)
	if err != nil {
		return err
	}
	if err := u.carry(dest, hs, home, placed, true); err != nil {
		return err
	}
	for i, p := range placed {
		u.intact[p.ID] = u.untouched(&hs[i])
		u.now[spot{e.Mailbox, backs[i].source}] = spot{home.ID, p.UID}
	}
	if err := u.vanish(dest, hs, moved); err != nil {
		return err
	}
	from, _ := uidsOf(hs)
	to, _ := uidsOf(placed)
	u.add(mail.Entry{Op: mail.OpMove, Mailbox: e.Dest, UIDs: from, Dest: e.Mailbox, DestUIDs: to})
	return nil
}

// flags takes back what the act added and removed, where it is still so.
func (u *undo) flags(e mail.Entry) error {
	added, err := mail.NewFlags(e.Added...)
	if err != nil {
		return err
	}
	removed, err := mail.NewFlags(e.Removed...)
	if err != nil {
		return err
	}
	all, err := u.find(e.Mailbox, e.UIDs)
	if err != nil {
		return err
	}
	if e.Who != 0 {
		return u.ownBack(all, e.Who, removed.Has(mail.Seen))
	}
	back := mail.FlagChange{Add: removed, Remove: added}
	byMailbox := map[mail.MailboxID][]held{}
	for _, f := range all {
		if f.at == nil {
			u.left("a message whose flags were changed is no longer there")
			continue
		}
		flags := f.at.Flags
		if !added.Minus(flags).IsEmpty() || removed.Minus(flags) != removed {
			u.left("flags of a message were changed since")
		}
		after := back.Apply(flags)
		switch {
		case after == flags:
		case len(after.Keywords()) > mail.MaxKeywords:
			u.left("a message has at most %d keywords", mail.MaxKeywords)
		default:
			u.intact[f.at.ID] = u.untouched(f.at)
			byMailbox[f.at.Mailbox] = append(byMailbox[f.at.Mailbox], *f.at)
			u.report.Undone++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byMailbox)) {
		b, err := u.box(id)
		if err != nil {
			return err
		}
		if err := u.reflagAll(b, byMailbox[id], back); err != nil {
			return err
		}
	}
	return nil
}

// bringBackMessages restores what left: same message, internal date, lineage and
// flags, a new UID.
func (u *undo) bringBackMessages(mb mail.MailboxID, uids mail.UIDSet) error {
	b, err := u.boxOrNil(mb)
	if err != nil {
		return err
	}
	hs, err := u.loadFrom(selectDepartedHeld, mb, uids, every)
	if err != nil {
		return err
	}
	erased := uint64(0)
	if missing := uids.Count() - uint64(len(hs)); missing > 0 {
		if erased, err = u.erased(mb, uids); err != nil {
			return err
		}
		u.leftErased(erased)
		for range missing - erased {
			u.left("a message that left is no longer kept")
		}
	}
	if b == nil {
		for range hs {
			u.left("the mailbox of a message that left is gone")
		}
		return nil
	}
	if len(hs) == 0 {
		return nil
	}
	placed, err := u.bringBack(b, hs)
	if err != nil {
		return err
	}
	if err := u.giveLinesBack(hs, placed); err != nil {
		return err
	}
	for i, p := range placed {
		u.intact[p.ID] = true
		u.now[spot{mb, hs[i].UID}] = spot{mb, p.UID}
	}
	u.report.Undone += len(placed)
	was, _ := uidsOf(hs)
	is, _ := uidsOf(placed)
	u.add(mail.Entry{Op: mail.OpRestore, Mailbox: mb, UIDs: is, Was: was})
	return nil
}

const setLineage = "UPDATE placement SET lineage = ?4 WHERE account_id = ?1 AND mailbox_id = ?2 AND uid = ?3"

// giveLinesBack gives those that come back the lines they had handed on, if this
// undo took the holders away.
func (u *undo) giveLinesBack(hs, placed []held) error {
	for i, h := range hs {
		holder, ended := u.ended[h.Lineage.Line()]
		if h.Lineage.Held() || !ended {
			continue
		}
		delete(u.ended, h.Lineage.Line())
		if _, err := u.c.exec(markDeparted, u.id, holder.mailbox, ints{int64(holder.uid)}); err != nil {
			return err
		}
		if _, err := u.c.exec(setLineage, u.id, placed[i].Mailbox, placed[i].UID, h.Lineage.Line()); err != nil {
			return err
		}
	}
	return nil
}

// uncreate deletes a mailbox that the act made, if it is empty.
func (u *undo) uncreate(e mail.Entry) error {
	b, err := u.boxOrNil(e.Mailbox)
	switch {
	case err != nil:
		return err
	case b == nil:
		u.left("mailbox %s is gone already", e.After.Name)
		return nil
	case b.Counts.Placements > 0:
		u.left("mailbox %s holds messages", b.Name)
		return nil
	}
	return u.tried(b.Name, u.DeleteMailbox(e.Mailbox))
}

// tried counts what went well, reports what was refused and passes on what
// broke.
func (u *undo) tried(name string, err error) error {
	if err == nil {
		u.report.Undone++
		return nil
	}
	switch mail.KindOf(err) {
	case mail.Internal, mail.Unavailable, mail.Corrupt:
		return err
	}
	u.left("mailbox %s: %s", name, mail.DetailOf(err))
	return nil
}

// previousImage gives a mailbox back the name and place it had.
func (u *undo) previousImage(e mail.Entry) error {
	b, err := u.boxOrNil(e.Mailbox)
	switch {
	case err != nil:
		return err
	case b == nil:
		u.left("mailbox %s is gone", e.Before.Name)
		return nil
	case b.Image() != *e.After:
		u.left("mailbox %s was changed since", b.Name)
		return nil
	}
	return u.tried(b.Name, u.SetMailbox(e.Mailbox, *e.Before))
}

const selectFallen = "SELECT uid FROM vanished_placement WHERE account_id = ?1 AND mailbox_id = ?2 AND vanished = ?3 AND why = ?4 ORDER BY uid"

// bringBackMailbox makes a deleted mailbox again, with its id, its UIDVALIDITY
// and what was in it.
func (u *undo) bringBackMailbox(e mail.Entry) error {
	kept, at, err := u.keptMailbox(e.Mailbox)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		u.left("mailbox %s is no longer kept", e.Before.Name)
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := u.remakeMailbox(e.Mailbox, *e.Before, kept); err != nil {
		return u.tried(e.Before.Name, err)
	}
	u.report.Undone++
	var uids mail.UIDSet
	err = u.c.query(selectFallen, func(r row) error { uids.Add(mail.UID(r.num(0))); return nil }, u.id, e.Mailbox, at, deletedWithMailbox)
	if err != nil || uids == nil {
		return err
	}
	return u.bringBackMessages(e.Mailbox, uids)
}
