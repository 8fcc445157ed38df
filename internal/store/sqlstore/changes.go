package sqlstore

import (
	"cmp"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// feed says where the objects of one type are found. The statements of a delta
// are made from it.
type feed struct {
	created, updated, destroyed string
	// Of a type whose rows are made in the order of their ids, created gives only
	// what became visible later. born gives the others, between two ids (?8 and ?9),
	// and those two are found by next: the first row from an id on, and when it was made.
	born, next string
}

// In a delta's statements ?1 is the account, ?2 since, ?3 the target, ?4 and ?5
// where the last page stopped, ?6 how many rows are wanted, ?7 the mailbox or
// the type. Columns: id, the modseq of the order, uid, email id, the change's modseq.
//
// Known(x) is: x had been there at since and left after it, and so is no news to
// whoever stood there.
const objectFeed = `
CREATED
SELECT x.ID, x.created, 0, EMAIL, x.modseq FROM TABLE x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.ID > ?5) AND LIVE AND LATE
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.ID AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.created, x.ID LIMIT ?6
BORN
SELECT x.ID, x.created, 0, EMAIL, x.modseq FROM TABLE x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.ID > ?5) AND LIVE AND x.created = x.born
AND x.ID >= ?8 AND x.ID < ?9
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.ID AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.ID LIMIT ?6
NEXT
SELECT x.ID, x.born FROM TABLE x WHERE x.account_id = ?1 AND x.ID >= ?2 ORDER BY x.ID LIMIT 1
UPDATED
SELECT x.ID, x.modseq, 0, EMAIL, x.modseq FROM TABLE x
WHERE x.account_id = ?1 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.ID > ?5) AND LIVE AND CHANGED
AND (x.created <= ?2 OR EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.ID AND v.modseq > ?2 AND v.created <= ?2))
ORDER BY x.modseq, x.ID LIMIT ?6
DESTROYED
SELECT v.id, v.modseq, 0, GONEEMAIL, v.modseq FROM vanished v
WHERE v.account_id = ?1 AND v.type = ?7 AND v.modseq > ?2 AND v.modseq <= ?3 AND v.modseq >= ?4 AND (v.modseq > ?4 OR v.id > ?5)
AND (v.created <= ?2 OR EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?2 AND w.created <= ?2))
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > v.modseq AND w.modseq <= ?3)
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?3 AND w.created <= ?3)
AND NOT EXISTS (SELECT 1 FROM TABLE x WHERE x.account_id = ?1 AND x.ID = v.id AND x.created <= ?3 AND LIVE)
ORDER BY v.modseq, v.id LIMIT ?6`

// Placements never come back under the same id, and their UIDs grow as they are
// created, so UIDs take the place of ids and the created are found from the end.
var placementFeed = feed{
	created: `SELECT x.placement_id, x.uid, x.uid, NULL, x.modseq FROM placement x
WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid > max(?5, (SELECT coalesce(max(y.uid), 0) FROM
	(SELECT y.uid FROM placement y WHERE ?4 = 0 AND y.account_id = ?1 AND y.mailbox_id = ?7 AND y.created <= ?2 ORDER BY y.uid DESC LIMIT 1) y))
AND x.created > ?2 AND x.created <= ?3
ORDER BY x.uid LIMIT ?6`,
	updated: `SELECT x.placement_id, x.modseq, x.uid, NULL, x.modseq FROM placement x
WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.uid > ?5)
AND x.created <= ?2 AND x.modseq > x.created
ORDER BY x.modseq, x.uid LIMIT ?6`,
	destroyed: `SELECT v.placement_id, v.vanished, v.uid, NULL, v.vanished FROM vanished_placement v
WHERE v.account_id = ?1 AND v.mailbox_id = ?7 AND v.vanished > ?2 AND v.vanished <= ?3 AND v.vanished >= ?4 AND (v.vanished > ?4 OR v.uid > ?5)
AND v.created <= ?2
ORDER BY v.vanished, v.uid LIMIT ?6`,
}

// newFeed is that of a type whose rows are made in the order of their ids.
func newFeed(table, id, email, goneEmail, live string) feed {
	text := strings.NewReplacer("TABLE", table, "ID", id, "GONEEMAIL", goneEmail, "EMAIL", email, "LIVE", live,
		"LATE", "x.created > x.born", "CHANGED", "x.modseq > x.born").Replace(objectFeed)
	return cutFeed(text)
}

// cutFeed divides the text of a feed at its headings.
func cutFeed(text string) feed {
	text = strings.TrimPrefix(text, "\nCREATED\n")
	var f feed
	f.created, text, _ = strings.Cut(text, "\nBORN\n")
	f.born, text, _ = strings.Cut(text, "\nNEXT\n")
	f.next, text, _ = strings.Cut(text, "\nUPDATED\n")
	f.updated, f.destroyed, _ = strings.Cut(text, "\nDESTROYED\n")
	return f
}

// mailboxFeed needs nothing of that: an account has few.
func mailboxFeed() feed {
	text := strings.NewReplacer("TABLE", "mailbox", "ID", "mailbox_id", "GONEEMAIL", "NULL", "EMAIL", "NULL",
		"LIVE", "1 = 1", "LATE", "1 = 1", "CHANGED", "1 = 1").Replace(objectFeed)
	f := cutFeed(text)
	f.born, f.next = "", ""
	return f
}

var feeds = map[mail.Type]feed{
	mail.TypePlacement: placementFeed,
	mail.TypeMailbox:   mailboxFeed(),
	mail.TypeIdentity:  typedFeed(), mail.TypeSubmission: typedFeed(),
	mail.TypeThread: newFeed("thread", "thread_id", "NULL", "NULL", "x.emails > 0"),
	mail.TypeEmail: newFeed("message", "message_key", "x.email_id",
		"(SELECT m.email_id FROM message m WHERE m.account_id = ?1 AND m.message_key = v.id)", "x.visible = 1"),
}

func (f feed) phase(p mail.ChangeOp) string {
	switch p {
	case mail.Created:
		return f.created
	case mail.Updated:
		return f.updated
	}
	return f.destroyed
}

// Changes implements store.Reader. A delta is given in three phases: what was
// created, updated and destroyed between since and the target. What an object
// became after the target waits for the next delta.
func (r *reader) Changes(q store.ChangeQuery) (mail.ChangePage, error) {
	if err := r.settled(); err != nil {
		return mail.ChangePage{}, err
	}
	a, err := r.Account()
	if err != nil {
		return mail.ChangePage{}, err
	}
	if err := validPosition(q, a); err != nil {
		return mail.ChangePage{}, err
	}
	key := int64(q.Type)
	if q.Type == mail.TypePlacement {
		if _, err := r.mailbox(q.Mailbox); err != nil {
			return mail.ChangePage{}, err
		}
		key = int64(q.Mailbox)
	}
	m, err := r.following(q)
	if err != nil {
		return mail.ChangePage{}, err
	}
	pos := q.From
	if pos.Target == 0 {
		pos = mail.Position{Epoch: pos.Epoch, Since: pos.Since, Target: a.Head, Phase: mail.Created}
	}
	return r.page(q, m, pos, key)
}

func validPosition(q store.ChangeQuery, a mail.Account) error {
	from := q.From
	_, known := feeds[q.Type]
	switch {
	case q.Limit < 1:
		return mail.Errorf(mail.Invalid, "a page holds at least one change")
	case !known:
		return mail.Errorf(mail.Invalid, "no such type")
	case from.Epoch != a.Epoch:
		return tooOld()
	case from.Since > a.Head || from.Target > a.Head || from.Target != 0 && (from.Target < from.Since || from.Phase < mail.Created || from.Phase > mail.Destroyed):
		return mail.Errorf(mail.Invalid, "no such position")
	case from.Since < a.Exact():
		return tooOld()
	}
	return nil
}

// page collects up to q.Limit changes, and looks for one more.
func (r *reader) page(q store.ChangeQuery, m member, pos mail.Position, key int64) (mail.ChangePage, error) {
	page := mail.ChangePage{Next: pos.Epoch.At(pos.Target)}
	last := pos
	for phase := pos.Phase; phase <= mail.Destroyed; phase++ {
		if phase != pos.Phase {
			pos.At, pos.ID = 0, 0
		}
		found, err := r.phase(q.Type, m, phase, pos, key, q.Limit-len(page.Changes)+1)
		if err != nil {
			return mail.ChangePage{}, err
		}
		for _, s := range found {
			if len(page.Changes) == q.Limit {
				page.More, page.Next = true, last
				return page, nil
			}
			page.Changes = append(page.Changes, s.Change)
			last.Phase, last.At, last.ID = phase, s.at, s.ID
			if q.Type == mail.TypePlacement {
				last.ID = int64(s.UID)
			}
			if q.Stops {
				page.Stops = append(page.Stops, last)
			}
		}
	}
	return page, nil
}

// stop is a change, and where in its phase it stands.
type stop struct {
	mail.Change
	at mail.ModSeq
}

// phase returns up to limit changes of one phase behind a position.
func (r *reader) phase(typ mail.Type, m member, phase mail.ChangeOp, pos mail.Position, key int64, limit int) ([]stop, error) {
	f := feeds[typ]
	args := []any{r.id, pos.Since, pos.Target, pos.At, pos.ID, limit, key}
	if m.id != 0 {
		return r.stops(memberFeed.phase(phase), phase, m.feedArgs(phase, args))
	}
	found, err := r.stops(f.phase(phase), phase, args)
	if err != nil || phase != mail.Created || f.born == "" {
		return found, err
	}
	from, err := r.firstBorn(f.next, max(pos.Since+1, pos.At))
	if err != nil {
		return nil, err
	}
	to, err := r.firstBorn(f.next, pos.Target+1)
	if err != nil {
		return nil, err
	}
	born, err := r.stops(f.born, phase, append(args, from, to))
	found = append(found, born...)
	slices.SortFunc(found, func(a, b stop) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.ID, b.ID)) })
	return found[:min(len(found), limit)], err
}

func (r *reader) stops(sql string, op mail.ChangeOp, args []any) ([]stop, error) {
	var found []stop
	err := r.c.query(sql, func(row row) error {
		c := mail.Change{Op: op, ID: row.num(0), UID: mail.UID(row.num(2)), ModSeq: mail.ModSeq(row.num(4))}
		if id := row.bytes(3); id != nil {
			c.EmailID = mail.EmailID(id)
		}
		found = append(found, stop{c, mail.ModSeq(row.num(1))})
		return nil
	}, args...)
	return found, err
}

// firstBorn returns the least id from which on all rows were made at n or later.
// As both grow together it halves where that can be.
func (r *reader) firstBorn(sql string, n mail.ModSeq) (int64, error) {
	low, high := int64(0), int64(1)<<48 // before low all are older, from high on none is
	for low < high {
		mid := low + (high-low)/2
		id, born := high, n
		_, err := one(r.c, sql, func(r row) { id, born = r.num(0), mail.ModSeq(r.num(1)) }, r.id, mid)
		if err != nil {
			return 0, err
		}
		if born >= n {
			high = mid
		} else {
			low = id + 1
		}
	}
	return low, nil
}
