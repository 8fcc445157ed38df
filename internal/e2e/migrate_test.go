package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/easclient"
	"lockstep/internal/jmap/jmapclient"
	"lockstep/internal/store/sqlstore/pgtest"
)

// on writes the server's configuration anew, with its accounts in a database; "" is in
// its directory.
func (s *server) on(database string) {
	s.t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(b), "\n[cluster]\n")
	if database != "" {
		text += fmt.Sprintf("\n[cluster]\ndatabase = %q\n", database)
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// importMails brings n messages in, that are the only ones of their name.
func (s *server) importMails(name string, n int) {
	s.t.Helper()
	box := filepath.Join(s.t.TempDir(), name)
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "From a@elsewhere.example Thu Jan  1 00:00:00 2026\nFrom: a@elsewhere.example\nTo: %s\nSubject: %s %d\nMessage-ID: <%[2]s.%[3]d@elsewhere.example>\nDate: Thu, 1 Jan 2026 %02[4]d:%02[5]d:00 +0000\n\n%[6]s\n\n",
			alice, name, i, i/60%24, i%60, strings.Repeat("word ", i%50+1))
	}
	if err := os.WriteFile(box, []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.lockstep("", "import", alice, box)
}

// wants runs a command that has to fail, in words.
func (s *server) wants(words string, args ...string) {
	s.t.Helper()
	out, err := lockstep("", append(args, "--config", s.config)...)
	if err == nil || !strings.Contains(out, words) {
		s.t.Errorf("lockstep %v said, with %v: %s", args, err, out)
	}
}

// stillShows compares what a client sees now with what it saw.
func (s *server) stillShows(when string, before []string) {
	s.t.Helper()
	now := s.photo()
	for i, want := range before {
		if i >= len(now) || now[i] != want {
			s.t.Fatalf("%s: a client does not see %s, and %d messages of %d", when, want, len(now), len(before))
		}
	}
	if len(now) != len(before) {
		s.t.Errorf("%s: %d messages, were %d", when, len(now), len(before))
	}
}

// pocket is a phone and a JMAP program that keep what they have over everything.
type pocket struct {
	t       *testing.T
	phone   *easclient.Phone
	program *jmapclient.Program
}

func newPocket(t *testing.T, s *server) *pocket {
	t.Helper()
	dial := func() (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+s.ports["http"]) }
	said := func(string) {}
	p := &pocket{t: t}
	p.phone = easclient.New(&easclient.Client{Dial: dial, Login: alice, Secret: s.addDevice("phone"), DeviceID: "POCKET7", DeviceType: "Phone", Version: "16.1", Said: said})
	p.phone.Needless = func(f *easclient.Folder, id string) {
		t.Errorf("the phone was told of %s in %s, and it is no news", id, f.Name)
	}
	p.program = jmapclient.New(&jmapclient.Client{Dial: dial, Login: alice, Secret: s.addDevice("program"), Name: "Program", Said: said})
	p.phone.Blame, p.program.Blame = t.Errorf, t.Errorf
	return p
}

// sync brings both into step and returns how much each was told. Connections that the
// server ended are opened again.
func (p *pocket) sync() (phone, program int) {
	p.t.Helper()
	phone, program = p.phone.Entries, p.program.Entries
	for _, catchUp := range []func() error{p.phone.CatchUp, p.program.CatchUp} {
		var err error
		if !eventually(func() bool { err = catchUp(); return err == nil }) {
			p.t.Fatal(err)
		}
	}
	return p.phone.Entries - phone, p.program.Entries - program
}

// wants holds what both are told against what is new, and that neither starts over.
func (p *pocket) wants(when string, news int) {
	p.t.Helper()
	resets, again := p.phone.Resets, p.program.Resets
	phone, program := p.sync()
	if phone != news || program < news || news == 0 && program != 0 {
		p.t.Errorf("%s: the phone was told %d things and the program %d, with %d new", when, phone, program, news)
	}
	if p.phone.Resets != resets || p.program.Resets != again {
		p.t.Errorf("%s: the phone started over %d times, the program %d times", when, p.phone.Resets-resets, p.program.Resets-again)
	}
}

// A server moves to PostgreSQL while it serves, and later back: mbsync, with what it
// noted before, fetches nothing again, a phone and a JMAP program are told nothing, and
// all go on.
func TestDevicesAfterMovingToPostgresAndBack(t *testing.T) {
	need(t, "mbsync")
	url := pgtest.Database(t)
	s := newServer(t, "")
	s.addAccount(alice)
	s.importMails("first", 500)
	s.start()
	laptop := newMaildirs(t, s, s.addDevice("laptop"), nil)
	if n := laptop.syncCounting(); n != 500 {
		t.Fatalf("fetched %d messages", n)
	}
	phone := newPocket(t, s)
	phone.sync()
	phone.wants("before", 0)
	before := s.photo()

	// There, while the server runs: it ends when little is left.
	t.Log(s.lockstepFor(long, "migrate", "--to", url))
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("the server did not stop well: %v\n%s", err, s.log)
	}
	s.wants("have moved to", "account", "list")
	s.wants("have moved to", "migrate", "--to", url)
	t.Log(s.lockstepFor(long, "migrate", "--verify", "--from", s.dir, "--to", url))
	s.on(url)
	s.start()
	s.stillShows("on PostgreSQL", before)
	phone.wants("on PostgreSQL", 0)
	if n := laptop.syncCounting(); n != 0 {
		t.Errorf("fetched %d messages again", n)
	}
	s.importMails("second", 100)
	phone.wants("with new mail on PostgreSQL", 100)
	laptop.rename(laptop.files()[7], "INBOX", "FS")
	if n := laptop.syncCounting(); n != 100 {
		t.Errorf("fetched %d of 100 new messages", n)
	}
	phone.sync()
	before = s.photo()
	if out := s.lockstepFor(long, "doctor"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}

	// And back into the same directory, where what it was lies still.
	t.Log(s.lockstepFor(long, "migrate", "--to", s.dir))
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.do("CREATE Later"); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Errorf("a change after the move: %v", err)
	}
	c.close()
	s.stop()
	s.wants("have moved to", "serve")
	s.on("")
	s.start()
	if log := s.log.String(); strings.Contains(log, "older copy") {
		t.Errorf("it takes itself for an older copy:\n%s", log)
	}
	s.stillShows("back again", before)
	phone.wants("back again", 0)
	if n := laptop.syncCounting(); n != 0 {
		t.Errorf("fetched %d messages again", n)
	}
	s.importMails("third", 10)
	phone.wants("with new mail, back again", 10)
	if n := laptop.syncCounting(); n != 10 {
		t.Errorf("fetched %d of 10 new messages", n)
	}
	if out := s.lockstepFor(long, "doctor"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}
}

// A command that is killed in the middle leaves a server that serves, and a target that
// nobody is served by; the next goes on. The packs go with it into another directory.
func TestAMoveThatIsKilledGoesOn(t *testing.T) {
	url := pgtest.Database(t)
	s := newServer(t, "[cluster]\ndrain_notice = \"0s\"\n")
	s.addAccount(alice)
	s.importMails("first", 300)
	s.start()
	before := s.photo()
	for n := range 3 {
		cmd := exec.Command(binary, "migrate", "--to", url, "--config", s.config)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+60*n) * time.Millisecond) // somewhere: each has to do
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s.get("/healthz") != "ok\n" {
			break // it was asked to end by then
		}
		s.stillShows("after a kill", before)
	}
	s.lockstepFor(long, "migrate", "--to", url)
	_ = s.cmd.Wait()
	other := filepath.Join(t.TempDir(), "other")
	s.on(url)
	t.Log(s.lockstepFor(long, "migrate", "--to", other))
	s.on("")
	b, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, []byte(strings.Replace(string(b), fmt.Sprintf("data = %q", s.dir), fmt.Sprintf("data = %q", other), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.stillShows("in another directory", before)
	if out := s.lockstepFor(long, "doctor"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}
}

// A move that is taken back: the source is served again as it was when it moved, devices
// are told nothing, and what came elsewhere meanwhile is only there. Without --undo it is
// refused, and so is taking back what has not moved.
func TestAMoveIsTakenBack(t *testing.T) {
	url := pgtest.Database(t)
	s := newServer(t, "")
	s.addAccount(alice)
	s.importMails("first", 60)
	s.wants("have not moved", "migrate", "--undo", "--from", s.dir)
	s.start()
	phone := newPocket(t, s)
	phone.sync()
	phone.wants("before", 0)
	before := s.photo()
	s.stop()
	s.lockstepFor(long, "migrate", "--to", url)
	s.wants("have moved to", "serve")
	s.on(url)
	s.importMails("elsewhere", 5)
	s.on("")
	if out := s.lockstepFor(long, "migrate", "--undo", "--from", s.dir); !strings.Contains(out, "can be served again") || !strings.Contains(out, "no more") {
		t.Errorf("taking it back says %s", out)
	}
	s.wants("have not moved", "migrate", "--undo", "--from", s.dir)
	s.start()
	if log := s.log.String(); strings.Contains(log, "older copy") {
		t.Errorf("it takes itself for an older copy:\n%s", log)
	}
	s.stillShows("taken back", before)
	phone.wants("taken back", 0)
	s.importMails("after", 7)
	phone.wants("with new mail, taken back", 7)
	if out := s.lockstepFor(long, "doctor"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}
	s.stop()

	// The same of PostgreSQL, which has moved into a directory.
	s.on(url)
	other := filepath.Join(t.TempDir(), "other")
	s.lockstepFor(long, "migrate", "--to", other)
	s.wants("have moved to", "serve")
	s.lockstepFor(long, "migrate", "--undo", "--from", url)
	s.start()
	if now := s.photo(); len(now) != len(before)+5 {
		t.Errorf("%d messages are on PostgreSQL, taken back, want %d", len(now), len(before)+5)
	}
	s.importMails("on", 3)
}
