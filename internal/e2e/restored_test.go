package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// syncCounting syncs and returns how many messages were fetched.
func (m *maildirs) syncCounting() int {
	m.t.Helper()
	said := program(m.t, m.dir, nil, "mbsync", "-Dn", "-c", m.dir+"/rc", "-a")
	return len(regexp.MustCompile(`(?m)UID FETCH \d+ \(.*BODY\.PEEK\[\]`).FindAllString(said, -1))
}

// pullAll makes mbsync look for messages that it has no note of below those it has
// pulled already: such as came back.
func (m *maildirs) pullAll() {
	m.t.Helper()
	states, err := filepath.Glob(m.dir + "/mail/*/.mbsyncstate")
	if err != nil || len(states) == 0 {
		m.t.Fatal("no state: ", err)
	}
	for _, name := range states {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, regexp.MustCompile(`(?m)^MaxPulledUid \d+$`).ReplaceAll(text, []byte("MaxPulledUid 0")), 0o600)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func copyOver(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A database file that was copied while the server was stopped is copied back a day
// later. The server finds it out; mbsync ends in step with what is there, without
// fetching a message that it has, and what is on the server stays there.
func TestMbsyncAfterAnOldDatabaseIsCopiedBack(t *testing.T) {
	need(t, "mbsync")
	s := newServer(t, "")
	s.addAccount(alice)
	const all = 1000
	box := filepath.Join(t.TempDir(), "box")
	var text strings.Builder
	for n := range all {
		fmt.Fprintf(&text, "From a@elsewhere.example Thu Jan  1 00:00:00 2026\nFrom: a@elsewhere.example\nTo: %s\nSubject: message %d\nMessage-ID: <%d@elsewhere.example>\nDate: Thu, 1 Jan 2026 %02d:%02d:00 +0000\n\n%s\n\n", alice, n, n, n/60%24, n%60, strings.Repeat("word ", n%50+1))
	}
	if err := os.WriteFile(box, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.lockstep("", "import", alice, box)
	s.start()
	laptop, desktop := newMaildirs(t, s, s.addDevice("laptop"), nil), newMaildirs(t, s, s.addDevice("desktop"), nil)
	if n := laptop.syncCounting(); n != all {
		t.Fatalf("the laptop fetched %d messages", n)
	}
	desktop.sync()
	s.stop()
	database, backup := filepath.Join(s.dir, "lockstep.db"), filepath.Join(t.TempDir(), "backup.db")
	copyOver(t, database, backup)

	// What happens until the copy is put back.
	s.start()
	changed := desktop.files()
	for i, f := range changed[:60] {
		switch {
		case i < 20:
			desktop.rename(f, f.mailbox, "FS")
		case i < 40:
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
		default:
			desktop.rename(f, "Archive", f.flags)
		}
	}
	if err := os.WriteFile(box, []byte(strings.ReplaceAll(text.String()[:20*150], "Subject: message", "Subject: lost")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.lockstep("", "import", alice, box)
	desktop.sync()
	laptop.sync()
	desktop.sync()
	agree(t, "before", laptop, desktop)
	lostTime := total(laptop.contents())
	s.stop()

	copyOver(t, backup, database)
	s.start()
	if log := s.log.String(); !strings.Contains(log, "older copy") || !strings.Contains(log, "older than the mark") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	for _, m := range []*maildirs{laptop, desktop} {
		if n := m.syncCounting(); n != 0 {
			t.Errorf("fetched %d messages again", n)
		}
		if n := m.syncCounting(); n != 0 {
			t.Errorf("and once more %d", n)
		}
	}
	agree(t, "after", laptop, desktop)
	fresh := newMaildirs(t, s, s.addDevice("fresh"), nil)
	if n := fresh.syncCounting(); n != all {
		t.Errorf("the server has %d messages of %d", n, all)
	}
	// What was deleted or moved away since, and is there again, mbsync does not look
	// for: it has seen those UIDs. All else is as on the server.
	is, has := fresh.contents(), laptop.contents()
	missing := 0
	for what, n := range is {
		missing += n - has[what]
	}
	for what, n := range has {
		if n > is[what] {
			t.Errorf("the laptop has what the server has not: %s", what)
		}
	}
	if missing != 40 {
		t.Errorf("the laptop lacks %d messages of %d (it had %d)", missing, all, lostTime)
	}
	for _, m := range []*maildirs{laptop, desktop} {
		m.pullAll()
		if n := m.syncCounting(); n != 40 {
			t.Errorf("told to look for them, fetched %d messages", n)
		}
	}
	agree(t, "when what came back was pulled", laptop, fresh)
	agree(t, "when what came back was pulled", desktop, fresh)

	// And life goes on.
	laptop.rng, desktop.rng = nil, nil
	s.lockstep("", "import", alice, box)
	for _, m := range []*maildirs{laptop, desktop, fresh} {
		if m.syncCounting() == 0 {
			t.Error("new mail is not fetched")
		}
	}
	agree(t, "afterwards", laptop, fresh)
	agree(t, "afterwards", desktop, fresh)
	if out := s.lockstep("", "doctor", "--fast"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}
}
