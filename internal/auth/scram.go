package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/xdg-go/scram"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// scramIterations is RFC 7677's least; the secrets are random, so it need not be
// more.
const scramIterations = 4096

// scramKeys are what a server keeps for SCRAM-SHA-256 (RFC 5802 §3).
type scramKeys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// scramKeysFor derives the keys of a new app password. All of a principal's have
// the same salt: the server must name it before it knows which of them the client
// has. An earlier one may have another than would be made today.
func (s *Service) scramKeysFor(ctx context.Context, p store.Principal, secret string) ([]byte, error) {
	creds, err := s.dir.Credentials(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	salt := s.saltOf(p.Login)
	for _, c := range creds {
		var k scramKeys
		if json.Unmarshal(c.Scram, &k) == nil && len(k.Salt) > 0 {
			salt = k.Salt
		}
	}
	client, err := scram.SHA256.NewClient("user", secret, "")
	if err != nil {
		return nil, err
	}
	got, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
	if err != nil {
		return nil, err
	}
	return json.Marshal(scramKeys{salt, scramIterations, got.StoredKey, got.ServerKey})
}

// saltOf is the salt of a login, whether anybody has it or not.
func (s *Service) saltOf(login string) []byte {
	mac := hmac.New(sha256.New, s.salts)
	mac.Write([]byte(strings.ToLower(login)))
	return mac.Sum(nil)[:saltBytes]
}

// Scram is one SCRAM-SHA-256 exchange on the server's side. It tries the client's
// proof against each app password of the login at once: the same nonce, one
// conversation each.
type Scram struct {
	s       *Service
	attempt Attempt
	binding *scram.ChannelBinding
	plus    bool

	login     string
	principal store.Principal
	ends      uint64
	creds     []store.Credential
	convs     []*scram.ServerConversation
}

// NewScram begins an exchange. Binding is that of the connection, nil without
// TLS; with plus the client has to use it (SCRAM-SHA-256-PLUS).
func (s *Service) NewScram(a Attempt, binding *scram.ChannelBinding, plus bool) *Scram {
	return &Scram{s: s, attempt: a, binding: binding, plus: plus}
}

// First takes the client's first message and returns the challenge.
func (x *Scram) First(ctx context.Context, message string) (string, error) {
	login, err := scramLogin(message)
	if err != nil {
		return "", err
	}
	x.login = login
	if err := x.s.mayTry(ctx, login, x.attempt.Addr); err != nil {
		x.s.count(err)
		return "", err
	}
	keys, err := x.candidates(ctx)
	if err != nil {
		return "", err
	}
	nonce := NewAppPassword() + NewAppPassword()
	var challenge string
	for _, k := range keys {
		conv, err := x.conversation(k, nonce)
		if err != nil {
			return "", err
		}
		challenge, err = conv.Step(message)
		if err != nil {
			return "", &mail.Error{Kind: mail.Invalid, Detail: "SCRAM: the client's first message can't be used", Err: err}
		}
		x.convs = append(x.convs, conv)
	}
	return challenge, nil
}

func (x *Scram) conversation(k scramKeys, nonce string) (*scram.ServerConversation, error) {
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations}, StoredKey: k.StoredKey, ServerKey: k.ServerKey}, nil
	})
	if err != nil {
		return nil, err
	}
	server = server.WithNonceGenerator(func() string { return nonce })
	switch {
	case x.plus:
		return server.NewConversationWithChannelBindingRequired(*x.binding), nil
	case x.binding != nil:
		return server.NewConversationWithChannelBinding(*x.binding), nil
	}
	return server.NewConversation(), nil
}

// candidates are the keys the client may prove; for nobody, one that can't be.
func (x *Scram) candidates(ctx context.Context) ([]scramKeys, error) {
	x.ends = x.s.sessions.soFar()
	p, err := x.s.dir.PrincipalByLogin(ctx, x.login)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return nil, err
	}
	var keys []scramKeys
	if err == nil {
		x.principal = p
		creds, err := x.s.dir.Credentials(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range creds {
			var k scramKeys
			if c.Kind == store.AppPassword && json.Unmarshal(c.Scram, &k) == nil && len(k.Salt) > 0 {
				keys, x.creds = append(keys, k), append(x.creds, c)
			}
		}
	}
	if len(keys) > 0 {
		return keys, nil
	}
	never := make([]byte, sha256.Size)
	rand.Read(never)
	return []scramKeys{{x.s.saltOf(x.login), scramIterations, never, never}}, nil
}

// Final takes the client's proof. It returns the server's own proof for the
// client and the session, or BadCredentials.
func (x *Scram) Final(ctx context.Context, message string) (string, *Session, error) {
	proof, sess, err := x.final(ctx, message)
	x.s.count(err)
	return proof, sess, err
}

func (x *Scram) final(ctx context.Context, message string) (string, *Session, error) {
	for i, conv := range x.convs {
		proof, err := conv.Step(message)
		if err != nil || !conv.Valid() || i >= len(x.creds) {
			continue
		}
		sess, err := x.s.admit(ctx, known{p: x.principal, c: x.creds[i], ends: x.ends}, x.attempt)
		return proof, sess, err
	}
	if late := x.s.failed(ctx, try{login: x.login, addr: x.attempt.Addr, proto: x.attempt.Protocol}); late != nil {
		return "", nil, late
	}
	return "", nil, errBadProof
}

// scramLogin reads the user name out of a client-first-message (RFC 5802 §7).
func scramLogin(message string) (string, error) {
	for field := range strings.SplitSeq(message, ",") {
		if name, ok := strings.CutPrefix(field, "n="); ok && name != "" {
			return strings.ToLower(strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)), nil
		}
	}
	return "", mail.Errorf(mail.Invalid, "SCRAM: no user name")
}

// DecodeBase64 reads a SASL line; "=" is the empty response (RFC 4954 §4).
func DecodeBase64(line string) (string, error) {
	if line == "=" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return "", mail.Errorf(mail.Invalid, "not base64")
	}
	return string(b), nil
}
