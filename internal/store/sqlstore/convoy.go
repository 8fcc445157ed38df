package sqlstore

import (
	"cmp"
	"context"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// A convoy is the closures of several accounts in one transaction, which begins with
// the locks of all, in the order of their numbers. Each account's closures run as a
// coroutine of the writer, until they wait for an answer; when all of them wait, what
// they ask is sent in one trip, with the same statement of several as one. So a trip, a
// statement and a commit are shared by all.
//
// They stand or fall together. When one fails after it has changed something, or asks
// more than the others should wait for, nothing of the transaction stays: the others
// run again together, and it by itself. When the server refuses something, each runs
// again by itself, and hears what concerns it.
type convoy struct {
	db     *DB
	w      *writer
	c      *pgConn
	wagons []*wagon
	err    error  // why nothing of it stands
	cause  *wagon // the one that it is because of, if that is known
}

// Bounds of what others wait for.
const (
	maxTripsTogether = 24
	maxRowsTogether  = 2000
)

// errApart ends closures whose convoy is given up. It reaches no caller.
var errApart = mail.Errorf(mail.Unavailable, "the change has to be made apart from others'")

// carry does what the lanes wait for, and frees them.
func (v *convoy) carry(lanes []*queue) {
	slices.SortFunc(lanes, func(a, b *queue) int { return cmp.Compare(a.lane, b.lane) })
	for _, q := range lanes {
		if w := newWagon(v, q); len(w.jobs) > 0 {
			v.wagons = append(v.wagons, w)
		} else {
			v.db.pg.lanes.free(q)
		}
	}
	again := false
	for len(v.wagons) > 1 {
		err := v.attempt()
		switch {
		case v.cause != nil:
			cause := v.cause
			v.wagons = slices.DeleteFunc(v.wagons, func(w *wagon) bool { return w == cause })
			defer v.apart(cause)
		case v.err != nil && v.c.c.IsClosed() && !again:
			again = true
		default:
			v.end(err)
			return
		}
	}
	for _, w := range v.wagons {
		v.apart(w)
	}
}

// attempt runs all closures and commits. Without an error it is known what became of
// them, which may be that nobody knows.
func (v *convoy) attempt() error {
	if v.w.runTwice {
		if err := v.run(); v.err != nil || err != nil {
			return err
		}
		if err := v.c.rollback(); err != nil {
			return err
		}
	}
	if err := v.run(); v.err != nil || err != nil {
		return err
	}
	return v.commit()
}

// run begins the transaction and runs the closures.
func (v *convoy) run() error {
	v.err, v.cause = nil, nil
	in := make([]lane, len(v.wagons))
	for i, m := range v.wagons {
		in[i] = m.queue.lane
	}
	if err := v.c.begin(in...); err != nil {
		return err
	}
	stops := make([]func(), len(v.wagons))
	for i, m := range v.wagons {
		m.begin()
		m.step, stops[i] = iter.Pull(m.live)
	}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for left := slices.Clone(v.wagons); ; {
		left = slices.DeleteFunc(left, func(m *wagon) bool { _, waits := m.step(); return !waits })
		if len(left) == 0 {
			return nil
		}
		if v.err == nil {
			v.err = v.trip(false)
		}
	}
}

// giveUp ends the convoy because of one wagon.
func (v *convoy) giveUp(m *wagon) {
	if v.err == nil {
		v.err, v.cause = errApart, m
	}
}

// commit waits for the bytes that were named, and commits.
func (v *convoy) commit() error {
	for _, m := range v.wagons {
		if loses(m.jobs) {
			v.giveUp(m)
			return nil
		}
	}
	started := time.Now()
	err := v.trip(true)
	if err == nil && v.c.tag != "COMMIT" {
		err = errLost
	}
	v.w.stats.commits.Add(1)
	v.w.stats.commitNanos.Add(int64(time.Since(started)))
	return err
}

// end tells all what became of them; err is of the transaction as a whole.
func (v *convoy) end(err error) {
	if v.err != nil || err != nil && isAborted(err) {
		for _, m := range v.wagons {
			v.apart(m)
		}
		return
	}
	if err != nil && v.c.inTransaction() {
		_ = v.c.rollback() // else begin tries again
	}
	for _, m := range v.wagons {
		v.w.lane(m.queue)
		v.w.answer(m.jobs, err)
		v.db.pg.lanes.free(m.queue)
	}
}

// apart runs a wagon's closures again, each in a transaction of its own.
func (v *convoy) apart(m *wagon) {
	_ = v.c.rollback() // else begin tries again
	v.w.lane(m.queue)
	v.w.alone(m.jobs)
	v.db.pg.lanes.free(m.queue)
}

// wagon is the connection as one account of a convoy has it.
type wagon struct {
	convoy *convoy
	queue  *queue
	jobs   []*job
	step   func() (struct{}, bool) // on to the next wait
	yield  func(struct{}) bool

	args pgArgs
	prospect
	answer pgAnswer // to the last of what waited, if that was waited for
	trips  int
	rows   int
	count  int64
	wrote  int64
	waits  pending
}

var (
	_ conn       = (*wagon)(nil)
	_ sharedConn = (*wagon)(nil)
)

// newWagon takes jobs of a lane.
func newWagon(v *convoy, q *queue) *wagon {
	m := &wagon{convoy: v, queue: q, args: pgArgs{whole: true}}
	for len(m.jobs) < maxOfLane {
		select {
		case j := <-q.jobs:
			if j.state.CompareAndSwap(queued, begun) {
				m.jobs = append(m.jobs, j)
			}
			continue
		default:
		}
		break
	}
	return m
}

// begin forgets what an earlier attempt left.
func (m *wagon) begin() {
	m.prospect, m.trips, m.rows = prospect{}, 0, 0
	m.foresee(m.jobs[0].foreseen)
	m.waits.take()
}

// live runs the jobs. It yields whenever it waits for a trip.
func (m *wagon) live(yield func(struct{}) bool) {
	m.yield = yield
	if m.convoy.w.runTwice {
		id := goid()
		m.convoy.db.pg.goids.Store(id, true)
		defer m.convoy.db.pg.goids.Delete(id)
	}
	for _, j := range m.jobs {
		if m.convoy.err != nil {
			return
		}
		m.run(j)
	}
}

func (m *wagon) run(j *job) {
	j.panick = nil
	if j.err = j.ctx.Err(); j.err != nil {
		return
	}
	m.convoy.w.stats.closures.Add(1)
	before := m.wrote
	defer func() {
		j.pending = m.waits.take()
		if v := recover(); v != nil {
			j.panick = &panicked{v, debug.Stack()}
		}
		if (j.err != nil || j.panick != nil) && m.wrote != before {
			m.convoy.giveUp(m)
		}
	}()
	j.err = j.run(m)
}

// exchange waits until what waits was sent and answered.
func (m *wagon) exchange() error {
	v := m.convoy
	if v.err != nil {
		return v.err
	}
	if m.trips++; m.trips > maxTripsTogether || m.rows > maxRowsTogether {
		v.giveUp(m)
		return v.err
	}
	if !m.yield(struct{}{}) {
		return errApart
	}
	return v.err
}

// bind makes a statement of what a closure says.
func (m *wagon) bind(sql string, args []any) *pgStatement {
	m.args.bind(args)
	return m.convoy.c.statement(sql, string(m.args.kinds), "")
}

func (m *wagon) note(st *pgStatement) {
	m.count++
	if !st.reads {
		m.wrote++
		m.forgetForeseen()
	}
}

func (m *wagon) query(sql string, each func(row) error, args ...any) error {
	_, err := m.ask(sql, each, args)
	return err
}

func (m *wagon) exec(sql string, args ...any) (int64, error) { return m.ask(sql, nil, args) }

// ask runs a statement whose answer is waited for.
func (m *wagon) ask(sql string, each func(row) error, args []any) (changed int64, err error) {
	st := m.bind(sql, args)
	a, known, err := m.recall(st)
	if err != nil {
		return 0, err
	}
	if !known {
		m.note(st)
		m.waiting = append(m.waiting, pgWaiting{st: st, values: cloneValues(m.args.values), wanted: true})
		if err := m.exchange(); err != nil {
			return 0, err
		}
		a = m.answer
	}
	for a.rows.next() {
		m.rows++
		if each == nil {
			continue
		}
		if err := each(a.rows); err != nil {
			return 0, err
		}
	}
	return a.changed, nil
}

// recall returns the answer to what was asked ahead with the same arguments, once.
func (m *wagon) recall(st *pgStatement) (a pgAnswer, known bool, err error) {
	if slices.ContainsFunc(m.waiting, func(w pgWaiting) bool { return w.ahead && w.is(st, m.args.values) }) {
		if err := m.exchange(); err != nil {
			return a, false, err
		}
	}
	i := slices.IndexFunc(m.known, func(a pgAnswer) bool { return a.is(st, m.args.values) })
	if i < 0 {
		return a, false, nil
	}
	a = m.known[i]
	m.known = slices.Delete(m.known, i, i+1)
	return a, true, nil
}

func (m *wagon) later(sql string, args ...any) error {
	st := m.bind(sql, args)
	m.note(st)
	m.waiting = append(m.waiting, pgWaiting{st: st, values: cloneValues(m.args.values)})
	if len(m.waiting) >= maxWaiting || len(m.args.buf) > maxWaitingBytes {
		return m.exchange()
	}
	return m.convoy.err
}

func (m *wagon) ahead(asks ...ask) error {
	m.forgetAhead()
	for _, q := range asks {
		st := m.bind(q.sql, q.args)
		if m.claim(st, m.args.values) {
			continue
		}
		m.note(st)
		m.waiting = append(m.waiting, pgWaiting{st: st, values: cloneValues(m.args.values), ahead: true})
	}
	return m.convoy.err
}

func (m *wagon) flush() error {
	if len(m.waiting) == 0 {
		return m.convoy.err
	}
	return m.exchange()
}

// insert is pgConn's: numbers are the connection's.
func (m *wagon) insert(sql string, args ...any) (int64, error) {
	n, err := m.convoy.c.number()
	if err != nil {
		m.convoy.giveUp(m)
		return 0, err
	}
	return n, m.later(sql, append(args, n)...)
}

func (m *wagon) clock() (int64, error) { return clockOf(m) }

func (m *wagon) pending() *pending { return &m.waits }

// What changes the transaction itself is not for one of several to say.

func (m *wagon) commit() error       { return m.refuse() }
func (m *wagon) script(string) error { return m.refuse() }
func (m *wagon) close() error        { return m.refuse() }

func (m *wagon) refuse() error {
	m.convoy.giveUp(m)
	return m.convoy.err
}

func (m *wagon) inTransaction() bool { return m.convoy.err == nil }

func (m *wagon) statements() int64 { return m.count }

func (m *wagon) writes() int64 { return m.wrote }

// errand is a statement that waits, and whose it is.
type errand struct {
	*pgWaiting
	m *wagon
}

// trip sends what all wait for, and reads the answers. The last one commits.
func (v *convoy) trip(last bool) error {
	p := v.c
	parcels := v.pack()
	for i := range parcels {
		if err := p.know(parcels[i].st); err != nil {
			return err
		}
	}
	var end *pgStatement
	if last {
		end = p.statement("COMMIT", "", "")
		if err := p.know(end); err != nil {
			return err
		}
	}
	first := p.waiting
	p.waiting = nil
	p.trips.Add(1)
	p.count.Add(int64(len(parcels)))
	pl := p.c.StartPipeline(context.Background())
	for _, w := range first {
		pl.SendQueryPrepared(w.st.name, w.values, binaryFormat, binaryFormat)
	}
	for i := range parcels {
		pl.SendQueryPrepared(parcels[i].st.name, parcels[i].values(&p.args), binaryFormat, binaryFormat)
	}
	if last {
		pl.SendQueryPrepared(end.name, nil, binaryFormat, binaryFormat)
	}
	err := pl.Sync()
	for _, w := range first {
		if err == nil {
			err = p.nextResult(pl, w)
		}
	}
	for i := range parcels {
		if err == nil {
			err = parcels[i].deliver(p, pl)
		}
	}
	p.tag = ""
	if last && err == nil {
		rows := p.nextRows(pl)
		p.tag, err = rows.tag.String(), rows.err
	}
	if closing := pl.Close(); err == nil {
		err = closing
	}
	return pgReadable(err)
}
