package s3_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/backup/s3"
	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/steady"
)

// partSize is the least that S3 takes for a part that is not the last.
const partSize = 5 << 20

// config is how a test reaches the server.
func config(srv *s3test.Server, prefix string) s3.Config {
	return s3.Config{
		Bucket: s3test.Bucket, Prefix: prefix, Endpoint: srv.Endpoint(), Region: s3test.Region,
		AccessKey: s3test.AccessKey, SecretKeyFile: srv.SecretFile,
		PartSize: partSize, Attempts: 4, MaxPause: 20 * time.Millisecond, Stall: steady.Patience,
	}
}

func open(t testing.TB, cfg s3.Config) *s3.Target {
	t.Helper()
	to, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

var (
	_ backup.Target    = (*s3.Target)(nil)
	_ backup.Destroyer = (*s3.Target)(nil)
	_ backup.Swapper   = (*s3.Target)(nil)
)

// apart opens targets with prefixes of their own.
func apart(srv *s3test.Server) func(t *testing.T) backup.Target {
	n := 0
	return func(t *testing.T) backup.Target {
		n++
		return open(t, config(srv, fmt.Sprintf("mail.example.test/%d", n)))
	}
}

func TestBucketKeepsThePromisesOfATarget(t *testing.T) {
	targettest.Run(t, partSize, apart(s3test.Start(t)))
}

// Without a prefix a name is the key.
func TestBucketWithoutPrefixKeepsThePromisesOfATarget(t *testing.T) {
	targettest.Run(t, partSize, func(t *testing.T) backup.Target { return open(t, config(s3test.Start(t), "")) })
}
