package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// letters are the messages of testdata, which seed the fuzzers.
func letters(t testing.TB) [][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) == 0 {
		t.Fatal("no letters", err)
	}
	var all [][]byte
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

// beyond are messages past a bound each.
func beyond() (all []string) {
	var nested strings.Builder
	for i := range MaxDepth + 1 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", i, i)
	}
	return []string{
		nested.String(),
		strings.Repeat("Content-Type: message/rfc822\n\n", MaxDepth+1),
		"Content-Type: a/b" + strings.Repeat("; c=d", MaxParams+1) + "\n\n",
		"References: " + strings.Repeat("<a@b> ", MaxReferences+1) + "\n\n",
		"Subject: Re: Re: [fwd: [a] Fw[b]: fwd: (fwd)]\n\n" + strings.Repeat("ä ", MaxPreviewChars+1),
	}
}

func FuzzParse(f *testing.F) {
	for _, raw := range letters(f) {
		f.Add(raw)
	}
	for _, raw := range beyond() {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := parse(t, raw)
		again, err := Parse(iotest.OneByteReader(bytes.NewReader(raw)))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("read byte by byte it is another message: %v", err)
		}
		const limit = 1 << 16
		var text bytes.Buffer
		if err := Text(&text, bytes.NewReader(raw), m, limit); err != nil {
			t.Fatal(err)
		}
		if text.Len() > limit || !utf8.Valid(text.Bytes()) {
			t.Fatalf("text of %d bytes, or not UTF-8", text.Len())
		}
		if !utf8.ValidString(m.Envelope.Subject) || !utf8.ValidString(m.Preview) || !utf8.ValidString(m.BaseSubject) {
			t.Fatalf("not UTF-8: %+v", m)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, raw := range letters(f) {
		f.Add(Encode(parse(f, raw)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, envErr := DecodeEnvelope(b)
		m, err := Decode(b)
		if err != nil {
			return
		}
		if envErr != nil {
			t.Fatal("the whole decodes, the envelope does not")
		}
		again, err := Decode(Encode(m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%v\n%+v\n%+v", err, again, m)
		}
		s, err := DecodeSummary(b)
		if err != nil || s.ID != m.ID || s.BaseSubject != m.BaseSubject || s.IsReply != m.IsReply || !slices.Equal(s.Ancestry, m.Ancestry()) ||
			!s.SentAt.Equal(m.Envelope.SentAt) || s.From != first(m.Envelope.From) || s.To != first(m.Envelope.To) || s.Cc != first(m.Envelope.Cc) {
			t.Fatalf("%v\n%+v\nof %+v", err, s, m)
		}
	})
}

func first(list []Address) Address {
	if len(list) == 0 {
		return Address{}
	}
	list[0].Route = "" // of which a summary has none
	return list[0]
}

func FuzzAddressList(f *testing.F) {
	for _, tt := range addressTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := ParseAddresses(s)
		if len(list) > MaxAddresses {
			t.Fatalf("%d addresses", len(list))
		}
		inGroup := false
		for _, a := range list {
			if strings.ContainsAny(a.Name+a.Mailbox+a.Host, "\r\n\x00") {
				t.Fatalf("a line end in %q", a)
			}
			if a.IsGroupEnd() && !inGroup || a.IsGroupStart() && inGroup {
				t.Fatalf("groups are not in pairs: %q", list)
			}
			inGroup = a.IsGroupStart() || inGroup && !a.IsGroupEnd()
		}
		if inGroup {
			t.Fatalf("a group does not end: %q", list)
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, tt := range dateTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, ok := ParseDate(s)
		if !ok {
			return
		}
		if again, ok := ParseDate(at.Format("Mon, 2 Jan 2006 15:04:05 -0700")); !ok || !again.Equal(at) {
			t.Fatalf("%q is %v, and read again %v", s, at, again)
		}
	})
}

func FuzzEncodedWord(f *testing.F) {
	for _, tt := range wordTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = unfold(s)
		out := DecodeWords(s)
		if !utf8.ValidString(out) || strings.ContainsAny(out, "\r\n\x00") {
			t.Fatalf("%q is %q", s, out)
		}
		if len(out) > 4*len(s)+16 {
			t.Fatalf("%d bytes became %d", len(s), len(out))
		}
		base, isReply := BaseSubject(out)
		if again, _ := BaseSubject(base); again != base || isReply && len(base) >= len(out) {
			t.Fatalf("base subject of %q is %q, and of that %q", out, base, again)
		}
	})
}

func FuzzBodyDecoders(f *testing.F) {
	f.Add([]byte("SGVsbG8sIHdvcmxkIQ==\r\n"), "base64")
	f.Add([]byte("caf=C3=A9 =\r\nau lait=20\r\n"), "quoted-printable")
	f.Add([]byte("plain"), "x-other")
	f.Add([]byte("<html><HEAD><style>a</style></head><p>b&amp;c<br/><script>d</script><!-- e --><p hidden>f<div style=\"display:none\">g"), "7bit")
	f.Fuzz(func(t *testing.T, b []byte, encoding string) {
		out := decodeAll(t, DecodeBody(bytes.NewReader(b), encoding))
		slow := decodeAll(t, iotest.OneByteReader(DecodeBody(iotest.OneByteReader(bytes.NewReader(b)), encoding)))
		if !bytes.Equal(out, slow) || len(out) > len(b) {
			t.Fatalf("%q is %q, and byte by byte %q", b, out, slow)
		}
		strict, err := io.ReadAll(DecodeBodyStrict(bytes.NewReader(b), encoding))
		if err == nil && !bytes.Equal(strict, out) {
			t.Fatalf("strictly %q is %q, else %q", b, strict, out)
		}
		if std, err := base64.StdEncoding.DecodeString(string(b)); err == nil && encoding == "base64" && !bytes.Equal(std, out) {
			t.Fatalf("%q is %q, want %q", b, out, std)
		}
		io.Copy(io.Discard, htmlText(toUTF8(bytes.NewReader(b), encoding)))
	})
}

func decodeAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzCuts(f *testing.F) {
	f.Add([]byte("seed"), uint16(76), true, "", uint16(0), byte(0))
	f.Add([]byte("seed"), uint16(70), false, "\n\nfooter", uint16(500), byte('='))
	f.Fuzz(func(t *testing.T, seed []byte, lineLen uint16, crlf bool, tail string, at uint16, by byte) {
		if len(seed) == 0 || lineLen == 0 || lineLen > maxCutLine {
			return
		}
		data := bytes.Repeat(seed, 60_000/len(seed)+1)
		c := Cut{LineLen: int(lineLen), CRLF: crlf}
		text := append(c.appendLines(nil, data), tail...)
		if at > 0 {
			text[len(text)-1-int(at)%len(text)] = by // may break it
		}
		proveCuts(t, append([]byte("Content-Transfer-Encoding: base64\n\n"), text...))
	})
}

// proveCuts proves of a message that its cuts come out the same.
func proveCuts(t testing.TB, raw []byte) []Cut {
	t.Helper()
	cuts, err := Cuts(bytes.NewReader(raw), parse(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	var end int64
	for _, c := range cuts {
		if c.Offset < end || c.Offset+c.Length > int64(len(raw)) || c.Length < MinCut {
			t.Fatalf("%+v in %d bytes, after %d", c, len(raw), end)
		}
		end = c.Offset + c.Length
		want := raw[c.Offset:end]
		decoded, err := io.ReadAll(c.Decode(bytes.NewReader(raw)))
		if err != nil || int64(len(decoded)) != c.Size {
			t.Fatalf("%+v decodes to %d bytes, %v", c, len(decoded), err)
		}
		var again bytes.Buffer
		if err := Reencode(&again, bytes.NewReader(decoded), c); err != nil || !bytes.Equal(again.Bytes(), want) {
			t.Fatalf("%+v is not what it was: %v", c, err)
		}
		random := c.Encoded(bytes.NewReader(decoded))
		for _, from := range []int64{0, 1, c.Length / 3, c.Length - 5, c.Length - int64(c.LineLen) - 2} {
			from = max(from, 0)
			piece := make([]byte, min(3000, c.Length-from))
			if n, err := random.ReadAt(piece, from); err != nil || !bytes.Equal(piece[:n], want[from:from+int64(n)]) {
				t.Fatalf("%+v read from %d is wrong: %v", c, from, err)
			}
		}
	}
	return cuts
}
