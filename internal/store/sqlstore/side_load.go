package sqlstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// loadBytes is how much a loader holds in memory before it writes.
const loadBytes = 4 << 20

// A loader writes many rows at once: by COPY where there is PostgreSQL.
type loader struct {
	c     conn
	t     *carried // whose rows wait
	rows  [][]byte
	size  int
	since int64 // bytes since SQLite's log was written back
}

// put adds a row. What was dropped before is gone by then.
func (l *loader) put(t *carried, body []byte) error {
	if l.t != t {
		if err := l.flush(); err != nil {
			return err
		}
		l.t = t
	}
	l.rows = append(l.rows, body)
	if l.size += len(body); l.size < loadBytes {
		return nil
	}
	return l.flush()
}

// drop removes the row with the key of body.
func (l *loader) drop(t *carried, body []byte) error {
	return l.c.later(t.dropSQL(), t.keyArguments(body)...)
}

func (l *loader) forget() { l.t, l.rows, l.size = nil, nil, 0 }

// flush writes what waits.
func (l *loader) flush() error {
	t, rows := l.t, l.rows
	l.since += int64(l.size)
	l.forget()
	if len(rows) == 0 {
		return l.c.flush()
	}
	if p, is := l.c.(*pgConn); is {
		return p.copyIn(t, rows)
	}
	sql := t.putSQL()
	for _, body := range rows {
		if _, err := l.c.exec(sql, t.arguments(body)...); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

func (t *carried) putSQL() string {
	marks := make([]string, len(t.columns))
	for i := range marks {
		marks[i] = "?" + strconv.Itoa(i+1)
	}
	return "INSERT INTO " + t.name + " (" + t.columnList() + ") VALUES (" + strings.Join(marks, ", ") + ")"
}

func (t *carried) dropSQL() string {
	var where []string
	for n, i := range t.key {
		where = append(where, t.columns[i].name+" = ?"+strconv.Itoa(n+1))
	}
	return "DELETE FROM " + t.name + " WHERE " + strings.Join(where, " AND ")
}

// copySignature begins what COPY takes in its binary format; flags and the length of
// an extension follow, which are 0.
const copySignature = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// copyIn adds rows by COPY.
func (p *pgConn) copyIn(t *carried, rows [][]byte) error {
	if p.reading != nil {
		p.reading.drain()
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.trips.Add(1)
	p.wrote++
	_, err := p.c.CopyFrom(context.Background(), &copyReader{t: t, rows: rows, buf: []byte(copySignature)},
		"COPY "+t.name+" ("+t.columnList()+") FROM STDIN (FORMAT binary)")
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, pgReadable(err))
	}
	return nil
}

// A copyReader is rows in COPY's binary format.
type copyReader struct {
	t     *carried
	rows  [][]byte
	buf   []byte
	ended bool
}

func (r *copyReader) Read(p []byte) (n int, err error) {
	for len(r.buf) == 0 {
		if len(r.rows) == 0 {
			if r.ended {
				return 0, io.EOF
			}
			r.ended = true
			r.buf = []byte{0xff, 0xff}
			break
		}
		r.buf = r.t.copyRow(nil, r.rows[0])
		r.rows = r.rows[1:]
	}
	n = copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

// copyRow is a record with the number of its columns before it; texts are as
// PostgreSQL can have them.
func (t *carried) copyRow(b, body []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(t.columns)))
	odd := false
	fields(body, func(i int, value []byte, null bool) {
		odd = odd || t.columns[i].kind == texts && (bytes.IndexByte(value, 0) >= 0 || toText(string(value)) != string(value))
	})
	if !odd {
		return append(b, body...)
	}
	fields(body, func(i int, value []byte, null bool) {
		switch {
		case null:
			b = binary.BigEndian.AppendUint32(b, nothing)
		case t.columns[i].kind == texts:
			b = appendField(b, []byte(toText(string(value))))
		default:
			b = appendField(b, value)
		}
	})
	return b
}

func appendNumber(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }
