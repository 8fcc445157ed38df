package imap

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/natsbus"
	"lockstep/internal/notify/natsbus/natstest"
	"lockstep/internal/notify/pgbus"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// BenchmarkPushAcrossNodes is how long after a commit on one node a client in IDLE on
// another has read of it: the news, reading what changed, and writing it.
func BenchmarkPushAcrossNodes(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	b.Run("the same node", func(b *testing.B) {
		db := sqltest.Open(b, sqltest.PostgresURL(b), sqlstore.Options{})
		benchPush(b, db, db)
	})
	b.Run("NATS", func(b *testing.B) {
		s := natstest.Start(b, nil)
		benchNodes(b, func(string) (notify.Bus, error) { return natsbus.Open(s.URL, "bench", log) })
	})
	b.Run("the database", func(b *testing.B) {
		benchNodes(b, func(url string) (notify.Bus, error) { return pgbus.Open(pgbus.Options{URL: url, Log: log}) })
	})
}

func benchNodes(b *testing.B, open func(url string) (notify.Bus, error)) {
	url := sqltest.PostgresURL(b)
	var nodes []*sqlstore.DB
	for range 2 {
		hub := &notify.Hub{}
		db := sqltest.Open(b, url, sqlstore.Options{Hub: hub})
		bus, err := open(url)
		if err != nil {
			b.Fatal(err)
		}
		leave, err := hub.Join(bus, func(ctx context.Context, id mail.AccountID) (n mail.ModSeq, err error) {
			err = db.View(ctx, id, func(r store.Reader) error {
				a, err := r.Account()
				n = a.Head
				return err
			})
			return n, err
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			leave()
			bus.Close()
		})
		for !bus.Stats().Connected {
			time.Sleep(time.Millisecond)
		}
		nodes = append(nodes, db)
	}
	benchPush(b, nodes[0], nodes[1])
}

func benchPush(b *testing.B, from, to *sqlstore.DB) {
	p, err := from.CreateAccount(b.Context(), testOrigin, store.NewAccount{Login: testLogin, Verifier: verifier()})
	if err != nil {
		b.Fatal(err)
	}
	flag := func(change mail.FlagChange) {
		_, err := from.Update(b.Context(), p.Account, testOrigin, func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("INBOX")
			if err == nil {
				_, err = tx.StoreFlags(mb.ID, mail.AllUIDs, change, nil)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	_, err = from.Update(b.Context(), p.Account, testOrigin, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		if err == nil {
			_, err = tx.Append(mb.ID, mail.Arrival{Blob: mail.Blob{Name: mail.BlobName{1}, Size: 2000, Place: "none", Fresh: true, Until: time.Now().Add(time.Hour)}})
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h := &house{t: b, blobs: &memoryBlobs{}, account: p.Account, user: p}
	h.server = &Server{Store: to, Auth: auth.New(to, to, []byte("salts"), log), Blobs: h.blobs, Ingest: h.blobs.ingest, Log: log, AllowPlainAuth: netip.Addr.IsLoopback}
	h.addr = h.listen(h.server.Serve)
	c := dial(b, h.addr).ready().login()
	c.must("SELECT INBOX")
	fmt.Fprint(c.conn, "zz IDLE\r\n")
	if err := c.skipTo("+ "); err != nil {
		b.Fatal(err)
	}
	c.conn.SetDeadline(time.Time{})
	committed := make(chan time.Time, 1)
	defer from.Watch(p.Account, func(n mail.News) {
		if !n.Look {
			committed <- n.At
		}
	})()
	time.Sleep(200 * time.Millisecond) // for the subscriptions
	seen, _ := mail.NewFlags(`\Seen`)
	changes := []mail.FlagChange{{Add: seen}, {Remove: seen}}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		flag(changes[i%2])
		if err := c.skipTo("* 1 FETCH "); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(<-committed))
	}
	slices.Sort(took)
	for name, share := range map[string]float64{"p50-µs": 0.5, "p99-µs": 0.99} {
		b.ReportMetric(float64(took[int(share*float64(len(took)-1))].Nanoseconds())/1000, name)
	}
}
