package search

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/mail"
)

// tables keeps the indexes of all accounts in the PostgreSQL database that nodes share.
// Its methods are safe for concurrent use.
//
// Who writes an account's index has a claim on it: holder and fence in search_state, good
// until a time by the server's clock. Each transaction begins with renewing it, which
// keeps the row locked until the end, and one that does not find it as it was ends. So a
// node that slept does not commit, and nobody takes a claim away from a transaction.
type tables struct {
	dial     func(context.Context) (*pgconn.PgConn, error)
	readable func(error) error
	holder   string // no other process has it
	trips    atomic.Int64

	reading, writing chan struct{} // a token for each connection that may be in use

	mu     sync.Mutex
	free   []*link
	closed bool
	claims map[mail.AccountID]claim
}

// claim is what this process knows of one of its own.
type claim struct {
	fence int64
	until time.Time // at the latest
}

const (
	claimFor  = 30 * time.Second // after each commit
	maxLinks  = 8                // connections for questions
	maxPens   = 4                // and for writing
	maxClaims = 10_000           // that are remembered; others are taken again
)

// heldError says that another node follows an account's changes.
type heldError struct {
	left time.Duration // until its claim ends, unless it renews it
}

func (*heldError) Error() string { return "another node follows the account's changes" }

func newTables(n *Nodes) *tables {
	return &tables{dial: n.Dial, readable: n.Readable, holder: rand.Text(), reading: make(chan struct{}, maxLinks), writing: make(chan struct{}, maxPens), claims: map[mail.AccountID]claim{}}
}

// With what a connection begins. What is committed here can be made again, so it does
// not wait for the disk, and goes there in the order of all commits; what has to be gone
// says so. And all statements look for few rows by an index that has them in order:
// a planner that guesses otherwise, of an index that grew lately, is wrong.
var settings = []string{"SET synchronous_commit = off", "SET enable_bitmapscan = off", "SET enable_sort = off", "SET enable_hashjoin = off", "SET enable_mergejoin = off"}

// settle says the settings; an engine that has no such thing goes without.
func settle(ctx context.Context, c *pgconn.PgConn) error {
	for _, sql := range settings {
		if err := c.Exec(ctx, sql).Close(); err != nil && !errors.As(err, new(*pgconn.PgError)) {
			return err
		}
	}
	return nil
}

// link takes a connection; gone gives it back.
func (t *tables) link(ctx context.Context, turn chan struct{}) (*link, error) {
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	t.mu.Lock()
	if n := len(t.free); n > 0 {
		l := t.free[n-1]
		t.free = t.free[:n-1]
		t.mu.Unlock()
		if !l.c.IsClosed() {
			return l, nil
		}
	} else {
		t.mu.Unlock()
	}
	c, err := t.dial(ctx)
	if err == nil {
		err = settle(ctx, c)
	}
	if err != nil {
		<-turn
		return nil, t.readable(err)
	}
	return &link{c: c, names: map[string]string{}, trips: &t.trips}, nil
}

func (t *tables) giveBack(l *link, turn chan struct{}) {
	defer func() { <-turn }()
	t.mu.Lock()
	if !t.closed && !l.bad && !l.c.IsClosed() && l.c.TxStatus() == 'I' && len(t.free) < maxLinks {
		t.free = append(t.free, l)
		l = nil
	}
	t.mu.Unlock()
	if l != nil {
		l.close()
	}
}

func (l *link) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.c.Close(ctx)
}

// with runs statements on a connection of their own.
func (t *tables) with(ctx context.Context, turn chan struct{}, all ...statement) error {
	l, err := t.link(ctx, turn)
	if err != nil {
		return err
	}
	defer t.giveBack(l, turn)
	return t.readable(l.run(ctx, all...))
}

const (
	beginReading  = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	selectState   = "SELECT format, state FROM search_state WHERE account_id = $1"
	selectSegment = "SELECT segment_id, docs, words FROM search_segment WHERE account_id = $1 ORDER BY segment_id"
)

// read begins with what every question asks for: a trip for the state and the segments.
func (t *tables) read(ctx context.Context, a mail.AccountID, fn func(shelf) error) error {
	l, err := t.link(ctx, t.reading)
	if err != nil {
		return err
	}
	defer t.giveBack(l, t.reading)
	s := &table{t: t, l: l, ctx: ctx, account: a}
	made := int64(0)
	err = l.run(ctx, statement{sql: beginReading},
		statement{sql: selectState, args: []any{int64(a)}, each: func(r row) error {
			made, s.is = r.num(0), r.text(1)
			return nil
		}},
		statement{sql: selectSegment, args: []any{int64(a)}, each: s.takeSegment})
	if err != nil {
		return t.readable(err)
	}
	if made == format {
		s.known = true
		err = fn(s)
	} else {
		err = errNoIndex
	}
	if !l.bad {
		_ = l.run(ctx, statement{sql: "ROLLBACK"})
	}
	return err
}

const (
	clock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

	insertState = "INSERT INTO search_state (account_id, format, holder, fence, until, needed, state) VALUES ($1, 0, '', 0, 0, " + clock + ", '') ON CONFLICT DO NOTHING"
	takeClaim   = `UPDATE search_state SET holder = $2, fence = fence + 1, until = ` + clock + ` + $3
	WHERE account_id = $1 AND account_id IN (SELECT account_id FROM search_state WHERE account_id = $1 AND format <= $4 AND (holder = $2 OR until < ` + clock + `) FOR UPDATE SKIP LOCKED)
	RETURNING fence, format, state`
	selectClaim  = "SELECT until - " + clock + ", format FROM search_state WHERE account_id = $1"
	renewClaim   = "UPDATE search_state SET until = " + clock + " + $4 WHERE account_id = $1 AND holder = $2 AND fence = $3"
	seizeClaim   = "UPDATE search_state SET holder = $2, fence = fence + 1, until = " + clock + " + $3, format = 0, state = '' WHERE account_id = $1 RETURNING fence"
	releaseClaim = "UPDATE search_state SET until = 0 WHERE account_id = ANY ($1) AND holder = $2"
	writeState   = "UPDATE search_state SET state = $2, format = $3 WHERE account_id = $1"
	deleteState  = "DELETE FROM search_state WHERE account_id = $1"
)

// take claims an account's index. It is a heldError when another node has it.
func (t *tables) take(ctx context.Context, a mail.AccountID) (pen, error) {
	l, err := t.link(ctx, t.writing)
	if err != nil {
		return nil, err
	}
	s := &table{t: t, l: l, ctx: ctx, account: a}
	made, err := t.claim(ctx, s)
	if err == nil && made != format {
		err = s.clear(false)
	}
	if err != nil {
		s.putBack()
		return nil, err
	}
	return s, nil
}

// claim takes the claim, and returns the format of what is there.
func (t *tables) claim(ctx context.Context, s *table) (made int64, err error) {
	for range 2 {
		began, left, found := time.Now(), int64(0), false
		err := s.l.run(ctx,
			statement{sql: takeClaim, args: []any{int64(s.account), t.holder, claimFor.Microseconds(), int64(format)}, each: func(r row) error {
				s.fence, made, s.is = r.num(0), r.num(1), r.text(2)
				return nil
			}},
			statement{sql: selectSegment, args: []any{int64(s.account)}, each: s.takeSegment},
			statement{sql: selectClaim, args: []any{int64(s.account)}, each: func(r row) error {
				left, found = r.num(0), true
				return nil
			}})
		switch {
		case err != nil:
			return 0, t.readable(err)
		case s.fence > 0:
			s.known = true
			t.renewed(s.account, s.fence, began)
			return made, nil
		case found: // by another, or by a newer version of this program
			t.dropClaim(s.account)
			return 0, &heldError{min(max(time.Duration(left)*time.Microsecond, time.Second), claimFor)}
		}
		if err := s.l.run(ctx, statement{sql: insertState, args: []any{int64(s.account)}}); err != nil {
			return 0, t.readable(err)
		}
	}
	return 0, &heldError{claimFor}
}

func (t *tables) renewed(a mail.AccountID, fence int64, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.claims) >= maxClaims {
		for a, c := range t.claims {
			if time.Now().After(c.until) || len(t.claims) >= maxClaims {
				delete(t.claims, a)
			}
		}
	}
	t.claims[a] = claim{fence, began.Add(claimFor)}
}

func (t *tables) dropClaim(a mail.AccountID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claims, a)
}

// mine reports whether nobody else can have written since this process did.
func (t *tables) mine(a mail.AccountID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().Before(t.claims[a].until)
}

// discard takes the claim from whoever has it, and removes all rows.
func (t *tables) discard(ctx context.Context, a mail.AccountID) error {
	l, err := t.link(ctx, t.writing)
	if err != nil {
		return err
	}
	t.dropClaim(a)
	defer t.dropClaim(a)
	s := &table{t: t, l: l, ctx: ctx, account: a}
	defer s.putBack()
	err = l.run(ctx, statement{sql: "BEGIN"}, statement{sql: "SET LOCAL synchronous_commit = on"},
		statement{sql: seizeClaim, args: []any{int64(a), t.holder, claimFor.Microseconds()}, each: func(r row) error {
			s.fence = r.num(0)
			return nil
		}}, statement{sql: "COMMIT"})
	if err != nil || s.fence == 0 {
		return t.readable(err)
	}
	return s.clear(true)
}

// size is not told: to count would be to read all of it.
func (t *tables) size(context.Context, mail.AccountID) (int64, error) { return 0, nil }

const selectTextless = `SELECT 1 FROM search_doc d WHERE d.account_id = $1 AND d.flags & 4 = 0
	AND NOT EXISTS (SELECT 1 FROM search_text x WHERE x.account_id = d.account_id AND x.message_key = d.message_key) LIMIT 1`

func (t *tables) check(ctx context.Context, a mail.AccountID) (problems []string, err error) {
	err = t.read(ctx, a, func(s shelf) error {
		return s.(*table).run(statement{sql: selectTextless, args: []any{int64(a)}, each: func(row) error {
			problems = append(problems, "a message has no text")
			return nil
		}})
	})
	return problems, err
}

func (t *tables) release() {} // PostgreSQL keeps its own

// close gives claims up, so that other nodes go on at once.
func (t *tables) close() error {
	t.mu.Lock()
	t.closed = true
	free := t.free
	t.free = nil
	var held []int64
	for a := range t.claims {
		held = append(held, int64(a))
	}
	clear(t.claims)
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if len(held) > 0 {
		_ = t.with(ctx, t.writing, statement{sql: releaseClaim, args: []any{held, t.holder}}) // else they end by themselves
	}
	for _, l := range free {
		l.close()
	}
	return nil
}

const (
	noteNeeded   = "UPDATE search_state SET needed = " + clock + " WHERE account_id = $1"
	selectNeeded = "SELECT account_id, (" + clock + " - needed) FROM search_state WHERE account_id > $1 ORDER BY account_id LIMIT 1000"
)

// needed notes that somebody has use for an account's index.
func (t *tables) needed(ctx context.Context, a mail.AccountID) error {
	return t.with(ctx, t.reading, statement{sql: noteNeeded, args: []any{int64(a)}})
}

// eachNeeded calls each with every account that has an index, and how long ago it was
// needed, some thousand at a time.
func (t *tables) eachNeeded(ctx context.Context, each func(a mail.AccountID, ago time.Duration) error) error {
	type needed struct {
		a   mail.AccountID
		ago time.Duration
	}
	for last := mail.AccountID(0); ; {
		var page []needed
		err := t.with(ctx, t.reading, statement{sql: selectNeeded, args: []any{int64(last)}, each: func(r row) error {
			page = append(page, needed{mail.AccountID(r.num(0)), time.Duration(r.num(1)) * time.Microsecond})
			return nil
		}})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, n := range page {
			if err := each(n.a, n.ago); err != nil {
				return err
			}
		}
		last = page[len(page)-1].a
	}
}

// table is a shelf and a pen: an account's rows.
type table struct {
	t       *tables
	l       *link
	ctx     context.Context // of the one call that it lives for
	account mail.AccountID

	known bool // what follows was asked for
	is    string
	segs  []segmentRow

	fence   int64
	writing bool
	waiting []statement // within a transaction
	bytes   int         // of these
	renewed int64       // how many claims were: one, or it is lost
}

// maxWaitingBytes is how much is written in one trip.
const maxWaitingBytes = 1 << 20

func (s *table) putBack() { s.t.giveBack(s.l, s.t.writing) }

func (s *table) takeSegment(r row) error {
	s.segs = append(s.segs, segmentRow{r.num(0), r.num(1), r.num(2)})
	return nil
}

// run sends what waits and statements.
func (s *table) run(all ...statement) error {
	all = append(s.waiting, all...)
	s.waiting, s.bytes = nil, 0
	if err := s.l.run(s.ctx, all...); err != nil {
		return s.t.readable(err)
	}
	if s.writing && s.renewed != 1 {
		s.t.dropClaim(s.account)
		return &heldError{claimFor}
	}
	return nil
}

// later sends a statement with the next, or at once where there is much.
func (s *table) later(size int, st statement) error {
	s.waiting = append(s.waiting, st)
	if s.bytes += size; s.bytes > maxWaitingBytes {
		return s.run()
	}
	return nil
}

// transact takes two trips, and one for each maxWaitingBytes.
func (s *table) transact(fn func() error) error {
	began := time.Now()
	s.known, s.writing, s.renewed = false, true, 0
	s.waiting = []statement{{sql: "BEGIN"}, {sql: renewClaim, args: []any{int64(s.account), s.t.holder, s.fence, claimFor.Microseconds()}, changed: &s.renewed}}
	err := fn()
	if err == nil {
		err = s.run()
	}
	s.writing, s.waiting, s.bytes = false, nil, 0
	if err == nil {
		if err = s.t.readable(s.l.run(s.ctx, statement{sql: "COMMIT"})); err == nil {
			s.t.renewed(s.account, s.fence, began)
		}
		return err
	}
	if !s.l.bad && s.l.c.TxStatus() != 'I' {
		_ = s.l.run(s.ctx, statement{sql: "ROLLBACK"})
	}
	return err
}

// clearRows is how many rows of each table go in one transaction.
const clearRows = 2000

// clear removes what there is, under the claim, and with forget the claim too.
func (s *table) clear(forget bool) error {
	for _, table := range []string{"search_block", "search_segment", "search_text", "search_trouble", "search_doc"} {
		key := map[string]string{"search_block": "segment_id, first", "search_segment": "segment_id"}[table]
		key = cmp.Or(key, "message_key")
		sql := strings.NewReplacer("TABLE", table, "KEY", key).Replace(deleteSome)
		for n := int64(clearRows); n == clearRows; {
			err := s.transact(func() error {
				return s.run(statement{sql: "SET LOCAL synchronous_commit = on"}, statement{sql: sql, args: []any{int64(s.account)}, changed: &n})
			})
			if err != nil {
				return err
			}
		}
	}
	s.is, s.segs = "", nil
	return s.transact(func() error {
		if forget {
			return s.run(statement{sql: "SET LOCAL synchronous_commit = on"}, statement{sql: deleteState, args: []any{int64(s.account)}})
		}
		return s.setState("")
	})
}

// Each of these is a descent by the whole key, and a walk over what is wanted. LIMIT 1
// keeps the planner from joining instead, which may go through all that the account has.
const (
	selectDocs   = "SELECT d.message_key, d.flags, d.date, d.words FROM unnest($2::bigint[]) AS k (n) CROSS JOIN LATERAL (SELECT x.* FROM search_doc x WHERE x.account_id = $1 AND x.message_key = k.n LIMIT 1) d"
	selectRange  = "SELECT message_key, flags, date, words FROM search_doc WHERE account_id = $1 AND message_key BETWEEN $2 AND $3 ORDER BY account_id, message_key LIMIT $4"
	selectTexts  = "SELECT d.message_key, d.sealed FROM unnest($2::bigint[]) AS k (n) CROSS JOIN LATERAL (SELECT x.* FROM search_text x WHERE x.account_id = $1 AND x.message_key = k.n LIMIT 1) d"
	selectKeys   = "SELECT d.segment_id, d.keys FROM unnest($2::bigint[]) AS k (n) CROSS JOIN LATERAL (SELECT x.* FROM search_segment x WHERE x.account_id = $1 AND x.segment_id = k.n LIMIT 1) d"
	selectFrom   = "SELECT first, data FROM search_block WHERE account_id = $1 AND segment_id = $2 AND first >= $3 AND first <= $4 ORDER BY account_id, segment_id, first LIMIT $5"
	deleteOf     = "DELETE FROM TABLE WHERE ctid = ANY (ARRAY (SELECT d.ctid FROM unnest($2::bigint[]) AS k (n) CROSS JOIN LATERAL (SELECT x.ctid FROM TABLE x WHERE x.account_id = $1 AND x.message_key = k.n LIMIT 1) d))"
	deleteSome   = "DELETE FROM TABLE WHERE ctid = ANY (ARRAY (SELECT x.ctid FROM TABLE x WHERE x.account_id = $1 ORDER BY x.account_id, KEY LIMIT 2000))"
	deleteBlocks = "DELETE FROM search_block WHERE account_id = $1 AND segment_id = $2"
	deleteOne    = "DELETE FROM search_segment WHERE account_id = $1 AND segment_id = $2"
)

func (s *table) state() (string, error) {
	if s.known {
		return s.is, nil
	}
	text := ""
	err := s.run(statement{sql: selectState, args: []any{int64(s.account)}, each: func(r row) error {
		text = r.text(1)
		return nil
	}})
	return text, err
}

func (s *table) setState(value string) error {
	return s.later(len(value), statement{sql: writeState, args: []any{int64(s.account), value, int64(format)}})
}

func (s *table) count() (n counts, err error) {
	err = s.run(statement{sql: "SELECT count(*), count(*) FILTER (WHERE flags & 4 <> 0) FROM search_doc WHERE account_id = $1", args: []any{int64(s.account)}, each: func(r row) error {
		n.docs, n.unread = r.num(0), r.num(1)
		return nil
	}}, statement{sql: "SELECT count(*) FROM search_trouble WHERE account_id = $1", args: []any{int64(s.account)}, each: func(r row) error {
		n.trouble = r.num(0)
		return nil
	}})
	return n, err
}

func (s *table) segments() ([]segmentRow, error) {
	if !s.known {
		s.segs = nil
		if err := s.run(statement{sql: selectSegment, args: []any{int64(s.account)}, each: s.takeSegment}); err != nil {
			return nil, err
		}
	}
	return slices.Clone(s.segs), nil
}

func (s *table) segmentKeys(ids []int64) (map[int64][]mail.MessageKey, error) {
	all := map[int64][]mail.MessageKey{}
	err := s.run(statement{sql: selectKeys, args: []any{int64(s.account), ids}, each: func(r row) (err error) {
		all[r.num(0)], err = decodeKeys(r[1])
		return err
	}})
	return all, err
}

func eachDocIn(each func(docRow) error) func(row) error {
	return func(r row) error {
		return each(docRow{key: mail.MessageKey(r.num(0)), flags: docFlags(r.num(1)), date: r.num(2), words: r.num(3)})
	}
}

func (s *table) docs(keys []mail.MessageKey, each func(docRow) error) error {
	return s.run(statement{sql: selectDocs, args: []any{int64(s.account), keys}, each: eachDocIn(each)})
}

func (s *table) docsBetween(first, last mail.MessageKey, limit int, each func(docRow) error) error {
	return s.run(statement{sql: selectRange,
		args: []any{int64(s.account), int64(first), int64(last), int64(limit)}, each: eachDocIn(each)})
}

func (s *table) texts(keys []mail.MessageKey, each func(mail.MessageKey, []byte) error) error {
	return s.run(statement{sql: selectTexts, args: []any{int64(s.account), keys}, each: func(r row) error {
		return each(mail.MessageKey(r.num(0)), r.bytes(1))
	}})
}

// Each ask is a descent to the block that low lies in, and a walk from there to high:
// OFFSET 0 keeps the planner from reading all blocks once, which it takes for cheaper
// while it knows of few.
const selectBlocks = `SELECT a.n, b.first, b.data FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS a (segment_id, low, high, n)
	CROSS JOIN LATERAL (SELECT x.first, x.data FROM search_block x WHERE x.account_id = $1 AND x.segment_id = a.segment_id AND x.first <= a.high
		AND x.first >= coalesce((SELECT y.first FROM search_block y WHERE y.account_id = $1 AND y.segment_id = a.segment_id AND y.first <= a.low ORDER BY y.account_id DESC, y.segment_id DESC, y.first DESC LIMIT 1), a.low) OFFSET 0) b`

func (s *table) blocks(asks []blockAsk) ([][]block, error) {
	all := make([][]block, len(asks))
	if len(asks) == 0 {
		return all, nil
	}
	var segments []int64
	var lows, highs [][]byte
	for _, a := range asks {
		segments, lows, highs = append(segments, a.segment), append(lows, a.low), append(highs, a.high)
	}
	err := s.run(statement{sql: selectBlocks, args: []any{int64(s.account), segments, lows, highs}, each: func(r row) error {
		i := r.num(0) - 1
		all[i] = append(all[i], block{r.bytes(1), r.bytes(2)})
		return nil
	}})
	for _, some := range all {
		slices.SortFunc(some, func(a, b block) int { return cmp.Compare(string(a.first), string(b.first)) })
	}
	return all, err
}

func (s *table) blocksFrom(segment int64, first, last []byte, limit int) (all []block, err error) {
	err = s.run(statement{sql: selectFrom,
		args: []any{int64(s.account), segment, first, last, int64(limit)}, each: func(r row) error {
			all = append(all, block{r.bytes(0), r.bytes(1)})
			return nil
		}})
	return all, err
}

func (s *table) addDocs(docs []docRow) error {
	var keys, flags, dates, words, sealedKeys, troubled []int64
	var sealed [][]byte
	var why []string
	size := 0
	for _, d := range docs {
		keys, flags, dates, words = append(keys, int64(d.key)), append(flags, int64(d.flags)), append(dates, d.date), append(words, d.words)
		if d.trouble != "" {
			troubled, why = append(troubled, int64(d.key)), append(why, plainText(d.trouble))
		}
		if d.sealed != nil {
			sealedKeys, sealed = append(sealedKeys, int64(d.key)), append(sealed, d.sealed)
			size += len(d.sealed)
		}
	}
	err := s.later(0, statement{sql: "INSERT INTO search_doc (account_id, message_key, flags, date, words) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])", args: []any{int64(s.account), keys, flags, dates, words}})
	if err == nil && len(why) > 0 {
		err = s.later(0, statement{sql: "INSERT INTO search_trouble (account_id, message_key, why) SELECT $1, * FROM unnest($2::bigint[], $3::text[])", args: []any{int64(s.account), troubled, why}})
	}
	if err == nil && len(sealed) > 0 {
		err = s.later(size, statement{sql: "INSERT INTO search_text (account_id, message_key, sealed) SELECT $1, * FROM unnest($2::bigint[], $3::bytea[])", args: []any{int64(s.account), sealedKeys, sealed}})
	}
	return err
}

func (s *table) removeDocs(keys []mail.MessageKey) error {
	if len(keys) == 0 {
		return nil
	}
	for _, table := range []string{"search_doc", "search_trouble", "search_text"} {
		if err := s.later(0, statement{sql: strings.ReplaceAll(deleteOf, "TABLE", table), args: []any{int64(s.account), keys}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *table) addSegment(row segmentRow, keys []mail.MessageKey) error {
	return s.later(0, statement{sql: "INSERT INTO search_segment (account_id, segment_id, docs, words, keys) VALUES ($1, $2, $3, $4, $5)", args: []any{int64(s.account), row.id, row.docs, row.words, encodeKeys(keys)}})
}

func (s *table) addBlocks(segment int64, some []block) error {
	var firsts, data [][]byte
	size := 0
	for _, b := range some {
		firsts, data = append(firsts, b.first), append(data, b.data)
		size += len(b.data)
	}
	return s.later(size, statement{sql: "INSERT INTO search_block (account_id, segment_id, first, data) SELECT $1, $2, * FROM unnest($3::bytea[], $4::bytea[])", args: []any{int64(s.account), segment, firsts, data}})
}

func (s *table) removeSegments(ids []int64) error {
	for _, id := range ids {
		for _, sql := range []string{deleteOne, deleteBlocks} {
			if err := s.later(0, statement{sql: sql, args: []any{int64(s.account), id}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// plainText is a text as PostgreSQL takes it: it has no NUL, and is UTF-8.
func plainText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}
