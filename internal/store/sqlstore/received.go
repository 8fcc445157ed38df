package sqlstore

import (
	"cmp"
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// peak is the last of those that came in the order of dates: none before it has a
// later one. Of a mailbox its number is a UID, of an account a message's key.
type peak struct {
	date   int64
	number int64 // 0 is none yet
}

// bound is the least date that is in order.
func (p peak) bound() int64 {
	if p.number == 0 {
		return math.MinInt64
	}
	return p.date
}

// follow notes what is made and returns what it is behind: the last one in order, if
// its own date is before that one's; 0 if it is in order itself.
func (p *peak) follow(number, received int64) (behind int64) {
	if received < p.bound() {
		return p.number
	}
	*p = peak{received, number}
	return 0
}

// In these the last parameter is a number, or the least date, what comes after it,
// and how many there are to be.
const (
	selectDown   = "SELECT uid, received, behind, 1 FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid <= ?3 ORDER BY uid DESC"
	selectAstray = `SELECT uid, received FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND behind > 0
	AND received >= ?3 AND (received, uid) < (?4, ?5) ORDER BY received DESC, uid DESC LIMIT ?6`
)

// dated is a message in the order of dates, by its number there.
type dated struct{ date, number int64 }

func (d dated) before(e dated) bool { return d.compare(e) < 0 }

func (d dated) compare(e dated) int {
	return cmp.Or(cmp.Compare(d.date, e.date), cmp.Compare(d.number, e.number))
}

// newest comes after all.
var newest = dated{math.MaxInt64, math.MaxInt64}

// dateOrder is the order of dates of a mailbox, or of an account. Those in order are
// read from the last number down, and those astray, which an index holds, are put
// between them.
type dateOrder struct {
	c            conn
	down, astray string
	of           []any // what is ordered
	next         int64 // the first number that nobody has
}

func (o dateOrder) with(args ...any) []any { return append(slices.Clip(o.of), args...) }

// page returns up to limit before a place, newest first and not older than since.
func (o dateOrder) page(before dated, since int64, limit int) ([]dated, error) {
	var astray []dated
	err := o.c.query(o.astray, func(row row) error {
		astray = append(astray, dated{row.num(1), row.num(0)})
		return nil
	}, o.with(since, before.date, before.number, limit)...)
	if err != nil {
		return nil, err
	}
	start, err := o.lastInOrder(before)
	if err != nil {
		return nil, err
	}
	all, err := o.inOrder(start, since, limit)
	all = append(all, astray...)
	slices.SortFunc(all, func(a, b dated) int { return b.compare(a) })
	return all[:min(len(all), limit)], err
}

// orderedAt returns the last in order up to a number; number 0 if there is none.
func (o dateOrder) orderedAt(number int64) (dated, error) {
	for number > 0 {
		var d dated
		behind := int64(0)
		err := o.c.query(o.down+" LIMIT 1", func(row row) error {
			d, behind = dated{row.num(1), row.num(0)}, row.num(2)
			return nil
		}, o.with(number)...)
		if err != nil || behind == 0 {
			return d, err
		}
		number = behind
	}
	return dated{}, nil
}

// lastInOrder returns the number of the last in order that comes before, 0 if there
// is none. Most often who asks stopped at the one after it; else it halves.
func (o dateOrder) lastInOrder(before dated) (int64, error) {
	if before == newest {
		return o.next - 1, nil
	}
	at, err := o.orderedAt(min(before.number, o.next-1))
	if err != nil {
		return 0, err
	}
	if at == before {
		return at.number - 1, nil
	}
	low, high := int64(1), o.next // before low all come before, from high on none does
	best := int64(0)
	for low < high {
		mid := low + (high-low)/2
		at, err := o.orderedAt(mid)
		switch {
		case err != nil:
			return 0, err
		case at.number == 0:
			low = mid + 1
		case at.before(before):
			best, low = at.number, mid+1
		default:
			high = at.number
		}
	}
	return best, nil
}

// shortRun is how many that are astray are passed by one by one; more are leapt over.
const shortRun = 16

// inOrder reads those in order from a number down.
func (o dateOrder) inOrder(from, since int64, limit int) (found []dated, err error) {
	for from > 0 {
		leap := int64(0)
		down := pages{sql: o.down, args: o.with(from), from: len(o.of), key: 0, step: -1, want: limit - len(found)}
		err = down.each(o.c, func(row row) error {
			d, behind, shown := dated{row.num(1), row.num(0)}, row.num(2), row.num(3) != 0
			switch {
			case behind > 0 && d.number-behind > shortRun:
				leap = behind
				return enough{}
			case behind > 0:
				return nil
			case d.date < since:
				return enough{}
			case !shown:
				return nil
			}
			if found = append(found, d); len(found) == limit {
				return enough{}
			}
			return nil
		})
		if err = ignoreEnough(err); err != nil || leap == 0 {
			return found, err
		}
		from = leap
	}
	return found, nil
}

// ByDate implements store.Reader.
func (r *reader) ByDate(q store.DateQuery) ([]mail.Dated, error) {
	mb, err := r.mailbox(q.Mailbox)
	if err != nil {
		return nil, err
	}
	if q.Limit < 1 {
		return nil, mail.Errorf(mail.Invalid, "a page holds at least one message")
	}
	before := newest
	if !q.Before.IsZero() {
		before = dated{stamp(q.Before.Date), int64(q.Before.UID)}
	}
	o := dateOrder{r.c, selectDown, selectAstray, []any{r.id, q.Mailbox}, int64(mb.UIDNext)}
	page, err := o.page(before, stamp(q.Since), q.Limit)
	found := make([]mail.Dated, len(page))
	for i, d := range page {
		found[i] = mail.Dated{Date: unstamp(d.date), UID: mail.UID(d.number)}
	}
	return found, err
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
	if q.LeftAfter != 0 && q.LeftAfter < a.Exact() {
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
			r.atLeast(&v.Placement)
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
