package auth

import (
	"strings"

	"lockstep/internal/mail"
)

// OAUTHBEARER (RFC 7628) is SASL with a token: an access token or an app password.

const kvSeparator = "\x01"

var errNotBearer = mail.Errorf(mail.Invalid, "not a response of OAUTHBEARER")

// ParseBearer reads the client's one message. The login is "" if it was not said: the
// token says whose it is.
func ParseBearer(message string) (login, token string, err error) {
	header, rest, ok := strings.Cut(message, kvSeparator)
	pairs, ended := strings.CutSuffix(rest, kvSeparator+kvSeparator)
	if !ok || !ended {
		return "", "", errNotBearer
	}
	if login, err = bearerLogin(header); err != nil {
		return "", "", err
	}
	for pair := range strings.SplitSeq(pairs, kvSeparator) {
		key, value, _ := strings.Cut(pair, "=")
		if scheme, said, _ := strings.Cut(value, " "); key == "auth" && strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(said)
		}
	}
	if token == "" {
		return "", "", errNotBearer
	}
	return login, token, nil
}

// bearerLogin reads the header of GS2 (RFC 5801 §4): there is no channel to bind to, and
// whose mail it is may be said.
func bearerLogin(header string) (string, error) {
	binding, rest, ok := strings.Cut(header, ",")
	name, end, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || end != "" || binding != "n" && binding != "y" {
		return "", errNotBearer
	}
	if name == "" {
		return "", nil
	}
	login, ok := strings.CutPrefix(name, "a=")
	if !ok || login == "" {
		return "", errNotBearer
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(login), nil
}

// BearerRefused is the challenge that says that a token is good for nothing (RFC 7628
// §3.2.2); whatever is answered to it, the sign-in has failed.
const BearerRefused = `{"status":"invalid_token","scope":"` + ScopeMail + `"}`
