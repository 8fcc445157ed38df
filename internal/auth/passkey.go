package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A RelyingParty is the site that passkeys are for (WebAuthn §4): a name, and the
// origin at which it is reached.
type RelyingParty struct {
	ID     string // such as "mail.example.org"
	Origin string // such as "https://mail.example.org"
}

// A Ceremony is a passkey that was asked for. It is finished once.
type Ceremony struct {
	Options json.RawMessage // for the browser: {"publicKey": …}, as its functions take it

	rp    *webauthn.WebAuthn
	data  webauthn.SessionData
	proof *Proof // of whom it is asked; nil is whoever has one
}

func (rp RelyingParty) webauthn() (*webauthn.WebAuthn, error) {
	w, err := webauthn.New(&webauthn.Config{
		RPID: rp.ID, RPDisplayName: "Lockstep", RPOrigins: []string{rp.Origin}, AttestationPreference: protocol.PreferNoAttestation,
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore, // password managers add theirs
	})
	if err != nil {
		return nil, &mail.Error{Kind: mail.Invalid, Detail: "passkeys need a server that is reached by a name, not by a number", Err: err}
	}
	return w, nil
}

// owner is a principal as WebAuthn sees one.
type owner struct {
	s     *Service
	p     store.Principal
	creds []store.Credential // passkeys
	keys  []webauthn.Credential
}

func (s *Service) owner(ctx context.Context, p store.Principal) (*owner, error) {
	creds, err := s.dir.Credentials(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	o := &owner{s: s, p: p}
	for _, c := range creds {
		if c.Kind != store.Passkey {
			continue
		}
		var key webauthn.Credential
		if err := json.Unmarshal(c.Verifier, &key); err != nil {
			return nil, errors.New("a passkey is damaged")
		}
		o.creds, o.keys = append(o.creds, c), append(o.keys, key)
	}
	return o, nil
}

// WebAuthnID is the user handle: the number of the principal, and what shows that we
// gave it. It says nothing of the person (WebAuthn §14.6.1).
func (o *owner) WebAuthnID() []byte { return o.s.userHandle(o.p.ID) }

// WebAuthnName implements webauthn.User.
func (o *owner) WebAuthnName() string { return o.p.Login }

// WebAuthnDisplayName implements webauthn.User.
func (o *owner) WebAuthnDisplayName() string { return cmp.Or(o.p.Name, o.p.Login) }

// WebAuthnCredentials implements webauthn.User.
func (o *owner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

const userHandleBytes = 8 + sha256.Size

func (s *Service) userHandle(id store.PrincipalID) []byte {
	handle := binary.BigEndian.AppendUint64(nil, uint64(id))
	mac := hmac.New(sha256.New, s.derive("user handles"))
	mac.Write(handle)
	return mac.Sum(handle)
}

func (s *Service) principalOf(handle []byte) (store.PrincipalID, bool) {
	if len(handle) != userHandleBytes {
		return 0, false
	}
	id := store.PrincipalID(binary.BigEndian.Uint64(handle))
	return id, hmac.Equal(handle, s.userHandle(id))
}

// BeginPasskey begins to make a passkey for who is signed in.
func (s *Service) BeginPasskey(ctx context.Context, p store.Principal, rp RelyingParty) (*Ceremony, error) {
	w, err := rp.webauthn()
	if err != nil {
		return nil, err
	}
	o, err := s.owner(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(o.keys) >= MaxPasskeys {
		return nil, mail.Errorf(mail.Limit, "nobody has more than %d passkeys: remove one first", MaxPasskeys)
	}
	var known []protocol.CredentialDescriptor
	for _, k := range o.keys {
		known = append(known, k.Descriptor())
	}
	options, data, err := w.BeginRegistration(o, webauthn.WithExclusions(known), webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationPreferred,
	}))
	if err != nil {
		return nil, err
	}
	return ceremony(w, options.Response, data, &Proof{Principal: p})
}

func ceremony(w *webauthn.WebAuthn, options any, data *webauthn.SessionData, proof *Proof) (*Ceremony, error) {
	text, err := json.Marshal(map[string]any{"publicKey": options})
	return &Ceremony{text, w, *data, proof}, err
}

// FinishPasskey keeps the passkey that the browser made, and returns recovery codes if
// it is the first second factor.
func (s *Service) FinishPasskey(ctx context.Context, c *Ceremony, p store.Principal, name string, answer []byte) (recovery []string, err error) {
	if c.proof == nil || c.proof.Principal.ID != p.ID {
		return nil, mail.Errorf(mail.Invalid, "this was not begun here")
	}
	name = clientName(name)
	if name == "" || len(name) > MaxPasskeyName {
		return nil, mail.Errorf(mail.Invalid, "a passkey's name has 1 to %d bytes", MaxPasskeyName)
	}
	if len(answer) > maxPasskeyBytes {
		return nil, mail.Errorf(mail.Limit, "that is too long for a passkey")
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, badPasskey(err)
	}
	o, err := s.owner(ctx, p)
	if err != nil {
		return nil, err
	}
	key, err := c.rp.CreateCredential(o, c.data, parsed)
	if err != nil {
		return nil, badPasskey(err)
	}
	for _, k := range o.keys {
		if bytes.Equal(k.ID, key.ID) {
			return nil, mail.Errorf(mail.Exists, "this passkey is known already")
		}
	}
	if len(o.keys) >= MaxPasskeys {
		return nil, mail.Errorf(mail.Limit, "nobody has more than %d passkeys", MaxPasskeys)
	}
	verifier, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	return s.addFactor(ctx, p, store.Credential{Kind: store.Passkey, Name: name, Verifier: verifier})
}

func badPasskey(err error) error {
	return &mail.Error{Kind: mail.Invalid, Detail: "the passkey can't be used", Err: err}
}

// AskPasskey asks for a passkey: of who has begun to prove who they are, or, without
// a proof, of whoever has one and lets the device know that it is them.
func (s *Service) AskPasskey(ctx context.Context, rp RelyingParty, proof *Proof) (*Ceremony, error) {
	w, err := rp.webauthn()
	if err != nil {
		return nil, err
	}
	if proof == nil {
		options, data, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
		if err != nil {
			return nil, err
		}
		return ceremony(w, options.Response, data, nil)
	}
	o, err := s.owner(ctx, proof.Principal)
	if err != nil {
		return nil, err
	}
	if len(o.keys) == 0 {
		return nil, mail.Errorf(mail.NotFound, "this account has no passkey")
	}
	options, data, err := w.BeginLogin(o, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return nil, err
	}
	return ceremony(w, options.Response, data, proof)
}

// ProvePasskey goes on with the browser's answer. It is proof enough.
func (s *Service) ProvePasskey(ctx context.Context, c *Ceremony, addr netip.Addr, answer []byte) (*Proof, error) {
	if c.proof != nil {
		return c.proof, s.proveCode(ctx, c.proof, func([]store.Credential) error { return s.usePasskey(ctx, c, c.proof, answer) })
	}
	if err := s.mayTry(ctx, "", addr); err != nil {
		return nil, err
	}
	proof := &Proof{addr: addr, ends: s.sessions.soFar()}
	if err := s.usePasskey(ctx, c, proof, answer); err != nil {
		if late := s.judge(ctx, try{addr: addr, proto: mail.JMAP}, err); late != nil {
			err = late
		}
		s.count(err)
		return nil, err
	}
	if proof.Principal.Disabled {
		return nil, mayUse(proof.Principal, store.Credential{}, Attempt{})
	}
	proof.second = true
	return proof, s.succeeded(ctx, proof.Principal.Login, addr)
}

var errBadPasskey = mail.Errorf(mail.BadCredentials, "this passkey is not known here")

// usePasskey checks an answer, and finds whose it is if nobody said.
func (s *Service) usePasskey(ctx context.Context, c *Ceremony, proof *Proof, answer []byte) error {
	if len(answer) > maxPasskeyBytes {
		return mail.Errorf(mail.Limit, "that is too long for a passkey")
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return badPasskey(err)
	}
	var o *owner
	var key *webauthn.Credential
	if c.proof != nil {
		if o, err = s.owner(ctx, proof.Principal); err == nil {
			key, err = c.rp.ValidateLogin(o, c.data, parsed)
		}
	} else {
		_, key, err = c.rp.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
			o, err = s.ownerOf(ctx, handle)
			return o, err
		}, c.data, parsed)
	}
	if err != nil {
		s.log.DebugContext(ctx, "passkey refused", "err", err)
		return errBadPasskey
	}
	if key.Authenticator.CloneWarning {
		s.log.WarnContext(ctx, "a passkey counts backwards, and may have been copied: refused", "account", int64(o.p.Account))
		return errBadPasskey
	}
	proof.Principal = o.p
	return s.usedPasskey(ctx, o, key)
}

func (s *Service) ownerOf(ctx context.Context, handle []byte) (*owner, error) {
	id, ok := s.principalOf(handle)
	if !ok {
		return nil, fmt.Errorf("not a user handle of this server")
	}
	p, err := s.dir.PrincipalByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.owner(ctx, p)
}

// usedPasskey keeps the counter of the passkey. One that counts is good once for each
// number.
func (s *Service) usedPasskey(ctx context.Context, o *owner, key *webauthn.Credential) error {
	for i, c := range o.creds {
		if !bytes.Equal(o.keys[i].ID, key.ID) {
			continue
		}
		now, err := json.Marshal(key)
		if err != nil {
			return err
		}
		err = s.dir.ReplaceVerifier(ctx, c.ID, c.Verifier, now)
		if k := mail.KindOf(err); err != nil && (k == mail.Conflict || k == mail.NotFound) {
			return errBadPasskey
		}
		if err != nil {
			return err
		}
		return s.dir.UsedCredential(ctx, c.ID, s.now())
	}
	return errBadPasskey
}
