package signin

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/device/profile"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// scan fetches what a QR code leads to, with a phone that knows nothing of us.
func (h *house) scan(url string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", url, nil)
	r.RemoteAddr = "203.0.113.5:1"
	r.Header.Set("Sec-Fetch-Site", "none")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (h *house) devices() int {
	h.t.Helper()
	n := 0
	err := h.store.View(h.t.Context(), h.alice.Account, func(r store.Reader) error {
		all, err := r.Devices()
		n = len(all)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

var inProfile = regexp.MustCompile(`Password</key>\s*<string>([^<]+)</string>`)

func TestAPhoneFetchesItsProfile(t *testing.T) {
	h := newHouse(t)
	h.Ports = Ports{IMAP: 993, Submission: 465, HTTPS: 443}
	b := h.browser()
	b.signIn()
	for kind, protocol := range map[string]mail.Protocol{"mail": mail.IMAP, "exchange": mail.EAS} {
		before := h.devices()
		var o Offer
		b.post(200, "/auth/account/profile", m{"name": "my phone", "kind": kind}, &o)
		if h.devices() != before {
			t.Error("a device is made before the phone comes")
		}
		w := h.scan(o.URL)
		if w.Code != 200 || w.Header().Get("Content-Type") != profile.ContentType || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		secret := inProfile.FindStringSubmatch(w.Body.String())
		if secret == nil {
			t.Fatal(w.Body)
		}
		a := auth.Attempt{Login: login, Secret: secret[1], Protocol: protocol, Addr: auth.AddrOf(from("203.0.113.5", "GET", "/")), DeviceKey: "PHONE"}
		sess, err := h.Auth.Login(t.Context(), a)
		if err != nil || sess.Device().Name != "my phone" {
			t.Errorf("%s: %v", kind, err)
		}
		if a.Protocol = mail.POP3; sess != nil {
			if _, err := h.Auth.Login(t.Context(), a); auth.RefusalOf(err) != auth.NotForProtocol {
				t.Errorf("%s: the password opens POP3 too: %v", kind, err)
			}
		}
		if again := h.scan(o.URL); again.Body.String() != w.Body.String() || h.devices() != before+1 {
			t.Errorf("asked twice, it is another: %d", again.Code)
		}
		h.scan(o.URL)
		if w := h.scan(o.URL); w.Code != http.StatusGone || strings.Contains(w.Body.String(), secret[1]) {
			t.Errorf("fetched too often: %d", w.Code)
		}
	}
}

func TestAnOfferEndsWithTheSessionThatMadeIt(t *testing.T) {
	h := newHouse(t)
	h.Ports = Ports{IMAP: 993, Submission: 465}
	b, other := h.browser(), h.browser()
	b.signIn()
	other.signIn()
	var o, stays Offer
	b.post(200, "/auth/account/profile", m{"name": "x", "kind": "mail"}, &o)
	other.post(200, "/auth/account/profile", m{"name": "y", "kind": "mail"}, &stays)
	all, err := h.Auth.SignIns(t.Context(), h.alice)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d sign-ins, %v", len(all), err)
	}
	if err := h.Auth.EndSignIn(t.Context(), h.alice, all[0].ID); err != nil {
		t.Fatal(err)
	}
	before := h.devices()
	if w := h.scan(o.URL); w.Code != http.StatusGone || h.devices() != before {
		t.Errorf("after the sign-out: %d, %d devices", w.Code, h.devices()-before)
	}
	if w := h.scan(stays.URL); w.Code != 200 {
		t.Errorf("of another session: %d", w.Code)
	}
}

func TestProfilesThatAreNotOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.Ports = Ports{IMAP: 993, Submission: 465}
		b := h.browser()
		b.signIn()
		b.refused(400, "invalid", "POST", "/auth/account/profile", m{"name": "x", "kind": "fax"})
		b.refused(400, "invalid", "POST", "/auth/account/profile", m{"name": "", "kind": "mail"})
		b.refused(404, "not-found", "POST", "/auth/account/profile", m{"name": "x", "kind": "exchange"})
		if w := h.scan("https://mail.example.test" + profilePath + "?key=guess"); w.Code != http.StatusGone {
			t.Errorf("a guess: %d", w.Code)
		}
		var o Offer
		b.post(200, "/auth/account/profile", m{"name": "x", "kind": "mail"}, &o)
		time.Sleep(pendingLife)
		if w := h.scan(o.URL); w.Code != http.StatusGone {
			t.Errorf("too late: %d", w.Code)
		}
		time.Sleep(auth.ProofLasts)
		b.refused(403, "prove", "POST", "/auth/account/profile", m{"name": "x", "kind": "mail"})
	})
}
