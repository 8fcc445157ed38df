package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const smtpPort = 25

// noAnswer is the status of a host that can't be connected to (RFC 3463 §3.5).
const noAnswer = "4.4.1"

// Bounds on one attempt to reach a domain.
const (
	maxExchangers = 5
	maxAddresses  = 2 // of one exchanger
)

// send brings the message of a group to where it goes, and notes what became of
// each recipient.
func (q *Sender) send(ctx context.Context, group []*parcel) {
	var err error
	if q.Relay != nil {
		err = q.sendByRelay(ctx, group)
	} else {
		err = q.sendToExchangers(ctx, group)
	}
	for _, p := range group {
		if err != nil && p.result.status == "" {
			p.result = resultOf(err)
		}
		if p.result.status == "" {
			panic("delivery: a recipient was forgotten") // it would be taken for served
		}
	}
}

// A routeError is a failure before anybody was asked to take the message.
type routeError struct {
	status    string
	permanent bool
	err       error
}

func (e *routeError) Error() string { return e.err.Error() }
func (e *routeError) Unwrap() error { return e.err }

func (q *Sender) resolver() Resolver {
	if q.Resolver == nil {
		return net.DefaultResolver
	}
	return q.Resolver
}

func (q *Sender) dial(ctx context.Context, host string, port int) (net.Conn, error) {
	d := q.Dial
	if d == nil {
		d = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	return d(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

// sendByRelay hands the group to the relay, over TLS that is verified if there is
// to be any.
func (q *Sender) sendByRelay(ctx context.Context, group []*parcel) error {
	nc, err := q.dial(ctx, q.Relay.Host, q.Relay.Port)
	if err != nil {
		return &routeError{noAnswer, false, err}
	}
	config := q.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = q.Relay.Host
	}
	if q.Relay.TLS == RelayImplicit {
		nc = tls.Client(nc, config)
	}
	c, err := greet(ctx, nc, q.Relay.Host, q.Service.Hostname)
	if err != nil {
		return err
	}
	defer c.close()
	if q.Relay.TLS == RelayStartTLS {
		if err := c.startTLS(ctx, config, q.Service.Hostname); err != nil {
			return err
		}
	}
	if q.Relay.Login != "" {
		if err := c.auth(q.Relay); err != nil {
			return err
		}
	}
	_, err = q.transact(ctx, c, group)
	return err
}

// sendToExchangers tries the domain's mail exchangers in turn (RFC 5321 §5.1).
// One that can't be reached, or has no time, is passed over for the next, as long
// as none has taken a recipient.
func (q *Sender) sendToExchangers(ctx context.Context, group []*parcel) error {
	hosts, err := q.exchangers(ctx, group[0].domain)
	if err != nil {
		return err
	}
	var last error
	for _, host := range hosts {
		addrs, err := q.addresses(ctx, host)
		if err != nil {
			last = hopeful(last, err)
			continue
		}
		for _, a := range addrs {
			c, err := q.connect(ctx, host, a)
			if err != nil {
				last = hopeful(last, err)
				continue
			}
			taken, err := q.transact(ctx, c, group)
			c.close()
			if taken || err != nil && resultOf(err).permanent {
				return err
			}
			if err != nil {
				last = hopeful(last, err)
			}
			if group = openTo(group); len(group) == 0 {
				return nil
			}
		}
	}
	return last
}

// openTo are those of a group whom another exchanger may take.
func openTo(group []*parcel) []*parcel {
	var open []*parcel
	for _, p := range group {
		if !p.result.permanent {
			open = append(open, p)
		}
	}
	return open
}

// hopeful is the one that may pass, else the later: one exchanger that is gone
// for good does not condemn another that is down.
func hopeful(before, later error) error {
	if before != nil && !resultOf(before).permanent {
		return before
	}
	return later
}

// exchangers returns the hosts that take the domain's mail, best first: those its
// MX records name, else the domain itself. A null MX (RFC 7505) takes none.
func (q *Sender) exchangers(ctx context.Context, domain string) ([]string, error) {
	if domain == "" {
		return nil, &routeError{"5.1.3", true, errors.New("not an address")}
	}
	if strings.HasPrefix(domain, "[") {
		return []string{strings.Trim(domain, "[]")}, nil
	}
	records, err := q.resolver().LookupMX(ctx, domain+".")
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return []string{domain}, nil
	case err != nil && len(records) == 0:
		return nil, &routeError{"4.4.3", false, err}
	case len(records) == 1 && records[0].Host == ".":
		return nil, &routeError{"5.1.10", true, fmt.Errorf("%s takes no mail", domain)}
	case len(records) == 0:
		return []string{domain}, nil
	}
	var hosts []string
	for _, mx := range records {
		host := strings.TrimSuffix(mx.Host, ".")
		if strings.EqualFold(host, q.Service.Hostname) {
			break // this one and all behind it are no better than we are
		}
		hosts = append(hosts, host)
	}
	if len(hosts) == 0 {
		return nil, &routeError{"5.4.6", true, fmt.Errorf("mail for %s comes back to this server, which does not know the domain", domain)}
	}
	return hosts[:min(len(hosts), maxExchangers)], nil
}

// addresses resolves an exchanger, and leaves out where mail may not go.
func (q *Sender) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := q.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	may := q.MayConnect
	if may == nil {
		may = Elsewhere
	}
	addrs := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return !may(a.Unmap()) })
	if len(addrs) == 0 {
		return nil, &routeError{"5.4.6", true, fmt.Errorf("%s is no way out of this server: %v", host, all[0])}
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// Elsewhere reports whether an address can be that of another machine. What an
// address literal or somebody's MX record says is the world's to choose: it must
// not bring us to speak with ourselves, or with a server beside us that trusts us.
func Elsewhere(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || !a.IsValid() {
		return false
	}
	ours, err := net.InterfaceAddrs() // a sandbox may keep them from us
	return err != nil || !slices.ContainsFunc(ours, func(our net.Addr) bool {
		p, err := netip.ParsePrefix(our.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

func (q *Sender) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := q.resolver().LookupNetIP(ctx, "ip", host+".")
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, err == nil && len(addrs) == 0:
		return nil, &routeError{"5.1.2", true, fmt.Errorf("no such host: %s", host)}
	case err != nil:
		return nil, &routeError{"4.4.3", false, err}
	}
	return addrs, nil
}

// connect greets an exchanger, with TLS if it offers that and it works: whom it
// protects from listening it can't protect from worse, so a certificate proves
// nothing here (RFC 7435).
func (q *Sender) connect(ctx context.Context, host string, a netip.Addr) (*client, error) {
	c, err := q.connectPlain(ctx, host, a)
	if err != nil || !c.offers("STARTTLS") {
		return c, err
	}
	err = c.startTLS(ctx, &tls.Config{ServerName: host, InsecureSkipVerify: true}, q.Service.Hostname)
	if err == nil {
		return c, nil
	}
	c.close()
	return q.connectPlain(ctx, host, a)
}

func (q *Sender) connectPlain(ctx context.Context, host string, a netip.Addr) (*client, error) {
	nc, err := q.dial(ctx, a.Unmap().String(), smtpPort)
	if err != nil {
		return nil, &routeError{noAnswer, false, err}
	}
	return greet(ctx, nc, host, q.Service.Hostname)
}
