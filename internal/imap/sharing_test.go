package imap

import (
	"context"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// enter signs somebody in.
func (h *house) enter(login string) *testClient {
	c := dial(h.t, h.addr)
	c.line()
	c.must("LOGIN " + login + ` "` + testPassword + `"`)
	return c
}

const team = `"Other Users/alice@example.test/Team"`

// newTeam is a house with a mailbox that Alice shares with Bob.
func newTeam(t *testing.T) (h *house, alice, bob *testClient) {
	h = newHouse(t, nil)
	h.put("Team", "Subject: hello\r\n\r\nhello\r\n", mail.Flags{}, 1, 0)
	alice, bob = h.enter(testLogin), h.enter("bob@example.test")
	alice.must("SETACL Team bob@example.test lrswite")
	return h, alice, bob
}

// membersDevice is the device by which the owner's account knows the one member.
func (h *house) membersDevice() (found mail.Device) {
	h.t.Helper()
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		all, err := r.Devices()
		for _, d := range all {
			if strings.HasPrefix(d.Name, "bob@example.test: ") {
				found = d
			}
		}
		return err
	})
	if err != nil || found.ID == 0 {
		h.t.Fatalf("no device of Bob's: %v", err)
	}
	return found
}

func TestAMembersChangeNamesWhoMadeIt(t *testing.T) {
	h, _, bob := newTeam(t)
	bob.must("SELECT " + team)
	bob.must(`STORE 1 +FLAGS (\Flagged)`)
	bob.must("COPY 1 " + team)
	device := h.membersDevice()
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		records, err := r.Journal(store.JournalQuery{Limit: 2})
		for _, rec := range records {
			if rec.Actor != "bob@example.test" || rec.Device != device.ID || rec.Protocol != mail.IMAP || rec.Cause != mail.ByUser || rec.Session == "" {
				t.Errorf("the record says %+v", rec)
			}
		}
		all, err2 := r.Devices()
		if len(all) != 2 || err2 != nil { // Alice's own, and Bob's once
			t.Errorf("%d devices, %v", len(all), err2)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Looking at what is shared makes no device.
func TestReadingIsNoChangeInTheOwnersAccount(t *testing.T) {
	h, _, bob := newTeam(t)
	before := h.head()
	bob.must("EXAMINE " + team)
	bob.must("FETCH 1 (FLAGS BODY[])")
	bob.must("STATUS " + team + " (MESSAGES UNSEEN)")
	bob.must(`LIST "" "Other Users/*"`)
	if h.head() != before {
		t.Errorf("the account went from %d to %d", before, h.head())
	}
}

func TestABlockedDeviceFindsNothingShared(t *testing.T) {
	h, alice, bob := newTeam(t)
	bob.must("SELECT " + team)
	bob.must(`STORE 1 +FLAGS (\Flagged)`)
	if err := h.auth.SetAccess(context.Background(), testOrigin, h.account, h.membersDevice().ID, mail.Blocked); err != nil {
		t.Fatal(err)
	}
	if l := bob.line(); !strings.HasPrefix(l, "* BYE") {
		t.Errorf("Bob is told %q", l)
	}
	bob = h.enter("bob@example.test")
	for _, c := range []string{"SELECT " + team, "STATUS " + team + " (MESSAGES)", "MYRIGHTS " + team, "DELETE " + team} {
		if last := bob.run(c); !strings.Contains(last[len(last)-1], "NO [NONEXISTENT]") {
			t.Errorf("%s: %s", c, last)
		}
	}
	if lines := bob.must(`LIST "" "Other Users/%"`); len(lines) > 1 {
		t.Errorf("listed: %q", lines)
	}
	bob.must("SELECT INBOX") // what is his own is his
	alice.must("SELECT Team")
	if err := h.auth.SetAccess(context.Background(), testOrigin, h.account, h.membersDevice().ID, mail.Allowed); err != nil {
		t.Fatal(err)
	}
	bob.must("SELECT " + team)
}

func TestARemovedAccountIsGoneForThoseItSharedWith(t *testing.T) {
	h, _, bob := newTeam(t)
	bob.must("SELECT " + team)
	if err := h.store.RemoveAccount(context.Background(), h.account); err != nil {
		t.Fatal(err)
	}
	if lines := bob.run("NOOP"); !strings.HasPrefix(lines[0], "* BYE") {
		t.Errorf("Bob is told %q", lines)
	}
	bob = h.enter("bob@example.test")
	if lines := bob.must(`LIST "" "Other Users/%"`); len(lines) > 1 {
		t.Errorf("listed: %q", lines)
	}
}

func TestADisabledMemberIsOut(t *testing.T) {
	h, _, bob := newTeam(t)
	bob.must("SELECT " + team)
	p, err := h.store.PrincipalByLogin(context.Background(), "bob@example.test")
	if err == nil {
		err = h.auth.SetDisabled(context.Background(), p.Account, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	if l := bob.line(); !strings.HasPrefix(l, "* BYE") {
		t.Errorf("Bob is told %q", l)
	}
}

// An APPEND whose answer got lost is known again in somebody else's mailbox too.
func TestAnAppendToAnothersMailboxIsKnownAgain(t *testing.T) {
	h, _, bob := newTeam(t)
	letter := "APPEND " + team + ` (\Seen) " 1-Jan-2026 10:00:00 +0000" {13+}` + "\r\nSubject: a\r\n"
	bob.must(letter)
	bob.conn.Close()
	h.waitForSessions(1)
	bob = h.enter("bob@example.test")
	bob.must(letter)
	if lines := bob.must("STATUS " + team + " (MESSAGES)"); !strings.Contains(lines[0], "MESSAGES 2)") {
		t.Errorf("%q", lines)
	}
}

func TestPatternsThatMeanNothingOfOthersDoNotAskForIt(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, "%": true, "INBOX": false, "Other Users": true, "Other Users/%": true, "O*": true, "Other Users/alice@example.test/Team": true,
		"Work/*": false, "Other Userz": false, "": true,
	} {
		if got := (patterns{pattern}).mayMatchOthers(); got != want {
			t.Errorf("%q: %v", pattern, got)
		}
	}
}
