package jmap

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	login    = "alice@example.test"
	password = "correct horse"
)

var verifier = sync.OnceValue(func() []byte {
	v, err := auth.HashPassword(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return v
})

// byPassword signs in by Basic alone.
type byPassword struct{ auth *auth.Service }

func (byPassword) Challenge(h http.Header, _ *http.Request) {
	h.Set("WWW-Authenticate", `Basic realm="tests"`)
}

func (b byPassword) Authenticate(r *http.Request) (*auth.Session, error) {
	login, secret, _ := r.BasicAuth()
	return b.auth.Login(r.Context(), auth.Attempt{Login: login, Secret: secret, Protocol: mail.JMAP, Addr: netip.IPv6Loopback(), Client: "tests"})
}

// town is a house in which Alice lives, and a server in it.
type town struct {
	*deliverytest.House
	auth    *auth.Service
	alice   store.Principal
	account string // as JMAP spells it
	server  *Server
}

func newTown(t testing.TB) *town {
	h := deliverytest.New(t)
	w := &town{House: h, auth: auth.New(h.Store, h.Store, []byte("salts"), slog.New(slog.DiscardHandler))}
	w.alice = h.Account(login, 0, verifier())
	w.account = accountID(w.alice.Account)
	w.server = &Server{
		Store: w.Store, Directory: w.Store, Auth: byPassword{w.auth}, Accounts: w.auth, Trails: device.NewTrails(w.Store, slog.New(slog.DiscardHandler)), Delivery: w.Delivery, Hostname: "mail.example.test", SpoolDir: t.TempDir(), People: w.Store.People,
		Blobs: func(ctx context.Context, b mail.Blob) (Body, error) {
			r, err := w.Blobs.Open(ctx, b)
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
	return w
}

// change changes Alice's mail as another device would.
func (w *town) change(fn func(store.Tx) error) mail.ModSeq {
	w.T.Helper()
	n, err := w.Store.Update(w.T.Context(), w.alice.Account, deliverytest.By, fn)
	if err != nil {
		w.T.Fatal(err)
	}
	return n
}

// mailbox finds one of Alice's mailboxes.
func (w *town) mailbox(path string) (mb mail.Mailbox) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) {
		mb, err = r.MailboxByPath(path)
		return err
	})
	if err != nil {
		w.T.Fatalf("%s: %v", path, err)
	}
	return mb
}

// put puts a message into a mailbox, as another device or a delivery would.
func (w *town) put(path, text string, names ...string) (p mail.Placement) {
	w.T.Helper()
	a, err := w.Delivery.Ingest(w.T.Context(), strings.NewReader(text))
	if err != nil {
		w.T.Fatal(err)
	}
	a.Flags = flags(w.T, names...)
	mb := w.mailbox(path)
	w.change(func(tx store.Tx) (err error) {
		p, err = tx.Append(mb.ID, a)
		return err
	})
	return p
}

// emailID is what JMAP calls the message of a placement.
func (w *town) emailID(p mail.Placement) string {
	w.T.Helper()
	var m mail.Message
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) {
		m, err = r.Message(p.Message)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return m.EmailID.String()
}

// do sends a request as Alice and returns what came.
func (w *town) do(method, path, contentType string, body []byte) *httptest.ResponseRecorder {
	w.T.Helper()
	r := httptest.NewRequestWithContext(w.T.Context(), method, "http://localhost"+path, bytes.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.SetBasicAuth(login, password)
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

// api sends a Request object, using all that is announced, whose method calls are
// given as JSON, and returns the answers.
func (w *town) api(calls string) []response {
	w.T.Helper()
	using, err := json.Marshal(capabilityNames())
	if err != nil {
		w.T.Fatal(err)
	}
	calls = strings.ReplaceAll(calls, "$ACCOUNT", w.account)
	rec := w.do("POST", apiPath, "application/json", []byte(`{"using":`+string(using)+`,"methodCalls":`+calls+`}`))
	if rec.Code != 200 {
		w.T.Fatalf("%s: HTTP %d: %s", calls, rec.Code, rec.Body)
	}
	var out struct {
		MethodResponses [][3]json.RawMessage `json:"methodResponses"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		w.T.Fatalf("%s: %v", rec.Body, err)
	}
	var all []response
	for _, m := range out.MethodResponses {
		var r response
		if json.Unmarshal(m[0], &r.name) != nil || json.Unmarshal(m[2], &r.callID) != nil {
			w.T.Fatalf("%s: not responses", rec.Body)
		}
		r.args = m[1]
		all = append(all, r)
	}
	return all
}

// call makes one call and decodes its answer, which may be an error.
func (w *town) call(method, args string, into any) (name string) {
	w.T.Helper()
	answers := w.api(`[["` + method + `",` + args + `,"c"]]`)
	if err := json.Unmarshal(answers[0].args, into); err != nil {
		w.T.Fatalf("%s %s: %s: %v", method, args, answers[0].args, err)
	}
	return answers[0].name
}

// newStranger asks without saying who it is.
func newStranger(w *town, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.T.Context(), method, "http://localhost"+path, nil)
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

func flags(t testing.TB, names ...string) mail.Flags {
	t.Helper()
	f, err := mail.NewFlags(names...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
