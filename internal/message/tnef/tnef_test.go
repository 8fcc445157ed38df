package tnef

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func contents(t testing.TB, b []byte, g Range) string {
	t.Helper()
	got, err := io.ReadAll(g.Reader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestReadFindsTextAndAttachments(t *testing.T) {
	b := readFile(t, "outer.tnef")
	m, err := Read(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	if m.Class != "IPM.Note" || m.Subject != "Outer" || m.HTMLCharset != "iso-8859-1" {
		t.Errorf("got %+v", m)
	}
	if got := contents(t, b, m.HTML); got != "<html><body><p>Gr\xfc\xdfe aus <b>Outlook</b></p></body></html>" {
		t.Errorf("HTML %q", got)
	}
	var list strings.Builder
	for _, a := range m.Attachments {
		fmt.Fprintf(&list, "%s %s %s %v %v %v %.10q\n", a.Name, a.Type, a.ContentID, a.Message, a.OLE, a.Inline, contents(t, b, a.Data))
	}
	want := `a long name.txt text/plain  false false false "short file"
pic.png image/png pic@x.test false false true "\x89PNG...."
   false true true "\xd0\xcf\x11\xe0"
Inner ü   true false false "x\x9f>\"\x01\x00\x01\a\x90\x06"
`
	if list.String() != want {
		t.Errorf("got\n%s\nwant\n%s", list.String(), want)
	}
	inner, err := Read(m.Attachments[3].Data.Reader(bytes.NewReader(b)))
	if err != nil || inner.Subject != "Inner ü" || inner.Sent != 1783843200 || len(inner.Attachments) != 1 {
		t.Errorf("inner %+v, %v", inner, err)
	}
}

func TestRTFGivesTheHTMLItWasMadeFrom(t *testing.T) {
	b := readFile(t, "rtf.tnef")
	m, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	html, r := RTFText(m.RTF.Reader(bytes.NewReader(b)))
	text, err := io.ReadAll(r)
	if want := "<p>При € {x}&amp;\r\n</p>"; !html || err != nil || string(text) != want {
		t.Errorf("html %v, %q, %v", html, text, err)
	}
}

// The first example of MS-OXRTFCP §4.1.1 is of these bytes.
func TestDecompress(t *testing.T) {
	got, err := io.ReadAll(decompress(bytes.NewReader(readFile(t, "hello.lzfu"))))
	if want := "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPlainRTFBecomesText(t *testing.T) {
	rtf := `{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title no}}\uc1 a\tab b\par\u233?\'e9 {\*\unknown hidden}\{c\}\u-10179?\u-8704?\emdash}`
	r := &rtfReader{in: bufioReader(rtf), groups: []group{{fallback: 1}}, charset: "windows-1252"}
	got, err := io.ReadAll(r)
	if want := "a\tb\r\néé {c}😀—"; err != nil || string(got) != want {
		t.Errorf("got %q, want %q, %v", got, want, err)
	}
}

func TestDamageLosesOnlyWhatIsBehindIt(t *testing.T) {
	b := readFile(t, "outer.tnef")
	before := 0
	for n := range b {
		m, err := Read(bytes.NewReader(b[:n]))
		switch {
		case n < 4:
			if err != ErrFormat {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		case err != nil:
			t.Fatalf("%d bytes: %v", n, err)
		}
		if len(m.Attachments) < before {
			t.Errorf("%d bytes have fewer attachments than less", n)
		}
		before = len(m.Attachments)
	}
}

func TestReadersErrorIsTold(t *testing.T) {
	b := readFile(t, "outer.tnef")
	broken := io.MultiReader(bytes.NewReader(b[:100]), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := Read(broken); err != io.ErrClosedPipe {
		t.Errorf("got %v", err)
	}
}

func TestAttachmentsAreBounded(t *testing.T) {
	b := append([]byte(nil), readFile(t, "outer.tnef")[:6]...)
	for range MaxAttachments + 1 {
		b = append(b, 2, 0x02, 0x90, 6, 0, 14, 0, 0, 0)
		b = append(b, make([]byte, 14+2)...)
	}
	m, err := Read(bytes.NewReader(b))
	if err != nil || len(m.Attachments) != MaxAttachments {
		t.Errorf("%d attachments, %v", len(m.Attachments), err)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"outer.tnef", "rtf.tnef"} {
		f.Add(readFile(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, a := range m.Attachments {
			io.Copy(io.Discard, a.Data.Reader(bytes.NewReader(b)))
		}
		_, r := RTFText(m.RTF.Reader(bytes.NewReader(b)))
		if n, err := io.Copy(io.Discard, r); err != nil || n > int64(100*len(b)+1000) {
			t.Errorf("RTF: %d bytes out of %d, %v", n, len(b), err)
		}
	})
}

func FuzzRTF(f *testing.F) {
	f.Add(`{\rtf1\fromhtml1\ansicpg932{\*\htmltag <b>}\'82\'a0\u8364?}`, true)
	f.Fuzz(func(t *testing.T, rtf string, html bool) {
		r := &rtfReader{in: bufioReader(rtf), html: html, groups: []group{{fallback: 1}}, charset: "windows-1252"}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
	})
}

func bufioReader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }
