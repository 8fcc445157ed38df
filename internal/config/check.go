package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"lockstep/internal/backup"
	"lockstep/internal/notify/natsbus"
	"lockstep/internal/s3"
)

// check refuses what can't work.
func (c *Config) check() error {
	return errors.Join(
		oneOf("auth.plaintext", c.Auth.Plaintext, PlaintextLoopback, PlaintextNever, PlaintextAlways),
		oneOf("outgoing.via", c.Outgoing.Via, ViaNone, ViaRelay, ViaMX),
		oneOf("outgoing.relay_tls", c.Outgoing.RelayTLS, RelayStartTLS, RelayImplicit, RelayPlain),
		oneOf("guard.mode", c.Guard.Mode, GuardKeep, GuardHold, GuardOff),
		oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", c.Log.Format, "text", "json"),
		c.checkPublic(), c.checkPostmaster(), c.checkTLS(), c.checkRelay(), c.checkLimits(), c.checkPolicies(), c.checkBackup(), c.checkBlobs(), c.checkNotify(),
	)
}

func oneOf[T ~string](key string, got T, may ...T) error {
	if slices.Contains(may, got) {
		return nil
	}
	return fmt.Errorf("%s is %q, but it must be one of %q", key, got, may)
}

func (c *Config) checkPostmaster() error {
	local, domain, _ := strings.Cut(c.Postmaster, "@")
	if c.Postmaster != "" && (local == "" || domain == "") {
		return fmt.Errorf("postmaster is %q, but an address looks like alice@example.test", c.Postmaster)
	}
	return nil
}

func (c *Config) checkPublic() error {
	u, err := url.Parse(c.PublicURL)
	if c.PublicURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("public_url is %q, but it must be https and a name, such as https://mail.example.org", c.PublicURL)
	}
	return nil
}

func (c *Config) checkBackup() error {
	if _, err := backup.ParseRecipients(c.Backup.Recipient); err != nil {
		return fmt.Errorf("backup.recipient: %w", err)
	}
	if c.Backup.Follow && c.Backup.To == "" {
		return errors.New("backup.follow: where to? Set backup.to")
	}
	return c.Backup.S3.check("backup.s3")
}

// minCache is what a node needs to keep what it is about to read.
const minCache = 64 << 20

func (c *Config) checkBlobs() error {
	n := c.Cluster
	if n.Blobs == "" {
		return nil
	}
	if _, _, err := s3.Parse(n.Blobs); err != nil {
		return fmt.Errorf("cluster.blobs: %w", err)
	}
	if n.Cache < minCache {
		return fmt.Errorf("cluster.cache is %s, but mail that is fetched from the bucket needs %s at least", n.Cache, Size(minCache))
	}
	if c.Backup.To != "" {
		return errors.New("backup.to is set, but lockstep backup can't copy what lies in the bucket of cluster.blobs: have the bucket keep versions, back up the database by its own means (docs/operations.md: Backing up a server with a bucket), and leave backup.to empty")
	}
	return n.S3.check("cluster.s3")
}

func (c *Config) checkNotify() error {
	n := c.Cluster
	if n.Notify == "" {
		return nil
	}
	if err := natsbus.Check(n.Notify); err != nil {
		return fmt.Errorf("cluster.notify: %w", err)
	}
	if n.Database == "" {
		return errors.New("cluster.notify is how nodes tell each other, but cluster.database is empty, so there is one server only: set both or neither")
	}
	return nil
}

func (c *Config) checkTLS() error {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("tls.cert and tls.key go together: set both, or neither for a self-signed certificate")
	}
	return c.checkACME()
}

func (c *Config) checkACME() error {
	t := c.TLS
	if !t.ACME {
		return nil
	}
	u, err := url.Parse(t.ACMEDirectory)
	switch {
	case t.Cert != "":
		return errors.New("tls.acme and tls.cert: certificates come by one way or the other, set one of them")
	case !t.ACMETerms:
		return errors.New("tls.acme asks the authority of tls.acme_directory: read its terms of service, and set tls.acme_terms = true if you agree")
	case c.Hostname == "":
		return errors.New("tls.acme needs a hostname: the name by which programs reach this server, and which leads here")
	case err != nil || u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("tls.acme_directory is %q, but it must be the https URL of an authority's directory", t.ACMEDirectory)
	case len(c.Listen.HTTP) == 0 && len(c.Listen.HTTPS) == 0:
		return errors.New("tls.acme: the authority comes by HTTP or HTTPS, so that listen.http or listen.https has to be set")
	}
	for _, name := range append(Words{c.Hostname}, t.ACMENames...) {
		if net.ParseIP(name) != nil || !strings.Contains(name, ".") || strings.ContainsAny(name, "/:*@ ") {
			return fmt.Errorf("tls.acme: %q is no name that an authority certifies, such as mail.example.org", name)
		}
	}
	return nil
}

func (c *Config) checkRelay() error {
	o := c.Outgoing
	if o.Via != ViaRelay {
		return nil
	}
	if _, _, err := net.SplitHostPort(o.Relay); err != nil {
		return fmt.Errorf("outgoing.relay is %q, but outgoing.via = \"relay\" needs \"host:port\"", o.Relay)
	}
	if (o.RelayUser == "") != (o.RelayPasswordFile == "") {
		return errors.New("outgoing.relay_user and outgoing.relay_password_file go together")
	}
	if o.RelayUser != "" && o.RelayTLS == RelayPlain {
		return errors.New("outgoing.relay_tls = \"none\" would send the relay's password in clear: use \"starttls\" or \"tls\"")
	}
	return nil
}

func (c *Config) checkLimits() error {
	if c.Data == "" {
		return errors.New("data is empty: name a directory")
	}
	for _, l := range []struct {
		key   string
		value int64
	}{
		{"limits.message", int64(c.Limits.Message)}, {"limits.connections", int64(c.Limits.Connections)},
		{"limits.connections_per_address", int64(c.Limits.ConnectionsPerAddress)}, {"limits.recipients", int64(c.Limits.Recipients)},
		{"limits.login_time", int64(c.Limits.LoginTime)}, {"limits.idle_time", int64(c.Limits.IdleTime)},
		{"limits.stop_time", int64(c.Limits.StopTime)}, {"limits.index_memory", int64(c.Limits.IndexMemory)}, {"history.horizon", int64(c.History.Horizon)}, {"backup.keep", int64(c.Backup.Keep)},
		{"scrub.rate", int64(c.Scrub.Rate)},
		{"guard.share", int64(c.Guard.Share)}, {"guard.minimum", int64(c.Guard.Minimum)}, {"guard.window", int64(c.Guard.Window)},
	} {
		if l.value <= 0 {
			return fmt.Errorf("%s must be more than nothing", l.key)
		}
	}
	if c.Limits.SentPerHour < 0 {
		return errors.New("limits.sent_per_hour must be a number of recipients, or 0 for no bound")
	}
	return nil
}
