package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"time"
)

// server is one of the mail servers.
type server interface {
	name() string
	version() string
	addAccounts(ctx context.Context, accounts []string) error // while it is stopped
	start(ctx context.Context, trace string) error            // until it answers
	stop() error
	pid() int
	running() bool
	dir() string // of its data
	imapAddr() string
	imapsAddr() string // "" where it serves no TLS
	lmtpAddr() string
	httpsAddr() string // "" where it has no ActiveSync
}

// password is everybody's.
const password = "bench-in-lockstep"

// address is an account's.
func address(account string) string { return account + "@bench.test" }

// site is a running server and what was loaded into it.
type site struct {
	server
	sizes  sizes
	loaded map[string]bool
	seed   uint64 // of the next letters: none twice

	// How many changes were made so far, so that the next one changes something.
	stored  [storeConns]int
	pushed  int
	changed int
}

// dial connects to the server's IMAP and signs in.
func (s *site) dial(account string) (*imapConn, error) {
	return s.dialWith(account, s.imapAddr(), nil, 64<<10)
}

func (s *site) dialWith(account, addr string, secure *tls.Config, readSize int) (*imapConn, error) {
	c, err := dialIMAP(addr, secure, readSize)
	if err != nil {
		return nil, err
	}
	if err := c.login(address(account), password); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %s: %w", s.name(), account, err)
	}
	return c, nil
}

// dialInbox also selects INBOX, which must hold at least one message.
func (s *site) dialInbox(account string) (*imapConn, opened, error) {
	c, err := s.dial(account)
	if err != nil {
		return nil, opened{}, err
	}
	o, err := c.selectInbox("")
	if err == nil && o.exists == 0 {
		err = fmt.Errorf("%s: %s has an empty INBOX", s.name(), account)
	}
	if err != nil {
		c.Close()
	}
	return c, o, err
}

// fresh makes n letters that no server has seen. Both sites count alike, so the
// same turn gets the same letters.
func (s *site) fresh(n int) []letter { return s.freshBy(letters, n) }

func (s *site) freshBy(write func(n int, seed uint64) []letter, n int) []letter {
	s.seed++
	return write(n, s.seed)
}

// restart stops the server and starts it again; with cold set, from the disk.
func (s *site) restart(ctx context.Context, cold bool, trace string) error {
	if err := s.stop(); err != nil {
		return err
	}
	if cold {
		if err := dropCaches(s.dir()); err != nil {
			return err
		}
	}
	return s.start(ctx, trace)
}

// revive starts a server again that ended during an earlier workload.
func (s *site) revive(ctx context.Context) error {
	if s.running() {
		return nil
	}
	return s.start(ctx, "")
}

// span is the time and processor time that work took.
type span struct {
	elapsed time.Duration
	cpu     time.Duration
}

// timed measures f.
func (s *site) timed(f func() error) (span, error) {
	cpu, start := s.cpu(), time.Now()
	err := f()
	elapsed := time.Since(start)
	return span{elapsed, s.cpu() - cpu}, err
}

// cpu is the processor time that the server took so far.
func (s *site) cpu() time.Duration {
	if more, ok := s.server.(interface{ cpu() time.Duration }); ok {
		return more.cpu()
	}
	return cpuOf(s.pid())
}

// syncsDuring restarts the server under strace, does the work and returns how
// often it waited for the disk meanwhile.
func (s *site) syncsDuring(ctx context.Context, work func() error) (int, error) {
	trace := s.dir() + ".syncs"
	if err := s.restart(ctx, false, trace); err != nil {
		return 0, err
	}
	before, err := os.ReadFile(trace)
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := os.ReadFile(trace)
	if err != nil {
		return 0, err
	}
	return countSyncs(after[len(before):]), s.restart(ctx, false, "")
}
