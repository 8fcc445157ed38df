package sqlstore

import (
	"fmt"
	"math"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore/pgtest"
)

// People with little mail: accounts from ?1 to ?2, three messages each, as deliveries
// leave them as far as what a change looks at goes.
const (
	somePeople = `INSERT INTO account (account_id, name, head, epoch, horizon, last_mailbox, last_email, last_thread, last_placement, next_id, next_uidvalidity, quota, used, disabled, created, named_to, emails, threads)
	SELECT a, 'p' || a, 9, 1, 0, 9, 9, 9, 9, 20, 9, 0, 3000, 0, 0, 9, 3, 3 FROM generate_series(%[1]d, %[2]d) a`
	theirMailboxes = `INSERT INTO mailbox (account_id, mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created, modseq, highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads)
	SELECT a, m, 0, CASE m WHEN 1 THEN 'INBOX' ELSE 'm' || m END, CASE m WHEN 1 THEN 'INBOX' ELSE 'm' || m END, '', 1, 4, 1, 0, 1, 9, 9, 1, 9, 3, 3, 0, 3000, 3, 3, 3, 3 FROM generate_series(%[1]d, %[2]d) a, generate_series(1, 3) m`
	theirMail = `SELECT a, n FROM generate_series(%[1]d, %[2]d) a, generate_series(1, 3) n`
	// One account, whose INBOX holds %[2]d messages.
	oneMailbox = `UPDATE mailbox SET uidnext = %[2]d + 1, placements = %[2]d, unseen = %[2]d, size = %[2]d * 1000, emails = %[2]d, unread_emails = %[2]d, threads = %[2]d, unread_threads = %[2]d
	WHERE account_id = %[1]d AND mailbox_id = 1`
	oneAccount = `UPDATE account SET head = %[2]d + 9, next_id = %[2]d * 3 + 20, named_to = %[2]d + 9, used = %[2]d * 1000, emails = %[2]d, threads = %[2]d WHERE account_id = %[1]d`
	oneMail    = `SELECT %[1]d::bigint AS a, n FROM generate_series(4, %[2]d) n`
)

// mailRows are the rows of messages, which %s selects.
var mailRows = []string{
	`INSERT INTO message (account_id, message_key, email_id, thread_id, size, internal_date, created, modseq, visible, placements, left_modseq, born, named, content_id)
	SELECT a, n * 3 + 10, decode(md5(a || '-' || n), 'hex'), n * 3 + 11, 1000, n, n, n, 1, 1, 0, n, 0, a::bigint * 1000000 + n FROM (%s) m`,
	`INSERT INTO content (account_id, content_id, blob, sent_at, message_id, parsed, preview)
	SELECT a, a::bigint * 1000000 + n, sha256((a || '-' || n)::bytea), n, n || '@seed.test', 'parsed', 'preview' FROM (%s) m`,
	`INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received)
	SELECT a, 1, n, n * 3 + 12, n * 3 + 10, n * 3 + 12, 0, '', n, n, n, 0, 1000, a::bigint * 1000000 + n, n FROM (%s) m`,
	`INSERT INTO thread (account_id, thread_id, emails, unread, created, modseq, born, places) SELECT a, n * 3 + 11, 1, 1, n, n, n, '{"1":1}' FROM (%s) m`,
	`INSERT INTO thread_name (account_id, name, thread_id) SELECT a, n::bigint * 1000003, n * 3 + 11 FROM (%s) m`,
	`INSERT INTO journal (account_id, modseq, act, undoes, at, actor, device_id, session, protocol, cause, version, entries) SELECT a, n, n, 0, n, 'x', 1, '', 'lmtp', 'delivery', 1, '[]' FROM (%s) m`,
	`INSERT INTO blob (name, size, place, key, touched) SELECT sha256((a || '-' || n)::bytea), 1000, 'p/' || a || '-' || n, '\x01', 1 FROM (%s) m`,
}

// seed runs statements with two numbers in them.
func seed(t *testing.T, c *pgConn, from, to int, mail string, statements ...string) {
	t.Helper()
	for _, sql := range mailRows {
		statements = append(statements, fmt.Sprintf(sql, mail))
	}
	for _, sql := range statements {
		sql = fmt.Sprintf("/* %[1]d %[2]d */ "+sql, from, to)
		if err := c.c.Exec(t.Context(), sql).Close(); err != nil {
			t.Fatalf("%v in %s", err, sql)
		}
	}
}

// A cost is what changes and views ask of the server.
type cost struct{ trips, statements, pages int64 }

// costing measures on a connection of its own, so that nothing else is counted.
type costing struct {
	*DB
	t *testing.T
	c *pgConn
	n int // of the next message
}

// pages are those that were touched so far, in tables and indexes.
func (m *costing) pages() (n int64) {
	m.t.Helper()
	for _, sql := range []string{"SELECT pg_stat_force_next_flush()", `SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0) + coalesce(toast_blks_read + toast_blks_hit, 0))::bigint FROM pg_statio_user_tables`} {
		r := m.c.c.ExecParams(m.t.Context(), sql, nil, nil, nil, binaryFormat).Read()
		if r.Err != nil {
			m.t.Fatal(r.Err)
		}
		if len(r.Rows[0][0]) == 8 {
			n = (&pgRows{at: r.Rows[0], oids: []uint32{20}}).num(0)
		}
	}
	return n
}

// of is what one of some work costs, once the server knows the statements. What the
// server's own processes touch meanwhile, and what other connections touched before and
// tell now, counts as pages too: of some rounds the least is what it costs.
func (m *costing) of(work func() error) cost {
	m.t.Helper()
	const known, rounds, counted = 8, 4, 4
	run := func(times int) {
		for range times {
			if err := work(); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	run(known)
	least := cost{pages: math.MaxInt64}
	for range rounds {
		pages, trips, ran := m.pages(), m.c.trips.Load(), m.c.statements()
		run(counted)
		least.trips, least.statements = (m.c.trips.Load()-trips)/counted, (m.c.statements()-ran)/counted
		least.pages = min(least.pages, (m.pages()-pages)/counted)
	}
	return least
}

// update is a change as a writer makes it.
func (m *costing) update(id mail.AccountID, fn func(store.Tx) error) error {
	if err := m.c.begin(laneOf(id)); err != nil {
		return err
	}
	t, err := m.newTx(m.c, id, by)
	if err == nil {
		err = fn(t)
	}
	if err == nil {
		_, err = t.finish()
	}
	if err != nil {
		return err
	}
	return m.c.commit()
}

// view is a look as a reader takes it.
func (m *costing) view(id mail.AccountID, fn func(store.Reader) error) error {
	if err := m.c.later(m.beginView()); err != nil {
		return err
	}
	r, err := newReader(m.c, id, time.Now(), false)
	if err == nil {
		err = fn(r)
	}
	if err != nil {
		return err
	}
	_, err = m.c.exec("COMMIT")
	return err
}

// costs are those of what people do all day, in an INBOX that holds size messages.
func (m *costing) costs(id mail.AccountID, size int) map[string]cost {
	const inbox = 1
	seen, _ := mail.NewFlags(`\Seen`)
	flip := false
	return map[string]cost{
		"a delivery": m.of(func() error {
			m.n++
			a := arrival(m.n)
			a.Once, a.OnceFor, a.References = fmt.Sprint("once ", m.n), time.Hour, []string{"before@seed.test"}
			a.Blob.Record = []byte("sealed")
			return m.update(id, func(tx store.Tx) error { _, err := tx.Append(inbox, a); return err })
		}),
		"a flag": m.of(func() error {
			flip = !flip
			change := mail.FlagChange{Add: seen}
			if !flip {
				change = mail.FlagChange{Remove: seen}
			}
			return m.update(id, func(tx store.Tx) error {
				_, err := tx.StoreFlags(inbox, mail.MakeUIDSet(mail.UID(size)), change, nil)
				return err
			})
		}),
		"an open": m.of(func() error {
			return m.view(id, func(r store.Reader) error {
				mb, err := r.MailboxByPath("INBOX")
				if err == nil {
					_, err = r.Vanished(mb.ID, mb.HighestModSeq-1)
				}
				if err == nil {
					err = r.Placements(store.PlacementQuery{Mailbox: mb.ID, ChangedSince: mb.HighestModSeq - 1, Limit: 50}, func(*mail.Placement) error { return nil })
				}
				if err == nil {
					err = r.Placements(store.PlacementQuery{Mailbox: mb.ID, Limit: 50, Backwards: true}, func(*mail.Placement) error { return nil })
				}
				return err
			})
		}),
	}
}

// A delivery, a flag and an open take the same statements and trips however large the
// mailbox is and however many accounts there are, and touch as many pages: a tree of
// an index becomes one page higher when there is some hundred times as much.
func TestCostsDependOnNeitherMailboxNorAccountsOnPostgres(t *testing.T) {
	db := openedPostgres(t, pgtest.Alone(t))
	m := &costing{DB: db, t: t, c: &pgConn{open: db.pg.dial}, n: 1_000_000}
	if err := m.c.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.c.close()
	const first, few, many = 100, 1000, 10_000
	const slack = 4 // pages: some trees of indexes become one higher
	seed(t, m.c, first, first+few-1, fmt.Sprintf(theirMail, first, first+few-1), somePeople, theirMailboxes)
	sizes := map[mail.AccountID]int{first + 1: 3, first + 2: 1000, first + 3: 100_000}
	for id, size := range sizes {
		if size > 3 {
			seed(t, m.c, int(id), size, fmt.Sprintf(oneMail, id, size), oneMailbox, oneAccount)
		}
	}
	look := func() map[mail.AccountID]map[string]cost {
		if err := m.c.c.Exec(t.Context(), "VACUUM ANALYZE").Close(); err != nil {
			t.Fatal(err)
		}
		all := map[mail.AccountID]map[string]cost{}
		for id, size := range sizes {
			all[id] = m.costs(id, size)
			t.Logf("INBOX of %d: %v (trips, statements, pages)", size, all[id])
		}
		return all
	}
	before := look()
	for what, small := range before[first+1] {
		for id, size := range sizes {
			is := before[id][what]
			if is.trips != small.trips || is.statements != small.statements {
				t.Errorf("%s costs %d trips and %d statements among %d messages, %d and %d among 3", what, is.trips, is.statements, size, small.trips, small.statements)
			}
			if is.pages > small.pages*3/2+slack {
				t.Errorf("%s touches %d pages among %d messages, %d among 3", what, is.pages, size, small.pages)
			}
		}
	}
	seed(t, m.c, first+few, first+many-1, fmt.Sprintf(theirMail, first+few, first+many-1), somePeople, theirMailboxes)
	for id, after := range look() {
		for what, is := range after {
			was := before[id][what]
			if is.trips != was.trips || is.statements != was.statements {
				t.Errorf("%s costs %d trips and %d statements among %d accounts, %d and %d among %d", what, is.trips, is.statements, many, was.trips, was.statements, few)
			}
			if is.pages > was.pages+max(slack, was.pages/10) {
				t.Errorf("%s touches %d pages among %d accounts, %d among %d", what, is.pages, many, was.pages, few)
			}
		}
	}
}
