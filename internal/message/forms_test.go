package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestURLsOfAField(t *testing.T) {
	for value, want := range map[string][]string{
		"<mailto:a@x.test>": {"mailto:a@x.test"},
		"(by mail) <mailto:a@x.test> , <https:// x.test/ a>": {"mailto:a@x.test", "https://x.test/a"},
		"<a:b>(one)(two),<c:d> and more, <e:f>":              {"a:b", "c:d"},
		"<a:b> <c:d>":                                        {"a:b", "c:d"},
		"NO (closed)":                                        nil,
		"<a:b":                                               nil,
		"<>,<a:b>":                                           {"a:b"},
		"":                                                   nil,
	} {
		if got := ParseURLs(value); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	if got := ParseURLs(strings.Repeat("<a:b>,", maxURLs+1)); len(got) != maxURLs {
		t.Errorf("%d of them, want %d", len(got), maxURLs)
	}
}

func TestAddressesAsTheyStandInHeaders(t *testing.T) {
	for value, want := range map[string]string{
		"Bo <b@x.test>": "b@x.test", `"a b"@x.test`: `"a b"@x.test`, `<"a\"b"@[1.2.3.4]>`: `"a\"b"@[1.2.3.4]`,
		"somebody": "somebody", "<@x.test>": "@x.test", "Bo <>": "", "jürgen@bücher.test": "jürgen@bücher.test",
	} {
		list := ParseAddresses(value)
		if len(list) != 1 || list[0].Spec() != want {
			t.Errorf("%q: got %q, want %q", value, list, want)
		}
	}
}

func TestWhatAPersonReadsOfAValue(t *testing.T) {
	for value, want := range map[string]string{
		"=?utf-8?q?a=07=00b?=": "ab", "u\u0308": "ü", "a\tb": "a\tb", "=?utf-8?q?e=CC=81?=": "é",
	} {
		if got := Unstructured(value); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

func TestRawValueIsAsItStands(t *testing.T) {
	for field, want := range map[string]string{
		"A: b\r\n c \r\n": " b\r\n c ", "A:b\n": "b", "A: \x00x": " x", "A: \xfc\r\n": " ü", "A: ü\r\n": " ü",
	} {
		for f := range Header(field).Fields() {
			if got := f.RawValue(); got != want {
				t.Errorf("%q: got %q, want %q", field, got, want)
			}
		}
	}
}

func TestReadersOfTextSayWhenTheyGuess(t *testing.T) {
	for _, c := range []struct {
		header, body, want string
		guessed            bool
	}{
		{"charset=utf-8", "ü", "ü", false},
		{"charset=utf-8", "\xfc", "ü", true},
		{"charset=us-ascii", "ü", "ü", false},
		{"charset=iso-8859-1", "\xfc", "ü", false},
		{"charset=windows-1252", "a\x81", "a\uFFFD", true},
		{"charset=shift_jis", "\x83\x41\xff" + strings.Repeat("x", 10), "ア\uFFFD" + strings.Repeat("x", 10), true},
		{"charset=x-none", "a", "a", true},
		{"x=y\r\nContent-Transfer-Encoding: x-none", "a", "a", true},
		{"x=y\r\nContent-Transfer-Encoding: base64", "YQ==", "a", false},
	} {
		text := "Content-Type: text/plain; " + c.header + "\r\n\r\n" + c.body
		m, err := Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, oneByOne := range []bool{false, true} {
			r := NewTextReader(strings.NewReader(text), m.Root)
			var in io.Reader = r
			if oneByOne {
				in = io.LimitReader(onlyOne{r}, 1<<20)
			}
			got, err := io.ReadAll(in)
			if err != nil || string(got) != c.want || r.Guessed() != c.guessed {
				t.Errorf("%q: got %q, %v (%v), want %q, %v", c.header, got, r.Guessed(), err, c.want, c.guessed)
			}
		}
	}
}

// onlyOne reads a byte at a time.
type onlyOne struct{ io.Reader }

func (o onlyOne) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(len(b), 1)]) }

func TestDecodedSizeIsThatOfTheDecodedBody(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 25 {
		decoded := make([]byte, random.IntN(3*wholeSizeBytes))
		line, ending := 4*(1+random.IntN(30)), []string{"\r\n", "\n"}[random.IntN(2)]
		var body strings.Builder
		for encoded := base64.StdEncoding.EncodeToString(decoded); encoded != ""; {
			n := min(line, len(encoded))
			body.WriteString(encoded[:n] + ending)
			encoded = encoded[n:]
		}
		text := body.String()
		if random.IntN(4) == 0 && text != "" { // somebody wrote into it
			at := random.IntN(len(text))
			text = text[:at] + " =x\r\n"[:random.IntN(5)] + text[at:]
		}
		if random.IntN(3) == 0 {
			text = strings.TrimRight(text, "\r\n") + []string{"", ending + ending, "=="}[random.IntN(3)]
		}
		whole := "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + text
		m, err := Parse(strings.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		ra := strings.NewReader(whole)
		got, err := DecodedSize(ra, m.Root)
		want, _ := io.Copy(io.Discard, DecodeBody(m.Root.Body(ra), "base64"))
		if err != nil || got != want {
			t.Errorf("%d bytes in lines of %d: got %d (%v), want %d", len(decoded), line, got, err, want)
		}
	}
}

func TestDecodedSizeReadsLittleOfALargeBody(t *testing.T) {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	whole := "Content-Transfer-Encoding: base64\r\nContent-Type: image/png\r\n\r\n" + strings.Repeat(line, 10*wholeSizeBytes/len(line))
	m, err := Parse(strings.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	ra := &countedReader{r: bytes.NewReader([]byte(whole))}
	if n, err := DecodedSize(ra, m.Root); err != nil || n != int64(10*wholeSizeBytes/len(line)*57) || ra.n > 2*sizeWindow {
		t.Errorf("%d bytes (%v), and %d were read", n, err, ra.n)
	}
}

type countedReader struct {
	r io.ReaderAt
	n int
}

func (c *countedReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(b, off)
	c.n += n
	return n, err
}
