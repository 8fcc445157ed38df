package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/certs"
	"lockstep/internal/httpd"
)

// withACME is t with the certificates that an authority gave: where there is none, the
// one of t serves.
func (h *house) withACME(t *tls.Config) *tls.Config {
	own := t.GetCertificate
	h.ownCertificate = own
	if !h.cfg.TLS.ACME {
		return t
	}
	t = t.Clone()
	t.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if m := h.acme.Load(); m != nil {
			if c := m.Certificate(hello); c != nil {
				return c, nil
			}
		}
		return own(hello)
	}
	t.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if m := h.acme.Load(); m != nil {
			return m.Challenge(hello), nil
		}
		return nil, nil
	}
	return t
}

// mountACME answers an authority that comes by HTTP.
func (h *house) mountACME(site *httpd.Server) {
	if !h.cfg.TLS.ACME {
		return
	}
	site.Mounts = append(site.Mounts, httpd.Mount{
		Serves: func(path string) bool { return strings.HasPrefix(path, certs.ChallengePath) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m := h.acme.Load(); m != nil {
				m.ServeHTTP(w, r)
				return
			}
			http.NotFound(w, r)
		}),
	})
}

// runACME gets certificates and renews them, once the server listens.
func (h *house) runACME(services []service) func(context.Context) error {
	return func(ctx context.Context) error {
		if !h.cfg.TLS.ACME {
			return nil
		}
		m, err := h.newACME(services)
		if err != nil {
			// Without it mail is served all the same, under the server's own certificate.
			h.log.Error("no certificates by ACME", "err", err)
			return nil
		}
		h.acme.Store(m)
		return m.Run(ctx)
	}
}

func (h *house) newACME(services []service) (*certs.Manager, error) {
	key, err := h.blobs.Keys().Derive("certificates")
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(h.cfg.TLS.ACMERoots)
	if err != nil {
		return nil, err
	}
	o := certs.Options{
		Files: h.db, Leases: h.db, Key: key, Node: hostname(h.cfg) + "/" + rand.Text()[:8], Log: h.log, Names: h.certificateNames,
		Directory: h.cfg.TLS.ACMEDirectory, Email: h.cfg.TLS.ACMEEmail, Roots: roots,
	}
	o.HTTP, o.TLS = reachable(services)
	return certs.New(o)
}

// readRoots reads by what an authority of one's own is known; nil is as the machine has
// it.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls.acme_roots: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls.acme_roots: there is no PEM certificate in %s", file)
	}
	return roots, nil
}

// reachable is where an authority finds the server. What listens on loopback alone counts
// only if all does, as behind a balancer on the same machine: else a challenge would be
// tried that fails, and authorities bound how many may.
func reachable(services []service) (web, secure net.Addr) {
	for _, open := range []bool{true, false} {
		for _, s := range services {
			at, ok := s.l.Addr().(*net.TCPAddr)
			if !ok || open && at.IP.IsLoopback() {
				continue
			}
			switch {
			case s.key == "http" && web == nil:
				web = at
			case s.key == "https" && secure == nil:
				secure = at
			}
		}
		if web != nil || secure != nil {
			break
		}
	}
	return web, secure
}

// certificateNames are the names for which certificates are wanted, that of the server
// first.
func (h *house) certificateNames(ctx context.Context) ([]string, error) {
	names := []string{strings.ToLower(h.cfg.Hostname)}
	add := func(name string) {
		if name = strings.ToLower(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, n := range h.cfg.TLS.ACMENames {
		add(n)
	}
	if !h.cfg.TLS.ACMEDomains {
		return names, nil
	}
	all, err := h.db.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if _, domain, ok := strings.Cut(p.Login, "@"); ok && len(names) <= certs.MaxNames {
			add("mail." + domain)
			add("autodiscover." + domain)
		}
	}
	return names, nil
}

// certificateStates tells how the certificates stand that are in force.
func (h *house) certificateStates(ctx context.Context) ([]admin.Certificate, error) {
	if h.ownCertificate == nil {
		return nil, nil // no server runs here
	}
	own, err := h.ownState()
	m := h.acme.Load()
	switch {
	case err != nil:
		return nil, err
	case !h.cfg.TLS.ACME:
		return []admin.Certificate{own}, nil
	case m == nil:
		return []admin.Certificate{{Name: h.cfg.Hostname, Source: admin.FromAuthority, Failed: "certificates by ACME could not be begun: the log says why"}}, nil
	}
	states, err := m.States(ctx)
	var all []admin.Certificate
	for _, st := range states {
		c := admin.Certificate{Name: st.Name, Source: admin.FromAuthority, Expires: st.Expires}
		if st.Failed != nil {
			c.Failed = st.Failed.Error()
		}
		all = append(all, c)
	}
	return all, err
}

// ownState is the certificate of the files.
func (h *house) ownState() (admin.Certificate, error) {
	c, err := h.ownCertificate(nil)
	if err != nil {
		return admin.Certificate{}, err
	}
	source := admin.FromFiles
	if h.cfg.TLS.Cert == "" {
		source = admin.SelfSigned
	}
	return admin.Certificate{Name: hostname(h.cfg), Source: source, Expires: c.Leaf.NotAfter}, nil
}

// certificateExpiry is when the first certificate in force ends, and for how many names
// there is none that an authority gave, although there should be.
func (h *house) certificateExpiry() (first time.Time, missing int) {
	if h.ownCertificate == nil {
		return first, 0
	}
	if own, err := h.ownState(); err == nil {
		first = own.Expires
	}
	if !h.cfg.TLS.ACME {
		return first, 0
	}
	m := h.acme.Load()
	if m == nil {
		return first, 1
	}
	at, missing := m.Expiry(time.Now())
	if !at.IsZero() {
		first = at
	}
	return first, missing
}
