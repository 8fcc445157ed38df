package sqlstore

import (
	"cmp"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	emailColumns    = "message_key, email_id, thread_id, size, internal_date, internal_zone, sent_at, created, modseq"
	selectEmails    = "SELECT " + emailColumns + " FROM message WHERE account_id = ?1 AND message_key IN list(?2) AND visible = 1 ORDER BY message_key"
	selectAllEmails = "SELECT " + emailColumns + " FROM message WHERE account_id = ?1 AND visible = 1 ORDER BY message_key"
	// 8 is \Deleted.
	selectAllPlaces = "SELECT message_key, mailbox_id, uid, system, keywords FROM placement WHERE account_id = ?1 AND system & 8 = 0"
	selectLastKey   = "SELECT message_key FROM message WHERE account_id = ?1 ORDER BY message_key DESC LIMIT 1"

	// As selectDown and selectAstray are of a mailbox.
	selectEmailsDown   = "SELECT message_key, internal_date, behind, visible FROM message WHERE account_id = ?1 AND message_key <= ?2 ORDER BY message_key DESC"
	selectEmailsAstray = `SELECT message_key, internal_date FROM message WHERE account_id = ?1 AND behind > 0 AND visible = 1
	AND internal_date >= ?2 AND (internal_date, message_key) < (?3, ?4) ORDER BY internal_date DESC, message_key DESC LIMIT ?5`
	// Those in order from a place on have greater keys than the last before it.
	countInOrder = `SELECT count(*) FROM message WHERE account_id = ?1 AND message_key > ?2 AND behind = 0 AND visible = 1 AND (internal_date, message_key) > (?3, ?4)`
	countAstray  = "SELECT count(*) FROM message WHERE account_id = ?1 AND behind > 0 AND visible = 1 AND (internal_date, message_key) > (?2, ?3)"
)

func scanEmail(r row) mail.Email {
	return mail.Email{
		Key: mail.MessageKey(r.num(0)), EmailID: mail.EmailID(r.bytes(1)), Thread: mail.ThreadID(r.num(2)), Size: r.num(3),
		InternalDate: unstampIn(r.num(4), r.num(5)), SentAt: unstamp(r.num(6)), Created: mail.ModSeq(r.num(7)), ModSeq: mail.ModSeq(r.num(8)),
	}
}

// arrivals is the order of dates of the account.
func (r *reader) arrivals() (dateOrder, error) {
	o := dateOrder{c: r.c, down: selectEmailsDown, astray: selectEmailsAstray, of: []any{r.id}, next: 1}
	if err := r.settled(); err != nil {
		return o, err
	}
	_, err := one(r.c, selectLastKey, func(row row) { o.next = row.num(0) + 1 }, r.id)
	return o, err
}

// EmailsByDate implements store.Reader.
func (r *reader) EmailsByDate(q store.EmailDateQuery) ([]mail.Email, error) {
	if q.Limit < 1 || q.Skip < 0 {
		return nil, mail.Errorf(mail.Invalid, "a page holds at least one message")
	}
	before := newest
	if !q.Before.IsZero() {
		before = dated{stamp(q.Before.Date), int64(q.Before.Key)}
	}
	o, err := r.arrivals()
	if err != nil {
		return nil, err
	}
	page, err := o.page(before, stamp(q.Since), q.Skip+q.Limit)
	if err != nil {
		return nil, err
	}
	page = page[min(q.Skip, len(page)):]
	keys := make([]mail.MessageKey, len(page))
	for i, d := range page {
		keys[i] = mail.MessageKey(d.number)
	}
	found, err := r.EmailsOf(keys)
	slices.SortFunc(found, func(a, b mail.Email) int { return b.Arrived().Compare(a.Arrived()) })
	return found, err
}

// EmailsOf implements store.Reader.
func (r *reader) EmailsOf(keys []mail.MessageKey) ([]mail.Email, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	of := make(ints, len(keys))
	for i, key := range keys {
		of[i] = int64(key)
	}
	found := make([]mail.Email, 0, len(keys))
	err := r.c.query(selectEmails, func(row row) error { found = append(found, scanEmail(row)); return nil }, r.id, of)
	return found, err
}

// EmailsBefore implements store.Reader.
func (r *reader) EmailsBefore(place mail.Arrived) (int64, error) {
	o, err := r.arrivals()
	if err != nil {
		return 0, err
	}
	at := dated{stamp(place.Date), int64(place.Key)}
	last, err := o.lastInOrder(at)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	add := func(row row) { total += row.num(0) }
	if _, err = one(r.c, countInOrder, add, r.id, last, at.date, at.number); err != nil {
		return 0, err
	}
	_, err = one(r.c, countAstray, add, r.id, at.date, at.number)
	return total, err
}

// placeOf is a place, and of which message.
type placeOf struct {
	key mail.MessageKey
	mail.Place
}

// Emails implements store.Reader. Two tables are read from one end to the other, and
// put together by the keys of the messages.
func (r *reader) Emails(fn func(*mail.Email) error) error {
	if err := r.settled(); err != nil {
		return err
	}
	places, err := r.allPlaces()
	if err != nil {
		return err
	}
	shown := make([]mail.Place, len(places)) // the Places of all, one behind the other
	var kept []mail.Email
	at := 0
	err = r.c.query(selectAllEmails, func(row row) error {
		e := scanEmail(row)
		from := at
		for ; at < len(places) && places[at].key <= e.Key; at++ {
			shown[at] = places[at].Place
		}
		e.Places = shown[from:at:at]
		if r.held {
			kept = append(kept, e)
			return nil
		}
		return fn(&e)
	}, r.id)
	for i := range kept {
		if err == nil {
			err = fn(&kept[i])
		}
	}
	return err
}

// allPlaces returns where the messages of the account are shown, by message.
func (r *reader) allPlaces() ([]placeOf, error) {
	var all []placeOf
	err := r.c.query(selectAllPlaces, func(row row) error {
		all = append(all, placeOf{mail.MessageKey(row.num(0)), mail.Place{Mailbox: mail.MailboxID(row.num(1)), UID: mail.UID(row.num(2)),
			Flags: mail.StoredFlags(mail.SystemFlags(row.num(3)), row.text(4))}})
		return nil
	}, r.id)
	slices.SortFunc(all, func(a, b placeOf) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.UID, b.UID))
	})
	return all, err
}
