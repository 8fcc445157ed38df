package auth

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A second factor is asked for beside the password where people sign in to stay: a
// code that changes, or a passkey. With one, the password alone opens nothing, and so
// programs that can't ask for more need an app password.

// Factors is what somebody can prove who they are by, beside the password.
type Factors struct {
	TOTP     bool
	Passkeys []PasskeyInfo
	Recovery int // codes left
}

// PasskeyInfo is a passkey as its owner sees it.
type PasskeyInfo struct {
	ID       int64
	Name     string
	Created  time.Time
	LastUsed time.Time // zero if it never was
}

// Any reports whether there is a second factor.
func (f Factors) Any() bool { return f.TOTP || len(f.Passkeys) > 0 }

// Factors returns what a principal has.
func (s *Service) Factors(ctx context.Context, p store.Principal) (Factors, error) {
	creds, err := s.dir.Credentials(ctx, p.ID)
	return factorsOf(creds), err
}

func factorsOf(creds []store.Credential) (f Factors) {
	for _, c := range creds {
		switch c.Kind {
		case store.TOTP:
			f.TOTP = true
		case store.Passkey:
			f.Passkeys = append(f.Passkeys, PasskeyInfo{c.ID, c.Name, c.Created, c.LastUsed})
		case store.Recovery:
			f.Recovery++
		}
	}
	return f
}

func errSecondFactor() error {
	return refuse(NeedsAppPassword, mail.Denied, "this account has a second factor: use an app password here, not the password")
}

// derive makes a key of this installation for a purpose.
func (s *Service) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.salts, nil, "lockstep "+purpose, 32)
	if err != nil {
		panic(err) // its length is right
	}
	return key
}

// seal keeps a secret that has to be read again, bound to whose it is.
func (s *Service) seal(p store.PrincipalID, secret []byte) []byte {
	aead, err := chacha20poly1305.NewX(s.derive("second factors"))
	if err != nil {
		panic(err) // the key's length is right
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, secret, fmt.Append(nil, p))
}

func (s *Service) unseal(p store.PrincipalID, sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.derive("second factors"))
	if err != nil || len(sealed) < aead.NonceSize() {
		return nil, errors.New("a second factor's secret is damaged")
	}
	secret, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], fmt.Append(nil, p))
	if err != nil {
		return nil, errors.New("a second factor's secret can't be opened with the key of this installation")
	}
	return secret, nil
}

// RemoveSecondFactors lets somebody in with the password alone again.
func (s *Service) RemoveSecondFactors(ctx context.Context, p store.Principal) error {
	return s.removeKinds(ctx, p, store.TOTP, store.Passkey, store.Recovery)
}

// RemoveTOTP takes the codes away. NotFound if there are none.
func (s *Service) RemoveTOTP(ctx context.Context, p store.Principal) error {
	return s.removeFactor(ctx, p, func(c store.Credential) bool { return c.Kind == store.TOTP })
}

// RemovePasskey takes a passkey away.
func (s *Service) RemovePasskey(ctx context.Context, p store.Principal, id int64) error {
	return s.removeFactor(ctx, p, func(c store.Credential) bool { return c.Kind == store.Passkey && c.ID == id })
}

// removeFactor removes one, and with the last one the recovery codes, which are for
// getting past one that is lost.
func (s *Service) removeFactor(ctx context.Context, p store.Principal, which func(store.Credential) bool) error {
	creds, err := s.dir.Credentials(ctx, p.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(creds, which)
	if i < 0 {
		return mail.Errorf(mail.NotFound, "there is no such second factor")
	}
	if err := s.dir.RemoveCredential(ctx, creds[i].ID); err != nil {
		return err
	}
	if factorsOf(slices.Delete(creds, i, i+1)).Any() {
		return nil
	}
	return s.removeKinds(ctx, p, store.Recovery)
}

func (s *Service) removeKinds(ctx context.Context, p store.Principal, kinds ...store.CredentialKind) error {
	creds, err := s.dir.Credentials(ctx, p.ID)
	for _, c := range creds {
		if err == nil && slices.Contains(kinds, c.Kind) {
			err = s.dir.RemoveCredential(ctx, c.ID)
		}
		if err != nil && mail.KindOf(err) == mail.NotFound {
			err = nil // somebody was faster
		}
	}
	return err
}

// addFactor adds a second factor. With the first one come recovery codes, and who is
// signed in by the password alone, where nothing else can be asked for, is no more.
func (s *Service) addFactor(ctx context.Context, p store.Principal, c store.Credential) (recovery []string, err error) {
	before, err := s.Factors(ctx, p)
	if err != nil {
		return nil, err
	}
	c.Principal, c.Created = p.ID, s.now()
	if !before.Any() { // first, so that nobody has a second factor and no way past it
		if recovery, err = s.NewRecoveryCodes(ctx, p); err != nil {
			return nil, err
		}
	}
	if _, err := s.dir.AddCredential(ctx, c); err != nil {
		return nil, err
	}
	s.end(p.Account, func(sess *Session) bool { return sess.implicit }, "this account has a second factor now: use an app password")
	return recovery, nil
}

// NewRecoveryCodes makes new recovery codes, to be shown once; those before are worth
// nothing any more.
func (s *Service) NewRecoveryCodes(ctx context.Context, p store.Principal) ([]string, error) {
	if err := s.removeKinds(ctx, p, store.Recovery); err != nil {
		return nil, err
	}
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		codes[i] = newSecret(recoveryGroups)
		c := store.Credential{Principal: p.ID, Kind: store.Recovery, Verifier: s.recoveryVerifier(p, codes[i]), Created: s.now()}
		if _, err := s.dir.AddCredential(ctx, c); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// recoveryGroups make a recovery code of 74 bits.
const recoveryGroups = 3

// recoveryVerifier is keyed, so that who has the database alone can try nothing.
func (s *Service) recoveryVerifier(p store.Principal, code string) []byte {
	mac := hmac.New(sha256.New, s.derive("recovery codes"))
	fmt.Fprintf(mac, "%d %s", p.ID, strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(code)))
	return mac.Sum(nil)
}

// useRecovery uses a code up. Of two who say the same one, one is let in.
func (s *Service) useRecovery(ctx context.Context, p store.Principal, creds []store.Credential, code string) error {
	want := s.recoveryVerifier(p, code)
	var found int64
	for _, c := range creds {
		if c.Kind == store.Recovery && hmac.Equal(c.Verifier, want) {
			found = cmp.Or(found, c.ID)
		}
	}
	if found == 0 {
		return errBadCode
	}
	if err := s.dir.RemoveCredential(ctx, found); err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return errBadCode
		}
		return err
	}
	return nil
}

var errBadCode = mail.Errorf(mail.BadCredentials, "wrong code, or one that was used before")
