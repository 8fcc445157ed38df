package past

import (
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// item is what is to be done about one message that a mailbox held.
type item struct {
	source mail.MailboxID // where it is; 0: it left, and comes back
	uid    mail.UID       // there, or as it left
	flags  mail.FlagChange
	notes  []mail.Annotation
}

// messages makes the messages of a mailbox what they were.
func (r *restorer) messages(mb Mailbox) error {
	q := Query{Mailbox: mb.ID, touched: true}
	for more := true; more; {
		var items []item
		var seen mail.ModSeq
		edited := int64(0)
		_, next, err := r.page(r.ctx, q, func(rd store.Reader, page []Message) error {
			items, edited, seen = nil, 0, r.since.head
			for i := range page {
				it, todo, err := r.item(rd, mb.ID, &page[i], &edited)
				if err != nil {
					return err
				}
				if todo {
					items = append(items, it)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.report.Edited += edited
		for chunk := range slices.Chunk(items, r.bounds.messages) {
			if err := r.put(mb, chunk, seen); err != nil {
				return err
			}
		}
		q.After, more = next, next != 0
	}
	return nil
}

// item decides about one message: whether it is there, elsewhere or gone.
func (r *restorer) item(rd store.Reader, mb mail.MailboxID, m *Message, edited *int64) (item, bool, error) {
	if m.Left == 0 {
		it := item{mb, m.UID, becomes(m.Placement.Flags, m.Flags), differing(m.now, m.Annotations)}
		return it, r.wish.Mode != OnlyMissing && it.changes(), nil
	}
	all, err := rd.PlacementsOf(m.Key)
	if err != nil {
		return item{}, false, err
	}
	if r.wish.Mode == OnlyMissing && slices.ContainsFunc(all, func(p mail.Placement) bool { return p.Created <= r.start }) {
		return item{}, false, nil
	}
	at := r.nearest(all, mb, m.Flags)
	if at < 0 {
		if newer, err := r.hasNewer(rd, mb, m); err != nil || newer {
			*edited++
			return item{}, false, err
		}
		return item{0, m.UID, becomes(m.Placement.Flags, m.Flags), differing(m.now, m.Annotations)}, true, nil
	}
	if len(r.used) >= maxMatched {
		return item{}, false, mail.Errorf(mail.Limit, "more than %d messages would be moved: bring back one mailbox at a time", maxMatched)
	}
	p := all[at]
	r.used[p.ID] = mb
	now, err := notesNow(rd, p.Mailbox, p.UID)
	it := item{p.Mailbox, p.UID, becomes(p.Flags, m.Flags), differing(now, m.Annotations)}
	return it, p.Mailbox != mb || it.changes(), err
}

// nearest returns which of the placements of a message is to be in a mailbox: one that
// is, with the flags it had, else any that is, else any; -1 if all have their places.
func (r *restorer) nearest(all []mail.Placement, mb mail.MailboxID, flags mail.Flags) int {
	at := slices.IndexFunc(all, func(p mail.Placement) bool { return r.isFree(p) && p.Mailbox == mb && p.Flags == flags })
	if at < 0 {
		at = slices.IndexFunc(all, func(p mail.Placement) bool { return r.isFree(p) && p.Mailbox == mb })
	}
	if at < 0 {
		at = slices.IndexFunc(all, r.isFree)
	}
	return at
}

// isFree reports whether a placement came since, and is not in its place yet.
func (r *restorer) isFree(p mail.Placement) bool {
	return p.Created > r.at && p.Created <= r.start && r.used[p.ID] == 0
}

// hasNewer reports whether a message was edited since, and its newer version is there
// and to stay.
func (r *restorer) hasNewer(rd store.Reader, mb mail.MailboxID, m *Message) (bool, error) {
	if r.wish.Mode == Exact || m.Placement.Lineage.Held() {
		return false, nil
	}
	if _, err := rd.Mailbox(mb); err != nil {
		return false, nil // it went with its mailbox
	}
	versions, err := rd.Versions(store.VersionQuery{Mailbox: mb, Lines: []mail.Lineage{m.Placement.Lineage.Line()}})
	return slices.ContainsFunc(versions, func(v mail.Version) bool {
		to := r.used[v.ID]
		return v.Left == 0 && v.Lineage.Held() && (to == 0 || to == mb)
	}), err
}

func notesNow(rd store.Reader, mb mail.MailboxID, uid mail.UID) ([]mail.Annotation, error) {
	var all []mail.Annotation
	err := rd.Annotations(store.AnnotationQuery{Mailbox: mb, UIDs: mail.MakeUIDSet(uid), Everybody: true}, func(a *mail.Annotation) error {
		is := *a
		is.Value = slices.Clone(a.Value)
		all = append(all, is)
		return nil
	})
	return all, err
}

func (it *item) changes() bool {
	return !it.flags.Add.IsEmpty() || !it.flags.Remove.IsEmpty() || len(it.notes) > 0
}

// becomes is the change that makes of some flags others.
func becomes(is, was mail.Flags) mail.FlagChange {
	return mail.FlagChange{Add: was.Minus(is), Remove: is.Minus(was)}
}

// differing are the changes that make of some annotations others.
func differing(is, was []mail.Annotation) []mail.Annotation {
	var changes []mail.Annotation
	for _, a := range was {
		i := slices.IndexFunc(is, a.IsSame)
		if i < 0 || string(is[i].Value) != string(a.Value) {
			changes = append(changes, a)
		}
	}
	for _, a := range is {
		if !slices.ContainsFunc(was, a.IsSame) {
			a.Value = nil
			changes = append(changes, a)
		}
	}
	return changes
}

// placed is an item in its mailbox.
type placed struct {
	item
	uid   mail.UID
	fresh bool // it came there in this transaction
}

// put does what is to be done in one transaction. What was changed after it was looked
// at, at seen, is left alone.
func (r *restorer) put(mb Mailbox, items []item, seen mail.ModSeq) error {
	if !r.apply {
		r.count(&r.report, mb, items)
		return nil
	}
	return r.update(func(tx store.Tx, rep *Report) error {
		path := mb.Path
		if now, err := tx.Mailbox(mb.ID); mail.KindOf(err) == mail.NotFound {
			rep.left("%s was deleted meanwhile", path)
			return nil
		} else if err != nil {
			return err
		} else {
			path = now.Path
		}
		box := *rep.box(path)
		all, err := r.bring(tx, mb.ID, items, seen, &box)
		if err != nil {
			return err
		}
		rep.Back, rep.Moved = rep.Back+box.Back-rep.box(path).Back, rep.Moved+box.Moved-rep.box(path).Moved
		for n := len(all); n < len(items); n++ {
			rep.left("a message of %s was changed meanwhile, or is no longer kept", path)
		}
		flagged, err := r.reflag(tx, rep, mb.ID, all, seen)
		if err != nil {
			return err
		}
		rep.Flagged, box.Flagged = rep.Flagged+flagged, box.Flagged+flagged
		*rep.box(path) = box
		return r.annotate(tx, rep, mb.ID, all, seen)
	})
}

// count is what a preview says of items.
func (r *restorer) count(rep *Report, mb Mailbox, items []item) {
	box := rep.box(mb.Path)
	for _, it := range items {
		switch {
		case it.source == 0:
			rep.Back, box.Back = rep.Back+1, box.Back+1
			continue // its flags are those it comes back with
		case it.source != mb.ID:
			rep.Moved, box.Moved = rep.Moved+1, box.Moved+1
		}
		if !it.flags.Add.IsEmpty() || !it.flags.Remove.IsEmpty() {
			rep.Flagged, box.Flagged = rep.Flagged+1, box.Flagged+1
		}
		if len(it.notes) > 0 {
			rep.Annotated++
		}
	}
}

// bring puts what is not in the mailbox into it, and returns where all are now.
func (r *restorer) bring(tx store.Tx, mb mail.MailboxID, items []item, seen mail.ModSeq, box *MailboxReport) ([]placed, error) {
	var all []placed
	bySource := map[mail.MailboxID]map[mail.UID]item{}
	var sources []mail.MailboxID
	for _, it := range items {
		if it.source == mb {
			all = append(all, placed{item: it, uid: it.uid})
			continue
		}
		if bySource[it.source] == nil {
			bySource[it.source] = map[mail.UID]item{}
			sources = append(sources, it.source)
		}
		bySource[it.source][it.uid] = it
	}
	for _, source := range sources {
		m, err := r.fetch(tx, source, bySource[source], mb, seen)
		if err != nil {
			return nil, err
		}
		to := slices.Collect(m.To.All())
		i := 0
		for uid := range m.From.All() {
			all = append(all, placed{item: bySource[source][uid], uid: to[i], fresh: true})
			i++
		}
		if source == 0 {
			box.Back += int64(i)
		} else {
			box.Moved += int64(i)
		}
	}
	return all, nil
}

// fetch brings messages back, or moves them from where they are.
func (r *restorer) fetch(tx store.Tx, source mail.MailboxID, items map[mail.UID]item, mb mail.MailboxID, seen mail.ModSeq) (store.Mapping, error) {
	uids := mail.MakeUIDSet(slices.Sorted(maps.Keys(items))...)
	if source == 0 {
		return tx.BringBack(mb, uids)
	}
	still := mail.UIDSet{}
	err := tx.Placements(store.PlacementQuery{Mailbox: source, UIDs: uids}, func(p *mail.Placement) error {
		if p.ModSeq <= seen {
			still.Add(p.UID)
		}
		return nil
	})
	if mail.KindOf(err) == mail.NotFound || err == nil && len(still) == 0 {
		return store.Mapping{}, nil // gone meanwhile
	}
	if err != nil {
		return store.Mapping{}, err
	}
	return tx.Move(source, still, mb)
}

// reflag changes flags, those that change alike together, and returns of how many
// that did not come back just now.
func (r *restorer) reflag(tx store.Tx, rep *Report, mb mail.MailboxID, all []placed, seen mail.ModSeq) (int64, error) {
	type alike struct {
		add, remove mail.Flags
		fresh       bool
	}
	groups, n := map[alike]mail.UIDSet{}, int64(0)
	var order []alike
	for _, p := range all {
		if p.flags.Add.IsEmpty() && p.flags.Remove.IsEmpty() {
			continue
		}
		a := alike{p.flags.Add, p.flags.Remove, p.fresh}
		set, known := groups[a]
		if !known {
			order = append(order, a)
		}
		set.Add(p.uid)
		groups[a] = set
		if p.source != 0 {
			n++
		}
	}
	for _, a := range order {
		var since *mail.ModSeq
		if !a.fresh {
			since = &seen
		}
		res, err := tx.StoreFlags(mb, groups[a], mail.FlagChange{Add: a.add, Remove: a.remove}, since)
		if err != nil {
			if err := r.refused(rep, "flags", err); err != nil {
				return n, err
			}
			continue
		}
		if left := int64(res.Modified.Count()); left > 0 {
			n -= left
			rep.left("flags of %d messages were changed meanwhile", left)
		}
	}
	return n, nil
}

func (r *restorer) annotate(tx store.Tx, rep *Report, mb mail.MailboxID, all []placed, seen mail.ModSeq) error {
	for _, p := range all {
		if len(p.notes) == 0 {
			continue
		}
		// What this transaction did to the message is no change of somebody else.
		now, err := notesNow(tx, mb, p.uid)
		if err != nil {
			return err
		}
		if !p.fresh && slices.ContainsFunc(now, func(a mail.Annotation) bool { return a.ModSeq > seen }) {
			rep.left("annotations of a message were changed meanwhile")
			continue
		}
		if _, err := tx.Annotate(mb, mail.MakeUIDSet(p.uid), p.notes, nil); err != nil {
			if err := r.refused(rep, "annotations", err); err != nil {
				return err
			}
			continue
		}
		if p.source != 0 {
			rep.Annotated++
		}
	}
	return nil
}

// removeNew takes away what came since, where it has no place in the past.
func (r *restorer) removeNew() error {
	all := slices.Clone(r.scope)
	for _, mb := range r.made {
		all = append(all, Mailbox{ID: mb.ID, Path: mb.Path})
	}
	for _, mb := range all {
		if r.bare[mb.ID] {
			continue
		}
		if err := r.removeFrom(mb); err != nil {
			return err
		}
	}
	return nil
}

func (r *restorer) removeFrom(mb Mailbox) error {
	for after, more := mail.UID(0), true; more; {
		var uids []mail.UID
		var seen mail.ModSeq
		n, limit := 0, touchedPages*r.bounds.messages
		err := r.look(r.ctx, func(rd store.Reader, a mail.Account) error {
			uids, seen, n = nil, a.Head, 0
			q := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.UIDSet{{First: after + 1, Last: 1<<32 - 1}}, ChangedSince: r.at, Limit: limit}
			return rd.Placements(q, func(p *mail.Placement) error {
				n++
				after = p.UID
				if p.Created > r.at && p.Created <= r.start && r.used[p.ID] == 0 {
					uids = append(uids, p.UID)
				}
				return nil
			})
		})
		if mail.KindOf(err) == mail.NotFound {
			return nil // gone
		}
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(uids, r.bounds.messages) {
			if err := r.remove(mb, mail.MakeUIDSet(chunk...), seen); err != nil {
				return err
			}
		}
		more = n == limit && after < 1<<32-1
	}
	return nil
}

func (r *restorer) remove(mb Mailbox, uids mail.UIDSet, seen mail.ModSeq) error {
	if !r.apply {
		n := int64(uids.Count())
		r.report.Gone += n
		r.report.box(mb.Path).Gone += n
		return nil
	}
	return r.update(func(tx store.Tx, rep *Report) error {
		still := mail.UIDSet{}
		err := tx.Placements(store.PlacementQuery{Mailbox: mb.ID, UIDs: uids}, func(p *mail.Placement) error {
			if p.ModSeq <= seen {
				still.Add(p.UID)
			}
			return nil
		})
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		if err != nil || len(still) == 0 {
			return err
		}
		if !r.whole() && r.trash != 0 && r.trash != mb.ID {
			_, err = tx.Move(mb.ID, still, r.trash)
		} else {
			_, err = tx.Expunge(mb.ID, still, false)
		}
		n := int64(still.Count())
		rep.Gone += n
		rep.box(mb.Path).Gone += n
		return err
	})
}
