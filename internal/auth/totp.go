package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/pquerna/otp/hotp"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Codes that change (RFC 6238): six digits, every 30 seconds, by SHA-1, which is what
// all programs for it know. One step early or late is taken, and each code once.
const (
	totpSecretBytes = 20
	totpPeriod      = 30
)

// totpState is the verifier of TOTP.
type totpState struct {
	Secret []byte // sealed
	Step   int64  // the last whose code was used: it and those before are worth nothing
}

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// Enrolment is a TOTP secret that is not in force yet.
type Enrolment struct {
	Secret string // for who types
	URI    string // for who scans
}

// BeginTOTP draws a secret for a principal. Issuer is what programs show beside the
// login.
func (s *Service) BeginTOTP(p store.Principal, issuer string) Enrolment {
	raw := make([]byte, totpSecretBytes)
	rand.Read(raw)
	secret := base32Plain.EncodeToString(raw)
	q := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + p.Login, RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")}
	return Enrolment{secret, u.String()}
}

// ConfirmTOTP puts a secret in force once its owner shows a code of it. It returns
// recovery codes if this is the first second factor. Exists if there is one already.
func (s *Service) ConfirmTOTP(ctx context.Context, p store.Principal, secret, code string) (recovery []string, err error) {
	f, err := s.Factors(ctx, p)
	if err != nil {
		return nil, err
	}
	if f.TOTP {
		return nil, mail.Errorf(mail.Exists, "codes are set up already: remove them first")
	}
	step, err := s.totpStep(secret, code, 0)
	if err != nil {
		return nil, err
	}
	state, err := json.Marshal(totpState{s.seal(p.ID, []byte(secret)), step})
	if err != nil {
		return nil, err
	}
	return s.addFactor(ctx, p, store.Credential{Kind: store.TOTP, Verifier: state})
}

// totpStep finds the step whose code it is, later than the one used last.
func (s *Service) totpStep(secret, code string, used int64) (int64, error) {
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	now := s.now().Unix() / totpPeriod
	found := int64(0)
	for _, step := range []int64{now - 1, now, now + 1} {
		want, err := hotp.GenerateCode(secret, uint64(step))
		if err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && step > used {
			found = step
		}
	}
	if found == 0 {
		return 0, errBadCode
	}
	return found, nil
}

// useTOTP uses a code up. Of two who say the same one, one is let in.
func (s *Service) useTOTP(ctx context.Context, p store.Principal, creds []store.Credential, code string) error {
	i := slices.IndexFunc(creds, func(c store.Credential) bool { return c.Kind == store.TOTP })
	if i < 0 {
		return errBadCode
	}
	c := creds[i]
	var state totpState
	if err := json.Unmarshal(c.Verifier, &state); err != nil {
		return errors.New("a TOTP secret is damaged")
	}
	secret, err := s.unseal(p.ID, state.Secret)
	if err != nil {
		return err
	}
	if state.Step, err = s.totpStep(string(secret), code, state.Step); err != nil {
		return err
	}
	now, err := json.Marshal(state)
	if err != nil {
		return err
	}
	err = s.dir.ReplaceVerifier(ctx, c.ID, c.Verifier, now)
	if k := mail.KindOf(err); err != nil && (k == mail.Conflict || k == mail.NotFound) {
		return errBadCode
	}
	if err != nil {
		return err
	}
	return s.dir.UsedCredential(ctx, c.ID, s.now())
}
