package authtest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"lockstep/internal/auth"
	"lockstep/internal/lot/lottest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// A Mold makes stores that are alike, one for each input of a fuzzer. Everybody in it
// has an app password, so that signing in costs little.
type Mold struct {
	*model.Store // that new ones are copies of; a test may furnish it
	People       []store.Principal
	Secrets      []string // the app password of each

	weary  *auth.Service
	client *scram.Client // of the first account; it keeps the keys, which cost the most
}

var maker = mail.NewOrigin("test", 0, mail.Local, mail.BySetup)

// NewMold makes one in which the logins live.
func NewMold(t testing.TB, logins ...string) *Mold {
	t.Helper()
	m := &Mold{Store: model.New()}
	m.weary = Service(m.Store)
	for _, login := range logins {
		p, err := m.CreateAccount(t.Context(), maker, store.NewAccount{Login: login})
		if err != nil {
			t.Fatal(err)
		}
		_, secret, err := m.weary.AddDevice(t.Context(), p, "fuzzer", nil)
		if err != nil {
			t.Fatal(err)
		}
		m.People, m.Secrets = append(m.People, p), append(m.Secrets, secret)
	}
	client, err := scram.SHA256.NewClient(m.People[0].Login, m.Secrets[0], "")
	if err != nil {
		t.Fatal(err)
	}
	m.client = client.WithNonceGenerator(func() string { return "fuzzer" })
	return m
}

// Service signs people in whom nobody has guessed at yet.
func Service(st Store) *auth.Service {
	return auth.New(st, st, []byte("salts"), slog.New(slog.DiscardHandler))
}

// WearyService is one that guesses from addr have made refuse whoever comes from
// there, without looking at passwords, which would take most of a fuzzer's time.
func (m *Mold) WearyService(t testing.TB, proto mail.Protocol, addr netip.Addr) *auth.Service {
	t.Helper()
	for range 1000 {
		_, err := m.weary.Login(context.Background(), auth.Attempt{Login: m.People[0].Login, Secret: "guess", Protocol: proto, Addr: addr})
		if mail.KindOf(err) == mail.Limit {
			return m.weary
		}
	}
	t.Fatal("one may guess as often as one likes")
	return nil
}

// Answers are what a client says in a SASL exchange, a line for each, in base64. In it
// $login and $secret stand for those of the first account, $first and $final for what a
// client of SCRAM-SHA-256 says that knows them. An answer behind $raw is sent as it is.
func (m *Mold) Answers(client int, answers ...string) []lottest.Part {
	x := &exchange{mold: m}
	var parts []lottest.Part
	for _, a := range answers {
		parts = append(parts, lottest.Part{Client: client, Answer: func(heard string) []byte {
			if raw, ok := strings.CutPrefix(a, "$raw"); ok {
				return []byte(raw + "\r\n")
			}
			return []byte(base64.StdEncoding.EncodeToString([]byte(x.say(a, heard))) + "\r\n")
		}})
	}
	return parts
}

// Mechanisms are those of SASL that servers offer without TLS, and two that they do not.
var Mechanisms = []string{"PLAIN", "LOGIN", "OAUTHBEARER", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "GSSAPI"}

// AddExchanges seeds a fuzzer of Answers: the number of the mechanism, whether the first
// answer comes with the command, and three answers.
func AddExchanges(f *testing.F) {
	for _, initial := range []bool{false, true} {
		f.Add(byte(0), initial, "\x00$login\x00$secret", "", "")
		f.Add(byte(0), initial, "$login\x00$login\x00$secret", "", "")
		f.Add(byte(0), initial, "bob\x00$login\x00wrong", "", "")
		f.Add(byte(0), initial, "$raw*", "", "")
		f.Add(byte(1), initial, "$login", "$secret", "")
		f.Add(byte(1), initial, "$login", "$raw*", "")
		f.Add(byte(2), initial, "n,a=$login,\x01host=mail.example.test\x01port=143\x01auth=Bearer $secret\x01\x01", "", "")
		f.Add(byte(2), initial, "n,,\x01auth=Bearer wrong\x01\x01", "\x01", "")
		f.Add(byte(3), initial, "$first", "$final", "")
		f.Add(byte(3), initial, "n,,n=$login,r=fuzzer", "c=biws,r=fuzzer,p=AAAA", "")
		f.Add(byte(3), initial, "$first", "$finalA", "")
		f.Add(byte(4), initial, "p=tls-exporter,,n=$login,r=fuzzer", "$final", "")
		f.Add(byte(5), initial, "$raw=", "", "")
	}
}

// exchange is a client that may use SCRAM.
type exchange struct {
	mold *Mold
	conv *scram.ClientConversation
}

func (x *exchange) say(answer, heard string) string {
	answer = strings.NewReplacer("$login", x.mold.People[0].Login, "$secret", x.mold.Secrets[0]).Replace(answer)
	if strings.Contains(answer, "$first") {
		answer = strings.ReplaceAll(answer, "$first", x.first())
	}
	if strings.Contains(answer, "$final") {
		answer = strings.ReplaceAll(answer, "$final", x.final(heard))
	}
	return answer
}

func (x *exchange) first() string {
	x.conv = x.mold.client.NewConversation()
	said, err := x.conv.Step("")
	if err != nil {
		return err.Error()
	}
	return said
}

// final answers the challenge that was heard last; without one it is not right.
func (x *exchange) final(heard string) string {
	words := strings.Fields(heard)
	if x.conv == nil || len(words) == 0 {
		return "no conversation"
	}
	challenge, err := base64.StdEncoding.DecodeString(words[len(words)-1])
	if err != nil {
		return err.Error()
	}
	said, err := x.conv.Step(string(challenge))
	if err != nil {
		return err.Error()
	}
	return said
}
