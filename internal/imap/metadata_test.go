package imap

import (
	"bytes"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

// What holds NUL goes both ways as a literal8, and what is long as a literal.
func TestAnnotationsOfAnyBytesAndTheLongest(t *testing.T) {
	c := dial(t, newHouse(t, nil).addr)
	c.line()
	c.must("LOGIN " + testLogin + ` "` + testPassword + `"`)
	c.must("SETMETADATA INBOX (/private/comment ~{3+}\r\na\x00\xff)")
	if lines := c.must("GETMETADATA INBOX /private/comment"); lines[0] != "* METADATA INBOX (/private/comment ~{3}" || lines[1] != "a\x00\xff)" {
		t.Errorf("%q", lines)
	}
	long := strings.Repeat("x", mail.MaxMetadataBytes)
	c.must("SETMETADATA INBOX (/private/comment {65536+}\r\n" + long + ")")
	if lines := c.must("GETMETADATA INBOX /private/comment"); lines[1] != long+")" {
		t.Errorf("%.60q", lines)
	}
	c.n++
	c.send("over SETMETADATA INBOX (/private/comment {65537+}\r\n" + string(bytes.Repeat([]byte("y"), mail.MaxMetadataBytes+1)) + ")")
	if lines := c.answer(); !strings.HasPrefix(lines[0], "over NO [METADATA MAXSIZE 65536]") {
		t.Errorf("%.80q", lines)
	}
	c.must("NOOP")
}
