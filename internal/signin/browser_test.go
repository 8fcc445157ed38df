package signin

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

// browser keeps cookies and says where its requests come from, as browsers do.
type browser struct {
	t       testing.TB
	srv     http.Handler
	addr    string
	agent   string
	site    string // Sec-Fetch-Site
	cookies map[string]*http.Cookie
	csrf    string
	last    *httptest.ResponseRecorder
}

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

func (h *house) browser() *browser {
	return &browser{t: h.t, srv: h, addr: "192.0.2.9", agent: firefox, site: "same-origin", cookies: map[string]*http.Cookie{}}
}

// request makes one, by TLS, with what the browser adds.
func (b *browser) request(method, path string, body []byte) *http.Request {
	r := httptest.NewRequest(method, "https://mail.example.test"+path, bytes.NewReader(body))
	r.RemoteAddr, r.TLS = b.addr+":4711", &tls.ConnectionState{}
	r.Header.Set("User-Agent", b.agent)
	if b.site != "" {
		r.Header.Set("Sec-Fetch-Site", b.site)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if b.csrf != "" && method != "GET" {
		r.Header.Set(csrfHeader, b.csrf)
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

// do serves a request and takes in the cookies.
func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.srv.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || r.TLS != nil && (!c.Secure || !strings.HasPrefix(c.Name, hostPrefix)) || c.Path != "/" || c.Domain != "" {
			b.t.Errorf("cookie %v", c)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c
	}
	b.last = w
	return w
}

// call asks and decodes the answer into v, if it is not nil. Any other status fails the
// test.
func (b *browser) call(status int, method, path string, body any, v any) {
	b.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
	}
	w := b.do(b.request(method, path, text))
	if w.Code != status {
		b.t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		b.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
	}
}

// post is call with a body, even if there is nothing to say.
func (b *browser) post(status int, path string, body any, v any) {
	b.t.Helper()
	if body == nil {
		body = m{}
	}
	b.call(status, "POST", path, body, v)
}

// refused expects a problem of that reason.
func (b *browser) refused(status int, reason, method, path string, body any) {
	b.t.Helper()
	var p Problem
	b.call(status, method, path, body, &p)
	if p.Type != problemType+reason || p.Status != status || p.Detail == "" {
		b.t.Errorf("%s %s: %+v, want %s", method, path, p, reason)
	}
}

// signIn signs in with the password.
func (b *browser) signIn() Session {
	b.t.Helper()
	var s Session
	b.post(200, "/auth/sign-in", m{"login": login, "password": password}, &s)
	b.csrf = s.CSRF
	return s
}

// authenticate asks as JMAP does.
func (b *browser) authenticate(h *house, r *http.Request) mail.Kind {
	_, err := h.Authenticate(r)
	if err == nil {
		return letIn
	}
	return mail.KindOf(err)
}

// m is a JSON object.
type m = object

// letIn is no Kind.
const letIn mail.Kind = 255
