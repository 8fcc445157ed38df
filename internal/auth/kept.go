package auth

import (
	"crypto/rand"
	"encoding/json"
	"net/netip"

	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/crypto/chacha20poly1305"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What somebody has shown so far, and what was asked of them, is kept between two
// requests, which may come to two nodes.

// life names a process: sign-outs are counted by each on its own.
var life = rand.Text()

// keptProof is a Proof as it is kept.
type keptProof struct {
	Principal store.Principal
	Factors   Factors
	Addr      netip.Addr
	Password  int64
	Second    bool
	Tries     int
	Life      string // whose count Ends is of
	Ends      uint64
}

// MarshalJSON implements json.Marshaler. It has no secret, but who can change it is
// whoever they like: it has to be sealed.
func (p *Proof) MarshalJSON() ([]byte, error) {
	return json.Marshal(keptProof{p.Principal, p.Factors, p.addr, p.password, p.second, p.tries, life, p.ends})
}

// UnmarshalJSON implements json.Unmarshaler. The Proof has to be given to TakeUp before
// it is used.
func (p *Proof) UnmarshalJSON(text []byte) error {
	var k keptProof
	if err := json.Unmarshal(text, &k); err != nil {
		return err
	}
	*p = Proof{Principal: k.Principal, Factors: k.Factors, addr: k.Addr, password: k.Password, second: k.Second, tries: k.Tries, ends: k.Ends}
	if k.Life != life {
		p.ends = elsewhere
	}
	return nil
}

// elsewhere is the count of sign-outs of what another process began.
const elsewhere = ^uint64(0)

// TakeUp goes on with what may have been begun at another node. Of who was signed out
// since by an operator or a new password, that shows when it is finished.
func (s *Service) TakeUp(p *Proof) {
	if p != nil && p.ends == elsewhere {
		p.ends = s.sessions.soFar()
	}
}

// keptCeremony is a Ceremony as it is kept.
type keptCeremony struct {
	Options json.RawMessage
	RP      RelyingParty
	Data    webauthn.SessionData
	Proof   *Proof
}

// MarshalJSON implements json.Marshaler, as Proof does.
func (c *Ceremony) MarshalJSON() ([]byte, error) {
	return json.Marshal(keptCeremony{c.Options, RelyingParty{c.rp.Config.RPID, c.rp.Config.RPOrigins[0]}, c.data, c.proof})
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Ceremony) UnmarshalJSON(text []byte) error {
	var k keptCeremony
	if err := json.Unmarshal(text, &k); err != nil {
		return err
	}
	rp, err := k.RP.webauthn()
	*c = Ceremony{k.Options, rp, k.Data, k.Proof}
	return err
}

// Proof is of whom the passkey was asked; nil is whoever has one.
func (c *Ceremony) Proof() *Proof { return c.proof }

// Of has the passkey be asked of who is on the way in already.
func (c *Ceremony) Of(p *Proof) { c.proof = p }

// Seal seals what is kept for a purpose under a name, where others could read or change
// it.
func (s *Service) Seal(purpose, name string, data []byte) []byte {
	aead, err := chacha20poly1305.NewX(s.derive(purpose))
	if err != nil {
		panic(err) // its key has the right length
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, data, []byte(name))
}

// Unseal opens what Seal sealed for the same purpose and name; Corrupt if it did not.
func (s *Service) Unseal(purpose, name string, sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.derive(purpose))
	if err != nil {
		panic(err)
	}
	if n := aead.NonceSize(); len(sealed) >= n {
		if data, err := aead.Open(nil, sealed[:n], sealed[n:], []byte(name)); err == nil {
			return data, nil
		}
	}
	return nil, mail.Errorf(mail.Corrupt, "what was kept is damaged, or sealed with another key")
}
