package pop3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// APOP (RFC 1939 §7) is not there: it needs passwords that the server can read,
// and proves them with MD5. SCRAM-SHA-256 does better what it was for.

// mayPlain reports whether passwords may come as they are.
func (s *session) mayPlain() bool {
	return s.tls != nil || s.srv.AllowPlainAuth != nil && s.srv.AllowPlainAuth(s.addr)
}

// mechanisms are the SASL mechanisms the client may use now (RFC 5034 §3).
func (s *session) mechanisms() []string {
	var list []string
	if s.binding() != nil {
		list = append(list, "SCRAM-SHA-256-PLUS")
	}
	list = append(list, "SCRAM-SHA-256")
	if s.mayPlain() {
		list = append(list, "PLAIN", "LOGIN", "OAUTHBEARER")
	}
	return list
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

// stls serves STLS (RFC 2595 §4).
func (s *session) stls(ctx context.Context, cmd command) error {
	switch {
	case len(cmd.args()) > 0:
		return errSyntax
	case s.tls != nil || s.srv.TLS == nil:
		return &refusal{text: "STLS is not offered"}
	case s.utf8: // RFC 6856 §2.1
		return &refusal{text: "STLS comes before UTF8"}
	case s.c.in.Buffered() > 0: // somebody else may have put it there
		s.over = true
		return &refusal{text: "Nothing may follow STLS"}
	}
	s.ok("Begin TLS")
	if s.c.out.Flush() != nil || !s.beginTLS(ctx) {
		return errLost
	}
	s.login = ""
	return nil
}

var errNeedsTLS = &refusal{"SYS/PERM", "Passwords are taken under TLS only"}

// user serves USER (RFC 1939 §7). It tells nobody who is here.
func (s *session) user(_ context.Context, cmd command) error {
	login := strings.TrimSpace(cmd.rest)
	switch {
	case !s.mayPlain():
		return errNeedsTLS
	case login == "":
		return errSyntax
	}
	s.login = login
	s.ok("Now the password")
	return nil
}

// pass serves PASS (RFC 1939 §7). Spaces belong to the password.
func (s *session) pass(ctx context.Context, cmd command) error {
	if s.login == "" {
		return &refusal{text: "USER comes first"}
	}
	a := s.attempt()
	a.Login, a.Secret = s.login, cmd.rest
	s.login = ""
	who, err := s.signIn(ctx, a)
	return s.signedIn(ctx, who, err)
}

func (s *session) attempt() auth.Attempt {
	return auth.Attempt{Protocol: mail.POP3, Addr: s.addr}
}

// signIn checks a password. What SASLprep forbids in it nobody can have
// (RFC 6856 §2.2); else it counts as it came, as in IMAP.
func (s *session) signIn(ctx context.Context, a auth.Attempt) (*auth.Session, error) {
	for _, text := range []string{a.Login, a.Secret} {
		if mail.IsASCII(text) {
			continue
		}
		if _, err := stringprep.SASLprep.Prepare(text); err != nil {
			return nil, &refusal{"AUTH", "The login or password has characters that are not allowed"}
		}
	}
	return s.srv.Auth.Login(ctx, a)
}

// signedIn takes what came of an attempt, and opens the maildrop.
func (s *session) signedIn(ctx context.Context, who *auth.Session, err error) error {
	if refusalOfNil(err) == "AUTH" {
		if s.badLogins++; s.badLogins >= s.limits.BadLogins {
			s.over = true
		}
	}
	if err != nil {
		return err
	}
	drop, err := s.srv.open(ctx, who.Account(), &s.limits)
	if err != nil {
		return err
	}
	s.who, s.drop = who, drop
	s.untrack = s.srv.Auth.Track(who, s.hangUp)
	s.srv.counts.maildrops.Add(1)
	s.okf("%d %d", len(drop.entries), drop.size)
	return nil
}

// refusalOfNil is the response code of an error, "" without one.
func refusalOfNil(err error) string {
	if err == nil {
		return ""
	}
	return refusalOf(err).code
}

// auth serves AUTH (RFC 5034 §4).
func (s *session) auth(ctx context.Context, cmd command) error {
	mech, initial, given := strings.Cut(cmd.rest, " ")
	mech = strings.ToUpper(mech)
	switch {
	case mech == "":
		return errSyntax
	case (mech == "PLAIN" || mech == "LOGIN" || mech == "OAUTHBEARER") && !s.mayPlain():
		return errNeedsTLS
	case !slices.Contains(s.mechanisms(), mech):
		return &refusal{text: "There is no such mechanism"}
	}
	x := &exchange{s: s}
	if given {
		initial = strings.TrimSpace(initial)
		x.initial = &initial
	}
	who, err := x.run(ctx, mech)
	return s.signedIn(ctx, who, err)
}

// exchange is the talk of a SASL mechanism.
type exchange struct {
	s       *session
	initial *string // the response that came with the command; nil without
}

func (x *exchange) run(ctx context.Context, mech string) (*auth.Session, error) {
	switch mech {
	case "PLAIN":
		return x.plain(ctx)
	case "LOGIN":
		return x.login(ctx)
	case "OAUTHBEARER":
		return x.bearer(ctx)
	}
	return x.scram(ctx, mech == "SCRAM-SHA-256-PLUS")
}

// ask sends a challenge and returns the client's answer; the first may have come
// with the command.
func (x *exchange) ask(challenge string) (string, error) {
	if x.initial != nil {
		answer := *x.initial
		x.initial = nil
		return auth.DecodeBase64(answer)
	}
	fmt.Fprintf(x.s.c.out, "+ %s\r\n", base64.StdEncoding.EncodeToString([]byte(challenge)))
	line, err := x.s.c.readLine(maxLineBytes, x.s.deadline())
	switch {
	case errors.Is(err, errLineTooLong):
		return "", &refusal{text: "Line too long"}
	case err != nil:
		x.s.part(err)
		return "", errLost
	case line == "*":
		return "", &refusal{text: "Authentication cancelled"}
	}
	return auth.DecodeBase64(line)
}

// plain is RFC 4616. An authorization identity may only be the same one.
func (x *exchange) plain(ctx context.Context) (*auth.Session, error) {
	answer, err := x.ask("")
	if err != nil {
		return nil, err
	}
	parts := strings.Split(answer, "\x00")
	if len(parts) != 3 {
		return nil, &refusal{text: "Not a response of PLAIN"}
	}
	if parts[0] != "" && !strings.EqualFold(parts[0], parts[1]) {
		return nil, &refusal{"AUTH", "Nobody can act as somebody else here"}
	}
	a := x.s.attempt()
	a.Login, a.Secret = parts[1], parts[2]
	return x.s.signIn(ctx, a)
}

// login is LOGIN, which no RFC describes and old programs speak.
func (x *exchange) login(ctx context.Context) (*auth.Session, error) {
	a := x.s.attempt()
	var err error
	if a.Login, err = x.ask("Username:"); err != nil {
		return nil, err
	}
	if a.Secret, err = x.ask("Password:"); err != nil {
		return nil, err
	}
	return x.s.signIn(ctx, a)
}

// bearer is OAUTHBEARER (RFC 7628).
func (x *exchange) bearer(ctx context.Context) (*auth.Session, error) {
	message, err := x.ask("")
	if err != nil {
		return nil, err
	}
	a := x.s.attempt()
	a.Bearer = true
	if a.Login, a.Secret, err = auth.ParseBearer(message); err != nil {
		return nil, err
	}
	who, err := x.s.signIn(ctx, a)
	if err != nil && mail.KindOf(err) == mail.BadCredentials {
		if _, broken := x.ask(auth.BearerRefused); broken != nil {
			return nil, broken
		}
	}
	return who, err
}

// scram is SCRAM-SHA-256 (RFC 7677), and with plus its form that is bound to the
// TLS connection. The server's proof goes in a last challenge, as +OK can't carry
// it (RFC 5034 §4).
func (x *exchange) scram(ctx context.Context, plus bool) (*auth.Session, error) {
	first, err := x.ask("")
	if err != nil {
		return nil, err
	}
	conv := x.s.srv.Auth.NewScram(x.s.attempt(), x.s.binding(), plus)
	challenge, err := conv.First(ctx, first)
	if err != nil {
		return nil, err
	}
	final, err := x.ask(challenge)
	if err != nil {
		return nil, err
	}
	proof, who, err := conv.Final(ctx, final)
	if err != nil {
		return nil, err
	}
	_, err = x.ask(proof)
	return who, err
}
