package signin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

const (
	login    = "alice@example.test"
	password = "correct-horse"
)

var by = mail.NewOrigin("test", 0, mail.Local, mail.BySetup)

// verifier is hashed once for all tests: it is slow on purpose.
var verifier = sync.OnceValue(func() []byte {
	v, err := auth.HashPassword(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return v
})

// house is a server with alice on it.
type house struct {
	*Server
	t     testing.TB
	store *model.Store
	alice store.Principal
}

func newHouse(t testing.TB) *house {
	h := &house{t: t, store: model.New()}
	h.Server = &Server{Files: h.store, Auth: auth.New(h.store, h.store, []byte("secret"), slog.New(slog.DiscardHandler)), AllowPlainAuth: netip.Addr.IsLoopback}
	var err error
	if h.alice, err = h.store.CreateAccount(t.Context(), by, newAccount(login)); err != nil {
		t.Fatal(err)
	}
	return h
}

func newAccount(login string) store.NewAccount {
	return store.NewAccount{Login: login, Verifier: verifier()}
}

// from makes a request that comes from an address, with the headers, by pairs.
func from(addr, method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = addr + ":4711"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func basic(r *http.Request, login, secret string) *http.Request {
	r.SetBasicAuth(login, secret)
	return r
}

func (h *house) appPassword(name string, protocols ...mail.Protocol) (mail.Device, string) {
	h.t.Helper()
	d, secret, err := h.Auth.AddDevice(h.t.Context(), h.alice, name, protocols)
	if err != nil {
		h.t.Fatal(err)
	}
	return d, secret
}

func TestWhoAsksIsKnownByPasswordOrToken(t *testing.T) {
	h := newHouse(t)
	laptop, secret := h.appPassword("laptop")
	_, elsewhere := h.appPassword("phone", mail.IMAP)
	const here, far = "127.0.0.1", "192.0.2.1"
	for name, c := range map[string]struct {
		r      *http.Request
		kind   mail.Kind
		device string
	}{
		"nobody":                {from(here, "GET", "/"), mail.BadCredentials, ""},
		"password":              {basic(from(here, "GET", "/", "User-Agent", "mailer/1.2"), login, password), 0, "mailer"},
		"wrong password":        {basic(from(here, "GET", "/"), login, "wrong"), mail.BadCredentials, ""},
		"app password":          {basic(from(here, "GET", "/"), login, secret), 0, laptop.Name},
		"app password as token": {from(here, "GET", "/", "Authorization", "Bearer "+secret), 0, laptop.Name},
		"the scheme in small":   {from(here, "GET", "/", "Authorization", "bearer "+secret), 0, laptop.Name},
		"password as token":     {from(here, "GET", "/", "Authorization", "Bearer "+password), mail.BadCredentials, ""},
		"for another protocol":  {from(here, "GET", "/", "Authorization", "Bearer "+elsewhere), mail.Denied, ""},
		"in clear":              {from(far, "GET", "/", "Authorization", "Bearer "+secret), mail.Denied, ""},
		"another scheme":        {from(here, "GET", "/", "Authorization", "Digest "+secret), mail.BadCredentials, ""},
	} {
		sess, err := h.Authenticate(c.r)
		switch {
		case err != nil && mail.KindOf(err) != c.kind || err == nil && c.device == "":
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		case err == nil && (sess.Device().Name != c.device || sess.Protocol != mail.JMAP || sess.Account() != h.alice.Account):
			t.Errorf("%s: device %q of %d by %s", name, sess.Device().Name, sess.Account(), sess.Protocol)
		}
	}
}

// Somebody who tries tokens is slowed down, and nobody else's login with him.
func TestGuessingTokensIsSlow(t *testing.T) {
	h := newHouse(t)
	_, secret := h.appPassword("laptop")
	var err error
	for range 30 {
		_, err = h.Authenticate(from("127.0.0.2", "GET", "/", "Authorization", "Bearer guess"))
	}
	if mail.KindOf(err) != mail.Limit {
		t.Errorf("after 30 guesses: %v", err)
	}
	tls := from("192.0.2.7", "GET", "https://mail.example.test/", "Authorization", "Bearer "+secret)
	if _, err := h.Authenticate(tls); err != nil {
		t.Error("another network:", err)
	}
}

// Who may sign in hears how, but a page is not interrupted by the browser's own window.
func TestChallenges(t *testing.T) {
	h := newHouse(t)
	for mode, want := range map[string]bool{"": true, "navigate": true, "cors": false, "same-origin": false, "websocket": false} {
		r, answer := from("127.0.0.1", "GET", "/jmap/session", "Sec-Fetch-Mode", mode), http.Header{}
		h.Challenge(answer, r)
		said := strings.Join(answer.Values("WWW-Authenticate"), ", ")
		if strings.Contains(said, "Basic") != want || !strings.Contains(said, `resource_metadata="http://example.com/.well-known/oauth-protected-resource"`) {
			t.Errorf("%q: %s", mode, said)
		}
	}
}
