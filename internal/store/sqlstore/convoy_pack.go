package sqlstore

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// parcel is a statement that a trip takes along: of one, or the same of many.
type parcel struct {
	st      *pgStatement
	form    *manyForm // nil: of one
	tells   bool      // somebody waits for whether it changed a row
	errands []errand
	kinds   string // of the arguments of each
	whose   []int  // the rows of arguments are: a number has one, a list one for each
}

// pack takes what all wait for, each one's in its order, the same of several together.
func (v *convoy) pack() (all []parcel) {
	left := map[*pgStatement]int{}
	open := make([]*wagon, 0, len(v.wagons))
	at := make(map[*wagon]int, len(v.wagons))
	for _, m := range v.wagons {
		if len(m.waiting) > 0 {
			open = append(open, m)
		}
		for i := range m.waiting {
			left[m.waiting[i].st]++
		}
	}
	for len(open) > 0 {
		st := v.choose(open, at, left)
		var same []errand
		for _, m := range open {
			for at[m] < len(m.waiting) && m.waiting[at[m]].st == st {
				same = append(same, errand{&m.waiting[at[m]], m})
				at[m]++
			}
		}
		left[st] -= len(same)
		all = v.parcels(all, st, same)
		open = slices.DeleteFunc(open, func(m *wagon) bool { return at[m] == len(m.waiting) })
	}
	for _, m := range v.wagons {
		m.waiting = nil
	}
	return all
}

// choose returns which of the statements that are next to take: one that nobody has
// further on, or the one that most have next.
func (v *convoy) choose(open []*wagon, at map[*wagon]int, left map[*pgStatement]int) (st *pgStatement) {
	next := map[*pgStatement]int{}
	for _, m := range open {
		s := m.waiting[at[m]].st
		for i := at[m]; i < len(m.waiting) && m.waiting[i].st == s; i++ {
			next[s]++
		}
	}
	for _, m := range open {
		s := m.waiting[at[m]].st
		if next[s] == left[s] {
			return s
		}
		if st == nil || next[s] > next[st] {
			st = s
		}
	}
	return st
}

// maxListTogether bounds the lists that are taken along with others'.
const maxListTogether = 256

// parcels adds the same statement of some. Those that may meet in a row are not one.
func (v *convoy) parcels(all []parcel, st *pgStatement, same []errand) []parcel {
	form := formOf(st.sql, st.kinds)
	for len(same) > 0 {
		one := parcel{st: st, form: form}
		var later []errand
		rows := 0
		seen := map[string]bool{}
		for _, e := range same {
			n := argumentRows(st.kinds, e.values)
			key := ""
			if form != nil {
				key = form.key(e.values)
			}
			if len(one.errands) > 0 && (form == nil || rows+n > maxListTogether || form.unique != nil && seen[key]) {
				later = append(later, e)
				continue
			}
			seen[key] = true
			rows += n
			one.errands = append(one.errands, e)
			one.tells = one.tells || e.wanted && !st.reads
		}
		all = append(all, v.address(one, rows))
		same = later
	}
	return all
}

// address says of whom a parcel's rows of arguments are, and by which statement.
func (v *convoy) address(c parcel, rows int) parcel {
	if c.form == nil || len(c.errands) == 1 && (rows <= 1 || rows > maxListTogether) {
		c.form, c.st = nil, v.c.plainest(c.st, c.errands[0].pgWaiting)
		return c
	}
	if c.form.unique != nil { // two that meet somebody else's rows meet them in one order
		slices.SortStableFunc(c.errands, func(a, b errand) int { return bytes.Compare(a.values[c.form.unique[0]], b.values[c.form.unique[0]]) })
	}
	for i, e := range c.errands {
		for range argumentRows(c.st.kinds, e.values) {
			c.whose = append(c.whose, i)
		}
	}
	c.kinds, c.st = c.st.kinds, v.c.many(c.st, c.form, c.tells)
	return c
}

// plainest is the statement about a number where a list has no more.
func (p *pgConn) plainest(st *pgStatement, w *pgWaiting) *pgStatement {
	if argumentRows(st.kinds, w.values) != 1 || !strings.Contains(st.kinds, "l") {
		return st
	}
	return p.statement(st.sql, strings.ReplaceAll(st.kinds, "l", "o"), "")
}

// key is what no two arguments of one parcel have in common.
func (f *manyForm) key(values [][]byte) string {
	if len(f.unique) == 1 {
		return string(values[f.unique[0]])
	}
	var key []byte
	for _, i := range f.unique {
		key = binary.BigEndian.AppendUint32(key, uint32(len(values[i])))
		key = append(key, values[i]...)
	}
	return string(key)
}

// many is the statement of many.
func (p *pgConn) many(st *pgStatement, form *manyForm, tells bool) *pgStatement {
	text := form.quiet
	if tells {
		text = form.tells
	}
	kinds := strings.Map(func(kind rune) rune { return rune(manyKinds[byte(kind)].kind) }, st.kinds)
	return p.statement(st.sql, kinds, text)
}

// values are the arguments as they are sent.
func (c *parcel) values(a *pgArgs) [][]byte {
	if c.form == nil {
		values := slices.Clone(c.errands[0].values)
		for i := range values {
			if c.st.kinds[i] == 'o' {
				values[i] = listed(values[i], 0)
			}
		}
		return values
	}
	values := make([][]byte, len(c.kinds))
	a.buf = a.buf[:0]
	for i := range values {
		from := len(a.buf)
		a.buf = appendMany(a.buf, c.errands, i, c.kinds[i])
		values[i] = a.buf[from:len(a.buf):len(a.buf)]
	}
	return values
}

// deliver reads the answer, and gives each its part.
func (c *parcel) deliver(p *pgConn, pl *pgconn.Pipeline) error {
	rows := p.nextRows(pl)
	if rows.err != nil {
		return p.failed(rows.err, c.st)
	}
	if c.form == nil {
		c.errands[0].give(rows, rows.tag.RowsAffected())
		return nil
	}
	parts := make([]pgRows, len(c.errands))
	changed := make([]int64, len(c.errands))
	for rows.next() {
		switch {
		case c.form.reads:
			part := &parts[c.whose[rows.num(0)-1]]
			part.oids = rows.oids[1:]
			part.rest = append(part.rest, rows.at[1:])
		case c.tells && c.form.byKey:
			changed[slices.IndexFunc(c.errands, func(e errand) bool { return bytes.Equal(e.values[0], rows.at[0]) })]++
		case c.tells:
			changed[c.whose[rows.num(0)-1]]++
		}
	}
	for i, e := range c.errands {
		e.give(&parts[i], changed[i])
	}
	return nil
}

// give hands an answer to who waits for it.
func (e errand) give(rows *pgRows, changed int64) {
	a := pgAnswer{pgWaiting: *e.pgWaiting, rows: rows, changed: changed}
	switch {
	case e.wanted:
		e.m.answer = a
	case e.ahead:
		e.m.known = append(e.m.known, a)
	}
}
