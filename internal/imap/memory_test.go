package imap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/transfer"
)

// memoryBlobs keeps blobs in a map.
type memoryBlobs struct {
	mu sync.Mutex
	m  map[mail.BlobName][]byte
}

type memoryBody struct{ *bytes.Reader }

func (memoryBody) Close() error { return nil }

func (b *memoryBlobs) Open(_ context.Context, blob mail.Blob) (Body, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.m[blob.Name]
	if !ok {
		return nil, mail.Errorf(mail.Corrupt, "the message is damaged")
	}
	return memoryBody{bytes.NewReader(data)}, nil
}

func (b *memoryBlobs) ingest(_ context.Context, r io.Reader, size int64) (mail.Arrival, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return mail.Arrival{}, err
	}
	m, err := message.Parse(bytes.NewReader(data))
	if err != nil {
		return mail.Arrival{}, err
	}
	blob := mail.Blob{Name: sha256.Sum256(data), Size: int64(len(data)), Place: "memory", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[mail.BlobName][]byte{}
	}
	b.m[blob.Name] = data
	return mail.Arrival{Blob: blob, SentAt: m.Envelope.SentAt, MessageID: m.ID, References: m.References, BaseSubject: m.BaseSubject,
		IsReply: m.IsReply, Parsed: message.Encode(m), Preview: m.Preview, DraftID: m.DraftID}, nil
}

const (
	testLogin    = "alice@example.test"
	testPassword = "open sesame"
)

// testOrigin is who sets the scene.
var testOrigin = mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin)

// house is a server with an account, and two more to share with, on a loopback port.
type house struct {
	t       testing.TB
	store   deliverytest.Engine
	blobs   *memoryBlobs
	auth    *auth.Service
	server  *Server
	account mail.AccountID
	user    store.Principal
	addr    string
}

var testClock = time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)

var verifier = sync.OnceValue(func() []byte {
	v, err := auth.HashPassword(context.Background(), testPassword)
	if err != nil {
		panic(err)
	}
	return v
})

// newHouse sets one up; change may alter the server before it starts.
func newHouse(t testing.TB, change func(*Server)) *house {
	h := quietHouse(t, change)
	h.addr = h.listen(h.server.Serve)
	return h
}

// quietHouse is a house in which nobody listens yet.
func quietHouse(t testing.TB, change func(*Server)) *house {
	h := &house{t: t, blobs: &memoryBlobs{}}
	h.store, _ = deliverytest.NewEngine(t, func() time.Time { return testClock })
	log := slog.New(slog.DiscardHandler)
	h.auth = auth.New(h.store, h.store, []byte("salts"), log)
	p, err := h.store.CreateAccount(context.Background(), testOrigin, store.NewAccount{Login: testLogin, Verifier: verifier()})
	if err != nil {
		t.Fatal(err)
	}
	h.account, h.user = p.Account, p
	for _, login := range []string{"bob@example.test", "carol@example.test"} {
		if _, err := h.store.CreateAccount(context.Background(), testOrigin, store.NewAccount{Login: login, Verifier: verifier()}); err != nil {
			t.Fatal(err)
		}
	}
	h.server = &Server{Store: h.store, Transfer: &transfer.Service{Store: h.store, Intents: h.store}, Auth: h.auth, Blobs: h.blobs, Ingest: h.blobs.ingest, Hub: &notify.Hub{}, Log: log,
		AllowPlainAuth: netip.Addr.IsLoopback, Limits: Limits{Nap: time.Millisecond}}
	if change != nil {
		change(h.server)
	}
	return h
}

func (h *house) listen(serve func(context.Context, net.Listener) error) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

func (h *house) update(fn func(store.Tx) error) mail.ModSeq {
	h.t.Helper()
	n, err := h.store.Update(context.Background(), h.account, testOrigin, fn)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// put appends a message to a mailbox so that it gets this UID and, if not 0, this
// ModSeq.
func (h *house) put(path, text string, flags mail.Flags, uid mail.UID, modseq mail.ModSeq) {
	h.t.Helper()
	a, err := h.blobs.ingest(context.Background(), bytes.NewReader([]byte(text)), int64(len(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	var mb mail.Mailbox
	h.update(func(tx store.Tx) (err error) {
		mb, err = tx.MailboxByPath(path)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			mb, err = makePath(tx, path, mail.NoRole)
		}
		return err
	})
	for mb.UIDNext < uid { // use up the UIDs before
		h.update(func(tx store.Tx) error {
			p, err := tx.Append(mb.ID, a)
			if err == nil {
				_, err = tx.Expunge(mb.ID, mail.MakeUIDSet(p.UID), false)
			}
			mb.UIDNext = p.UID + 1
			return err
		})
	}
	h.burn(modseq)
	a.Flags = flags
	h.update(func(tx store.Tx) error {
		_, err := tx.Append(mb.ID, a)
		return err
	})
}

// dot is a message of one byte.
func (h *house) dot() mail.Arrival {
	h.t.Helper()
	a, err := h.blobs.ingest(context.Background(), strings.NewReader("."), 1)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// burn uses up ModSeqs, so that the next commit gets n.
func (h *house) burn(n mail.ModSeq) {
	h.t.Helper()
	for on := true; h.head()+1 < n; on = !on {
		h.update(func(tx store.Tx) error {
			if on {
				return tx.Unsubscribe("Junk")
			}
			return tx.Subscribe("Junk")
		})
	}
}

func (h *house) head() (n mail.ModSeq) {
	h.t.Helper()
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		a, err := r.Account()
		n = a.Head
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}
