package natsbus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// DefaultPrefix begins the subjects of a cluster that has no other.
const DefaultPrefix = "lockstep"

// place is where a bus connects to, and as whom.
type place struct {
	servers      []string // without user and query
	user         *url.Userinfo
	prefix       string
	creds        string // file with a JWT and the key that goes with it
	passwordFile string
	ca           string // file with the certificates that servers' are signed by
	cert, key    string // files by which the server knows us
}

// Check returns what is wrong with the URL of a bus.
func Check(servers string) error {
	_, err := parse(servers)
	return err
}

// parse reads URLs of servers, comma between them; who we are and how we connect is
// said with the first.
func parse(servers string) (*place, error) {
	p := &place{prefix: DefaultPrefix}
	for i, s := range strings.Split(servers, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil {
			return nil, errors.New("it is no URL, which looks like nats://user@host:4222")
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return nil, fmt.Errorf("it begins with %q, but a NATS server's begins with nats:// or tls://", u.Scheme)
		}
		if u.Hostname() == "" {
			return nil, errors.New("it names no host: nats://host:4222")
		}
		if strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
			return nil, errors.New("nothing belongs behind the host but ?prefix=…&creds=…&password_file=…&ca=…&cert=…&key=…")
		}
		if i > 0 && (u.RawQuery != "" || u.User != nil) {
			return nil, errors.New("user and options go with the first server, and hold for all")
		}
		if i == 0 {
			p.user = u.User
			if err := p.options(u.Query()); err != nil {
				return nil, err
			}
		}
		u.User, u.RawQuery, u.Path = nil, "", ""
		p.servers = append(p.servers, u.String())
	}
	return p, nil
}

func (p *place) options(q url.Values) error {
	of := map[string]*string{"prefix": &p.prefix, "creds": &p.creds, "password_file": &p.passwordFile, "ca": &p.ca, "cert": &p.cert, "key": &p.key}
	for name, values := range q {
		to := of[name]
		if to == nil {
			return fmt.Errorf("there is no option %q; there are prefix, creds, password_file, ca, cert and key", name)
		}
		if len(values) != 1 || values[0] == "" {
			return fmt.Errorf("option %s has to be said once, and be something", name)
		}
		*to = values[0]
	}
	for word := range strings.SplitSeq(p.prefix, ".") {
		if word == "" || strings.ContainsAny(word, " \t*>") {
			return fmt.Errorf("prefix %q is none: words of letters and digits, dots between them", p.prefix)
		}
	}
	_, hasPassword := p.user.Password()
	switch {
	case (p.cert == "") != (p.key == ""):
		return errors.New("cert and key go together")
	case p.creds != "" && p.user != nil:
		return errors.New("creds says who we are: leave the user out")
	case p.passwordFile != "" && (p.user.Username() == "" || hasPassword):
		return errors.New("password_file goes with a user that has no password: nats://user@host?password_file=…")
	}
	return nil
}

// connectAs are the options that say who we are.
func (p *place) connectAs() (options []nats.Option, err error) {
	name := p.user.Username()
	password, has := p.user.Password()
	if p.passwordFile != "" {
		b, err := os.ReadFile(p.passwordFile)
		if err != nil {
			return nil, err
		}
		password, has = strings.TrimRight(string(b), "\r\n"), true
	}
	switch {
	case p.creds != "":
		if _, err := os.Stat(p.creds); err != nil {
			return nil, err
		}
		options = append(options, nats.UserCredentials(p.creds))
	case has:
		options = append(options, nats.UserInfo(name, password))
	case name != "":
		options = append(options, nats.Token(name))
	}
	if p.ca == "" && p.cert == "" {
		return options, nil
	}
	config, err := p.tls()
	if err != nil {
		return nil, err
	}
	return append(options, nats.Secure(config)), nil
}

func (p *place) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.ca != "" {
		b, err := os.ReadFile(p.ca)
		if err != nil {
			return nil, err
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", p.ca)
		}
	}
	if p.cert != "" {
		pair, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
