package imap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
)

// limitedHouse has five messages with the UIDs 2, 4, 6, 8 and 10.
func limitedHouse(t *testing.T, l Limits) *testClient {
	h := newHouse(t, func(s *Server) { s.Limits = l })
	for i := range 5 {
		h.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\nbody\r\n", i+1), mail.Flags{}, mail.UID(2*i+2), 0)
	}
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	return c
}

// says runs a command and wants these lines, the tag left out.
func (c *testClient) says(command string, want ...string) {
	c.t.Helper()
	lines := c.run(command)
	lines[len(lines)-1] = strings.TrimPrefix(lines[len(lines)-1], c.tag+" ")
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		c.t.Errorf("%s\n got %s\nwant %s", command, got, strings.Join(want, "\n"))
	}
}

// What is past the limit is left to the next command, the newest first
// (RFC 9738 §3).
func TestMessageLimit(t *testing.T) {
	c := limitedHouse(t, Limits{PerCommand: 3, PerSave: 3})
	if caps := c.must("CAPABILITY")[0]; !strings.Contains(caps, " MESSAGELIMIT=3 SAVELIMIT=3 ") {
		t.Error(caps)
	}
	c.says("UID FETCH 6:10 UID", "* 3 FETCH (UID 6)", "* 4 FETCH (UID 8)", "* 5 FETCH (UID 10)", "OK FETCH completed")
	c.says("FETCH 1:* UID", "* 3 FETCH (UID 6)", "* 4 FETCH (UID 8)", "* 5 FETCH (UID 10)", "OK [MESSAGELIMIT 3 6] FETCH completed")
	c.says("UID FETCH 1:5 UID", "* 1 FETCH (UID 2)", "* 2 FETCH (UID 4)", "OK FETCH completed")
	c.says("UID SEARCH ALL", "* SEARCH 6 8 10", "OK [MESSAGELIMIT 3 6] SEARCH completed")
	c.says("UID SEARCH UIDBEFORE 6", "* SEARCH 2 4", "OK SEARCH completed")
	c.says("SEARCH RETURN (COUNT) UIDAFTER 2", `* ESEARCH (TAG "`+c.next()+`") COUNT 3`, "OK [MESSAGELIMIT 3 6] SEARCH completed")
	c.says("STORE 1:* +FLAGS.SILENT (\\Flagged)", "OK [MESSAGELIMIT 3 6] STORE completed")
	c.says("SEARCH FLAGGED", "* SEARCH 3 4 5", "OK SEARCH completed")
	c.says("UID STORE 1:* (UNCHANGEDSINCE 1) FLAGS.SILENT (\\Seen)", "* OK [HIGHESTMODSEQ 12] Highest", "* OK [MESSAGELIMIT 3 6] Not all of the messages", "OK [MODIFIED 6,8,10] STORE completed")
	c.says("COPY 1:4 Archive", "NO [MESSAGELIMIT 3] Too many messages at once")
	c.says("COPY 1:3 Archive", "OK [COPYUID 4 2,4,6 1:3] COPY completed")
	c.says("UID MOVE 1:* Archive", "* OK [COPYUID 4 6,8,10 4:6] Moved", "* 3 EXPUNGE", "* 3 EXPUNGE", "* 3 EXPUNGE", "* 2 RECENT", "* OK [MESSAGELIMIT 3 6] Not all of the messages", "OK [HIGHESTMODSEQ 14] MOVE completed")
}

// next is the tag of the next command.
func (c *testClient) next() string { return fmt.Sprintf("t%d", c.n+1) }

// EXPUNGE and CLOSE do all, UID EXPUNGE what it may.
func TestMessageLimitOfExpunge(t *testing.T) {
	c := limitedHouse(t, Limits{PerCommand: 3})
	c.must("STORE 3:5 +FLAGS.SILENT (\\Deleted)")
	c.must("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
	c.says("UID EXPUNGE 1:*", "* 3 EXPUNGE", "* 3 EXPUNGE", "* 3 EXPUNGE", "* 2 RECENT", "OK [MESSAGELIMIT 3 6] EXPUNGE completed")
	c.says("EXPUNGE", "* 1 EXPUNGE", "* 1 EXPUNGE", "* 0 RECENT", "OK EXPUNGE completed")
}

func TestNewest(t *testing.T) {
	set := mail.UIDSet{{First: 1, Last: 3}, {First: 7, Last: 7}, {First: 9, Last: 12}}
	for n, want := range map[uint64]string{1: "12", 4: "9:12", 5: "7,9:12", 6: "3,7,9:12", 7: "2:3,7,9:12"} {
		if got := newest(set, n).String(); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// A long SEARCH says how far it is (RFC 9585).
func TestProgress(t *testing.T) {
	c := limitedHouse(t, Limits{Progress: time.Nanosecond})
	c.says("SEARCH BODY body", `* OK [INPROGRESS ("`+c.next()+`" 1 5)] Still at it`, `* OK [INPROGRESS ("`+c.next()+`" 2 5)] Still at it`,
		`* OK [INPROGRESS ("`+c.next()+`" 3 5)] Still at it`, `* OK [INPROGRESS ("`+c.next()+`" 4 5)] Still at it`, "* SEARCH 1 2 3 4 5", "OK SEARCH completed")
	c.send("a]b SEARCH TEXT nothing")
	if lines := c.answer(); lines[0] != "* OK [INPROGRESS (NIL 1 5)] Still at it" {
		t.Error(lines)
	}
	c.says("SEARCH ALL", "* SEARCH 1 2 3 4 5", "OK SEARCH completed")
}

// Who is quick hears nothing of it.
func TestQuickCommandsSayNoProgress(t *testing.T) {
	c := limitedHouse(t, Limits{})
	c.says("SEARCH BODY body", "* SEARCH 1 2 3 4 5", "OK SEARCH completed")
}

func TestUIDBatches(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	empty := `* UIDBATCHES (TAG "` + c.next() + `")`
	c.says("UIDBATCHES 500", empty, "OK UIDBATCHES completed")
	for i := range 1201 {
		h.put("INBOX", "Subject: x\r\n\r\n", mail.Flags{}, mail.UID(2*i+1), 0)
	}
	c.must("NOOP")
	for command, want := range map[string]string{
		"UIDBATCHES 500":                       " 1403:2401,403:1401,1:401",
		"UIDBATCHES 1201":                      " 1:2401",
		"UIDBATCHES 1202":                      " 1:2401",
		"UIDBATCHES 1200":                      " 3:2401,1",
		"UIDBATCHES 500 1:1":                   " 1403:2401",
		"UIDBATCHES 500 2:9":                   " 403:1401,1:401",
		"UIDBATCHES 500 4:5":                   "",
		"UIDBATCHES 4294967295 1:1":            " 1:2401",
		"UIDBATCHES 500 4294967295:4294967295": "",
	} {
		c.says(command, `* UIDBATCHES (TAG "`+c.next()+`")`+want, "OK UIDBATCHES completed")
	}
	c.says("UIDBATCHES 499", "NO [TOOFEW] A batch has at least 500 messages")
	c.says("UIDBATCHES 1 9999:9999", `* UIDBATCHES (TAG "`+c.next()+`")`, "OK UIDBATCHES completed")
	c.refused("UIDBATCHES 500 3:2", "BAD")
	c.refused("UIDBATCHES 0", "BAD")
	c.refused("UIDBATCHES 500 0:1", "BAD")
	c.refused("UIDBATCHES 500 1", "BAD")
}

// Somebody else on the same connection finds nothing of whoever was there before.
func TestUnauthenticateForgetsAll(t *testing.T) {
	h := newHouse(t, nil)
	h.put("INBOX", "Subject: x\r\n\r\n", mail.Flags{}, 1, 0)
	c := dial(t, h.addr).ready()
	c.refused("UNAUTHENTICATE", "BAD")
	c.login()
	c.must("ENABLE CONDSTORE QRESYNC UTF8=ACCEPT IMAP4REV2 UIDONLY")
	c.must("SELECT INBOX")
	c.must("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
	c.must("UID SEARCH RETURN (SAVE) ALL")
	c.says("UNAUTHENTICATE", "OK Signed out")
	if caps := c.must("CAPABILITY")[0]; !strings.Contains(caps, "AUTH=PLAIN") || strings.Contains(caps, "UNAUTHENTICATE") {
		t.Error(caps)
	}
	c.refused("SELECT INBOX", "BAD")
	c.login()
	c.must("SELECT INBOX")
	c.says("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Deleted \Recent))`, "OK FETCH completed")
	c.says("FETCH $ UID", "OK FETCH completed")
	c.says("SEARCH ALL", "* SEARCH 1", "OK SEARCH completed")
	if len(h.server.Auth.Connected(h.account)) != 1 {
		t.Error("the session that signed out is still known")
	}
}

func TestUnauthenticateMayBePipelined(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	fmt.Fprintf(c.conn, "a1 UNAUTHENTICATE\r\na2 LOGIN %s %q\r\na3 SELECT INBOX\r\n", testLogin, testPassword)
	for _, tag := range []string{"a1", "a2", "a3"} {
		c.tag = tag
		if lines := c.answer(); !strings.HasPrefix(lines[len(lines)-1], tag+" OK") {
			t.Error(lines)
		}
	}
}

func TestUnauthenticateCanBeLeftOut(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.NoUnauthenticate = true })
	c := dial(t, h.addr).ready().login()
	if caps := c.must("CAPABILITY")[0]; strings.Contains(caps, "UNAUTHENTICATE") {
		t.Error(caps)
	}
	c.refused("UNAUTHENTICATE", "BAD")
	c.must("NOOP")
}

// What is compressed has no end that could be told.
func TestUnauthenticateIsNotOfferedUnderCompression(t *testing.T) {
	s := &session{srv: &Server{}, compressed: true}
	if s.mayUnauthenticate() {
		t.Error("it is")
	}
}
