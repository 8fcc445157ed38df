package auth

import (
	"context"
	"crypto/sha256"
	"net/netip"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// tokenOf is by what an app password is found without a login. One hash is enough, as
// in its verifier.
func tokenOf(secret string) []byte {
	sum := sha256.Sum256([]byte("app password " + secret))
	return sum[:]
}

var errBadToken = mail.Errorf(mail.BadCredentials, "this token is not, or no longer, good for anything")

// byToken finds what a token is, and whose: an access token, or an app password. An app
// password from before they had tokens is found by its login.
func (s *Service) byToken(ctx context.Context, login, token string, addr netip.Addr) (k known, err error) {
	if selector, secret, ok := cutToken(accessPrefix, token); ok {
		return s.byAccess(ctx, login, selector, secret, addr)
	}
	k.c, err = s.dir.CredentialByToken(ctx, tokenOf(token))
	if err == nil {
		k.p, err = s.dir.PrincipalByID(ctx, k.c.Principal)
	}
	switch {
	case err == nil && (login == "" || login == k.p.Login):
		return k, nil
	case err != nil && mail.KindOf(err) != mail.NotFound:
		return k, err
	case err == nil || login == "":
		return k, errBadToken
	}
	return s.byOldToken(ctx, login, token)
}

func (s *Service) byOldToken(ctx context.Context, login, token string) (k known, err error) {
	k.p, err = s.dir.PrincipalByLogin(ctx, login)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return k, errBadToken
	}
	if err != nil {
		return k, err
	}
	creds, err := s.dir.Credentials(ctx, k.p.ID)
	if err != nil {
		return k, err
	}
	for _, c := range creds {
		if c.Kind == store.AppPassword && checkAppPassword(c.Verifier, token) {
			k.c = c
			return k, nil
		}
	}
	return k, errBadToken
}
