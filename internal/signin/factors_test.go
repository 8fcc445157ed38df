package signin

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pquerna/otp/totp"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// code is what a program for codes shows now.
func code(t testing.TB, secret string) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// enrol sets codes up for who is signed in.
func (b *browser) enrol() (secret string, recovery []string) {
	b.t.Helper()
	var e Enrolment
	b.post(200, "/auth/account/totp/begin", nil, &e)
	var r Recovery
	b.post(200, "/auth/account/totp/confirm", m{"code": code(b.t, e.Secret)}, &r)
	return e.Secret, r.Recovery
}

// half signs in as far as the password goes.
func (b *browser) half(want ...string) {
	b.t.Helper()
	var n Next
	b.csrf = ""
	b.post(200, "/auth/sign-in", m{"login": login, "password": password}, &n)
	if strings.Join(n.Next, " ") != strings.Join(want, " ") {
		b.t.Fatalf("next is %v, want %v", n.Next, want)
	}
}

const step = 30 * time.Second

func TestCodesThatChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.signIn()
		var e Enrolment
		b.refused(410, "expired", "POST", "/auth/account/totp/confirm", m{"code": "123456"})
		b.post(200, "/auth/account/totp/begin", nil, &e)
		u, err := url.Parse(e.URI)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != e.Secret || u.Query().Get("issuer") != "mail.example.test" || !strings.HasSuffix(u.Path, ":"+login) {
			t.Errorf("%s: %v", e.URI, err)
		}
		b.refused(400, "wrong-code", "POST", "/auth/account/totp/confirm", m{"code": "000000"})
		var r Recovery
		first := code(t, e.Secret)
		b.post(200, "/auth/account/totp/confirm", m{"code": first}, &r)
		if len(r.Recovery) != auth.RecoveryCodes {
			t.Errorf("recovery codes %v", r.Recovery)
		}
		b.refused(410, "expired", "POST", "/auth/account/totp/confirm", m{"code": first})
		b.call(200, "GET", "/auth/account/security", nil, nil)

		c := h.browser()
		c.half("totp", "recovery")
		c.refused(401, "credentials", "GET", "/auth/session", nil)
		c.refused(401, "credentials", "POST", "/auth/totp", m{"code": first}) // was used when it was set up
		time.Sleep(step)
		now := code(t, e.Secret)
		c.refused(401, "credentials", "POST", "/auth/totp", m{"code": "000000"})
		var s Session
		c.post(200, "/auth/totp", m{"code": now[:3] + " " + now[3:]}, &s)
		if !s.TwoFactor || s.Login != login {
			t.Errorf("%+v", s)
		}
		c.refused(410, "expired", "POST", "/auth/totp", m{"code": now}) // this sign-in is over
		d := h.browser()
		d.half("totp", "recovery")
		d.refused(401, "credentials", "POST", "/auth/totp", m{"code": now}) // and the code used
		time.Sleep(step)
		late := code(t, e.Secret)
		time.Sleep(step) // a step late
		d.post(200, "/auth/totp", m{"code": late}, nil)
		time.Sleep(time.Minute)
		early, err := totp.GenerateCode(e.Secret, time.Now().Add(step))
		if err != nil {
			t.Fatal(err)
		}
		d.half("totp", "recovery")
		d.post(200, "/auth/totp", m{"code": early}, nil)
		d.half("totp", "recovery")
		d.refused(401, "credentials", "POST", "/auth/totp", m{"code": code(t, e.Secret)}) // before one that was used
	})
}

// Of two who say the same code at once, one is let in.
func TestACodeIsUsedOnce(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signIn()
	_, recovery := b.enrol()
	var in, out sync.Map
	var all sync.WaitGroup
	browsers := make([]*browser, 8)
	for i := range browsers {
		browsers[i] = h.browser()
		browsers[i].half("totp", "recovery") // all before the first fails, which others would have to wait after
	}
	for _, c := range browsers {
		all.Go(func() {
			if w := c.do(c.request("POST", "/auth/recovery", []byte(`{"code":"`+strings.ToUpper(recovery[0])+`"}`))); w.Code == 200 {
				in.Store(c, true)
			} else {
				out.Store(c, w.Code)
			}
		})
	}
	all.Wait()
	n := 0
	in.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d were let in", n)
	}
	var sec Security
	b.call(200, "GET", "/auth/account/security", nil, &sec)
	if sec.RecoveryLeft != auth.RecoveryCodes-1 || !sec.TOTP {
		t.Errorf("%+v", sec)
	}
}

func TestASecondFactorClosesProgramsToThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		_, app := h.appPassword("phone")
		attempt := func(p mail.Protocol, secret string) auth.Attempt {
			return auth.Attempt{Login: login, Secret: secret, Protocol: p, Addr: auth.AddrOf(from("192.0.2.33", "GET", "/"))}
		}
		byPassword, err := h.Auth.Login(t.Context(), attempt(mail.IMAP, password))
		if err != nil {
			t.Fatal(err)
		}
		byApp, err := h.Auth.Login(t.Context(), attempt(mail.IMAP, app))
		if err != nil {
			t.Fatal(err)
		}
		ended, stays := make(chan string, 1), make(chan string, 1)
		defer h.Auth.Track(byPassword, func(why string) { ended <- why })()
		defer h.Auth.Track(byApp, func(why string) { stays <- why })()
		b := h.browser()
		b.signIn()
		secret, _ := b.enrol()
		mustEnd(t, "signed in by the password", ended)
		select {
		case why := <-stays:
			t.Error("signed in by an app password:", why)
		default:
		}
		for _, p := range []mail.Protocol{mail.IMAP, mail.POP3, mail.Submission, mail.EAS, mail.JMAP} {
			_, err := h.Auth.Login(t.Context(), attempt(p, password))
			if mail.KindOf(err) != mail.Denied || auth.RefusalOf(err) != auth.NeedsAppPassword || !strings.Contains(mail.DetailOf(err), "app password") {
				t.Errorf("%s: %v", p, err)
			}
			if _, err := h.Auth.Login(t.Context(), attempt(p, app)); err != nil {
				t.Errorf("%s by app password: %v", p, err)
			}
			if _, err := h.Auth.Login(t.Context(), attempt(p, "wrong")); mail.KindOf(err) != mail.BadCredentials {
				t.Errorf("%s by a wrong password: %v", p, err)
			}
			h.Auth.Login(t.Context(), attempt(p, app)) // so that wrong ones do not add up
		}
		time.Sleep(auth.ProofLasts)
		b.refused(403, "prove", "POST", "/auth/account/totp/remove", nil)
		b.refused(401, "credentials", "POST", "/auth/prove", m{"password": "wrong"})
		b.post(204, "/auth/prove", m{"code": code(t, secret)}, nil)
		b.post(204, "/auth/account/totp/remove", nil, nil)
		var sec Security
		b.call(200, "GET", "/auth/account/security", nil, &sec)
		if sec.TOTP || sec.RecoveryLeft != 0 {
			t.Errorf("%+v", sec)
		}
		if _, err := h.Auth.Login(t.Context(), attempt(mail.IMAP, password)); err != nil {
			t.Error("without a second factor:", err)
		}
	})
}

func TestWrongCodesAreSlowAndFew(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signIn()
	b.enrol()
	c := h.browser()
	c.addr = "198.51.100.1"
	c.half("totp", "recovery")
	for range 5 {
		c.refused(401, "credentials", "POST", "/auth/totp", m{"code": "000000"})
	}
	c.refused(429, "limit", "POST", "/auth/totp", m{"code": "000000"})
	c.refused(429, "limit", "POST", "/auth/sign-in", m{"login": login, "password": password}) // knowing the password washes nothing off
}

// Who knows the password does not get ever new tries by saying it again.
func TestThePasswordDoesNotWashOffWrongCodes(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signIn()
	b.enrol()
	c := h.browser()
	c.addr = "198.51.100.1"
	for range 5 {
		c.half("totp", "recovery")
		c.refused(401, "credentials", "POST", "/auth/totp", m{"code": "000000"})
	}
	c.refused(429, "limit", "POST", "/auth/sign-in", m{"login": login, "password": password})
}

func TestWhatIsSensitiveAsksForAFreshProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.signIn()
		time.Sleep(auth.ProofLasts)
		for _, path := range []string{"totp/begin", "totp/remove", "passkeys/begin", "recovery/renew"} {
			b.refused(403, "prove", "POST", "/auth/account/"+path, m{})
		}
		b.refused(403, "prove", "POST", "/auth/account/totp/confirm", m{"code": "1"})
		b.refused(403, "prove", "POST", "/auth/account/passkeys/remove", m{"id": "1"})
		b.refused(401, "credentials", "POST", "/auth/prove", m{})
		b.post(204, "/auth/prove", m{"password": password}, nil)
		b.enrol()
		time.Sleep(auth.ProofLasts)
		b.refused(403, "prove", "POST", "/auth/account/recovery/renew", m{})
		b.post(204, "/auth/prove", m{"password": password}, nil)
		var r Recovery
		b.post(200, "/auth/account/recovery/renew", nil, &r)
		if len(r.Recovery) != auth.RecoveryCodes {
			t.Error(r)
		}
		var s Session
		b.call(200, "GET", "/auth/session", nil, &s)
		if !s.Proven {
			t.Errorf("%+v", s)
		}
	})
}

func TestThePasswordIsChangedByWhoKnowsIt(t *testing.T) {
	h := newHouse(t)
	b, other := h.browser(), h.browser()
	b.signIn()
	other.signIn()
	b.refused(401, "credentials", "POST", "/auth/account/password", m{"current": "wrong", "password": "another-password"})
	b.refused(400, "invalid", "POST", "/auth/account/password", m{"current": password, "password": "short"})
	b.post(204, "/auth/account/password", m{"current": password, "password": "another-password"}, nil)
	other.call(200, "GET", "/auth/session", nil, nil)
	b.post(204, "/auth/account/password", m{"current": "another-password", "password": "yet-another-one", "endOthers": true}, nil)
	other.refused(401, "credentials", "GET", "/auth/session", nil)
	b.call(200, "GET", "/auth/session", nil, nil)
	h.browser().refused(401, "credentials", "POST", "/auth/sign-in", m{"login": login, "password": password})
}

// A password that is changed between two steps of a sign-in is not good for the second.
func TestAChangedPasswordEndsHalfASignIn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signIn()
	_, recovery := b.enrol()
	c := h.browser()
	c.half("totp", "recovery")
	if err := h.Auth.SetPassword(t.Context(), h.alice, "another-password"); err != nil {
		t.Fatal(err)
	}
	c.refused(410, "expired", "POST", "/auth/recovery", m{"code": recovery[0]})
	c.refused(401, "credentials", "GET", "/auth/session", nil)
}

// Programs may not change how their owner signs in.
func TestTokensDoNotManageTheAccount(t *testing.T) {
	h := newHouse(t)
	_, app := h.appPassword("laptop")
	b := h.browser()
	for _, header := range []string{"Bearer " + app} {
		r := b.request("GET", "/auth/account/security", nil)
		r.Header.Set("Authorization", header)
		if w := b.do(r); w.Code != 401 {
			t.Errorf("%s: %d %s", header, w.Code, w.Body)
		}
	}
	sess, err := h.Authenticate(from("127.0.0.1", "GET", "/", "Authorization", "Bearer "+app))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Auth.Proven(sess); auth.RefusalOf(err) != auth.NeedsProof {
		t.Errorf("an app password proves who it is: %v", err)
	}
}

// Also who guesses slowly has to begin again with the password.
func TestWrongCodesEndASignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.signIn()
		secret, _ := b.enrol()
		c := h.browser()
		c.addr = "198.51.100.1"
		c.half("totp", "recovery")
		for range 5 {
			c.refused(401, "credentials", "POST", "/auth/totp", m{"code": "000000"})
			time.Sleep(step)
		}
		c.refused(410, "expired", "POST", "/auth/totp", m{"code": code(t, secret)})
		c.half("totp", "recovery")
		c.post(200, "/auth/totp", m{"code": code(t, secret)}, nil)
	})
}
