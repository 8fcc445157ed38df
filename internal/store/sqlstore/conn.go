package sqlstore

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"lockstep/internal/mail"
)

// conn is one connection to the database, used by one goroutine at a time. It
// is all that the statements know of an engine. They are written with ?1, ?2 …
// and with list(?n) for a set of integers that is bound as one value.
type conn interface {
	// query runs a statement and calls each with every row. The row is valid during
	// the call. each may run other statements on the connection.
	query(sql string, each func(row) error, args ...any) error
	// exec runs a statement and returns how many rows it changed.
	exec(sql string, args ...any) (int64, error)
	// insert adds a row whose number the engine gives, and returns that.
	insert(sql string, args ...any) (int64, error)
	// later runs a statement that changes something and gives nothing back. An engine
	// may send it along with the next one, and then its error is that one's.
	later(sql string, args ...any) error
	// ahead says what will be asked next. An engine may send it along with the next
	// statement, and answer from that: so nothing may change it until it was asked, or
	// until ahead is called anew, which forgets what was not.
	ahead(asks ...ask) error
	// flush runs what later put off.
	flush() error
	// commit makes what was done last.
	commit() error
	// pending is what the closure that runs on the connection has to wait for.
	pending() *pending
	// script runs several statements without arguments.
	script(sql string) error
	// inTransaction reports whether a transaction stands: an engine may have rolled
	// it back by itself.
	inTransaction() bool
	statements() int64 // run so far
	writes() int64     // of those, the ones that may have changed something
	close() error
}

// ask is a statement that reads, with its arguments.
type ask struct {
	sql  string
	args []any
}

// row is a row of a result. Columns count from 0.
type row interface {
	num(col int) int64
	text(col int) string
	bytes(col int) []byte // a copy
}

// one runs a statement that gives at most one row.
func one(c conn, sql string, each func(row), args ...any) (found bool, err error) {
	err = c.query(sql, func(r row) error { found = true; each(r); return nil }, args...)
	return found, err
}

// never is how the zero time is stored.
const never = math.MinInt64

// stamp and unstamp store a time as microseconds, which hold every year a
// header can claim.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMicro()
}

func unstamp(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// minutesEast and unstampIn store the zone that a time was given in, to the minute,
// as IMAP says it.
func minutesEast(t time.Time) int64 {
	_, seconds := t.Zone()
	return int64(seconds / 60)
}

func unstampIn(n, minutes int64) time.Time {
	t := unstamp(n)
	if minutes == 0 {
		return t
	}
	return t.In(time.FixedZone("", int(minutes)*60))
}

// number is an argument that engines know as an integer. It is asked first, as it
// needs no memory.
func number(arg any) (n int64, ok bool) {
	switch v := arg.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case time.Time:
		return stamp(v), true
	case mail.AccountID:
		return int64(v), true
	case mail.MailboxID:
		return int64(v), true
	case mail.MessageKey:
		return int64(v), true
	case mail.PlacementID:
		return int64(v), true
	case mail.Lineage:
		return int64(v), true
	case mail.ThreadID:
		return int64(v), true
	case mail.PrincipalID:
		return int64(v), true
	case mail.Rights:
		return int64(v), true
	case mail.DeviceID:
		return int64(v), true
	case mail.ObjectID:
		return int64(v), true
	case mail.UID:
		return int64(v), true
	case mail.UIDValidity:
		return int64(v), true
	case mail.ModSeq:
		return int64(v), true
	case mail.Epoch:
		return int64(v), true
	case mail.ActID:
		return int64(v), true
	case mail.SystemFlags:
		return int64(v), true
	case mail.Type:
		return int64(v), true
	case uint32:
		return int64(v), true
	case reason:
		return int64(v), true
	}
	return 0, false
}

// plain turns any other argument into what engines know: string, []byte or nil.
func plain(arg any) any {
	switch v := arg.(type) {
	case string, []byte, nil:
		return v
	case mail.Role:
		return string(v)
	case mail.Protocol:
		return string(v)
	case mail.Cause:
		return string(v)
	case mail.EmailID:
		return v[:]
	case mail.UploadID:
		return v[:]
	case mail.BlobName:
		return v[:]
	case ints:
		return v.text()
	}
	panic(fmt.Sprintf("sqlstore: argument of type %T", arg))
}

// A reason says why something vanished.
type reason int64

const (
	expunged reason = iota + 1
	moved
	hidden // every placement of an email is \Deleted
	deletedWithMailbox
)

// ints is bound to list(?n).
type ints []int64

func (v ints) text() string {
	b := make([]byte, 0, 2+8*len(v))
	b = append(b, '[')
	for i, n := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}
