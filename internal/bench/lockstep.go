package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lockstep/internal/freeport"
)

// lockstep is the server under test: the built binary, as an operator runs it.
type lockstep struct {
	*process
	binary string
	root   string
	imap   int
	imaps  int
	lmtp   int
	http   int
	https  int
}

// newLockstep writes a configuration into dir, which the data will also lie in; more is
// what it says beside.
func newLockstep(binary, dir, more string) (*lockstep, error) {
	ports, err := freeport.Take(5)
	if err != nil {
		return nil, err
	}
	l := &lockstep{binary: binary, root: dir, imap: ports[0], imaps: ports[1], lmtp: ports[2], http: ports[3], https: ports[4]}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return l, os.WriteFile(l.configFile(), []byte(l.config()+more), 0o600)
}

// config lifts the bounds on connections, since all of them come from one
// address, and leaves everything else as it is delivered.
func (l *lockstep) config() string {
	return fmt.Sprintf(`data = %q
hostname = "mail.bench.test"
[listen]
imap = "127.0.0.1:%d"
imaps = "127.0.0.1:%d"
lmtp = "127.0.0.1:%d"
http = "127.0.0.1:%d"
https = "127.0.0.1:%d"
pop3 = []
pop3s = []
smtp = []
submission = []
submissions = []
[limits]
connections = 40000
connections_per_address = 40000
[accounts]
quota = "0B"
`, filepath.Join(l.root, "data"), l.imap, l.imaps, l.lmtp, l.http, l.https)
}

func (l *lockstep) configFile() string { return filepath.Join(l.root, "lockstep.toml") }

// command is the binary with this server's configuration.
func (l *lockstep) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, l.binary, append(args, "--config", l.configFile())...)
}

func (l *lockstep) addAccounts(ctx context.Context, accounts []string) error {
	for _, a := range accounts {
		cmd := l.command(ctx, "account", "add", address(a))
		cmd.Stdin = strings.NewReader(password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("account add %s: %w: %s", address(a), err, out)
		}
	}
	return nil
}

func (l *lockstep) start(ctx context.Context, trace string) error {
	p, err := startProcess(l.root, trace, l.binary, "serve", "--config", l.configFile())
	if err != nil {
		return err
	}
	l.process = p
	for _, addr := range []string{l.imapAddr(), l.lmtpAddr()} {
		if err := p.awaitListener(ctx, addr); err != nil {
			return errors.Join(err, p.stop())
		}
	}
	return nil
}

func (l *lockstep) version() string {
	out, err := exec.Command(l.binary, "version").Output()
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

func (l *lockstep) name() string      { return "Lockstep" }
func (l *lockstep) pid() int          { return l.process.pid }
func (l *lockstep) dir() string       { return l.root }
func (l *lockstep) imapAddr() string  { return fmt.Sprintf("127.0.0.1:%d", l.imap) }
func (l *lockstep) imapsAddr() string { return fmt.Sprintf("127.0.0.1:%d", l.imaps) }
func (l *lockstep) httpsAddr() string { return fmt.Sprintf("127.0.0.1:%d", l.https) }
func (l *lockstep) lmtpAddr() string  { return fmt.Sprintf("127.0.0.1:%d", l.lmtp) }
