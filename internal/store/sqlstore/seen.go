package sqlstore

import (
	"slices"

	"lockstep/internal/mail"
)

// shared is what a mailbox's row says of those it is shared with.
type shared struct {
	switched mail.ModSeq // when \Seen became common, or no longer was
	members  bool        // some have, or had, \Seen of their own
}

// member is by whom a mailbox is seen.
type member struct {
	id     mail.PrincipalID // 0 is the owner
	common bool             // \Seen is the owner's
	floor  mail.ModSeq      // everything changed then
}

func (r *reader) seenBy(mb *mailbox, as mail.PrincipalID) member {
	if as == 0 {
		return member{floor: r.restored}
	}
	return member{as, mb.CommonSeen, max(mb.switched, r.restored)}
}

// own says whether \Seen is the member's own.
func (m member) own() bool { return m.id != 0 && !m.common }

// key is whose rows of seen count: nobody's are under 0.
func (m member) key() mail.PrincipalID {
	if m.common {
		return 0
	}
	return m.id
}

// args are what a member's statement needs beyond the owner's.
func (m member) args() []any {
	if m.id == 0 {
		return nil
	}
	return []any{m.key()}
}

// show makes of a placement what the member sees; the row has its row of seen
// from a column on.
func (m member) show(p *mail.Placement, r row, from int) {
	var o ownSeen
	if m.id != 0 {
		o = ownSeen{r.num(from) != 0, mail.ModSeq(r.num(from + 1))}
	}
	m.apply(p, o)
}

// ownSeen is a row of seen.
type ownSeen struct {
	seen   bool
	modseq mail.ModSeq
}

func (m member) apply(p *mail.Placement, o ownSeen) {
	p.ModSeq = max(p.ModSeq, m.floor)
	if !m.own() {
		return
	}
	p.ModSeq = max(p.ModSeq, o.modseq)
	p.Flags.System &^= mail.Seen
	if o.seen {
		p.Flags.System |= mail.Seen
	}
}

const (
	seenJoin = ` LEFT JOIN seen s ON s.account_id = p.account_id AND s.mailbox_id = p.mailbox_id AND s.principal_id = ?5 AND s.uid = p.uid
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid`
	memberPlacements     = "SELECT " + placementColumns + ", s.seen, s.modseq FROM placement p" + seenJoin
	memberPlacementsBack = memberPlacements + " DESC"
	memberMessages       = "SELECT " + placementColumns + ", " + messageColumns + `, s.seen, s.modseq
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id` + seenJoin
	memberMessagesBack = memberMessages + " DESC"

	selectChangedOwn = "SELECT uid FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 AND modseq > ?4"
	selectOwn        = "SELECT uid, seen, modseq FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 AND uid BETWEEN ?4 AND ?5"
	selectMember     = "SELECT seen, modseq FROM member WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3"
)

// memberSQL has a member's statement for each of the owner's.
var memberSQL = map[string]string{selectPlacements: memberPlacements, selectPlacementsBack: memberPlacementsBack,
	selectMessages: memberMessages, selectMessagesBack: memberMessagesBack}

// memberFeed is placementFeed with ?8 the member and ?9 the modseq at which all
// changed for members. What changed is taken from three sides, each in order and
// no longer than the page: placements, the member's \Seen, and that modseq.
var memberFeed = feed{
	created: `SELECT x.placement_id, x.uid, x.uid, NULL, max(x.modseq, ?9, coalesce((SELECT s.modseq FROM seen s
	WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.uid = x.uid), 0)) FROM placement x
WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid > max(?5, (SELECT coalesce(max(y.uid), 0) FROM
	(SELECT y.uid FROM placement y WHERE ?4 = 0 AND y.account_id = ?1 AND y.mailbox_id = ?7 AND y.created <= ?2 ORDER BY y.uid DESC LIMIT 1) y))
AND x.created > ?2 AND x.created <= ?3
ORDER BY x.uid LIMIT ?6`,
	updated: `SELECT id, at, uid, NULL, at FROM (
SELECT * FROM (SELECT x.placement_id AS id, x.modseq AS at, x.uid AS uid FROM placement x
	WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= max(?4, ?9) AND (x.modseq > ?4 OR x.uid > ?5)
	AND x.created <= ?2 AND x.modseq > x.created AND NOT EXISTS (SELECT 1 FROM seen s
		WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.uid = x.uid AND s.modseq > x.modseq)
	ORDER BY x.modseq, x.uid LIMIT ?6) part1
UNION ALL
SELECT * FROM (SELECT x.placement_id AS id, s.modseq AS at, x.uid AS uid FROM seen s CROSS JOIN placement x
	WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.modseq > ?2 AND s.modseq <= ?3 AND s.modseq >= max(?4, ?9)
	AND (s.modseq > ?4 OR s.uid > ?5) AND x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid = s.uid AND x.created <= ?2 AND x.modseq < s.modseq
	ORDER BY s.modseq, s.uid LIMIT ?6) part2
UNION ALL
SELECT * FROM (SELECT x.placement_id AS id, CAST(?9 AS BIGINT) AS at, x.uid AS uid FROM placement x
	WHERE ?9 > ?2 AND ?9 <= ?3 AND ?9 >= ?4 AND x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid > CASE WHEN ?9 = ?4 THEN ?5 ELSE 0 END
	AND x.created <= ?2 AND x.modseq < ?9 AND NOT EXISTS (SELECT 1 FROM seen s
		WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.uid = x.uid AND s.modseq >= ?9)
	ORDER BY x.uid LIMIT ?6) part3) parts
ORDER BY at, uid LIMIT ?6`,
	destroyed: placementFeed.destroyed,
}

// feedArgs are the arguments of a phase of memberFeed.
func (m member) feedArgs(phase mail.ChangeOp, args []any) []any {
	if phase == mail.Destroyed {
		return args
	}
	return append(args, m.key(), m.floor)
}

// MailboxAs implements store.Reader.
func (r *reader) MailboxAs(id mail.MailboxID, as mail.PrincipalID) (mail.Mailbox, error) {
	if err := r.settled(); err != nil {
		return mail.Mailbox{}, err
	}
	mb, err := r.mailbox(id)
	if err != nil || as == 0 {
		return mb.Mailbox, err
	}
	var seen int64
	var own mail.ModSeq
	_, err = one(r.c, selectMember, func(row row) { seen, own = row.num(0), mail.ModSeq(row.num(1)) }, r.id, id, as)
	mb.HighestModSeq = max(mb.HighestModSeq, mb.switched, own)
	if !mb.CommonSeen {
		mb.Counts.Unseen = mb.Counts.Placements - seen
	}
	return mb.Mailbox, err
}

// ownRows are a member's rows of seen.
func (r *reader) ownRows(mb mail.MailboxID, as mail.PrincipalID, uids mail.UIDSet) (map[mail.UID]ownSeen, error) {
	rows := map[mail.UID]ownSeen{}
	first, last := span(uids)
	err := r.c.query(selectOwn, func(row row) error {
		if u := mail.UID(row.num(0)); uids.Contains(u) {
			rows[u] = ownSeen{row.num(1) != 0, mail.ModSeq(row.num(2))}
		}
		return nil
	}, r.id, mb, as, first, last)
	return rows, err
}

// OwnSeen implements store.Reader.
func (r *reader) OwnSeen(mb mail.MailboxID, as mail.PrincipalID, uids mail.UIDSet) (mail.UIDSet, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	rows, err := r.ownRows(mb, as, uids)
	var seen []mail.UID
	for uid, o := range rows {
		if o.seen {
			seen = append(seen, uid)
		}
	}
	return mail.MakeUIDSet(seen...), err
}

// ownFlags are the placements of a mailbox as somebody sees them.
type ownFlags struct {
	member
	rows map[mail.UID]ownSeen
}

func (t *tx) ownFlags(b *box, as mail.PrincipalID, uids mail.UIDSet) (o ownFlags, err error) {
	o.member = t.reader.seenBy(&b.mailbox, as)
	if o.own() && len(uids) > 0 {
		o.rows, err = t.ownRows(b.ID, as, uids)
	}
	return o, err
}

func (o ownFlags) show(p *mail.Placement) { o.apply(p, o.rows[p.UID]) }

// storeOwnOf changes the member's own \Seen of what is to be changed, and returns
// those of which something else changes too.
func (t *tx) storeOwnOf(b *box, hs []held, mine ownFlags, change mail.FlagChange) ([]held, error) {
	var read, unread ints
	var rest []held
	for _, h := range hs {
		p := h.Placement
		mine.show(&p)
		switch is := change.Apply(p.Flags).Has(mail.Seen); {
		case is == p.Flags.Has(mail.Seen):
		case is:
			read = append(read, int64(h.UID))
		default:
			unread = append(unread, int64(h.UID))
		}
		if withoutSeen(change).Apply(h.Flags) != h.Flags {
			rest = append(rest, h)
		}
	}
	if err := t.storeOwn(b, mine.id, read, true); err != nil {
		return nil, err
	}
	return rest, t.storeOwn(b, mine.id, unread, false)
}

// withoutSeen is the part of a change that is common to all.
func withoutSeen(c mail.FlagChange) mail.FlagChange {
	c.Add.System &^= mail.Seen
	c.Remove.System &^= mail.Seen
	if c.Replace {
		c.Keep |= mail.Seen
	}
	return c
}

const (
	upsertOwn = `INSERT INTO seen (account_id, mailbox_id, principal_id, uid, seen, modseq) SELECT ?1, ?2, ?3, value, ?4, ?5 FROM list(?6) AS l WHERE 1 = 1
	ON CONFLICT (account_id, mailbox_id, principal_id, uid) DO UPDATE SET seen = excluded.seen, modseq = excluded.modseq`
	updateMember = "UPDATE member SET seen = seen + ?4, modseq = max(modseq, ?5) WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3"
	insertMember = "INSERT INTO member (account_id, mailbox_id, principal_id, seen, modseq) VALUES (?1, ?2, ?3, ?4, ?5)"
	selectSeenBy = `SELECT s.principal_id, s.uid FROM member m CROSS JOIN seen s
	WHERE m.account_id = ?1 AND m.mailbox_id = ?2 AND s.account_id = ?1 AND s.mailbox_id = ?2 AND s.principal_id = m.principal_id
	AND s.uid IN list(?3) AND s.seen = 1 ORDER BY s.principal_id, s.uid`
)

// storeOwn changes a member's \Seen where it was otherwise, and writes that down.
func (t *tx) storeOwn(b *box, who mail.PrincipalID, uids ints, seen bool) error {
	if len(uids) == 0 {
		return nil
	}
	if err := t.setOwn(b, who, uids, seen); err != nil {
		return err
	}
	e := mail.Entry{Op: mail.OpFlags, Mailbox: b.ID, Who: who, Added: []string{`\Seen`}}
	if !seen {
		e.Added, e.Removed = nil, e.Added
	}
	for _, uid := range uids {
		e.UIDs.Add(mail.UID(uid))
	}
	t.add(e)
	return nil
}

// setOwn writes rows of seen and counts them.
func (t *tx) setOwn(b *box, who mail.PrincipalID, uids ints, seen bool) error {
	if err := t.c.later(upsertOwn, t.id, b.ID, who, seen, t.n, uids); err != nil {
		return err
	}
	b.members = true
	t.touched[b.ID] = true
	by := int64(len(uids))
	if !seen {
		by = -by
	}
	n, err := t.c.exec(updateMember, t.id, b.ID, who, by, t.n)
	if err != nil || n > 0 {
		return err
	}
	if err := t.c.later(insertMember, t.id, b.ID, who, by, t.n); err != nil {
		return err
	}
	err = t.c.later(traceShare, who, t.id)
	return err
}

// seenBy returns which of uids each member has read.
func (t *tx) seenBy(b *box, uids ints) (who []mail.PrincipalID, read map[mail.PrincipalID]ints, err error) {
	if !b.members {
		return nil, nil, nil
	}
	read = map[mail.PrincipalID]ints{}
	err = t.c.query(selectSeenBy, func(r row) error {
		p := mail.PrincipalID(r.num(0))
		if read[p] == nil {
			who = append(who, p)
		}
		read[p] = append(read[p], r.num(1))
		return nil
	}, t.id, b.ID, uids)
	return who, read, err
}

// uncountOwn takes placements that leave out of what members have read of a
// mailbox.
func (t *tx) uncountOwn(b *box, uids ints) error {
	who, read, err := t.seenBy(b, uids)
	for _, p := range who {
		if err == nil {
			err = t.c.later(updateMember, t.id, b.ID, p, -int64(len(read[p])), 0)
		}
	}
	return err
}

// copyOwn gives copies each member's \Seen of what they were made from.
func (t *tx) copyOwn(source *box, hs []held, dest *box, placed []held) error {
	_, uids := uidsOf(hs)
	who, read, err := t.seenBy(source, uids)
	for _, p := range who {
		var copies ints
		for i, h := range hs {
			if slices.Contains(read[p], int64(h.UID)) {
				copies = append(copies, int64(placed[i].UID))
			}
		}
		if err == nil {
			err = t.setOwn(dest, p, copies, true)
		}
	}
	return err
}

// ownBack gives a member's \Seen back.
func (u *undo) ownBack(all []found, who mail.PrincipalID, seen bool) error {
	for _, f := range all {
		if f.at == nil {
			u.left("a message whose flags were changed is no longer there")
			continue
		}
		rows, err := u.ownRows(f.at.Mailbox, who, mail.MakeUIDSet(f.at.UID))
		if err != nil {
			return err
		}
		if rows[f.at.UID].seen == seen {
			u.left("flags of a message were changed since")
			continue
		}
		b, err := u.box(f.at.Mailbox)
		if err == nil {
			err = u.storeOwn(b, who, ints{int64(f.at.UID)}, seen)
		}
		if err != nil {
			return err
		}
		u.report.Undone++
	}
	return nil
}

const (
	deleteOwn    = "DELETE FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 AND uid IN (SELECT uid FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 LIMIT ?4)"
	deleteMember = "DELETE FROM member WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3"
	selectReads  = "SELECT mailbox_id FROM member WHERE account_id = ?1 AND principal_id = ?2 LIMIT 1"
)

// forgetOwn forgets a chunk of what a member had read, and says whether there is
// more.
func forgetOwn(c conn, owner mail.AccountID, who mail.PrincipalID) (more bool, err error) {
	var mb mail.MailboxID
	if more, err = one(c, selectReads, func(r row) { mb = mail.MailboxID(r.num(0)) }, owner, who); err != nil || !more {
		return false, err
	}
	n, err := c.exec(deleteOwn, owner, mb, who, removeChunk)
	if err == nil && n < removeChunk {
		err = c.later(deleteMember, owner, mb, who)
	}
	return true, err
}
