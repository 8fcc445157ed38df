package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/backup/s3/s3test"
)

// inBucket is the configuration of a server whose mail lies in a bucket.
func inBucket(srv *s3test.Server, endpoint string) string {
	return fmt.Sprintf("[cluster]\nblobs = \"s3://%s/mail\"\ncache = \"64MiB\"\n[cluster.s3]\nendpoint = %q\nregion = %q\npath_style = true\naccess_key = %q\nsecret_key_file = %q\n",
		s3test.Bucket, endpoint, s3test.Region, s3test.AccessKey, srv.SecretFile)
}

// A server with its mail in a bucket serves it as it came, by each way it came, after it
// was killed and after its disk lost all but the database and the key; it packs small
// messages, and says what it can't do.
func TestMailInABucket(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	s := newServer(t, inBucket(srv, srv.Endpoint()))
	s.addAccount(alice)
	s.start()
	s.fillByEachWay(0, 16)
	s.letters(0, 10, 400_000)
	s.indexed()
	want := s.photo()
	if s.metric("blob_object_puts_total", "") == 0 || s.metric("blob_cache_hits_total", "") == 0 {
		t.Error("nothing was put to the bucket, or found nearby")
	}
	s.kill()
	s.start()
	wantPhoto(t, s.photo(), want)

	s.letters(10, 240, 100_000) // enough for a pack
	want = s.photo()
	s.stop()
	if err := os.RemoveAll(filepath.Join(s.dir, "fetched")); err != nil {
		t.Fatal(err)
	}
	s.start()
	if !eventually(func() bool { return len(packsOf(t, srv)) > 0 }) {
		t.Fatalf("nothing was packed, %d small messages wait\n%s", s.metric("blob_in_rows", ""), s.log)
	}
	wantPhoto(t, s.photo(), want)

	if out, err := runFor(long, "", "backup", "--to", filepath.Join(t.TempDir(), "b"), "--config", s.config); err == nil || !strings.Contains(out, "lockstep backup can't copy") || !strings.Contains(out, "docs/operations.md") {
		t.Errorf("backup: %v\n%s", err, out)
	}
	s.lockstep("", "key", "rotate")
	s.stop()
	if out, err := runFor(long, "", "doctor", "--config", s.config); err != nil || !strings.Contains(out, "All is well.") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	s.wantRefusals(srv)
}

// packsOf are the packs in the bucket.
func packsOf(t *testing.T, srv *s3test.Server) []string {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(srv.Dir, s3test.Bucket, "mail", "packs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

// wantRefusals holds a server that is configured wrongly to saying so, before it serves.
func (s *server) wantRefusals(srv *s3test.Server) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	withKey := newServer(s.t, inBucket(srv, srv.Endpoint()))
	if err := os.MkdirAll(withKey.dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	without := newServer(s.t, "")
	without.addAccount(alice) // makes a key
	key, err := os.ReadFile(filepath.Join(without.dir, "key"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(withKey.dir, "key"), key, 0o600); err != nil {
		s.t.Fatal(err)
	}
	elsewhere := filepath.Join(s.t.TempDir(), "elsewhere.toml")
	if err := os.WriteFile(elsewhere, []byte(strings.Replace(string(text), "blobs = ", "#", 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range []struct{ what, config, words string }{
		{"without a key file", newServer(s.t, inBucket(srv, srv.Endpoint())).config, "copy it there from another node"},
		{"with another's key file", withKey.config, "is sealed with another key file"},
		{"without its bucket", elsewhere, "set it to that bucket"},
	} {
		if out, err := lockstep(password+"\n", "account", "add", "bob@example.test", "--config", c.config); err == nil || !strings.Contains(out, c.words) {
			s.t.Errorf("%s: %v\n%s", c.what, err, out)
		}
	}
}

// While the bucket is out of reach, small mail goes on to come and can be read; large
// mail is put off, and nothing counts as damaged.
func TestABucketOutOfReach(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, 1)
	s := newServer(t, inBucket(srv, proxy.Endpoint()))
	s.addAccount(alice)
	s.start()
	s.letters(0, 2, 300_000)
	want := s.photo()
	proxy.Harm(1, 1, s3test.SlowDown)
	s.letters(2, 3, 1000)
	if err := s.tryLMTP(alice, "Subject: large\r\n\r\n"+noise(9, 300_000)); err == nil || !strings.Contains(err.Error(), "4") {
		t.Errorf("a large letter: %v", err)
	}
	s.stop()
	s.start() // also now
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.do("FETCH 3:5 BODY.PEEK[]"); err != nil {
		t.Errorf("small mail: %v", err)
	}
	if s.metric("blob_damaged", "") != 0 {
		t.Error("what can't be read now counts as damaged")
	}
	c.close()
	proxy.Harm(0, 1)
	now := s.photo()
	for _, m := range want {
		if !slices.Contains(now, m) {
			t.Error("a message of before is not as it was")
		}
	}
	if len(now) != 5 {
		t.Errorf("%d messages", len(now))
	}
}
