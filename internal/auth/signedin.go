package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A Proof is somebody on the way in, who has shown some of what it takes. It is used
// by one request at a time.
type Proof struct {
	Principal store.Principal
	Factors   Factors // what can be shown beside the password

	addr     netip.Addr
	password int64 // the credential that was shown; 0 if none was
	second   bool  // a second factor was shown, or is not needed
	tries    int
	ends     uint64
}

// Done reports whether it is enough to come in.
func (p *Proof) Done() bool { return p.second }

// ProvePassword begins with the password, and nothing else: an app password is for a
// program. BadCredentials and Limit are as for Login, and count with it.
func (s *Service) ProvePassword(ctx context.Context, login, password string, addr netip.Addr) (*Proof, error) {
	p, err := s.provePassword(ctx, strings.ToLower(strings.TrimSpace(login)), password, addr)
	if err != nil {
		s.count(err)
	}
	return p, err
}

func (s *Service) provePassword(ctx context.Context, login, password string, addr netip.Addr) (*Proof, error) {
	if err := s.mayTry(ctx, login, addr); err != nil {
		return nil, err
	}
	proof := &Proof{addr: addr, ends: s.sessions.soFar()}
	err := s.checkPassword(ctx, proof, login, password)
	if late := s.judge(ctx, try{login: login, addr: addr, proto: mail.JMAP, guessed: true}, err); late != nil {
		return nil, late
	}
	if err != nil {
		return nil, err
	}
	if proof.second = !proof.Factors.Any(); proof.second {
		err = s.succeeded(ctx, login, addr) // not before: who knows a password alone must not wash off wrong codes
	}
	return proof, err
}

func (s *Service) checkPassword(ctx context.Context, proof *Proof, login, password string) error {
	p, err := s.dir.PrincipalByLogin(ctx, login)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		_, _ = checkPassword(ctx, nobody(), password) // as long as a wrong password takes
		return errBadCredentials
	}
	if err != nil {
		return err
	}
	creds, err := s.dir.Credentials(ctx, p.ID)
	if err != nil {
		return err
	}
	var own []store.Credential
	for _, c := range creds {
		if c.Kind == store.Password {
			own = append(own, c)
		}
	}
	c, err := s.match(ctx, own, password)
	if err != nil {
		return err
	}
	if p.Disabled {
		return mayUse(p, c, Attempt{})
	}
	proof.Principal, proof.password, proof.Factors = p, c.ID, factorsOf(creds)
	return nil
}

// ProveTOTP goes on with a code, and ProveRecovery with a recovery code.
func (s *Service) ProveTOTP(ctx context.Context, proof *Proof, code string) error {
	return s.proveCode(ctx, proof, func(creds []store.Credential) error { return s.useTOTP(ctx, proof.Principal, creds, code) })
}

// ProveRecovery goes on with a recovery code, which is used up.
func (s *Service) ProveRecovery(ctx context.Context, proof *Proof, code string) error {
	return s.proveCode(ctx, proof, func(creds []store.Credential) error {
		return s.useRecovery(ctx, proof.Principal, creds, code)
	})
}

// proveCode tries a second factor. A wrong one counts as a wrong password does.
func (s *Service) proveCode(ctx context.Context, proof *Proof, use func([]store.Credential) error) error {
	login := proof.Principal.Login
	err := s.mayTry(ctx, login, proof.addr)
	allowed := err == nil
	if err == nil && proof.tries >= maxTries {
		err = mail.Errorf(mail.Expired, "too many wrong codes: begin again with the password")
	}
	var creds []store.Credential
	if err == nil {
		creds, err = s.dir.Credentials(ctx, proof.Principal.ID)
	}
	if err == nil {
		err = use(creds)
	}
	if allowed {
		if late := s.judge(ctx, try{login: login, addr: proof.addr, proto: mail.JMAP, guessed: true}, err); late != nil {
			err = late
		}
	}
	if err != nil {
		proof.tries++
		s.count(err)
		return err
	}
	proof.second = true
	return s.succeeded(ctx, login, proof.addr)
}

// SignedIn is how somebody stays signed in.
type SignedIn struct {
	ID       int64
	Kind     store.SignInKind
	Device   mail.DeviceID
	Client   string // such as "Firefox on Linux"
	Addr     string
	Created  time.Time
	LastSeen time.Time
	Ends     time.Time // or earlier, if it is not used
	Proved   time.Time // when who it is was proved last

	row store.SignIn
}

// Fresh reports whether who it is was proved lately enough for what is sensitive.
func (in *SignedIn) Fresh(now time.Time) bool { return now.Sub(in.Proved) < ProofLasts }

// Proven is Denied for who has not proved lately who they are, as is asked for what is
// sensitive. An app password or a token proves nothing of the person: with it nobody
// makes more of their kind.
func (s *Service) Proven(sess *Session) error {
	if sess.implicit {
		return nil // the password was in this very request
	}
	if in := sess.stays; in == nil || in.Kind != store.WebSignIn {
		return refuse(NeedsProof, mail.Denied, "this is for who signs in with a browser")
	} else if !in.Fresh(s.now()) {
		return refuse(NeedsProof, mail.Denied, "show once more that it is you: with the password, a code or a passkey")
	}
	return nil
}

// OfPerson reports whether the session is of somebody who signed in, and not of a
// program that was given a password or a token of its own.
func (s *Session) OfPerson() bool {
	return s.implicit || s.stays != nil && s.stays.Kind == store.WebSignIn
}

// stay is the state of a sign-in.
type stay struct {
	Proved time.Time
	OAuth  *grant `json:",omitempty"`
}

func signedIn(row store.SignIn) (*SignedIn, error) {
	var state stay
	if err := json.Unmarshal(row.State, &state); err != nil {
		return nil, errors.New("the state of a sign-in is damaged")
	}
	in := &SignedIn{ID: row.ID, Kind: row.Kind, Device: row.Device, Client: row.Client, Addr: row.Addr, Created: row.Created, LastSeen: row.LastSeen, Ends: row.Ends, Proved: state.Proved, row: row}
	if idle := row.LastSeen.Add(webIdle); row.Kind == store.WebSignIn && idle.Before(in.Ends) {
		in.Ends = idle
	}
	return in, nil
}

// SignedIn is how the session stays signed in; nil if it does not.
func (s *Session) SignedIn() *SignedIn { return s.stays }

// Browser is what somebody signs in with to stay.
type Browser struct {
	Key   string // a secret that the browser keeps, by which it is known again
	Name  string // what its owner calls it; "" is what it says it is
	Agent string // its User-Agent
	Addr  netip.Addr
}

// Stay signs in who proved enough, to stay. The token is told once; with it, Resume.
func (s *Service) Stay(ctx context.Context, proof *Proof, b Browser) (token string, sess *Session, err error) {
	sess, row, err := s.stay(ctx, proof, b)
	if err == nil {
		token = newToken()
		row.Key = signInKey(token)
		err = s.addSignIn(ctx, sess, row, MaxWebSignIns)
	}
	if err == nil {
		if _, err = s.still(ctx, proof); err != nil { // who changes the password ends what he finds: not this, if it came later
			err = errors.Join(err, s.dir.RemoveSignIn(ctx, sess.stays.ID))
		}
	}
	s.count(err)
	return token, sess, err
}

// newToken draws a token of 256 bits.
func newToken() string {
	raw := make([]byte, 32)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// signInKey is by what a sign-in is found. Its token is random, so one hash is enough.
func signInKey(token string) []byte {
	sum := sha256.Sum256([]byte("sign-in " + token))
	return sum[:]
}

// CSRF is what a page has to say beside the cookie that holds the token, to show that
// it could read it.
func CSRF(token string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("csrf"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Service) stay(ctx context.Context, proof *Proof, b Browser) (*Session, store.SignIn, error) {
	if !proof.Done() {
		return nil, store.SignIn{}, mail.Errorf(mail.Denied, "a second factor is asked for")
	}
	p, err := s.still(ctx, proof)
	if err != nil {
		return nil, store.SignIn{}, err
	}
	d, err := s.browser(ctx, p, b)
	if err == nil {
		err = standing(d)
	}
	if err != nil {
		return nil, store.SignIn{}, err
	}
	now := s.now()
	state, err := json.Marshal(stay{Proved: now})
	row := store.SignIn{Principal: p.ID, Kind: store.WebSignIn, Device: d.ID, Client: AgentName(b.Agent), State: state, Addr: b.Addr.String(), Created: now, LastSeen: now, Ends: now.Add(WebLife)}
	return &Session{Principal: p, Protocol: mail.JMAP, Addr: b.Addr, device: deviceOf(d), ends: proof.ends}, row, err
}

// still is the principal if what was proved before is still so: the password may have
// been changed meanwhile, and the account disabled.
func (s *Service) still(ctx context.Context, proof *Proof) (store.Principal, error) {
	p, err := s.dir.PrincipalByID(ctx, proof.Principal.ID)
	if err != nil {
		return p, err
	}
	if p.Disabled {
		return p, mayUse(p, store.Credential{}, Attempt{})
	}
	if proof.password == 0 {
		return p, nil
	}
	creds, err := s.dir.Credentials(ctx, p.ID)
	for _, c := range creds {
		if c.ID == proof.password {
			return p, nil
		}
	}
	if err == nil {
		err = mail.Errorf(mail.Expired, "the password was changed meanwhile: begin again")
	}
	return p, err
}

const browserKey = "web:"

// browser is the device of a browser: known by its secret.
func (s *Service) browser(ctx context.Context, p store.Principal, b Browser) (mail.Device, error) {
	a := Attempt{Protocol: mail.JMAP, Addr: b.Addr, Client: AgentName(b.Agent), Told: mail.Told{Kind: "Browser", UserAgent: b.Agent}}
	name := clientName(b.Name)
	if name == "" {
		name = a.Client
	}
	sum := sha256.Sum256([]byte(b.Key))
	return s.lasting(ctx, p, browserKey+base64.RawURLEncoding.EncodeToString(sum[:18]), browserKey, name, a)
}

// lasting is the device of a key. An account with very many of a kind knows further
// ones by what they are, or one could fill it by signing in again and again without
// keeping cookies.
func (s *Service) lasting(ctx context.Context, p store.Principal, key, kind, name string, a Attempt) (mail.Device, error) {
	known, room := false, 0
	err := s.store.View(ctx, p.Account, func(r store.Reader) error {
		all, err := r.Devices()
		known, room = false, maxBrowserDevices
		for _, d := range all {
			known = known || d.Key == key
			if strings.HasPrefix(d.Key, kind) {
				room--
			}
		}
		return err
	})
	if err != nil {
		return mail.Device{}, err
	}
	if known || room > 0 {
		d, err := s.findOrAdd(ctx, p.Account, key, name, a)
		if err == nil || mail.KindOf(err) != mail.Limit {
			return d, err
		}
	}
	return s.implicitDevice(ctx, p.Account, a)
}

// addSignIn keeps a sign-in. Those that are one too many end.
func (s *Service) addSignIn(ctx context.Context, sess *Session, row store.SignIn, most int) error {
	row, gone, err := s.dir.AddSignIn(ctx, row, most)
	if err != nil {
		return err
	}
	for _, g := range gone {
		s.endSessions(sess.Principal, g.ID, "signed in too often")
	}
	sess.stays, err = signedIn(row)
	return err
}

func (s *Service) endSessions(p store.Principal, signIn int64, reason string) {
	s.end(p.Account, func(sess *Session) bool { return sess.stays != nil && sess.stays.ID == signIn }, reason)
}

var errSignedOut = mail.Errorf(mail.BadCredentials, "not signed in, or no longer")

// Resume goes on with a token of Stay. BadCredentials when it has ended, Denied when
// the account or the device is kept out.
func (s *Service) Resume(ctx context.Context, token string, addr netip.Addr) (*Session, error) {
	ends := s.sessions.soFar()
	row, err := s.dir.SignInByKey(ctx, signInKey(token))
	if err != nil && mail.KindOf(err) == mail.NotFound || err == nil && row.Kind != store.WebSignIn {
		return nil, errSignedOut
	}
	if err != nil {
		return nil, err
	}
	in, err := signedIn(row)
	if err != nil {
		return nil, err
	}
	if !s.now().Before(in.Ends) {
		return nil, errSignedOut
	}
	return s.resume(ctx, in, addr, ends)
}

// resume makes the session of a sign-in that is in force.
func (s *Service) resume(ctx context.Context, in *SignedIn, addr netip.Addr, ends uint64) (*Session, error) {
	p, err := s.dir.PrincipalByID(ctx, in.row.Principal)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil, errSignedOut
	}
	if err != nil {
		return nil, err
	}
	if err := mayUse(p, store.Credential{}, Attempt{}); err != nil {
		return nil, err
	}
	var d mail.Device
	err = s.store.View(ctx, p.Account, func(r store.Reader) (err error) {
		d, err = r.Device(in.Device)
		return err
	})
	if err == nil {
		err = standing(d)
	}
	if err != nil {
		return nil, err
	}
	if err := s.saw(ctx, p.Account, d, Attempt{Addr: addr}); err != nil {
		return nil, err
	}
	if now := s.now(); now.Sub(in.LastSeen) >= writeContactAtMostEach || in.Addr != addr.String() {
		if err := s.dir.SawSignIn(ctx, in.ID, now, addr.String()); err != nil && mail.KindOf(err) != mail.NotFound {
			return nil, err
		}
	}
	return &Session{Principal: p, Protocol: mail.JMAP, Addr: addr, device: deviceOf(d), stays: in, ends: ends}, nil
}

// Proved notes that whoever is signed in has proved again who they are. The proof has
// to be theirs.
func (s *Service) Proved(ctx context.Context, sess *Session, proof *Proof) error {
	in := sess.stays
	if in == nil || proof.Principal.ID != sess.Principal.ID || !proof.second && proof.password == 0 {
		return errBadCredentials
	}
	now := s.now()
	state, err := json.Marshal(stay{Proved: now})
	if err != nil {
		return err
	}
	if err := s.dir.ChangeSignIn(ctx, in.ID, in.row.State, state, in.row.Ends); err != nil {
		return err
	}
	in.Proved, in.row.State = now, state
	return nil
}

// Prove is who is signed in on the way to prove it again, by any one thing.
func (s *Service) Prove(ctx context.Context, sess *Session) (*Proof, error) {
	f, err := s.Factors(ctx, sess.Principal)
	return &Proof{Principal: sess.Principal, Factors: f, addr: sess.Addr, ends: sess.ends}, err
}

// SignIns returns how a principal stays signed in, oldest first.
func (s *Service) SignIns(ctx context.Context, p store.Principal) ([]*SignedIn, error) {
	rows, err := s.dir.SignIns(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	var all []*SignedIn
	for _, row := range rows {
		in, err := signedIn(row)
		if err != nil {
			return nil, err
		}
		if s.now().Before(in.Ends) {
			all = append(all, in)
		}
	}
	return all, nil
}

// EndSignIn signs one out. NotFound if it is not the principal's.
func (s *Service) EndSignIn(ctx context.Context, p store.Principal, id int64) error {
	return s.endSignIns(ctx, p, "signed out", func(row store.SignIn) bool { return row.ID == id })
}

// EndOtherSignIns signs all out but the session's own.
func (s *Service) EndOtherSignIns(ctx context.Context, sess *Session) error {
	own := int64(0)
	if sess.stays != nil {
		own = sess.stays.ID
	}
	err := s.endSignIns(ctx, sess.Principal, "signed out elsewhere", func(row store.SignIn) bool { return row.ID != own })
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil // there are no others
	}
	return err
}

// endSignIns ends those that are meant. NotFound if none is.
func (s *Service) endSignIns(ctx context.Context, p store.Principal, reason string, which func(store.SignIn) bool) error {
	rows, err := s.dir.SignIns(ctx, p.ID)
	if err != nil {
		return err
	}
	found := false
	for _, row := range rows {
		if !which(row) {
			continue
		}
		found = true
		if err := s.dir.RemoveSignIn(ctx, row.ID); err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		s.endSessions(p, row.ID, reason)
	}
	if !found {
		return mail.Errorf(mail.NotFound, "there is no such session")
	}
	return nil
}

// ChangePassword changes the password of who is signed in and knows it. What was
// signed in by the old one in programs ends, and if wished all other sign-ins.
func (s *Service) ChangePassword(ctx context.Context, sess *Session, current, password string, endOthers bool) error {
	if _, err := s.ProvePassword(ctx, sess.Principal.Login, current, sess.Addr); err != nil {
		return err
	}
	if err := s.setPassword(ctx, sess.Principal, password); err != nil || !endOthers {
		return err
	}
	return s.EndOtherSignIns(ctx, sess)
}
