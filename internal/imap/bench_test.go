package imap

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
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
