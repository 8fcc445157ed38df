package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/xdg-go/scram"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// mechanisms are the SASL mechanisms the client may use now (RFC 4954). Those
// that show the password want TLS, or an address from which the operator allowed
// them without; SCRAM wants it too, so that nobody is led to think that plain
// submission is safe.
func (s *session) mechanisms() []string {
	if s.srv.Role != Submission || s.who != nil || !s.mayAuth() {
		return nil
	}
	list := []string{"SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER"}
	if s.binding() != nil {
		list = append([]string{"SCRAM-SHA-256-PLUS"}, list...)
	}
	return list
}

func (s *session) mayAuth() bool {
	return s.tls != nil || s.srv.AllowPlainAuth != nil && s.srv.AllowPlainAuth(s.addr)
}

// binding is the channel binding of TLS 1.3 (RFC 9266); nil without.
func (s *session) binding() *scram.ChannelBinding {
	if s.tls == nil {
		return nil
	}
	b, err := scram.NewTLSExporterBinding(s.tls)
	if err != nil {
		return nil
	}
	return &b
}

var errCancelled = errors.New("cancelled")

// cmdAuth serves AUTH (RFC 4954 §4).
func (s *session) cmdAuth(ctx context.Context, arg string) {
	mech, initial, _ := strings.Cut(arg, " ")
	mech = strings.ToUpper(mech)
	switch {
	case s.srv.Role != Submission:
		s.reply(reply{502, "5.5.1", "AUTH is not served here"})
	case s.helo == "" || s.who != nil || s.tx != nil:
		s.reply(reply{503, "5.5.1", "AUTH comes once, after EHLO and before MAIL"})
	case !s.mayAuth():
		s.reply(reply{530, "5.7.0", "issue STARTTLS first"})
	case !slices.Contains(s.mechanisms(), mech):
		s.reply(reply{504, "5.5.4", "no such mechanism"})
	default:
		s.authenticate(ctx, mech, strings.TrimSpace(initial))
	}
}

func (s *session) authenticate(ctx context.Context, mech, initial string) {
	who, err := s.exchange(ctx, mech, initial)
	switch {
	case errors.Is(err, errCancelled):
		s.reply(reply{501, "5.7.0", "authentication cancelled"})
	case err != nil && s.c.isClosing():
		s.part(err)
		s.quit = true
	case err != nil:
		s.replyErr(ctx, replyToAuth(err), err)
	default:
		s.who = who
		s.untrack = s.srv.Auth.Track(who, s.hangUp)
		s.reply(reply{235, "2.7.0", "welcome"})
	}
}

func (s *session) exchange(ctx context.Context, mech, initial string) (*auth.Session, error) {
	a := auth.Attempt{Protocol: mail.Submission, Addr: s.addr}
	switch mech {
	case "PLAIN":
		return s.authPlain(ctx, a, initial)
	case "LOGIN":
		return s.authLogin(ctx, a, initial)
	case "OAUTHBEARER":
		return s.authBearer(ctx, a, initial)
	}
	var b *scram.ChannelBinding
	plus := mech == "SCRAM-SHA-256-PLUS"
	if s.tls != nil {
		b = s.binding()
	}
	return s.authScram(ctx, s.srv.Auth.NewScram(a, b, plus), initial)
}

// ask sends a challenge and reads the response.
func (s *session) ask(challenge string) (string, error) {
	s.reply(reply{334, "", base64.StdEncoding.EncodeToString([]byte(challenge))})
	line, err := s.c.readLine()
	if errors.Is(err, errLineTooLong) {
		return "", mail.Errorf(mail.Invalid, "line too long")
	}
	if err != nil {
		s.quit = true
		return "", err
	}
	if line == "*" {
		return "", errCancelled
	}
	return auth.DecodeBase64(line)
}

// initialOr is the initial response if there is one, else the answer to an empty
// challenge.
func (s *session) initialOr(initial string) (string, error) {
	if initial == "" {
		return s.ask("")
	}
	return auth.DecodeBase64(initial)
}

// authPlain serves PLAIN (RFC 4616).
func (s *session) authPlain(ctx context.Context, a auth.Attempt, initial string) (*auth.Session, error) {
	message, err := s.initialOr(initial)
	if err != nil {
		return nil, err
	}
	fields := strings.Split(message, "\x00")
	if len(fields) != 3 {
		return nil, mail.Errorf(mail.Invalid, "PLAIN: three fields are expected")
	}
	if fields[0] != "" && !strings.EqualFold(fields[0], fields[1]) {
		return nil, mail.Errorf(mail.Denied, "nobody may act for another")
	}
	a.Login, a.Secret = fields[1], fields[2]
	return s.srv.Auth.Login(ctx, a)
}

// authLogin serves LOGIN, which no RFC describes and old programs speak.
func (s *session) authLogin(ctx context.Context, a auth.Attempt, initial string) (*auth.Session, error) {
	var err error
	if initial != "" {
		a.Login, err = auth.DecodeBase64(initial)
	} else {
		a.Login, err = s.ask("Username:")
	}
	if err != nil {
		return nil, err
	}
	if a.Secret, err = s.ask("Password:"); err != nil {
		return nil, err
	}
	return s.srv.Auth.Login(ctx, a)
}

// authBearer serves OAUTHBEARER (RFC 7628).
func (s *session) authBearer(ctx context.Context, a auth.Attempt, initial string) (*auth.Session, error) {
	message, err := s.initialOr(initial)
	if err != nil {
		return nil, err
	}
	a.Bearer = true
	if a.Login, a.Secret, err = auth.ParseBearer(message); err != nil {
		return nil, err
	}
	who, err := s.srv.Auth.Login(ctx, a)
	if err != nil && mail.KindOf(err) == mail.BadCredentials {
		if _, broken := s.ask(auth.BearerRefused); broken != nil {
			return nil, broken
		}
	}
	return who, err
}

// authScram serves SCRAM-SHA-256 and -PLUS (RFC 7677). The server's proof goes in
// a last challenge, since a 235 can't carry it (RFC 4954 §4).
func (s *session) authScram(ctx context.Context, x *auth.Scram, initial string) (*auth.Session, error) {
	first, err := s.initialOr(initial)
	if err != nil {
		return nil, err
	}
	challenge, err := x.First(ctx, first)
	if err != nil {
		return nil, err
	}
	final, err := s.ask(challenge)
	if err != nil {
		return nil, err
	}
	proof, who, err := x.Final(ctx, final)
	if err != nil {
		return nil, err
	}
	if _, err := s.ask(proof); err != nil {
		return nil, err
	}
	return who, nil
}
