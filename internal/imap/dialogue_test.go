package imap

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/search"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

var update = flag.Bool("update", false, "rewrite what the server says in testdata/*.txt")

// TestDialogues plays testdata/*.txt. A file has scenes, each beginning with a
// line "== name". In a scene:
//
//	given INBOX                     messages of a mailbox follow, made if it is not there
//	  uid 7 modseq 21 \Seen         one message; modseq may be left out
//	    |Subject: hello             its text, else one is made up
//	given INBOX is common           its \Seen is everybody's from now on
//	given an index                  of texts; there is none otherwise
//	the index catches up            and knows all that is there
//	quota 4096                      bytes the account may have
//	C1 enters [as bob] [CONDSTORE …]  signs in, and enables; what is said is not shown
//	C1 selects INBOX [(…)]          likewise
//	C1 connects                     what the server says is shown, as with all below
//	C1: a1 NOOP                     a line is sent; what follows up to its tagged response, or to "+", is shown
//	C1 hears 2                      two lines are waited for
//	C1 breaks off                   the connection is gone
//	S1: …                           what the server says; -update rewrites it. Capabilities after login are left out
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) { playFile(t, name) })
	}
}

func playFile(t *testing.T, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	head, scenes := cutScenes(strings.Split(strings.TrimRight(string(text), "\n"), "\n"))
	out = append(out, head...)
	for _, lines := range scenes {
		t.Run(strings.TrimPrefix(lines[0], "== "), func(t *testing.T) {
			s := &scene{t: t, house: newHouse(t, indexIfGiven(t, lines)), clients: map[string]*testClient{}}
			s.play(lines)
			out = append(out, s.out...)
		})
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(name, []byte(strings.Join(out, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func cutScenes(lines []string) (head []string, scenes [][]string) {
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, "== "):
			scenes = append(scenes, []string{l})
		case len(scenes) == 0:
			head = append(head, l)
		default:
			scenes[len(scenes)-1] = append(scenes[len(scenes)-1], l)
		}
	}
	return head, scenes
}

type scene struct {
	t       *testing.T
	house   *house
	clients map[string]*testClient
	mailbox string // of the given messages
	said    []string
	out     []string
}

func (s *scene) play(lines []string) {
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "S") && strings.Contains(line, ": ") {
			continue // compared below
		}
		s.out = append(s.out, line)
		if strings.HasPrefix(line, "  uid ") {
			text := ""
			for ; i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    |"); i++ {
				text += strings.TrimPrefix(lines[i+1], "    |") + "\r\n"
				s.out = append(s.out, lines[i+1])
			}
			s.given(line, text)
			continue
		}
		s.said = nil
		s.do(line)
		want := []string{}
		for j := i + 1; j < len(lines) && strings.HasPrefix(lines[j], "S") && strings.Contains(lines[j], ": "); j++ {
			want = append(want, lines[j])
		}
		if got := strings.Join(s.said, "\n"); got != strings.Join(want, "\n") && !*update {
			s.t.Errorf("after %q\n got %s\nwant %s", line, strings.ReplaceAll(got, "\n", "\n     "), strings.Join(want, "\n     "))
		}
		s.out = append(s.out, s.said...)
		if s.t.Failed() {
			return
		}
	}
}

// shortCapabilities leaves out what is announced to who has logged in:
// testdata/capability.golden has it.
func shortCapabilities(line string) string {
	return announcedAfterLogin.ReplaceAllString(line, "CAPABILITY …")
}

var announcedAfterLogin = regexp.MustCompile(`CAPABILITY [^\]]* IDLE [^\]]*`)

// given makes a message.
func (s *scene) given(line, text string) {
	f := strings.Fields(line)
	uid, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	f = f[2:]
	var modseq uint64
	if len(f) > 1 && f[0] == "modseq" {
		modseq, _ = strconv.ParseUint(f[1], 10, 64)
		f = f[2:]
	}
	flags, err := mail.NewFlags(f...)
	if err != nil {
		s.t.Fatal(err)
	}
	if text == "" {
		text = fmt.Sprintf("From: Bob <bob@example.test>\r\nTo: alice@example.test\r\nSubject: message %d\r\n"+
			"Date: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <%d@example.test>\r\n\r\nHello, this is message %d.\r\n", uid, uid, uid)
	}
	s.house.put(s.mailbox, text, flags, mail.UID(uid), mail.ModSeq(modseq))
}

var verb = regexp.MustCompile(`^(C\d) (enters|selects|connects|hears|breaks off)\s*(.*)$`)

func (s *scene) do(line string) {
	switch line {
	case indexGiven:
		return
	case "the index catches up":
		if err := s.house.server.Search.(*search.Index).CatchUp(s.t.Context(), s.house.account); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	if path, ok := strings.CutSuffix(line, " is common"); ok {
		s.house.commonSeen(strings.TrimPrefix(path, "given "))
		return
	}
	if quota, ok := strings.CutPrefix(line, "quota "); ok {
		n, _ := strconv.ParseInt(quota, 10, 64)
		s.house.update(func(tx store.Tx) error { return tx.SetQuota(n) })
		return
	}
	if path, ok := strings.CutPrefix(line, "given "); ok {
		s.mailbox = path
		return
	}
	if m := verb.FindStringSubmatch(line); m != nil {
		s.act(m[1], m[2], m[3])
		return
	}
	name, text, ok := strings.Cut(line, ": ")
	if !ok || !strings.HasPrefix(name, "C") {
		return // a comment, or an empty line
	}
	c := s.client(name)
	if c.send(text) {
		s.say(name, c.answer())
	}
}

func (s *scene) client(name string) *testClient {
	c := s.clients[name]
	if c == nil {
		s.t.Fatalf("%s is not connected", name)
	}
	return c
}

func (s *scene) act(name, what, arg string) {
	switch what {
	case "connects", "enters":
		c := dial(s.t, s.house.addr)
		s.clients[name] = c
		greeting := c.line()
		if what == "connects" {
			s.say(name, []string{greeting})
			return
		}
		login := testLogin
		if rest, ok := strings.CutPrefix(arg, "as "); ok {
			login, arg, _ = strings.Cut(rest, " ")
			login += "@example.test"
		}
		c.must("LOGIN " + login + ` "` + testPassword + `"`)
		if arg != "" {
			c.must("ENABLE " + arg)
		}
	case "selects":
		s.client(name).must("SELECT " + arg)
	case "hears":
		n, _ := strconv.Atoi(arg)
		for range n {
			s.say(name, []string{s.client(name).line()})
		}
	case "breaks off":
		s.client(name).conn.Close()
		delete(s.clients, name)
		s.house.waitForSessions(len(s.clients))
	}
}

// commonSeen makes the \Seen of a mailbox common.
func (h *house) commonSeen(path string) {
	h.t.Helper()
	h.update(func(tx store.Tx) error {
		mb, err := tx.MailboxByPath(path)
		im := mb.Image()
		im.CommonSeen = true
		if err == nil {
			err = tx.SetMailbox(mb.ID, im)
		}
		return err
	})
}

// waitForSessions returns when so many are left.
func (h *house) waitForSessions(n int) {
	h.t.Helper()
	for end := time.Now().Add(steady.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		total := h.server.door.Inside()
		if total <= n {
			return
		}
	}
	h.t.Fatal("the session does not end")
}

var unsteady = regexp.MustCompile(`\bE[A-Za-z0-9_-]{22}\b`)

func (s *scene) say(name string, lines []string) {
	for _, l := range lines {
		s.said = append(s.said, shortCapabilities("S"+name[1:]+": "+unsteady.ReplaceAllString(l, "E-random")))
	}
}

// testClient speaks lines.
type testClient struct {
	t      testing.TB
	conn   net.Conn
	in     *bufio.Reader
	tag    string
	left   int  // bytes of a literal still to be sent
	within bool // a literal was sent, and the rest of the command was not
	n      int
}

func dial(t testing.TB, addr string) *testClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newTestClient(t, c)
}

func newTestClient(t testing.TB, c net.Conn) *testClient {
	return &testClient{t: t, conn: c, in: bufio.NewReader(c)}
}

var announcement = regexp.MustCompile(`\{(\d+)(\+?)\}$`)

// send sends a line and reports whether an answer is due.
func (c *testClient) send(text string) bool {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(steady.Patience))
	if _, err := c.conn.Write([]byte(text + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	if c.left > 0 {
		if c.left -= len(text) + 2; c.left >= 0 {
			c.within = true
			return false // the rest of the command follows
		}
		c.left = 0 // the literal ended within the line
	} else if tag, _, ok := strings.Cut(text, " "); ok && !c.within {
		c.tag = tag
	}
	c.within = false
	if m := announcement.FindStringSubmatch(text); m != nil {
		c.left, _ = strconv.Atoi(m[1])
		return m[2] == ""
	}
	return true
}

// answer reads up to the tagged response or a continuation request.
func (c *testClient) answer() []string {
	c.t.Helper()
	var lines []string
	for {
		l, err := c.read()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.t.Fatalf("no answer; so far:\n%s", strings.Join(lines, "\n"))
			}
			return append(lines, "(closed)")
		}
		lines = append(lines, l)
		switch {
		case strings.HasPrefix(l, "+ "):
			return lines
		case strings.HasPrefix(l, c.tag+" "):
			c.left = 0 // a literal that was not wanted
			return lines
		}
	}
}

func (c *testClient) read() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(steady.Patience))
	l, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(l, "\r\n") {
		c.t.Fatalf("a line without CR: %q", l)
	}
	return strings.TrimSuffix(l, "\r\n"), nil
}

func (c *testClient) line() string {
	c.t.Helper()
	l, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

// must runs a command that succeeds and returns what was said.
func (c *testClient) must(command string) []string {
	c.t.Helper()
	lines := c.run(command)
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, c.tag+" OK") {
		c.t.Fatalf("%s: %s", command, last)
	}
	return lines
}

func (c *testClient) run(command string) []string {
	c.t.Helper()
	c.n++
	if !c.send(fmt.Sprintf("t%d %s", c.n, command)) {
		c.t.Fatalf("%q is not whole", command)
	}
	return c.answer()
}
