package message

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// letter reads a message of testdata, parses it and checks what holds for all.
func letter(t *testing.T, name string) ([]byte, *Message) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return raw, parse(t, raw)
}

func parse(t testing.TB, raw []byte) *Message {
	t.Helper()
	m, err := Parse(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := check(raw, m); err != nil {
		t.Fatalf("%v in %.300q", err, raw)
	}
	return m
}

// check proves what doc.go promises of every message.
func check(raw []byte, m *Message) error {
	if m.Size != int64(len(raw)) {
		return fmt.Errorf("size is %d, want %d", m.Size, len(raw))
	}
	if m.Root.Offset != 0 || m.Root.End() != m.Size {
		return fmt.Errorf("the root is %d to %d of %d", m.Root.Offset, m.Root.End(), m.Size)
	}
	parts := 0
	if err := checkPart(raw, m.Root, 1, &parts); err != nil {
		return err
	}
	back, err := Decode(Encode(m))
	if err == nil {
		back.DraftID = m.DraftID // is not encoded
	}
	if err != nil || !reflect.DeepEqual(back, m) {
		return fmt.Errorf("does not survive its encoding: %v", err)
	}
	env, err := DecodeEnvelope(Encode(m))
	if err != nil || !reflect.DeepEqual(env, m.Envelope) {
		return fmt.Errorf("the envelope does not survive its encoding: %v", err)
	}
	if n := len([]rune(m.Preview)); n > MaxPreviewChars {
		return fmt.Errorf("preview of %d characters", n)
	}
	if len(m.References) > MaxReferences {
		return fmt.Errorf("%d references", len(m.References))
	}
	return nil
}

func checkPart(raw []byte, p *Part, depth int, parts *int) error {
	if *parts++; *parts > MaxParts || depth > MaxDepth {
		return fmt.Errorf("part %d at depth %d", *parts, depth)
	}
	if p.Type == "" || p.Subtype == "" || p.Encoding == "" {
		return fmt.Errorf("part at %d has no type or encoding", p.Offset)
	}
	if p.BodyOffset != p.Offset+p.HeaderSize || p.HeaderSize < 0 || p.BodySize < 0 {
		return fmt.Errorf("part at %d: header %d, body %d+%d", p.Offset, p.HeaderSize, p.BodyOffset, p.BodySize)
	}
	if n := bytes.Count(raw[p.BodyOffset:p.End()], []byte("\n")); int64(n) != p.Lines {
		return fmt.Errorf("part at %d has %d lines, want %d", p.Offset, p.Lines, n)
	}
	if (p.Type == "multipart") != p.IsMultipart() || p.isMessage() != (p.Message != nil) {
		return fmt.Errorf("part at %d is %s/%s with %d children", p.Offset, p.Type, p.Subtype, len(p.Parts))
	}
	inside := p.Parts
	if p.Message != nil {
		inside = []*Part{p.Message.Root}
		if p.Message.Root.Offset != p.BodyOffset || p.Message.Root.End() != p.End() {
			return fmt.Errorf("the message in the part at %d is not its body", p.Offset)
		}
	}
	from := p.BodyOffset
	for _, c := range inside {
		if c.Offset < from || c.End() > p.End() {
			return fmt.Errorf("part %d to %d is not between %d and %d", c.Offset, c.End(), from, p.End())
		}
		if err := checkPart(raw, c, depth+1, parts); err != nil {
			return err
		}
		from = c.End()
	}
	return nil
}

// outline writes a part and what is in it, a line each: section, type, header and
// body.
func outline(raw []byte, m *Message) string {
	var b strings.Builder
	var walk func(p *Part, section string)
	walk = func(p *Part, section string) {
		fmt.Fprintf(&b, "%s %s/%s", section, p.Type, p.Subtype)
		if !p.IsMultipart() && p.Message == nil {
			fmt.Fprintf(&b, " %q", raw[p.BodyOffset:p.End()])
		}
		b.WriteByte('\n')
		if p.Message != nil && !p.Message.Root.IsMultipart() {
			walk(p.Message.Root, section+".1")
		} else if p.Message != nil {
			fmt.Fprintf(&b, "%s.TEXT %s/%s\n", section, p.Message.Root.Type, p.Message.Root.Subtype)
			p = p.Message.Root
		}
		for i, c := range p.Parts {
			walk(c, fmt.Sprintf("%s.%d", section, i+1))
		}
	}
	walk(m.Root, "")
	return strings.ReplaceAll("\n"+b.String(), "\n.", "\n")[1:]
}

func TestStructureOfRealLetters(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"bare_lf", " multipart/mixed\n1 text/plain \"one\"\n2 text/html \"<p>two\"\n"},
		{"no_blank_line", " text/plain \"This is already the body.\\r\\nNote: so is this.\\r\\n\"\n"},
		{"unterminated", " multipart/mixed\n1 multipart/alternative\n1.1 text/plain \"plain\"\n1.2 text/html \"<b>html</b> without an e\"\n"},
		{"outer_closes", " multipart/mixed\n1 multipart/alternative\n1.1 text/plain \"inner\"\n2 text/plain \"outer\"\n"},
		{"mbox_from", " text/plain \"Hi\\r\\n\"\n"},
		{"encoded_message", " application/octet-stream \"U3ViamVjdDogeA0KDQp5DQo=\\r\\n\"\n"},
		{"boundary_in_header", " multipart/mixed\n1 image/png \"\"\n2 message/rfc822\n2.1 text/plain \"\"\n3 text/plain \"last\"\n"},
		{"no_delimiter", " text/plain \"just text\\r\\n\"\n"},
		{"cr_only", " text/plain \"\"\n"},
		{"digest", " multipart/digest\n1 message/rfc822\n1.1 text/plain \"One.\"\n2 message/rfc822\n2.1 text/plain \"Two.\"\n"},
		{"forwarded", " multipart/mixed\n1 text/plain \"Look at this.\"\n2 message/rfc822\n2.TEXT multipart/mixed\n" +
			"2.1 text/plain \"Older still:\"\n2.2 message/rfc822\n2.2.1 text/plain \"Sealed with wax.\\r\\n\"\n"},
		{"signed", " multipart/signed\n1 text/plain \"My word =E2=80=94 and my hand.=20\\r\\nStill the same=\\r\\n line.\"\n" +
			"2 application/pgp-signature \"-----BEGIN PGP SIGNATURE-----\\r\\niQEz\\r\\n-----END PGP SIGNATURE-----\"\n"},
	} {
		raw, m := letter(t, tt.name)
		if got := outline(raw, m); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestHeadersAreWhereTheirPartsSay(t *testing.T) {
	raw, m := letter(t, "forwarded")
	for _, tt := range []struct {
		path   []int
		header string
	}{
		{[]int{1}, "Content-Type: text/plain\r\n\r\n"},
		{[]int{2}, "Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"old letter.eml\"\r\n\r\n"},
		{[]int{2, 1}, "Content-Type: text/plain\r\n\r\n"},
		{[]int{2, 2}, "Content-Type: message/rfc822\r\n\r\n"},
		{[]int{2, 2, 1}, "From: dora@example.test\r\nSubject: the oldest\r\n\r\n"},
	} {
		p, ok := m.Part(tt.path)
		if !ok {
			t.Errorf("no part %v", tt.path)
			continue
		}
		if got := string(raw[p.Offset:p.BodyOffset]); got != tt.header {
			t.Errorf("header of %v: %q, want %q", tt.path, got, tt.header)
		}
	}
	for _, path := range [][]int{{0}, {3}, {-1}, {1, 1}, {2, 3}, {2, 2, 2}, {2, 2, 1, 1}} {
		if p, ok := m.Part(path); ok {
			t.Errorf("part %v is %+v, want none", path, p)
		}
	}
}

func TestPartOneOfAPlainMessageIsItsBody(t *testing.T) {
	_, m := letter(t, "plain")
	if p, ok := m.Part([]int{1}); !ok || p != m.Root {
		t.Errorf("part 1 is %v", p)
	}
	if _, ok := m.Part([]int{1, 1}); ok {
		t.Error("there is a part 1.1")
	}
}

func TestEnvelope(t *testing.T) {
	_, m := letter(t, "plain")
	e := m.Envelope
	if e.SentAt.Format("2006-01-02 15:04:05 -0700") != "2026-07-06 09:12:40 +0200" {
		t.Errorf("sent at %v", e.SentAt)
	}
	e.SentAt = e.SentAt.UTC()
	want := Envelope{
		Date: "Mon, 6 Jul 2026 09:12:40 +0200", SentAt: e.SentAt, Subject: "Re: Minutes of the harbour meeting",
		From:      []Address{{Name: "Ada Example", Mailbox: "ada", Host: "example.test"}},
		To:        []Address{{Name: "Ben Sample", Mailbox: "ben", Host: "sample.test"}, {Mailbox: "carla", Host: "sample.test"}},
		Cc:        []Address{{Name: "Doe, Dora", Mailbox: "dora", Host: "example.test"}},
		InReplyTo: "<m2.20260705@sample.test>", MessageID: "<m3.20260706@example.test>",
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got\n%+v\nwant\n%+v", e, want)
	}
	if !reflect.DeepEqual(e.SenderOrFrom(), want.From) || !reflect.DeepEqual(e.ReplyToOrFrom(), want.From) {
		t.Error("sender and reply-to are not from")
	}
	if m.ID != "m3.20260706@example.test" || !reflect.DeepEqual(m.References, []string{"m1.20260704@example.test", "m2.20260705@sample.test"}) {
		t.Errorf("id %q, references %q", m.ID, m.References)
	}
}

func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		name, subject, preview string
		isReply, hasAttachment bool
	}{
		{"plain", "Minutes of the harbour meeting", "Yes, nine is fine. I bring the charts. Ada", true, false},
		{"cjk", "会議のお知らせ", "来週の会議は火曜日です。", false, false},
		{"gb18030", "你好", "你好，世界。", false, false},
		{"rtl", "مرحبا", "שלום לכולם", false, false},
		{"alternative", "Sale: 50% off", "Half price on everything — today. A boat", false, false},
		{"attachment", "The charts", "See the attached charts, grüße.", false, true},
		{"invitation", "Invitation: dinner", "Dinner on Sunday, eight o'clock.", false, false},
		{"forwarded", "old letter", "Look at this.", true, true},
		{"signed", "signed", "My word — and my hand. Still the same line.", false, false},
		{"eight_bit", "grüße!", "Süß & café", false, false},
		{"digest", "harbour digest, Vol 1", "", false, true},
		{"cr_only", "old macFrom: x@example.testbody", "", false, false},
	} {
		_, m := letter(t, tt.name)
		if m.BaseSubject != tt.subject || m.Preview != tt.preview || m.IsReply != tt.isReply || m.HasAttachment != tt.hasAttachment {
			t.Errorf("%s: %q %q %v %v\nwant %q %q %v %v", tt.name, m.BaseSubject, m.Preview, m.IsReply, m.HasAttachment,
				tt.subject, tt.preview, tt.isReply, tt.hasAttachment)
		}
	}
}

func TestParams(t *testing.T) {
	_, m := letter(t, "attachment")
	p, _ := m.Part([]int{2})
	if got := p.Filename(); got != "Hafenübersicht 2026.pdf" {
		t.Errorf("filename %q", got)
	}
	if got := DecodeWords(p.Param("name")); got != "Hafenübersicht.pdf" {
		t.Errorf("name %q", got)
	}
	if p.Description != "the harbour" || !reflect.DeepEqual(p.Language, []string{"de", "en"}) || p.Disposition != "attachment" {
		t.Errorf("%+v", p)
	}
	if logo, _ := m.Part([]int{1, 2}); logo.ID != "<logo@sample.test>" {
		t.Errorf("id %q", logo.ID)
	}
}

func TestContentTypes(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`text/plain`, `text/plain []`},
		{`Text/HTML; Charset="UTF-8" (a comment) ; x=y`, `text/html [{charset UTF-8} {x y}]`},
		{`text`, `text/plain []`},
		{``, `text/plain []`},
		{`pdf; name=a.pdf`, `application/octet-stream [{name a.pdf}]`},
		{`image/png;name=two words.png`, `image/png [{name two words.png}]`},
		{`image/png; name="a;b\"c.png"`, `image/png [{name a;b"c.png}]`},
		{`image/png; name="never ends`, `image/png [{name never ends}]`},
		{`a/b; x=1; x=2;;; ; y`, `a/b [{x 1}]`},
		{`a/b; x*1=B; x*0=A; x=old; x*3=D`, `a/b [{x AB}]`},
		{`a/b; x*=iso-8859-1'de'%FC%zz`, `a/b [{x ü%zz}]`},
		{`a/b; x*=%41`, `a/b [{x A}]`},
		{`a/b; x*0*=utf-8''%C3; x*1*=%BC`, `a/b [{x ü}]`},
		{`a/b; x*99999999999=1`, `a/b [{x*99999999999 1}]`},
	} {
		typ, subtype, params := parseContentType(tt.in)
		if got := fmt.Sprintf("%s/%s %v", typ, subtype, params); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestEmptyAndHeaderOnly(t *testing.T) {
	for _, raw := range []string{"", "\r\n", "\n", "a", "Subject: x", "Subject: x\r\n", "\r\n\r\n", " \r\n", "--", "\x00"} {
		m := parse(t, []byte(raw))
		if !m.Root.Is("text", "plain") {
			t.Errorf("%q is %s/%s", raw, m.Root.Type, m.Root.Subtype)
		}
	}
	m := parse(t, []byte("Subject: x"))
	if m.Root.HeaderSize != 10 || m.Envelope.Subject != "x" {
		t.Errorf("%+v", m)
	}
}
