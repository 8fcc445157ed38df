package webpush

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// browser is the one of RFC 8291 §5.
var browser = Keys{P256DH: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", Auth: "BTBZMqHH6r4Tts7J_aSIgg"}

func TestTheExampleOfTheStandard(t *testing.T) {
	raw, _ := decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
	own, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	salt, _ := decode("DGv6ra1nlYgDCS1FRnbzlw")
	got, err := encrypt([]byte("When I grow up, I want to be a watermelon"), browser, own, salt)
	if err != nil {
		t.Fatal(err)
	}
	const want = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if s := base64.RawURLEncoding.EncodeToString(got); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestBadKeysAndLongTextsAreRefused(t *testing.T) {
	for _, k := range []Keys{{}, {browser.P256DH, "short"}, {"x" + browser.P256DH, browser.Auth}, {strings.Repeat("A", 87), browser.Auth}} {
		if k.Check() == nil {
			t.Errorf("%v is taken for keys", k)
		}
	}
	if err := (Keys{browser.P256DH + "=", strings.ReplaceAll(browser.Auth, "_", "/") + "=="}).Check(); err != nil {
		t.Error(err)
	}
	if b, err := Encrypt(make([]byte, MaxText), browser); err != nil || len(b) != recordSize {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := Encrypt(make([]byte, MaxText+1), browser); err == nil {
		t.Error("a message is longer than a record")
	}
}

func TestTokensAreSigned(t *testing.T) {
	s, err := NewSigner([]byte("secret"), "mailto:postmaster@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := NewSigner([]byte("secret"), ""); again.PublicKey() != s.PublicKey() {
		t.Error("the key is another one each time")
	}
	to, _ := url.Parse("https://push.example.test:8443/a/b?c")
	now := time.Unix(1_800_000_000, 0)
	field, err := s.Authorization(to, now)
	if err != nil {
		t.Fatal(err)
	}
	token, key, ok := strings.Cut(strings.TrimPrefix(field, "vapid t="), ", k=")
	parts := strings.Split(token, ".")
	if !ok || key != s.PublicKey() || len(parts) != 3 {
		t.Fatal(field)
	}
	claims, _ := decode(parts[1])
	var c struct {
		Aud, Sub string
		Exp      int64
	}
	if err := json.Unmarshal(claims, &c); err != nil || c.Aud != "https://push.example.test:8443" || c.Sub == "" || c.Exp <= now.Unix() || c.Exp > now.Add(24*time.Hour).Unix() {
		t.Errorf("%s", claims)
	}
	raw, _ := decode(key)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	signature, _ := decode(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature is none")
	}
}

func FuzzKeys(f *testing.F) {
	f.Add(browser.P256DH, browser.Auth)
	f.Fuzz(func(t *testing.T, p, a string) {
		k := Keys{p, a}
		if _, err := Encrypt([]byte("x"), k); (err == nil) != (k.Check() == nil) {
			t.Errorf("%v: %v", k, err)
		}
	})
}
