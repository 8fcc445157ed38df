package delivery_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// remote is another mail server.
type remote struct {
	addr string

	mu       sync.Mutex
	answers  []error // to the next DATA commands; then nil
	rcpt     map[string]error
	got      []received
	sessions int
	login    string
	mech     string // "" is PLAIN
}

type received struct {
	from string
	to   []string
	opts gosmtp.MailOptions
	rcpt []gosmtp.RcptOptions
	body string
	tls  bool
}

func startRemote(t *testing.T, set func(*gosmtp.Server), answers ...error) *remote {
	r := &remote{answers: answers, rcpt: map[string]error{}}
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sessions++
		return &remoteSession{r: r, c: c}, nil
	}))
	srv.Domain = "remote.test"
	srv.ErrorLog = log.New(io.Discard, "", 0)
	if set != nil {
		set(srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if srv.Network == "tls" {
		l = tls.NewListener(l, srv.TLSConfig)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	r.addr = l.Addr().String()
	return r
}

func (r *remote) messages() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

type remoteSession struct {
	r  *remote
	c  *gosmtp.Conn
	in received
}

func (s *remoteSession) Reset()        { s.in = received{} }
func (s *remoteSession) Logout() error { return nil }
func (s *remoteSession) Mail(from string, o *gosmtp.MailOptions) error {
	s.in = received{from: from, opts: *o}
	_, s.in.tls = s.c.TLSConnectionState()
	return nil
}
func (s *remoteSession) Rcpt(to string, o *gosmtp.RcptOptions) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if err := s.r.rcpt[to]; err != nil {
		return err
	}
	s.in.to, s.in.rcpt = append(s.in.to, to), append(s.in.rcpt, *o)
	return nil
}

var errDrop = errors.New("drop the line")

func (s *remoteSession) Data(body io.Reader) error {
	s.r.mu.Lock()
	var answer error
	if len(s.r.answers) > 0 {
		answer, s.r.answers = s.r.answers[0], s.r.answers[1:]
	}
	s.r.mu.Unlock()
	if answer == errDrop {
		s.c.Conn().Close()
		return errDrop
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if answer != nil {
		return answer
	}
	s.in.body = string(b)
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.got = append(s.r.got, s.in)
	return nil
}
func (s *remoteSession) AuthMechanisms() []string {
	if s.r.mech != "" {
		return []string{"XFRUIT", s.r.mech}
	}
	return []string{"PLAIN"}
}
func (s *remoteSession) Auth(mech string) (sasl.Server, error) {
	if mech == "LOGIN" {
		return &loginServer{r: s.r}, nil
	}
	return sasl.NewPlainServer(func(_, login, secret string) error {
		if secret != "secret" {
			return gosmtp.ErrAuthFailed
		}
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		s.r.login = login
		return nil
	}), nil
}

// loginServer asks for a name and then for a password.
type loginServer struct {
	r    *remote
	said []string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	if len(l.said) < 2 {
		return []byte("?"), false, nil
	}
	if l.said[1] != "secret" {
		return nil, true, gosmtp.ErrAuthFailed
	}
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.login = l.said[0]
	return nil, true, nil
}

// zone is a resolver made of a map.
type zone struct {
	mx map[string][]*net.MX
	ip map[string]string
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	name = strings.TrimSuffix(name, ".")
	if name == "broken.test" {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	if mx := z.mx[name]; mx != nil {
		return mx, nil
	}
	return nil, notFound(name)
}

func (z zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if ip := z.ip[strings.TrimSuffix(host, ".")]; ip != "" {
		return []netip.Addr{netip.MustParseAddr(ip)}, nil
	}
	return nil, notFound(host)
}

// net is where the addresses of the zone lead.
type wires map[string]*remote

func (w wires) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, _ := net.SplitHostPort(addr)
	r := w[host]
	if r == nil || port != "25" {
		return nil, fmt.Errorf("no way to %s", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", r.addr)
}

// world is a house with alice in it, a zone and a sender.
type world struct {
	*deliverytest.House
	alice mail.AccountID
	zone  zone
	wires wires
	send  *delivery.Sender
}

func newWorld(t *testing.T) *world {
	h := deliverytest.New(t)
	h.Delivery.CanSend = true
	w := &world{House: h, alice: h.Account("alice@example.test", 0, nil).Account, wires: wires{},
		zone: zone{map[string][]*net.MX{}, map[string]string{}}}
	w.send = &delivery.Sender{Service: h.Delivery, Resolver: w.zone, Dial: w.wires.dial, Schedule: []time.Duration{0}}
	return w
}

// exchanger puts a server behind a domain.
func (w *world) exchanger(domain, ip string, r *remote) {
	w.zone.mx[domain] = append(w.zone.mx[domain], &net.MX{Host: "mx-" + ip + ".", Pref: uint16(10 + len(w.zone.mx[domain]))})
	w.zone.ip["mx-"+ip] = ip
	if r != nil {
		w.wires[ip] = r
	}
}

const outgoing = "From: alice@example.test\r\nTo: dave@remote.test\r\nSubject: hello\r\nMessage-ID: <out@example.test>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\n.dot\r\n"

func (w *world) submit(t *testing.T, set func(*delivery.Envelope), to ...string) {
	t.Helper()
	env := envelope(t, w.House, "alice@example.test", to...)
	env.Hop.Protocol = mail.Submission
	if set != nil {
		set(env)
	}
	if err := w.Delivery.Submit(t.Context(), w.alice, env, strings.NewReader(outgoing)); err != nil {
		t.Fatal(err)
	}
}

// runUntilEmpty runs the sender until the queue is empty.
func runUntilEmpty(t testing.TB, h *deliverytest.House, q *delivery.Sender) {
	t.Helper()
	h.Delivery.Wake = q.Wake
	runQueue(t, h.Store, q)
}

func runQueue(t testing.TB, queue store.Queue, q *delivery.Sender) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	deadline := time.Now().Add(steady.Patience)
	for {
		left, err := queue.Pending(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still queued: %+v", left)
		}
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (w *world) run(t *testing.T) {
	t.Helper()
	runUntilEmpty(t, w.House, w.send)
}

var (
	err451 = &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
	err550 = &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
)

func TestMailGoesToTheExchanger(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.9", nil) // nobody answers there
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, nil, "dave@remote.test", "erin@remote.test")
	w.run(t)
	got := r.messages()
	if len(got) != 1 || len(got[0].to) != 2 || got[0].from != "alice@example.test" || r.sessions != 1 {
		t.Fatalf("got %+v in %d sessions, want one message to two in one session", got, r.sessions)
	}
	if !strings.HasPrefix(got[0].body, "Received: from mta.example.org") || !strings.HasSuffix(got[0].body, outgoing) {
		t.Errorf("body %q", got[0].body)
	}
	if n := len(w.Inbox(w.alice)); n != 0 {
		t.Errorf("%d reports, want none", n)
	}
}

func TestTemporaryRefusalIsTriedAgain(t *testing.T) {
	for name, first := range map[string]error{"451": err451, "line dropped": errDrop} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := startRemote(t, nil, first, first)
			w.exchanger("remote.test", "192.0.2.10", r)
			w.submit(t, nil, "dave@remote.test")
			w.run(t)
			if got := r.messages(); len(got) != 1 || r.sessions != 3 {
				t.Errorf("%d messages in %d sessions, want 1 in 3", len(got), r.sessions)
			}
		})
	}
}

func TestPermanentRefusalIsReported(t *testing.T) {
	for _, full := range []bool{false, true} {
		w := newWorld(t)
		r := startRemote(t, nil)
		r.rcpt["dave@remote.test"] = err550
		w.exchanger("remote.test", "192.0.2.10", r)
		w.submit(t, func(e *delivery.Envelope) {
			e.ID = "env+1"
			e.Recipients[0].Original = "rfc822;d@old.test"
			if full {
				e.Return = delivery.ReturnFull
			}
		}, "dave@remote.test", "erin@remote.test")
		w.run(t)
		if got := r.messages(); len(got) != 1 || len(got[0].to) != 1 {
			t.Errorf("the other recipient got %+v", got)
		}
		reports := w.Inbox(w.alice)
		if len(reports) != 1 {
			t.Fatalf("%d reports, want 1", len(reports))
		}
		for _, want := range []string{"Return-Path: <>\r\n", "report-type=delivery-status", "Original-Envelope-Id: env+1\r\n", "Original-Recipient: rfc822;d@old.test\r\n",
			"Final-Recipient: rfc822; dave@remote.test\r\n", "Action: failed\r\n", "Status: 5.1.1\r\n", "Remote-MTA: dns; mx-192.0.2.10\r\n", "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n", "Subject: hello\r\n"} {
			if !strings.Contains(reports[0], want) {
				t.Errorf("lacks %q:\n%s", want, reports[0])
			}
		}
		if strings.Contains(reports[0], ".dot") != full {
			t.Errorf("RET=FULL is %v, and the report\n%s", full, reports[0])
		}
	}
}

// A report is read by programs too, whatever another server says in it.
func TestReportIsWellFormed(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	r.rcpt["dave@remote.test"] = &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: strings.Repeat("no\nsuch\tuser ü ", 100)}
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, func(e *delivery.Envelope) { e.Return = delivery.ReturnFull }, "dave@remote.test")
	w.run(t)
	report := w.Inbox(w.alice)[0]
	for line := range strings.Lines(report) {
		if len(line) > 1000 || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line of %d bytes: %.60q", len(line), line)
		}
	}
	m, err := message.Parse(strings.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range m.Root.Parts {
		parts = append(parts, p.Type+"/"+p.Subtype)
	}
	if !m.Root.Is("multipart", "report") || fmt.Sprint(parts) != "[text/plain message/delivery-status message/rfc822]" {
		t.Fatalf("%s/%s of %v", m.Root.Type, m.Root.Subtype, parts)
	}
	if inner := m.Root.Parts[2].Message; inner == nil || inner.Envelope.Subject != "hello" {
		t.Errorf("it returns %+v", inner)
	}
	if m.Envelope.SentAt.IsZero() || m.ID == "" || m.Envelope.To[0].Mailbox != "alice" || m.Envelope.Subject != "Your message could not be delivered: hello" {
		t.Errorf("its header says %+v", m.Envelope)
	}
}

func TestNothingIsReportedThatNobodyWants(t *testing.T) {
	for name, set := range map[string]func(*delivery.Envelope){
		"null reverse path": func(e *delivery.Envelope) { e.ReversePath = "" },
		"NOTIFY=NEVER":      func(e *delivery.Envelope) { e.Recipients[0].Notify = delivery.NotifyNever },
		"NOTIFY=SUCCESS":    func(e *delivery.Envelope) { e.Recipients[0].Notify = delivery.NotifySuccess },
	} {
		w := newWorld(t)
		r := startRemote(t, nil, err550)
		w.exchanger("remote.test", "192.0.2.10", r)
		w.submit(t, set, "dave@remote.test")
		w.run(t)
		if got := w.Inbox(w.alice); len(got) != 0 {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestSuccessIsReportedToWhoAsked(t *testing.T) {
	success := func(e *delivery.Envelope) {
		e.Return = delivery.ReturnHeaders
		for i := range e.Recipients {
			e.Recipients[i].Notify = delivery.NotifySuccess | delivery.NotifyFailure
		}
	}
	w := newWorld(t)
	w.exchanger("remote.test", "192.0.2.10", startRemote(t, nil))
	knows := startRemote(t, func(s *gosmtp.Server) { s.EnableDSN = true })
	w.exchanger("dsn.test", "192.0.2.11", knows)
	w.Account("bob@example.test", 0, nil)
	w.submit(t, success, "dave@remote.test", "erin@dsn.test", "bob@example.test")
	w.run(t)
	var actions []string
	for _, r := range w.Inbox(w.alice) {
		_, rest, _ := strings.Cut(r, "Action: ")
		action, _, _ := strings.Cut(rest, "\r\n")
		actions = append(actions, action)
	}
	if fmt.Sprint(actions) != "[delivered relayed]" {
		t.Errorf("reports %v, want of bob's delivery and of dave's relaying", actions)
	}
	got := knows.messages()
	if len(got) != 1 || got[0].opts.Return != gosmtp.DSNReturnHeaders || len(got[0].rcpt[0].Notify) != 2 {
		t.Errorf("the server that knows DSN heard %+v", got)
	}
}

func TestGivingUpIsReported(t *testing.T) {
	w := newWorld(t)
	w.exchanger("remote.test", "192.0.2.10", nil)
	w.send.GiveUpAfter = time.Nanosecond
	w.submit(t, nil, "dave@remote.test")
	w.run(t)
	if got := w.Inbox(w.alice); len(got) != 1 || !strings.Contains(got[0], "Status: 4.4.7\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestDelayIsReportedOnceToWhoAsked(t *testing.T) {
	w := newWorld(t)
	var refusals []error
	for range 10 {
		refusals = append(refusals, err451)
	}
	r := startRemote(t, nil, refusals...)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, func(e *delivery.Envelope) { e.Recipients[0].Notify = delivery.NotifyDelay }, "dave@remote.test")
	w.run(t)
	if got := w.Inbox(w.alice); len(got) != 1 || !strings.Contains(got[0], "Action: delayed\r\n") || !strings.Contains(got[0], "Will-Retry-Until: ") {
		t.Errorf("got %q", got)
	}
}

func TestDomainsThatTakeNoMail(t *testing.T) {
	w := newWorld(t)
	w.zone.mx["null.test"] = []*net.MX{{Host: "."}}
	w.zone.mx["circle.test"] = []*net.MX{{Host: "mx.example.test.", Pref: 10}, {Host: "other.test.", Pref: 20}}
	w.submit(t, nil, "a@null.test", "a@nowhere.test", "a@circle.test")
	w.run(t)
	all := strings.Join(w.Inbox(w.alice), "")
	for _, want := range []string{"Status: 5.1.10\r\n", "Status: 5.1.2\r\n", "Status: 5.4.6\r\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("lacks %q in\n%s", want, all)
		}
	}
}

func TestDomainWithoutExchangerIsItsOwn(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.zone.ip["bare.test"] = "192.0.2.20"
	w.wires["192.0.2.20"] = r
	w.wires["192.0.2.21"] = r
	w.submit(t, nil, "a@bare.test", "a@[192.0.2.21]")
	w.run(t)
	if got := r.messages(); len(got) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestDNSFailureIsTemporary(t *testing.T) {
	w := newWorld(t)
	w.send.Schedule = []time.Duration{time.Hour}
	w.submit(t, nil, "a@broken.test")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.send.Run(ctx) }()
	for deadline := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		left, _ := w.Store.Pending(ctx, 1)
		if len(left) == 1 && left[0].Attempts == 1 && strings.Contains(left[0].LastError, "misbehaving") && time.Until(left[0].Next) > 50*time.Minute {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("queue: %+v", left)
		}
	}
	cancel()
	<-done
}

func testTLS(t *testing.T) (*tls.Config, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay.test"}, DNSNames: []string{"relay.test"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestExchangerIsSpokenToOverTLSIfItCan(t *testing.T) {
	w := newWorld(t)
	config, _ := testTLS(t)
	r := startRemote(t, func(s *gosmtp.Server) { s.TLSConfig = config })
	w.exchanger("remote.test", "192.0.2.10", r)
	bad := startRemote(t, func(s *gosmtp.Server) { s.TLSConfig = &tls.Config{} }) // offers what it can't do
	w.exchanger("bad.test", "192.0.2.11", bad)
	w.submit(t, nil, "dave@remote.test", "dave@bad.test")
	w.run(t)
	if got := r.messages(); len(got) != 1 || !got[0].tls {
		t.Errorf("got %+v, want TLS", got)
	}
	if got := bad.messages(); len(got) != 1 || got[0].tls {
		t.Errorf("got %+v, want none", got)
	}
}

func TestRelay(t *testing.T) {
	config, pool := testTLS(t)
	for _, way := range []delivery.RelayTLS{delivery.RelayStartTLS, delivery.RelayImplicit, delivery.RelayPlain} {
		t.Run(string(way), func(t *testing.T) {
			w := newWorld(t)
			r := startRemote(t, func(s *gosmtp.Server) {
				if way != delivery.RelayPlain {
					s.TLSConfig = config
				}
				if way == delivery.RelayImplicit {
					s.Network = "tls"
				}
				s.AllowInsecureAuth = true
			})
			if way == delivery.RelayImplicit {
				r.mech = "LOGIN"
			}
			w.send.Relay = &delivery.Relay{Host: "relay.test", Port: 587, TLS: way}
			w.send.TLS = &tls.Config{RootCAs: pool}
			w.send.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr != "relay.test:587" {
					t.Errorf("dialed %s", addr)
				}
				var d net.Dialer
				return d.DialContext(ctx, network, r.addr)
			}
			if way != delivery.RelayPlain {
				w.send.Relay.Login, w.send.Relay.Secret = "us", "secret"
			}
			w.submit(t, nil, "dave@remote.test", "erin@elsewhere.test")
			w.run(t)
			got := r.messages()
			if len(got) != 1 || len(got[0].to) != 2 || got[0].tls != (way != delivery.RelayPlain) || r.login != w.send.Relay.Login {
				t.Errorf("got %+v, login %q", got, r.login)
			}
		})
	}
}

// A relay that refuses our password, or shows none of its certificates we know,
// is the operator's trouble: the mail waits.
func TestRelayTroubleIsNotTheSenders(t *testing.T) {
	config, pool := testTLS(t)
	for name, set := range map[string]func(*delivery.Sender){
		"wrong password":      func(q *delivery.Sender) { q.Relay.Secret = "wrong" },
		"unknown certificate": func(q *delivery.Sender) { q.TLS = nil },
		"no TLS to sign in":   func(q *delivery.Sender) { q.Relay.TLS = delivery.RelayPlain },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := startRemote(t, func(s *gosmtp.Server) { s.TLSConfig = config })
			w.send.Relay = &delivery.Relay{Host: "relay.test", Port: 587, TLS: delivery.RelayStartTLS, Login: "us", Secret: "secret"}
			w.send.TLS = &tls.Config{RootCAs: pool}
			w.send.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, r.addr)
			}
			w.send.Schedule = []time.Duration{time.Hour}
			set(w.send)
			w.submit(t, nil, "dave@remote.test")
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.send.Run(ctx) }()
			for deadline := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
				left, _ := w.Store.Pending(ctx, 1)
				if len(left) == 1 && left[0].Attempts == 1 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("queue: %+v", left)
				}
			}
			cancel()
			<-done
			if len(r.messages()) != 0 || len(w.Inbox(w.alice)) != 0 {
				t.Error("something was sent or reported")
			}
		})
	}
}

// What a crash leaves is a leased row: after the lease it is sent, and handing
// the message in again meanwhile added nothing.
func TestCrashSendsAgainAndNothingTwice(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	w.submit(t, nil, "dave@remote.test", "alice@example.test")
	if _, err := w.Store.Due(t.Context(), "gone", time.Now(), time.Now().Add(50*time.Millisecond), 10); err != nil {
		t.Fatal(err)
	}
	w.submit(t, nil, "dave@remote.test", "alice@example.test") // its 250 was not heard
	w.run(t)
	if got := r.messages(); len(got) != 1 {
		t.Errorf("%d messages sent, want 1", len(got))
	}
	if got := w.Inbox(w.alice); len(got) != 1 {
		t.Errorf("%d messages here, want 1", len(got))
	}
}

func TestAddressBeyondASCIINeedsAServerThatKnows(t *testing.T) {
	w := newWorld(t)
	plain := startRemote(t, nil)
	knows := startRemote(t, func(s *gosmtp.Server) { s.EnableSMTPUTF8 = true })
	w.exchanger("remote.test", "192.0.2.10", plain)
	w.exchanger("xn--bcher-kva.test", "192.0.2.11", knows)
	w.submit(t, nil, "käthe@remote.test", "käthe@bücher.test")
	w.submit(t, nil, "dave@bücher.test")
	w.run(t)
	if got := plain.messages(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	if got := knows.messages(); len(got) != 1 || len(got[0].to) != 2 || !got[0].opts.UTF8 {
		t.Errorf("got %+v", got)
	}
	reports := w.Inbox(w.alice)
	if len(reports) != 1 || !strings.Contains(reports[0], "Status: 5.6.7\r\n") || !strings.Contains(reports[0], "Final-Recipient: utf-8; käthe@remote.test\r\n") || !strings.Contains(reports[0], "message/global-delivery-status") {
		t.Errorf("got %q", reports)
	}
}

func TestReportGoesElsewhereByTheQueue(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	bob := w.Account("bob@example.test", 0, nil)
	w.Delivery.Store = lameStore{w.Store, map[mail.AccountID]error{bob.Account: mail.Errorf(mail.OverQuota, "the account is full")}}
	env := envelope(t, w.House, "carol@remote.test", "alice@example.test", "bob@example.test")
	env.Hop.Protocol = mail.SMTP
	if err := w.Delivery.Accept(t.Context(), env, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	got := r.messages()
	if len(got) != 1 || got[0].from != "" || got[0].to[0] != "carol@remote.test" || !strings.Contains(got[0].body, "Action: failed\r\n") {
		t.Errorf("got %+v", got)
	}
}

// nameServer answers from records on loopback, and returns a resolver that asks
// it: the real one of package net.
func nameServer(t *testing.T, records ...string) *net.Resolver {
	byName := map[string][]dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		byName[rr.Header().Name] = append(byName[rr.Header().Name], rr)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		name := strings.ToLower(q.Question[0].Name)
		known, ok := byName[name]
		switch {
		case name == "broken.test.":
			m.Rcode = dns.RcodeServerFailure
		case !ok:
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range known {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		w.WriteMsg(m)
	})}
	started := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(started) }
	done := make(chan error, 1)
	go func() { done <- srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		srv.Shutdown()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestRealNames(t *testing.T) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.wires["192.0.2.10"], w.wires["192.0.2.20"], w.wires["2001:db8::6"] = r, r, r
	w.send.Resolver = nameServer(t, "remote.test. 60 IN MX 20 b.remote.test.", "remote.test. 60 IN MX 10 a.remote.test.",
		"b.remote.test. 60 IN A 192.0.2.10", "bare.test. 60 IN A 192.0.2.20", "six.test. 60 IN MX 1 six6.test.", "six6.test. 60 IN AAAA 2001:db8::6",
		"null.test. 60 IN MX 0 .", "text.test. 60 IN TXT nothing")
	w.submit(t, nil, "a@remote.test", "a@bare.test", "a@six.test", "a@null.test", "a@nowhere.test", "a@text.test")
	w.run(t)
	got := map[string]bool{}
	for _, m := range r.messages() {
		got[m.to[0]] = true
	}
	if len(got) != 3 || !got["a@remote.test"] || !got["a@bare.test"] || !got["a@six.test"] {
		t.Errorf("sent to %v", got)
	}
	all := strings.Join(w.Inbox(w.alice), "")
	for recipient, status := range map[string]string{"a@null.test": "5.1.10", "a@nowhere.test": "5.1.2", "a@text.test": "5.1.2"} {
		if !strings.Contains(all, "Final-Recipient: rfc822; "+recipient+"\r\nAction: failed\r\nStatus: "+status+"\r\n") {
			t.Errorf("%s: no report with %s in\n%s", recipient, status, all)
		}
	}
}

// A server that never answers holds nobody up who wants to stop; its mail is due
// for the next start.
func TestStopCutsAttemptsShort(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.exchanger("remote.test", "192.0.2.10", &remote{addr: l.Addr().String()})
	w.submit(t, nil, "dave@remote.test")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.send.Run(ctx) }()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	left, err := w.Store.Pending(t.Context(), 10)
	if err != nil || len(left) != 1 || left[0].Next.After(time.Now()) {
		t.Errorf("queue: %+v, %v, want it due", left, err)
	}
}

// What is queued for people here is delivered, and reported, also by a server
// that can send nothing; what is for elsewhere waits.
func TestWithoutAWayOut(t *testing.T) {
	w := newWorld(t)
	w.submit(t, nil, "dave@remote.test")
	w.Delivery.CanSend = false
	w.send.Schedule = []time.Duration{time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.send.Run(ctx) }()
	for deadline := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		left, _ := w.Store.Pending(ctx, 10)
		if len(left) == 1 && left[0].Attempts == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("queue: %+v", left)
		}
	}
	cancel()
	<-done
}
