package sqlstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"lockstep/internal/mail"
)

// A record is a row on its way between engines: each column's length, −1 of NULL, in
// four bytes, and its bytes; numbers have eight. Texts are as the program sees them,
// however an engine stores them, so that the same row has the same record everywhere.
type record struct {
	order []byte // by which rows of the table are sorted; compares as the engines do
	body  []byte
}

const nothing = 1<<32 - 1 // the length of NULL

func appendField(b, value []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// fields calls fn with each column of a record; null has no value.
func fields(body []byte, fn func(i int, value []byte, null bool)) {
	for i := 0; len(body) > 0; i++ {
		n := binary.BigEndian.Uint32(body)
		body = body[4:]
		if n == nothing {
			fn(i, nil, true)
			continue
		}
		fn(i, body[:n:n], false)
		body = body[n:]
	}
}

// arguments are the columns of a record as a statement takes them.
func (t *carried) arguments(body []byte) []any {
	args := make([]any, 0, len(t.columns))
	fields(body, func(i int, value []byte, null bool) {
		switch {
		case null:
			args = append(args, nil)
		case t.columns[i].kind == wholeNumbers:
			args = append(args, int64(binary.BigEndian.Uint64(value)))
		case t.columns[i].kind == texts:
			args = append(args, string(value))
		default:
			args = append(args, bytes.Clone(value))
		}
	})
	return args
}

// keyArguments are those of the key.
func (t *carried) keyArguments(body []byte) []any {
	all := t.arguments(body)
	args := make([]any, len(t.key))
	for n, i := range t.key {
		args[n] = all[i]
	}
	return args
}

// scan makes a record of a row that was selected by columnSQL. ahead is how many
// columns stand before.
func (t *carried) scan(r row, ahead int) record {
	body := make([]byte, 0, 32*len(t.columns))
	flags := ahead + len(t.columns)
	for i, c := range t.columns {
		if c.nullable {
			null := r.num(flags) != 0
			flags++
			if null {
				body = binary.BigEndian.AppendUint32(body, nothing)
				continue
			}
		}
		switch c.kind {
		case wholeNumbers:
			body = binary.BigEndian.AppendUint32(body, 8)
			body = binary.BigEndian.AppendUint64(body, uint64(r.num(ahead+i)))
		case texts:
			text := r.text(ahead + i)
			body = binary.BigEndian.AppendUint32(body, uint32(len(text)))
			body = append(body, text...)
		default:
			body = appendField(body, r.bytes(ahead+i))
		}
	}
	return record{t.orderOf(body), body}
}

// orderOf makes bytes of the key that compare as the key does.
func (t *carried) orderOf(body []byte) []byte {
	values := make([][]byte, len(t.columns))
	fields(body, func(i int, value []byte, _ bool) { values[i] = value })
	var b []byte
	for _, i := range t.key[t.fixed():] {
		if t.columns[i].kind == wholeNumbers {
			b = appendOrdered(b, int64(binary.BigEndian.Uint64(values[i])))
			continue
		}
		for _, c := range values[i] {
			if b = append(b, c); c == 0 {
				b = append(b, 0xff)
			}
		}
		b = append(b, 0, 0)
	}
	return b
}

func appendOrdered(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n)^1<<63)
}

// isOdd reports whether a record's key has a text that the engines sort each in its
// own way.
func (t *carried) isOdd(body []byte) (odd bool) {
	if !t.byText {
		return false
	}
	fields(body, func(i int, value []byte, _ bool) {
		for _, k := range t.key {
			odd = odd || k == i && t.columns[i].kind == texts && toText(string(value)) != string(value)
		}
	})
	return odd
}

// columnSQL is what is selected of each row; its columns are those of alias, if there
// is one.
func (t *carried) columnSQL(alias string) string {
	var list, flags []string
	for _, c := range t.columns {
		name := alias + c.name
		if as, found := readAs[[2]string{t.name, c.name}]; found {
			name = as
		}
		list = append(list, name)
		if c.nullable {
			flags = append(flags, "CASE WHEN "+name+" IS NULL THEN 1 ELSE 0 END")
		}
	}
	return strings.Join(append(list, flags...), ", ")
}

// pageSQL selects a page of rows, after a key or from the beginning. Its arguments are
// those of the account, if the table has one, those of the key and the limit.
func (t *carried) pageSQL(first bool) string {
	if t.name == "content" {
		return "SELECT m.message_key, " + t.columnSQL("c.") + ` FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
			WHERE m.account_id = ?1 AND m.message_key > ?2 ORDER BY m.message_key LIMIT ?3`
	}
	var where []string
	n := 1
	if t.ofOne {
		where = append(where, "account_id = ?1")
		n++
	}
	if keys := t.key[t.fixed():]; !first && len(keys) > 0 {
		var marks []string
		for range keys {
			marks = append(marks, "?"+strconv.Itoa(n))
			n++
		}
		where = append(where, "("+t.keyList(t.fixed())+") > ("+strings.Join(marks, ", ")+")")
	}
	sql := "SELECT " + t.columnSQL("") + " FROM " + t.name
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return sql + " ORDER BY " + t.keyList(0) + " LIMIT ?" + strconv.Itoa(n)
}

// Bounds of a page of rows, which is what is held in memory of a table.
const (
	firstPage = 250
	pageRows  = 4000
	pageBytes = 2 << 20
)

// A rowReader gives the rows of a table in order, page by page, each on a snapshot of
// its own.
type rowReader struct {
	t       *carried
	account mail.AccountID
	ask     func(func(conn) error) error
	last    []byte // the record before, or nil
	lastKey int64  // of the message, where rows of content are read
	limit   int
	page    []record
	done    bool
	over    []record // what waits outside the table, and is put in
}

func newRowReader(t *carried, id mail.AccountID, ask func(func(conn) error) error) *rowReader {
	return &rowReader{t: t, account: id, ask: ask, limit: firstPage, lastKey: -1 << 63}
}

// next returns the next row; found is false after the last.
func (r *rowReader) next() (rec record, found bool, err error) {
	for len(r.page) == 0 && !r.done {
		if err := r.ask(r.load); err != nil {
			return rec, false, err
		}
	}
	if len(r.over) > 0 {
		order := -1
		if len(r.page) > 0 {
			order = bytes.Compare(r.over[0].order, r.page[0].order)
		}
		if order <= 0 {
			rec, r.over = r.over[0], r.over[1:]
			if order == 0 {
				r.page = r.page[1:]
			}
			return rec, true, nil
		}
	}
	if len(r.page) == 0 {
		return rec, false, nil
	}
	rec, r.page = r.page[0], r.page[1:]
	return rec, true, nil
}

// load reads the next page.
func (r *rowReader) load(c conn) error {
	var args []any
	if r.t.ofOne {
		args = append(args, r.account)
	}
	content := r.t.name == "content"
	switch {
	case content:
		args = append(args, r.lastKey)
	case r.last != nil:
		args = append(args, r.t.keyArguments(r.last)[r.t.fixed():]...)
	}
	args = append(args, r.limit)
	r.page = nil
	size, n := 0, 0
	err := c.query(r.t.pageSQL(r.last == nil), func(w row) error {
		var rec record
		if content {
			rec = r.t.scan(w, 1)
			r.lastKey = w.num(0)
			rec.order = appendOrdered(nil, r.lastKey)
		} else {
			rec = r.t.scan(w, 0)
		}
		r.page = append(r.page, rec)
		n++
		if size += len(rec.body); size > pageBytes {
			return enough{}
		}
		return nil
	}, args...)
	switch {
	case errors.Is(err, enough{}):
		r.limit = max(n, 1)
	case err != nil:
		return err
	case n < r.limit || r.t.isAccount() && r.t.ofOne:
		r.done = true
	default:
		r.limit = min(2*r.limit, pageRows)
	}
	if n > 0 {
		r.last = r.page[n-1].body
	}
	return nil
}

// isAccount reports whether this is the table of the accounts' own rows.
func (t *carried) isAccount() bool { return t.name == "account" }
