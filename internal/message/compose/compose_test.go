package compose_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

var update = flag.Bool("update", false, "write testdata anew")

var when = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

var alice = []message.Address{{Name: "Alice Ärmel", Mailbox: "alice", Host: "example.test"}}

// source parses a message written with LF line ends.
func source(t testing.TB, text string) compose.Source {
	t.Helper()
	text = strings.ReplaceAll(text, "\n", "\r\n")
	return parsed(t, []byte(text))
}

func parsed(t testing.TB, b []byte) compose.Source {
	t.Helper()
	m, err := message.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return compose.Source{Bytes: bytes.NewReader(b), Message: m}
}

// written is what write writes, checked for what holds of every message.
func written(t testing.TB, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), nil), []byte("\n")) {
		t.Errorf("a line end without CR in\n%s", b.Bytes())
	}
	return b.Bytes()
}

var boundary = regexp.MustCompile(`=_[A-Z2-7]{26}`)

// stable gives boundaries names that do not change.
func stable(b []byte) []byte {
	names := map[string]string{}
	return boundary.ReplaceAllFunc(b, func(old []byte) []byte {
		name, ok := names[string(old)]
		if !ok {
			name = fmt.Sprintf("boundary-%d", len(names)+1)
			names[string(old)] = name
		}
		return []byte(name)
	})
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = bytes.ReplaceAll(stable(got), []byte("\r\n"), []byte("\n"))
	file := filepath.Join("testdata", name+".eml")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

// shape is a structure in one line: types, in brackets what is inside.
func shape(p *message.Part) string {
	s := p.Type + "/" + p.Subtype
	if name := p.Filename(); name != "" {
		s += "=" + name
	}
	if len(p.Parts) > 0 {
		var inside []string
		for _, c := range p.Parts {
			inside = append(inside, shape(c))
		}
		s = p.Subtype + "(" + strings.Join(inside, " ") + ")"
	}
	return s
}

func text(t testing.TB, s compose.Source, path ...int) string {
	t.Helper()
	p, ok := s.Message.Part(path)
	if !ok {
		t.Fatalf("no part %v in %s", path, shape(s.Message.Root))
	}
	b, err := io.ReadAll(message.PartUTF8(s.Bytes, p))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDraftsBecomeMessages(t *testing.T) {
	for _, c := range []struct {
		name, shape string
		draft       compose.Draft
	}{
		{"plain", "text/plain", compose.Draft{
			From: alice, To: []message.Address{{Mailbox: "bob", Host: "bücher.example"}}, Subject: "Grüße aus dem Süden, wo es um diese Zeit noch warm ist und man draußen sitzt",
			Date: when, MessageID: "a@example.test", InReplyTo: []string{"b@x.test"}, References: []string{"a@x.test", "b@x.test"},
			Importance: compose.HighImportance, Text: strings.NewReader("Schöne Grüße\n\nAlice\n"),
		}},
		{"both", "alternative(text/plain text/html)", compose.Draft{
			From: alice, To: []message.Address{{Name: "Bob, the builder", Mailbox: "bob", Host: "x.test"}, {Mailbox: "eve @ home", Host: "x.test"}},
			Bcc: []message.Address{{Mailbox: "carol", Host: "x.test"}}, Subject: "=?utf-8?q?not_encoded?=",
			Text: strings.NewReader("text"), HTML: strings.NewReader("<p>text</p>"),
		}},
		{"attached", "mixed(related(text/html image/png=ball.png) application/pdf=Übersicht.pdf message/rfc822)", compose.Draft{
			From: alice, HTML: strings.NewReader(`<img src="cid:ball@x">`),
			Attachments: []compose.Attachment{
				{Name: "Übersicht.pdf", Type: "application/pdf", Body: strings.NewReader(strings.Repeat("pdf ", 40))},
				{Name: "ball.png", Type: "image/png", ContentID: "ball@x", Inline: true, Body: strings.NewReader("PNG")},
				{Type: "message/rfc822", Body: strings.NewReader("Subject: inside\r\n\r\nbody\r\n")},
			},
		}},
		{"calendar", "alternative(text/plain text/calendar)", compose.Draft{
			From: alice, Text: strings.NewReader("yes"), Calendar: &compose.Calendar{Method: "REPLY", Body: strings.NewReader("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")},
		}},
		{"empty", "text/plain", compose.Draft{From: alice}},
	} {
		b := written(t, c.draft.Write)
		if got := shape(parsed(t, b).Message.Root); got != c.shape {
			t.Errorf("%s: shape %s, want %s", c.name, got, c.shape)
		}
		for line := range bytes.Lines(b) {
			if len(line) > 80 || !mail.IsASCII(string(line)) {
				t.Errorf("%s: line %q", c.name, line)
			}
		}
		golden(t, c.name, b)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	d := compose.Draft{
		From:      []message.Address{{Name: "=?utf-8?q?J=C3=BCrgen?=", Mailbox: "j.d", Host: "example.test"}},
		To:        []message.Address{{Name: `Quo"te \ (x)`, Mailbox: "a b", Host: "x.test"}, {Name: "日本語の名前", Mailbox: "jp", Host: "例え.test"}},
		Subject:   strings.Repeat("長い件名 ", 60),
		MessageID: "id@x.test", Text: strings.NewReader("ünï"),
		Attachments: []compose.Attachment{{Name: "日本 \"語\".txt", Type: "text/plain; charset=shift_jis", Body: strings.NewReader("\x93\xfa")}},
	}
	got := parsed(t, written(t, d.Write))
	e := got.Message.Envelope
	if name := message.DecodeWords(e.From[0].Name); name != "Jürgen" {
		t.Errorf("from %q", name)
	}
	if a := e.To[0]; a.Name != `Quo"te \ (x)` || a.Mailbox != "a b" {
		t.Errorf("to %+v", a)
	}
	if a := e.To[1]; message.DecodeWords(a.Name) != "日本語の名前" || a.Host != "xn--r8jz45g.test" {
		t.Errorf("to %+v", a)
	}
	if s := message.DecodeWords(e.Subject); s != strings.TrimSpace(d.Subject) {
		t.Errorf("subject %q", s)
	}
	if got.Message.ID != "id@x.test" || text(t, got, 1) != "ünï" || got.Message.Root.Parts[1].Filename() != `日本 "語".txt` || text(t, got, 2) != "日" {
		t.Errorf("%q %q %q", got.Message.ID, text(t, got, 1), text(t, got, 2))
	}
}

func TestAValueStaysInItsField(t *testing.T) {
	d := compose.Draft{
		From:      []message.Address{{Name: "x\r\nBcc: evil@x.test", Mailbox: "a\r\nb", Host: "x.test\r\n"}},
		Subject:   "one\r\nBcc: evil@x.test\r\n\r\nbody\x00",
		MessageID: "a>\r\nBcc: b", References: []string{"x y", "ok@x"}, DraftID: "u\nBcc: x",
		Attachments: []compose.Attachment{{Name: "a\r\nX-Evil: 1\"", Type: "a/b;\r\nX-Evil: 1", ContentID: "a>\r\nX-Evil: 1", Body: strings.NewReader("")}},
	}
	b := written(t, d.Write)
	for _, bad := range []string{"\nBcc:", "\nX-Evil", "\x00"} {
		if bytes.Contains(b, []byte(bad)) {
			t.Errorf("%q got out of its field in\n%s", bad, b)
		}
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	for name, d := range map[string]*compose.Draft{
		"recipients":  {To: make([]message.Address, compose.MaxRecipients+1)},
		"attachments": {Attachments: make([]compose.Attachment, compose.MaxAttachments+1)},
	} {
		if err := d.Write(io.Discard); mail.KindOf(err) != mail.Limit {
			t.Errorf("%s: %v, want Limit", name, err)
		}
	}
}

func TestRecipientsAreReadAsPeopleWriteThem(t *testing.T) {
	for in, want := range map[string]string{
		`a@x.test; b@x.test, "C, D" <c@x.test>`:     `a@x.test, b@x.test, "C, D" <c@x.test>`,
		"undisclosed-recipients:;":                  "",
		"Frau Müller <müller@bücher.example>":       "=?utf-8?q?Frau_M=C3=BCller?= <müller@xn--bcher-kva.example>",
		"friends: a@x.test, b@x.test;, c@x.test":    "a@x.test, b@x.test, c@x.test",
		"a@[192.0.2.1];;b@x.test;":                  "a@[192.0.2.1], b@x.test",
		"just a name, me@x.test":                    "me@x.test",
		"=?utf-8?q?J=C3=B6rg?= <j@x.test>\r\n x: y": "=?utf-8?q?J=C3=B6rg?= <j@x.test>",
	} {
		list, _ := compose.ParseRecipients(in)
		if got := compose.AddressList(list); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if _, bad := compose.ParseRecipients("just a name, me@x.test"); !slices.Equal(bad, []string{"just a name"}) {
		t.Errorf("bad %q", bad)
	}
}

const plainNew = `From: alice@example.test
To: bob@x.test
Subject: Re: Tea
Content-Type: text/plain; charset=iso-8859-1

gern, tsch` + "\xfc\xdf" + `
`

const htmlNew = `From: alice@example.test
To: bob@x.test
Subject: Re: Tea
MIME-Version: 1.0
Content-Type: text/html; charset=windows-1252

<html><head><meta charset="windows-1252"></head><body><p>gern, tsch` + "\xfc\xdf" + `</p></body></html>
`

const mixedNew = `From: alice@example.test
To: bob@x.test
Subject: Re: Tea
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: multipart/alternative; boundary=c

--c

plain
--c
Content-Type: text/html

<b>html</b>
--c--
--b
Content-Type: application/pdf; name=new.pdf
Content-Transfer-Encoding: base64

cGRm
--b--
epilogue
`

const original = `From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>
To: alice@example.test
Cc: Carol <carol@x.test>
Date: Fri, 20 Nov 2026 09:30:00 +0100
Subject: Tea
Message-ID: <orig@x.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

K=E4se?
> quoted
<not a tag>
--c
Content-Type: multipart/related; boundary=d

--d
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<!DOCTYPE html><html><head><title>no</title><style>p{color:red}</style><meta =
charset=3Dx></head><body bgcolor=3Dred><script>evil()</script><p>K=E4se?<img s=
rc=3D"cid:pic"></p></body></html>
--d
Content-Type: image/png; name=pic.png
Content-ID: <pic>
Content-Transfer-Encoding: base64

UE5H
--d--
--c--
--b
Content-Type: application/x-thing; name=thing.bin
Content-Disposition: attachment; filename=thing.bin
X-Kept: as it stands
Content-Transfer-Encoding: base64

dGhpbmc=
--b
Content-Type: message/rfc822

Subject: inner

inner
--b--
`

const plainOriginal = `From: j@x.test
To: alice@example.test
Date: Fri, 20 Nov 2026 09:30:00 +0100
Subject: Tea

one
two
`

func TestRepliesAndForwards(t *testing.T) {
	for _, c := range []struct {
		name, written, original string
		forward                 bool
		shape                   string
	}{
		{"reply-plain", plainNew, original, false, "text/plain"},
		{"reply-plain-plain", plainNew, plainOriginal, false, "text/plain"},
		{"reply-html", htmlNew, original, false, "related(text/html image/png=pic.png)"},
		{"reply-html-plain", htmlNew, plainOriginal, false, "text/html"},
		{"reply-mixed", mixedNew, original, false, "mixed(alternative(text/plain related(text/html image/png=pic.png)) application/pdf=new.pdf)"},
		{"forward-plain", plainNew, original, true, "mixed(text/plain image/png=pic.png application/x-thing=thing.bin message/rfc822)"},
		{"forward-plain-plain", plainNew, plainOriginal, true, "text/plain"},
		{"forward-html", htmlNew, original, true, "mixed(related(text/html image/png=pic.png) application/x-thing=thing.bin message/rfc822)"},
		{"forward-mixed", mixedNew, original, true,
			"mixed(alternative(text/plain related(text/html image/png=pic.png)) application/pdf=new.pdf application/x-thing=thing.bin message/rfc822)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			write := compose.Reply
			if c.forward {
				write = compose.Forward
			}
			b := written(t, func(w io.Writer) error { return write(w, source(t, c.written), source(t, c.original)) })
			if got := shape(parsed(t, b).Message.Root); got != c.shape {
				t.Errorf("shape %s, want %s", got, c.shape)
			}
			golden(t, c.name, b)
		})
	}
}

// A part that is taken over keeps its header and its bytes.
func TestAttachmentsPassThrough(t *testing.T) {
	orig := source(t, original)
	got := parsed(t, written(t, func(w io.Writer) error { return compose.Forward(w, source(t, plainNew), orig) }))
	was, is := orig.Message.Root.Parts[1], got.Message.Root.Parts[2]
	before, _ := io.ReadAll(io.NewSectionReader(orig.Bytes, was.Offset, was.HeaderSize+was.BodySize))
	after, _ := io.ReadAll(io.NewSectionReader(got.Bytes, is.Offset, is.HeaderSize+is.BodySize))
	if !bytes.Equal(before, after) {
		t.Errorf("was %q, is %q", before, after)
	}
}

const signedNew = `From: alice@example.test
Subject: signed
MIME-Version: 1.0
Content-Type: multipart/signed; boundary=s; protocol="application/pgp-signature"

--s
Content-Type: text/plain

exactly this
--s
Content-Type: application/pgp-signature

sig
--s--
`

// What is signed or encrypted is not opened.
func TestSignedAndEncryptedStayWhole(t *testing.T) {
	got := parsed(t, written(t, func(w io.Writer) error { return compose.Reply(w, source(t, signedNew), source(t, original)) }))
	body := strings.ReplaceAll(signedNew[strings.Index(signedNew, "--s\n"):], "\n", "\r\n")
	if b, _ := io.ReadAll(got.Message.Root.Body(got.Bytes)); string(b) != body {
		t.Errorf("the signed body became %q", b)
	}
	got = parsed(t, written(t, func(w io.Writer) error { return compose.Forward(w, source(t, signedNew), source(t, original)) }))
	if s := shape(got.Message.Root); s != "mixed(signed(text/plain application/pgp-signature) message/rfc822)" {
		t.Error(s)
	}
	encrypted := strings.NewReplacer("multipart/signed", "multipart/encrypted").Replace(signedNew)
	got = parsed(t, written(t, func(w io.Writer) error { return compose.Forward(w, source(t, plainNew), source(t, encrypted)) }))
	if s := shape(got.Message.Root); s != "mixed(text/plain message/rfc822)" || strings.Contains(text(t, got, 1), "Forwarded") {
		t.Errorf("%s %q", s, text(t, got, 1))
	}
	got = parsed(t, written(t, func(w io.Writer) error { return compose.Reply(w, source(t, plainNew), source(t, signedNew)) }))
	if s := text(t, got); !strings.Contains(s, "> exactly this") {
		t.Errorf("a reply to signed mail quotes %q", s)
	}
}

// A new message without any text still brings the original's.
func TestAReplyWithoutText(t *testing.T) {
	const pdf = "From: alice@example.test\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\ncGRm\n"
	got := parsed(t, written(t, func(w io.Writer) error { return compose.Reply(w, source(t, pdf), source(t, plainOriginal)) }))
	if s := shape(got.Message.Root); s != "mixed(application/pdf text/plain)" || !strings.Contains(text(t, got, 2), "> one\r\n> two") {
		t.Errorf("%s %q", s, text(t, got, 2))
	}
}

func TestADraftCanForward(t *testing.T) {
	orig := source(t, original)
	d := compose.Draft{From: alice, Subject: "Fwd: Tea", Text: strings.NewReader("see below"), Forwards: &orig}
	got := parsed(t, written(t, d.Write))
	if s := shape(got.Message.Root); s != "mixed(text/plain image/png=pic.png application/x-thing=thing.bin message/rfc822)" {
		t.Error(s)
	}
	if s := text(t, got, 1); !strings.HasPrefix(s, "see below\r\n\r\n") || !strings.Contains(s, "From: Jürgen <j@x.test>\r\n") || !strings.Contains(s, "Käse?") {
		t.Errorf("%q", s)
	}
}

func TestEditChangesTheHeaderOnly(t *testing.T) {
	src := source(t, "Received: x\nFrom: evil@x.test\nSender: evil@x.test\nbcc: a@x.test,\n\tb@x.test\nSubject: keep\n folded\nMessage-ID: <mine@x>\n\nbody\n")
	e := compose.Edit{
		Remove: []string{"Bcc"}, From: alice, Date: when, MessageID: "ours@x", InReplyTo: []string{"p@x"}, References: []string{"o@x", "p@x"},
	}
	got := string(written(t, func(w io.Writer) error { return e.Write(w, src) }))
	want := "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nFrom: =?utf-8?q?Alice_=C3=84rmel?= <alice@example.test>\r\nIn-Reply-To: <p@x>\r\nReferences: <o@x> <p@x>\r\n" +
		"Received: x\r\nSubject: keep\r\n folded\r\nMessage-ID: <mine@x>\r\n\r\nbody\r\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	same := source(t, plainNew)
	if got := written(t, func(w io.Writer) error { return (&compose.Edit{}).Write(w, same) }); string(got) != strings.ReplaceAll(plainNew, "\n", "\r\n") {
		t.Errorf("an edit of nothing made %q", got)
	}
}

func TestEditMakesLineEnds(t *testing.T) {
	src := parsed(t, []byte("From: a@x.test\nSubject: x\rFrom: b@x.test\r\n\none\r\ntwo\nthree\r\rfour"))
	got := written(t, func(w io.Writer) error { return (&compose.Edit{}).Write(w, src) })
	if string(got) != "From: a@x.test\r\nSubject: x\r\nFrom: b@x.test\r\n\r\none\r\ntwo\r\nthree\r\n\r\nfour" {
		t.Errorf("%q", got)
	}
}

func TestAHeaderTooLongIsRefused(t *testing.T) {
	long := source(t, "From: a@x.test\n"+strings.Repeat("X: "+strings.Repeat("y", 70)+"\n", message.MaxHeaderBytes/74+1)+"\nbody\n")
	if err := (&compose.Edit{}).Write(io.Discard, long); mail.KindOf(err) != mail.Invalid {
		t.Errorf("Edit: %v, want Invalid", err)
	}
	if err := compose.Reply(io.Discard, long, source(t, plainOriginal)); mail.KindOf(err) != mail.Invalid {
		t.Errorf("Reply: %v, want Invalid", err)
	}
}

// zeros is a large original that is made as it is read.
type zeros struct {
	head, tail string
	body       int64
}

func (z zeros) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off < z.size() {
		switch at := off - int64(len(z.head)); {
		case at < 0:
			b[n] = z.head[off]
		case at >= z.body:
			b[n] = z.tail[at-z.body]
		case at%78 == 76:
			b[n] = '\r'
		case at%78 == 77:
			b[n] = '\n'
		default:
			b[n] = 'A'
		}
		n, off = n+1, off+1
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (z zeros) size() int64 { return int64(len(z.head)+len(z.tail)) + z.body }

func TestForwardingHoldsLittle(t *testing.T) {
	z := zeros{
		head: "From: a@x.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: x/y\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		tail: "\r\n--b--\r\n", body: 78 << 18, // 20 MiB
	}
	m, err := message.Parse(io.NewSectionReader(z, 0, z.size()))
	if err != nil {
		t.Fatal(err)
	}
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := counter(0)
			if err := compose.Forward(&n, source(t, plainNew), compose.Source{Bytes: z, Message: m}); err != nil || int64(n) < z.body {
				b.Fatal(n, err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<20 {
		t.Errorf("forwarding 20 MiB allocates %d bytes", allocated)
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// A tag too large to be looked at goes through in what a person wrote, and is
// left out of what is quoted.
func TestLargePicturesInTheirTags(t *testing.T) {
	tag := `<img src="data:image/png;base64,` + strings.Repeat("A", 5<<20) + `">`
	html := "From: a@x.test\nContent-Type: text/html; charset=utf-8\n\n<p>before</p>" + tag + "<p>after</p>\n"
	got := parsed(t, written(t, func(w io.Writer) error { return compose.Reply(w, source(t, html), source(t, plainOriginal)) }))
	s := text(t, got)
	if i := strings.Index(s, tag+"<p>after</p>"); i < 0 || !strings.Contains(s[i:], "one<br>") {
		t.Error("the picture did not go through, or nothing is quoted behind it")
	}
	got = parsed(t, written(t, func(w io.Writer) error { return compose.Reply(w, source(t, htmlNew), source(t, html)) }))
	if s := text(t, got); len(s) > 1<<20 || !strings.Contains(s, "<p>before</p>…") {
		t.Errorf("the quote has %d bytes", len(s))
	}
}
