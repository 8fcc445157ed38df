package search

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"lockstep/internal/mail"
)

// link is a connection to PostgreSQL. Statements are prepared once for each, in the
// trip of their first use, and any number of them goes in one. Used by one goroutine.
type link struct {
	c     *pgconn.PgConn
	names map[string]string
	trips *atomic.Int64
	bad   bool // a trip failed: nobody knows where it stands
}

// statement is one to be run.
type statement struct {
	sql     string
	args    []any
	each    func(row) error // nil: its rows do not matter
	changed *int64          // how many rows it changed; may be nil
}

// row is a row of an answer, valid during the call.
type row [][]byte

func (r row) num(i int) int64 {
	if len(r[i]) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(r[i]))
}

func (r row) text(i int) string  { return string(r[i]) }
func (r row) bytes(i int) []byte { return append([]byte{}, r[i]...) }

// The kinds of arguments, and their arrays.
func argument(arg any) (oid uint32, value []byte) {
	switch v := arg.(type) {
	case int64:
		return pgtype.Int8OID, binary.BigEndian.AppendUint64(nil, uint64(v))
	case string:
		return pgtype.TextOID, []byte(v)
	case []byte:
		return pgtype.ByteaOID, append([]byte{}, v...)
	case []int64:
		return pgtype.Int8ArrayOID, array(pgtype.Int8OID, len(v), func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v[i])) })
	case []mail.MessageKey:
		return pgtype.Int8ArrayOID, array(pgtype.Int8OID, len(v), func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v[i])) })
	case []string:
		return pgtype.TextArrayOID, array(pgtype.TextOID, len(v), func(i int) []byte { return []byte(v[i]) })
	case [][]byte:
		return pgtype.ByteaArrayOID, array(pgtype.ByteaOID, len(v), func(i int) []byte { return v[i] })
	}
	panic(fmt.Sprintf("search: argument of type %T", arg))
}

// array writes an array as PostgreSQL's binary format has it: dimensions, whether there
// are nulls, the type, then length and lower bound of the only dimension.
func array(oid uint32, n int, element func(int) []byte) []byte {
	if n == 0 {
		return binary.BigEndian.AppendUint32(make([]byte, 8), oid)
	}
	b := binary.BigEndian.AppendUint32(nil, 1)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, oid)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, 1)
	for i := range n {
		e := element(i)
		b = binary.BigEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	return b
}

var binaryFormat = []int16{1}

// run sends statements in one trip. One that fails undoes what the trip did outside a
// transaction, the rest is not run, and the connection is used no more.
func (l *link) run(ctx context.Context, all ...statement) error {
	l.trips.Add(1)
	p := l.c.StartPipeline(ctx)
	for _, s := range all {
		l.send(p, s)
	}
	err := p.Sync()
	if err == nil {
		err = l.receive(p, all)
	}
	if closed := p.Close(); err == nil {
		err = closed
	}
	l.bad = l.bad || err != nil
	return err
}

func (l *link) send(p *pgconn.Pipeline, s statement) {
	oids, values := make([]uint32, len(s.args)), make([][]byte, len(s.args))
	for i, arg := range s.args {
		oids[i], values[i] = argument(arg)
	}
	name, known := l.names[s.sql]
	if !known {
		name = "search" + strconv.Itoa(len(l.names))
		l.names[s.sql] = name
		p.SendPrepare(name, s.sql, oids)
	}
	p.SendQueryPrepared(name, values, binaryFormat, binaryFormat)
}

func (l *link) receive(p *pgconn.Pipeline, all []statement) error {
	at := 0
	for {
		result, err := p.GetResults()
		if err != nil {
			return err
		}
		switch r := result.(type) {
		case nil, *pgconn.PipelineSync:
			return nil
		case *pgconn.ResultReader:
			err := all[at].read(r)
			if err != nil {
				return err
			}
			at++
		}
	}
}

func (s *statement) read(r *pgconn.ResultReader) error {
	var failed error
	for r.NextRow() {
		if s.each != nil && failed == nil {
			failed = s.each(row(r.Values()))
		}
	}
	tag, err := r.Close()
	if err == nil && s.changed != nil {
		*s.changed = tag.RowsAffected()
	}
	if err == nil {
		err = failed
	}
	return err
}
