package sqlstore

import (
	"bytes"
	"cmp"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	annotationColumns = "uid, shared, who, name, modseq, there, value"
	selectAnnotations = "SELECT " + annotationColumns + ` FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND uid BETWEEN ?3 AND ?4
	AND there = 1 ORDER BY uid, shared, who, name`
	selectAnnotationsSince = "SELECT " + annotationColumns + " FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND modseq > ?3"
	upsertAnnotation       = `INSERT INTO annotation (account_id, mailbox_id, uid, shared, who, name, modseq, there, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
	ON CONFLICT (account_id, mailbox_id, uid, shared, who, name) DO UPDATE SET modseq = excluded.modseq, there = excluded.there, value = excluded.value`
	selectAnnotationKept  = "SELECT length(value) FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND uid = ?3 AND shared = ?4 AND who = ?5 AND name = ?6"
	sumAnnotations        = "SELECT coalesce(sum(annotation_bytes), 0) FROM mailbox WHERE account_id = ?1"
	updateAnnotated       = "UPDATE placement SET modseq = ?3, changed_by = ?4 WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?5)"
	updateAnnotationBytes = "UPDATE mailbox SET annotation_bytes = ?3 WHERE account_id = ?1 AND mailbox_id = ?2"
	recountAnnotations    = `UPDATE mailbox SET annotation_bytes = (SELECT coalesce(sum(length(n.name) + length(n.value) + 64), 0) FROM annotation n
	WHERE n.account_id = ?1 AND n.mailbox_id = mailbox.mailbox_id) WHERE account_id = ?1 AND annotation_bytes > 0`
)

func scanAnnotation(r row) mail.Annotation {
	return mail.Annotation{UID: mail.UID(r.num(0)), Shared: r.num(1) != 0, Who: mail.PrincipalID(r.num(2)), Name: r.text(3), ModSeq: mail.ModSeq(r.num(4)), Value: given(r, 5)}
}

// Annotations implements store.Reader.
func (r *reader) Annotations(q store.AnnotationQuery, fn func(*mail.Annotation) error) error {
	visit := func(a mail.Annotation) error {
		if q.UIDs != nil && !q.UIDs.Contains(a.UID) || !a.Shared && a.Who != q.Who && !q.Everybody {
			return nil
		}
		return fn(&a)
	}
	if q.ChangedSince > 0 {
		return r.annotationsSince(q, visit)
	}
	return r.ranges(store.PlacementQuery{Mailbox: q.Mailbox}, selectAnnotations, q.UIDs, func(row row) error { return visit(scanAnnotation(row)) })
}

// annotationsSince finds what changed by its index.
func (r *reader) annotationsSince(q store.AnnotationQuery, visit func(mail.Annotation) error) error {
	var all []mail.Annotation
	err := r.c.query(selectAnnotationsSince, func(row row) error { all = append(all, scanAnnotation(row)); return nil }, r.id, q.Mailbox, q.ChangedSince)
	slices.SortFunc(all, func(a, b mail.Annotation) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(one01(a.Shared), one01(b.Shared)), cmp.Compare(a.Who, b.Who), cmp.Compare(a.Name, b.Name))
	})
	for _, a := range all {
		if err == nil {
			err = visit(a)
		}
	}
	return err
}

func one01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// annotations returns those of a mailbox's messages, whoever's, by UID. A mailbox
// that never had one is not looked into.
func (t *tx) annotations(b *box, uids mail.UIDSet) (map[mail.UID][]mail.Annotation, error) {
	if b.notes == 0 || len(uids) == 0 {
		return nil, nil
	}
	all := map[mail.UID][]mail.Annotation{}
	err := t.ranges(store.PlacementQuery{Mailbox: b.ID}, selectAnnotations, uids, func(r row) error {
		if a := scanAnnotation(r); uids.Contains(a.UID) {
			all[a.UID] = append(all[a.UID], a)
		}
		return nil
	})
	return all, err
}

// Annotate implements store.Tx.
func (t *tx) Annotate(mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, unchangedSince *mail.ModSeq) (store.StoreResult, error) {
	var r store.StoreResult
	b, err := t.box(mb)
	if err != nil {
		return r, err
	}
	for _, c := range changes {
		if err := mail.CheckAnnotationName(c.Name); err != nil {
			return r, err
		}
	}
	hs, err := t.load(mb, uids, func(p *mail.Placement) bool {
		if unchangedSince != nil && max(p.ModSeq, t.restored) > *unchangedSince {
			r.Modified.Add(p.UID)
			return false
		}
		return true
	})
	if err != nil {
		return store.StoreResult{}, err
	}
	there, _ := uidsOf(hs)
	r.Changed, err = t.annotate(b, there, changes)
	if err != nil {
		return store.StoreResult{}, err
	}
	for uid := range there.All() {
		if !r.Changed.Contains(uid) {
			r.Same.Add(uid)
		}
	}
	return r, nil
}

// annotate sets annotations of messages that are there and returns those of which
// one really changed.
func (t *tx) annotate(b *box, uids mail.UIDSet, changes []mail.Annotation) (changed mail.UIDSet, err error) {
	was, err := t.annotations(b, uids)
	if err != nil {
		return nil, err
	}
	total, err := t.annotationBytes()
	if err != nil {
		return nil, err
	}
	var entries []mail.Entry
	var list ints
	for uid := range uids.All() {
		all := was[uid]
		for _, c := range changes {
			c.UID, c.Who = uid, privately(c)
			i := slices.IndexFunc(all, c.IsSame)
			var old []byte
			if i >= 0 {
				old = all[i].Value
			}
			if (old == nil) == (c.Value == nil) && bytes.Equal(old, c.Value) {
				continue
			}
			if err := mail.AnnotationFits(all, total, c); err != nil {
				return nil, err
			}
			grown, err := t.writeAnnotation(b, c)
			if err != nil {
				return nil, err
			}
			total += grown
			if i >= 0 {
				all[i] = c
			} else {
				all = append(all, c)
			}
			changed.Add(uid)
			entries = append(entries, mail.Entry{Op: mail.OpAnnotate, Mailbox: b.ID, UIDs: mail.MakeUIDSet(uid), Who: c.Who, Name: c.Spelled(), Old: old, New: c.Value})
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	for uid := range changed.All() {
		list = append(list, int64(uid))
	}
	t.touch(b)
	for _, e := range sameAnnotations(entries) {
		t.add(e)
	}
	err = t.c.later(updateAnnotated, t.id, b.ID, t.n, t.by.Device(), list)
	return changed, err
}

// privately is whose an annotation is: a shared one is nobody's.
func privately(a mail.Annotation) mail.PrincipalID {
	if a.Shared {
		return 0
	}
	return a.Who
}

// sameAnnotations makes one entry of the same thing done to several messages.
func sameAnnotations(entries []mail.Entry) []mail.Entry {
	var out []mail.Entry
	for _, e := range entries {
		i := slices.IndexFunc(out, func(o mail.Entry) bool {
			return o.Name == e.Name && o.Who == e.Who && (o.Old == nil) == (e.Old == nil) && bytes.Equal(o.Old, e.Old) && (o.New == nil) == (e.New == nil) && bytes.Equal(o.New, e.New)
		})
		if i < 0 {
			out = append(out, e)
			continue
		}
		out[i].UIDs.Add(e.UIDs[0].First)
	}
	return out
}

// annotationBytes is what the annotations of the account take.
func (t *tx) annotationBytes() (total int64, err error) {
	_, err = one(t.c, sumAnnotations, func(r row) { total = r.num(0) }, t.id)
	for _, b := range t.boxes {
		if !b.gone {
			total += b.notes - b.stored.notes
		}
	}
	return total, err
}

// writeAnnotation writes a row, counts it, and returns by how much it grew.
func (t *tx) writeAnnotation(b *box, a mail.Annotation) (grown int64, err error) {
	grown = a.Cost()
	_, err = one(t.c, selectAnnotationKept, func(r row) { grown = int64(len(a.Value)) - r.num(0) }, t.id, b.ID, a.UID, a.Shared, int64(a.Who), a.Name)
	if err != nil {
		return 0, err
	}
	b.notes += grown
	err = t.c.later(upsertAnnotation, t.id, b.ID, a.UID, a.Shared, int64(a.Who), a.Name, t.n, a.Value != nil, a.Value)
	return grown, err
}

// carry gives messages the annotations of those they came out of: all, or of a copy
// only shared ones and the owner's.
func (t *tx) carry(source *box, from []held, dest *box, to []held, all bool) error {
	uids, _ := uidsOf(from)
	notes, err := t.annotations(source, uids)
	if err != nil || notes == nil {
		return err
	}
	for i, h := range from {
		for _, a := range notes[h.UID] {
			if !all && !a.Shared && a.Who != 0 {
				continue
			}
			a.UID = to[i].UID
			if _, err := t.writeAnnotation(dest, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// annotateArrival gives a message what it comes with, and what it takes over from
// the one in from that it replaces or continues.
func (t *tx) annotateArrival(b *box, p *mail.Placement, a mail.Arrival, from *box, old []held) error {
	if old != nil {
		if err := t.carry(from, old, b, []held{{Placement: *p}}, true); err != nil {
			return err
		}
	}
	if len(a.Annotations) == 0 {
		return nil
	}
	had, err := t.annotations(b, mail.MakeUIDSet(p.UID))
	if err != nil {
		return err
	}
	total, err := t.annotationBytes()
	if err != nil {
		return err
	}
	all := had[p.UID]
	for _, c := range a.Annotations {
		c.UID, c.Who = p.UID, privately(c)
		if err := cmp.Or(mail.CheckAnnotationName(c.Name), mail.AnnotationFits(all, total, c)); err != nil {
			return err
		}
		grown, err := t.writeAnnotation(b, c)
		if err != nil {
			return err
		}
		total += grown
		all = append(slices.DeleteFunc(all, c.IsSame), c)
	}
	return nil
}

// annotations gives messages back what the act changed, where it is still so.
func (u *undo) annotations(e mail.Entry) error {
	all, err := u.find(e.Mailbox, e.UIDs)
	if err != nil {
		return err
	}
	back := mail.ReadAnnotation(e.Name, e.Who, e.Old)
	for _, f := range all {
		if f.at == nil {
			u.left("a message that was annotated is no longer there")
			continue
		}
		if err := u.annotationBack(f.at, back, e.New); err != nil {
			return err
		}
	}
	return nil
}

func (u *undo) annotationBack(h *held, back mail.Annotation, was []byte) error {
	b, err := u.box(h.Mailbox)
	if err != nil {
		return err
	}
	uid := mail.MakeUIDSet(h.UID)
	notes, err := u.tx.annotations(b, uid)
	if err != nil {
		return err
	}
	var now []byte
	if i := slices.IndexFunc(notes[h.UID], back.IsSame); i >= 0 {
		now = notes[h.UID][i].Value
	}
	if (now == nil) != (was == nil) || !bytes.Equal(now, was) {
		u.left("an annotation of a message was changed since")
		return nil
	}
	u.intact[h.ID] = u.untouched(h)
	_, err = u.annotate(b, uid, []mail.Annotation{back})
	if err != nil && mail.KindOf(err) == mail.Limit {
		u.left("an annotation: %s", mail.DetailOf(err))
		return nil
	}
	u.report.Undone++
	return err
}
