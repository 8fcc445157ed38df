package auth

import (
	"bytes"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// An app password from before they were found alone is found by its login.
func TestTokensFromBeforeNeedTheirLogin(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, "old", nil)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := b.store.Credentials(t.Context(), b.alice.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range creds {
		if c.Device != d.ID {
			continue
		}
		if err := b.store.RemoveCredential(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		c.Token = nil
		if _, err := b.store.AddCredential(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	a := Attempt{Secret: secret, Bearer: true, Protocol: mail.EAS, Addr: home}
	b.refused(a, mail.BadCredentials)
	a.Login = "nobody@example.test"
	b.refused(a, mail.BadCredentials)
	a.Login = b.alice.Login
	if s := b.in(a); s.Device().ID != d.ID {
		t.Errorf("device %v", s.Device())
	}
	a.Secret = password
	b.refused(a, mail.BadCredentials) // is no token
}

// What is sealed opens for whom it was sealed, here.
func TestSecretsAreSealedForTheirOwner(t *testing.T) {
	b := newBench(t)
	sealed := b.seal(1, []byte("secret"))
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("it can be read")
	}
	if got, err := b.unseal(1, sealed); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	other := New(b.store, b.store, []byte("other salts"), b.log)
	for name, open := range map[string]func() ([]byte, error){
		"somebody else":        func() ([]byte, error) { return b.unseal(2, sealed) },
		"another installation": func() ([]byte, error) { return other.unseal(1, sealed) },
		"damaged": func() ([]byte, error) {
			return b.unseal(1, append(bytes.Clone(sealed[:len(sealed)-1]), ^sealed[len(sealed)-1]))
		},
		"cut": func() ([]byte, error) { return b.unseal(1, sealed[:3]) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The store has no secret of those who stay signed in, nor of their second factors.
func TestNothingSecretIsStored(t *testing.T) {
	b := newBench(t)
	proof, err := b.ProvePassword(t.Context(), b.alice.Login, password, home)
	if err != nil {
		t.Fatal(err)
	}
	token, sess, err := b.Stay(t.Context(), proof, Browser{Key: "browser key", Addr: home})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := b.Grant(t.Context(), b.alice, Program{Client: "client", Name: "Program", Scope: ScopeJMAP, Browser: "browser key", Addr: home})
	if err != nil {
		t.Fatal(err)
	}
	codes, err := b.NewRecoveryCodes(t.Context(), b.alice)
	if err != nil {
		t.Fatal(err)
	}
	secrets := append([]string{token, "browser key"}, codes...)
	for _, prefix := range []string{accessPrefix, refreshPrefix} {
		for _, t := range []string{tokens.Access, tokens.Refresh} {
			if selector, secret, ok := cutToken(prefix, t); ok {
				secrets = append(secrets, selector, secret)
			}
		}
	}
	var kept bytes.Buffer
	rows, err := b.store.SignIns(t.Context(), b.alice.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		kept.Write(r.Key)
		kept.Write(r.State)
	}
	creds, err := b.store.Credentials(t.Context(), b.alice.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range creds {
		kept.Write(c.Verifier)
	}
	for _, d := range b.devices() {
		kept.WriteString(d.Key + d.Name + d.Client)
	}
	for _, s := range secrets {
		if bytes.Contains(kept.Bytes(), []byte(s)) {
			t.Errorf("%q is in the store", s)
		}
	}
	if len(rows) != 2 || sess.SignedIn() == nil || sess.SignedIn().Kind != store.WebSignIn {
		t.Errorf("%d rows, %+v", len(rows), sess.SignedIn())
	}
}

// Of many who refresh at once nobody is taken for a thief.
func TestRefreshingTwiceAtOnceIsNoTheft(t *testing.T) {
	b := newBench(t)
	t1, err := b.Grant(t.Context(), b.alice, Program{Client: "client", Name: "Program", Scope: ScopeJMAP, Addr: home})
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan Tokens, 2)
	for range cap(answers) {
		go func() {
			got, err := b.Refresh(t.Context(), "client", t1.Refresh, home)
			if err != nil {
				t.Error(err)
			}
			answers <- got
		}()
	}
	for range cap(answers) {
		select {
		case got := <-answers:
			b.in(Attempt{Secret: got.Access, Bearer: true, Protocol: mail.JMAP, Addr: home})
		case <-time.After(steady.Patience):
			t.Fatal("no answer")
		}
	}
}

func TestGrantsAreBounded(t *testing.T) {
	b := newBench(t)
	grant := func() Tokens {
		t.Helper()
		got, err := b.Grant(t.Context(), b.alice, Program{Client: "client", Name: "Program", Scope: ScopeJMAP, Addr: home})
		if err != nil {
			t.Fatal(err)
		}
		b.clock = b.clock.Add(time.Second)
		return got
	}
	first := grant()
	ended := make(chan string, 1)
	b.Track(b.in(Attempt{Secret: first.Access, Bearer: true, Protocol: mail.JMAP, Addr: home}), func(why string) { ended <- why })
	second := grant()
	for range maxGrants - 1 {
		grant()
	}
	select {
	case <-ended:
	case <-time.After(steady.Patience):
		t.Error("the one seen longest ago is still there")
	}
	b.refused(Attempt{Secret: first.Access, Bearer: true, Protocol: mail.JMAP, Addr: home}, mail.BadCredentials)
	b.in(Attempt{Secret: second.Access, Bearer: true, Protocol: mail.JMAP, Addr: home})
}
