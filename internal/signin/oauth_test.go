package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	callback = "https://client.example/done"
	codeText = "a-verifier-that-is-long-enough-for-the-standard"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// app is a program that asks for access.
type app struct {
	t    testing.TB
	h    *house
	id   string
	last map[string]any
}

func (h *house) register(redirects ...string) *app {
	h.t.Helper()
	a := &app{t: h.t, h: h}
	a.post(201, registerPath, "application/json", asJSON(h.t, m{"client_name": "Example Mail", "redirect_uris": redirects}))
	a.id = a.last["client_id"].(string)
	return a
}

func asJSON(t testing.TB, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// post asks an endpoint for programs, as a page of another site would.
func (a *app) post(status int, path, kind, body string) {
	a.t.Helper()
	r := httptest.NewRequest("POST", "https://mail.example.test"+path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.77:1"
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://client.example")
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Cache-Control") != "no-store" {
		a.t.Fatalf("%s: %d %v %s, want %d", path, w.Code, w.Header(), w.Body, status)
	}
	a.last = nil
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.last); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *app) form(status int, path string, pairs ...string) {
	a.t.Helper()
	q := url.Values{"client_id": {a.id}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	a.post(status, path, "application/x-www-form-urlencoded", q.Encode())
}

// bad expects an error of OAuth.
func (a *app) bad(code, path string, pairs ...string) {
	a.t.Helper()
	a.form(400, path, pairs...)
	if a.last["error"] != code || a.last["error_description"] == "" {
		a.t.Errorf("%v, want %s", a.last, code)
	}
}

// request is where the program sends a browser.
func (a *app) request(change ...string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {callback}, "state": {"xyz"}, "code_challenge": {challenge(codeText)}, "code_challenge_method": {"S256"}, "scope": {"mail"}}
	for i := 0; i < len(change); i += 2 {
		if q.Set(change[i], change[i+1]); change[i+1] == "" {
			q.Del(change[i])
		}
	}
	return authorizePath + "?" + q.Encode()
}

// visit follows a link from the program's site, as far as our page.
func (b *browser) visit(path string) *httptest.ResponseRecorder {
	b.t.Helper()
	b.site = "cross-site"
	kept := b.cookies
	b.cookies = map[string]*http.Cookie{} // they are for our own pages
	w := b.do(b.request("GET", path, nil))
	b.cookies, b.site = kept, "same-origin"
	if next := regexp.MustCompile(`content="0; url=([^"]+)"`).FindStringSubmatch(w.Body.String()); next != nil {
		return b.do(b.request("GET", html.UnescapeString(next[1]), nil))
	}
	return w
}

var formAction = regexp.MustCompile(`action="([^"]+)"`)
var formCSRF = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// fill sends the form of the page the browser shows.
func (b *browser) fill(pairs ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	shown := b.last.Body.String()
	action := formAction.FindStringSubmatch(shown)
	if action == nil {
		b.t.Fatalf("no form in %s", shown)
	}
	q := url.Values{}
	if csrf := formCSRF.FindStringSubmatch(shown); csrf != nil {
		q.Set("csrf", csrf[1])
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	r := b.request("POST", html.UnescapeString(action[1]), []byte(q.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Del(csrfHeader)
	return b.do(r)
}

// follow goes where a redirect to our own page leads.
func (b *browser) follow() *httptest.ResponseRecorder {
	b.t.Helper()
	if b.last.Code != http.StatusSeeOther {
		b.t.Fatalf("%d %s", b.last.Code, b.last.Body)
	}
	return b.do(b.request("GET", b.last.Header().Get("Location"), nil))
}

// returned is what the program is told by a redirect.
func (b *browser) returned() url.Values {
	b.t.Helper()
	to, err := url.Parse(b.last.Header().Get("Location"))
	if b.last.Code != http.StatusSeeOther || err != nil || !strings.HasPrefix(to.String(), callback) {
		b.t.Fatalf("%d to %v, %v", b.last.Code, to, err)
	}
	q := to.Query()
	if q.Get("iss") != "https://mail.example.test" || q.Get("state") != "xyz" {
		b.t.Errorf("told %v", q)
	}
	return q
}

// consented is a code.
func (a *app) consented(b *browser, change ...string) string {
	a.t.Helper()
	b.visit(a.request(change...))
	b.fill("action", "allow")
	return b.returned().Get("code")
}

// redeem gets tokens for a code.
func (a *app) redeem(code string) (access, refresh string) {
	a.t.Helper()
	a.form(200, tokenPath, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", codeText)
	return a.tokens()
}

func (a *app) tokens() (access, refresh string) {
	a.t.Helper()
	if a.last["token_type"] != "Bearer" || a.last["expires_in"] != auth.AccessLife.Seconds() {
		a.t.Errorf("%v", a.last)
	}
	return a.last["access_token"].(string), a.last["refresh_token"].(string)
}

// uses asks with an access token.
func (a *app) uses(access string) (*auth.Session, error) {
	return a.h.Authenticate(from("127.0.0.1", "GET", "/jmap/session", "Authorization", "Bearer "+access))
}

func (a *app) mustUse(access string) *auth.Session {
	a.t.Helper()
	sess, err := a.uses(access)
	if err != nil {
		a.t.Fatal(err)
	}
	return sess
}

func (a *app) mustNotUse(access string) {
	a.t.Helper()
	if _, err := a.uses(access); err == nil {
		a.t.Error("the access token is still good")
	}
}

func TestAProgramIsGrantedAccess(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	w := b.visit(a.request())
	if w.Code != 200 || !strings.Contains(w.Body.String(), "Example Mail") || strings.Contains(w.Body.String(), "Allow access") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	csp := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "form-action 'self' https://client.example") {
		t.Error(csp)
	}
	if page := w.Body.String(); strings.Contains(page, "<script") || strings.Contains(page, "<style") || strings.Contains(page, "style=") || strings.Contains(page, " onclick") {
		t.Error("the page has scripts or styles in it")
	}
	if w := b.fill("action", "password", "login", login, "password", "wrong"); w.Code != 401 || !strings.Contains(w.Body.String(), "wrong login or password") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.fill("action", "password", "login", login, "password", password)
	if w := b.follow(); !strings.Contains(w.Body.String(), "Allow access") || !strings.Contains(w.Body.String(), login) || !strings.Contains(w.Body.String(), "https://client.example") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	b.fill("action", "allow")
	access, refresh := a.redeem(b.returned().Get("code"))
	if !strings.Contains(a.last["scope"].(string), auth.ScopeMail) {
		t.Error(a.last)
	}
	sess := a.mustUse(access)
	if d := sess.Device(); d.Name != "Example Mail" || sess.Account() != h.alice.Account || sess.Protocol != mail.JMAP {
		t.Errorf("device %+v", d)
	}
	if _, err := h.Auth.Login(t.Context(), auth.Attempt{Login: login, Secret: access, Bearer: true, Protocol: mail.IMAP, Addr: auth.AddrOf(from("192.0.2.1", "GET", "/"))}); err != nil {
		t.Error("by IMAP:", err)
	}
	if auth.RefusalOf(h.Auth.Proven(sess)) != auth.NeedsProof {
		t.Error("a program may do what is sensitive")
	}
	a.mustNotUse(refresh)
	a.mustNotUse(access + "x")
	if _, err := h.Auth.Login(t.Context(), auth.Attempt{Login: "bob@example.test", Secret: access, Bearer: true, Protocol: mail.IMAP, Addr: auth.AddrOf(from("192.0.2.1", "GET", "/"))}); err == nil {
		t.Error("with somebody else's login")
	}
	var list struct{ Sessions []SignIn }
	b.call(200, "GET", "/auth/account/sessions", nil, &list)
	if len(list.Sessions) != 2 || list.Sessions[1].Kind != "oauth" || list.Sessions[1].Client != "Example Mail" {
		t.Errorf("%+v", list)
	}
	again, _ := a.redeem(a.consented(b)) // signing in again is the same device
	if d := a.mustUse(again).Device(); d.ID != sess.Device().ID {
		t.Errorf("another device: %+v", d)
	}
}

func TestWhoSaysNoGivesNothing(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	b.signIn()
	b.visit(a.request())
	b.fill("action", "deny")
	if q := b.returned(); q.Get("error") != "access_denied" || q.Has("code") {
		t.Error(q)
	}
	b.visit(a.request())
	for name, spoil := range map[string]func(*http.Request){
		"another site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"nobody knows":  func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
		"a wrong token": func(*http.Request) {},
	} {
		r := b.request("POST", a.request(), []byte("action=allow&csrf=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		spoil(r)
		if w := b.do(r); w.Code != 403 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestConsentAsksForTheSecondFactor(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	b.signIn()
	_, recovery := b.enrol()
	c := h.browser()
	c.visit(a.request())
	c.fill("action", "password", "login", login, "password", password)
	if w := c.fill("action", "code", "code", "000000"); w.Code != 401 || !strings.Contains(w.Body.String(), "wrong code") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	c.fill("action", "code", "code", recovery[0])
	c.follow()
	c.fill("action", "allow")
	a.redeem(c.returned().Get("code"))
}

// What is wrong with a request is told to the program only where it is known that the
// answer is its own.
func TestRequestsThatAreWrong(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback, "https://client.example/other"), h.browser()
	for name, change := range map[string][]string{
		"an unknown client":       {"client_id", "x"},
		"a forged client":         {"client_id", a.id[:20] + "A" + a.id[21:]},
		"another redirect":        {"redirect_uri", "https://evil.example/done"},
		"a longer redirect":       {"redirect_uri", callback + "/more"},
		"a redirect with a query": {"redirect_uri", callback + "?x=y"},
		"which redirect":          {"redirect_uri", ""},
		"a script":                {"redirect_uri", "javascript:alert(1)"},
	} {
		if w := b.visit(a.request(change...)); w.Code != 400 || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "<h1>This does not work") {
			t.Errorf("%s: %d to %q", name, w.Code, w.Header().Get("Location"))
		}
	}
	if w := b.visit(a.request("response_type", "token")); w.Code != 200 || w.Header().Get("Location") != "" {
		t.Errorf("somebody is sent on by a mere link: %d to %q", w.Code, w.Header().Get("Location"))
	}
	b.signIn()
	if w := b.visit(a.request("response_type", "token")); w.Code != 400 || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "<h1>This does not work") {
		t.Errorf("sent to a program that was never let in: %d to %q", w.Code, w.Header().Get("Location"))
	}
	a.redeem(a.consented(b))
	if w := b.visit(h.register(callback).request("response_type", "token")); w.Code != 400 || w.Header().Get("Location") != "" {
		t.Errorf("sent to another program: %d to %q", w.Code, w.Header().Get("Location"))
	}
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"no PKCE":          {[]string{"code_challenge", ""}, "invalid_request"},
		"plain PKCE":       {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"PKCE unsaid":      {[]string{"code_challenge_method", ""}, "invalid_request"},
		"implicit":         {[]string{"response_type", "token"}, "unsupported_response_type"},
		"unknown scope":    {[]string{"scope", "calendar"}, "invalid_scope"},
		"a request object": {[]string{"request", "x"}, "request_not_supported"},
	} {
		b.visit(a.request(c.change...))
		if q := b.returned(); q.Get("error") != c.want || q.Has("code") {
			t.Errorf("%s: %v", name, q)
		}
	}
	b.visit(a.request() + "&scope=mail")
	if q := b.returned(); q.Get("error") != "invalid_request" {
		t.Errorf("twice: %v", q)
	}
}

// However a code that comes twice is met, nobody is left with what it gave.
func TestACodeThatComesTwiceAtOnceGivesNothing(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	b.signIn()
	for range 10 {
		form := url.Values{"client_id": {a.id}, "grant_type": {"authorization_code"}, "redirect_uri": {callback}, "code_verifier": {codeText}, "code": {a.consented(b)}}
		got := make([]*httptest.ResponseRecorder, 4)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				r := httptest.NewRequest("POST", "https://mail.example.test"+tokenPath, strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				got[i] = httptest.NewRecorder()
				h.ServeHTTP(got[i], r)
			})
		}
		all.Wait()
		for _, w := range got {
			var tokens struct {
				Access string `json:"access_token"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &tokens); err != nil {
				t.Fatal(err)
			}
			if tokens.Access != "" {
				a.mustNotUse(tokens.Access)
			}
		}
	}
}

func TestACodeThatComesAgainBeforeItsGrantIsKnown(t *testing.T) {
	h := newHouse(t)
	h.init()
	key, err := h.give(t.Context(), authorization{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := h.take(t.Context(), key); !ok || err != nil {
		t.Fatal("not good the first time")
	}
	if _, grant, ok, err := h.take(t.Context(), key); ok || grant != 0 || err != nil {
		t.Fatal("good twice")
	}
	if twice, err := h.became(t.Context(), key, 7); !twice || err != nil {
		t.Error("that it came again is forgotten")
	}
	if _, grant, ok, err := h.take(t.Context(), key); ok || grant != 7 || err != nil {
		t.Errorf("a third time: %d, %v, %v", grant, ok, err)
	}
}

func TestCodesAreGoodOnceForWhoAsked(t *testing.T) {
	h := newHouse(t)
	a, other, b := h.register(callback), h.register(callback, "https://other.example/"), h.browser()
	b.signIn()
	good := []string{"grant_type", "authorization_code", "redirect_uri", callback, "code_verifier", codeText}
	for name, c := range map[string]struct {
		by     *app
		change []string
		want   string
	}{
		"another client":    {other, nil, "invalid_grant"},
		"another redirect":  {a, []string{"redirect_uri", callback + "/x"}, "invalid_grant"},
		"no redirect":       {a, []string{"redirect_uri", ""}, "invalid_grant"},
		"another verifier":  {a, []string{"code_verifier", strings.Repeat("x", 43)}, "invalid_grant"},
		"no verifier":       {a, []string{"code_verifier", ""}, "invalid_grant"},
		"the challenge":     {a, []string{"code_verifier", challenge(codeText)}, "invalid_grant"},
		"another grant":     {a, []string{"grant_type", "password"}, "unsupported_grant_type"},
		"an unknown client": {a, []string{"client_id", "x"}, "invalid_client"},
		"an unknown code":   {a, []string{"code", "x"}, "invalid_grant"},
	} {
		pairs := append(append([]string{"code", a.consented(b)}, good...), c.change...)
		c.by.bad(c.want, tokenPath, pairs...)
		_ = name
	}
	code := a.consented(b)
	access, refresh := a.redeem(code)
	ended := make(chan string, 1)
	defer h.Auth.Track(a.mustUse(access), func(why string) { ended <- why })()
	a.bad("invalid_grant", tokenPath, append([]string{"code", code}, good...)...)
	mustEnd(t, "what came of the code", ended)
	a.mustNotUse(access)
	a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", refresh)
}

func TestACodeIsGoodForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		a, b := h.register(callback), h.browser()
		b.signIn()
		code := a.consented(b)
		time.Sleep(codeLife)
		a.bad("invalid_grant", tokenPath, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", codeText)
	})
}

func TestRefreshTokensRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		a, other, b := h.register(callback), h.register("https://other.example/"), h.browser()
		b.signIn()
		access, first := a.redeem(a.consented(b))
		other.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", first)
		time.Sleep(auth.AccessLife)
		a.mustNotUse(access)
		refresh := func(token string) (string, string) {
			t.Helper()
			a.form(200, tokenPath, "grant_type", "refresh_token", "refresh_token", token)
			return a.tokens()
		}
		lost, _ := refresh(first)
		access, second := refresh(first) // the answer got lost
		a.mustUse(lost)
		a.mustUse(access)
		access, third := refresh(second)
		ended := make(chan string, 1)
		defer h.Auth.Track(a.mustUse(access), func(why string) { ended <- why })()
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", first) // somebody else has it
		mustEnd(t, "the grant", ended)
		a.mustNotUse(access)
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", third)

		_, first = a.redeem(a.consented(b))
		access, second = refresh(first)
		time.Sleep(time.Minute)
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", first) // too late for a repeat
		a.mustNotUse(access)
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", second)

		_, first = a.redeem(a.consented(b))
		time.Sleep(181 * 24 * time.Hour)
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", first)
	})
}

func TestTokensAreRevoked(t *testing.T) {
	h := newHouse(t)
	a, other, b := h.register(callback), h.register("https://other.example/"), h.browser()
	b.signIn()
	for _, which := range []string{"access", "refresh"} {
		access, refresh := a.redeem(a.consented(b))
		other.form(200, revokePath, "token", access)
		a.form(200, revokePath, "token", access+"x")
		a.form(200, revokePath, "token", "unknown")
		a.mustUse(access)
		a.form(200, revokePath, "token", map[string]string{"access": access, "refresh": refresh}[which])
		a.mustNotUse(access)
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", refresh)
	}
	a.bad("invalid_request", revokePath)
}

func TestAProgramIsSignedOutAtOnce(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	b.signIn()
	for name, end := range map[string]func(d mail.DeviceID) error{
		"signed out": func(d mail.DeviceID) error { return h.Auth.SignOut(t.Context(), h.alice, d) },
		"blocked": func(d mail.DeviceID) error {
			return h.Auth.SetAccess(t.Context(), by, h.alice.Account, d, mail.Blocked)
		},
	} {
		access, refresh := a.redeem(a.consented(b))
		sess := a.mustUse(access)
		ended := make(chan string, 1)
		defer h.Auth.Track(sess, func(why string) { ended <- why })()
		if err := end(sess.Device().ID); err != nil {
			t.Fatal(err)
		}
		mustEnd(t, name, ended)
		a.mustNotUse(access)
		a.bad("invalid_grant", tokenPath, "grant_type", "refresh_token", "refresh_token", refresh)
		if err := h.Auth.SetAccess(t.Context(), by, h.alice.Account, sess.Device().ID, mail.Allowed); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScopesOpenWhatTheySay(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	b.signIn()
	access, _ := a.redeem(a.consented(b, "scope", "urn:ietf:params:jmap:core offline_access"))
	if a.last["scope"] != auth.ScopeJMAP {
		t.Error(a.last)
	}
	a.mustUse(access)
	_, err := h.Auth.Login(t.Context(), auth.Attempt{Secret: access, Bearer: true, Protocol: mail.IMAP, Addr: auth.AddrOf(from("192.0.2.1", "GET", "/"))})
	if auth.RefusalOf(err) != auth.NotForProtocol {
		t.Errorf("IMAP with a scope of JMAP: %v", err)
	}
}

func TestRegistration(t *testing.T) {
	h := newHouse(t)
	a := &app{t: t, h: h}
	many := make([]string, maxRedirects+1)
	for i := range many {
		many[i] = callback
	}
	for name, c := range map[string]struct {
		body m
		want string
	}{
		"no redirect":      {m{"client_name": "x"}, "invalid_redirect_uri"},
		"too many":         {m{"client_name": "x", "redirect_uris": many}, "invalid_redirect_uri"},
		"too long":         {m{"client_name": "x", "redirect_uris": []string{callback + strings.Repeat("x", maxRedirectURI)}}, "invalid_redirect_uri"},
		"plain http":       {m{"client_name": "x", "redirect_uris": []string{"http://client.example/"}}, "invalid_redirect_uri"},
		"a script":         {m{"client_name": "x", "redirect_uris": []string{"javascript:alert(1)"}}, "invalid_redirect_uri"},
		"data":             {m{"client_name": "x", "redirect_uris": []string{"data:text/html,x"}}, "invalid_redirect_uri"},
		"a fragment":       {m{"client_name": "x", "redirect_uris": []string{callback + "#x"}}, "invalid_redirect_uri"},
		"an empty one":     {m{"client_name": "x", "redirect_uris": []string{callback + "#"}}, "invalid_redirect_uri"},
		"a login":          {m{"client_name": "x", "redirect_uris": []string{"https://a@client.example/"}}, "invalid_redirect_uri"},
		"into the policy":  {m{"client_name": "x", "redirect_uris": []string{"https://client.example;script-src/"}}, "invalid_redirect_uri"},
		"no name":          {m{"redirect_uris": []string{callback}}, "invalid_client_metadata"},
		"a name of signs":  {m{"client_name": "\u202e\n", "redirect_uris": []string{callback}}, "invalid_client_metadata"},
		"a long name":      {m{"client_name": strings.Repeat("x", maxClientName+1), "redirect_uris": []string{callback}}, "invalid_client_metadata"},
		"with a secret":    {m{"client_name": "x", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "client_secret_basic"}, "invalid_client_metadata"},
		"by password":      {m{"client_name": "x", "redirect_uris": []string{callback}, "grant_types": []string{"password"}}, "invalid_client_metadata"},
		"an unknown scope": {m{"client_name": "x", "redirect_uris": []string{callback}, "scope": "calendar"}, "invalid_client_metadata"},
	} {
		a.post(400, registerPath, "application/json", asJSON(t, c.body))
		if a.last["error"] != c.want {
			t.Errorf("%s: %v", name, a.last)
		}
	}
	a.post(400, registerPath, "application/json", "{")
	if one, two := h.register(callback), h.register(callback); one.id != two.id {
		t.Error("one program has two ids")
	}
}

func TestRedirectsOfNativePrograms(t *testing.T) {
	c := client{Redirects: []string{"http://127.0.0.1/done", "http://[::1]:1/done", "com.example.mail:/done", callback}}
	for uri, want := range map[string]bool{
		"http://127.0.0.1:4711/done": true, "http://127.0.0.1/done": true, "http://[::1]:4711/done": true, "http://[::1]/done": true,
		"com.example.mail:/done": true, callback: true,
		"http://127.0.0.1:4711/other": false, "http://127.0.0.2:1/done": false, "http://localhost:1/done": false, "https://client.example:444/done": false,
		"com.example.mail:/other": false, "https://127.0.0.1/done": false, "http://127.0.0.1:4711/done#x": false, "http://127.0.0.1:1@evil.example/done": false, "": false,
	} {
		if got := c.takes(uri); got != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
}

func TestMetadataSaysWhatIsServed(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	var doc map[string]any
	b.call(200, "GET", serverMetadata, nil, &doc)
	if doc["issuer"] != "https://mail.example.test" {
		t.Error(doc)
	}
	for name, at := range doc {
		if !strings.HasSuffix(name, "_endpoint") {
			continue
		}
		path := strings.TrimPrefix(at.(string), "https://mail.example.test")
		if w := b.do(b.request("POST", path, []byte("{}"))); w.Code == 404 || w.Code == 405 {
			t.Errorf("%s is not served: %d", path, w.Code)
		}
	}
	b.call(200, "GET", resourceMetadata+"/jmap/session", nil, &doc)
	if doc["resource"] != "https://mail.example.test/jmap/session" {
		t.Error(doc)
	}
	u, err := url.Parse("https://post.example")
	if err != nil {
		t.Fatal(err)
	}
	h.PublicURL = u
	b.call(200, "GET", serverMetadata, nil, &doc)
	if doc["issuer"] != "https://post.example" {
		t.Error(doc)
	}
	b.addr = "127.0.0.1"
	r := b.request("GET", serverMetadata, nil)
	r.TLS, r.Host = nil, "localhost:8080"
	if w := b.do(r); !strings.Contains(w.Body.String(), `"issuer":"http://localhost:8080"`) {
		t.Error(w.Body)
	}
	r = b.request("GET", serverMetadata, nil)
	r.TLS, r.Host = nil, "post.example" // by a proxy of ours that ends TLS
	if w := b.do(r); !strings.Contains(w.Body.String(), `"issuer":"https://post.example"`) {
		t.Error(w.Body)
	}
}

func TestPagesSpeakTheLanguageOfTheBrowser(t *testing.T) {
	h := newHouse(t)
	a, b := h.register(callback), h.browser()
	for accept, want := range map[string]string{"de-AT,en;q=0.5": "<h1>Anmelden", "xx, fr": "<h1>Se connecter", "": "<h1>Sign in"} {
		r := b.request("GET", a.request(), nil)
		r.Header.Set("Accept-Language", accept)
		if w := b.do(r); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q: %s", accept, w.Body)
		}
	}
	if w := b.do(b.request("GET", stylePath, nil)); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Error(w.Code, w.Header())
	}
}

func FuzzClientsAndRequests(f *testing.F) {
	h := newHouse(f)
	a := h.register(callback)
	u, err := url.Parse(a.request())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(u.RawQuery, "grant_type=refresh_token&refresh_token=lsr_a.b&client_id="+a.id, `{"client_name":"x","redirect_uris":["https://a.example/"]}`)
	f.Add("client_id=x", "token=lsa_.", `{"redirect_uris":"x"}`)
	f.Fuzz(func(t *testing.T, query, form, register string) {
		for _, r := range []*http.Request{
			httptest.NewRequest("GET", "https://mail.example.test"+authorizePath, nil), httptest.NewRequest("POST", "https://mail.example.test"+tokenPath, strings.NewReader(form)),
			httptest.NewRequest("POST", "https://mail.example.test"+revokePath, strings.NewReader(form)), httptest.NewRequest("POST", "https://mail.example.test"+registerPath, strings.NewReader(register)),
		} {
			if r.URL.RawQuery = query; r.Method == "POST" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if r.URL.Path == registerPath {
				r.Header.Set("Content-Type", "application/json")
			}
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s: %d %s", r.URL, w.Code, w.Body)
			}
			if to := w.Header().Get("Location"); to != "" && !strings.HasPrefix(to, callback) {
				t.Fatalf("%s leads to %s", r.URL, to)
			}
		}
	})
}

// listings notes how many names were asked for at once.
type listings struct {
	store.Files
	most int
}

func (l *listings) FilesBelow(ctx context.Context, prefix string, limit int) ([]store.File, error) {
	l.most = max(l.most, limit)
	return l.Files.FilesBelow(ctx, prefix, limit)
}

func TestCodesAreBounded(t *testing.T) {
	h := newHouse(t)
	h.init()
	full := maxCodes/drawers + 1
	for drawer := range drawers { // without what seals them
		for i := range full {
			if err := h.store.PutFile(t.Context(), store.File{Name: fmt.Sprintf("%s%x%x", codeShelf, drawer, i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	listed := &listings{Files: h.Files}
	h.Files = listed
	key, err := h.give(t.Context(), authorization{})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := h.store.FilesBelow(t.Context(), codeShelf, 2*maxCodes); err != nil || len(left) != drawers*full {
		t.Errorf("%d codes, %v", len(left), err)
	}
	if listed.most > maxCodes/drawers {
		t.Errorf("%d names were looked at to make room for one", listed.most)
	}
	if _, _, ok, err := h.take(t.Context(), key); !ok || err != nil {
		t.Errorf("the newest is not there: %v", err)
	}
}

// What is begun at one node is finished at another: codes, passkeys and programs' codes
// are good once, wherever they come.
func TestWhatIsBegunIsFinishedAtAnotherNode(t *testing.T) {
	h := newHouse(t)
	other := &Server{Files: h.store, Auth: auth.New(h.store, h.store, []byte("secret"), slog.New(slog.DiscardHandler)), AllowPlainAuth: netip.Addr.IsLoopback}
	h.init()
	other.init()
	key, err := h.give(t.Context(), authorization{Client: "c", Owner: h.alice})
	if err != nil {
		t.Fatal(err)
	}
	one, _, good, err := other.take(t.Context(), key)
	if err != nil || !good || one.Client != "c" || one.Owner != h.alice {
		t.Errorf("at the other: %+v, %v, %v", one, good, err)
	}
	if _, _, good, _ := h.take(t.Context(), key); good {
		t.Error("good twice")
	}
	proof, err := h.Auth.ProvePassword(t.Context(), login, password, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	ceremony, err := h.Auth.AskPasskey(t.Context(), auth.RelyingParty{ID: "mail.example.test", Origin: "https://mail.example.test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := h.beginAt(t.Context(), netip.MustParsePrefix("192.0.2.0/24"), &pending{Proof: proof, Ceremony: ceremony, Own: true, Device: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	there, err := other.takeBegun(t.Context(), begun)
	if err != nil {
		t.Fatal(err)
	}
	if there.Proof.Principal != h.alice || !there.Proof.Done() || there.Ceremony.Proof() != there.Proof || string(there.Ceremony.Options) != string(ceremony.Options) || there.Device != "laptop" {
		t.Errorf("it came as %+v", there)
	}
	if _, err := h.takeBegun(t.Context(), begun); mail.KindOf(err) != mail.Expired || err == nil {
		t.Errorf("while a step is taken elsewhere: %v", err)
	}
	other.leave(httptest.NewRequest("GET", "/", nil), there)
	if back, err := h.takeBegun(t.Context(), begun); err != nil || back.Proof.Principal != h.alice {
		t.Errorf("put back: %v", err)
	}
}

// Who reads the store's files, or changes them, can do nothing with them.
func TestWhatIsKeptIsSealed(t *testing.T) {
	h := newHouse(t)
	h.init()
	key, err := h.beginAt(t.Context(), netip.MustParsePrefix("192.0.2.0/24"), &pending{Secret: "a secret", Device: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := h.store.FileNamed(t.Context(), begunName(key))
	if err != nil || strings.Contains(f.Name, key) || strings.Contains(string(f.Data), "laptop") {
		t.Fatalf("kept as %q, %v", f.Name, err)
	}
	f.Data[len(f.Data)-1] ^= 1
	if err := h.store.PutFile(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := h.takeBegun(t.Context(), key); mail.KindOf(err) != mail.Expired || err == nil {
		t.Errorf("changed: %v", err)
	}
}
