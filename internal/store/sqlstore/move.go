package sqlstore

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Copy implements store.Tx.
func (t *tx) Copy(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	return t.transfer(mail.OpCopy, from, uids, to)
}

// Move implements store.Tx.
func (t *tx) Move(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	return t.transfer(mail.OpMove, from, uids, to)
}

func (t *tx) transfer(op mail.Op, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	source, err := t.box(from)
	if err != nil {
		return store.Mapping{}, err
	}
	dest, err := t.box(to)
	if err != nil {
		return store.Mapping{}, err
	}
	hs, err := t.load(from, uids, every)
	if err != nil || len(hs) == 0 {
		return store.Mapping{}, err
	}
	if op == mail.OpMove && source != dest && t.isBin(to) {
		if err := t.deletes(source, len(hs)); err != nil {
			return store.Mapping{}, err
		}
	}
	placed, err := t.duplicate(source, hs, dest)
	if err != nil {
		return store.Mapping{}, err
	}
	if err := t.carry(source, hs, dest, placed, op == mail.OpMove); err != nil {
		return store.Mapping{}, err
	}
	if op == mail.OpMove {
		if err := t.vanish(source, hs, moved); err != nil {
			return store.Mapping{}, err
		}
	}
	var m store.Mapping
	m.From, _ = uidsOf(hs)
	m.To, _ = uidsOf(placed)
	t.add(mail.Entry{Op: op, Mailbox: from, UIDs: m.From, Dest: to, DestUIDs: m.To})
	return m, nil
}

// Numbers are given in the order of the source's UIDs.
const (
	copyPlacements = `INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received, behind)
	SELECT account_id, ?3, ?4 - 1 + n, ?5 - 1 + n, message_key, ?5 - 1 + n, system, keywords, ?6, ?7, ?7, ?8, size, content_id,
	received, CASE WHEN astray THEN coalesce(max(CASE WHEN astray THEN NULL ELSE ?4 - 1 + n END) OVER (ORDER BY uid), ?10) ELSE 0 END
	FROM (SELECT p.*, row_number() OVER (ORDER BY uid) AS n, received < max(?11, max(received) OVER (ORDER BY uid)) AS astray
	FROM placement p WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?9)) x`
	restorePlacements = `INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received, behind)
	SELECT account_id, mailbox_id, ?3 - 1 + n, ?4 - 1 + n, message_key,
	CASE WHEN lineage > 0 THEN lineage ELSE ?4 - 1 + n END, system, keywords, save_date, ?5, ?5, ?6, size, content_id,
	received, CASE WHEN astray THEN coalesce(max(CASE WHEN astray THEN NULL ELSE ?3 - 1 + n END) OVER (ORDER BY uid), ?8) ELSE 0 END
	FROM (SELECT v.*, m.content_id, m.internal_date AS received, row_number() OVER (ORDER BY v.uid) AS n,
	m.internal_date < max(?9, max(m.internal_date) OVER (ORDER BY v.uid)) AS astray
	FROM vanished_placement v JOIN message m ON m.account_id = v.account_id AND m.message_key = v.message_key
	WHERE v.account_id = ?1 AND v.mailbox_id = ?2 AND v.uid IN list(?7)) x`
	keepPlacements = `INSERT INTO vanished_placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, vanished, why)
	SELECT account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, ?3, ?4
	FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?5)`
	markDeparted     = "UPDATE vanished_placement SET lineage = -lineage WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3) AND lineage > 0"
	deletePlacements = "DELETE FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3)"
)

// duplicate puts placements of source into dest too and returns the new ones.
func (t *tx) duplicate(source *box, hs []held, dest *box) ([]held, error) {
	uid, err := dest.takeUIDs(len(hs))
	if err != nil {
		return nil, err
	}
	id := t.newIDs(len(hs))
	_, uids := uidsOf(hs)
	if err := t.c.later(copyPlacements, t.id, source.ID, dest.ID, uid, id, t.now, t.n, t.by.Device(), uids, dest.peak.number, dest.peak.bound()); err != nil {
		return nil, err
	}
	placed := t.placed(dest, hs, uid, id)
	return placed, t.copyOwn(source, hs, dest, placed)
}

// restore puts placements that left the mailbox back under new UIDs. Those that
// held their lines hold them again; the others begin new ones.
func (t *tx) restore(b *box, hs []held) ([]held, error) {
	uid, err := b.takeUIDs(len(hs))
	if err != nil {
		return nil, err
	}
	id := t.newIDs(len(hs))
	_, uids := uidsOf(hs)
	if err := t.c.later(restorePlacements, t.id, b.ID, uid, id, t.n, t.by.Device(), uids, b.peak.number, b.peak.bound()); err != nil {
		return nil, err
	}
	if err := t.c.later(markDeparted, t.id, b.ID, uids); err != nil {
		return nil, err
	}
	placed := t.placed(b, hs, uid, id)
	return placed, t.copyOwn(b, hs, b, placed)
}

// placed notes placements that were made like hs, numbered from uid and id on.
func (t *tx) placed(dest *box, hs []held, uid mail.UID, id int64) []held {
	t.touch(dest)
	placed := make([]held, len(hs))
	for i, h := range hs {
		p := h.Placement
		p.ID, p.Mailbox, p.UID, p.Created, p.ModSeq = mail.PlacementID(id)+mail.PlacementID(i), dest.ID, uid+mail.UID(i), t.n, t.n
		dest.count(p.Flags, p.Size, 1)
		dest.follow(int64(p.UID), h.m.received)
		t.place(h.m, place{id: p.ID, mailbox: dest.ID, flags: p.Flags})
		placed[i] = held{p, h.m}
	}
	return placed
}

// vanish takes placements out of their mailbox and keeps them until the horizon.
func (t *tx) vanish(b *box, hs []held, why reason) error {
	if len(hs) == 0 {
		return nil
	}
	_, uids := uidsOf(hs)
	if err := t.c.later(keepPlacements, t.id, b.ID, t.n, why, uids); err != nil {
		return err
	}
	if err := t.c.later(deletePlacements, t.id, b.ID, uids); err != nil {
		return err
	}
	if err := t.uncountOwn(b, uids); err != nil {
		return err
	}
	t.touch(b)
	for _, h := range hs {
		b.count(h.Flags, h.Size, -1)
		t.displace(h.m, h.ID)
	}
	return nil
}

// Expunge implements store.Tx.
func (t *tx) Expunge(mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error) {
	b, err := t.box(mb)
	if err != nil {
		return nil, err
	}
	hs, err := t.load(mb, uids, func(p *mail.Placement) bool { return !onlyDeleted || p.Flags.Has(mail.Deleted) })
	if err != nil || len(hs) == 0 {
		return nil, err
	}
	if err := t.deletes(b, len(hs)); err != nil {
		return nil, err
	}
	if err := t.vanish(b, hs, expunged); err != nil {
		return nil, err
	}
	gone, _ := uidsOf(hs)
	t.add(mail.Entry{Op: mail.OpExpunge, Mailbox: mb, UIDs: gone})
	return gone, nil
}
