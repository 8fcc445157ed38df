package delivery

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
)

func TestBodiesLeaveWithCRLFOnly(t *testing.T) {
	for in, want := range map[string]string{
		"":                   ".\r\n",
		"a":                  "a\r\n.\r\n",
		"a\r\n":              "a\r\n.\r\n",
		"a\nb\n":             "a\r\nb\r\n.\r\n",
		"a\rb":               "a\r\nb\r\n.\r\n",
		"a\r":                "a\r\n.\r\n",
		"a\r\r\nb\r\n":       "a\r\n\r\nb\r\n.\r\n",
		".\r\n..\r\n":        "..\r\n...\r\n.\r\n",
		"a\n.\nMAIL FROM":    "a\r\n..\r\nMAIL FROM\r\n.\r\n",
		"a\r.\rMAIL FROM":    "a\r\n..\r\nMAIL FROM\r\n.\r\n",
		"a\r\n.\rMAIL\n\r\n": "a\r\n..\r\nMAIL\r\n\r\n.\r\n",
	} {
		for _, piece := range []int{1, 2, 100} {
			var out bytes.Buffer
			w := &dotWriter{out: bufio.NewWriter(&out), newLine: true}
			for rest := []byte(in); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				if _, err := w.Write(rest[:min(piece, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.end(); err != nil || out.String() != want {
				t.Errorf("%q in pieces of %d left as %q, want %q", in, piece, out.String(), want)
			}
		}
	}
}

func TestWhatAnErrorMeans(t *testing.T) {
	for _, c := range []struct {
		err       error
		permanent bool
		status    string
	}{
		{errors.New("connection reset"), false, "4.4.2"},
		{&smtpError{"h", 550, "5.1.1 nobody"}, true, "5.1.1"},
		{&smtpError{"h", 550, "nobody"}, true, "5.0.0"},
		{&smtpError{"h", 550, "4.1.1 odd"}, true, "5.0.0"},
		{&smtpError{"h", 550, "5.1.1nobody"}, true, "5.0.0"},
		{&smtpError{"h", 451, "4.7.1 later"}, false, "4.7.1"},
		{&smtpError{"h", 421, ""}, false, "4.0.0"},
		{&smtpError{"h", 250, "what?"}, false, "4.0.0"},
		{&routeError{"5.1.10", true, errors.New("no mail")}, true, "5.1.10"},
	} {
		r := resultOf(c.err)
		if r.permanent != c.permanent || r.status != c.status || r.err == nil {
			t.Errorf("%v: %v %s, want %v %s", c.err, r.permanent, r.status, c.permanent, c.status)
		}
	}
}

func TestXtext(t *testing.T) {
	if got := encodeXtext("a+b=c ü"); got != "a+2Bb+3Dc+20+C3+BC" {
		t.Errorf("got %s", got)
	}
}
