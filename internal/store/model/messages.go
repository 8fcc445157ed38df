package model

import (
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Append puts a message into a mailbox.
func (t *tx) Append(mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
	b, err := t.s.box(mb)
	if err != nil {
		return mail.Placement{}, err
	}
	if a.Once != "" {
		if p, err := t.Remembered(a.Once); err == nil {
			return p, nil
		}
	}
	if err := t.fresh(a); err != nil {
		return mail.Placement{}, err
	}
	old, err := t.predecessor(b, a)
	if err != nil {
		return mail.Placement{}, err
	}
	var leaves *mail.Placement
	if a.Replaces != 0 {
		leaves = old
	}
	if err := t.room(a.Blob.Size, leaves); err != nil {
		return mail.Placement{}, err
	}
	line := t.handOn(old)
	if leaves != nil { // first, so that an undo takes the successor away before it brings this back
		t.drop(t.s.boxes[leaves.Mailbox].get(leaves.UID))
		t.did(mail.Entry{Op: mail.OpExpunge, Mailbox: leaves.Mailbox, UIDs: mail.MakeUIDSet(leaves.UID)})
	}
	m := t.message(a)
	own := a.As != 0 && !b.CommonSeen && a.Flags.Has(mail.Seen)
	if own {
		a.Flags.System &^= mail.Seen
	}
	p := *t.put(mb, mail.Placement{Message: m.Key, Lineage: line, Flags: a.Flags, SaveDate: t.now, Size: m.Size})
	if err := t.annotateArrival(&p, a, old); err != nil {
		return mail.Placement{}, err
	}
	t.did(mail.Entry{Op: mail.OpAppend, Mailbox: mb, UIDs: mail.MakeUIDSet(p.UID)})
	if own {
		t.setOwn(mb, p.UID, a.As, true)
		t.didOwn(mb, mail.MakeUIDSet(p.UID), a.As, true)
	}
	if a.Once != "" {
		return p, t.Remember(a.Once, p.ID, t.now.Add(a.OnceFor))
	}
	return p, nil
}

// predecessor returns what the arrival replaces or continues, nil if nothing.
func (t *tx) predecessor(b *box, a mail.Arrival) (*mail.Placement, error) {
	uid := a.Continues
	if a.Replaces != 0 {
		uid = a.Replaces
	}
	if a.Replaces != 0 && a.ReplacesIn != 0 {
		var err error
		if b, err = t.s.box(a.ReplacesIn); err != nil {
			return nil, err
		}
	}
	if uid == 0 {
		return nil, nil
	}
	if old := b.get(uid); old != nil {
		return old, nil
	}
	return nil, mail.Errorf(mail.NotFound, "no message to replace")
}

// handOn takes the line from who holds it; 0 if there is none to take. That is no
// change that a view hears of.
func (t *tx) handOn(old *mail.Placement) mail.Lineage {
	if old == nil || !old.Lineage.Held() {
		return 0
	}
	earlier := *old
	earlier.Lineage = old.Lineage.HandedOn()
	b := t.edit(old.Mailbox)
	i, _ := b.find(old.UID)
	b.list[i] = &earlier
	t.replaceWhere(old, &earlier)
	return old.Lineage
}

// fresh refuses blobs whose handles have expired.
func (t *tx) fresh(a mail.Arrival) error {
	for _, b := range append([]mail.Blob{a.Blob}, a.Parts...) {
		if !b.Until.IsZero() && !t.now.Before(b.Until) {
			return mail.Errorf(mail.Expired, "the message has to be sent again")
		}
		if err := b.Pending.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// room looks whether size more bytes fit once old is gone.
func (t *tx) room(size int64, old *mail.Placement) error {
	if t.s.account.Quota == 0 {
		return nil
	}
	used := t.s.used() + size
	if old != nil && len(t.s.where.get(int64(old.Message))) == 1 {
		used -= old.Size
	}
	if used > t.s.account.Quota {
		return mail.Errorf(mail.OverQuota, "the account is full")
	}
	return nil
}

// message makes the message of an arrival and finds its thread.
func (t *tx) message(a mail.Arrival) *mail.Message {
	m := &mail.Message{Key: mail.MessageKey(t.s.newID()), EmailID: a.EmailID, Blob: a.Blob, Size: a.Blob.Size, InternalDate: a.InternalDate,
		SentAt: a.SentAt, MessageID: a.MessageID, Parsed: slices.Clone(a.Parsed), Preview: a.Preview}
	m.Blob.Until, m.Blob.Fresh, m.Blob.Pending = noTime, false, nil
	if m.EmailID == (mail.EmailID{}) {
		m.EmailID = mail.NewEmailID()
	}
	if m.InternalDate.IsZero() {
		m.InternalDate = t.now.UTC()
	}
	m.InternalDate = m.InternalDate.Truncate(time.Microsecond) // which hold every year a date can have
	m.Thread = t.thread(m.Key, a)
	members := t.s.members.get(int64(m.Thread))
	t.s.members.set(int64(m.Thread), append(slices.Clip(members), m.Key))
	t.s.messages.set(int64(m.Key), m)
	return m
}

// thread finds the thread of an arrival, or begins one, and registers the names
// by which later arrivals find it.
func (t *tx) thread(key mail.MessageKey, a mail.Arrival) mail.ThreadID {
	if !t.names {
		t.s.threadOf, t.s.subjects, t.s.told, t.names = maps.Clone(t.s.threadOf), maps.Clone(t.s.subjects), maps.Clone(t.s.told), true
	}
	var made told
	id := t.knownThread(a)
	if id == 0 {
		id = mail.ThreadID(t.s.newID())
		if a.BaseSubject != "" {
			t.s.subjects[a.BaseSubject], made.subject = id, a.BaseSubject
		}
	}
	for _, name := range append([]string{a.MessageID}, a.References...) {
		if name != "" && t.s.threadOf[name] == 0 {
			t.s.threadOf[name] = id
			made.ids = append(made.ids, name)
		}
	}
	t.s.told[key] = made
	return id
}

func (t *tx) knownThread(a mail.Arrival) mail.ThreadID {
	if id := t.s.threadOf[a.MessageID]; id != 0 {
		return id
	}
	for _, name := range slices.Backward(a.References) {
		if id := t.s.threadOf[name]; id != 0 {
			return id
		}
	}
	if a.IsReply && a.BaseSubject != "" {
		return t.s.subjects[a.BaseSubject]
	}
	return 0
}

// flagDiff is what a STORE really does to one message.
type flagDiff struct{ added, removed mail.Flags }

// StoreFlags changes flags.
func (t *tx) StoreFlags(mb mail.MailboxID, uids mail.UIDSet, change mail.FlagChange, unchangedSince *mail.ModSeq) (store.StoreResult, error) {
	var r store.StoreResult
	b, err := t.s.box(mb)
	if err != nil {
		return r, err
	}
	selected := b.selected(uids)
	for _, p := range selected {
		if len(change.Apply(p.Flags).Keywords()) > mail.MaxKeywords {
			return r, mail.Errorf(mail.Limit, "a message has at most %d keywords", mail.MaxKeywords)
		}
	}
	var order []flagDiff
	changed := map[flagDiff]mail.UIDSet{}
	read := map[bool]mail.UIDSet{}
	for _, shared := range selected {
		p := t.s.seenBy(shared, change.As)
		f := change.Apply(p.Flags)
		switch {
		case unchangedSince != nil && p.ModSeq > *unchangedSince:
			r.Modified.Add(p.UID)
		case f == p.Flags:
			r.Same.Add(p.UID)
		default:
			r.Changed.Add(p.UID)
			if change.As != 0 && !b.CommonSeen {
				if seen := f.Has(mail.Seen); seen != p.Flags.Has(mail.Seen) {
					t.setOwn(mb, p.UID, change.As, seen)
					set := read[seen]
					set.Add(p.UID)
					read[seen] = set
				}
				f.System = f.System&^mail.Seen | shared.Flags.System&mail.Seen
				p = *shared
			}
			if f == p.Flags {
				continue
			}
			d := flagDiff{f.Minus(p.Flags), p.Flags.Minus(f)}
			if changed[d] == nil {
				order = append(order, d)
			}
			set := changed[d]
			set.Add(p.UID)
			changed[d] = set
			t.reflag(shared, f)
		}
	}
	for _, seen := range []bool{true, false} {
		t.didOwn(mb, read[seen], change.As, seen)
	}
	for _, d := range order {
		t.did(mail.Entry{Op: mail.OpFlags, Mailbox: mb, UIDs: changed[d], Added: d.added.Names(), Removed: d.removed.Names()})
	}
	return r, nil
}

// Copy puts placements into another mailbox too.
func (t *tx) Copy(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	return t.transfer(mail.OpCopy, from, uids, to)
}

// Move puts placements into another mailbox instead.
func (t *tx) Move(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	return t.transfer(mail.OpMove, from, uids, to)
}

func (t *tx) transfer(op mail.Op, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	var m store.Mapping
	b, err := t.s.box(from)
	if err != nil {
		return m, err
	}
	if _, err := t.s.box(to); err != nil {
		return m, err
	}
	if op == mail.OpMove && from != to && t.s.isBin(to) {
		if err := t.deletes(from, len(b.selected(uids))); err != nil {
			return m, err
		}
	}
	for _, p := range b.selected(uids) {
		m.From.Add(p.UID)
		placed := t.put(to, mail.Placement{Message: p.Message, Flags: p.Flags, SaveDate: t.now, Size: p.Size})
		t.copyOwn(from, p.UID, to, placed.UID)
		t.carry(from, p.UID, placed, op == mail.OpMove)
		m.To.Add(placed.UID)
		if op == mail.OpMove {
			t.drop(p)
		}
	}
	if len(m.From) > 0 {
		t.did(mail.Entry{Op: op, Mailbox: from, UIDs: m.From, Dest: to, DestUIDs: m.To})
	}
	return m, nil
}

// Expunge removes placements.
func (t *tx) Expunge(mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error) {
	b, err := t.s.box(mb)
	if err != nil {
		return nil, err
	}
	leaving := slices.DeleteFunc(b.selected(uids), func(p *mail.Placement) bool { return onlyDeleted && !p.Flags.Has(mail.Deleted) })
	if err := t.deletes(mb, len(leaving)); err != nil {
		return nil, err
	}
	var gone mail.UIDSet
	for _, p := range leaving {
		t.drop(p)
		gone.Add(p.UID)
	}
	if len(gone) > 0 {
		t.did(mail.Entry{Op: mail.OpExpunge, Mailbox: mb, UIDs: gone})
	}
	return gone, nil
}
