package sqlstore

import (
	"cmp"
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const placementColumns = `p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size`

func scanPlacement(r row, p *mail.Placement) {
	*p = mail.Placement{
		Mailbox: mail.MailboxID(r.num(0)), UID: mail.UID(r.num(1)), ID: mail.PlacementID(r.num(2)), Message: mail.MessageKey(r.num(3)),
		Lineage: mail.Lineage(r.num(4)), Flags: mail.StoredFlags(mail.SystemFlags(r.num(5)), r.text(6)), SaveDate: unstamp(r.num(7)),
		Created: mail.ModSeq(r.num(8)), ModSeq: mail.ModSeq(r.num(9)), ChangedBy: mail.DeviceID(r.num(10)), Size: r.num(11),
	}
}

const messageColumns = `m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview`

func scanMessage(r row, from int, m *mail.Message) {
	*m = mail.Message{
		Key: mail.MessageKey(r.num(from)), EmailID: mail.EmailID(r.bytes(from + 1)), Thread: mail.ThreadID(r.num(from + 2)),
		Size: r.num(from + 3), InternalDate: unstampIn(r.num(from+4), r.num(from+5)), Created: mail.ModSeq(r.num(from + 6)), ModSeq: mail.ModSeq(r.num(from + 7)),
		Blob:   mail.Blob{Name: mail.BlobName(r.bytes(from + 8))},
		SentAt: unstamp(r.num(from + 9)), MessageID: r.text(from + 10), Parsed: r.bytes(from + 11), Preview: r.text(from + 12),
	}
	m.Blob.Size = m.Size
}

// shownColumns have the UID where those of placements have it.
const shownColumns = "p.message_key, p.uid, p.save_date, p.size, c.blob, c.parsed"

func scanShown(r row, p *mail.Placement, m *mail.Message) {
	*p = mail.Placement{Message: mail.MessageKey(r.num(0)), UID: mail.UID(r.num(1)), SaveDate: unstamp(r.num(2)), Size: r.num(3)}
	*m = mail.Message{Key: p.Message, Size: p.Size, Blob: mail.Blob{Name: mail.BlobName(r.bytes(4)), Size: p.Size}, Parsed: r.bytes(5)}
}

const (
	placementsFrom = " FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4"
	messagesFrom   = ` FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4`

	shownFrom = ` FROM placement p JOIN content c ON c.account_id = p.account_id AND c.content_id = p.content_id
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4`

	selectPlacements     = "SELECT " + placementColumns + placementsFrom + " ORDER BY p.uid"
	selectPlacementsBack = selectPlacements + " DESC"
	selectMessages       = "SELECT " + placementColumns + ", " + messageColumns + messagesFrom + " ORDER BY p.uid"
	selectMessagesBack   = selectMessages + " DESC"
	selectShown          = "SELECT " + shownColumns + shownFrom + " ORDER BY p.uid"
	selectShownBack      = selectShown + " DESC"
	// What changed since it came is in the index; what came since has the last UIDs.
	selectChangedUIDs = `SELECT uid FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND modseq > ?3 AND modseq > created UNION ALL
	SELECT p.uid FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid > (SELECT coalesce(max(y.uid), 0) FROM
	(SELECT y.uid FROM placement y WHERE y.account_id = ?1 AND y.mailbox_id = ?2 AND y.created <= ?3 ORDER BY y.uid DESC LIMIT 1) y) AND p.modseq = p.created`
	selectSomePlacements = "SELECT " + placementColumns + " FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid IN list(?3) ORDER BY p.uid"
	selectPlacementsOf   = "SELECT " + placementColumns + " FROM placement p WHERE p.account_id = ?1 AND p.elsewhere = 1 AND p.message_key = ?2" +
		" UNION ALL SELECT " + placementColumns + " FROM message m CROSS JOIN placement p WHERE m.account_id = ?1 AND m.message_key = ?2 AND " + atHome
	selectMessage          = "SELECT " + messageColumns + " FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id WHERE m.account_id = ?1 AND m.message_key = ?2"
	selectMessageWithID    = selectMessage + " AND m.email_id = ?3 AND m.visible = 1"
	selectMessageByEmailID = "SELECT " + messageColumns + " FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id WHERE m.account_id = ?1 AND m.email_id = ?2 AND m.named = 1 AND m.visible = 1 ORDER BY m.message_key LIMIT 1"
	// The message that has a name is one whose key the name says, or in the index.
	selectEmailAt = "SELECT 1 FROM message m WHERE m.account_id = ?1 AND m.email_id = ?2 AND m.message_key = ?5 AND " + wasVisible +
		" UNION ALL SELECT 1 FROM message m WHERE m.account_id = ?1 AND m.email_id = ?2 AND m.named = 1 AND " + wasVisible + " LIMIT 1"
	wasVisible = `(m.visible = 1 AND m.created <= ?3
	OR EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?4 AND v.id = m.message_key AND v.modseq > ?3 AND v.created <= ?3))`
	selectThread = `SELECT message_key FROM (SELECT message_key, internal_date FROM message WHERE account_id = ?1 AND message_key = ?2 - 1 AND thread_id = ?2 AND visible = 1
	UNION ALL SELECT message_key, internal_date FROM message WHERE account_id = ?1 AND thread_id = ?2 AND thread_id <> message_key + 1 AND visible = 1) m ORDER BY internal_date, message_key`
	selectVanishedUIDs = "SELECT uid FROM vanished_placement WHERE account_id = ?1 AND mailbox_id = ?2 AND vanished > ?3 ORDER BY uid"
	selectDeparted     = "SELECT " + placementColumns + " FROM vanished_placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid = ?3"
	selectPlacement    = "SELECT " + placementColumns + " FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid = ?3"
)

// span is the smallest range that holds the set; nil is everything.
func span(uids mail.UIDSet) (first, last mail.UID) {
	if uids == nil {
		return 1, math.MaxUint32
	}
	if len(uids) == 0 {
		return 1, 0
	}
	return uids[0].First, uids[len(uids)-1].Last
}

// enough stops a query whose limit is reached.
type enough struct{}

func (enough) Error() string { return "enough" }

func (r *reader) Placements(q store.PlacementQuery, fn func(*mail.Placement) error) error {
	sql := selectPlacements
	if q.Backwards {
		sql = selectPlacementsBack
	}
	if q.As != 0 {
		sql = memberSQL[sql]
	}
	var p mail.Placement
	return r.scan(q, sql, func(row row, m member) (func() error, error) {
		scanPlacement(row, &p)
		m.show(&p, row, 12)
		if !r.held {
			return nil, fn(&p)
		}
		kept := p
		return func() error { return fn(&kept) }, nil
	})
}

func (r *reader) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	sql, back := selectMessages, selectMessagesBack
	shown := q.Shown && q.As == 0 // a member's flags are read with the rest
	if shown {
		sql, back = selectShown, selectShownBack
	}
	if q.Backwards {
		sql = back
	}
	if q.As != 0 {
		sql = memberSQL[sql]
	}
	return r.scan(q, sql, func(row row, as member) (func() error, error) {
		var p mail.Placement
		var m mail.Message
		if shown {
			scanShown(row, &p, &m)
		} else {
			scanPlacement(row, &p)
			as.show(&p, row, 25)
			scanMessage(row, 12, &m)
		}
		if q.Located {
			if err := locate(r.c, &m.Blob); err != nil {
				return nil, err
			}
		}
		if !r.held {
			return nil, fn(&p, &m)
		}
		return func() error { return fn(&p, &m) }, nil
	})
}

// scan runs a query over placements. each gives what is to be done with a row,
// at once or, where rows are held, afterwards.
func (r *reader) scan(q store.PlacementQuery, sql string, each func(row, member) (func() error, error)) error {
	if err := r.settled(); err != nil {
		return err
	}
	mb, err := r.mailbox(q.Mailbox)
	if err != nil {
		return err
	}
	m := r.seenBy(&mb, q.As)
	uids := q.UIDs
	if q.ChangedSince > 0 && m.floor <= q.ChangedSince {
		changed, err := r.changedUIDs(q, m)
		if err != nil {
			return err
		}
		uids = changed
	}
	var later []func() error
	n := 0
	visit := func(row row) error {
		if uids != nil && !uids.Contains(mail.UID(row.num(1))) {
			return nil
		}
		do, err := each(row, m)
		if do != nil {
			later = append(later, do)
		}
		if n++; err == nil && q.Limit > 0 && n == q.Limit {
			return enough{}
		}
		return err
	}
	if err := r.ranges(q, sql, uids, visit, m.args()...); err != nil && err != error(enough{}) {
		return err
	}
	for _, do := range later {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// So many ranges of a UID set are asked for one by one. Of more that is done only
// where they are thin: where reading all that lies between them, to pick from it,
// is more work than so many rows for each.
const (
	manyRanges = 32
	thinRanges = 16
)

// isThick reports whether a set is to be asked for as one span.
func isThick(uids mail.UIDSet) bool {
	if len(uids) <= manyRanges {
		return uids == nil
	}
	first, last := span(uids)
	return uint64(last-first) < uint64(len(uids))*thinRanges
}

func (r *reader) ranges(q store.PlacementQuery, sql string, uids mail.UIDSet, visit func(row) error, more ...any) error {
	in := func(first, last mail.UID) error {
		args := append([]any{r.id, q.Mailbox, first, last}, more...)
		switch {
		case q.Limit <= 0:
			return r.c.query(sql, visit, args...)
		case q.Backwards:
			return pages{sql: sql, args: args, from: 3, key: 1, step: -1, want: q.Limit}.each(r.c, visit)
		}
		return pages{sql: sql, args: args, from: 2, key: 1, step: 1, want: q.Limit}.each(r.c, visit)
	}
	if isThick(uids) {
		return in(span(uids))
	}
	asked := slices.Clone(uids)
	if q.Backwards {
		slices.Reverse(asked)
	}
	for _, u := range asked {
		if err := in(u.First, u.Last); err != nil {
			return err
		}
	}
	return nil
}

// changedUIDs returns those of q's UIDs that changed, by the index.
func (r *reader) changedUIDs(q store.PlacementQuery, m member) (mail.UIDSet, error) {
	var changed []mail.UID
	note := func(row row) error {
		if u := mail.UID(row.num(0)); q.UIDs == nil || q.UIDs.Contains(u) {
			changed = append(changed, u)
		}
		return nil
	}
	err := r.c.query(selectChangedUIDs, note, r.id, q.Mailbox, q.ChangedSince)
	if err == nil && m.own() {
		err = r.c.query(selectChangedOwn, note, r.id, q.Mailbox, m.id, q.ChangedSince)
	}
	slices.Sort(changed)
	set := mail.MakeUIDSet(changed...)
	if set == nil {
		set = mail.UIDSet{}
	}
	return set, err
}

func noMessage() error { return mail.Errorf(mail.NotFound, "no such message") }

func (r *reader) messageWhere(sql string, args ...any) (mail.Message, error) {
	var m mail.Message
	if err := r.settled(); err != nil {
		return m, err
	}
	found, err := one(r.c, sql, func(row row) { scanMessage(row, 0, &m) }, slices.Concat([]any{r.id}, args)...)
	if err == nil && !found {
		err = noMessage()
	}
	if err == nil {
		err = locate(r.c, &m.Blob)
	}
	return m, err
}

func (r *reader) Message(key mail.MessageKey) (mail.Message, error) {
	return r.messageWhere(selectMessage, key)
}

func (r *reader) MessageByEmailID(id mail.EmailID) (mail.Message, error) {
	m, err := r.messageWhere(selectMessageWithID, keyOf(id), id)
	if mail.KindOf(err) != mail.NotFound {
		return m, err
	}
	return r.messageWhere(selectMessageByEmailID, id)
}

func (r *reader) EmailAt(id mail.EmailID, n mail.ModSeq) (bool, error) {
	if err := r.settled(); err != nil {
		return false, err
	}
	return one(r.c, selectEmailAt, func(row) {}, r.id, id, n, mail.TypeEmail, keyOf(id))
}

func (r *reader) PlacementsOf(key mail.MessageKey) ([]mail.Placement, error) {
	var ps []mail.Placement
	err := r.c.query(selectPlacementsOf, func(row row) error {
		ps = append(ps, mail.Placement{})
		scanPlacement(row, &ps[len(ps)-1])
		r.atLeast(&ps[len(ps)-1])
		return nil
	}, r.id, key)
	slices.SortFunc(ps, func(a, b mail.Placement) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.UID, b.UID))
	})
	return ps, err
}

func (r *reader) Thread(id mail.ThreadID) ([]mail.MessageKey, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	var keys []mail.MessageKey
	err := r.c.query(selectThread, func(row row) error {
		keys = append(keys, mail.MessageKey(row.num(0)))
		return nil
	}, r.id, id)
	if err == nil && keys == nil {
		err = noThread()
	}
	return keys, err
}

func noThread() error { return mail.Errorf(mail.NotFound, "no such thread") }

func tooOld() error { return mail.Errorf(mail.TooOld, "history does not reach back that far") }

func (r *reader) Vanished(mb mail.MailboxID, since mail.ModSeq) (mail.UIDSet, error) {
	if _, err := r.mailbox(mb); err != nil {
		return nil, err
	}
	a, err := r.Account()
	if err != nil {
		return nil, err
	}
	if since < a.Exact() {
		return nil, tooOld()
	}
	var uids mail.UIDSet
	err = r.c.query(selectVanishedUIDs, func(row row) error {
		uids.Add(mail.UID(row.num(0)))
		return nil
	}, r.id, mb, since)
	return uids, err
}

func (r *reader) Departed(mb mail.MailboxID, uid mail.UID) (mail.Placement, error) {
	return r.placementWhere(selectDeparted, mb, uid)
}

func (r *reader) placementWhere(sql string, mb mail.MailboxID, uid mail.UID) (mail.Placement, error) {
	var p mail.Placement
	found, err := one(r.c, sql, func(row row) { scanPlacement(row, &p); r.atLeast(&p) }, r.id, mb, uid)
	if err == nil && !found {
		err = noMessage()
	}
	return p, err
}
