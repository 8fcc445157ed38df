package imap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// storeBodies opens blobs of a real store.
type storeBodies struct{ *blob.Store }

func (b storeBodies) Open(ctx context.Context, which mail.Blob) (Body, error) {
	r, err := b.Store.Open(ctx, which)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// newMill is a server over the real store, with n messages of 4 KiB in INBOX.
func newMill(b *testing.B, n int) *testClient {
	dir := b.TempDir()
	db, err := sqlstore.Open(b.Context(), filepath.Join(dir, "lockstep.db"), sqlstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(dir, "key"), filepath.Join(dir, "packs"))
	if err != nil {
		b.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, db.Blobs(), blob.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { blobs.Close() })
	log := slog.New(slog.DiscardHandler)
	p, err := db.CreateAccount(b.Context(), testOrigin, store.NewAccount{Login: testLogin, Verifier: verifier()})
	if err != nil {
		b.Fatal(err)
	}
	h := &house{t: b, account: p.Account, user: p}
	h.server = &Server{Store: db, Auth: auth.New(db, db, []byte("salts"), log), Blobs: storeBodies{blobs}, Log: log, AllowPlainAuth: netip.Addr.IsLoopback}
	var arrivals []mail.Arrival
	words := strings.Fields("the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were her all she there")
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		text := fmt.Appendf(nil, "From: \"Bob Example\" <bob%d@example.test>\r\nTo: Alice <alice@example.test>\r\nSubject: number %d\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <%d.bench@example.test>\r\n\r\n", i, i, i)
		header := len(text)
		for len(text) < 4096 {
			text = append(append(text, words[rng.IntN(len(words))]...), ' ')
			if rng.IntN(12) == 0 {
				text = append(text, '\r', '\n')
			}
		}
		m, err := message.Parse(bytes.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		stored, _, err := blobs.Put(b.Context(), bytes.NewReader(text), blob.PutOptions{HeaderSize: int64(header)})
		if err != nil {
			b.Fatal(err)
		}
		arrivals = append(arrivals, mail.Arrival{Blob: stored, SentAt: m.Envelope.SentAt, MessageID: m.ID, Parsed: message.Encode(m), Preview: m.Preview})
	}
	_, err = db.Update(b.Context(), p.Account, testOrigin, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		for i := range arrivals {
			if err == nil {
				_, err = tx.Append(mb.ID, arrivals[i])
			}
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	c := dial(b, h.listen(h.server.Serve)).ready().login()
	c.in = bufio.NewReaderSize(c.conn, 64<<10)
	c.must("SELECT INBOX")
	return c
}

// BenchmarkBodies is whole messages over the real store, in one command and in many.
func BenchmarkBodies(b *testing.B) {
	const n = 2000
	c := newMill(b, n)
	var piped []byte
	for i := range n {
		piped = fmt.Appendf(piped, "y FETCH %d (UID BODY.PEEK[])\r\n", i+1)
	}
	for name, commands := range map[string]string{"one": "", "piped": string(piped)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			cpu := processorTime()
			for b.Loop() {
				go io.WriteString(c.conn, commands+"zz FETCH "+map[bool]string{true: "1:*", false: "1"}[commands == ""]+" (UID BODY.PEEK[])\r\n")
				if err := c.skipTo("zz "); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/message")
			b.ReportMetric((processorTime()-cpu)/float64(b.N)/n, "cpu-µs/message")
		})
	}
}

// BenchmarkHeaders is header fields over the real store, which nobody asked for
// before.
func BenchmarkHeaders(b *testing.B) {
	const n = 2000
	c := newMill(b, n)
	b.ReportAllocs()
	cpu := processorTime()
	for i := 0; b.Loop(); i++ {
		go fmt.Fprintf(c.conn, "zz FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID X%d)])\r\n", i)
		if err := c.skipTo("zz "); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((processorTime()-cpu)/float64(b.N)/n, "cpu-µs/message")
}

// processorTime is what this process has used, in microseconds.
func processorTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}
