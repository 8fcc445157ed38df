package sqlstore

import (
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// peak is the last placement of a mailbox that came in the order of dates: none
// before it has a later one.
type peak struct {
	date int64
	uid  mail.UID // 0 is none yet
}

// bound is the least date that is in order.
func (p peak) bound() int64 {
	if p.uid == 0 {
		return math.MinInt64
	}
	return p.date
}

// follow notes a placement that is made and returns what it is behind: the last one
// in order, if its own date is before that one's; 0 if it is in order itself.
func (b *box) follow(uid mail.UID, received int64) (behind mail.UID) {
	if received < b.peak.bound() {
		return b.peak.uid
	}
	b.peak = peak{received, uid}
	return 0
}

// In these ?3 is a UID, or in the last the dates and the UID of what comes after.
const (
	selectDown   = "SELECT uid, received, behind FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid <= ?3 ORDER BY uid DESC"
	selectDown1  = selectDown + " LIMIT 1"
	selectAstray = `SELECT uid, received FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND behind > 0
	AND received >= ?3 AND (received, uid) < (?4, ?5) ORDER BY received DESC, uid DESC LIMIT ?6`
)

// dated is a placement in the order of dates, as it is stored.
type dated struct {
	date int64
	uid  mail.UID
}

func (d dated) before(e dated) bool { return d.date < e.date || d.date == e.date && d.uid < e.uid }

// ByDate implements store.Reader. Those in order are read from the last UID down,
// and those astray, which an index holds, are put between them.
func (r *reader) ByDate(q store.DateQuery) ([]mail.Dated, error) {
	mb, err := r.mailbox(q.Mailbox)
	if err != nil {
		return nil, err
	}
	if q.Limit < 1 {
		return nil, mail.Errorf(mail.Invalid, "a page holds at least one message")
	}
	before, since := dated{math.MaxInt64, math.MaxUint32}, stamp(q.Since)
	if !q.Before.IsZero() {
		before = dated{stamp(q.Before.Date), q.Before.UID}
	}
	var astray []dated
	err = r.c.query(selectAstray, func(row row) error {
		astray = append(astray, dated{row.num(1), mail.UID(row.num(0))})
		return nil
	}, r.id, q.Mailbox, since, before.date, before.uid, q.Limit)
	if err != nil {
		return nil, err
	}
	start, err := r.lastInOrder(q.Mailbox, mb.UIDNext, before)
	if err != nil {
		return nil, err
	}
	ordered, err := r.inOrder(q.Mailbox, start, since, q.Limit)
	return merged(ordered, astray, q.Limit), err
}

// merged puts two lists together, newest first.
func merged(a, b []dated, limit int) []mail.Dated {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b dated) int {
		switch {
		case b.before(a):
			return -1
		case a.before(b):
			return 1
		}
		return 0
	})
	all = all[:min(len(all), limit)]
	found := make([]mail.Dated, len(all))
	for i, d := range all {
		found[i] = mail.Dated{Date: unstamp(d.date), UID: d.uid}
	}
	return found
}

// orderedAt returns the last placement in order up to a UID; UID 0 if there is none.
func (r *reader) orderedAt(mb mail.MailboxID, uid mail.UID) (dated, error) {
	for uid > 0 {
		var d dated
		behind := mail.UID(0)
		found, err := one(r.c, selectDown1, func(row row) { d, behind = dated{row.num(1), mail.UID(row.num(0))}, mail.UID(row.num(2)) }, r.id, mb, uid)
		if err != nil || !found || behind == 0 {
			return d, err
		}
		uid = behind
	}
	return dated{}, nil
}

// lastInOrder returns the UID of the last placement in order that comes before, 0
// if there is none. Most often who asks stopped at the one after it; else it halves.
func (r *reader) lastInOrder(mb mail.MailboxID, next mail.UID, before dated) (mail.UID, error) {
	if before.date == math.MaxInt64 {
		return next - 1, nil
	}
	at, err := r.orderedAt(mb, min(before.uid, next-1))
	if err != nil {
		return 0, err
	}
	if at == before {
		return at.uid - 1, nil
	}
	low, high := mail.UID(1), next // before low all come before, from high on none does
	best := mail.UID(0)
	for low < high {
		mid := low + (high-low)/2
		at, err := r.orderedAt(mb, mid)
		switch {
		case err != nil:
			return 0, err
		case at.uid == 0:
			low = mid + 1
		case at.before(before):
			best, low = at.uid, mid+1
		default:
			high = at.uid
		}
	}
	return best, nil
}

// shortRun is how many placements astray are passed by one by one; more are leapt over.
const shortRun = 16

// inOrder reads placements in order from a UID down.
func (r *reader) inOrder(mb mail.MailboxID, from mail.UID, since int64, limit int) (found []dated, err error) {
	for from > 0 {
		leap := mail.UID(0)
		err = r.c.query(selectDown, func(row row) error {
			d, behind := dated{row.num(1), mail.UID(row.num(0))}, mail.UID(row.num(2))
			switch {
			case behind > 0 && d.uid-behind > shortRun:
				leap = behind
				return enough{}
			case behind > 0:
				return nil
			case d.date < since:
				return enough{}
			}
			if found = append(found, d); len(found) == limit {
				return enough{}
			}
			return nil
		}, r.id, mb, from)
		if err = ignoreEnough(err); err != nil || leap == 0 {
			return found, err
		}
		from = leap
	}
	return found, nil
}

// In these ?3 is a UID, a placement's id, or lines, and ?4 what left after it.
const (
	versionColumns  = placementColumns + ", m.internal_date"
	selectIDFrom    = "SELECT uid, placement_id FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid >= ?3 ORDER BY uid LIMIT 1"
	selectGoneFrom  = "SELECT uid, placement_id FROM vanished_placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid >= ?3 ORDER BY uid LIMIT 1"
	versionsThere   = "SELECT " + versionColumns + ", 0 FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2"
	versionsGone    = "SELECT " + versionColumns + ", p.vanished FROM vanished_placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2"
	selectFirst     = versionsThere + " AND p.uid = ?3 AND p.lineage = p.placement_id"
	selectFirstGone = versionsGone + " AND p.uid = ?3 AND p.vanished > ?4 AND p.lineage = p.placement_id"
	selectLater     = versionsThere + " AND abs(p.lineage) IN list(?3) AND p.lineage <> p.placement_id"
	selectLaterGone = versionsGone + " AND p.vanished > ?4 AND abs(p.lineage) IN list(?3) AND p.lineage <> p.placement_id"
)

// Versions implements store.Reader.
func (r *reader) Versions(q store.VersionQuery) ([]mail.Version, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	mb, err := r.mailbox(q.Mailbox)
	if err != nil {
		return nil, err
	}
	a, err := r.Account()
	if err != nil {
		return nil, err
	}
	if q.LeftAfter != 0 && q.LeftAfter < a.Horizon {
		return nil, tooOld()
	}
	lines := lineNumbers(q.Lines)
	if len(lines) == 0 {
		return nil, nil
	}
	var found []mail.Version
	ask := func(sql string, what any, more ...any) error {
		return r.c.query(sql, func(row row) error {
			var v mail.Version
			scanPlacement(row, &v.Placement)
			v.Date, v.Left = unstamp(row.num(12)), mail.ModSeq(row.num(13))
			found = append(found, v)
			return nil
		}, append([]any{r.id, q.Mailbox, what}, more...)...)
	}
	err = ask(selectLater, lines)
	if err == nil && q.LeftAfter != 0 {
		err = ask(selectLaterGone, lines, q.LeftAfter)
	}
	for _, line := range lines {
		if err == nil && !q.Later {
			err = r.beganLine(q, mb.UIDNext, line, ask)
		}
	}
	slices.SortFunc(found, mail.Version.Compare)
	return found, err
}

// lineNumbers are the numbers of lines, each once.
func lineNumbers(lines []mail.Lineage) ints {
	all := make(ints, len(lines))
	for i, l := range lines {
		all[i] = int64(l.Line())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// beganLine asks for the placement that began a line and still holds it, or held it
// when it left. The others that name the line are in an index.
func (r *reader) beganLine(q store.VersionQuery, next mail.UID, line int64, ask func(string, any, ...any) error) error {
	uid, err := r.uidOf(selectIDFrom, q.Mailbox, next, line)
	if err == nil && uid != 0 {
		return ask(selectFirst, uid)
	}
	if err != nil || q.LeftAfter == 0 {
		return err
	}
	if uid, err = r.uidOf(selectGoneFrom, q.Mailbox, next, line); err != nil || uid == 0 {
		return err
	}
	return ask(selectFirstGone, uid, q.LeftAfter)
}

// uidOf finds the UID of a placement by its id, 0 if it is not there. In a mailbox
// both grow together, so it halves.
func (r *reader) uidOf(sql string, mb mail.MailboxID, next mail.UID, id int64) (mail.UID, error) {
	low, high := mail.UID(1), next // before low all ids are less, from high on all are greater
	for low < high {
		mid := low + (high-low)/2
		uid, at := next, int64(math.MaxInt64)
		if _, err := one(r.c, sql, func(row row) { uid, at = mail.UID(row.num(0)), row.num(1) }, r.id, mb, mid); err != nil {
			return 0, err
		}
		switch {
		case at == id:
			return uid, nil
		case at < id:
			low = uid + 1
		default:
			high = mid
		}
	}
	return 0, nil
}
