package compose_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

func TestFieldsAreWrittenByName(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		write func() ([]byte, error)
		want  string // "" is Invalid
	}{
		{func() ([]byte, error) { return compose.TextField("X-A", "schön") }, "X-A: =?utf-8?q?sch=C3=B6n?=\r\n"},
		{func() ([]byte, error) { return compose.TextField("X-A", "") }, "X-A:\r\n"},
		{func() ([]byte, error) { return compose.TextField("X-A", strings.Repeat("x", 17<<10)) }, ""},
		{func() ([]byte, error) { return compose.RawField("X-A", "bare") }, "X-A: bare\r\n"},
		{func() ([]byte, error) { return compose.RawField("X-A", " a\r\n\tb") }, "X-A: a\r\n\tb\r\n"},
		{func() ([]byte, error) { return compose.RawField("X-A", "a\r\nB: c") }, ""},
		{func() ([]byte, error) { return compose.RawField("X-A", "a\r\n") }, ""},
		{func() ([]byte, error) { return compose.RawField("X-A", "a\nb") }, ""},
		{func() ([]byte, error) { return compose.RawField("X-A", "ä") }, ""},
		{func() ([]byte, error) { return compose.RawField("X-A", strings.Repeat("x", 995)) }, ""},
		{func() ([]byte, error) { return compose.DateField("Date", at) }, "Date: Sun, 22 Nov 2026 08:00:00 +0100\r\n"},
		{func() ([]byte, error) { return compose.DateField("Date", time.Time{}) }, ""},
		{func() ([]byte, error) { return compose.IDField("References", []string{"a@b", "c@d"}) }, "References: <a@b> <c@d>\r\n"},
		{func() ([]byte, error) { return compose.IDField("References", nil) }, "References:\r\n"},
		{func() ([]byte, error) { return compose.IDField("References", []string{"a b"}) }, ""},
		{func() ([]byte, error) { return compose.URLField("List-Post", []string{"mailto:a@b", "http://c/"}) }, "List-Post: <mailto:a@b>, <http://c/>\r\n"},
		{func() ([]byte, error) { return compose.URLField("List-Post", []string{"ü"}) }, ""},
		{func() ([]byte, error) {
			return compose.GroupField("To", []compose.Group{{Name: "Us", IsNamed: true, Addresses: []message.Address{{Mailbox: "a", Host: "b.test"}}}, {Addresses: []message.Address{{Name: "N", Mailbox: "half", Host: message.MissingHost}, {}}}})
		}, "To: \"Us\": a@b.test;, \"N\" <\"half\">\r\n"},
		{func() ([]byte, error) { return compose.GroupField("To", nil) }, "To:\r\n"},
		{func() ([]byte, error) {
			return compose.GroupField("To", []compose.Group{{Addresses: make([]message.Address, compose.MaxRecipients+1)}})
		}, ""},
	} {
		got, err := c.write()
		if string(got) != c.want || c.want == "" && mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q (%v), want %q", got, err, c.want)
		}
	}
	for name, want := range map[string]bool{"X-A": true, "": false, "a b": false, "a:": false, "ä": false, strings.Repeat("x", 78): false} {
		if compose.IsFieldName(name) != want {
			t.Errorf("%q is a name of a field: %v", name, !want)
		}
	}
}

func TestPartsHaveTheirStructure(t *testing.T) {
	leaf := func(typ, text string, isText bool) *compose.Part {
		return &compose.Part{Type: typ, Text: isText, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	}
	inner := "Subject: inner\r\n\r\ntext"
	root := &compose.Part{Type: "multipart/mixed", Params: []message.Param{{Name: "x-y", Value: "ü"}}, Fields: []byte("X-Root: 1\r\n"), Parts: []*compose.Part{
		leaf("text/plain", "a\nb=", true), leaf("application/x", "\x00\xff", false), leaf("message/rfc822", inner, false),
	}}
	out := written(t, func(w io.Writer) error { return compose.WriteParts(w, []byte("Subject: x\r\n"), root) })
	m, err := message.Parse(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if got := shape(m.Root); got != "mixed(plain x rfc822(plain))" && len(m.Root.Parts) != 3 {
		t.Errorf("%s", got)
	}
	for i, want := range []string{"a\r\nb=", "\x00\xff", inner} {
		p := m.Root.Parts[i]
		b, err := io.ReadAll(message.DecodeBody(p.Body(bytes.NewReader(out)), p.Encoding))
		if err != nil || string(b) != want {
			t.Errorf("part %d is %q (%v), want %q", i, b, err, want)
		}
	}
	if m.Root.Param("x-y") != "ü" || !bytes.Contains(out, []byte("\r\nX-Root: 1\r\n")) || !bytes.Contains(out, []byte("MIME-Version: 1.0\r\n")) {
		t.Errorf("%s", out)
	}
}
