package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestLiteralAtEnd(t *testing.T) {
	for _, c := range []struct {
		line string
		n    int
		ok   bool
	}{
		{"* 1 FETCH (BODY[] {42}\r\n", 42, true}, {"* 1 FETCH (BODY[] {0}\r\n", 0, true}, {"* OK {42} done\r\n", 0, false}, {"}\r\n", 0, false},
		{"{}\r\n", 0, false}, {"{-1}\r\n", 0, false}, {"{42}\n", 0, false}, {"", 0, false},
	} {
		if n, ok := literalAtEnd([]byte(c.line)); n != c.n && c.ok || ok != c.ok {
			t.Errorf("literalAtEnd(%q) = %d, %v; want %d, %v", c.line, n, ok, c.n, c.ok)
		}
	}
}

func TestUntaggedResponses(t *testing.T) {
	if n, ok := untaggedNumber([]byte("* 172 EXISTS"), "EXISTS"); n != 172 || !ok {
		t.Errorf("EXISTS: %d, %v", n, ok)
	}
	if _, ok := untaggedNumber([]byte("* OK EXISTS"), "EXISTS"); ok {
		t.Error("OK is not a number")
	}
	if n, ok := codeNumber([]byte("* OK [HIGHESTMODSEQ 715194045007] Highest"), "HIGHESTMODSEQ"); n != 715194045007 || !ok {
		t.Errorf("HIGHESTMODSEQ: %d, %v", n, ok)
	}
	if _, ok := codeNumber([]byte("* OK [HIGHESTMODSEQ many] Highest"), "HIGHESTMODSEQ"); ok {
		t.Error("many is not a number")
	}
	for line, want := range map[string]bool{"* 1 FETCH (UID 1)": true, "* 12345 FETCH (": true, "* FETCH 1": false, "* 1 EXPUNGE": false, "t1 OK FETCH": false, "": false} {
		if got := isFetch([]byte(line)); got != want {
			t.Errorf("isFetch(%q) = %v", line, got)
		}
	}
}

// script is a connection to a server that says its lines, whatever it hears.
type script struct {
	net.Conn
	lines io.Reader
}

func (s script) Read(b []byte) (int, error)  { return s.lines.Read(b) }
func (s script) Write(b []byte) (int, error) { return len(b), nil }
func (s script) SetDeadline(time.Time) error { return nil }
func dialogue(lines string) script           { return script{lines: strings.NewReader(lines)} }

func TestAnAnswerIsReadWithItsLiterals(t *testing.T) {
	c := &imapConn{Conn: dialogue("* 1 FETCH (BODY[] {5}\r\nt1 OK UID 7)\r\n* 2 FETCH (UID 9)\r\nt1 OK done\r\n")}
	c.r = bufio.NewReaderSize(c.Conn, 16) // smaller than a line
	var heard []string
	if err := c.do("FETCH 1:2 (UID BODY[])", func(line []byte) { heard = append(heard, string(line)) }); err != nil {
		t.Fatal(err)
	}
	if want := "* 1 FETCH (BODY[] {5}\r\n UID 7)|* 2 FETCH (UID 9)"; strings.Join(heard, "|") != want || c.literals != 5 {
		t.Fatalf("heard %q and %d bytes of literals", heard, c.literals)
	}
}

func TestRefusalsAndHangUpsAreErrors(t *testing.T) {
	for answer, want := range map[string]string{"t1 NO not you\r\n": "t1 NO not you", "t1 BAD what\r\n": "t1 BAD what", "* BYE\r\n": "EOF"} {
		c := &imapConn{Conn: dialogue(answer)}
		c.r = bufio.NewReader(c.Conn)
		if err := c.do("NOOP", nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestLMTPReadsEveryReply(t *testing.T) {
	c := &lmtpConn{Conn: dialogue("250 ok\r\n250 ok\r\n354 go\r\n250-2.0.0 long\r\n250 2.0.0 saved\r\n250 ok\r\n550 nobody\r\n")}
	c.r = bufio.NewReader(c.Conn)
	if err := c.deliver("a@bench.test", []byte("x\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.deliver("b@bench.test", []byte("x\r\n")); err == nil || !strings.Contains(err.Error(), "550 nobody") {
		t.Fatalf("%v", err)
	}
	if err := c.deliver("c@bench.test", []byte("x\r\n")); !errors.Is(err, io.EOF) {
		t.Fatalf("%v", err)
	}
}

func TestLettersAreDistinctAndWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(3) {
		for i, l := range letters(200, seed) {
			if len(l.text) != letterSize || seen[string(l.text)] {
				t.Fatalf("letter %d of seed %d has %d bytes; seen before: %v", i, seed, len(l.text), seen[string(l.text)])
			}
			seen[string(l.text)] = true
			if !bytes.HasSuffix(l.text, []byte("\r\n")) || bytes.Count(l.text, []byte("\r")) != bytes.Count(l.text, []byte("\r\n")) ||
				bytes.Count(l.text, []byte("\n")) != bytes.Count(l.text, []byte("\r\n")) || bytes.Contains(l.text, []byte("\n.")) {
				t.Fatalf("letter %d of seed %d:\n%s", i, seed, l.text)
			}
		}
	}
	if a, b := letters(3, 5), letters(3, 5); !bytes.Equal(a[2].text, b[2].text) {
		t.Fatal("equal seeds made different letters")
	}
}

func TestFloorIsPlausible(t *testing.T) {
	f, err := measureFloor(t.TempDir())
	if err != nil || f.SyncP50 <= 0 || f.SyncP99 < f.SyncP50 || f.RoundTripP50 <= 0 || f.RoundTripP50 > float64(time.Second.Milliseconds()) {
		t.Fatalf("%+v, %v", f, err)
	}
}
