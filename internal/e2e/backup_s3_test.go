package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/backup/s3/s3test"
)

// toBucket is the configuration of a backup to a bucket.
func toBucket(srv *s3test.Server, endpoint string) string {
	return fmt.Sprintf("[backup]\nto = \"s3://%s/mail\"\n[backup.s3]\nendpoint = %q\nregion = %q\naccess_key = %q\nsecret_key_file = %q\n",
		s3test.Bucket, endpoint, s3test.Region, s3test.AccessKey, srv.SecretFile)
}

// recoveryCode is what a first backup shows.
var recoveryCode = regexp.MustCompile(`LOCKSTEP-AGE-SECRET-KEY-1[A-Z0-9]+`)

// What was backed up to a bucket comes back on another machine, with the credentials
// in its environment and the recovery code alone.
func TestBackupToABucketComesBack(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	s := newServer(t, toBucket(srv, srv.Endpoint()))
	s.addAccount(alice)
	s.start()
	s.letters(0, 20, 20_000)
	said := s.backup()
	code := recoveryCode.FindString(said)
	if code == "" {
		t.Fatalf("no recovery code:\n%s", said)
	}
	s.letters(20, 3, 2000)
	again := s.backup()
	if recoveryCode.MatchString(again) {
		t.Errorf("the recovery code was shown again:\n%s", again)
	}
	want := s.photo()
	s.stop()
	if out := s.lockstep("", "backup", "list"); strings.Count(out, "KiB") < 2 {
		t.Errorf("backup list says:\n%s", out)
	}
	for what, text := range map[string]string{"config print": s.lockstep("", "config", "print"), "the log": s.log.String(), "backup": said + again} {
		if strings.Contains(text, s3test.Secret) {
			t.Errorf("%s tells the secret", what)
		}
	}
	codeFile := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(codeFile, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newServer(t, "")
	restore := begin(t, []string{"AWS_ENDPOINT_URL_S3=" + srv.Endpoint(), "AWS_ACCESS_KEY_ID=" + s3test.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3test.Secret},
		"restore", "--config", r.config, "--from", "s3://"+s3test.Bucket+"/mail", "--recovery", codeFile)
	if status := restore.wait(); status != 0 || strings.Contains(restore.out.String(), s3test.Secret) {
		t.Fatalf("restore: %d\n%s", status, restore.out)
	}
	r.wantWell(want)
}

// What is wrong with a bucket is said before anything is done, with what to do.
func TestWrongBucketsAreToldInWords(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	s := newServer(t, toBucket(srv, srv.Endpoint()))
	s.addAccount(alice)
	for to, words := range map[string]string{
		"s3://nothing-here/mail": "there is no such bucket",
		"s3://Bad_Name":          "names no bucket",
		"ftp://example.test/x":   "s3://BUCKET/PREFIX",
	} {
		if out, err := runFor(long, "", "backup", "--to", to, "--config", s.config); err == nil || !strings.Contains(out, words) {
			t.Errorf("%s: %v\n%s", to, err, out)
		}
	}
	if out, err := runFor(long, "", "restore", "--from", "s3://"+s3test.Bucket+"/other", "--data", filepath.Join(t.TempDir(), "new"), "--key", s.keyOf(), "--config", s.config); err == nil || !strings.Contains(out, "there is no backup in") {
		t.Errorf("%v\n%s", err, out)
	}
}
