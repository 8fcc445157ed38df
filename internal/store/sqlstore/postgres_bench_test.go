package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore/pgtest"
)

// logged is what a server wrote and updated so far. It tells with a delay of a second
// or so what its processes did.
type logged struct{ wal, pages, syncs, updates, hot, size int64 }

const selectLogged = `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, (SELECT wal_fpi FROM pg_stat_wal), (SELECT wal_sync FROM pg_stat_wal),
	(SELECT sum(n_tup_upd) FROM pg_stat_user_tables)::bigint, (SELECT sum(n_tup_hot_upd) FROM pg_stat_user_tables)::bigint,
	(SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables)::bigint`

func loggedBy(b *testing.B, c *pgconn.PgConn) (l logged) {
	b.Helper()
	time.Sleep(2 * time.Second) // until its processes have told
	r := c.ExecParams(b.Context(), selectLogged, nil, nil, nil, nil).Read()
	if r.Err != nil {
		b.Fatal(r.Err)
	}
	for i, to := range []*int64{&l.wal, &l.pages, &l.syncs, &l.updates, &l.hot, &l.size} {
		fmt.Sscan(string(r.Rows[0][i]), to)
	}
	return l
}

// BenchmarkDeliverPostgres is deliveries of messages of 4 KiB to 64 accounts at once, as
// a node with a bucket makes them, on a server that syncs; and what they cost there.
func BenchmarkDeliverPostgres(b *testing.B) {
	const accounts, before = 64, 50
	url := pgtest.Own(b).URL
	db, err := OpenPostgres(context.Background(), url, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	p, err := db.CreateAccount(b.Context(), by, store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		b.Fatal(err)
	}
	h := home{DB: db, t: b, id: p.Account}
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		h.inbox = mb.ID
		return err
	})
	homes := h.neighbours(accounts-1, before)
	watch, err := pgconn.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Close(context.Background())
	var next atomic.Int64
	next.Store(accounts * before)
	end := next.Load() + int64(b.N)
	was, trips, ran, cpu := loggedBy(b, watch), db.trips(), db.statements(), processorTime(b)
	b.ResetTimer()
	var all sync.WaitGroup
	for _, h := range homes {
		all.Go(func() {
			for n := next.Add(1); n <= end; n = next.Add(1) {
				a := letter(int(n))
				a.Blob.Record = make([]byte, 2600)
				rand.NewChaCha8(a.Blob.Name).Read(a.Blob.Record) // sealed: it does not compress
				h.update(func(tx store.Tx) error {
					_, err := tx.Append(h.inbox, a)
					return err
				})
			}
		})
	}
	all.Wait()
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric((processorTime(b)-cpu)/n, "cpu-µs/op")
	b.ReportMetric(float64(db.trips()-trips)/n, "trips/op")
	b.ReportMetric(float64(db.statements()-ran)/n, "statements/op")
	is := loggedBy(b, watch)
	b.ReportMetric(float64(is.wal-was.wal)/n, "wal-B/op")
	b.ReportMetric(float64(is.pages-was.pages)/n, "wal-pages/op")
	b.ReportMetric(float64(is.syncs-was.syncs)/n, "syncs/op")
	b.ReportMetric(float64(is.updates-was.updates)/n, "updates/op")
	b.ReportMetric(float64(is.hot-was.hot)/n, "hot/op")
	b.ReportMetric(float64(is.size-was.size)/n, "disk-B/op")
}
