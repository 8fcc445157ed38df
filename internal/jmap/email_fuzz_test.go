package jmap

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"lockstep/internal/message"
)

// FuzzEmail shows that of any message all can be said, in JSON of bounded size, and that
// the parts it names are there.
func FuzzEmail(f *testing.F) {
	for _, s := range []string{
		wholeLetter, "", "From: a\r\n\r\n", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--", "Content-Type: text/html\r\n\r\n<a href=\"x\">\x00\xff</a><!-- ",
		"Content-Type: message/rfc822\r\n\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\nAAD//g==", "\r\n\r\nText without a header",
		"To: \x00\xff <a@>, b: c@d, ;\r\nDate: x\r\nContent-Type: multipart/digest; boundary=\"a b\"\r\n\r\n--a b\r\n\r\nSubject: x\r\n\r\n--a b--",
	} {
		f.Add(s, int64(5))
	}
	all := append([]string{"header:To:asGroupedAddresses:all", "header:Date:asDate", "header:X:asURLs", "header:Subject:asText"}, emailProperties...)
	parts := append([]string{"header:Content-Type", "header:Content-ID:asMessageIds:all"}, bodyPartProperties...)
	f.Fuzz(func(t *testing.T, text string, most int64) {
		m, err := message.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		w, err := parseEmailWish(&all, nil, bodyArguments{BodyProperties: &parts, FetchAllBodyValues: true, FetchTextBodyValues: true, MaxBodyValueBytes: unsignedInt(max(most, 0))})
		if err != nil {
			t.Fatal(err)
		}
		e := &email{parsed: m, blobID: "B", partPrefix: "P-", open: func() (io.ReaderAt, error) { return strings.NewReader(text), nil }}
		o, err := w.object(e, 64<<10+8*int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := encodeJSON(o)
		if err != nil || !json.Valid(b) || !utf8.Valid(b) {
			t.Fatalf("%q: %v", b, err)
		}
		if len(b) > 300*len(text)+10<<10 {
			t.Errorf("%d bytes are said of %d", len(b), len(text))
		}
		for id, v := range o["bodyValues"].(map[string]bodyValue) {
			if _, ok := findPart(m.Root, id); !ok {
				t.Errorf("there is no part %s", id)
			}
			if !utf8.ValidString(v.Value) || most > 0 && int64(len(v.Value)) > most {
				t.Errorf("%s is %q", id, v.Value)
			}
		}
		for p, id := range partIDs(m.Root) {
			if found, ok := findPart(m.Root, id); !ok || found != p {
				t.Errorf("%s is another part", id)
			}
		}
	})
}

// FuzzHeaderProperty shows that whatever is asked for is refused or said in JSON.
func FuzzHeaderProperty(f *testing.F) {
	for _, property := range []string{
		"header:Subject:asText", "header:To:asGroupedAddresses:all", "header:X:asURLs", "header:From:asDate", "header::all", "header:X:asMessageIds", "header:Date:asDate", "x", "header:Resent-To:asAddresses:all",
	} {
		f.Add(property, "<a@b>, \"c d\": =?utf-8?q?=FF?= <e@f> (g);")
	}
	f.Fuzz(func(t *testing.T, property, value string) {
		h, err := parseHeaderProperty(property)
		if err != nil {
			return
		}
		if !strings.EqualFold(headerPrefix+h.field, property[:len(headerPrefix)+len(h.field)]) {
			t.Errorf("%q is of the field %q", property, h.field)
		}
		v := h.valueIn(byName(message.Header(h.field + ": " + value)))
		b, err := encodeJSON(v)
		if err != nil || !json.Valid(b) || len(b) > 64*(len(value)+64) {
			t.Errorf("%s of %q: %s (%v)", property, value, b, err)
		}
	})
}

// FuzzCutText shows that a cut text is the beginning of the whole, and that HTML is not
// cut inside a tag.
func FuzzCutText(f *testing.F) {
	f.Add("<p>a</p><img src=\"a>b\" alt='ü'>text &amp; more<!-- c -->", 20)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n >= len(s) || !utf8.ValidString(s) {
			return
		}
		got := cutText(s, n, true)
		if len(got) > n || !strings.HasPrefix(s, got) || !utf8.ValidString(got) {
			t.Errorf("%q cut at %d is %q", s, n, got)
		}
	})
}
