package sqlstore

import (
	"encoding/json"
	"math"

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

// Journal implements store.Reader.
func (r *reader) Journal(q store.JournalQuery) ([]mail.Record, error) {
	limit, before := q.Limit, int64(q.Before)
	if limit <= 0 {
		limit = journalLimit
	}
	if before == 0 {
		before = math.MaxInt64
	}
	sql, args := selectJournal, []any{r.id, q.After, before}
	if q.Act != 0 {
		sql, args = selectAct, append(args, q.Act)
	}
	var found []mail.Record
	err := r.c.query(sql, func(row row) error {
		if q.Device != 0 && mail.DeviceID(row.num(5)) != q.Device {
			return nil
		}
		rec, err := scanRecord(row)
		if err != nil {
			return err
		}
		if !touches(rec, q.Mailbox, q.UID) {
			return nil
		}
		if found = append(found, rec); len(found) == limit {
			return enough{}
		}
		return nil
	}, args...)
	if err == error(enough{}) {
		err = nil
	}
	return found, err
}

func scanRecord(r row) (mail.Record, error) {
	rec := mail.Record{
		ModSeq: mail.ModSeq(r.num(0)), Act: mail.ActID(r.num(1)), Undoes: mail.ActID(r.num(2)), Time: unstamp(r.num(3)), Actor: r.text(4),
		Device: mail.DeviceID(r.num(5)), Session: r.text(6), Protocol: mail.Protocol(r.text(7)), Cause: mail.Cause(r.text(8)),
	}
	return rec, json.Unmarshal([]byte(r.text(9)), &rec.Entries)
}

// touches reports whether a record did something to a mailbox, or to a UID of
// it; to mailbox 0 every one did.
func touches(rec mail.Record, mb mail.MailboxID, uid mail.UID) bool {
	if mb == 0 {
		return true
	}
	for _, e := range rec.Entries {
		if e.Mailbox == mb && (uid == 0 || e.UIDs.Contains(uid) || e.Was.Contains(uid)) ||
			e.Dest == mb && (uid == 0 || e.DestUIDs.Contains(uid)) {
			return true
		}
	}
	return false
}
