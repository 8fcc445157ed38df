package sqlstore

import (
	"encoding/json"
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// journalLimit bounds a query that names no limit.
const journalLimit = 1000

const (
	journalColumns = "modseq, act, undoes, at, actor, device_id, session, protocol, cause, entries"
	selectJournal  = "SELECT " + journalColumns + " FROM journal WHERE account_id = ?1 AND modseq > ?2 AND modseq < ?3 ORDER BY modseq DESC"
	selectAct      = "SELECT " + journalColumns + ` FROM journal WHERE account_id = ?1 AND modseq > ?2 AND modseq < ?3
	AND (modseq = ?4 AND act = ?4 OR modseq IN (SELECT j.modseq FROM journal j WHERE j.account_id = ?1 AND j.act = ?4 AND j.act <> j.modseq)) ORDER BY modseq DESC`
)

// Journal implements store.Reader. What a record did is read only of those that the
// rest lets through.
func (r *reader) Journal(q store.JournalQuery) ([]mail.Record, error) {
	limit, before := q.Limit, int64(q.Before)
	if limit <= 0 {
		limit = journalLimit
	}
	if before == 0 {
		before = math.MaxInt64
	}
	where, after, err := r.journalSpots(q)
	if err != nil {
		return nil, err
	}
	sql, args := selectJournal, []any{r.id, max(q.After, after), before}
	if q.Act != 0 {
		sql, args = selectAct, append(args, q.Act)
	}
	lets := narrow(q)
	var found []mail.Record
	newest := pages{sql: sql, args: args, from: 2, key: 0, want: limit}
	err = newest.each(r.c, func(row row) error {
		if !lets(row) {
			return nil
		}
		rec, err := scanRecord(row)
		if err != nil {
			return err
		}
		if !touches(rec, where) {
			return nil
		}
		if found = append(found, rec); len(found) == limit {
			return enough{}
		}
		return nil
	})
	return found, ignoreEnough(err)
}

// narrow is what a query asks of a record's own columns.
func narrow(q store.JournalQuery) func(row) bool {
	since, until := stamp(q.Since), stamp(q.Until)
	if q.Until.IsZero() {
		until = math.MaxInt64
	}
	return func(r row) bool {
		at := r.num(3)
		return (q.Device == 0 || mail.DeviceID(r.num(5)) == q.Device) && at >= since && at < until &&
			(q.Protocol == "" || mail.Protocol(r.text(7)) == q.Protocol) && (q.Cause == "" || mail.Cause(r.text(8)) == q.Cause)
	}
}

const selectGoneOf = "SELECT mailbox_id, uid, created FROM vanished_placement WHERE account_id = ?1 AND message_key = ?2"

// journalSpots returns what records have to touch, nil being anything, and after what
// they are. UID 0 is all of a mailbox.
func (r *reader) journalSpots(q store.JournalQuery) (where []spot, after mail.ModSeq, err error) {
	if q.Message == 0 {
		if q.Mailbox != 0 {
			where = []spot{{q.Mailbox, q.UID}}
		}
		return where, 0, nil
	}
	where, after = []spot{}, math.MaxInt64
	note := func(mb mail.MailboxID, uid mail.UID, created mail.ModSeq) {
		if (q.Mailbox == 0 || q.Mailbox == mb) && (q.UID == 0 || q.UID == uid) {
			where = append(where, spot{mb, uid})
			after = min(after, created-1)
		}
	}
	there, err := r.PlacementsOf(q.Message)
	for _, p := range there {
		note(p.Mailbox, p.UID, p.Created)
	}
	if err == nil {
		err = r.c.query(selectGoneOf, func(row row) error {
			note(mail.MailboxID(row.num(0)), mail.UID(row.num(1)), mail.ModSeq(row.num(2)))
			return nil
		}, r.id, q.Message)
	}
	return where, after, err
}

func scanRecord(r row) (mail.Record, error) {
	rec := mail.Record{
		ModSeq: mail.ModSeq(r.num(0)), Act: mail.ActID(r.num(1)), Undoes: mail.ActID(r.num(2)), Time: unstamp(r.num(3)), Actor: r.text(4),
		Device: mail.DeviceID(r.num(5)), Session: r.text(6), Protocol: mail.Protocol(r.text(7)), Cause: mail.Cause(r.text(8)),
	}
	return rec, json.Unmarshal([]byte(r.text(9)), &rec.Entries)
}

// touches reports whether a record did something to one of the spots; nil is that
// every one did.
func touches(rec mail.Record, where []spot) bool {
	return where == nil || slices.ContainsFunc(rec.Entries, func(e mail.Entry) bool {
		return slices.ContainsFunc(where, func(at spot) bool {
			return e.Mailbox == at.mailbox && (at.uid == 0 || e.UIDs.Contains(at.uid) || e.Was.Contains(at.uid)) ||
				e.Dest == at.mailbox && (at.uid == 0 || e.DestUIDs.Contains(at.uid))
		})
	})
}
