package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"lockstep/internal/store"
)

// MaxNames bounds for how many names certificates are got: authorities bound it too.
const MaxNames = 500

// lookForNames is how often it is asked for which names certificates are wanted.
const lookForNames = 10 * time.Minute

// What certificates that ended leave behind is removed so often, and so long after.
const (
	cleanEvery = 24 * time.Hour
	keepEnded  = 14 * 24 * time.Hour
)

// Options are what a Manager is made with.
type Options struct {
	Files  store.Files
	Leases store.Leases
	Key    []byte // 32 bytes, the same on all nodes
	Node   string // who takes leases
	Log    *slog.Logger

	// Names returns for which names certificates are wanted. The first is served to those
	// who ask for none. It is asked again from time to time.
	Names func(context.Context) ([]string, error)

	Directory string         // the authority's URL
	Email     string         // whom it may write to; may be empty
	Roots     *x509.CertPool // by which it is known; nil is as the machine has it

	// HTTP and TLS are where the server listens for HTTP and HTTPS; the challenge of one
	// that is nil is left out. The authority comes to ports 80 and 443.
	HTTP, TLS net.Addr

	Every time.Duration // how often it is looked whether to renew; 0 is 10 minutes
	Renew float64       // when so much of a certificate's life is left; 0 is a third
}

// A Manager gets certificates and serves them. Its methods are safe for concurrent use.
type Manager struct {
	opt     Options
	storage *storage
	cache   *certmagic.Cache
	config  *certmagic.Config
	issuer  *certmagic.ACMEIssuer

	mu     sync.Mutex
	names  []string
	failed map[string]failure // by name
}

// failure is why there is no certificate, or no newer one.
type failure struct {
	err error
	at  time.Time
}

// New returns a Manager that does nothing until it Runs, but answer from what is stored.
func New(o Options) (*Manager, error) {
	s, err := newSeal(o.Key)
	if err != nil {
		return nil, fmt.Errorf("key of certificates: %w", err)
	}
	if o.HTTP == nil && o.TLS == nil {
		return nil, errors.New("the authority has to reach this server by HTTP or HTTPS, and it listens for neither")
	}
	m := &Manager{opt: o, storage: newStorage(o.Files, o.Leases, s, o.Node, o.Log), failed: map[string]failure{}}
	log := zapOn(o.Log)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: o.Every, Logger: log,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{Storage: m.storage, Logger: log, OnEvent: m.hear, RenewalWindowRatio: o.Renew})
	m.issuer = certmagic.NewACMEIssuer(m.config, m.account())
	m.issuer.Logger = log
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	return m, nil
}

// account is how the authority is asked. The addresses are those at which the server
// listens already: certmagic opens one of its own where it finds none open.
func (m *Manager) account() certmagic.ACMEIssuer {
	a := certmagic.ACMEIssuer{
		CA: m.opt.Directory, Email: m.opt.Email, Agreed: true, TrustedRoots: m.opt.Roots,
		DisableHTTPChallenge: m.opt.HTTP == nil, DisableTLSALPNChallenge: m.opt.TLS == nil,
	}
	for _, at := range []struct {
		addr net.Addr
		port *int
	}{{m.opt.TLS, &a.AltTLSALPNPort}, {m.opt.HTTP, &a.AltHTTPPort}} {
		if at.addr == nil {
			continue
		}
		host, port, err := net.SplitHostPort(at.addr.String())
		if err == nil {
			*at.port, _ = strconv.Atoi(port)
			a.ListenHost = host
		}
	}
	return a
}

// Run gets what certificates are wanted and renews them, until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	defer m.storage.close()
	defer m.cache.Stop()
	tick := time.NewTicker(lookForNames)
	defer tick.Stop()
	for cleaned := time.Now(); ; {
		if err := m.manage(ctx); err != nil && ctx.Err() == nil {
			m.opt.Log.Warn("names of certificates are not known", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if time.Since(cleaned) > cleanEvery {
			cleaned = time.Now()
			if err := m.clean(ctx, cleanEvery/2); err != nil && ctx.Err() == nil {
				m.opt.Log.Info("old certificates not removed", "err", err)
			}
		}
	}
}

// clean removes what was stored for names that are wanted no more, once their
// certificates have ended, unless some node did that lately.
func (m *Manager) clean(ctx context.Context, lately time.Duration) error {
	return certmagic.CleanStorage(ctx, m.storage, certmagic.CleanStorageOptions{
		Logger: zapOn(m.opt.Log), InstanceID: m.opt.Node, Interval: lately, OCSPStaples: true, ExpiredCerts: true, ExpiredCertGracePeriod: keepEnded,
	})
}

// manage sees to the certificates of names that are new.
func (m *Manager) manage(ctx context.Context) error {
	names, err := m.opt.Names(ctx)
	if err != nil {
		return err
	}
	if len(names) > MaxNames {
		m.opt.Log.Warn("too many names for certificates: the last ones get none", "names", len(names), "most", MaxNames)
		names = names[:MaxNames]
	}
	m.mu.Lock()
	var added []string
	for _, n := range names {
		if !slices.Contains(m.names, n) {
			added = append(added, n)
		}
	}
	m.names = append(m.names, added...)
	m.mu.Unlock()
	return m.config.ManageAsync(ctx, added)
}

// hear is told by certmagic what happens.
func (m *Manager) hear(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_obtained":
		m.mu.Lock()
		delete(m.failed, name)
		m.mu.Unlock()
		m.opt.Log.Info("certificate obtained", "name", name, "renewal", data["renewal"])
	case "cert_failed":
		err, _ := data["error"].(error)
		m.mu.Lock()
		m.failed[name] = failure{err, time.Now()}
		m.mu.Unlock()
		m.opt.Log.Warn("certificate not obtained: it is tried again", "name", name, "renewal", data["renewal"], "err", err)
	}
	return nil
}

// Certificate returns the newest certificate for a client, nil if there is none. One who
// asks for no name, or an unknown one, gets that of the first name.
func (m *Manager) Certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	able := *hello
	able.ServerName = "" // the name is looked at here
	for _, name := range []string{strings.ToLower(hello.ServerName), m.firstName()} {
		if name == "" {
			continue
		}
		for _, c := range m.newest(name) {
			if able.SupportsCertificate(&c.Certificate) == nil {
				return &c.Certificate
			}
		}
	}
	return nil
}

func (m *Manager) firstName() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.names) == 0 {
		return ""
	}
	return m.names[0]
}

// newest are the certificates in memory for a name, the newest first.
func (m *Manager) newest(name string) []certmagic.Certificate {
	all := m.cache.AllMatchingCertificates(name)
	slices.SortFunc(all, func(a, b certmagic.Certificate) int { return b.Leaf.NotAfter.Compare(a.Leaf.NotAfter) })
	return all
}

// Challenge returns the configuration for an authority that comes by TLS to see whether a
// name is ours (TLS-ALPN-01, RFC 8737), whichever node it was that asked it to; nil for
// everybody else.
func (m *Manager) Challenge(hello *tls.ClientHelloInfo) *tls.Config {
	if m.opt.TLS == nil || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol {
		return nil
	}
	return &tls.Config{GetCertificate: m.config.GetCertificate, NextProtos: []string{acmez.ACMETLS1Protocol}, MinVersion: tls.VersionTLS12}
}

// ChallengePath is below which an authority asks by HTTP.
const ChallengePath = "/.well-known/acme-challenge/"

// ServeHTTP answers an authority that comes by HTTP (HTTP-01, RFC 8555 §8.3), whichever
// node it was that asked it to.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.issuer.HandleHTTPChallenge(w, r) {
		http.NotFound(w, r)
	}
}

// A State is how one name stands.
type State struct {
	Name    string
	Expires time.Time // of what is stored; zero is nothing
	Failed  error     // why the last attempt brought nothing; nil if it did, or none was needed
	At      time.Time // of that attempt
}

// States returns how each name stands, by what is stored for all nodes.
func (m *Manager) States(ctx context.Context) ([]State, error) {
	names, err := m.opt.Names(ctx)
	if err != nil {
		return nil, err
	}
	var all []State
	for _, name := range names[:min(len(names), MaxNames)] {
		st := State{Name: name}
		if st.Expires, err = m.expiry(ctx, name); err != nil {
			return nil, err
		}
		m.mu.Lock()
		f := m.failed[name]
		m.mu.Unlock()
		if st.Failed, st.At = f.err, f.at; time.Now().Before(st.Expires) && f.at.Before(m.gotAt(name)) {
			st.Failed = nil // another node got it since
		}
		all = append(all, st)
	}
	return all, nil
}

// gotAt is since when the certificate in memory is valid; zero if there is none.
func (m *Manager) gotAt(name string) (at time.Time) {
	for _, c := range m.newest(name) {
		return c.Leaf.NotBefore
	}
	return at
}

// expiry is until when what is stored for a name is valid; zero if nothing is.
func (m *Manager) expiry(ctx context.Context, name string) (time.Time, error) {
	chain, err := m.storage.Load(ctx, certmagic.StorageKeys.SiteCert(m.issuer.IssuerKey(), name))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	block, _ := pem.Decode(chain)
	if block == nil {
		return time.Time{}, fmt.Errorf("the stored certificate of %s is none", name)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("the stored certificate of %s: %w", name, err)
	}
	return leaf.NotAfter, nil
}

// Expiry is when the first of the certificates in memory ends, and for how many names
// there is none that is valid.
func (m *Manager) Expiry(now time.Time) (first time.Time, missing int) {
	m.mu.Lock()
	names := slices.Clone(m.names)
	m.mu.Unlock()
	for _, name := range names {
		all := m.newest(name)
		if len(all) == 0 || now.After(all[0].Leaf.NotAfter) {
			missing++
		}
		if len(all) > 0 && (first.IsZero() || all[0].Leaf.NotAfter.Before(first)) {
			first = all[0].Leaf.NotAfter
		}
	}
	return first, missing
}
