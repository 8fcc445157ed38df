package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/notify/natsbus/natstest"
	"lockstep/internal/store/sqlstore/pgtest"
)

// nodes starts servers that share a database and a bucket, and the key of the first.
func nodes(t *testing.T, n int, notify string) (all []*server) {
	t.Helper()
	return nodesWith(t, n, notify, "")
}

// nodesWith is nodes with more of a configuration.
func nodesWith(t *testing.T, n int, notify, more string) (all []*server) {
	t.Helper()
	mail, database := s3test.Start(t), pgtest.Database(t)
	for i := range n {
		s := newServer(t, fmt.Sprintf("[cluster]\ndatabase = %q\nblobs = \"s3://%s/mail\"\nnotify = %q\nnode = \"n%d\"\n[cluster.s3]\nendpoint = %q\nregion = %q\naccess_key = %q\nsecret_key_file = %q\n%s",
			database, s3test.Bucket, notify, i+1, mail.Endpoint(), s3test.Region, s3test.AccessKey, mail.SecretFile, more))
		if i > 0 {
			s.takeKey(all[0])
		}
		s.start()
		all = append(all, s)
	}
	return all
}

// takeKey gives a server that was never started the key of another.
func (s *server) takeKey(of *server) {
	s.t.Helper()
	key, err := os.ReadFile(filepath.Join(of.dir, "key"))
	if err == nil {
		err = os.MkdirAll(s.dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "key"), key, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// idle opens INBOX and waits.
func (s *server) idle() *client {
	s.t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.close)
	if _, err = c.do("SELECT INBOX"); err == nil {
		_, err = io.WriteString(c.c, "i IDLE\r\n")
	}
	if err == nil {
		_, err = c.line()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// hears waits until a client in IDLE is told how many messages there are.
func (c *client) hears(t *testing.T, messages int) {
	t.Helper()
	for want := fmt.Sprintf("* %d EXISTS\r\n", messages); ; {
		l, err := c.line()
		if err != nil {
			t.Fatalf("waiting for %q: %v", want, err)
		}
		if l == want {
			return
		}
	}
}

// What is delivered at one node is told at once to who waits at others, also what they
// missed while the way between them was gone.
func TestWhoWaitsAtAnotherNodeIsTold(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, nil)
	for name, notify := range map[string]string{"NATS": nats.URL, "the database": ""} {
		t.Run(name, func(t *testing.T) {
			all := nodes(t, 3, notify)
			all[0].addAccount(alice)
			waiting := []*client{all[1].idle(), all[2].idle(), all[0].idle()}
			const letters = 20
			var took []time.Duration
			for i := range letters {
				all[0].lmtp(alice, fmt.Sprintf("Subject: letter %d\r\n\r\nHello.\r\n", i))
				began := time.Now()
				for _, c := range waiting {
					c.hears(t, i+1)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			t.Logf("all were told %v after the answer, at most %v", took[letters/2], took[letters-1])
			if notify == "" {
				return
			}
			nats.Stop()
			all[0].lmtp(alice, "Subject: meanwhile\r\n\r\nHello.\r\n")
			nats.Again()
			for _, c := range waiting {
				c.hears(t, letters+1)
			}
			if n := all[1].metric("notify_gaps_total", ""); n == 0 {
				t.Error("no gap is counted")
			}
			for _, s := range all {
				if !eventually(func() bool { return s.metric("notify_connected", "") == 1 }) {
					t.Error("a node is not connected again")
				}
				if strings.Contains(s.log.String(), "level=ERROR") {
					t.Errorf("the log says:\n%s", s.log)
				}
			}
		})
	}
}
