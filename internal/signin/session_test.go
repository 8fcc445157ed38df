package signin

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/auth/authtest"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
)

func TestSignInAndOut(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.refused(401, "credentials", "GET", "/auth/session", nil)
	b.refused(401, "credentials", "POST", "/auth/sign-in", m{"login": login, "password": "wrong"})
	b.refused(401, "credentials", "POST", "/auth/sign-in", m{"login": "nobody@example.test", "password": password})
	_, app := h.appPassword("phone")
	b.refused(401, "credentials", "POST", "/auth/sign-in", m{"login": login, "password": app}) // is for programs
	in := b.signIn()
	if in.Login != login || in.Account != "A1" || in.Device.Name != "Firefox on Linux" || in.TwoFactor || !in.Proven || !in.Expires.After(time.Now()) {
		t.Errorf("%+v", in)
	}
	var again Session
	b.call(200, "GET", "/auth/session", nil, &again)
	if again.CSRF != in.CSRF || again.Device != in.Device {
		t.Errorf("%+v, before %+v", again, in)
	}
	if k := b.authenticate(h, b.request("GET", "/jmap/session", nil)); k != letIn {
		t.Error("JMAP refuses the cookie:", k)
	}
	cookie := *b.cookies["__Host-lockstep"]
	b.post(204, "/auth/sign-out", nil, nil)
	if !strings.Contains(b.last.Header().Get("Clear-Site-Data"), "storage") {
		t.Error("what the browser keeps stays")
	}
	b.cookies["__Host-lockstep"] = &cookie
	b.refused(401, "credentials", "GET", "/auth/session", nil)
}

func TestTheSameBrowserIsTheSameDevice(t *testing.T) {
	h := newHouse(t)
	b, other := h.browser(), h.browser()
	first := b.signIn()
	b.post(204, "/auth/sign-out", nil, nil)
	if second := b.signIn(); second.Device != first.Device {
		t.Errorf("%v, before %v", second.Device, first.Device)
	}
	if o := other.signIn(); o.Device.ID == first.Device.ID {
		t.Error("another browser is the same device")
	}
	named := h.browser()
	var s Session
	named.post(200, "/auth/sign-in", m{"login": login, "password": password, "deviceName": "Kitchen"}, &s)
	if s.Device.Name != "Kitchen" {
		t.Errorf("%+v", s.Device)
	}
}

// What another site makes a browser ask is not done, and not told.
func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	csrf := b.signIn().CSRF
	for name, c := range map[string]struct {
		method, site, origin, csrf, accept string
		want                               mail.Kind
	}{
		"ours":                        {"POST", "same-origin", "", csrf, "", letIn},
		"by Origin":                   {"POST", "", "https://mail.example.test", csrf, "", letIn},
		"no token":                    {"POST", "same-origin", "", "", "", mail.Denied},
		"a wrong token":               {"POST", "same-origin", "", csrf + "x", "", mail.Denied},
		"another site":                {"POST", "cross-site", "", csrf, "", mail.Denied},
		"a sibling":                   {"POST", "same-site", "", csrf, "", mail.Denied},
		"another origin":              {"POST", "", "https://evil.example", csrf, "", mail.Denied},
		"another scheme":              {"POST", "", "http://mail.example.test", csrf, "", mail.Denied},
		"another port":                {"POST", "", "https://mail.example.test:444", csrf, "", mail.Denied},
		"a null origin":               {"POST", "", "null", csrf, "", mail.Denied},
		"nobody says whence":          {"POST", "", "", csrf, "", mail.Denied},
		"typed":                       {"GET", "none", "", "", "", letIn},
		"read by another site":        {"GET", "cross-site", "", "", "", mail.Denied},
		"read by a sibling":           {"GET", "same-site", "", "", "", mail.Denied},
		"read by an old browser":      {"GET", "", "", "", "", letIn},
		"events":                      {"GET", "same-origin", "", "", "text/event-stream", letIn},
		"events of who knows":         {"GET", "", "", "", "text/event-stream", mail.Denied},
		"events typed":                {"GET", "none", "", "", "text/event-stream", mail.Denied},
		"a WebSocket":                 {"GET", "", "https://mail.example.test", "", "websocket", letIn},
		"a WebSocket of another site": {"GET", "", "https://evil.example", "", "websocket", mail.Denied},
		"a WebSocket of who knows":    {"GET", "", "", "", "websocket", mail.Denied},
	} {
		b.site, b.csrf = c.site, c.csrf
		r := b.request(c.method, "/jmap/api", nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		switch c.accept {
		case "websocket":
			r.Header.Set("Upgrade", c.accept)
		case "":
		default:
			r.Header.Set("Accept", c.accept)
		}
		if got := b.authenticate(h, r); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	b.site, b.csrf = "cross-site", ""
	b.refused(403, "cross-site", "POST", "/auth/sign-in", m{"login": login, "password": password})
	b.site = "same-origin"
	b.refused(403, "csrf", "POST", "/auth/sign-out", m{})
	r := b.request("POST", "/auth/sign-in", []byte(`{}`))
	r.Header.Set("Content-Type", "text/plain") // as a form of another site can say
	if w := b.do(r); w.Code != 400 {
		t.Errorf("a form is taken: %d", w.Code)
	}
}

// A browser repeats a password that was typed into its window, whoever makes it ask: a
// WebSocket could be read by the page that opened it.
func TestWebSocketsOfOtherSitesHaveNoPassword(t *testing.T) {
	h := newHouse(t)
	for origin, kind := range map[string]mail.Kind{"": 0, "http://example.com": 0, "https://evil.example": mail.Denied} {
		r := basic(from("127.0.0.1", "GET", "/jmap/ws", "Upgrade", "websocket"), login, password)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if _, err := h.Authenticate(r); (err != nil) != (kind != 0) || err != nil && mail.KindOf(err) != kind {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestWithoutTLSOnlyThisMachineSignsIn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	r := b.request("POST", "/auth/sign-in", []byte(`{"login":"`+login+`","password":"`+password+`"}`))
	r.TLS = nil
	if w := b.do(r); w.Code != 403 {
		t.Errorf("far away: %d", w.Code)
	}
	b.addr = "127.0.0.1"
	r = b.request("POST", "/auth/sign-in", []byte(`{"login":"`+login+`","password":"`+password+`"}`))
	r.TLS = nil
	if w := b.do(r); w.Code != 200 || b.cookies[sessionCookie] == nil || b.cookies[sessionCookie].Secure {
		t.Errorf("here: %d %v", w.Code, b.cookies)
	}
}

func TestGuessingPasswordsIsSlow(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	for range 5 {
		b.refused(401, "credentials", "POST", "/auth/sign-in", m{"login": login, "password": "wrong"})
	}
	b.refused(429, "limit", "POST", "/auth/sign-in", m{"login": login, "password": password})
	if b.last.Header().Get("Retry-After") == "" {
		t.Error("nobody says when to come again")
	}
	if _, err := h.Auth.Login(t.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.IMAP, Addr: auth.AddrOf(b.request("GET", "/", nil))}); mail.KindOf(err) != mail.Limit {
		t.Errorf("IMAP does not count with it: %v", err)
	}
}

// tracked tells when a session of the browser ends.
func (b *browser) tracked(h *house) <-chan string {
	b.t.Helper()
	sess, err := h.Authenticate(b.request("GET", "/jmap/eventsource/", nil))
	if err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan string, 1)
	h.Auth.Track(sess, func(reason string) { ended <- reason })
	return ended
}

func mustEnd(t testing.TB, what string, ended <-chan string) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(steady.Patience):
		t.Fatalf("%s: still there", what)
	}
}

func TestABrowserSignedOutAtAnotherNodeIsSignedOut(t *testing.T) {
	h := newHouse(t)
	there := authtest.Beside(t, h.store, h.Auth)
	b := h.browser()
	b.signIn()
	ended := b.tracked(h)
	all, err := there.SignIns(t.Context(), h.alice)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := there.EndSignIn(t.Context(), h.alice, all[0].ID); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, "what waits", ended)
	b.refused(401, "credentials", "GET", "/auth/session", nil)
}

func TestSessionsEndAtOnce(t *testing.T) {
	for name, end := range map[string]func(h *house, b *browser, d mail.DeviceID) error{
		"signed out":        func(_ *house, b *browser, _ mail.DeviceID) error { b.post(204, "/auth/sign-out", nil, nil); return nil },
		"device signed out": func(h *house, _ *browser, d mail.DeviceID) error { return h.Auth.SignOut(t.Context(), h.alice, d) },
		"device blocked": func(h *house, _ *browser, d mail.DeviceID) error {
			return h.Auth.SetAccess(t.Context(), by, h.alice.Account, d, mail.Blocked)
		},
		"device wiped": func(h *house, _ *browser, d mail.DeviceID) error {
			_, err := h.Auth.RequestWipe(t.Context(), by, h.alice.Account, d, mail.WipeAccount)
			return err
		},
		"account disabled": func(h *house, _ *browser, _ mail.DeviceID) error {
			return h.Auth.SetDisabled(t.Context(), h.alice.Account, true)
		},
		"password set": func(h *house, _ *browser, _ mail.DeviceID) error {
			return h.Auth.SetPassword(t.Context(), h.alice, "another-password")
		},
		"ended elsewhere": func(h *house, b *browser, _ mail.DeviceID) error {
			other := h.browser()
			other.signIn()
			other.post(204, "/auth/account/sessions/end-all", nil, nil)
			if k := other.authenticate(h, other.request("GET", "/", nil)); k != letIn {
				t.Error("the one that ended the others:", k)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := h.browser()
			b.signIn()
			ended := b.tracked(h)
			sess, err := h.Authenticate(b.request("GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			r := b.request("GET", "/", nil)
			if err := end(h, b, sess.Device().ID); err != nil {
				t.Fatal(err)
			}
			mustEnd(t, name, ended)
			if k := b.authenticate(h, r); k == letIn {
				t.Error("the cookie is still good")
			}
		})
	}
}

func TestABrowserThatIsWipedForgets(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signIn()
	sess, err := h.Authenticate(b.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Auth.RequestWipe(t.Context(), by, h.alice.Account, sess.Device().ID, mail.WipeAccount); err != nil {
		t.Fatal(err)
	}
	b.refused(403, "device-wiped", "GET", "/auth/session", nil)
	if !strings.Contains(b.last.Header().Get("Clear-Site-Data"), "storage") {
		t.Error(b.last.Header())
	}
	b.refused(403, "device-wiped", "POST", "/auth/sign-in", m{"login": login, "password": password})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	h := newHouse(t)
	b, other := h.browser(), h.browser()
	b.signIn()
	other.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
	other.signIn()
	var list struct{ Sessions []SignIn }
	b.call(200, "GET", "/auth/account/sessions", nil, &list)
	if len(list.Sessions) != 2 || !list.Sessions[0].Current || list.Sessions[0].Client != "Firefox on Linux" || list.Sessions[1].Client != "Safari on iPhone" ||
		list.Sessions[1].Current || list.Sessions[1].Address != "192.0.2.9" || list.Sessions[1].Kind != "web" {
		t.Fatalf("%+v", list)
	}
	ended := other.tracked(h)
	b.post(204, "/auth/account/sessions/end", m{"id": list.Sessions[1].ID}, nil)
	mustEnd(t, "ended", ended)
	other.refused(401, "credentials", "GET", "/auth/session", nil)
	b.refused(404, "not-found", "POST", "/auth/account/sessions/end", m{"id": list.Sessions[1].ID})
	b.refused(404, "not-found", "POST", "/auth/account/sessions/end", m{"id": "x"})
}

func TestASessionEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		idle, busy := h.browser(), h.browser()
		idle.signIn()
		busy.signIn()
		const day = 24 * time.Hour
		for range 13 {
			time.Sleep(day)
			busy.call(200, "GET", "/auth/session", nil, nil)
		}
		time.Sleep(day)
		idle.refused(401, "credentials", "GET", "/auth/session", nil)
		for range 89 - 14 {
			busy.call(200, "GET", "/auth/session", nil, nil)
			time.Sleep(day)
		}
		busy.call(200, "GET", "/auth/session", nil, nil)
		time.Sleep(day)
		busy.refused(401, "credentials", "GET", "/auth/session", nil)
	})
}

func TestSignInsAreBounded(t *testing.T) {
	h := newHouse(t)
	first := h.browser()
	first.signIn()
	ended := first.tracked(h)
	for range auth.MaxWebSignIns {
		h.browser().signIn()
	}
	mustEnd(t, "one too many", ended)
	first.refused(401, "credentials", "GET", "/auth/session", nil)
}

// Whoever keeps no cookies does not fill the account with devices.
func TestBrowserDevicesAreBounded(t *testing.T) {
	h := newHouse(t)
	devices := map[string]bool{}
	for range 110 {
		devices[h.browser().signIn().Device.ID] = true
	}
	if len(devices) != 101 {
		t.Errorf("%d devices, want 100 and one for the rest", len(devices))
	}
}

func TestWhatIsBegunIsBounded(t *testing.T) {
	h := newHouse(t)
	h.init()
	network := netip.MustParsePrefix("192.0.2.0/24")
	for range maxPendingNetwork {
		if _, err := h.beginAt(t.Context(), network, &pending{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.beginAt(t.Context(), network, &pending{}); mail.KindOf(err) != mail.Limit || err == nil {
		t.Errorf("one more of a network: %v", err)
	}
	if _, err := h.beginAt(t.Context(), netip.MustParsePrefix("198.51.100.0/24"), &pending{}); err != nil {
		t.Errorf("of another: %v", err)
	}
	at := begunName(hashName("network " + network.String())[:networkName])
	for i := range 3 {
		if err := h.makeRoom(t.Context(), begunShelf, at, drawers*(maxPendingNetwork+1-i)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := h.store.FilesBelow(t.Context(), begunShelf, maxPending)
	if err != nil || len(left) != maxPendingNetwork-1 { // the one of the other network lies in another drawer
		t.Errorf("%d are left, %v", len(left), err)
	}
}

func TestARequestThatIsTooLongIsRefused(t *testing.T) {
	b := newHouse(t).browser()
	b.refused(429, "limit", "POST", "/auth/sign-in", m{"login": strings.Repeat("x", maxBody)})
	for _, body := range []string{"", "x", `{"login":1}`, `[]`, `{} {}`} {
		r := b.request("POST", "/auth/sign-in", []byte(body))
		r.Header.Set("Content-Type", "application/json")
		if w := b.do(r); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	b.refused(404, "not-found", "GET", "/auth/nothing", nil)
}

func TestAgentsAreNamed(t *testing.T) {
	for agent, want := range map[string]string{
		firefox:                  "Firefox on Linux",
		"lockstep-cli/1.0 (x)":   "lockstep-cli",
		"":                       "",
		"Mozilla/5.0 (whatever)": "Browser",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0": "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36":                  "Chrome on Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":         "Safari on macOS",
	} {
		if got := auth.AgentName(agent); got != want {
			t.Errorf("%s: %q, want %q", agent, got, want)
		}
	}
}
