package sqlstore

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// Where the target has an account as of a position, what changed since is found by it:
// rows that a change made or touched say at which ModSeq. What is brought over like
// that is then added up on both sides, each in its engine, and a table of which the
// sums differ is gone through row by row: it is where rows went, or were mended, which
// no position tells. So what goes over the wire is what changed.

// changedAt are the columns that say when a row changed last.
var changedAt = map[string][]string{
	"message":            {"created", "modseq", "left_modseq"},
	"placement":          {"created", "modseq"},
	"thread":             {"created", "modseq"},
	"vanished_placement": {"vanished"},
	"vanished":           {"modseq"},
	"journal":            {"modseq"},
	"annotation":         {"modseq"},
	"metadata":           {"modseq"},
	"object":             {"modseq"},
	"seen":               {"modseq"},
}

// sinceSQL selects the rows of an account that changed after ?2. Content has no ModSeq:
// what is new is that of newer messages, and what was parsed anew changes the sums.
func (t *carried) sinceSQL() string {
	if t.name == "content" {
		return "SELECT " + t.columnSQL("c.") + ` FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
			WHERE m.account_id = ?1 AND m.created > ?2 ORDER BY m.message_key`
	}
	var any []string
	for _, c := range changedAt[t.name] {
		any = append(any, c+" > ?2")
	}
	return "SELECT " + t.columnSQL("") + " FROM " + t.name + " WHERE account_id = ?1 AND (" + strings.Join(any, " OR ") + ") ORDER BY " + t.keyList(1)
}

// goneSQL selects the keys of rows that went after ?2.
var goneSQL = map[string]string{
	"placement": "SELECT mailbox_id, uid FROM vanished_placement WHERE account_id = ?1 AND vanished > ?2",
}

// sumSQL adds up an account's rows: how many, each number in two halves so that no sum
// is too large, and the lengths of all else.
func (t *carried) sumSQL() string {
	alias, from, where := "", " FROM "+t.name, " WHERE account_id = ?1"
	if t.name == "content" {
		alias, from = "c.", " FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id"
		where = " WHERE m.account_id = ?1"
	}
	sums := []string{"count(*)"}
	for _, c := range t.columns {
		name := alias + c.name
		if c.kind == wholeNumbers {
			sums = append(sums, "coalesce(sum("+name+" & 2147483647), 0)", "coalesce(sum("+name+" >> 31), 0)")
			continue
		}
		sums = append(sums, "coalesce(sum(length("+name+")), 0)")
	}
	return "SELECT " + strings.Join(sums, ", ") + from + where
}

// sums are an account's rows of a table, added up by the engine. Lengths of texts are
// left to the proof where engines count them otherwise than each other.
func (t *carried) sums(c conn, id mail.AccountID) (all []int64, err error) {
	_, err = one(c, t.sumSQL(), func(r row) {
		all = append(all, r.num(0))
		n := 1
		for _, col := range t.columns {
			switch col.kind {
			case wholeNumbers:
				all = append(all, r.num(n), r.num(n+1))
				n += 2
			case byteStrings:
				all = append(all, r.num(n))
				n++
			default:
				n++
			}
		}
	}, id)
	return all, err
}

// position is where the target has an account: rows up to this ModSeq are as they were
// then. known is false where there is no telling, as when it began anew since.
func (k *Carrier) position(own []byte) (since mail.ModSeq, known bool, err error) {
	t := k.accountTable()
	is := t.numbers(own)
	sql := "SELECT head, epoch, restored, horizon, reparsed FROM account WHERE account_id = ?1"
	found, err := one(k.c, sql, func(r row) {
		since = mail.ModSeq(r.num(0))
		known = r.num(1) == is["epoch"] && r.num(2) == is["restored"] && r.num(3) == is["horizon"] && r.num(4) == is["reparsed"]
	}, is["account_id"])
	return since, found && known, err
}

// numbers are the numbers of a record by the names of their columns.
func (t *carried) numbers(body []byte) map[string]int64 {
	all := map[string]int64{}
	for i, arg := range t.arguments(body) {
		if n, is := arg.(int64); is {
			all[t.columns[i].name] = n
		}
	}
	return all
}

// sinceRows bounds what a table is brought over by position; with more, it is gone
// through page by page.
const sinceRows = 20_000

// tableSince brings a table over by position. done is false where that did not make it
// what it is at the source.
func (k *Carrier) tableSince(ctx context.Context, t *carried, id mail.AccountID, since mail.ModSeq) (did Carried, done bool, err error) {
	var rows []record
	var gone [][]any
	var want []int64
	err = k.from.snapshot(ctx, func(c conn) error {
		err := c.query(t.sinceSQL(), func(r row) error {
			if len(rows) == sinceRows {
				return enough{}
			}
			rows = append(rows, t.scan(r, 0))
			return nil
		}, id, since)
		if err != nil {
			return err
		}
		if sql := goneSQL[t.name]; sql != "" {
			err = c.query(sql, func(r row) error { gone = append(gone, []any{id, r.num(0), r.num(1)}); return nil }, id, since)
		}
		if err == nil {
			want, err = t.sums(c, id)
		}
		return err
	})
	if err == error(enough{}) {
		return did, false, nil
	}
	if err != nil {
		return did, false, err
	}
	for _, key := range gone {
		if err := k.c.later(t.dropSQL(), key...); err != nil {
			return did, false, err
		}
	}
	for _, r := range rows {
		if err := k.load.drop(t, r.body); err != nil {
			return did, false, err
		}
	}
	for _, r := range rows {
		did.Read++
		did.Written++
		did.Bytes += int64(len(r.body))
		if err := k.load.put(t, r.body); err != nil {
			return did, false, err
		}
	}
	did.Dropped = int64(len(gone))
	if err := k.load.flush(); err != nil {
		return did, false, err
	}
	have, err := t.sums(k.c, id)
	return did, err == nil && slices.Equal(want, have), err
}
