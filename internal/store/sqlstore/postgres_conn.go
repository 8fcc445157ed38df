package sqlstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"lockstep/internal/mail"
)

// pgConn is the PostgreSQL dialect of conn. Statements are prepared once for each
// connection, and those whose answer nobody waits for travel with the next one.
type pgConn struct {
	open   func(context.Context) (*pgconn.PgConn, error)
	writer bool
	c      *pgconn.PgConn // nil until it is first used, and after it broke
	cache  map[string][]*pgStatement
	made   int // statements, for their names

	prospect
	reading *pgRows // whose rows are still on their way
	args    pgArgs
	tag     string // of the last answer

	count     atomic.Int64
	trips     atomic.Int64 // to the server and back
	wrote     int64
	answers   int64       // that somebody was given
	idle      atomic.Bool // nobody may use it
	idleSince time.Time
	waits     pending
	under     *pgconn.Pipeline // with answers that nobody has read, to
	sent      []pgWaiting
	next      int64 // number of content
	numbers   int   // that are left, from next on
}

// pgStatement is a statement for arguments of some kinds.
type pgStatement struct {
	name  string // "" until the server knows it
	kinds string
	sql   string
	text  string // as PostgreSQL has it, if it is not made of sql
	reads bool
}

// pgWaiting is a statement whose answer nobody waits for, or not yet.
type pgWaiting struct {
	st     *pgStatement
	values [][]byte
	ahead  bool // its rows are kept
	wanted bool // somebody waits for the answer

	foreseen bool // it was asked because of a Foresight
}

// pgAnswer is what a statement that was asked ahead gave.
type pgAnswer struct {
	pgWaiting
	rows    *pgRows
	changed int64
}

// Bounds of what waits for a statement that is waited for.
const (
	maxWaiting      = 64
	maxWaitingBytes = 128 << 10
)

// The kinds of arguments, and what PostgreSQL calls them; 'o' is a list of one.
var kindOIDs = map[byte]uint32{'o': pgtype.Int8OID, 'n': pgtype.Int8OID, 't': pgtype.TextOID, 'b': pgtype.ByteaOID, 'l': pgtype.Int8ArrayOID, '0': 0}

// pgArgs are the arguments of a statement as they are sent. Its memory is used again.
type pgArgs struct {
	buf    []byte
	ends   []int
	nulls  []bool
	kinds  []byte
	values [][]byte
	whole  bool // lists of one stay lists
}

func (a *pgArgs) bind(args []any) {
	a.buf, a.ends, a.nulls, a.kinds, a.values = a.buf[:0], a.ends[:0], a.nulls[:0], a.kinds[:0], a.values[:0]
	for _, arg := range args {
		kind := a.add(arg)
		a.kinds = append(a.kinds, kind)
		a.ends = append(a.ends, len(a.buf))
		a.nulls = append(a.nulls, kind == '0')
	}
	from := 0
	for i, end := range a.ends {
		value := a.buf[from:end:end]
		if a.nulls[i] {
			value = nil
		}
		a.values = append(a.values, value)
		from = end
	}
}

// add appends one argument and says of what kind it is.
func (a *pgArgs) add(arg any) byte {
	if list, ok := arg.(ints); ok {
		list = sortedSet(list)
		if len(list) == 1 && !a.whole {
			a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(list[0]))
			return 'o'
		}
		a.buf = appendArray(a.buf, list)
		return 'l'
	}
	if n, ok := number(arg); ok {
		a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(n))
		return 'n'
	}
	switch v := plain(arg).(type) {
	case string:
		a.buf = append(a.buf, toText(v)...)
		return 't'
	case []byte:
		a.buf = append(a.buf, v...)
		return 'b'
	}
	return '0'
}

// appendArray writes an array as PostgreSQL's binary format has it: dimensions,
// whether there are nulls, the type, then length and lower bound of the only
// dimension.
func appendArray(b []byte, list ints) []byte {
	dimensions := uint32(1)
	if len(list) == 0 {
		dimensions = 0
	}
	b = binary.BigEndian.AppendUint32(b, dimensions)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, pgtype.Int8OID)
	if len(list) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	b = binary.BigEndian.AppendUint32(b, 1)
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// Formats of arguments and results: all binary.
var binaryFormat = []int16{1}

// connect makes sure that there is a connection.
func (p *pgConn) connect(ctx context.Context) error {
	if p.c != nil && !p.c.IsClosed() {
		return nil
	}
	p.prospect, p.reading, p.cache, p.c, p.numbers = prospect{}, nil, nil, nil, 0
	c, err := p.open(ctx)
	if err == nil && p.writer {
		err = loopsWell(ctx, c)
	}
	if err != nil {
		return pgReadable(err)
	}
	p.c = c
	return nil
}

// prepare returns the statement for arguments of these kinds, which the server knows.
func (p *pgConn) prepare(sql string, kinds []byte) (*pgStatement, error) {
	st := p.statement(sql, string(kinds), "")
	return st, p.know(st)
}

// statement returns the one for arguments of these kinds.
func (p *pgConn) statement(sql, kinds, text string) *pgStatement {
	for _, st := range p.cache[sql] {
		if st.kinds == kinds && st.text == text {
			return st
		}
	}
	st := &pgStatement{kinds: kinds, sql: sql, text: text, reads: strings.HasPrefix(sql, "SELECT") || strings.HasPrefix(sql, "WITH")}
	if p.cache == nil {
		p.cache = map[string][]*pgStatement{}
	}
	p.cache[sql] = append(p.cache[sql], st)
	return st
}

// know makes a statement known to the server.
func (p *pgConn) know(st *pgStatement) error {
	if st.name != "" {
		return nil
	}
	if p.c == nil || p.c.IsClosed() {
		return errNoDatabase
	}
	if p.reading != nil {
		p.reading.drain()
	}
	if p.c.TxStatus() == 'E' { // what waits ends the transaction, and nothing else can be said before
		if err := p.flush(); err != nil {
			return err
		}
	}
	oids := make([]uint32, len(st.kinds))
	for i := range oids {
		oids[i] = kindOIDs[st.kinds[i]]
	}
	text := st.text
	if text == "" {
		text = toPostgres(singly(st.sql, st.kinds))
	}
	p.made++
	name := "s" + strconv.Itoa(p.made)
	d, err := p.c.Prepare(context.Background(), name, text, oids)
	p.trips.Add(1)
	if err != nil {
		p.wrote++ // the transaction is lost
		return fmt.Errorf("%w in %s", pgReadable(err), st.sql)
	}
	if len(d.ParamOIDs) != len(oids) {
		panic(fmt.Sprintf("sqlstore: %d arguments for %d parameters in %s", len(oids), len(d.ParamOIDs), st.sql))
	}
	st.name = name
	return nil
}

var errNoDatabase = mail.Errorf(mail.Unavailable, "the database can't be reached now")

func (p *pgConn) query(sql string, each func(row) error, args ...any) error {
	_, err := p.run(sql, each, args)
	return err
}

// run sends what waits and a statement, and reads the answers.
func (p *pgConn) run(sql string, each func(row) error, args []any) (changed int64, err error) {
	if p.idle.Load() {
		panic("sqlstore: a Reader is used after its View")
	}
	if p.reading != nil {
		p.reading.drain()
	}
	p.args.bind(args)
	st, err := p.prepare(sql, p.args.kinds)
	if err != nil {
		return 0, err
	}
	if rows, err := p.recall(st); err != nil || rows != nil {
		if err != nil {
			return 0, err
		}
		return p.readBuffered(st, rows, each)
	}
	p.noteRun(st)
	if len(p.waiting) > 0 {
		return p.runTogether(st, each)
	}
	p.trips.Add(1)
	rr := p.c.ExecPrepared(context.Background(), st.name, p.args.values, binaryFormat, binaryFormat)
	return p.read(st, rr, each)
}

func (p *pgConn) noteRun(st *pgStatement) {
	p.count.Add(1)
	if !st.reads {
		p.wrote++
		p.forgetForeseen()
	}
}

// read reads the answer to a statement. What each asks for meanwhile has the
// connection for itself: the rest of the rows is then read into memory.
func (p *pgConn) read(st *pgStatement, rr *pgconn.ResultReader, each func(row) error) (changed int64, err error) {
	rows := &pgRows{conn: p, rr: rr}
	p.reading = rows
	for err == nil && rows.next() {
		p.answers++
		if each != nil {
			err = each(rows)
		}
	}
	if p.reading == rows {
		p.reading = nil
	}
	tag, failed := rows.close()
	if failed != nil {
		p.wrote++
		return 0, p.failed(failed, st)
	}
	p.answers++
	p.tag = tag.String()
	return tag.RowsAffected(), err
}

func (p *pgConn) failed(err error, st *pgStatement) error {
	if known := pgReadable(err); known != err || errors.As(err, new(*mail.Error)) {
		return known
	}
	return fmt.Errorf("%w in %s", err, st.sql)
}

// later runs a statement before the next one that is waited for, whose error is its
// own then.
func (p *pgConn) later(sql string, args ...any) error {
	if p.reading != nil {
		p.reading.drain()
	}
	p.args.bind(args)
	st, err := p.prepare(sql, p.args.kinds)
	if err != nil {
		return err
	}
	p.noteRun(st)
	p.waiting = append(p.waiting, pgWaiting{st: st, values: cloneValues(p.args.values)})
	if len(p.waiting) >= maxWaiting || len(p.args.buf) > maxWaitingBytes {
		return p.flush()
	}
	return nil
}

// ahead sends questions along with the next statement that is waited for. run finds
// the answers.
func (p *pgConn) ahead(asks ...ask) error {
	p.forgetAhead()
	for _, q := range asks {
		if p.reading != nil {
			p.reading.drain()
		}
		p.args.bind(q.args)
		st, err := p.prepare(q.sql, p.args.kinds)
		if err != nil {
			return err
		}
		if p.claim(st, p.args.values) {
			continue
		}
		p.noteRun(st)
		p.waiting = append(p.waiting, pgWaiting{st: st, values: cloneValues(p.args.values), ahead: true})
	}
	return nil
}

// recall returns the answer to a statement that was asked ahead with the same
// arguments, once, and sends what waits if the question is still there.
func (p *pgConn) recall(st *pgStatement) (*pgRows, error) {
	if slices.ContainsFunc(p.waiting, func(w pgWaiting) bool { return w.ahead && w.is(st, p.args.values) }) {
		if err := p.flush(); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(p.known, func(a pgAnswer) bool { return a.is(st, p.args.values) })
	if i < 0 {
		return nil, nil
	}
	rows := p.known[i].rows
	p.known = slices.Delete(p.known, i, i+1)
	return rows, nil
}

// flush sends what waits and reads the answers.
func (p *pgConn) flush() error {
	if len(p.waiting) == 0 {
		return nil
	}
	_, err := p.runTogether(nil, nil)
	return err
}

// runTogether sends what waits, and st after it, in one trip. What follows one that
// failed is not run.
func (p *pgConn) runTogether(st *pgStatement, each func(row) error) (changed int64, err error) {
	waiting := p.waiting
	p.waiting = nil
	p.trips.Add(1)
	pl := p.c.StartPipeline(context.Background())
	for _, w := range waiting {
		pl.SendQueryPrepared(w.st.name, w.values, binaryFormat, binaryFormat)
	}
	if st != nil {
		pl.SendQueryPrepared(st.name, p.args.values, binaryFormat, binaryFormat)
	}
	if err := pl.Sync(); err != nil {
		pl.Close()
		return 0, pgReadable(err)
	}
	var failed error
	for _, w := range waiting {
		err := p.nextResult(pl, w)
		if err != nil && failed == nil {
			failed = p.failed(err, w.st)
		}
	}
	if failed == nil && st != nil {
		result, err := pl.GetResults()
		if err != nil {
			failed = p.failed(err, st)
		} else {
			rr := result.(*pgconn.ResultReader)
			rows := &pgRows{conn: p, rr: rr, pipeline: pl}
			// The pipeline has to be closed before another statement: so all rows come at once.
			rows.buffer()
			if err := pl.Close(); err != nil {
				rows.err = errors.Join(rows.err, err)
			}
			return p.readBuffered(st, rows, each)
		}
	}
	if err := pl.Close(); err != nil && failed == nil {
		failed = pgReadable(err)
	}
	if failed != nil {
		p.wrote++
	}
	return 0, failed
}

func (p *pgConn) readBuffered(st *pgStatement, rows *pgRows, each func(row) error) (int64, error) {
	if rows.err != nil {
		p.wrote++
		return 0, p.failed(rows.err, st)
	}
	p.answers++
	p.tag = rows.tag.String()
	for rows.next() {
		if each == nil {
			continue
		}
		if err := each(rows); err != nil {
			return 0, err
		}
	}
	return rows.tag.RowsAffected(), nil
}

// nextResult reads the answer to one statement of a pipeline, and throws its rows away
// unless they were asked ahead.
func (p *pgConn) nextResult(pl *pgconn.Pipeline, w pgWaiting) error {
	result, err := pl.GetResults()
	if err != nil {
		return err
	}
	rr, ok := result.(*pgconn.ResultReader)
	if !ok {
		return nil
	}
	if !w.ahead {
		_, err = rr.Close()
		return err
	}
	rows := &pgRows{conn: p, rr: rr}
	rows.buffer()
	p.known = append(p.known, pgAnswer{pgWaiting: w, rows: rows})
	return rows.err
}

// nextRows reads the whole answer to the next statement of a pipeline.
func (p *pgConn) nextRows(pl *pgconn.Pipeline) *pgRows {
	rows := &pgRows{conn: p}
	result, err := pl.GetResults()
	if err != nil {
		rows.err = err
		return rows
	}
	rows.rr = result.(*pgconn.ResultReader)
	rows.buffer()
	return rows
}

func (p *pgConn) exec(sql string, args ...any) (int64, error) { return p.run(sql, nil, args) }

// numbersAtOnce is how many numbers a connection takes from the sequence: so that a
// row does not cost a trip of its own.
const numbersAtOnce = 1000

const takeNumbers = "SELECT nextval(pg_get_serial_sequence('content', 'content_id'))"

// insert gives the row the next of the numbers that the connection has, as the last
// argument.
func (p *pgConn) insert(sql string, args ...any) (int64, error) {
	n, err := p.number()
	if err != nil {
		return 0, err
	}
	return n, p.later(sql, append(args, n)...)
}

func (p *pgConn) number() (n int64, err error) {
	if p.numbers == 0 {
		if _, err := one(p, takeNumbers, func(r row) { p.next, p.numbers = r.num(0), numbersAtOnce }); err != nil {
			return 0, err
		}
	}
	n = p.next
	p.next++
	p.numbers--
	return n, nil
}

// commit makes sure that it was one: PostgreSQL ends a transaction that failed
// without an error.
func (p *pgConn) commit() error {
	p.tag = ""
	if _, err := p.exec("COMMIT"); err != nil {
		return err
	}
	if p.tag != "COMMIT" {
		return errLost
	}
	return nil
}

var _ sharedConn = (*pgConn)(nil)

func (p *pgConn) pending() *pending { return &p.waits }

func (p *pgConn) setIdle(idle bool) {
	if idle {
		p.sendOff()
		p.idleSince = time.Now()
	} else {
		p.hearBack()
	}
	p.idle.Store(idle)
}

// sendOff sends what waits, which ends a View, without waiting for the answers: a
// snapshot that is held keeps the server from cleaning up. hearBack reads them.
func (p *pgConn) sendOff() {
	if len(p.waiting) == 0 || p.c == nil || p.c.IsClosed() {
		return
	}
	p.under, p.sent = p.c.StartPipeline(context.Background()), p.waiting
	for _, w := range p.sent {
		p.under.SendQueryPrepared(w.st.name, w.values, binaryFormat, binaryFormat)
	}
	p.waiting, p.known = nil, nil
	_ = p.under.Sync() // hearBack finds out
}

// hearBack closes a connection on which something went wrong meanwhile.
func (p *pgConn) hearBack() {
	if p.under == nil {
		return
	}
	var err error
	for _, w := range p.sent {
		w.ahead = false
		err = errors.Join(err, p.nextResult(p.under, w))
	}
	if err = errors.Join(err, p.under.Close()); err != nil {
		p.close()
	}
	p.under, p.sent = nil, nil
}

// isBroken is asked of a connection that nobody uses, which the server may have ended
// since.
func (p *pgConn) isBroken() bool {
	switch {
	case p.c == nil || p.c.IsClosed():
		return true
	case p.under != nil:
		p.hearBack()
		return p.isBroken()
	case p.c.TxStatus() != 'I':
		return true
	case time.Since(p.idleSince) < pgFresh:
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), pgConnectTime)
	defer cancel()
	return p.c.Ping(ctx) != nil
}

// mark and brokeAt tell who asks whether the connection broke before it gave an answer:
// then nothing came of what was done with it since the mark.
func (p *pgConn) mark() int64 { return p.answers }

func (p *pgConn) brokeAt(mark int64) bool {
	return p.answers == mark && (p.c == nil || p.c.IsClosed())
}

// pgFresh is for how long a connection is taken to be there still.
const pgFresh = time.Second

// rollback forgets what waits, and what was done. A connection that broke needs none.
func (p *pgConn) rollback() error {
	p.prospect = prospect{}
	if p.c == nil || p.c.IsClosed() || p.c.TxStatus() == 'I' {
		return nil
	}
	return p.script("ROLLBACK")
}

func (p *pgConn) script(sql string) error {
	if p.c == nil || p.c.IsClosed() {
		return errNoDatabase
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.trips.Add(1)
	return pgReadable(p.c.Exec(context.Background(), sql).Close())
}

// inTransaction also holds for a transaction that failed and waits to be rolled back.
func (p *pgConn) inTransaction() bool {
	return p.c != nil && !p.c.IsClosed() && (p.c.TxStatus() != 'I' || len(p.waiting) > 0)
}

const selectClock = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"

func (p *pgConn) clock() (int64, error) { return clockOf(p) }

// clockOf is the server's, which all nodes have in common.
func clockOf(c conn) (micros int64, err error) {
	_, err = one(c, selectClock, func(r row) { micros = r.num(0) })
	return micros, err
}

func (p *pgConn) statements() int64 { return p.count.Load() }

func (p *pgConn) writes() int64 { return p.wrote }

func (p *pgConn) close() error {
	if p.c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), pgCloseTime)
	defer cancel()
	return p.c.Close(ctx)
}

// pgRows are the rows of an answer, and the row that each is at.
type pgRows struct {
	conn     *pgConn
	rr       *pgconn.ResultReader // nil once all is read
	pipeline *pgconn.Pipeline
	at       [][]byte
	oids     []uint32
	rest     [][][]byte // read before they were wanted
	tag      pgconn.CommandTag
	err      error
}

func (r *pgRows) next() bool {
	if len(r.rest) > 0 {
		r.at, r.rest = r.rest[0], r.rest[1:]
		return true
	}
	if r.rr == nil || !r.rr.NextRow() {
		return false
	}
	r.learn()
	r.at = r.rr.Values()
	return true
}

func (r *pgRows) learn() {
	if r.oids != nil {
		return
	}
	for _, f := range r.rr.FieldDescriptions() {
		r.oids = append(r.oids, f.DataTypeOID)
	}
}

// drain reads what is left into memory, so that the connection is free.
func (r *pgRows) drain() {
	r.at = cloneValues(r.at)
	r.buffer()
	r.conn.reading = nil
}

func (r *pgRows) buffer() {
	if r.rr == nil {
		return
	}
	for r.rr.NextRow() {
		r.learn()
		r.rest = append(r.rest, cloneValues(r.rr.Values()))
	}
	r.tag, r.err = r.rr.Close()
	r.rr = nil
}

func cloneValues(values [][]byte) [][]byte {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	buf := make([]byte, 0, size)
	out := make([][]byte, len(values))
	for i, v := range values {
		if v != nil {
			from := len(buf)
			buf = append(buf, v...)
			out[i] = buf[from:len(buf):len(buf)]
		}
	}
	return out
}

func (r *pgRows) close() (pgconn.CommandTag, error) {
	if r.rr != nil {
		r.tag, r.err = r.rr.Close()
		r.rr = nil
	}
	return r.tag, r.err
}

func (r *pgRows) num(col int) int64 {
	v := r.at[col]
	switch {
	case v == nil:
		return 0
	case r.oids[col] == pgtype.NumericOID:
		return wholeNumber(v)
	}
	switch len(v) {
	case 8:
		return int64(binary.BigEndian.Uint64(v))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case 2:
		return int64(int16(binary.BigEndian.Uint16(v)))
	case 1:
		return int64(v[0]) // a boolean
	}
	panic(fmt.Sprintf("sqlstore: column %d is no number", col))
}

// wholeNumber reads a numeric, which is what sums are.
func wholeNumber(v []byte) int64 {
	var n pgtype.Numeric
	if err := (pgtype.NumericCodec{}).PlanScan(nil, pgtype.NumericOID, 1, &n).Scan(v, &n); err != nil || n.Int == nil {
		return 0
	}
	whole := new(big.Int).Set(n.Int)
	if n.Exp > 0 {
		whole.Mul(whole, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.Exp)), nil))
	}
	return whole.Int64()
}

func (r *pgRows) text(col int) string {
	switch r.oids[col] {
	case pgtype.Int8OID, pgtype.Int4OID, pgtype.NumericOID:
		if r.at[col] == nil {
			return ""
		}
		return strconv.FormatInt(r.num(col), 10)
	}
	return fromText(r.at[col])
}

func (r *pgRows) bytes(col int) []byte {
	if len(r.at[col]) == 0 {
		return nil
	}
	return slices.Clone(r.at[col])
}

// pgReadable gives the errors that people can do something about a Kind and words;
// the rest stays Internal.
func pgReadable(err error) error {
	if err == nil || errors.As(err, new(*mail.Error)) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database can't be reached now", Err: err}
	}
	switch {
	case pg.Code == "53100":
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database's disk is full", Err: err}
	case pg.Code == "25006":
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database is a standby that can only be read", Err: err}
	case pg.Code == "57014" || pg.Code == "55P03":
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database took too long", Err: err}
	case strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "58"):
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database can't serve now: " + pg.Message, Err: err}
	case strings.HasPrefix(pg.Code, "28"), pg.Code == "3D000":
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database does not let us in: " + pg.Message, Err: err}
	case pg.Code == "40001" || pg.Code == "40P01":
		return &mail.Error{Kind: mail.Unavailable, Detail: "others changed the same things at once, too often", Err: err}
	case pg.Code == "XX001" || pg.Code == "XX002":
		return &mail.Error{Kind: mail.Corrupt, Detail: "the database is damaged", Err: err}
	}
	return err
}

// isRetryable reports whether the same closure may succeed when it is run again:
// nothing of it stands.
func isRetryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
