package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"

	"github.com/xdg-go/scram"

	"lockstep/internal/auth"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

var errNeedsTLS = errNo("PRIVACYREQUIRED", "Passwords are taken under TLS only")

// startTLSCommand serves STARTTLS (RFC 9051 §6.2.1). What the client sent in
// clear behind the command is thrown away: somebody else may have put it there.
func (s *session) startTLSCommand(_ context.Context, _ *wire.StartTLS, r *reply) error {
	switch {
	case s.tls != nil:
		return errBad("TLS is active already")
	case s.srv.TLS == nil:
		return errBad("There is no TLS here")
	}
	s.enc.Status(r.tag, "OK", "", "Begin TLS negotiation now")
	if err := s.flush(); err != nil {
		return err
	}
	r.quiet = true
	if err := s.startTLS(); err != nil {
		return hangup(err)
	}
	return nil
}

// login serves LOGIN (RFC 9051 §6.2.3).
func (s *session) login(ctx context.Context, cmd *wire.Login, r *reply) error {
	if !s.mayPlain() {
		return errNeedsTLS
	}
	user, err := s.srv.Auth.Login(ctx, s.attempt(cmd.User, cmd.Password))
	return s.signedIn(user, err, r)
}

func (s *session) attempt(login, secret string) auth.Attempt {
	return auth.Attempt{Login: login, Secret: secret, Protocol: mail.IMAP, Addr: s.addr, Client: s.client}
}

// signedIn takes what came of an attempt.
func (s *session) signedIn(user *auth.Session, err error, r *reply) error {
	if mail.KindOf(err) == mail.BadCredentials && err != nil {
		if s.badLogins++; int(s.badLogins) >= s.srv.limits.BadLogins {
			return &wire.Error{Status: "BYE", Code: "LIMIT", Text: "Goodbye: too many failed logins"}
		}
	}
	if err != nil {
		return err
	}
	s.user, s.state = user, authenticated
	s.untrack = s.srv.Auth.Track(user, s.end)
	s.rd.Limits = &s.srv.limits.Wire
	r.code = "CAPABILITY " + s.capabilities()
	r.text = "Logged in"
	return nil
}

// authenticate serves AUTHENTICATE (RFC 9051 §6.2.2).
func (s *session) authenticate(ctx context.Context, cmd *wire.Authenticate, r *reply) error {
	x := &exchange{s: s, initial: cmd.Initial}
	var user *auth.Session
	var err error
	switch cmd.Mechanism {
	case "PLAIN":
		user, err = s.saslPlain(ctx, x)
	case "LOGIN":
		user, err = s.saslLogin(ctx, x)
	case "OAUTHBEARER":
		user, err = s.saslBearer(ctx, x)
	case "SCRAM-SHA-256":
		user, err = s.saslScram(ctx, x, false)
	case "SCRAM-SHA-256-PLUS":
		user, err = s.saslScram(ctx, x, true)
	default:
		return errNo("CANNOT", "There is no such mechanism")
	}
	if errors.Is(err, wire.ErrCancelled) {
		return errBad("Authentication cancelled")
	}
	return s.signedIn(user, err, r)
}

// exchange is the talk of a SASL mechanism.
type exchange struct {
	s       *session
	initial []byte
}

// ask sends a challenge and returns the client's answer; the first one may have
// come with the command (RFC 4959).
func (x *exchange) ask(challenge string) (string, error) {
	if x.initial != nil {
		answer := string(x.initial)
		x.initial = nil
		return answer, nil
	}
	if err := x.s.enc.Challenge([]byte(challenge)); err != nil {
		return "", hangup(err)
	}
	if err := x.s.flushCompressed(); err != nil {
		return "", hangup(err)
	}
	answer, err := x.s.rd.ReadSASL()
	var bad *wire.Error
	if err != nil && !errors.As(err, &bad) && err != wire.ErrCancelled {
		err = hangup(err)
	}
	return string(answer), err
}

// saslPlain is RFC 4616. An authorization identity may only be the same one.
func (s *session) saslPlain(ctx context.Context, x *exchange) (*auth.Session, error) {
	if !s.mayPlain() {
		return nil, errNeedsTLS
	}
	answer, err := x.ask("")
	if err != nil {
		return nil, err
	}
	parts := strings.Split(answer, "\x00")
	if len(parts) != 3 {
		return nil, errBad("Not a response of PLAIN")
	}
	if parts[0] != "" && !strings.EqualFold(parts[0], parts[1]) {
		return nil, errNo("AUTHORIZATIONFAILED", "Nobody can act as somebody else here")
	}
	return s.srv.Auth.Login(ctx, s.attempt(parts[1], parts[2]))
}

// saslLogin is draft-murchison-sasl-login.
func (s *session) saslLogin(ctx context.Context, x *exchange) (*auth.Session, error) {
	if !s.mayPlain() {
		return nil, errNeedsTLS
	}
	name, err := x.ask("Username:")
	if err != nil {
		return nil, err
	}
	password, err := x.ask("Password:")
	if err != nil {
		return nil, err
	}
	return s.srv.Auth.Login(ctx, s.attempt(name, password))
}

// saslBearer is OAUTHBEARER (RFC 7628).
func (s *session) saslBearer(ctx context.Context, x *exchange) (*auth.Session, error) {
	if !s.mayPlain() {
		return nil, errNeedsTLS
	}
	message, err := x.ask("")
	if err != nil {
		return nil, err
	}
	a := s.attempt("", "")
	a.Bearer = true
	if a.Login, a.Secret, err = auth.ParseBearer(message); err != nil {
		return nil, err
	}
	user, err := s.srv.Auth.Login(ctx, a)
	if err != nil && mail.KindOf(err) == mail.BadCredentials {
		if _, broken := x.ask(auth.BearerRefused); broken != nil {
			return nil, broken
		}
	}
	return user, err
}

// saslScram is SCRAM-SHA-256 (RFC 7677), and with plus its form that is bound to
// the TLS connection.
func (s *session) saslScram(ctx context.Context, x *exchange, plus bool) (*auth.Session, error) {
	binding := s.channelBinding()
	if plus && binding == nil {
		return nil, errNo("CANNOT", "There is no TLS connection to bind to")
	}
	first, err := x.ask("")
	if err != nil {
		return nil, err
	}
	conv := s.srv.Auth.NewScram(s.attempt("", ""), binding, plus)
	challenge, err := conv.First(ctx, first)
	if err != nil {
		return nil, err
	}
	final, err := x.ask(challenge)
	if err != nil {
		return nil, err
	}
	proof, user, err := conv.Final(ctx, final)
	if err != nil {
		return nil, err
	}
	_, err = x.ask(proof)
	return user, err
}

// channelBinding is tls-exporter (RFC 9266) of TLS 1.3; nil without.
func (s *session) channelBinding() *scram.ChannelBinding {
	if s.tls == nil {
		return nil
	}
	state := s.tls.ConnectionState()
	if state.Version < tls.VersionTLS13 {
		return nil
	}
	cb, err := scram.NewTLSExporterBinding(&state)
	if err != nil {
		return nil
	}
	return &cb
}
