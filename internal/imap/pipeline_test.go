package imap

import (
	"strings"
	"testing"
)

// What comes in one packet is answered in order, also IDLE with its DONE and
// literals of commands that fail.
func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	lines := []string{"p1 SELECT INBOX", "p2 IDLE", "DONE", "p3 APPEND INBOX {1+}\r\nx", "p4 FETCH 1 (UID)", "p5 APPEND Nowhere {3+}\r\nxyz",
		"p6 LOGIN {1+}\r\na {1+}\r\nb", "p7 IDLE", "done", "p8 XYZZY {4+}\r\nLIST", "p9 NOOP"}
	if _, err := c.conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "p9 ") {
		if l := c.line(); !strings.HasPrefix(l, "* ") {
			tag, rest, _ := strings.Cut(l, " ")
			word, _, _ := strings.Cut(rest, " ")
			got = append(got, tag+" "+word)
		}
	}
	const want = "p1 OK,+ idling,p2 OK,p3 OK,p4 OK,p5 NO,p6 BAD,+ idling,p7 OK,p8 BAD,p9 OK"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}
