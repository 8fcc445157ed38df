package signin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// authenticator is a security key, in software: it makes passkeys and signs with them
// (WebAuthn §6).
type authenticator struct {
	t       testing.TB
	origin  string
	rp      string
	key     *ecdsa.PrivateKey
	id      []byte
	handle  []byte // whose it is, as the server says
	counter uint32
	flags   byte
}

const (
	userPresent  = 0x01
	userVerified = 0x04
	attested     = 0x40
)

func newAuthenticator(t testing.TB) *authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authenticator{t: t, origin: "https://mail.example.test", rp: "mail.example.test", key: key, id: []byte(rand.Text()), flags: userPresent | userVerified}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (a *authenticator) clientData(kind, challenge string) []byte {
	text, err := json.Marshal(m{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// data is what is signed of the authenticator (WebAuthn §6.1).
func (a *authenticator) data(flags byte) []byte {
	hash := sha256.Sum256([]byte(a.rp))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.counter)
}

// creation and request are the options that the server sends, as far as is looked at.
type creation struct {
	Challenge              string
	RP                     struct{ ID, Name string }
	User                   struct{ ID, Name, DisplayName string }
	ExcludeCredentials     []struct{ ID string }
	AuthenticatorSelection struct{ ResidentKey, UserVerification string }
}

type request struct {
	Challenge, RPID, UserVerification string
	AllowCredentials                  []struct{ ID string }
}

// make makes a passkey (WebAuthn §7.1).
func (a *authenticator) make(o creation) m {
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		a.t.Fatal(err)
	}
	a.handle = unb64(a.t, o.User.ID)
	data := append(a.data(a.flags|attested), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), cose...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		a.t.Fatal(err)
	}
	return m{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": m{
		"clientDataJSON": b64(a.clientData("webauthn.create", o.Challenge)), "attestationObject": b64(object),
	}}
}

// sign answers a challenge (WebAuthn §7.2).
func (a *authenticator) sign(o request) m {
	a.counter++
	data, client := a.data(a.flags), a.clientData("webauthn.get", o.Challenge)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return m{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": m{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(a.handle),
	}}
}

// register makes a passkey for who is signed in.
func (b *browser) register(a *authenticator) (recovery []string) {
	b.t.Helper()
	o := b.creation()
	if o.RP.ID != a.rp || o.User.Name != login || o.AuthenticatorSelection.ResidentKey != "required" {
		b.t.Errorf("options %+v", o)
	}
	var r Recovery
	b.post(200, "/auth/account/passkeys/finish", m{"name": "my key", "credential": a.make(o)}, &r)
	return r.Recovery
}

// ask begins a sign-in with a passkey.
func (b *browser) ask() request {
	b.t.Helper()
	return b.asked("/auth/passkey/begin")
}

// asked is what a passkey is to sign.
func (b *browser) asked(path string) request {
	b.t.Helper()
	var o struct{ PublicKey request }
	b.post(200, path, nil, &o)
	return o.PublicKey
}

// creation is what a passkey is to be made of.
func (b *browser) creation() creation {
	b.t.Helper()
	var o struct{ PublicKey creation }
	b.post(200, "/auth/account/passkeys/begin", nil, &o)
	return o.PublicKey
}

func TestPasskeysAreMadeAndListed(t *testing.T) {
	h := newHouse(t)
	b, a := h.browser(), newAuthenticator(t)
	b.signIn()
	if codes := b.register(a); len(codes) != auth.RecoveryCodes {
		t.Errorf("recovery codes %v", codes)
	}
	if codes := b.register(newAuthenticator(t)); codes != nil {
		t.Errorf("recovery codes again: %v", codes)
	}
	again := b.creation()
	if len(again.ExcludeCredentials) != 2 || again.ExcludeCredentials[0].ID != b64(a.id) {
		t.Errorf("one key could be made twice: %+v", again)
	}
	b.refused(409, "exists", "POST", "/auth/account/passkeys/finish", m{"name": "twice", "credential": a.make(again)})
	var sec Security
	b.call(200, "GET", "/auth/account/security", nil, &sec)
	if len(sec.Passkeys) != 2 || sec.Passkeys[0].Name != "my key" || sec.Passkeys[0].LastUsed != nil {
		t.Fatalf("%+v", sec)
	}
	b.post(204, "/auth/account/passkeys/remove", m{"id": sec.Passkeys[0].ID}, nil)
	b.refused(404, "not-found", "POST", "/auth/account/passkeys/remove", m{"id": sec.Passkeys[0].ID})
	b.post(204, "/auth/account/passkeys/remove", m{"id": sec.Passkeys[1].ID}, nil)
	sec = Security{}
	b.call(200, "GET", "/auth/account/security", nil, &sec)
	if len(sec.Passkeys) != 0 || sec.RecoveryLeft != 0 {
		t.Errorf("%+v", sec)
	}
}

func TestPasskeysThatDoNotFitAreNotKept(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signIn()
	for name, spoil := range map[string]func(*authenticator, *creation){
		"another origin":    func(a *authenticator, _ *creation) { a.origin = "https://evil.example" },
		"another site":      func(a *authenticator, _ *creation) { a.rp = "evil.example" },
		"another challenge": func(_ *authenticator, o *creation) { o.Challenge = b64(make([]byte, 32)) },
		"nobody there":      func(a *authenticator, _ *creation) { a.flags = 0 },
	} {
		a := newAuthenticator(t)
		o := b.creation()
		spoil(a, &o)
		b.refused(400, "invalid", "POST", "/auth/account/passkeys/finish", m{"name": name, "credential": a.make(o)})
		b.refused(410, "expired", "POST", "/auth/account/passkeys/finish", m{"name": name, "credential": a.make(o)})
	}
	for _, name := range []string{"", string(make([]byte, 200))} {
		a := newAuthenticator(t)
		o := b.creation()
		b.refused(400, "invalid", "POST", "/auth/account/passkeys/finish", m{"name": name, "credential": a.make(o)})
	}
	for range auth.MaxPasskeys {
		b.register(newAuthenticator(t))
	}
	b.refused(429, "limit", "POST", "/auth/account/passkeys/begin", m{})
}

func TestAPasskeyAloneSignsIn(t *testing.T) {
	h := newHouse(t)
	b, a := h.browser(), newAuthenticator(t)
	b.signIn()
	b.register(a)
	c := h.browser()
	o := c.ask()
	if len(o.AllowCredentials) != 0 || o.UserVerification != "required" || o.RPID != a.rp {
		t.Errorf("options %+v", o)
	}
	answer := m{"credential": a.sign(o)}
	var s Session
	c.post(200, "/auth/passkey/finish", answer, &s)
	if s.Login != login || !s.TwoFactor {
		t.Errorf("%+v", s)
	}
	c.refused(410, "expired", "POST", "/auth/passkey/finish", answer) // once
	var sec Security
	c.call(200, "GET", "/auth/account/security", nil, &sec)
	if sec.Passkeys[0].LastUsed == nil {
		t.Error("nobody notes that it was used")
	}
	if err := h.Auth.SetDisabled(t.Context(), h.alice.Account, true); err != nil {
		t.Fatal(err)
	}
	c.refused(403, "account-disabled", "POST", "/auth/passkey/finish", m{"credential": a.sign(c.ask())})
}

func TestAPasskeyIsASecondFactor(t *testing.T) {
	h := newHouse(t)
	b, a := h.browser(), newAuthenticator(t)
	b.signIn()
	b.register(a)
	c := h.browser()
	c.half("passkey", "recovery")
	o := c.ask()
	if len(o.AllowCredentials) != 1 || o.AllowCredentials[0].ID != b64(a.id) {
		t.Errorf("options %+v", o)
	}
	a.flags = userPresent // the password was shown: a key without a PIN is enough
	c.post(200, "/auth/passkey/finish", m{"credential": a.sign(o)}, nil)
}

func TestPasskeysOfOthersAreRefused(t *testing.T) {
	h := newHouse(t)
	b, a := h.browser(), newAuthenticator(t)
	b.signIn()
	b.register(a)
	for name, spoil := range map[string]func(*authenticator, *request){
		"another origin":           func(a *authenticator, _ *request) { a.origin = "https://evil.example" },
		"another site":             func(a *authenticator, _ *request) { a.rp = "evil.example" },
		"another challenge":        func(_ *authenticator, o *request) { o.Challenge = b64(make([]byte, 32)) },
		"nobody verified":          func(a *authenticator, _ *request) { a.flags = userPresent },
		"another key":              func(a *authenticator, _ *request) { a.key = newAuthenticator(t).key },
		"an unknown passkey":       func(a *authenticator, _ *request) { a.id = []byte("unknown") },
		"a made-up owner":          func(a *authenticator, _ *request) { a.handle = append([]byte{}, make([]byte, 40)...) },
		"a counter that goes back": func(a *authenticator, _ *request) { a.counter = 0 },
	} {
		c := h.browser()
		c.addr = "198.51.100." + number(int64(len(name)))
		a.counter = 10
		c.post(200, "/auth/passkey/finish", m{"credential": a.sign(c.ask())}, nil)
		forged := *a
		o := c.ask()
		spoil(&forged, &o)
		c.refused(401, "credentials", "POST", "/auth/passkey/finish", m{"credential": forged.sign(o)})
		a.counter = 0
		removeAll(t, h)
		b.register(a)
	}
}

// removeAll begins anew, with a passkey whose counter is lower.
func removeAll(t testing.TB, h *house) {
	t.Helper()
	if err := h.Auth.RemoveSecondFactors(t.Context(), h.alice); err != nil {
		t.Fatal(err)
	}
}

func TestAPasskeyProvesWhoIsSignedIn(t *testing.T) {
	h := newHouse(t)
	b, a := h.browser(), newAuthenticator(t)
	b.signIn()
	b.register(a)
	const begin = "/auth/prove/passkey/begin"
	o := b.asked(begin)
	b.post(204, "/auth/prove/passkey/finish", m{"credential": a.sign(o)}, nil)
	o = b.asked(begin)
	b.refused(401, "credentials", "POST", "/auth/prove/passkey/finish", m{"credential": newAuthenticator(t).sign(o)})

	bob, err := h.store.CreateAccount(t.Context(), by, newAccount("bob@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	other := h.browser()
	var s Session
	other.post(200, "/auth/sign-in", m{"login": bob.Login, "password": password}, &s)
	other.csrf = s.CSRF
	o = b.asked(begin)
	other.cookies["__Host-lockstep-pending"] = b.cookies["__Host-lockstep-pending"]
	other.refused(401, "credentials", "POST", "/auth/prove/passkey/finish", m{"credential": a.sign(o)}) // alice's proof is not bob's
}

func TestPasskeysNeedAName(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	r := b.request("POST", "/auth/passkey/begin", []byte("{}"))
	r.Host = "192.0.2.1"
	if w := b.do(r); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What browsers send is taken apart by a library: whatever it is, it is refused.
func FuzzPasskeyAnswers(f *testing.F) {
	a := newAuthenticator(f)
	for _, v := range []any{a.sign(request{Challenge: b64(make([]byte, 32))}), a.make(creation{Challenge: b64(make([]byte, 32))}), m{}, nil, "x"} {
		text, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	h := newHouse(f)
	rp := auth.RelyingParty{ID: "mail.example.test", Origin: "https://mail.example.test"}
	f.Fuzz(func(t *testing.T, answer []byte) {
		asked, err := h.Auth.AskPasskey(t.Context(), rp, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Auth.ProvePasskey(t.Context(), asked, auth.AddrOf(from("192.0.2.1", "GET", "/")), answer); err == nil {
			t.Fatalf("signed in by %q", answer)
		}
		made, err := h.Auth.BeginPasskey(t.Context(), h.alice, rp)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Auth.FinishPasskey(t.Context(), made, h.alice, "x", answer); err == nil || mail.KindOf(err) == mail.Internal {
			t.Fatalf("%q: %v", answer, err)
		}
	})
}

// What clients say in JSON is taken or refused, and nothing else.
func FuzzRequests(f *testing.F) {
	h := newHouse(f)
	paths := []string{"/auth/sign-in", "/auth/totp", "/auth/recovery", "/auth/passkey/begin", "/auth/passkey/finish", "/auth/prove", "/auth/account/password", "/auth/account/sessions/end"}
	for i, body := range []string{`{"login":"x","password":"y"}`, `{"code":"123456"}`, `{"code":"a-b"}`, `{"alone":true}`, `{"credential":{}}`, `{"code":1}`, `[`, `{"id":"1"}`} {
		f.Add(uint8(i), body)
	}
	b := h.browser()
	b.signIn()
	f.Fuzz(func(t *testing.T, path uint8, body string) {
		b := *b
		b.t = t
		r := b.request("POST", paths[int(path)%len(paths)], []byte(body))
		if w := b.do(r); w.Code >= 500 {
			t.Fatalf("%s %q: %d %s", r.URL.Path, body, w.Code, w.Body)
		}
	})
}
