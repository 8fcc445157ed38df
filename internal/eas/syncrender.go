package eas

import (
	"cmp"
	"slices"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// readItems reads messages of a mailbox with all that is told of them.
func (q *request) readItems(r store.Reader, mb mail.Mailbox, uids mail.UIDSet) (map[mail.UID]*mailItem, error) {
	items := map[mail.UID]*mailItem{}
	if len(uids) == 0 {
		return items, nil
	}
	notes, err := readMailNotes(r, mb.ID, uids)
	if err != nil {
		return nil, err
	}
	return items, r.Messages(store.PlacementQuery{Mailbox: mb.ID, UIDs: uids, Located: true}, func(p *mail.Placement, m *mail.Message) error {
		blob := m.Blob
		items[p.UID] = &mailItem{placement: *p, message: *m, drafts: mb.Role == mail.RoleDrafts, notes: notes[p.UID],
			open: func() (Body, error) { return q.srv.Blobs(q.ctx, blob) }}
		return nil
	})
}

// gather reads what the steps are about.
func (x *exchange) gather(r store.Reader, t *telling) (err error) {
	var uids []mail.UID
	flags := false
	for _, s := range t.steps {
		if s.uid != 0 {
			uids = append(uids, s.uid)
		}
		flags = flags || s.op == opFlags
	}
	slices.Sort(uids)
	if flags {
		from := x.base
		if x.how == isBefore {
			from = &x.rel.Before
		}
		if t.changed, err = aspectsSince(r, x.mailbox.ID, from.View.Sure, x.account.Head); err != nil {
			return err
		}
	}
	t.items, err = x.readItems(r, x.mailbox, mail.MakeUIDSet(uids...))
	return err
}

// gatherAgain makes the steps of an answer once more, in their present form. What left
// meanwhile is left out, and comes as the version that took its place.
func (x *exchange) gatherAgain(t *telling) error {
	return x.view(func(r store.Reader) error {
		for _, part := range []struct {
			op   op
			uids mail.UIDSet
		}{{opFlags, t.said.Flags}, {opChange, t.said.Change}, {opAdd, t.said.Add}} {
			found, gone, err := x.versionsNow(r, part.uids)
			if err != nil {
				return err
			}
			if part.op == opAdd {
				x.neverSeen(part.uids, gone)
			}
			slices.SortFunc(found, func(a, b mail.Version) int { return b.Date.Compare(a.Date) })
			for _, v := range found {
				o := part.op
				if o == opFlags && !part.uids.Contains(v.UID) {
					o = opChange
				}
				t.steps = append(t.steps, step{op: o, line: v.Lineage.Line(), uid: v.UID, then: t.end})
			}
		}
		for _, line := range t.said.Delete {
			t.steps = append(t.steps, step{op: opDelete, line: line, then: t.end})
		}
		for _, line := range t.said.Soft {
			t.steps = append(t.steps, step{op: opSoft, line: line, then: t.end})
		}
		return x.gather(r, t)
	})
}

// neverSeen notes which of the placements that were told of leave the mailbox before
// the device gets to see them.
func (x *exchange) neverSeen(told mail.UIDSet, gone []mail.UID) {
	hidden := x.rel.Current.View.Hidden
	for uid := range told.All() {
		hidden = without(hidden, uid)
	}
	for _, uid := range gone {
		hidden = with(hidden, uid)
	}
	x.rel.Current.View.Hidden = hidden
}

// versionsNow returns the placements, or what is now the item in place of one.
func (x *exchange) versionsNow(r store.Reader, uids mail.UIDSet) (found []mail.Version, gone []mail.UID, err error) {
	if len(uids) == 0 {
		return nil, nil, nil
	}
	there := map[mail.UID]bool{}
	err = r.Messages(store.PlacementQuery{Mailbox: x.mailbox.ID, UIDs: uids}, func(p *mail.Placement, m *mail.Message) error {
		there[p.UID] = true
		found = append(found, mail.Version{Placement: *p, Date: m.InternalDate})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for uid := range uids.All() {
		if there[uid] {
			continue
		}
		old, err := r.Departed(x.mailbox.ID, uid)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			gone = append(gone, uid)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		versions, err := r.Versions(store.VersionQuery{Mailbox: x.mailbox.ID, Lines: []mail.Lineage{old.Lineage}})
		if err != nil {
			return nil, nil, err
		}
		if v := mail.Shown(versions); v != nil {
			found = append(found, *v)
		} else {
			gone = append(gone, uid)
		}
	}
	return found, gone, nil
}

// rank is the order of an answer's entries: what leaves makes room for what comes.
func (o op) rank() int {
	switch o {
	case opDelete, opSoft:
		return 0
	case opChange, opFlags:
		return 1
	}
	return 2
}

// render makes the entries of an answer out of its steps, as many as there is room
// for. One item that can't be shown does not stop the others.
func (x *exchange) render(t *telling, room *budget, cut bool) error {
	type entry struct {
		e    *wbxml.Element
		rank int
	}
	var entries []entry
	end, said := x.base.View, recipe{}
	for _, s := range t.steps {
		if s.op == opNone {
			end = s.then
			continue
		}
		if cut && len(entries) > 0 && room.full() {
			t.end, t.more = end, true
			break
		}
		e, err := x.entryOf(s, t)
		if err != nil {
			return err
		}
		if e != nil {
			entries = append(entries, entry{e, s.op.rank()})
			room.take(sizeOf(e))
			said.note(s)
		}
		end = s.then
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.rank, b.rank) })
	for _, e := range entries {
		t.commands = append(t.commands, e.e)
	}
	if said.More = t.more; cut {
		t.said = said
	}
	return nil
}

// note notes what was told.
func (r *recipe) note(s step) {
	r.Entries++
	r.Line = s.line
	switch s.op {
	case opAdd:
		r.Add.Add(s.uid)
	case opChange:
		r.Change.Add(s.uid)
	case opFlags:
		r.Flags.Add(s.uid)
	case opDelete:
		r.Delete = append(r.Delete, s.line)
	case opSoft:
		r.Soft = append(r.Soft, s.line)
	}
}

// entryOf makes the entry of a step; nil if there is nothing to show.
func (x *exchange) entryOf(s step, t *telling) (*wbxml.Element, error) {
	id := wbxml.Text(wbxml.AirSyncServerId, itemID(x.mailbox.ID, s.line))
	switch s.op {
	case opDelete:
		return wbxml.New(wbxml.AirSyncDelete, id), nil
	case opSoft:
		return wbxml.New(wbxml.AirSyncSoftDelete, id), nil
	}
	it := t.items[s.uid]
	if it == nil {
		return nil, nil
	}
	if s.op == opFlags {
		return wbxml.New(wbxml.AirSyncChange, id, x.flagData(it, t.changed[s.uid])), nil
	}
	data, err := x.itemData(it)
	if err != nil {
		return nil, err
	}
	if s.op == opChange {
		return wbxml.New(wbxml.AirSyncChange, id, data), nil
	}
	return wbxml.New(wbxml.AirSyncAdd, id, data), nil
}

// sizeOf is about how many bytes an element takes.
func sizeOf(e *wbxml.Element) int64 {
	n := int64(len(e.Text)) + 4
	if from, ok := e.From.(interface{ Len() int64 }); ok {
		n += from.Len()
	}
	for _, c := range e.Children {
		n += sizeOf(c)
	}
	return n
}
