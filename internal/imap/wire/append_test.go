package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// readAppend reads an APPEND and all of its messages.
func readAppend(t *testing.T, r *Reader) (heads []AppendMessage, bodies []string, err error) {
	t.Helper()
	cmd, err := r.ReadCommand()
	if err != nil {
		return nil, nil, err
	}
	a, ok := cmd.Body.(*Append)
	if !ok {
		a = &cmd.Body.(*Replace).Append
	}
	for {
		m, err := a.Next()
		if err == io.EOF {
			return heads, bodies, nil
		}
		if err != nil {
			return heads, bodies, err
		}
		body, err := io.ReadAll(m)
		if err != nil {
			return heads, bodies, err
		}
		heads, bodies = append(heads, *m), append(bodies, string(body))
	}
}

func TestAppendStreamsItsMessages(t *testing.T) {
	r, asked := newReader("a APPEND Sent (\\Seen $x) \" 1-Feb-2026 03:04:05 -0100\" {5}\r\nhello"+
		" {3+}\r\nabc () ~{2+}\r\n\x00b UTF8 (~{2}\r\n\xc3\xa9)\r\nz NOOP\r\n", Limits{})
	heads, bodies, err := readAppend(t, r)
	if err != nil || strings.Join(bodies, "|") != "hello|abc|\x00b|é" || *asked != 2 {
		t.Fatalf("%q, asked %d times, %v", bodies, *asked, err)
	}
	first := heads[0]
	if strings.Join(first.Flags, " ") != `\Seen $x` || !first.Date.Equal(day) || first.Size != 5 || first.Binary {
		t.Errorf("first message: %+v", first)
	}
	if !heads[2].Binary || heads[2].UTF8 || !heads[3].UTF8 || !heads[1].Date.IsZero() {
		t.Errorf("others: %+v", heads[1:])
	}
	if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
		t.Errorf("next command %v, %v", next, err)
	}
}

func TestAppendSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"a APPEND", "a BAD APPEND: Expected a space"},
		{"a APPEND x", "a BAD APPEND: Expected a space"},
		{"a APPEND x y", "a BAD APPEND: Expected a literal"},
		{"a APPEND x UID", "a BAD APPEND: Expected a message"},
		{"a APPEND x (\\Seen {2+}\r\nab", `a BAD APPEND: Expected a flag`},
		{"a APPEND x \"1 Feb\" {2+}\r\nab", `a BAD APPEND: Expected a date-time such as " 1-Feb-2026 03:04:05 +0000"`},
		{"a APPEND x {2+}\r\nab y", "a BAD APPEND: Expected a literal"},
		{"a APPEND x {2+}\r\nab ", "a BAD APPEND: Expected a literal"},
		{"a APPEND x {2+}\r\nab)", "a BAD APPEND: Expected a space"},
		{"a APPEND x UTF8 ({2+}\r\nab)", "a BAD APPEND: Expected a literal8"},
		{"a APPEND x UTF8 (~{2+}\r\nab", `a BAD APPEND: Expected ")"`},
	} {
		r, _ := newReader(test.line+"\r\nz NOOP\r\n", Limits{})
		_, _, err := readAppend(t, r)
		if got := answer(err); got != test.want {
			t.Errorf("%q\n got %s\nwant %s", test.line, got, test.want)
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%q: next command %v, %v", test.line, next, err)
		}
	}
}

func TestReplaceHasOneMessage(t *testing.T) {
	r, _ := newReader("a REPLACE 4 Drafts (\\Draft) {2+}\r\nhi\r\nb UID REPLACE * x UTF8 (~{1+}\r\na)\r\n", Limits{})
	cmd, err := r.ReadCommand()
	if c, ok := cmd.Body.(*Replace); err != nil || !ok || c.UID || c.Number != 4 || c.Mailbox != "Drafts" {
		t.Fatalf("%#v, %v", cmd.Body, err)
	}
	cmd, err = r.ReadCommand()
	if c, ok := cmd.Body.(*Replace); err != nil || !ok || !c.UID || c.Number != Star || c.Mailbox != "x" {
		t.Fatalf("%#v, %v", cmd.Body, err)
	}
	for _, test := range []struct{ line, want string }{
		{"a REPLACE", "a BAD REPLACE: Expected a space"},
		{"a REPLACE x y", "a BAD REPLACE: Expected a message set"},
		{"a REPLACE 0 y {1+}\r\na", "a BAD REPLACE: Expected a number above zero"},
		{"a REPLACE 1:2 y {1+}\r\na", "a BAD REPLACE: Expected a space"},
		{"a UID REPLACE 1 y", "a BAD UID REPLACE: Expected a space"},
		{"a UID REPLACE 1 y {1+}\r\na {1+}\r\nb", "a BAD UID REPLACE: Unexpected text at the end of the command"},
	} {
		r, _ := newReader(test.line+"\r\nz NOOP\r\n", Limits{})
		_, _, err := readAppend(t, r)
		if got := answer(err); got != test.want {
			t.Errorf("%q\n got %s\nwant %s", test.line, got, test.want)
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%q: next command %v, %v", test.line, next, err)
		}
	}
}

func TestCatenateStreamsItsParts(t *testing.T) {
	r, asked := newReader("a APPEND Sent (\\Seen) CATENATE (URL \"/Drafts/;UID=1\" TEXT {5}\r\nhello TEXT {2+}\r\nab UTF8 (~{2}\r\n\xc3\xa9) URL {4+}\r\n;UID) {3+}\r\nabc CATENATE (TEXT {1+}\r\nx)\r\nz NOOP\r\n", Limits{})
	cmd, err := r.ReadCommand()
	if err != nil {
		t.Fatal(err)
	}
	a := cmd.Body.(*Append)
	var got []string
	for {
		m, err := a.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !m.Catenate {
			text, err := io.ReadAll(m)
			got = append(got, string(text), fmt.Sprint(err))
		}
		for m.Catenate {
			part, err := m.NextPart()
			if err == io.EOF {
				got = append(got, ")")
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text := "URL " + part.URL
			if part.URL == "" {
				b, _ := io.ReadAll(part)
				text = string(b)
			}
			got = append(got, text)
		}
	}
	if want := "URL /Drafts/;UID=1|hello|ab|é|URL ;UID|)|abc|<nil>|x|)"; strings.Join(got, "|") != want || *asked != 2 {
		t.Errorf("asked %d times for\n%s, want\n%s", *asked, strings.Join(got, "|"), want)
	}
	if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
		t.Errorf("next command %v, %v", next, err)
	}
}

func TestCatenateSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"a APPEND x CATENATE", "a BAD APPEND: Expected a space"},
		{"a APPEND x CATENATE ()", "a BAD APPEND: Expected URL, TEXT or UTF8"},
		{"a APPEND x CAT (", "a BAD APPEND: Expected a message"},
		{"a APPEND x CATENATE (URL)", "a BAD APPEND: Expected a space"},
		{"a APPEND x CATENATE (URL \"\")", "a BAD APPEND: Expected a URL"},
		{"a APPEND x CATENATE (TEXT \"a\")", "a BAD APPEND: Expected a literal"},
		{"a APPEND x CATENATE (TEXT {1+}\r\na", `a BAD APPEND: Expected a space`},
		{"a APPEND x CATENATE (TEXT {1+}\r\na FOO {1+}\r\nb)", "a BAD APPEND: Expected URL, TEXT or UTF8"},
		{"a APPEND x CATENATE (UTF8 ({1+}\r\na))", "a BAD APPEND: Expected a literal8"},
		{"a APPEND x CATENATE (URL /x) y", "a BAD APPEND: Expected a literal"},
	} {
		r, _ := newReader(test.line+"\r\nz NOOP\r\n", Limits{})
		cmd, err := r.ReadCommand()
		for err == nil {
			if _, err = cmd.Body.(*Append).Next(); err == io.EOF {
				break
			}
		}
		if got := answer(err); got != test.want {
			t.Errorf("%q\n got %s\nwant %s", test.line, got, test.want)
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%q: next command %v, %v", test.line, next, err)
		}
	}
}

// A CATENATE that is refused in its middle is read past, as far as it was sent.
func TestARefusedCatenateIsPassedOver(t *testing.T) {
	const text = "a APPEND x CATENATE (URL /a TEXT {5+}\r\nhello URL /b TEXT {2+}\r\nhi)\r\nz NOOP\r\n"
	for parts := range 5 {
		for _, bytes := range []int{0, 2, 5} {
			r, _ := newReader(text, Limits{})
			cmd, err := r.ReadCommand()
			if err != nil {
				t.Fatal(err)
			}
			m, err := cmd.Body.(*Append).Next()
			if err != nil {
				t.Fatal(err)
			}
			for range parts {
				part, err := m.NextPart()
				if err != nil {
					t.Fatal(err)
				}
				io.ReadFull(part, make([]byte, min(bytes, int(part.Size))))
			}
			if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
				t.Errorf("after %d parts and %d bytes: next command %v, %v", parts, bytes, next, err)
			}
		}
	}
}

func TestARefusedAppendIsPassedOver(t *testing.T) {
	for _, test := range []struct {
		text  string
		read  int // messages taken, the last of them by one byte only
		asked int
	}{
		{"a APPEND x {9}\r\n", 0, 0},
		{"a APPEND x {9+}\r\nz2 NOOP\r\n {3+}\r\nabc\r\n", 0, 0},
		{"a APPEND x {9+}\r\nz2 NOOP\r\n {3}\r\n", 0, 0},
		{"a APPEND x {9}\r\nz2 NOOP\r\n\r\n", 1, 1},
		{"a APPEND x {9+}\r\nz2 NOOP\r\n {3+}\r\nabc {4}\r\n", 1, 0},
		{"a APPEND x {3+}\r\nabc {3}\r\nabc\r\n", 2, 1},
	} {
		for _, closed := range []bool{true, false} {
			r, asked := newReader(test.text+"z NOOP\r\n", Limits{})
			cmd, err := r.ReadCommand()
			if err != nil {
				t.Fatal(err)
			}
			a := cmd.Body.(*Append)
			for range test.read {
				if m, err := a.Next(); err != nil {
					t.Fatal(err)
				} else if _, err := io.ReadFull(m, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if closed {
				if test.read == 0 {
					a.Next()
				}
				if err := a.Close(); err != nil {
					t.Errorf("%q: Close: %v", test.text, err)
				}
				if _, err := a.Next(); err == nil {
					t.Errorf("%q: a message after Close", test.text)
				}
			}
			if next, err := r.ReadCommand(); err != nil || next.Tag != "z" || *asked != test.asked {
				t.Errorf("%q, closed %v: next command %v, %v; asked %d times", test.text, closed, next, err, *asked)
			}
		}
	}
}

func TestARefusedMessageTooLargeToSkipEndsTheConnection(t *testing.T) {
	r, _ := newReader("a APPEND x {100+}\r\n"+strings.Repeat("x", 100), Limits{Skip: 99})
	cmd, _ := r.ReadCommand()
	if err := cmd.Body.(*Append).Close(); !strings.HasPrefix(answer(err), "* BYE [TOOBIG]") {
		t.Errorf("%v", err)
	}
	r, _ = newReader("a APPEND x {100}\r\n"+strings.Repeat("x", 100)+"\r\nz NOOP\r\n", Limits{Skip: 1})
	cmd, _ = r.ReadCommand()
	m, _ := cmd.Body.(*Append).Next()
	m.Read(make([]byte, 1))
	if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
		t.Errorf("what was asked for does not count as skipped: %v, %v", next, err)
	}
}

func TestAShortMessageIsAnError(t *testing.T) {
	r, _ := newReader("a APPEND x {5+}\r\nab", Limits{})
	_, _, err := readAppend(t, r)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

func TestBetweenCommandsNoBufferIsHeld(t *testing.T) {
	r, _ := newReader("a APPEND x {2+}\r\nab {2+}\r\ncd\r\n", Limits{})
	cmd, err := r.ReadCommand()
	if err != nil {
		t.Fatal(err)
	}
	a := cmd.Body.(*Append)
	if a.p.buf == nil {
		t.Error("the rest of the command is gone before it was read")
	}
	drained := a.p
	if err := a.Close(); err != nil || drained.buf != nil || drained.held != nil || r.pending != nil {
		t.Errorf("held after the command: %d bytes, %v", cap(drained.buf), err)
	}
}

func TestTheLineBoundIsOnEachMessageHead(t *testing.T) {
	many := strings.Repeat(" (\\Seen) {2+}\r\nab", 50)
	r, _ := newReader("a APPEND x"+many+"\r\n", Limits{Line: 40})
	if _, bodies, err := readAppend(t, r); err != nil || len(bodies) != 50 {
		t.Errorf("%d messages, %v", len(bodies), err)
	}
	r, _ = newReader("a APPEND x {2+}\r\nab ("+strings.Repeat("k", 40)+") {2+}\r\nab\r\nz NOOP\r\n", Limits{Line: 40})
	if _, _, err := readAppend(t, r); answer(err) != "a BAD [TOOBIG] APPEND: Command line too long" {
		t.Errorf("one past: %v", err)
	}
	if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
		t.Errorf("next command %v, %v", next, err)
	}
}
