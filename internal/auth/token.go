package auth

import (
	"context"
	"crypto/sha256"

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

// byToken finds the app password that a token is, and whose it is. One from before
// app passwords had tokens is found by its login.
func (s *Service) byToken(ctx context.Context, login, token string) (p store.Principal, c store.Credential, err error) {
	c, err = s.dir.CredentialByToken(ctx, tokenOf(token))
	if err == nil {
		p, err = s.dir.PrincipalByID(ctx, c.Principal)
	}
	switch {
	case err == nil && (login == "" || login == p.Login):
		return p, c, nil
	case err != nil && mail.KindOf(err) != mail.NotFound:
		return p, c, err
	case err == nil || login == "":
		return p, c, errBadToken
	}
	return s.byOldToken(ctx, login, token)
}

func (s *Service) byOldToken(ctx context.Context, login, token string) (p store.Principal, c store.Credential, err error) {
	p, err = s.dir.PrincipalByLogin(ctx, login)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return p, c, errBadToken
	}
	if err != nil {
		return p, c, err
	}
	creds, err := s.dir.Credentials(ctx, p.ID)
	if err != nil {
		return p, c, err
	}
	for _, c := range creds {
		if c.Kind == store.AppPassword && checkAppPassword(c.Verifier, token) {
			return p, c, nil
		}
	}
	return p, c, errBadToken
}
