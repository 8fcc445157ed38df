package sqlstore

import (
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// held is a placement that is about to change, and its message.
type held struct {
	mail.Placement
	m *message
}

// place returns what the transaction knows of the placement.
func (h *held) place() *place {
	i := slices.IndexFunc(h.m.places, func(p place) bool { return p.id == h.ID })
	return &h.m.places[i]
}

// uidsOf returns the UIDs of placements in the order of the list.
func uidsOf(hs []held) (set mail.UIDSet, list ints) {
	list = make(ints, len(hs))
	for i, h := range hs {
		set.Add(h.UID)
		list[i] = int64(h.UID)
	}
	return set, list
}

const heldColumns = placementColumns + ", m.thread_id, m.created, m.modseq, m.visible, m.placements, m.left_modseq, m.internal_date"

const (
	selectHeld = "SELECT " + heldColumns + ` FROM placement p CROSS JOIN message m
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4
	AND m.account_id = p.account_id AND m.message_key = p.message_key ORDER BY p.uid`
	selectDepartedHeld = "SELECT " + heldColumns + ` FROM vanished_placement p CROSS JOIN message m
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4
	AND m.account_id = p.account_id AND m.message_key = p.message_key AND m.content_id > 0 ORDER BY p.uid`
	selectPlacesOf = `SELECT message_key, placement_id, mailbox_id, system, keywords FROM placement WHERE account_id = ?1 AND elsewhere = 1 AND message_key IN list(?2)
	UNION ALL SELECT p.message_key, p.placement_id, p.mailbox_id, p.system, p.keywords FROM message m CROSS JOIN placement p
	WHERE m.account_id = ?1 AND m.message_key IN list(?2) AND ` + atHome
	// atHome says that placement p is the one where message m came in.
	atHome = "p.account_id = m.account_id AND p.mailbox_id = m.home_mailbox AND p.uid = m.home_uid AND p.message_key = m.message_key AND p.elsewhere = 0"
)

// load returns those of uids that are in the mailbox and wanted, and brings
// their messages into the transaction, so that what changes of them is seen.
func (t *tx) load(mb mail.MailboxID, uids mail.UIDSet, want func(*mail.Placement) bool) ([]held, error) {
	return t.loadFrom(selectHeld, mb, uids, want)
}

func (t *tx) loadFrom(sql string, mb mail.MailboxID, uids mail.UIDSet, want func(*mail.Placement) bool) ([]held, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	if t.unborn > 0 {
		if err := t.settleAll(); err != nil {
			return nil, err
		}
	}
	var found []held
	var fresh, elsewhere []*message
	err := t.ranges(store.PlacementQuery{Mailbox: mb}, sql, uids, func(r row) error {
		var p mail.Placement
		scanPlacement(r, &p)
		if !uids.Contains(p.UID) || !want(&p) {
			return nil
		}
		m := t.messages[p.Message]
		if m == nil {
			m = scanHeld(r, &p)
			t.messages[p.Message] = m
			fresh = append(fresh, m)
			switch {
			case m.stored.placements == 1 && sql == selectHeld: // this one
				m.places = []place{{p.ID, p.Mailbox, p.Flags}}
			case m.stored.placements > 0:
				elsewhere = append(elsewhere, m)
			}
		}
		found = append(found, held{p, m})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.loadPlaces(elsewhere); err != nil {
		return nil, err
	}
	for _, m := range fresh {
		sortPlaces(m.places)
		m.was = viewOf(m.places)
		m.counts = m.was
	}
	return found, nil
}

func scanHeld(r row, p *mail.Placement) *message {
	rw := messageRow{mail.ModSeq(r.num(13)), mail.ModSeq(r.num(14)), r.num(15) != 0, int(r.num(16)), mail.ModSeq(r.num(17))}
	return &message{key: p.Message, thread: mail.ThreadID(r.num(12)), size: p.Size, received: r.num(18), begin: rw, stored: rw}
}

// loadPlaces fills in where messages are that lie in several places.
func (t *tx) loadPlaces(ms []*message) error {
	if len(ms) == 0 {
		return nil
	}
	keys := make(ints, len(ms))
	for i, m := range ms {
		keys[i] = int64(m.key)
	}
	return t.c.query(selectPlacesOf, func(r row) error {
		m := t.messages[mail.MessageKey(r.num(0))]
		m.places = append(m.places, place{mail.PlacementID(r.num(1)), mail.MailboxID(r.num(2)),
			mail.StoredFlags(mail.SystemFlags(r.num(3)), r.text(4))})
		return nil
	}, t.id, keys)
}

// count adds sign times a placement to the counters of its mailbox that IMAP
// shows.
func (b *box) count(flags mail.Flags, size int64, sign int64) {
	b.Counts.Placements += sign
	b.Counts.Size += sign * size
	b.countFlags(flags, sign)
}

func (b *box) countFlags(flags mail.Flags, sign int64) {
	if !flags.Has(mail.Seen) {
		b.Counts.Unseen += sign
	}
	if flags.Has(mail.Deleted) {
		b.Counts.Deleted += sign
	}
}

// takeUIDs draws n UIDs of the mailbox and returns the first.
func (b *box) takeUIDs(n int) (mail.UID, error) {
	first := b.UIDNext
	if uint64(first)+uint64(n) > 1<<32-1 {
		return 0, mail.Errorf(mail.Limit, "mailbox %s has no UIDs left", b.Name)
	}
	b.UIDNext += mail.UID(n)
	return first, nil
}
