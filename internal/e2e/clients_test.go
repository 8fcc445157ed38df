package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Python's imaplib, by which many scripts read mail, gets on with the server.
func TestImaplib(t *testing.T) {
	need(t, "python3")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	script, err := filepath.Abs("testdata/imaplib_test.py")
	if err != nil {
		t.Fatal(err)
	}
	if out := program(t, t.TempDir(), nil, "python3", script, "127.0.0.1", s.ports["imap"], alice, password); !strings.Contains(out, "all well") {
		t.Error(out)
	}
}

// The same with what imaplib has no methods for: what is pushed by NOTIFY, REPLACE with
// CATENATE, and the rest that scripts send by hand.
func TestImaplibDrivesExtensions(t *testing.T) {
	need(t, "python3")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	script, err := filepath.Abs("testdata/imaplib_more.py")
	if err != nil {
		t.Fatal(err)
	}
	if out := program(t, t.TempDir(), nil, "python3", script, "127.0.0.1", s.ports["imap"], alice, password); !strings.Contains(out, "all well") {
		t.Error(out)
	}
}

// curl lists, appends, searches, fetches and changes flags by URL, with STARTTLS
// and under TLS.
func TestCurlReadsAndAppends(t *testing.T) {
	need(t, "curl")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	dir := t.TempDir()
	curl := func(url string, args ...string) string {
		t.Helper()
		return program(t, dir, nil, "curl", append([]string{"-sS", "-k", "--max-time", "20", "--user", alice + ":" + password, url}, args...)...)
	}
	for round, base := range []string{"imap://127.0.0.1:" + s.ports["imap"], "imaps://127.0.0.1:" + s.ports["imaps"]} {
		more := []string{"--ssl-reqd"}
		if out := curl(base, more...); !strings.Contains(out, `"/" INBOX`) {
			t.Errorf("%s lists %q", base, out)
		}
		for i := range 3 {
			file := filepath.Join(dir, "mail")
			text := fmt.Sprintf("Subject: by curl %d\r\nFrom: curl@example.test\r\n\r\nBody %d.\r\n", i, i)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			curl(base+"/INBOX", append(more, "-T", file)...)
		}
		if out := curl(base+"/INBOX?SUBJECT%20curl", more...); !strings.Contains(out, "* SEARCH 1 2 3") {
			t.Errorf("%s finds %q", base, out)
		}
		if out := curl(fmt.Sprintf("%s/INBOX;UID=%d", base, 3*round+2), more...); !strings.HasSuffix(out, "Body 1.\r\n") {
			t.Errorf("%s fetches %q", base, out)
		}
		if out := curl(base+"/INBOX;MAILINDEX=3;SECTION=TEXT", more...); out != "Body 2.\r\n" {
			t.Errorf("%s fetches %q", base, out)
		}
		if out := curl(base+"/INBOX", append(more, "-X", `STORE 1:* +FLAGS (\Deleted)`)...); strings.Contains(out, "BAD") {
			t.Errorf("%s stores %q", base, out)
		}
		curl(base+"/INBOX", append(more, "-X", "EXPUNGE")...)
		if out := curl(base, append(more, "-X", "EXAMINE INBOX")...); !strings.Contains(out, "* 0 EXISTS") {
			t.Errorf("%s examines %q", base, out)
		}
	}
}
