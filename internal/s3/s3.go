// Package s3 keeps objects in a bucket: of Amazon S3, or of any server that speaks its
// protocol. Mail is kept so, and backups.
//
// # What is asked of the server
//
// PutObject, GetObject with ranges, HeadObject, DeleteObject, ListObjectsV2 and
// multipart uploads, with path-style or virtual-hosted names, signed by Signature
// Version 4. Nothing newer is needed: no trailing checksums, no conditional writes
// other than those of PutIf and Create.
//
// # Checksums
//
// Each request is signed over the SHA-256 of its body, which the server compares with
// what arrived. The SHA-256 of the whole object is kept beside it as metadata, and
// who reads the object whole compares it again. Of a range only the length is known
// here: what the bytes say is for those to check who sealed them.
//
// # What fails
//
// A request is tried again a bounded number of times, with pauses of random length
// that grow. A connection without a byte in either direction for Stall is cut. A
// download that was cut goes on where it was. An upload of many parts that fails is
// aborted; Sweep aborts what a killed process left.
package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"lockstep/internal/mail"
)

// Config says which bucket, and how it is reached. What is zero has a default.
type Config struct {
	Bucket string
	Prefix string // of all names, without slashes around it; may be empty

	// Settings is the table of the configuration that says so, for what errors tell to
	// do; without one "backup.s3".
	Settings string

	Endpoint    string // URL of a server that is not Amazon's; without one: AWS_ENDPOINT_URL_S3
	Region      string // without one: AWS_REGION, else the shared configuration, else us-east-1
	VirtualHost bool   // the bucket is part of the endpoint's host name, not of the path

	// AccessKey and the file with its secret, one line. Without them: the usual
	// environment variables, else the shared credentials file, else the role of the
	// machine where it runs at Amazon.
	AccessKey     string
	SecretKeyFile string

	PartSize    int64         // objects larger than this are uploaded in parts of it
	Attempts    int           // of one request
	MaxPause    time.Duration // between two attempts
	Stall       time.Duration // a connection silent for so long is cut
	LeftoverAge time.Duration // an upload this old that was not completed never will be
}

// What holds where nothing else is said. A server that does not answer at all is
// given up after Attempts times Stall and the pauses, some five minutes.
const (
	DefaultPartSize    = 64 << 20
	DefaultAttempts    = 7
	DefaultMaxPause    = 20 * time.Second
	DefaultStall       = 30 * time.Second
	DefaultLeftoverAge = time.Hour
	defaultRegion      = "us-east-1"
)

func (c Config) withDefaults() Config {
	c.Settings = cmp.Or(c.Settings, "backup.s3")
	c.PartSize = cmp.Or(c.PartSize, DefaultPartSize)
	c.Attempts = cmp.Or(c.Attempts, DefaultAttempts)
	c.MaxPause = cmp.Or(c.MaxPause, DefaultMaxPause)
	c.Stall = cmp.Or(c.Stall, DefaultStall)
	c.LeftoverAge = cmp.Or(c.LeftoverAge, DefaultLeftoverAge)
	c.Prefix = strings.Trim(c.Prefix, "/")
	return c
}

// Scheme is how the name of a bucket begins.
const Scheme = "s3://"

// bucketName is what Amazon allows; other servers allow little more.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Parse reads s3://bucket/prefix.
func Parse(spec string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(spec, Scheme)
	bucket, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	if !ok || !bucketName.MatchString(bucket) {
		return "", "", mail.Errorf(mail.Invalid, "%q names no bucket: write s3://BUCKET/PREFIX, the bucket in 3 to 63 lower-case letters, digits, dots and hyphens", spec)
	}
	if prefix != "" && !ValidName(prefix) {
		return "", "", mail.Errorf(mail.Invalid, "%q: the prefix may have lower-case words, digits, dots and hyphens, joined by slashes", spec)
	}
	return bucket, prefix, nil
}

// maxName bounds a name, and a prefix (S3 allows 1024 bytes for both).
const maxName = 200

var nameWords = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*$`)

// ValidName tells whether an object may be named so.
func ValidName(name string) bool { return len(name) <= maxName && nameWords.MatchString(name) }

// A Bucket is a bucket, or what is below a prefix in it. Its methods are safe for
// concurrent use. What is not there is fs.ErrNotExist, to errors.Is; what can't be
// reached now is mail.Unavailable.
type Bucket struct {
	cfg    Config
	client *s3.Client
}

// Open makes a bucket. It asks nothing of the server yet.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	cfg, env, err := cfg.withDefaults().fromEnvironment()
	if err != nil {
		return nil, err
	}
	if err := CheckEndpoint(cfg.Endpoint); err != nil {
		return nil, err
	}
	who, err := findCredentials(ctx, &cfg, env)
	if err != nil {
		return nil, err
	}
	options := s3.Options{
		Region:           cmp.Or(cfg.Region, defaultRegion),
		Credentials:      who,
		HTTPClient:       httpClient(cfg.Stall),
		Retryer:          retryer(cfg),
		RetryMaxAttempts: cfg.Attempts,
		AppID:            "lockstep",
		// The checksums are ours: servers of other makers know no newer ones.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if cfg.Endpoint != "" {
		options.BaseEndpoint = aws.String(cfg.Endpoint)
		options.UsePathStyle = !cfg.VirtualHost
	}
	return &Bucket{cfg: cfg, client: s3.New(options)}, nil
}

// CheckEndpoint refuses what is no URL of a server; "" is Amazon's.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if endpoint == "" {
		return nil
	}
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return mail.Errorf(mail.Invalid, "the endpoint is %q, but it must be https and a host, such as https://s3.example.org", endpoint)
	}
	return nil
}

// key is the name of an object in the bucket.
func (t *Bucket) key(name string) string {
	if t.cfg.Prefix == "" {
		return name
	}
	return t.cfg.Prefix + "/" + name
}

func (t *Bucket) checkName(name string) error {
	if !ValidName(name) {
		return mail.Errorf(mail.Invalid, "%q can't name an object", name)
	}
	return nil
}

// String names the bucket.
func (t *Bucket) String() string {
	s := Scheme + t.cfg.Bucket
	if t.cfg.Prefix != "" {
		s += "/" + t.cfg.Prefix
	}
	if t.cfg.Endpoint != "" {
		s += fmt.Sprintf(" at %s", t.cfg.Endpoint)
	}
	return s
}
