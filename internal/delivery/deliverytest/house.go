// Package deliverytest is a house for tests of what delivers: accounts in the
// model store, blobs in a directory of the test, and a delivery.Service on them.
package deliverytest

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
	"lockstep/internal/vfs"
)

// House holds the parts.
type House struct {
	T        testing.TB
	Store    *model.Store
	Blobs    *blob.Store
	Delivery *delivery.Service
}

// By is who sets the house up.
var By = mail.NewOrigin("test", 0, mail.Local, mail.BySetup)

// New makes a house in which nobody lives. Its host name is mx.example.test.
func New(t testing.TB) *House {
	dir := t.TempDir()
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(dir, "key"), filepath.Join(dir, "packs"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, blobtest.NewIndex(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	st := model.New()
	return &House{t, st, blobs, &delivery.Service{
		Store: st, Directory: st, Queue: st, Blobs: blobs, Log: slog.New(slog.DiscardHandler),
		Hostname: "mx.example.test", SpoolDir: dir, Wake: func() {},
	}}
}

// Account lets somebody move in.
func (h *House) Account(login string, quota int64, verifier []byte) store.Principal {
	h.T.Helper()
	p, err := h.Store.CreateAccount(h.T.Context(), By, store.NewAccount{Login: login, Quota: quota, Verifier: verifier})
	if err != nil {
		h.T.Fatal(err)
	}
	return p
}

// Address gives an account one more address; "@domain" catches all.
func (h *House) Address(address string, id mail.AccountID) {
	h.T.Helper()
	at := strings.LastIndexByte(address, '@')
	if err := h.Store.AddAddress(h.T.Context(), store.Address{Local: address[:at], Domain: address[at+1:], Account: id, Alias: true}); err != nil {
		h.T.Fatal(err)
	}
}

// Inbox returns the bytes of every message in an inbox, oldest first.
func (h *House) Inbox(id mail.AccountID) []string {
	h.T.Helper()
	var blobs []mail.Blob
	err := h.Store.View(h.T.Context(), id, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID, Located: true}, func(_ *mail.Placement, m *mail.Message) error {
			blobs = append(blobs, m.Blob)
			return nil
		})
	})
	if err != nil {
		h.T.Fatal(err)
	}
	var all []string
	for _, b := range blobs {
		all = append(all, h.Read(b))
	}
	return all
}

// Read returns the bytes of a blob.
func (h *House) Read(b mail.Blob) string {
	h.T.Helper()
	r, err := h.Blobs.Open(h.T.Context(), b)
	if err != nil {
		h.T.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		h.T.Fatal(err)
	}
	return string(text)
}
