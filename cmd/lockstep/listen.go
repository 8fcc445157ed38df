package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep/internal/admin"
	"lockstep/internal/config"
	"lockstep/internal/eas"
	"lockstep/internal/httpd"
	"lockstep/internal/imap"
	"lockstep/internal/jmap"
	"lockstep/internal/mail"
	"lockstep/internal/pop3"
	"lockstep/internal/proxied"
	"lockstep/internal/signin"
	"lockstep/internal/smtp"
	"lockstep/web"
)

// service is one protocol at one address.
type service struct {
	key   string // of the configuration, such as "imap"
	l     net.Listener
	serve func(context.Context, net.Listener) error
}

// portError says that something else has the address.
type portError struct {
	key, addr string
	err       error
}

func (e *portError) Unwrap() error { return e.err }

func (e *portError) Error() string {
	switch {
	case errors.Is(e.err, syscall.EADDRINUSE):
		return fmt.Sprintf("listen.%s: %s is taken by another program: stop that one, or choose another address in the configuration", e.key, e.addr)
	case errors.Is(e.err, syscall.EACCES):
		return fmt.Sprintf("listen.%s: %s is not allowed to this user: ports below 1024 need a service manager that hands out CAP_NET_BIND_SERVICE, see docs/operations.md", e.key, e.addr)
	}
	return fmt.Sprintf("listen.%s: %v", e.key, e.err)
}

// listenAll opens every configured address, or none.
func (h *house) listenAll(t *tls.Config, m *metrics) (services []service, err error) {
	defer func() {
		if err != nil {
			for _, s := range services {
				s.l.Close()
			}
		}
	}()
	proxies := h.cfg.Listen.Proxies.Prefixes()
	for _, p := range h.protocols(t, m) {
		known := proxied.Options{From: proxies, Optional: p.key == "http" || p.key == "https", Log: h.log}
		for _, addr := range p.addrs {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return services, &portError{p.key, addr, err}
			}
			services = append(services, service{p.key, h.leave.through(newGate(proxied.Listen(counted{l, m.connections.WithLabelValues(p.key)}, known))), p.serve})
		}
	}
	return services, nil
}

// counted counts what a listener accepts.
type counted struct {
	net.Listener
	accepted prometheus.Counter
}

// Accept implements net.Listener.
func (c counted) Accept() (net.Conn, error) {
	nc, err := c.Listener.Accept()
	if err == nil {
		c.accepted.Inc()
	}
	return nc, err
}

// protocol is one protocol and where it listens.
type protocol struct {
	key   string
	addrs config.Addresses
	serve func(context.Context, net.Listener) error
}

func (h *house) protocols(t *tls.Config, m *metrics) []protocol {
	in := h.cfg.Listen
	im, pop := h.imapServer(t, m), h.pop3Server(t, m)
	site := h.httpServer(t, m)
	h.mountACME(site)
	if h.cfg.ActiveSync.Enabled {
		phones := h.easServer(m)
		h.closers = append(h.closers, phones.Close)
		site.Mounts = append(site.Mounts, httpd.Mount{Serves: eas.Serves, Handler: phones}, httpd.Mount{Serves: eas.ServesAutodiscover, Handler: http.HandlerFunc(phones.Autodiscover)})
	}
	door := h.signinServer()
	site.Mounts = append(site.Mounts, httpd.Mount{Serves: signin.Serves, Handler: door}, httpd.Mount{Serves: jmap.Serves, Handler: h.jmapServer(m, door)})
	site.Mounts = append(site.Mounts, httpd.Mount{Serves: web.Serves, Handler: web.Handler()}) // its pages begin at /: protocols come first
	return []protocol{
		{"imap", in.IMAP, im.Serve},
		{"imaps", in.IMAPS, im.ServeTLS},
		{"pop3", in.POP3, pop.Serve},
		{"pop3s", in.POP3S, pop.ServeTLS},
		{"lmtp", in.LMTP, m.watch("lmtp", h.smtpServer(smtp.LMTP, t, false)).Serve},
		{"smtp", in.SMTP, m.watch("smtp", h.smtpServer(smtp.Receiving, t, false)).Serve},
		{"submission", in.Submission, m.watch("submission", h.smtpServer(smtp.Submission, t, false)).Serve},
		{"submissions", in.Submissions, m.watch("submissions", h.smtpServer(smtp.Submission, t, true)).Serve},
		{"http", in.HTTP, site.Serve},
		{"https", in.HTTPS, site.ServeTLS},
	}
}

// bodies gives the IMAP server the blob store as it wants it.
type bodies struct{ h *house }

func (b bodies) Open(ctx context.Context, which mail.Blob) (imap.Body, error) {
	r, err := b.h.blobs.Open(ctx, which)
	if err != nil {
		return nil, err // and not a nil *blob.Reader, which is a Body
	}
	return r, nil
}

func (h *house) imapServer(t *tls.Config, m *metrics) *imap.Server {
	l := h.cfg.Limits
	return &imap.Server{
		Store: h.db, Auth: h.auth, Blobs: bodies{h}, Transfer: h.transfer, Ingest: h.ingest, Search: h.search, Hub: h.hub, Log: h.log, TLS: t,
		Hostname: hostname(h.cfg), JMAP: h.jmapURL(), AllowPlainAuth: h.allowPlain, NoUnauthenticate: !h.cfg.Auth.Unauthenticate, Metrics: m, IndexBudget: int64(l.IndexMemory), Farewell: h.leave.farewell,
		Limits: imap.Limits{Message: int64(l.Message), Connections: l.Connections, PerAddress: l.ConnectionsPerAddress, LoginTime: time.Duration(l.LoginTime), Idle: time.Duration(l.IdleTime)},
	}
}

// popBodies gives the POP3 server the blob store as it wants it.
type popBodies struct{ h *house }

func (b popBodies) Open(ctx context.Context, which mail.Blob) (pop3.Body, error) {
	return bodies(b).Open(ctx, which)
}

func (h *house) pop3Server(t *tls.Config, m *metrics) *pop3.Server {
	l := h.cfg.Limits
	return m.watchPOP3(&pop3.Server{
		Store: h.db, Auth: h.auth, Blobs: popBodies{h}, TLS: t, AllowPlainAuth: h.allowPlain, Log: h.log, Farewell: h.leave.farewell,
		Limits: pop3.Limits{Connections: l.Connections, PerAddress: l.ConnectionsPerAddress, LoginTime: time.Duration(l.LoginTime), Idle: time.Duration(l.IdleTime)},
	})
}

func (h *house) easServer(m *metrics) *eas.Server {
	return &eas.Server{
		Store: h.db, Directory: h.db, Auth: h.auth, Delivery: h.delivery, Search: h.search, Hub: h.hub, Log: h.log, Metrics: m.eas, Policies: h.cfg.Policies(), Trails: h.trails,
		Hostname: hostname(h.cfg), SpoolDir: h.path(spoolDir), AllowPlainAuth: h.allowPlain,
		PublicName: h.cfg.Hostname, Mailservers: h.mailservers(),
		Blobs: func(ctx context.Context, b mail.Blob) (eas.Body, error) {
			r, err := h.blobs.Open(ctx, b)
			if err != nil {
				return nil, err // and not a nil *blob.Reader, which is a Body
			}
			return r, nil
		},
		People: h.people(),
		Limits: eas.Limits{Message: int64(h.cfg.Limits.Message), Recipients: h.cfg.Limits.Recipients}, QuietRepeat: h.cfg.ActiveSync.QuietRepeat,
	}
}

// jmapURL is where IMAP clients find JMAP; "" if the server does not know by which name
// it is reached.
func (h *house) jmapURL() string {
	if u := h.cfg.Public(); u != nil {
		return u.JoinPath(jmap.WellKnown).String()
	}
	return ""
}

// signinServer says who asks over HTTP, and signs people in there.
func (h *house) signinServer() *signin.Server {
	return &signin.Server{Auth: h.auth, Files: h.db, Log: h.log, AllowPlainAuth: h.allowPlain, PublicURL: h.cfg.Public(), Ports: h.securePorts()}
}

// securePorts are where programs reach the server under TLS.
func (h *house) securePorts() (p signin.Ports) {
	p.IMAP, p.Submission = portOf(h.cfg.Listen.IMAPS), portOf(h.cfg.Listen.Submissions)
	if h.cfg.ActiveSync.Enabled {
		p.HTTPS = portOf(h.cfg.Listen.HTTPS)
	}
	return p
}

// portOf is the first port of the addresses that has a number; 0 if none has.
func portOf(at config.Addresses) int {
	for _, addr := range at {
		_, port, _ := net.SplitHostPort(addr) // the configuration was checked
		if n, err := strconv.Atoi(port); err == nil {
			return n
		}
	}
	return 0
}

func (h *house) jmapServer(m *metrics, door *signin.Server) *jmap.Server {
	l := h.cfg.Limits
	s := &jmap.Server{
		Store: h.db, Directory: h.db, Auth: door, Accounts: h.auth, Delivery: h.delivery, Search: h.search, Hub: h.hub, Log: h.log, Metrics: m.jmap, Policies: h.cfg.Policies(), Trails: h.trails,
		Hostname: hostname(h.cfg), PublicName: h.cfg.Hostname, SpoolDir: h.path(spoolDir), People: h.people(),
		Blobs: func(ctx context.Context, b mail.Blob) (jmap.Body, error) {
			r, err := h.blobs.Open(ctx, b)
			if err != nil {
				return nil, err // and not a nil *blob.Reader, which is a Body
			}
			return r, nil
		},
		Limits:     jmap.Limits{Upload: int64(l.Message), Message: int64(l.Message), Recipients: l.Recipients},
		PushSecret: h.salts, TellPusher: h.tellPusher,
	}
	if h.isClustered() {
		s.Files = h.db
	}
	h.delivery.Outcome, h.push, h.lookToPush = s.Outcome, s.Push, s.LookToPush
	return s
}

// mailservers are what programs that ask by autodiscovery can use under TLS.
func (h *house) mailservers() (all []eas.Mailserver) {
	for _, m := range []struct {
		kind string
		at   config.Addresses
	}{{"IMAP", h.cfg.Listen.IMAPS}, {"POP3", h.cfg.Listen.POP3S}, {"SMTP", h.cfg.Listen.Submissions}} {
		if n := portOf(m.at); n != 0 {
			all = append(all, eas.Mailserver{Type: m.kind, Port: n})
		}
	}
	return all
}

func (h *house) smtpServer(role smtp.Role, t *tls.Config, implicit bool) *smtp.Server {
	l := h.cfg.Limits
	return &smtp.Server{
		Role: role, Hostname: hostname(h.cfg), Delivery: h.delivery, Auth: h.auth, TLS: t, Implicit: implicit, Log: h.log,
		AllowPlainAuth: h.allowPlain, Farewell: h.leave.farewell,
		Limits: smtp.Limits{MessageBytes: int64(l.Message), Recipients: l.Recipients, Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerAddress},
	}
}

func (h *house) httpServer(t *tls.Config, m *metrics) *httpd.Server {
	l := h.cfg.Limits
	return m.watchHTTP(&httpd.Server{
		Healthy: h.healthy, Ready: h.ready, Metrics: m.registry, TLS: t, Log: h.log, Farewell: h.leave.farewell,
		Limits: httpd.Limits{Connections: l.Connections, PerAddress: l.ConnectionsPerAddress}, Proxies: h.cfg.Listen.Proxies.Prefixes(),
	})
}

// ingest gives the IMAP server the delivery's way of taking a message in.
func (h *house) ingest(ctx context.Context, r io.Reader, _ int64) (mail.Arrival, error) {
	return h.delivery.Ingest(ctx, r)
}

// allowPlain says whether a password may come without TLS.
func (h *house) allowPlain(a netip.Addr) bool {
	switch h.cfg.Auth.Plaintext {
	case config.PlaintextAlways:
		return true
	case config.PlaintextNever:
		return false
	}
	return a.IsLoopback()
}

// healthy asks the store for something small.
func (h *house) healthy(ctx context.Context) error {
	_, err := h.db.IsLocal(ctx, "localhost")
	return err
}

// run serves everything until ctx ends, a part fails, or somebody asks it to go; then it
// lets sessions end, for limits.stop_time. A node of a cluster sends them away before
// that (see departure). ready is called when all addresses answer.
func (h *house) run(ctx context.Context, ready func([]service)) error {
	t, made, err := tlsConfig(h.cfg, h.log)
	if err != nil {
		return err
	}
	t = h.withACME(t)
	if made && !h.cfg.TLS.ACME {
		h.log.Info("made a self-signed certificate: mail programs will ask whether to trust it; set tls.acme, or tls.cert and tls.key, for a real one", "file", h.path(selfSignedCert))
	}
	sender, err := h.sender()
	if err != nil {
		return err
	}
	m := newMetrics(h)
	services, err := h.listenAll(t, m)
	if err != nil {
		return err
	}
	h.sessions, h.addresses = m.sessionsNow, addressesOf(services)
	socket, err := admin.Listen(h.cfg.Socket())
	if err != nil {
		return fmt.Errorf("admin socket %s: %w", h.cfg.Socket(), err)
	}
	leave, err := h.runNode(ctx)
	if err != nil {
		return err
	}
	h.ops.Serving = true
	services = append(services, service{"admin", socket, h.ops.Serve})
	asked := ctx
	ctx, cancel := context.WithCancel(context.WithoutCancel(asked))
	defer cancel()
	var running sync.WaitGroup
	errs := make(chan error, len(services)+12)
	begin := func(name string, fn func(context.Context) error) {
		running.Go(func() {
			if err := fn(ctx); err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
				cancel()
			}
		})
	}
	for _, s := range services {
		begin(s.key, func(ctx context.Context) error { return s.serve(ctx, s.l) })
	}
	begin("memory", h.watchMemory)
	begin("maintenance", h.onOne("upkeep", h.maintain))
	begin("unfinished", h.onOne("unfinished", h.finishCut))
	begin("packing", h.onOne("pack", h.packing))
	begin("queue", sender.Run)
	begin("search", h.search.Run)
	begin("scrub", h.onOne("scrub", h.scrub.Run))
	begin("backup", h.onOne("backups", h.backupJob.Run))
	begin("drill", h.onOne("drills", h.drillJob.Run))
	begin("push", h.onOne("push", h.push))
	begin("sign-ins", h.auth.Follow)
	begin("certificates", h.runACME(services))
	followed := h.follow() // to the end: also what sessions do while the server stops
	notifySystemd("READY=1")
	ready(services)
	h.awaitStop(asked, ctx)
	notifySystemd("STOPPING=1")
	cancel()
	err = errors.Join(h.drain(&running), leave(), firstOf(errs))
	return errors.Join(err, followed())
}

// awaitStop returns when the server is to stop: it was asked to, and who could go to
// another node was sent there, or a part failed.
func (h *house) awaitStop(asked, working context.Context) {
	over, clustered := h.leave.over, h.cfg.Cluster.Database != ""
	select {
	case <-working.Done():
		return
	case <-h.otherDatabase:
		h.changedOver = true
		return
	case <-asked.Done():
		if !clustered {
			return
		}
	case over = <-h.leave.asked:
	}
	notifySystemd(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", h.leave.longest(over).Microseconds()))
	hurry, stop := signal.NotifyContext(working, os.Interrupt, syscall.SIGTERM) // a further signal
	defer stop()
	h.node.Drain()
	h.leave.run(hurry, over)
}

// drain waits until every session is gone, for limits.stop_time.
func (h *house) drain(running *sync.WaitGroup) error {
	gone := make(chan struct{})
	go func() {
		running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(time.Duration(h.cfg.Limits.StopTime)):
		h.log.Warn("stopping although some sessions have not ended", "waited", h.cfg.Limits.StopTime.String())
	}
	return nil
}

func firstOf(errs <-chan error) error {
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
