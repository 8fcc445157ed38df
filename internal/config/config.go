// Package config is what an operator can set: one file, one struct, every
// default in one function. Only cmd/ reads it; the other packages get fields.
package config

import (
	"net/url"
	"path/filepath"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/device"
)

// Config is everything that can be set, and the shape of the file.
type Config struct {
	Data     string `toml:"data" comment:"Where everything is kept. One server at a time uses it."`
	Hostname string `toml:"hostname" comment:"The name this server gives itself: in greetings, Received lines and certificates. Empty is the machine's name."`

	PublicURL string `toml:"public_url" comment:"By which people and programs reach this server's HTTPS, also through a proxy that ends TLS, such as \"https://mail.example.org\". Then IMAP tells programs where JMAP is spoken. Empty is whatever they ask by."`

	Postmaster string `toml:"postmaster" comment:"Who gets mail for postmaster where nobody has that address: an address of this server. Empty is the oldest account in force."`

	Listen Listen `toml:"listen" comment:"Where each protocol listens: an address, a list of addresses, or [] for nowhere."`
	TLS    TLS    `toml:"tls" comment:"The certificate: files, or an authority's by ACME. Without one, a self-signed certificate is made in the data directory at the first start."`
	Auth   Auth   `toml:"auth"`

	ActiveSync ActiveSync `toml:"activesync" comment:"Exchange ActiveSync, which phones speak. Microsoft publishes how it works and grants no licence for patents it may hold: operators decide for themselves."`

	Outgoing Outgoing `toml:"outgoing" comment:"Mail to other servers."`
	Accounts Accounts `toml:"accounts"`
	History  History  `toml:"history"`
	Backup   Backup   `toml:"backup" comment:"Copies of everything, elsewhere (docs/backup.md)."`
	Cluster  Cluster  `toml:"cluster" comment:"Several servers that are one (docs/scale.md). With nothing set, everything lies in the data directory, and one server at a time uses it."`
	Guard    Guard    `toml:"guard" comment:"What happens when a device deletes a large part of a mailbox at once."`

	Scrub Scrub `toml:"scrub" comment:"The slow pass in which the server looks, while it runs, at everything that is stored, and mends what it can."`

	Policy map[string]Policy `toml:"policy" comment:"What devices have to do and may do: one table for each policy. Accounts choose one (lockstep device policy); those that chose none are under policy.default."`

	Limits Limits `toml:"limits" comment:"Bounds on what clients can make the server do."`
	Log    Log    `toml:"log"`
}

// Listen says where each protocol listens.
type Listen struct {
	IMAP        Addresses `toml:"imap" comment:"IMAP with STARTTLS (port 143)."`
	IMAPS       Addresses `toml:"imaps" comment:"IMAP under TLS (port 993)."`
	POP3        Addresses `toml:"pop3" comment:"POP3 with STLS (port 110), for programs that download mail. [] if nobody has one."`
	POP3S       Addresses `toml:"pop3s" comment:"POP3 under TLS (port 995)."`
	LMTP        Addresses `toml:"lmtp" comment:"LMTP, for a mail transfer agent on this machine. It asks nobody to sign in: keep it on loopback."`
	SMTP        Addresses `toml:"smtp" comment:"SMTP from other servers (port 25)."`
	Submission  Addresses `toml:"submission" comment:"Sending by people, with STARTTLS (port 587)."`
	Submissions Addresses `toml:"submissions" comment:"Sending by people, under TLS (port 465)."`
	HTTP        Addresses `toml:"http" comment:"The web client, JMAP and ActiveSync where auth.plaintext lets passwords come without TLS; health and metrics, which tell numbers, not names: keep those off the internet."`
	HTTPS       Addresses `toml:"https" comment:"The same under TLS."`

	Proxies Networks `toml:"proxies" comment:"Balancers and proxies in front of this server, by address or network, such as \"10.0.0.0/8\". What they say of where a client comes from is believed, by the PROXY protocol (version 1 or 2) or, on http and https, by Forwarded and X-Forwarded-For; and nobody else is. On other protocols than http and https they must say it (docs/operations.md: Behind a balancer or a proxy)."`
}

// TLS names the certificate.
type TLS struct {
	Cert string `toml:"cert" comment:"PEM file of the certificate and its chain."`
	Key  string `toml:"key" comment:"PEM file of its key."`

	ACME          bool   `toml:"acme" comment:"Whether certificates are got from an authority, and renewed, by the server itself. The authority comes to port 80 (listen.http) or 443 (listen.https) of each name. All nodes of a cluster share them."`
	ACMETerms     bool   `toml:"acme_terms" comment:"Say true if you agree to the authority's terms of service: without that none is asked."`
	ACMENames     Words  `toml:"acme_names" comment:"For which names besides hostname."`
	ACMEDomains   bool   `toml:"acme_domains" comment:"Whether also for mail.DOMAIN and autodiscover.DOMAIN of every domain that has accounts here. All of them have to lead here."`
	ACMEEmail     string `toml:"acme_email" comment:"Where the authority may write to; may be empty."`
	ACMEDirectory string `toml:"acme_directory" comment:"The authority's directory."`
	ACMERoots     string `toml:"acme_roots" comment:"PEM file by which the directory's own certificate is known, for an authority of your own. Empty is as this machine has it."`
}

// Plaintext says where a password may come without TLS.
type Plaintext string

// Where a password may come without TLS.
const (
	PlaintextLoopback Plaintext = "loopback"
	PlaintextNever    Plaintext = "never"
	PlaintextAlways   Plaintext = "always"
)

// Auth is about signing in.
type Auth struct {
	Plaintext Plaintext `toml:"plaintext" comment:"From where passwords are taken without TLS, for reading and for sending: \"loopback\" is this machine, \"never\" nowhere, \"always\" everywhere."`

	Unauthenticate bool `toml:"unauthenticate" comment:"Whether an IMAP client may sign out and another in on the same connection (RFC 8437). false where a proxy judges who signs in and sees only the first time."`
}

// ActiveSync is about what phones speak.
type ActiveSync struct {
	Enabled     bool `toml:"enabled" comment:"Whether it is served, at /Microsoft-Server-ActiveSync on the addresses of https, and of http where auth.plaintext lets passwords come without TLS."`
	QuietRepeat bool `toml:"quiet_repeat" comment:"Whether a message that a device sends a second time, because it did not hear that it was sent, is answered as the success that it was, and not with status 118, which says the same to devices that know it. Either way it is sent once. true if a device keeps in its Outbox what was sent long ago."`
}

// Via says how mail leaves.
type Via string

// How mail leaves.
const (
	ViaNone  Via = "none"
	ViaRelay Via = "relay"
	ViaMX    Via = "mx"
)

// Outgoing is how mail leaves.
type Outgoing struct {
	Via       Via      `toml:"via" comment:"\"none\": mail to elsewhere is refused at once. \"relay\": all of it goes to the relay. \"mx\": straight to each domain's servers."`
	Relay     string   `toml:"relay" comment:"The relay, host:port."`
	RelayTLS  RelayTLS `toml:"relay_tls" comment:"\"starttls\", \"tls\" or \"none\"."`
	RelayUser string   `toml:"relay_user" comment:"Sign in to the relay as; empty is not at all."`
	// The password lies in a file of its own, so that config print and backups of
	// the configuration do not spread it.
	RelayPasswordFile string   `toml:"relay_password_file" comment:"File with the relay's password, one line."`
	GiveUpAfter       Duration `toml:"give_up_after" comment:"How long delivery is tried before the sender is told it failed."`
}

// RelayTLS is how the connection to the relay is protected.
type RelayTLS string

// How the connection to the relay is protected.
const (
	RelayStartTLS RelayTLS = "starttls"
	RelayImplicit RelayTLS = "tls"
	RelayPlain    RelayTLS = "none"
)

// Accounts is about people and their accounts.
type Accounts struct {
	Directory bool `toml:"directory" comment:"Whether people who share a domain find each other's names and addresses, in programs that have a directory."`

	Keep Duration `toml:"keep" comment:"For how long a removed account can be brought back, with all its mail; \"0s\" removes it for good at once."`

	Quota Size `toml:"quota" comment:"How much a new account may keep; \"0B\" is without bound."`
}

// History is about the journal.
type History struct {
	Horizon Duration `toml:"horizon" comment:"How far back changes can be looked at and undone, and devices catch up exactly."`
}

// Backup is about copies of everything.
type Backup struct {
	To        string   `toml:"to" comment:"Where lockstep backup keeps them if it is not told: a directory, best on another disk, or s3://BUCKET/PREFIX."`
	Follow    bool     `toml:"follow" comment:"Whether the server ships what changes to backup.to each second, for as long as it runs: a disaster takes seconds, and a standby can follow. Old points are removed then as well."`
	Recipient string   `toml:"recipient" comment:"Public sides of age keys (age1…), separated by spaces: whoever has one of the secret sides opens the backup. Empty: a recovery code is made and shown when the first backup is made."`
	Every     Duration `toml:"every" comment:"How often the server makes a backup by itself, and removes old points afterwards, if backup.to is set. \"0s\": only when lockstep backup is run."`
	Drill     Duration `toml:"drill" comment:"How often the server tries by itself whether the newest point would come back. \"0s\": only when lockstep backup drill is run."`
	Scratch   string   `toml:"scratch" comment:"Where a drill brings the database back to, and removes it again: a directory with room for it. Empty is the data directory."`
	Keep      Duration `toml:"keep" comment:"How far back lockstep backup prune keeps points: all of the last hour, and ever fewer of the time before."`
	S3        S3       `toml:"s3" comment:"How buckets are reached (docs/operations.md: Backing up to S3)."`
}

// GuardMode is what the guard does.
type GuardMode string

// What the guard does.
const (
	GuardKeep GuardMode = "keep"
	GuardHold GuardMode = "hold"
	GuardOff  GuardMode = "off"
)

// Guard is about devices that delete a large part of a mailbox at once.
type Guard struct {
	Share   int       `toml:"share" comment:"More than so many hundredths of a mailbox …"`
	Minimum int       `toml:"minimum" comment:"… and more than so many messages …"`
	Window  Duration  `toml:"window" comment:"… by one device within this time are a flood. Trash and Junk do not count."`
	Mode    GuardMode `toml:"mode" comment:"Of a flood: \"keep\" lets it happen, keeps what was deleted until somebody decides, and tells the account. \"hold\" refuses it. \"off\" does nothing. An account can choose for itself."`
}

// Scrub is about the slow pass over everything that is stored.
type Scrub struct {
	Every Duration `toml:"every" comment:"How often everything is gone through once. \"0s\": only when lockstep scrub now asks for it."`
	Rate  Size     `toml:"rate" comment:"How many bytes are read in a second, at most."`
}

// Limits are bounds on what clients can make the server do.
type Limits struct {
	Message               Size     `toml:"message" comment:"The largest message taken, by whatever protocol."`
	Connections           int      `toml:"connections" comment:"At once, for each of imap (imaps included), pop3 (pop3s included), http (https included), lmtp, smtp, submission and submissions. A connection that is one too many is told so and closed."`
	ConnectionsPerAddress int      `toml:"connections_per_address" comment:"The same, from one address."`
	Recipients            int      `toml:"recipients" comment:"Of one message."`
	SentPerHour           int      `toml:"sent_per_hour" comment:"To how many recipients an account may send in an hour, by whatever protocol and device, one by one: what a stolen password can send. At least as many as limits.recipients, so that each message can be sent. 0 for no bound."`
	LoginTime             Duration `toml:"login_time" comment:"How long a connection may take to sign in."`
	IdleTime              Duration `toml:"idle_time" comment:"How long a signed-in connection may be silent."`
	StopTime              Duration `toml:"stop_time" comment:"How long a stopping server waits for its sessions."`
	IndexMemory           Size     `toml:"index_memory" comment:"For the in-memory indexes of mailboxes in use; a quarter of it at most for what was said of their messages."`
}

// Log is about the log, which goes to standard error.
type Log struct {
	Level  string `toml:"level" comment:"\"debug\", \"info\", \"warn\" or \"error\"."`
	Format string `toml:"format" comment:"\"text\" or \"json\"."`
}

// Default returns what is in force where nothing else is said.
func Default() Config {
	return Config{
		Data: "./lockstep-data",
		Listen: Listen{
			IMAP:        Addresses{"127.0.0.1:1143"},
			IMAPS:       Addresses{"127.0.0.1:1993"},
			POP3:        Addresses{"127.0.0.1:1110"},
			POP3S:       Addresses{"127.0.0.1:1995"},
			LMTP:        Addresses{"127.0.0.1:1024"},
			SMTP:        Addresses{"127.0.0.1:1025"},
			Submission:  Addresses{"127.0.0.1:1587"},
			Submissions: Addresses{"127.0.0.1:1465"},
			HTTP:        Addresses{"127.0.0.1:8080"},
			HTTPS:       Addresses{"127.0.0.1:8443"},
			Proxies:     Networks{},
		},
		TLS:        TLS{ACMENames: Words{}, ACMEDirectory: "https://acme-v02.api.letsencrypt.org/directory"},
		Auth:       Auth{Plaintext: PlaintextLoopback, Unauthenticate: true},
		ActiveSync: ActiveSync{Enabled: true},
		Outgoing:   Outgoing{Via: ViaNone, RelayTLS: RelayStartTLS, GiveUpAfter: Duration(5 * 24 * time.Hour)},
		Accounts:   Accounts{Keep: Duration(30 * 24 * time.Hour)},
		History:    History{Horizon: Duration(30 * 24 * time.Hour)},
		Backup:     Backup{Keep: Duration(backup.DefaultKeep), Every: Duration(24 * time.Hour), Drill: Duration(7 * 24 * time.Hour), S3: S3{PathStyle: true}},
		Cluster:    Cluster{Cache: 10 << 30, DrainNotice: Duration(4 * time.Second), DrainTime: Duration(15 * time.Second)},
		Guard:      Guard{Share: 50, Minimum: 100, Window: Duration(time.Hour), Mode: GuardKeep},
		Scrub:      Scrub{Every: Duration(14 * 24 * time.Hour), Rate: 8 << 20},
		Policy:     map[string]Policy{device.Default: defaultPolicy()},
		Limits: Limits{
			Message:               50 << 20,
			Connections:           20_000,
			ConnectionsPerAddress: 200,
			Recipients:            1000,
			SentPerHour:           2000,
			LoginTime:             Duration(time.Minute),
			IdleTime:              Duration(30 * time.Minute),
			StopTime:              Duration(10 * time.Second),
			IndexMemory:           256 << 20,
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// Public is the public URL; nil if none is set.
func (c *Config) Public() *url.URL {
	u, err := url.Parse(c.PublicURL)
	if err != nil || c.PublicURL == "" {
		return nil // the configuration was checked
	}
	return u
}

// DefaultPath is where the file is looked for when nobody says.
const DefaultPath = "/etc/lockstep/lockstep.toml"

// PathVariable is the environment variable that names the file.
const PathVariable = "LOCKSTEP_CONFIG"

// Socket is the path of the socket by which the command line reaches a running
// server.
func (c *Config) Socket() string { return filepath.Join(c.Data, "admin.sock") }

// Cluster says where what several nodes share is kept.
type Cluster struct {
	Database     string   `toml:"database" comment:"postgres://USER@HOST/DATABASE: accounts and their journals lie in PostgreSQL, and any number of nodes serve them. Empty: in a file of the data directory, for one server."`
	PasswordFile string   `toml:"password_file" comment:"File with the database's password, one line; empty is none, or what the URL says."`
	Lossless     bool     `toml:"lossless" comment:"Whether no standby of the database is ever promoted that lacks what was committed (synchronous replication). Otherwise every account begins a new epoch after a promotion, and outgoing mail is held, as after a restore."`
	Blobs        string   `toml:"blobs" comment:"s3://BUCKET/PREFIX: the mail itself, sealed. Empty: packs in the data directory, which only one node has."`
	Notify       string   `toml:"notify" comment:"nats://USER@HOST:PORT?password_file=FILE or tls://…, by which nodes tell each other of changes (docs/operations.md: Telling other nodes). Empty: through the database."`
	Node         string   `toml:"node" comment:"What operators call this node. Empty is the machine's name."`
	Cache        Size     `toml:"cache" comment:"How much of the disk a node uses at most to keep mail that it fetched from the bucket."`
	DrainNotice  Duration `toml:"drain_notice" comment:"How long a node that is to stop goes on taking connections after it says that it is not ready, so that balancers notice."`
	DrainTime    Duration `toml:"drain_time" comment:"Within which it then sends its sessions away, a few at a time. lockstep cluster drain --over says otherwise."`

	S3 S3 `toml:"s3" comment:"How the bucket of cluster.blobs is reached (docs/operations.md: Mail in a bucket)."`
}
