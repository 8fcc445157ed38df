package message

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRepairedHeader(t *testing.T) {
	plain := &Part{Type: "text", Subtype: "plain", Params: []Param{{"charset", "iso-8859-1"}, {"format", "flowed"}}}
	recoding := &Recoding{Encoding: "quoted-printable", Charset: "utf-8"}
	for _, c := range []struct {
		name, in, want string
		r              *Recoding
	}{
		{"clean", "Subject: a\r\n\tb\r\n\r\n", "Subject: a\r\n\tb\r\n\r\n", nil},
		{"bare line ends", "Subject: a\nX: b\n\n", "Subject: a\r\nX: b\r\n\r\n", nil},
		{"raw subject", "Subject: f\xfcr dich\r\n\r\n", "Subject: =?utf-8?q?f=C3=BCr_dich?=\r\n\r\n", nil},
		{"raw name", "From: J\xc3\xb6rg <j@a.test>\r\n\r\n", "From: =?utf-8?q?J=C3=B6rg?= <j@a.test>\r\n\r\n", nil},
		{"address beyond ASCII", "To: J\xc3\xb6rg <j\xc3\xb6rg@a.test>\r\n\r\n", "To: J\xc3\xb6rg <j\xc3\xb6rg@a.test>\r\n\r\n", nil},
		{"field of unknown meaning", "X-Note: na\xefve\x01\r\n\r\n", "X-Note: na\xc3\xafve\r\n\r\n", nil},
		{"file name", "Content-Disposition: attachment; filename=\"\xc3\xa9.txt\"\r\n\r\n",
			"Content-Disposition: attachment;\r\n filename*=utf-8''%C3%A9.txt\r\n\r\n", nil},
		{"control", "Subject: a\x00\x1bb\r\n\r\n", "Subject: ab\r\n\r\n", nil},
		{"control in an address", "From: \xff 0@a\x1b.test\r\n\r\n", "From: =?utf-8?q?=C3=BF?= <0@a.test>\r\n\r\n", nil},
		{"control in an encoded file name", "Content-Disposition: attachment; filename*=utf-8''a%1Bb; x=\"\xc3\xa9\"\r\n\r\n",
			"Content-Disposition: attachment;\r\n x*=utf-8''%C3%A9;\r\n filename=\"ab\"\r\n\r\n", nil},
		{"other body", "Content-Type: text/plain; charset=iso-8859-1;\r\n format=flowed\r\nSubject: s\r\n\r\n",
			"Subject: s\r\nContent-Type: text/plain;\r\n format=\"flowed\";\r\n charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", recoding},
		{"no header", "\r\n", "Content-Type: text/plain;\r\n format=\"flowed\";\r\n charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", recoding},
		{"no blank line", "Subject: \xc3\xbc\r\n", "Subject: =?utf-8?q?=C3=BC?=\r\n", nil},
	} {
		if got := string(RepairHeader([]byte(c.in), plain, c.r)); got != c.want {
			t.Errorf("%s: got\n%q, want\n%q", c.name, got, c.want)
		}
	}
}

func FuzzRepairHeader(f *testing.F) {
	f.Add("Subject: f\xfcr\r\nFrom: \xff <a@b.test>\n x\r\n\r\n", true)
	f.Add("Content-Type: text/plain; name*=utf-8''%FF\n", false)
	for _, raw := range letters(f) {
		header, _, _ := strings.Cut(string(raw), "\n\n")
		f.Add(header+"\nX: \xff\n\n", true)
	}
	for _, tt := range addressTests {
		f.Add("To: "+tt.in+", \xfc <u@b.test>\r\n", false)
	}
	for _, tt := range wordTests {
		f.Add("Subject: "+tt.in+"\xfc\r\nFrom: "+tt.in+" <a@b.test>, \xfc <u@b.test>\r\n", false)
	}
	for _, params := range []string{"a*0=b; a*1*=%FF; a*2=c", "a*=iso-8859-1'de'%FC", `a="\"(x\\y"; (c) b=d`, "a*1*=x; a*0*=utf-8''%C3%BC", "a;b=;=c; a*x=y; a*00=z"} {
		f.Add("Content-Disposition: attachment; "+params+"; z=\xfc\r\nContent-Type: a/b; "+params+"; z=\xfc\r\n", false)
	}
	f.Fuzz(func(t *testing.T, block string, recode bool) {
		p := &Part{Type: "text", Subtype: "plain"}
		var r *Recoding
		if recode {
			r = &Recoding{Encoding: "quoted-printable", Charset: "utf-8"}
		}
		out := string(RepairHeader([]byte(block), p, r))
		if !utf8.ValidString(out) || strings.ContainsAny(out, "\x00\x1b") {
			t.Errorf("%q became %q", block, out)
		}
		if again := string(RepairHeader([]byte(out), p, nil)); again != out && isClean(out) {
			t.Errorf("%q became %q, then %q", block, out, again)
		}
	})
}
