// Package deliverytest is a house for tests of what delivers: accounts in the
// model store, or in the engine that tests are run with, blobs in a directory of the
// test, and a delivery.Service on them.
package deliverytest

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/vfs"
)

// House holds the parts.
type House struct {
	T        testing.TB
	Store    Engine
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
	st, index := NewEngine(t, nil)
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, index, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	return &House{t, st, blobs, &delivery.Service{
		Store: st, Directory: st, Queue: st, Blobs: blobs, Log: slog.New(slog.DiscardHandler),
		Hostname: "mx.example.test", SpoolDir: dir, Wake: func() {},
	}}
}

// An Engine is all that a server keeps in its database.
type Engine interface {
	store.Store
	store.Directory
	store.Queue
	store.Intents
	store.Keeper
	store.Files
	store.Endings
	store.Failures
}

// NewEngine makes a store without accounts: the model, unless tests are run with an
// engine by name; then it is that. now is its clock; nil is time's.
func NewEngine(t testing.TB, now func() time.Time) (Engine, blob.Index) {
	t.Helper()
	if os.Getenv(sqltest.Engine) != "" {
		db := sqltest.Temp(t, sqlstore.Options{Now: now})
		return db, db.Blobs()
	}
	m := model.New()
	if now != nil {
		m.Now = now
	}
	return m, blobtest.NewIndex()
}

// OnlyModel is a store as the model, for what only that can do; with another the test
// is skipped.
func OnlyModel(t testing.TB, st Engine) *model.Store {
	t.Helper()
	m, is := st.(*model.Store)
	if !is {
		t.Skip("only the model can do this")
	}
	return m
}

// Model is OnlyModel of the house's.
func (h *House) Model() *model.Store {
	h.T.Helper()
	return OnlyModel(h.T, h.Store)
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
