package search

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgtest"
	"lockstep/internal/store/sqlstore/sqltest"
)

var testOrigin = mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin)

// house is a store with one account, and its index.
type house struct {
	t       testing.TB
	db      *sqlstore.DB
	hub     *notify.Hub
	x       *Index
	dir     string
	url     string // of a database that nodes share
	account mail.AccountID
	inbox   mail.MailboxID

	mu    sync.Mutex
	blobs map[mail.BlobName][]byte

	read map[mail.MessageKey]*[Text + 1][]string // what was found by reading
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, hub: &notify.Hub{}, dir: t.TempDir(), blobs: map[mail.BlobName][]byte{}}
	var err error
	if onPostgres() {
		h.url = sqltest.PostgresURL(t)
		h.db = sqltest.Open(t, h.url, sqlstore.Options{Hub: h.hub})
	} else if h.db, err = sqlstore.Open(t.Context(), filepath.Join(h.dir, "lockstep.db"), sqlstore.Options{Hub: h.hub}); err != nil {
		t.Fatal(err)
	} else {
		t.Cleanup(func() { h.db.Close() })
	}
	h.account = h.addAccount("alice@example.test")
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		h.inbox = mb.ID
		return err
	})
	h.reopen()
	return h
}

// path is of an account's index.
func (h *house) path(a mail.AccountID) string { return h.x.storage.(*files).path(a) }

func (h *house) addAccount(login string) mail.AccountID {
	h.t.Helper()
	p, err := h.db.CreateAccount(context.Background(), testOrigin, store.NewAccount{Login: login})
	if err != nil {
		h.t.Fatal(err)
	}
	return p.Account
}

// reopen begins anew with what is on disk, as after a kill.
func (h *house) reopen() {
	h.t.Helper()
	if h.x != nil {
		h.x.Close()
	}
	var err error
	o := Options{Store: h.db, Directory: h.db, Hub: h.hub, Secret: []byte("secret"), Blobs: h.open}
	if h.url != "" {
		o.Nodes = &Nodes{Dial: h.db.Dial, Readable: sqlstore.Readable}
	}
	h.x, err = New(filepath.Join(h.dir, "search"), o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.x.need(h.account)
	x := h.x
	h.t.Cleanup(func() { x.Close() })
}

// onPostgres reports whether the tests are run with the storage that nodes share.
func onPostgres() bool { return os.Getenv(sqltest.Engine) == "postgres" }

// ofFiles skips what is about files.
func ofFiles(t testing.TB) {
	t.Helper()
	if onPostgres() {
		t.Skip("it is about files")
	}
}

// TestAllOfItOnPostgres runs the tests again, with the storage that nodes share.
func TestAllOfItOnPostgres(t *testing.T) {
	if onPostgres() {
		t.Skip("they are")
	}
	if testing.Short() {
		t.Skip("-short")
	}
	pgtest.Database(t) // skips where there is none
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=5m")
	again.Env = append(os.Environ(), sqltest.Engine+"=postgres")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func (h *house) open(_ context.Context, b mail.Blob) (Bytes, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data, ok := h.blobs[b.Name]
	if !ok {
		return nil, mail.Errorf(mail.Corrupt, "the message is damaged")
	}
	return body{bytes.NewReader(data)}, nil
}

func (h *house) view(fn func(store.Reader) error) {
	h.t.Helper()
	if err := h.db.View(context.Background(), h.account, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) update(fn func(store.Tx) error) {
	h.t.Helper()
	if _, err := h.db.Update(context.Background(), h.account, testOrigin, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) arrival(text string) mail.Arrival {
	h.t.Helper()
	data := []byte(text)
	m, err := message.Parse(bytes.NewReader(data))
	if err != nil {
		h.t.Fatal(err)
	}
	b := mail.Blob{Name: sha256.Sum256(data), Size: int64(len(data)), Place: "memory", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)}
	h.mu.Lock()
	h.blobs[b.Name] = data
	h.mu.Unlock()
	return mail.Arrival{Blob: b, Parsed: message.Encode(m), InternalDate: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// put appends messages to INBOX in one transaction.
func (h *house) put(texts ...string) []mail.Placement {
	h.t.Helper()
	var arrivals []mail.Arrival
	for _, s := range texts {
		arrivals = append(arrivals, h.arrival(s))
	}
	var out []mail.Placement
	h.update(func(tx store.Tx) error {
		out = out[:0]
		for _, a := range arrivals {
			p, err := tx.Append(h.inbox, a)
			if err != nil {
				return err
			}
			out = append(out, p)
		}
		return nil
	})
	return out
}

// append appends one message to INBOX.
func (h *house) append(a mail.Arrival) {
	h.t.Helper()
	h.update(func(tx store.Tx) error {
		_, err := tx.Append(h.inbox, a)
		return err
	})
}

// settle brings the index up.
func (h *house) settle() {
	h.t.Helper()
	more, err := h.x.catchUp(h.t.Context(), h.account, time.Hour, func() {})
	if err != nil || more {
		h.t.Fatalf("more %v, %v", more, err)
	}
}

// all are the messages of INBOX.
func (h *house) all() (keys []mail.MessageKey) {
	h.t.Helper()
	h.view(func(r store.Reader) error {
		keys = nil
		return r.Placements(store.PlacementQuery{Mailbox: h.inbox}, func(p *mail.Placement) error {
			keys = append(keys, p.Message)
			return nil
		})
	})
	return keys
}

func (h *house) ask(p Part, needle string, keys []mail.MessageKey) Answers {
	h.t.Helper()
	got, err := h.x.Exact(h.t.Context(), h.account, Question{Part: p, Needle: message.AppendCasemap(nil, []byte(needle))}, keys)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

// truth decides by reading, as IMAP does without an index.
func (h *house) truth(p Part, needle string, k mail.MessageKey) bool {
	h.t.Helper()
	parts, ok := h.read[k]
	if !ok {
		parts = h.partsOf(k)
		if h.read == nil {
			h.read = map[mail.MessageKey]*[Text + 1][]string{}
		}
		h.read[k] = parts
	}
	n := string(message.AppendCasemap(nil, []byte(needle)))
	return slices.ContainsFunc(parts[p], func(s string) bool { return strings.Contains(s, n) })
}

// partsOf are the casemapped texts of a message, by part.
func (h *house) partsOf(k mail.MessageKey) *[Text + 1][]string {
	h.t.Helper()
	var m mail.Message
	h.view(func(r store.Reader) (err error) {
		m, err = r.Message(k)
		return err
	})
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		h.t.Fatal(err)
	}
	var parts [Text + 1][]string
	add := func(p Part, s string) { parts[p] = append(parts[p], string(message.AppendCasemap(nil, []byte(s)))) }
	e := &parsed.Envelope
	add(Subject, message.DecodeWords(e.Subject))
	for p, list := range map[Part][]message.Address{From: e.From, To: e.To, Cc: e.Cc, Bcc: e.Bcc} {
		for _, a := range list {
			add(p, message.DecodeWords(a.Name)+" <"+a.String()+">")
		}
	}
	h.mu.Lock()
	data := h.blobs[m.Blob.Name]
	h.mu.Unlock()
	for p, write := range map[Part]func(io.Writer, io.ReaderAt, *message.Message, int64) error{Header: message.HeaderText, Body: message.BodyText, Text: message.Text} {
		var out bytes.Buffer
		if err := write(&out, bytes.NewReader(data), parsed, math.MaxInt64); err != nil {
			h.t.Fatal(err)
		}
		add(p, out.String())
	}
	return &parts
}
