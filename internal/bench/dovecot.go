package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"lockstep/internal/freeport"
)

//go:embed dovecot.conf.tmpl
var dovecotTemplate string

// dovecot is the peer.
type dovecot struct {
	*process
	root       string
	fsync      string
	imap, lmtp int
}

// dovecotSettings is what the template is filled with.
type dovecotSettings struct {
	Dir, Password, Fsync, Hibernate string
	UID, GID                        int
	Root                            bool
	User, Group                     string
	IMAP, LMTP                      int
}

// newDovecot writes a configuration into dir, which mail will also lie in.
func newDovecot(dir, fsync string) (*dovecot, error) {
	if _, err := exec.LookPath("dovecot"); err != nil {
		return nil, errors.New("dovecot is not installed: apt-get install dovecot-imapd dovecot-lmtpd, or run without the peer")
	}
	ports, err := freeport.Take(2)
	if err != nil {
		return nil, err
	}
	d := &dovecot{root: dir, fsync: fsync, imap: ports[0], lmtp: ports[1]}
	return d, d.configure()
}

func (d *dovecot) configure() error {
	set, err := d.settings()
	if err != nil {
		return err
	}
	for _, sub := range []string{"", "run", "state", "mail"} {
		if err := openDirectory(filepath.Join(d.root, sub)); err != nil {
			return err
		}
	}
	if set.Root {
		if err := os.Chown(filepath.Join(d.root, "mail"), set.UID, set.GID); err != nil {
			return err
		}
	}
	f, err := os.Create(d.configFile())
	if err != nil {
		return err
	}
	defer f.Close()
	return template.Must(template.New("dovecot.conf").Parse(dovecotTemplate)).Execute(f, set)
}

// openDirectory makes a directory that others may enter, whatever the umask.
func openDirectory(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// settings says whom Dovecot runs as. It refuses to touch mail as root, so then
// the mail belongs to the user "mail", who exists on every Debian.
func (d *dovecot) settings() (dovecotSettings, error) {
	set := dovecotSettings{Dir: d.root, Password: password, Fsync: d.fsync, IMAP: d.imap, LMTP: d.lmtp, Root: os.Geteuid() == 0}
	who, err := user.Current()
	if set.Root {
		who, err = user.Lookup("mail")
	}
	if err != nil {
		return set, err
	}
	group, err := user.LookupGroupId(who.Gid)
	if err != nil {
		return set, err
	}
	set.User, set.Group = who.Username, group.Name
	set.UID, err = strconv.Atoi(who.Uid)
	if err != nil {
		return set, err
	}
	set.GID, err = strconv.Atoi(who.Gid)
	return set, err
}

func (d *dovecot) configFile() string { return filepath.Join(d.root, "dovecot.conf") }

func (d *dovecot) start(ctx context.Context, trace string) error {
	p, err := startProcess(d.root, trace, "dovecot", "-F", "-c", d.configFile())
	if err != nil {
		return err
	}
	d.process = p
	for _, addr := range []string{d.imapAddr(), d.lmtpAddr()} {
		if err := p.awaitListener(ctx, addr); err != nil {
			return errors.Join(err, p.stop())
		}
	}
	return nil
}

func (d *dovecot) version() string {
	out, err := exec.Command("dovecot", "--version").Output()
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%s, mdbox, mail_fsync=%s", strings.Fields(string(out))[0], d.fsync)
}

func (d *dovecot) addAccounts(context.Context, []string) error { return nil } // whoever signs in has one
func (d *dovecot) name() string                                { return "Dovecot" }
func (d *dovecot) pid() int                                    { return d.process.pid }
func (d *dovecot) dir() string                                 { return d.root }
func (d *dovecot) imapAddr() string                            { return fmt.Sprintf("127.0.0.1:%d", d.imap) }
func (d *dovecot) imapsAddr() string                           { return "" }
func (d *dovecot) httpsAddr() string                           { return "" }
func (d *dovecot) lmtpAddr() string                            { return fmt.Sprintf("127.0.0.1:%d", d.lmtp) }
