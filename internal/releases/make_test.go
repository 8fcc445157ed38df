package releases

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var makes = flag.String("make", "", "make the data directory of this release, such as 0.2.0, and its record, in testdata")

// TestMake makes what is kept of a release. The program that runs is the release.
func TestMake(t *testing.T) {
	if *makes == "" {
		t.Skip("makes a release's data only when it is asked to")
	}
	dir := t.TempDir()
	began := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	ticks := 0
	h := openHouse(t, dir, func() time.Time { ticks++; return began.Add(time.Duration(ticks) * time.Second) })
	m := maker{t: t, h: h, ctx: t.Context()}
	m.make()
	said, err := record(t.Context(), h.db, h.blobs)
	if err != nil {
		t.Fatal(err)
	}
	h.close(t)
	if err := os.WriteFile(filepath.Join("testdata", *makes+".txt"), []byte(said), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := pack(dir, filepath.Join("testdata", *makes+archive)); err != nil {
		t.Fatal(err)
	}
}

// maker fills a data directory with something of everything.
type maker struct {
	t   *testing.T
	h   *house
	ctx context.Context

	alice, bob store.Principal
	phone      mail.Device
}

func (m *maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *maker) origin() mail.Origin {
	return mail.NewOrigin("alice@example.test", m.phone.ID, mail.IMAP, mail.ByUser).WithSession("s1")
}

func (m *maker) update(fn func(store.Tx) error) mail.ModSeq {
	m.t.Helper()
	n, err := m.h.db.Update(m.ctx, m.alice.Account, m.origin(), fn)
	m.must(err)
	return n
}

func (m *maker) mailbox(path string) (mb mail.Mailbox) {
	m.t.Helper()
	m.must(m.h.db.View(m.ctx, m.alice.Account, func(r store.Reader) (err error) { mb, err = r.MailboxByPath(path); return err }))
	return mb
}

func (m *maker) make() {
	m.people()
	m.arrivals()
	m.folders()
	m.flagsAndMoves()
	m.shares()
	m.drafts()
	m.notes()
	m.history()
	m.outgoing()
}

func (m *maker) people() {
	verifier, err := auth.HashPassword(m.ctx, "correct horse battery")
	m.must(err)
	setup := mail.NewOrigin("operator", 0, mail.Local, mail.BySetup)
	m.alice, err = m.h.db.CreateAccount(m.ctx, setup, store.NewAccount{Login: "alice@example.test", Name: "Alice Ä.", Quota: 1 << 30, Verifier: verifier})
	m.must(err)
	m.bob, err = m.h.db.CreateAccount(m.ctx, setup, store.NewAccount{Login: "bob@example.test", Verifier: verifier})
	m.must(err)
	m.must(m.h.db.AddAddress(m.ctx, store.Address{Local: "info", Domain: "example.test", Account: m.alice.Account, Alias: true}))
	m.must(m.h.db.Note(m.ctx, m.alice.Account, func(tx store.Notes) (err error) {
		m.phone, err = tx.AddDevice(mail.Device{Name: "phone", Key: "eas ABC", Protocol: mail.EAS, Client: "Phone 1"})
		if err == nil {
			err = tx.SetCursor(m.phone.ID, "inbox", []byte("position"))
		}
		return err
	}))
	_, err = m.h.db.AddCredential(m.ctx, store.Credential{Principal: m.alice.ID, Kind: store.AppPassword, Name: "phone", Verifier: []byte("verifier"), Token: []byte("token"), Device: m.phone.ID})
	m.must(err)
}

// letter is the n-th message: some answer each other, some carry much.
func letter(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Carol <carol@elsewhere.example>\r\nTo: alice@example.test\r\nSubject: letter %d — Grüße\r\nMessage-ID: <%d@elsewhere.example>\r\nDate: Mon, 05 Jan 2026 10:00:%02d +0100\r\n", n/3, n, n%60)
	if n%3 != 0 {
		fmt.Fprintf(&b, "In-Reply-To: <%d@elsewhere.example>\r\n", n-1)
	}
	text := strings.Repeat(fmt.Sprintf("Line of letter %d.\r\n", n), 5+n)
	if n%7 != 0 {
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=utf-8\r\n\r\n%s", text)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n%s\r\n--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n", text)
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("some bytes. "), 2000))
	for len(data) > 76 {
		b.WriteString(data[:76] + "\r\n")
		data = data[76:]
	}
	fmt.Fprintf(&b, "%s\r\n--x--\r\n", data)
	return b.Bytes()
}

// deliver brings letters in as LMTP does.
func (h *house) deliver(ctx context.Context, to string, letters ...[]byte) error {
	for _, l := range letters {
		r, err := h.delivery.LocalRecipient(ctx, to, int64(len(l)))
		if err != nil {
			return err
		}
		env := &delivery.Envelope{ReversePath: "carol@elsewhere.example", Recipients: []delivery.Recipient{r}, Hop: delivery.Hop{Helo: "mx.elsewhere.example", With: "LMTP", ID: "d1", Protocol: mail.LMTP}}
		errs, err := h.delivery.Deliver(ctx, env, bytes.NewReader(l))
		if err != nil {
			return err
		}
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) arrivals() {
	for n := range 30 {
		to := []string{"alice@example.test", "info@example.test", "bob@example.test"}[n%3]
		m.must(m.h.deliver(m.ctx, to, letter(n)))
	}
}

// appended puts a letter where it belongs, as an APPEND does.
func (m *maker) appended(mb mail.Mailbox, n int, change func(*mail.Arrival)) (p mail.Placement) {
	a, err := m.h.delivery.Ingest(m.ctx, bytes.NewReader(letter(n)))
	m.must(err)
	if change != nil {
		change(&a)
	}
	m.update(func(tx store.Tx) (err error) { p, err = tx.Append(mb.ID, a); return err })
	return p
}

func (m *maker) folders() {
	var projects mail.Mailbox
	m.update(func(tx store.Tx) (err error) {
		if projects, err = tx.CreateMailbox(mail.MailboxImage{Name: "Projekte & Übersicht"}); err != nil {
			return err
		}
		_, err = tx.CreateMailbox(mail.MailboxImage{Name: "2026", Parent: projects.ID})
		return err
	})
	below := m.mailbox("Projekte & Übersicht/2026")
	for n := range 8 {
		m.appended(below, 100+n, func(a *mail.Arrival) {
			a.InternalDate = time.Date(2025, 12, 24-n, 9, 0, 0, 0, time.FixedZone("", 3600))
		})
	}
	m.update(func(tx store.Tx) error { return tx.Subscribe("Projekte & Übersicht/2026") })
	m.update(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Old"})
		return err
	})
	old := m.mailbox("Old")
	m.appended(old, 120, nil)
	m.update(func(tx store.Tx) error { return tx.DeleteMailbox(old.ID) })
}

func (m *maker) flagsAndMoves() {
	inbox, below, trash := m.mailbox("INBOX"), m.mailbox("Projekte & Übersicht/2026"), m.mailbox("Trash")
	flags, err := mail.NewFlags(`\Seen`, `\Flagged`, "$Forwarded", "rechnung")
	m.must(err)
	seen, err := mail.NewFlags(`\Seen`)
	m.must(err)
	m.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(inbox.ID, mail.MakeUIDSet(1, 3, 5), mail.FlagChange{Add: flags}, nil)
		return err
	})
	m.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(inbox.ID, mail.MakeUIDSet(3), mail.FlagChange{Remove: seen}, nil)
		return err
	})
	m.update(func(tx store.Tx) error { _, err := tx.Move(inbox.ID, mail.MakeUIDSet(6, 7), below.ID); return err })
	m.update(func(tx store.Tx) error { _, err := tx.Copy(inbox.ID, mail.MakeUIDSet(8), below.ID); return err })
	m.update(func(tx store.Tx) error { _, err := tx.Move(inbox.ID, mail.MakeUIDSet(9, 10), trash.ID); return err })
	m.update(func(tx store.Tx) error { _, err := tx.Expunge(trash.ID, mail.MakeUIDSet(1), false); return err })
	m.update(func(tx store.Tx) error { _, err := tx.Expunge(below.ID, mail.MakeUIDSet(2, 4), false); return err })
}

func (m *maker) shares() {
	below := m.mailbox("Projekte & Übersicht/2026")
	rights, err := mail.ParseRights("lrswit")
	m.must(err)
	m.update(func(tx store.Tx) error { return tx.SetRights(below.ID, m.bob.ID, rights) })
	seen, err := mail.NewFlags(`\Seen`)
	m.must(err)
	m.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(below.ID, mail.MakeUIDSet(1, 3), mail.FlagChange{Add: seen, As: m.bob.ID}, nil)
		return err
	})
}

func (m *maker) drafts() {
	drafts := m.mailbox("Drafts")
	draft, err := mail.NewFlags(`\Draft`, `\Seen`)
	m.must(err)
	first := m.appended(drafts, 200, func(a *mail.Arrival) { a.Flags = draft })
	m.appended(drafts, 201, func(a *mail.Arrival) { a.Flags, a.Replaces = draft, first.UID })
}

func (m *maker) notes() {
	inbox := m.mailbox("INBOX")
	m.update(func(tx store.Tx) error { return tx.SetMetadata(inbox.ID, 0, "/shared/comment", []byte("blue")) })
	m.update(func(tx store.Tx) error {
		_, err := tx.Annotate(inbox.ID, mail.MakeUIDSet(2), []mail.Annotation{{Name: "/comment", Value: []byte("call back")}}, nil)
		return err
	})
	m.update(func(tx store.Tx) error { return tx.SetPreference(mail.POP3Delete, "trash") })
	m.update(func(tx store.Tx) error {
		_, err := tx.PutObject(mail.Object{Type: mail.TypeIdentity, Data: []byte(`{"name":"Alice"}`)})
		return err
	})
}

// history leaves an act that was undone, and one that can be.
func (m *maker) history() {
	inbox := m.mailbox("INBOX")
	act := m.update(func(tx store.Tx) error { _, err := tx.Expunge(inbox.ID, mail.MakeUIDSet(11, 12), false); return err })
	m.update(func(tx store.Tx) error { _, err := tx.Undo(mail.ActID(act)); return err })
	m.update(func(tx store.Tx) error { _, err := tx.Expunge(inbox.ID, mail.MakeUIDSet(13), false); return err })
}

func (m *maker) outgoing() {
	a, err := m.h.delivery.Ingest(m.ctx, bytes.NewReader(letter(300)))
	m.must(err)
	m.must(m.h.db.Enqueue(m.ctx, []store.Outgoing{{
		Delivery: "d300", Account: m.alice.Account, Blob: a.Blob, ReversePath: "alice@example.test", Recipient: "dave@elsewhere.example",
		Arrived: time.Date(2026, 1, 5, 11, 0, 0, 0, time.UTC), Next: time.Date(2026, 1, 5, 11, 5, 0, 0, time.UTC),
	}}))
}
