package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// fill puts n messages into INBOX in one transaction.
func (h *house) fill(n int) {
	h.t.Helper()
	var arrivals []mail.Arrival
	for i := range 100 {
		text := fmt.Sprintf("From: \"Bob Example\" <bob%d@example.test>\r\nTo: Alice <alice@example.test>, carol@example.test\r\nCc: team@example.test\r\n"+
			"Subject: Re: the usual subject, number %d\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <%d.bench@example.test>\r\nIn-Reply-To: <0.bench@example.test>\r\n"+
			"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello.\r\n", i, i, i)
		a, err := h.blobs.ingest(context.Background(), bytes.NewReader([]byte(text)), int64(len(text)))
		if err != nil {
			h.t.Fatal(err)
		}
		arrivals = append(arrivals, a)
	}
	h.update(func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		for i := range n {
			if err == nil {
				_, err = tx.Append(mb.ID, arrivals[i%len(arrivals)])
			}
		}
		return err
	})
}

// BenchmarkFetch is a command and its whole answer over loopback.
func BenchmarkFetch(b *testing.B) {
	h := newHouse(b, nil)
	const n = 10_000
	h.fill(n)
	c := dial(b, h.addr).ready().login()
	c.must("SELECT INBOX")
	for _, items := range []string{"UID FLAGS", "UID RFC822.SIZE INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]"} {
		b.Run(fmt.Sprintf("%s/10k", items), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fmt.Fprintf(c.conn, "zz FETCH 1:* (%s)\r\n", items)
				if err := c.skipTo("zz "); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// skipTo reads up to the line with that beginning.
func (c *testClient) skipTo(tag string) error {
	for {
		line, err := c.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // a part of a long line
		}
		if err != nil || bytes.HasPrefix(line, []byte(tag)) {
			return err
		}
	}
}

// BenchmarkSearch reads nothing but what the database has.
func BenchmarkSearch(b *testing.B) {
	h := newHouse(b, nil)
	h.fill(10_000)
	c := dial(b, h.addr).ready().login()
	c.must("SELECT INBOX")
	for _, keys := range []string{"UNSEEN", "FROM bob42", "HEADER Message-ID 42.bench", "BODY nothing"} {
		b.Run(keys+"/10k", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fmt.Fprintf(c.conn, "zz SEARCH RETURN (COUNT) %s\r\n", keys)
				if err := c.skipTo("zz "); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSort is SORT and THREAD of a mailbox of the real store, and a command of
// a session that has searches updated while one flag changes.
func BenchmarkSort(b *testing.B) {
	const n = 100_000
	db := sqlstore.OpenTemp(b)
	p, err := db.CreateAccount(context.Background(), testOrigin, store.NewAccount{Login: testLogin, Verifier: verifier()})
	if err != nil {
		b.Fatal(err)
	}
	h := &house{t: b, blobs: &memoryBlobs{}, account: p.Account, user: p}
	log := slog.New(slog.DiscardHandler)
	h.server = &Server{Store: db, Auth: auth.New(db, db, []byte("salts"), log), Blobs: h.blobs, Ingest: h.blobs.ingest, Log: log, AllowPlainAuth: netip.Addr.IsLoopback}
	h.addr = h.listen(h.server.Serve)
	for from := 0; from < n; from += 5000 {
		_, err := db.Update(context.Background(), p.Account, testOrigin, func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("INBOX")
			for i := from; i < from+5000 && err == nil; i++ {
				m := message.Message{ID: fmt.Sprintf("%d.bench@example.test", i), BaseSubject: fmt.Sprintf("the usual subject, number %d", i*7919%n/3), Root: &message.Part{}}
				m.Envelope.From = []message.Address{{Name: "Bob Example", Mailbox: fmt.Sprint("bob", i%997), Host: "example.test"}}
				m.Envelope.To, m.Envelope.Subject = m.Envelope.From, m.BaseSubject
				if i%4 > 0 {
					m.References = []string{fmt.Sprintf("%d.bench@example.test", i-1)}
				}
				sent := time.Unix(int64(1_700_000_000+i*104729%n*60), 0)
				_, err = tx.Append(mb.ID, mail.Arrival{Blob: mail.Blob{Name: mail.BlobName{byte(i), byte(i >> 8), byte(i >> 16)}, Size: 2000, Place: "none", Fresh: true, Until: time.Now().Add(time.Hour)}, SentAt: sent, MessageID: m.ID, Parsed: message.Encode(&m)})
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	c := dial(b, h.addr).ready().login()
	c.must("SELECT INBOX")
	for _, command := range []string{"SEARCH ALL", "SORT (SUBJECT) UTF-8 ALL", "SORT (REVERSE DATE) UTF-8 ALL", "UID SORT RETURN (PARTIAL 1:50) (REVERSE DATE) UTF-8 UNDELETED",
		"THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "THREAD REFS UTF-8 ALL"} {
		b.Run(command+"/100k", func(b *testing.B) {
			b.ReportAllocs()
			c.conn.SetDeadline(time.Time{})
			for b.Loop() {
				fmt.Fprintf(c.conn, "zz %s\r\n", command)
				if err := c.skipTo("zz "); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	h.server.limits.ContextBytes = 1 << 30
	c.must("UID SEARCH RETURN (UPDATE) UNSEEN")
	c.must("UID SORT RETURN (UPDATE) (SUBJECT) UTF-8 UNSEEN")
	b.Run("one flag, two live searches/100k", func(b *testing.B) {
		b.ReportAllocs()
		c.conn.SetDeadline(time.Time{})
		for i := 0; b.Loop(); i++ {
			fmt.Fprintf(c.conn, "zz STORE %d %sFLAGS.SILENT (\\Seen)\r\n", 1+i/2%n, []string{"+", "-"}[i%2])
			if err := c.skipTo("zz "); err != nil {
				b.Fatal(err)
			}
		}
	})
}
