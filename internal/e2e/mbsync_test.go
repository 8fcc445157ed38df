package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maildirs is one device: mbsync with a tree of Maildirs.
type maildirs struct {
	t   *testing.T
	s   *server
	dir string
	rng *rand.Rand
	n   int
}

func newMaildirs(t *testing.T, s *server, secret string, rng *rand.Rand) *maildirs {
	t.Helper()
	m := &maildirs{t: t, s: s, dir: t.TempDir(), rng: rng}
	config := fmt.Sprintf(`IMAPAccount a
Host 127.0.0.1
Port %s
User %s
Pass "%s"
SSLType None

IMAPStore far
Account a

MaildirStore near
Path %s/mail/
Inbox %[4]s/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
`, s.ports["imap"], alice, secret, m.dir)
	if err := os.WriteFile(m.dir+"/rc", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(m.dir+"/mail", 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *maildirs) sync() {
	m.t.Helper()
	program(m.t, m.dir, nil, "mbsync", "-q", "-q", "-c", m.dir+"/rc", "-a")
}

// file is a message of a Maildir.
type file struct{ path, mailbox, flags string }

// files are the messages, sorted by path.
func (m *maildirs) files() []file {
	m.t.Helper()
	var found []file
	root := m.dir + "/mail"
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		sub := filepath.Base(filepath.Dir(path))
		if err != nil || d.IsDir() || sub != "cur" && sub != "new" {
			return err
		}
		mailbox, _ := filepath.Rel(root, filepath.Dir(filepath.Dir(path)))
		_, flags, _ := strings.Cut(filepath.Base(path), ":2,")
		found = append(found, file{path, mailbox, flags})
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// contents are what there is: mailbox, flags and a hash of the bytes of each
// message, as often as it is there. mbsync's own header is not part of it.
func (m *maildirs) contents() map[string]int {
	m.t.Helper()
	all := map[string]int{}
	for _, f := range m.files() {
		raw, err := os.ReadFile(f.path)
		if err != nil {
			m.t.Fatal(err)
		}
		var kept []string
		for line := range strings.Lines(string(raw)) {
			if !strings.HasPrefix(line, "X-TUID: ") {
				kept = append(kept, strings.TrimRight(line, "\r\n"))
			}
		}
		all[fmt.Sprintf("%s [%s] %x", f.mailbox, f.flags, sha256.Sum256([]byte(strings.Join(kept, "\n"))))]++
	}
	return all
}

// deliver puts a new message into a Maildir, as a local program would.
func (m *maildirs) deliver(mailbox string) {
	m.t.Helper()
	m.n++
	name := fmt.Sprintf("%d.%d_%d.host", 1_700_000_000+m.n, os.Getpid(), m.rng.Uint32())
	text := fmt.Sprintf("From: friend@elsewhere.example\nTo: %s\nSubject: message %d\nMessage-ID: <%d.%d@elsewhere.example>\n\n%s\n", alice, m.n, m.n, m.rng.Uint64(), strings.Repeat("word ", 1+m.rng.IntN(400)))
	if err := os.WriteFile(filepath.Join(m.dir, "mail", mailbox, "new", name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *maildirs) mkdir(mailbox string) {
	m.t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(m.dir, "mail", mailbox, sub), 0o700); err != nil {
			m.t.Fatal(err)
		}
	}
}

// rename gives a message's file another mailbox and other flags.
func (m *maildirs) rename(f file, mailbox, flags string) {
	m.t.Helper()
	base, _, _ := strings.Cut(filepath.Base(f.path), ":2,")
	if mailbox != f.mailbox { // its number belongs to the old one
		base, _, _ = strings.Cut(base, ",U=")
	}
	if err := os.Rename(f.path, filepath.Join(m.dir, "mail", mailbox, "cur", base+":2,"+flags)); err != nil {
		m.t.Fatal(err)
	}
}

// marks are the Maildir flags that mbsync carries, without T.
var marks = []string{"", "S", "RS", "FS", "F", "S"}

// act does something that people do, and says what.
func (m *maildirs) act() string {
	all := m.files()
	if len(all) == 0 || m.rng.IntN(4) == 0 {
		m.deliver("INBOX")
		return "new mail"
	}
	f := all[m.rng.IntN(len(all))]
	switch m.rng.IntN(4) {
	case 0:
		if err := os.Remove(f.path); err != nil {
			m.t.Fatal(err)
		}
		return "delete"
	case 1:
		to := []string{"Archive", "INBOX", "Sent", "Junk"}[m.rng.IntN(4)]
		m.rename(f, to, f.flags)
		return "move to " + to
	default:
		m.rename(f, f.mailbox, marks[m.rng.IntN(len(marks))])
		return "mark"
	}
}

func differ(a, b map[string]int) []string {
	var lines []string
	for k := range maps.Keys(a) {
		if a[k] != b[k] {
			lines = append(lines, fmt.Sprintf("%d and %d times %s", a[k], b[k], k))
		}
	}
	for k := range maps.Keys(b) {
		if a[k] == 0 {
			lines = append(lines, fmt.Sprintf("0 and %d times %s", b[k], k))
		}
	}
	slices.Sort(lines)
	return lines[:min(len(lines), 10)]
}

func agree(t *testing.T, when string, a, b *maildirs) {
	t.Helper()
	if d := differ(a.contents(), b.contents()); len(d) > 0 {
		t.Fatalf("%s: the devices differ:\n%s", when, strings.Join(d, "\n"))
	}
}

func total(c map[string]int) int {
	n := 0
	for _, v := range c {
		n += v
	}
	return n
}

// Two devices stay in step through the server, and nothing is lost, doubled or
// sent over the wire twice.
func TestMbsyncKeepsTwoMaildirsInStep(t *testing.T) {
	t.Parallel()
	need(t, "mbsync")
	seed := uint64(1)
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	a := newMaildirs(t, s, s.addDevice("laptop"), rand.New(rand.NewPCG(seed, 1)))
	b := newMaildirs(t, s, s.addDevice("desktop"), rand.New(rand.NewPCG(seed, 2)))
	b.n = 1_000_000 // so that names differ from a's
	a.sync()
	b.sync()

	const messages = 1000
	for range messages {
		a.deliver("INBOX")
	}
	a.sync()
	if n := s.metric("imap_commands_total", `cmd="APPEND"[^}]*result="OK"`); n != messages {
		t.Errorf("%d APPENDs for %d messages", n, messages)
	}
	s.indexed()
	opened := s.metric("blob_opens_total", "")
	b.sync()
	if n := s.metric("blob_opens_total", "") - opened; n != messages {
		t.Errorf("%d messages were read for %d", n, messages)
	}
	agree(t, "after the first sync", a, b)
	if n := total(a.contents()); n != messages {
		t.Fatalf("%d messages", n)
	}

	for round := range 12 {
		var acts []string
		for range 10 {
			acts = append(acts, "a: "+a.act(), "b: "+b.act())
		}
		for range 3 { // a's news, then b's with a's, then b's at a
			a.sync()
			b.sync()
		}
		agree(t, fmt.Sprintf("seed %d, round %d, after %v", seed, round, acts), a, b)
	}

	s.indexed()
	appended, opened := s.metric("imap_commands_total", `cmd="APPEND"`), s.metric("blob_opens_total", "")
	a.sync()
	b.sync()
	if n := s.metric("imap_commands_total", `cmd="APPEND"`) - appended; n != 0 {
		t.Errorf("%d messages were sent again", n)
	}
	if n := s.metric("blob_opens_total", "") - opened; n != 0 {
		t.Errorf("%d messages were read again", n)
	}
	s.stop()
	if out := s.lockstep("", "doctor"); !strings.Contains(out, "All is well.") {
		t.Error(out)
	}
}

// Mailboxes made on one device, with names in any script, renamed by another
// program and removed, arrive at the other.
func TestMbsyncFollowsMailboxes(t *testing.T) {
	t.Parallel()
	need(t, "mbsync", "curl")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	a := newMaildirs(t, s, s.addDevice("laptop"), rand.New(rand.NewPCG(1, 1)))
	b := newMaildirs(t, s, s.addDevice("desktop"), rand.New(rand.NewPCG(1, 2)))
	a.sync()
	b.sync()
	a.mkdir("Projects/Lighthouse")
	a.mkdir("Gr&APYA3w-e")
	for range 5 {
		a.deliver("Projects/Lighthouse")
		a.deliver("Gr&APYA3w-e")
	}
	a.sync()
	b.sync()
	agree(t, "new mailboxes", a, b)
	if n := total(b.contents()); n != 10 {
		t.Fatalf("%d messages arrived", n)
	}
	if out := s.lockstep("", "mailbox", "list", alice); !strings.Contains(out, "Größe") || !strings.Contains(out, "Projects/Lighthouse") {
		t.Error(out)
	}

	s.imap(`RENAME "Projects/Lighthouse" "Old/Tower"`)
	for range 2 {
		a.sync()
		b.sync()
	}
	agree(t, "renamed mailbox", a, b)
	count := map[string]int{}
	for _, f := range b.files() {
		count[f.mailbox]++
	}
	if count["Old/Tower"] != 5 {
		t.Errorf("after the rename: %v", count)
	}

	// mbsync removes only what it has seen empty.
	for _, f := range a.files() {
		if f.mailbox == "Gr&APYA3w-e" {
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.sync()
	b.sync()
	s.imap(`DELETE "Gr&APYA3w-e"`)
	a.sync()
	b.sync()
	for _, m := range []*maildirs{a, b} {
		if _, err := os.Stat(m.dir + "/mail/Gr&APYA3w-e/cur"); err == nil {
			t.Error("the deleted mailbox is still there")
		}
	}
	s.stop()
}

// imap runs one IMAP command by curl.
func (s *server) imap(command string) string {
	s.t.Helper()
	return program(s.t, s.t.TempDir(), nil, "curl", "-sS", "--fail", "-u", alice+":"+password, "imap://127.0.0.1:"+s.ports["imap"]+"/", "-X", command)
}

// Who gave mbsync the account's own password is told why it can't work.
func TestMbsyncIsToldWhatScramNeeds(t *testing.T) {
	need(t, "mbsync")
	t.Parallel()
	s := newServer(t, "")
	s.start()
	defer s.stop()
	s.addAccount(alice)
	m := newMaildirs(t, s, password, nil)
	out, err := programFails(t, "mbsync", "-c", m.dir+"/rc", "-a")
	if err == nil || !strings.Contains(out, "SCRAM needs an app password (lockstep device add)") {
		t.Errorf("%v\n%s", err, out)
	}
	if n := s.metric("auth_signins_total", `result="wrong"`); n != 1 {
		t.Errorf("%d refused sign-ins are counted", n)
	}
}

// The self-signed certificate is one that mbsync takes when it is told to.
func TestMbsyncTrustsTheSelfSignedCertificate(t *testing.T) {
	need(t, "mbsync")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	s.lmtp(alice, "Subject: over TLS\r\n\r\nThe body.\r\n")
	m := newMaildirs(t, s, password, rand.New(rand.NewPCG(1, 1)))
	rc, err := os.ReadFile(m.dir + "/rc")
	if err != nil {
		t.Fatal(err)
	}
	secure := strings.NewReplacer("SSLType None", "AuthMechs PLAIN\nSSLType IMAPS\nCertificateFile "+s.dir+"/self-signed.crt", "Port "+s.ports["imap"], "Port "+s.ports["imaps"], "Host 127.0.0.1", "Host localhost")
	if err := os.WriteFile(m.dir+"/rc", []byte(secure.Replace(string(rc))), 0o600); err != nil {
		t.Fatal(err)
	}
	m.sync()
	if n := len(m.files()); n != 1 {
		t.Errorf("%d messages came, want 1", n)
	}
}
