package message

import (
	"io"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

func downgraded(t testing.TB, text string) string {
	t.Helper()
	m, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(Downgraded(strings.NewReader(text), m))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDowngradedHeaders(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Subject: plain\r\n\r\nböse\r\n", "Subject: plain\r\n\r\nböse\r\n"},
		{"Subject: Grüße\r\n\r\nx", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nx"},
		{"Subject: Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?= für\r\n\r\n", "Subject: =?utf-8?q?Re:_Gr=C3=BC=C3=9Fe_f=C3=BCr?=\r\n\r\n"},
		{"To: Jürgen <j@example.test>, \"a, b\" <c@example.test>\r\n\r\n", "To: =?utf-8?q?J=C3=BCrgen?= <j@example.test>,\r\n \"a, b\" <c@example.test>\r\n\r\n"},
		{"From: jürgen@example.test\r\n\r\n", "From: =?utf-8?q?j=C3=BCrgen@example.test?= <invalid@internationalized-address.invalid>\r\n\r\n"},
		{"Cc: Größe: a@example.test, b@example.test;\r\n\r\n", "Cc: =?utf-8?q?Gr=C3=B6=C3=9Fe?=: a@example.test,\r\n b@example.test;\r\n\r\n"},
		{"X-Note: ä\r\nX-Other: a\r\n\r\n", "X-Other: a\r\n\r\n"},
		{"Content-Type: text/plain; charset=utf-8; name=\"ä b.txt\"\r\n\r\nä", "Content-Type: text/plain;\r\n charset=\"utf-8\";\r\n name*=utf-8''%C3%A4%20b.txt\r\n\r\nä"},
		{"Content-Disposition: attachment; filename=ä\r\n\r\n", "Content-Disposition: attachment;\r\n filename*=utf-8''%C3%A4\r\n\r\n"},
		{"no header ä\r\nat all", "no header ä\r\nat all"},
	} {
		if got := downgraded(t, c.in); got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestDowngradedHeadersOfParts(t *testing.T) {
	in := "Content-Type: multipart/mixed; boundary=b\r\n\r\npreämble\r\n--b\r\nContent-Description: ä\r\n\r\nböse\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: ü\r\n\r\nü\r\n--b--\r\n"
	want := "Content-Type: multipart/mixed; boundary=b\r\n\r\npreämble\r\n--b\r\nContent-Description: =?utf-8?q?=C3=A4?=\r\n\r\nböse\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?=C3=BC?=\r\n\r\nü\r\n--b--\r\n"
	if got := downgraded(t, in); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestDowngradedHeaderPastTheBoundIsStillASCII(t *testing.T) {
	long := "Subject: " + strings.Repeat("ä", MaxHeaderBytes) + "\r\n\r\nx"
	if got := downgraded(t, long); !mail.IsASCII(got) || len(got) != len(long) {
		t.Errorf("%d bytes became %d", len(long), len(got))
	}
}

func FuzzDowngraded(f *testing.F) {
	f.Add("Subject: ü\r\nTo: ü <a@b>, g: c@d;\r\nContent-Type: a/b; c=\"ü\r\n ü\"\r\n\r\nx")
	f.Fuzz(func(t *testing.T, text string) {
		out := downgraded(t, text)
		again, err := Parse(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		header, err := ReadHeader(strings.NewReader(out), again.Root)
		if err != nil {
			t.Fatal(err)
		}
		if !mail.IsASCII(string(header)) {
			t.Errorf("%q is not ASCII", header)
		}
	})
}
