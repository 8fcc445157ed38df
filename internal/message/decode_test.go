package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

var addressTests = []struct{ in, want string }{
	{`a@b.test`, `[{ a b.test}]`},
	{`Ada Example <ada@example.test>`, `[{Ada Example ada example.test}]`},
	{`J. R. Doe <j.r.doe@x.example>, b@c.test`, `[{J. R. Doe j.r.doe x.example} { b c.test}]`},
	{`"Doe, \"J\" R." <doe@x.example>`, `[{Doe, "J" R. doe x.example}]`},
	{`"john doe"@x.example`, `[{ john doe x.example}]`},
	{`john.doe@x.example (John Doe)`, `[{John Doe john.doe x.example}]`},
	{`=?utf-8?Q?Doe,_J=C3=B6rg?= <j@x.example>`, `[{=?utf-8?Q?Doe,_J=C3=B6rg?= j x.example}]`},
	{`Friends: a@b.test, C <c@d.test>;, e@f.test`, `[{ Friends } { a b.test} {C c d.test} {  } { e f.test}]`},
	{`undisclosed-recipients:;`, `[{ undisclosed-recipients } {  }]`},
	{`Open: a@b.test`, `[{ Open } { a b.test} {  }]`},
	{`One: Two: a@b.test;`, `[{ One } {  } { Two } { a b.test} {  }]`},
	{`<@relay.test,@hub.test:a@b.test>`, `[{ a b.test}]`},
	{`a@[192.0.2.1]`, `[{ a [192.0.2.1]}]`},
	{`john . doe @ x . example`, `[{ john.doe x.example}]`},
	{`John Doe john@x.example`, `[{John Doe john x.example}]`},
	{`a@b.test; c@d.test`, `[{ a b.test} { c d.test}]`},
	{`a@b.test junk, c@d.test`, `[{ a b.test} { c d.test}]`},
	{`ada`, `[{ ada MISSING_DOMAIN}]`},
	{`Nobody <>`, `[{Nobody MISSING_MAILBOX MISSING_DOMAIN}]`},
	{`@b.test`, `[{ MISSING_MAILBOX b.test}]`},
	{`<a@b.test`, `[{ a b.test}]`},
	{`"never ends <a@b.test>`, `[{ never ends <a@b.test> MISSING_DOMAIN}]`},
	{`(only a comment`, `[]`},
	{`,,;`, `[]`},
	{"\x00:a", `[{ MISSING_MAILBOX } { a MISSING_DOMAIN} {  }]`},
	{`@@ `, `[{ MISSING_MAILBOX MISSING_DOMAIN}]`},
	{`a@b.test (never ends, c@d.test`, `[{never ends, c@d.test a b.test}]`},
	{`"" <a@b.test>, ""@c.test`, `[{ a b.test} { MISSING_MAILBOX c.test}]`},
	{``, `[]`},
	{`dörte@straße.example`, `[{ dörte straße.example}]`},
}

func TestRoutesAreKept(t *testing.T) {
	for in, want := range map[string]string{"<@a.test:x@b.test>": "@a.test", "X <@a.test,@b.test:x@c.test>": "@a.test,@b.test", "<@a.test>": "", "<x@a.test>": ""} {
		if got := ParseAddresses(in); len(got) != 1 || got[0].Route != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
	text := "From: <@a.test:x@b.test>\r\nTo: <y@c.test>, <@d.test:z@e.test>\r\n\r\n"
	m, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := DecodeEnvelope(Encode(m))
	if err != nil || v.From[0].Route != "@a.test" || v.Sender != nil || v.To[0].Route != "" || v.To[1].Route != "@d.test" {
		t.Errorf("%+v, %v", v, err)
	}
	if s, err := DecodeSummary(Encode(m)); err != nil || s.To.Mailbox != "y" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range addressTests {
		type entry struct{ name, mailbox, host string } // prints its fields
		var list []entry
		for _, a := range ParseAddresses(tt.in) {
			list = append(list, entry{a.Name, a.Mailbox, a.Host})
		}
		if got := fmt.Sprint(list); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

var dateTests = []struct{ in, want string }{
	{"Mon, 2 Jan 2006 15:04:05 -0700", "2006-01-02 15:04:05 -0700"},
	{"Mon, 02 Jan 2006 15:04:05 +0530 (IST)", "2006-01-02 15:04:05 +0530"},
	{"2 Jan 06 15:04 EST", "2006-01-02 15:04:00 -0500"},
	{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21 09:55:06 -0600"},
	{"Fri, 21 Nov 1997 (a (nested) one) 09:55 -0600 (never ends", "1997-11-21 09:55:00 -0600"},
	{"21 Nov 97 09:55:06 GMT", "1997-11-21 09:55:06 +0000"},
	{"1 Jan 103 00:00:00 +0000", "2003-01-01 00:00:00 +0000"},
	{"Mon Jan  2 15:04:05 2006", "2006-01-02 15:04:05 +0000"},
	{"Mon, Jan 2 2006 15:04:05 GMT+0200", "2006-01-02 15:04:05 +0200"},
	{"Mon, 2-Jan-2006 15:04:05 PDT", "2006-01-02 15:04:05 -0700"},
	{"2006-01-02T15:04:05+01:00", "2006-01-02 15:04:05 +0100"},
	{"Mon, 2 January 2006 15:04:05", "2006-01-02 15:04:05 +0000"},
	{"Mon, 2 Jan 2006 15:04:60 Z", "2006-01-02 15:05:00 +0000"},
	{"Mon, 2 Jan 2006 25:04:05 Z", "2006-01-02 00:00:00 +0000"},
	{"Mon, 2 Jan 2006 15:04:05 +9999", "2006-01-02 15:04:05 +0000"},
	{"tomorrow", ""},
	{"", ""},
}

func TestDates(t *testing.T) {
	for _, tt := range dateTests {
		got := ""
		if at, ok := ParseDate(tt.in); ok {
			got = at.Format("2006-01-02 15:04:05 -0700")
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
}

var wordTests = []struct{ in, want string }{
	{"plain", "plain"},
	{"=?utf-8?q?caf=C3=A9?= au lait", "café au lait"},
	{"=?UTF-8*fr?Q?caf=c3=a9?=", "café"},
	{"=?iso-8859-1?Q?a?= =?iso-8859-1?Q?b?=", "ab"},
	{"=?iso-8859-1?Q?a?= \t =?utf-8?Q?b?= c", "ab c"},
	{"=?utf-8?B?w?= =?utf-8?B?6Q?=", "=?utf-8?B?w?= é"}, // one letter is no base64; the other word is Latin-1
	{"=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "é"},
	{"=?shift_jis?B?k/qWew==?=", "日本"},
	{"=?x-nobody-knows?Q?a?=", "=?x-nobody-knows?Q?a?="},
	{"=?utf-8?X?a?=", "=?utf-8?X?a?="},
	{"=?utf-8?Q?two words?=", "two words"},
	{"=?utf-8?Q?=ZZ=4?=", "=ZZ=4"},
	{"=?utf-8?B?!!!?= x", "=?utf-8?B?!!!?= x"},
	{"=?utf-8?Q?a=0D=0ABcc: x?=", "aBcc: x"},
	{"=?=?=?", "=?=?=?"},
	{"a=?utf-8?Q?b?=c", "abc"},
}

func TestEncodedWords(t *testing.T) {
	for _, tt := range wordTests {
		if got := DecodeWords(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestBaseSubject(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		isReply  bool
	}{
		{"hello", "hello", false},
		{"Re: hello", "hello", true},
		{"RE:Fw: Fwd :  hello  world", "hello world", true},
		{"Re[2]: hello", "hello", true},
		{"[list] hello", "hello", false},
		{"[list] Re: [list] hello", "hello", true},
		{"[list]", "[list]", false},
		{"hello (fwd) (FWD)", "hello", true},
		{"[fwd: hello]", "hello", true},
		{"[Fwd: Re: hello]", "hello", true},
		{"Re:", "", true},
		{"Regarding: hello", "Regarding: hello", false},
		{"", "", false},
		{"re : hello", "hello", true},
		{"FW [blob] : hello", "hello", true},
		{"Fwd[a][b]: hello", "Fwd[a][b]: hello", false},
		{"[a] [b] hello", "hello", false},
		{"[a] [b]", "[b]", false},
		{"[a] [b] Re: [c] Fw: [d] hello", "hello", true},
		{"[a[b]] Re: hello", "[a[b]] Re: hello", false},
		{"Re: (fwd)", "", true},
		{"(fwd)hello(fwd) (fwd)", "(fwd)hello", true},
		{"[fwd: hello (fwd)]", "hello", true},
		{"[fwd: [Fwd: Re: [x] hello (fwd)] (fwd)]", "hello", true},
		{"[fwd: hello] and more", "and more", false},
		{"[fwd:]", "", true},
		{"hello\t\twide   world ", "hello wide world", false},
		{"hello\u00a0there  world", "hello\u00a0there world", false},
		{"Re\u00a0: hello", "Re\u00a0: hello", false},
		{"R\u00e9: hello", "R\u00e9: hello", false},
		{"Re: Re: Re:", "", true},
		{"re", "re", false},
	} {
		if got, isReply := BaseSubject(tt.in); got != tt.want || isReply != tt.isReply {
			t.Errorf("%q: %q %v, want %q %v", tt.in, got, isReply, tt.want, tt.isReply)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"<a@b> <c@d>", "[a@b c@d]"},
		{"Your message of today <a@b>", "[a@b]"},
		{"a@b, c@d and more", "[a@b c@d]"},
		{"<a@ b> <>", "[a@b]"},
		{"<never ends", "[]"},
	} {
		if got := fmt.Sprint(ParseMessageIDs(tt.in)); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
	m := parse(t, []byte("References: <a@x> <b@x> <a@x>\nIn-Reply-To: <b@x>\n\n"))
	if got := fmt.Sprint(m.References); got != "[b@x a@x]" {
		t.Errorf("references %s", got)
	}
}

func TestAncestryIsReferencesOrTheFirstOfInReplyTo(t *testing.T) {
	for _, tt := range []struct{ header, references, ancestry string }{
		{"References: <a@x> <b@x>\nIn-Reply-To: <a@x>\n", "[a@x b@x]", "[a@x b@x]"},
		{"References: <a@x> <b@x>\nIn-Reply-To: <c@x>\n", "[a@x b@x c@x]", "[a@x b@x]"},
		{"References: nothing\nIn-Reply-To: Your mail <b@x> of <c@x>\n", "[b@x c@x]", "[b@x]"},
		{"In-Reply-To: <a@x>\n", "[a@x]", "[a@x]"},
		{"Subject: x\n", "[]", "[]"},
	} {
		m := parse(t, []byte(tt.header+"\n"))
		if r, a := fmt.Sprint(m.References), fmt.Sprint(m.Ancestry()); r != tt.references || a != tt.ancestry {
			t.Errorf("%q: %s and %s, want %s and %s", tt.header, r, a, tt.references, tt.ancestry)
		}
		s, err := DecodeSummary(Encode(m))
		if err != nil || fmt.Sprint(s.Ancestry) != tt.ancestry {
			t.Errorf("%q: a summary with %s, %v", tt.header, s.Ancestry, err)
		}
	}
}

func TestBodyDecoders(t *testing.T) {
	for _, tt := range []struct {
		encoding, in, want string
		strict             bool // decodes strictly too
	}{
		{"base64", "SGVsbG8=", "Hello", true},
		{"base64", "SG Vs\r\nbG8=\r\n", "Hello", true},
		{"base64", "SGVs*bG8", "Hello", false},
		{"base64", "SGVsbG8=SGVsbG8=", "HelloHello", false},
		{"base64", "SGVsbG8", "Hello", false},
		{"base64", "S", "", false},
		{"base64", "====", "", false},
		{"quoted-printable", "a=3Db=\r\nc \t\r\nd=20\r\n", "a=bc\r\nd \r\n", true},
		{"quoted-printable", "a=3db=  \nc", "a=bc", true},
		{"quoted-printable", "a=zz=4", "a=zz=4", false},
		{"quoted-printable", "ends=", "ends", true},
		{"7bit", "as is =3D", "as is =3D", true},
		{"x-uuencode", "as is", "as is", false},
	} {
		got, err := io.ReadAll(DecodeBody(strings.NewReader(tt.in), tt.encoding))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %q: %q %v, want %q", tt.encoding, tt.in, got, err, tt.want)
		}
		got, err = io.ReadAll(DecodeBodyStrict(strings.NewReader(tt.in), tt.encoding))
		if tt.strict && (err != nil || string(got) != tt.want) || !tt.strict && !errors.Is(err, ErrUndecodable) {
			t.Errorf("%s %q strictly: %q %v", tt.encoding, tt.in, got, err)
		}
	}
}

func TestQuotedPrintableKeepsEscapesAcrossLongLines(t *testing.T) {
	for pad := 4090; pad < 4100; pad++ {
		in := strings.Repeat("x", pad) + "=3D=\r\n" + strings.Repeat("y", 5000) + "=E9"
		want := strings.Repeat("x", pad) + "=" + strings.Repeat("y", 5000) + "\xe9"
		got, err := io.ReadAll(DecodeBodyStrict(strings.NewReader(in), "quoted-printable"))
		if err != nil || string(got) != want {
			t.Fatalf("after %d: %v, ...%.20q", pad, err, got[min(len(got), pad):])
		}
	}
}

func TestSelectFieldsKeepsBytes(t *testing.T) {
	const header = "From: a@b.test\r\nSubject: long\r\n\tand folded\r\nX-A :b\nTo: c@d.test\r\n\r\n"
	for _, tt := range []struct {
		names []string
		not   bool
		want  string
	}{
		{[]string{"subject", "x-a"}, false, "Subject: long\r\n\tand folded\r\nX-A :b\n\r\n"},
		{[]string{"SUBJECT", "From"}, true, "X-A :b\nTo: c@d.test\r\n\r\n"},
		{[]string{"none"}, false, "\r\n"},
	} {
		var got bytes.Buffer
		err := SelectFields(&got, strings.NewReader(header), func(name string) bool {
			for _, n := range tt.names {
				if strings.EqualFold(n, name) {
					return !tt.not
				}
			}
			return tt.not
		})
		if err != nil || got.String() != tt.want {
			t.Errorf("%v not %v: %q %v, want %q", tt.names, tt.not, got.String(), err, tt.want)
		}
	}
}

func TestSelectFieldsEndsWithABlankLine(t *testing.T) {
	for _, tt := range []struct{ header, want string }{
		{"", "\r\n"},
		{"A: b\n", "A: b\n\r\n"},
		{"A: b", "A: b\r\n\r\n"},
		{"A: b\nC: d", "A: b\n\r\n"},
		{"A: b\n\n", "A: b\n\n"},
		{"A: " + strings.Repeat("x", 5000) + "\r\nC: d\r\n\r\n", "A: " + strings.Repeat("x", 5000) + "\r\n\r\n"},
	} {
		var got strings.Builder
		err := SelectFields(&got, strings.NewReader(tt.header), func(name string) bool { return name == "A" })
		if err != nil || got.String() != tt.want {
			t.Errorf("%.50q: %.50q %v, want %.50q", tt.header, got.String(), err, tt.want)
		}
	}
}

func TestFieldsKnowWhereTheyAre(t *testing.T) {
	raw, m := letter(t, "mbox_from")
	h, err := ReadHeader(bytes.NewReader(raw), m.Root)
	if err != nil {
		t.Fatal(err)
	}
	for f := range h.Fields() {
		if f.Name != "Subject" || string(raw[f.Offset:f.Offset+len(f.Raw)]) != "Subject: from a file\r\n" {
			t.Errorf("%+v", f)
		}
	}
	if got, ok := h.Get("SUBJECT"); !ok || got != "from a file" {
		t.Errorf("subject %q %v", got, ok)
	}
}

func TestTextForSearch(t *testing.T) {
	for _, tt := range []struct {
		name string
		want []string
		not  []string
	}{
		{"attachment", []string{"Subject: The charts", "gr\u00fc\u00dfe", "Hafen\u00fcbersicht 2026.pdf", "the harbour"}, []string{"AAAA", "<i>"}},
		{"forwarded", []string{"Look at this.", "Subject: the oldest", "Sealed with wax.", "old letter.eml"}, nil},
		{"alternative", []string{"Half price on everything", "A boat"}, []string{"hidden", "color"}},
		{"cjk", []string{"田中太郎", "会議のお知らせ", "火曜日"}, nil},
	} {
		raw, m := letter(t, tt.name)
		var b strings.Builder
		if err := Text(&b, bytes.NewReader(raw), m, 1<<20); err != nil {
			t.Fatal(err)
		}
		for _, s := range tt.want {
			if !strings.Contains(b.String(), s) {
				t.Errorf("%s: no %q in %q", tt.name, s, b.String())
			}
		}
		for _, s := range tt.not {
			if strings.Contains(b.String(), s) {
				t.Errorf("%s: %q in %q", tt.name, s, b.String())
			}
		}
	}
	raw, m := letter(t, "plain")
	var b strings.Builder
	if err := BodyText(&b, bytes.NewReader(raw), m, 7); err != nil || b.String() != "> Shall" {
		t.Errorf("limited to 7: %q, %v", b.String(), err)
	}
}

func TestHTMLToText(t *testing.T) {
	picture := `<img alt="a boat" src="data:image/png;base64,` + strings.Repeat("iVBORw0KGgo", 200_000) + `">`
	for _, tt := range []struct{ name, in, want string }{
		{"blocks", "<p>one<br>two</p><td>three", "one two three"},
		{"entities", "a &lt; b &amp; &eacute;&nbsp;&#x4F1A;", "a < b & é 会"},
		{"not shown", "<style>x{}</style>a<script>b</script><title>c</title>d<!-- e -->", "ad"},
		{"never ends", "a <b c=\"", "a"},
		{"less than", "1 < 2 " + strings.Repeat("and so on ", 10_000), strings.TrimSpace("1 < 2 " + strings.Repeat("and so on ", 10_000))},
		{"picture in its tag", "before " + picture + " behind", "before a boat behind"},
		{"long text", strings.Repeat("x", maxHTMLToken/2) + "<i>y", strings.Repeat("x", maxHTMLToken/2) + "y"},
	} {
		got, err := io.ReadAll(htmlText(strings.NewReader(tt.in)))
		if words := strings.Join(strings.Fields(string(got)), " "); err != nil || words != tt.want {
			t.Errorf("%s: %.200q %v, want %.200q", tt.name, words, err, tt.want)
		}
	}
	long, err := io.ReadAll(htmlText(strings.NewReader(strings.Repeat("x", 2*maxHTMLToken) + "<p>behind")))
	if err != nil || !strings.HasSuffix(string(long), "behind") {
		t.Errorf("behind a text too long: %d bytes, %v", len(long), err)
	}
}

func TestAttachments(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   bool
	}{
		{"Content-Type: text/plain", false},
		{"Content-Type: text/plain; name=notes.txt", true},
		{"Content-Type: text/plain\nContent-Disposition: inline", false},
		{"Content-Type: text/calendar; name=invite.ics", false},
		{"Content-Type: application/pdf\nContent-Disposition: inline; filename=a.pdf", true},
		{"Content-Type: image/png\nContent-Disposition: inline\nContent-ID: <a@b>", false},
		{"Content-Type: image/png", true},
		{"Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Disposition: attachment", false},
		{"Content-Type: message/rfc822", true},
		{"Content-Type: message/delivery-status", false},
	} {
		m := parse(t, []byte("Content-Type: multipart/mixed; boundary=b\n\n--b\n"+tt.header+"\n\nx\n--b--\n"))
		if m.HasAttachment != tt.want {
			t.Errorf("%q: %v, want %v", tt.header, m.HasAttachment, tt.want)
		}
	}
}

func TestWrongCharsetsAreReadAsFarAsTheyGo(t *testing.T) {
	for _, tt := range []struct{ charset, in, want string }{
		{"utf-8", "caf\xe9 caf\xc3\xa9", "café café"},
		{"us-ascii", "caf\xc3\xa9", "café"},
		{"iso-8859-1", "\x93caf\xe9\x94", "“café”"},
		{"x-made-up", "caf\xe9", "café"},
		{"gb18030", "\xc4\xe3\xff", "你\uFFFD"},
		{"koi8-r", "\xcd\xc9\xd2", "мир"},
	} {
		got, err := io.ReadAll(toUTF8(strings.NewReader(tt.in), tt.charset))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %q: %q %v, want %q", tt.charset, tt.in, got, err, tt.want)
		}
	}
}

func TestHTMLMaySayItsCharset(t *testing.T) {
	for _, tt := range []struct{ header, body, want string }{
		{"text/html", "<meta charset=koi8-r><p>\xcd\xc9\xd2", "мир"},
		{"text/html; charset=utf-8", "<meta charset=koi8-r><p>мир", "мир"},
		{"text/html", "<p>мир", "мир"},
		{"text/html", "\xef\xbb\xbf<p>мир", "мир"},
	} {
		if m := parse(t, []byte("Content-Type: "+tt.header+"\n\n"+tt.body)); m.Preview != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.header, tt.body, m.Preview, tt.want)
		}
	}
}
