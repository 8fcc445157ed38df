package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Service signs people in. Make it with New.
type Service struct {
	dir    store.Directory
	store  store.Store
	log    *slog.Logger
	now    func() time.Time
	secret [32]byte // of this process: cache keys

	policies device.Policies
	tell     func(context.Context, mail.AccountID, mail.Device)
	salts    []byte // of this installation: what SCRAM salts are made from

	limits   limiter
	recent   recentPasswords
	checks   singleflight.Group
	hashed   atomic.Int64 // how often checks had to compute
	sessions registry
	counts   counters

	others *others // the nodes on the same store; nil: there are none
}

// New returns a Service on a directory and the accounts. The secret makes SCRAM's
// salts: it has to be the same after a restart, and nobody else's, or salts would
// tell which logins exist.
func New(dir store.Directory, st store.Store, secret []byte, log *slog.Logger) *Service {
	s := &Service{dir: dir, store: st, salts: secret, log: log, now: time.Now}
	rand.Read(s.secret[:])
	s.recent.ok = map[[32]byte]time.Time{}
	s.limits.secret = s.derive("failed sign-ins")
	return s
}

// UsePolicies says what new devices may do. It is called before anybody signs in.
func (s *Service) UsePolicies(p device.Policies) { s.policies = p }

// TellBy names what tells an account of a device: that a new one has to wait, or that
// one has done its wipe; once for each. It is called before anybody signs in.
func (s *Service) TellBy(tell func(context.Context, mail.AccountID, mail.Device)) { s.tell = tell }

// Attempt is what somebody who signs in says.
type Attempt struct {
	Login  string
	Secret string
	// Bearer says that the secret is a token (RFC 6750), such as an app password, and
	// never the password. Then the login may be empty.
	Bearer   bool
	Protocol mail.Protocol
	Addr     netip.Addr
	Client   string // what the client says of itself, without version; "" when it said nothing
	// DeviceKey names the device where the protocol does (EAS DeviceId); else "".
	DeviceKey string
	// CanWipe says that the protocol can tell a device to remove what it holds. A
	// device that is to be told so gets a session, whatever else keeps it out, and
	// Session.WipeOnly is true. Without CanWipe it is Denied.
	CanWipe bool
	Told    mail.Told // of itself by a device that is new
}

// Session is somebody signed in with a device. Its Device changes when the client
// says only later what it is: see Service.Named.
type Session struct {
	Principal  store.Principal
	Credential int64
	Protocol   mail.Protocol
	Addr       netip.Addr

	mu        sync.Mutex
	device    Device
	implicit  bool            // signed in by the password alone
	protocols []mail.Protocol // that the credential is for; empty is all
	stays     *SignedIn       // nil unless it stays signed in
	ends      uint64          // that had been when it began to sign in
}

// A Device is what a session remembers of the device it signed in with: little, as
// every connection that waits has a session.
type Device struct {
	ID     mail.DeviceID
	Name   string // what people see
	Client string // what the client said of itself
	said   *said  // nil of most
}

// said is what is known of phones.
type said struct {
	told mail.Told
	wipe mail.Wipe
}

// deviceOf is what a session remembers of d.
func deviceOf(d mail.Device) Device {
	kept := Device{ID: d.ID, Name: d.Name, Client: d.Client}
	if d.Client == d.Name {
		kept.Client = d.Name // once
	}
	if d.Told != (mail.Told{}) || d.Wipe != (mail.Wipe{}) {
		kept.said = &said{d.Told, d.Wipe}
	}
	return kept
}

// Told is what the device had told of itself.
func (d Device) Told() mail.Told {
	if d.said == nil {
		return mail.Told{}
	}
	return d.said.told
}

// Wipe is how far a wipe of the device had come.
func (d Device) Wipe() mail.Wipe {
	if d.said == nil {
		return mail.Wipe{}
	}
	return d.said.wipe
}

// WipeOnly reports whether the session is for nothing but to tell the device to
// remove what it holds, and to hear what it says of that.
func (s *Session) WipeOnly() bool { return s.Device().Wipe().Open() }

// MayUse reports whether what the session signed in with is good for a protocol too.
func (s *Session) MayUse(p mail.Protocol) bool {
	return len(s.protocols) == 0 || slices.Contains(s.protocols, p)
}

// Account is whose mail the session is about.
func (s *Session) Account() mail.AccountID { return s.Principal.Account }

// Device is what the session signed in with.
func (s *Session) Device() Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.device
}

// Origin is the session as the maker of changes.
func (s *Session) Origin() mail.Origin {
	return mail.NewOrigin(s.Principal.Login, s.Device().ID, s.Protocol, mail.ByUser)
}

var errBadCredentials = mail.Errorf(mail.BadCredentials, "wrong login or password")

// errBadProof says why a good password may fail here: many programs try SCRAM
// first, and never anything else.
var errBadProof = mail.Errorf(mail.BadCredentials, "wrong login or app password: SCRAM needs an app password (lockstep device add), other passwords go by PLAIN or LOGIN")

// Login checks a password or app password. BadCredentials when wrong, whatever
// the reason; Limit when there were too many failures; Denied for a disabled
// account, a device that is kept out or a protocol the app password is not for, and
// Limit for one device too many: only somebody with the right secret is told these,
// and RefusalOf says which it is.
func (s *Service) Login(ctx context.Context, a Attempt) (*Session, error) {
	sess, err := s.login(ctx, a)
	s.count(err)
	return sess, err
}

func (s *Service) login(ctx context.Context, a Attempt) (*Session, error) {
	k, err := s.prove(ctx, a)
	if err != nil {
		return nil, err
	}
	return s.admit(ctx, k, a)
}

// Check is Login for who asks what there is before it comes as a device: nobody is
// signed in, and no device is made or seen.
func (s *Service) Check(ctx context.Context, a Attempt) (store.Principal, error) {
	k, err := s.prove(ctx, a)
	if err == nil {
		if err = s.succeeded(ctx, k.p.Login, a.Addr); err == nil {
			err = mayUse(k.p, k.c, a)
		}
	}
	s.count(err)
	return k.p, err
}

// known is who proved who they are.
type known struct {
	p    store.Principal
	c    store.Credential // that was proved
	in   *SignedIn        // of which a token was shown; nil else
	ends uint64           // what Session keeps
}

// prove finds the credential that an attempt proves, and counts the failures.
func (s *Service) prove(ctx context.Context, a Attempt) (known, error) {
	login := strings.ToLower(strings.TrimSpace(a.Login))
	if err := s.mayTry(ctx, login, a.Addr); err != nil {
		return known{}, err
	}
	k, err := s.verify(ctx, login, a)
	guess := try{login: login, addr: a.Addr, proto: a.Protocol, guessed: !a.Bearer && (err != nil || k.c.Kind == store.Password)}
	if mail.KindOf(err) == mail.Denied {
		guess.guessed = true // the password was right
	}
	if late := s.judge(ctx, guess, err); late != nil {
		return known{}, late
	}
	return k, err
}

// mayUse is Denied if somebody who proved the credential may not come in with it.
func mayUse(p store.Principal, c store.Credential, a Attempt) error {
	if p.Disabled {
		return refuse(AccountDisabled, mail.Denied, "this account is disabled")
	}
	if len(c.Protocols) > 0 && !slices.Contains(c.Protocols, a.Protocol) {
		return refuse(NotForProtocol, mail.Denied, "this app password is not for %s", a.Protocol)
	}
	return nil
}

// verify finds the credential that the secret proves.
func (s *Service) verify(ctx context.Context, login string, a Attempt) (k known, err error) {
	ends := s.sessions.soFar()
	if a.Bearer {
		k, err = s.byToken(ctx, login, a.Secret, a.Addr)
		k.ends = ends
		return k, err
	}
	k.ends = ends
	k.p, err = s.dir.PrincipalByLogin(ctx, login)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		_, _ = checkPassword(ctx, nobody(), a.Secret) // as long as a wrong password takes
		return k, errBadCredentials
	}
	if err != nil {
		return k, err
	}
	creds, err := s.dir.Credentials(ctx, k.p.ID)
	if err != nil {
		return k, err
	}
	k.c, err = s.match(ctx, creds, a.Secret)
	if err == nil && k.c.Kind == store.Password && factorsOf(creds).Any() {
		err = errSecondFactor()
	}
	return k, err
}

// match finds the credential that the secret proves: first among the app
// passwords, which cost little to check.
func (s *Service) match(ctx context.Context, creds []store.Credential, secret string) (store.Credential, error) {
	for _, c := range creds {
		if c.Kind == store.AppPassword && checkAppPassword(c.Verifier, secret) {
			return c, nil
		}
	}
	checked := false
	for _, c := range creds {
		if c.Kind != store.Password {
			continue
		}
		checked = true
		ok, err := s.checkSlow(ctx, c, secret)
		if err != nil || ok {
			return c, err
		}
	}
	if !checked {
		_, _ = checkPassword(ctx, nobody(), secret)
	}
	return store.Credential{}, errBadCredentials
}

// nobody is the verifier of a login that does not exist.
var nobody = sync.OnceValue(func() []byte {
	v, err := HashPassword(context.Background(), NewAppPassword())
	if err != nil {
		panic(err) // its length is right and its context never ends
	}
	return v
})

// checkSlow is checkPassword behind a short memory: mail programs sign in with
// the same password again and again, and argon2 is slow on purpose. The memory
// holds a keyed hash of verifier and password, so a changed password forgets.
// Those who say the same at the same time wait for one answer: a program that
// opens ten connections must not cost ten times 19 MiB.
func (s *Service) checkSlow(ctx context.Context, c store.Credential, secret string) (bool, error) {
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write(c.Verifier)
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	key := [32]byte(mac.Sum(nil))
	if s.recent.has(key, s.now()) {
		return true, nil
	}
	answer := s.checks.DoChan(string(key[:]), func() (any, error) {
		if s.recent.has(key, s.now()) {
			return true, nil // since we looked
		}
		s.hashed.Add(1)
		ok, err := checkPassword(context.WithoutCancel(ctx), c.Verifier, secret)
		if ok {
			s.recent.add(key, s.now())
		}
		return ok, err
	})
	select {
	case r := <-answer:
		return r.Err == nil && r.Val.(bool), r.Err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// admit lets somebody who proved the credential in, as a device.
func (s *Service) admit(ctx context.Context, k known, a Attempt) (*Session, error) {
	p, c := k.p, k.c
	if err := s.succeeded(ctx, p.Login, a.Addr); err != nil {
		return nil, err
	}
	sess := &Session{Principal: p, Credential: c.ID, Protocol: a.Protocol, Addr: a.Addr, implicit: c.Device == 0, protocols: c.Protocols, stays: k.in, ends: k.ends}
	if a.CanWipe {
		d, err := s.toWipe(ctx, p, c, a)
		if err != nil {
			return nil, err
		}
		if d.Wipe.Open() {
			sess.device = deviceOf(d)
			return sess, nil
		}
	}
	if err := mayUse(p, c, a); err != nil {
		return nil, err
	}
	d, err := s.deviceFor(ctx, p, c, a)
	if err == nil {
		err = standing(d)
	}
	if err != nil {
		return nil, err
	}
	if now := s.now(); c.ID != 0 && now.Sub(c.LastUsed) >= writeContactAtMostEach {
		if err := s.dir.UsedCredential(ctx, c.ID, now); err != nil {
			return nil, err
		}
	}
	sess.device = deviceOf(d)
	return sess, nil
}

// toWipe returns the device that the attempt comes from if it is known and waits for
// its wipe.
func (s *Service) toWipe(ctx context.Context, p store.Principal, c store.Credential, a Attempt) (d mail.Device, err error) {
	err = s.store.View(ctx, p.Account, func(r store.Reader) (err error) {
		if c.Device != 0 {
			d, err = r.Device(c.Device)
			return err
		}
		key, _ := implicitKey(a)
		d, err = r.DeviceByKey(key)
		return err
	})
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return mail.Device{}, nil
	}
	return d, err
}

// recentPasswords remembers for rememberFor what was proved.
type recentPasswords struct {
	mu sync.Mutex
	ok map[[32]byte]time.Time
}

const (
	rememberFor            = 10 * time.Minute
	maxRecentPasswords     = 100_000
	writeContactAtMostEach = 5 * time.Minute
)

func (r *recentPasswords) has(key [32]byte, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.ok[key]
	return ok && now.Sub(at) < rememberFor
}

func (r *recentPasswords) add(key [32]byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ok) >= maxRecentPasswords {
		clear(r.ok)
	}
	r.ok[key] = now
}
