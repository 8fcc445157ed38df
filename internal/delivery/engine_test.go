package delivery_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/vfs"
)

// withAttachment is a message whose attachment is cut out when it is put.
func withAttachment(subject string, seed uint64) string {
	raw := make([]byte, 300_000)
	rng := rand.New(rand.NewPCG(seed, seed))
	for i := range raw {
		raw[i] = byte(rng.Uint32())
	}
	var b bytes.Buffer
	b.WriteString("From: alice@example.test\r\nSubject: " + subject + "\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + subject + "@x>\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	text := base64.StdEncoding.EncodeToString(raw)
	for len(text) > 0 {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String()
}

// On the engine that people run, what is queued keeps its bytes, whether the
// same message lies in a mailbox with its attachment cut out or nowhere else.
func TestQueueKeepsItsBytes(t *testing.T) {
	db := sqltest.Temp(t, sqlstore.Options{RunTwice: true})
	dir := t.TempDir()
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(dir, "key"), filepath.Join(dir, "packs"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, db.Blobs(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	svc := &delivery.Service{Store: db, Directory: db, Queue: db, Blobs: blobs, Log: slog.New(slog.DiscardHandler), Hostname: "mx.example.test", SpoolDir: dir, CanSend: true}
	var accounts []store.Principal
	for _, login := range []string{"alice@example.test", "bob@example.test"} {
		p, err := db.CreateAccount(t.Context(), deliverytest.By, store.NewAccount{Login: login})
		if err != nil {
			t.Fatal(err)
		}
		accounts = append(accounts, p)
	}
	r := startRemote(t, nil)
	z := zone{ip: map[string]string{"remote.test": "192.0.2.10"}}
	send := &delivery.Sender{Service: svc, Resolver: z, Dial: wires{"192.0.2.10": r}.dial, Schedule: []time.Duration{0}}
	svc.Wake = send.Wake

	both, alone := withAttachment("both", 1), withAttachment("alone", 2)
	for body, to := range map[string][]string{both: {"dave@remote.test", "bob@example.test"}, alone: {"dave@remote.test", "erin@remote.test"}} {
		env := &delivery.Envelope{ReversePath: "alice@example.test", Hop: hop(mail.Submission)}
		for _, a := range to {
			rcpt, err := svc.AnyRecipient(t.Context(), a, 0)
			if err != nil {
				t.Fatal(err)
			}
			env.Recipients = append(env.Recipients, rcpt)
		}
		if err := svc.Submit(t.Context(), accounts[0].Account, env, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	runQueue(t, db, send)
	sent := map[string]int{}
	for _, m := range r.messages() {
		for _, body := range []string{both, alone} {
			if strings.HasSuffix(m.body, body) {
				sent[body[:50]] += len(m.to)
			}
		}
	}
	if sent[both[:50]] != 1 || sent[alone[:50]] != 2 {
		t.Errorf("sent %v", sent)
	}
	err = db.View(t.Context(), accounts[1].Account, func(v store.Reader) error {
		inbox, err := v.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		n := 0
		err = v.Messages(store.PlacementQuery{Mailbox: inbox.ID, Located: true}, func(_ *mail.Placement, m *mail.Message) error {
			n++
			got, err := blobs.Open(t.Context(), m.Blob)
			if err != nil {
				return err
			}
			defer got.Close()
			text, err := io.ReadAll(got)
			if !strings.HasSuffix(string(text), both) {
				t.Errorf("bob's came out changed")
			}
			return err
		})
		if n != 1 {
			t.Errorf("bob has %d messages, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
