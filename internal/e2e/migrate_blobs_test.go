package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/store/sqlstore/pgtest"
)

// clustered writes the server's configuration anew, with another [cluster].
func (s *server) clustered(cluster string) {
	s.t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(b), "\n[cluster]\n")
	if err := os.WriteFile(s.config, []byte(text+"\n"+cluster), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// A server that kept everything in its directory becomes a node on PostgreSQL with its
// mail in a bucket, though the command was killed: clients see what they saw, with no
// packs there, and the doctor finds nothing.
func TestADirectoryBecomesANodeWithABucket(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	srv := s3test.Start(t)
	s := newServer(t, "")
	s.addAccount(alice)
	s.importMails("first", 100)
	s.start()
	s.fillByEachWay(0, 16)
	s.letters(0, 10, 400_000)
	before := s.photo()
	s.stop()
	t.Log(s.lockstepFor(long, "migrate", "--to", url))

	bucket := inBucket(srv, srv.Endpoint())
	withDatabase := strings.Replace(bucket, "[cluster]\n", "[cluster]\ndatabase = \""+url+"\"\n", 1)
	s.clustered(withDatabase)
	s.wants("lockstep migrate blobs", "account", "list")
	for n := range 2 {
		cmd := exec.Command(binary, "migrate", "blobs", "--config", s.config)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+150*n) * time.Millisecond) // somewhere: each has to do
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	out := s.lockstepFor(long, "migrate", "blobs")
	if !strings.Contains(out, "are whole") || !strings.Contains(out, "may be removed") {
		t.Error(out)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "packs")); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.stillShows("from the bucket", before)
	s.wants("in use", "migrate", "blobs")
	s.letters(10, 2, 1000)
	if n := len(s.photo()); n != len(before)+2 {
		t.Errorf("%d messages with two new ones, were %d", n, len(before))
	}
	s.stop()
	if out := s.lockstepFor(long, "doctor"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}
}
