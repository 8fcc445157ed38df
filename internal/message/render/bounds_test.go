package render

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"lockstep/internal/message"
)

// longMail is a message with so many lines behind its header, which takes no memory.
type longMail struct {
	header, line string
	size         int64
}

func (l longMail) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) && off < l.size {
		from := l.header
		at := off
		if off >= int64(len(l.header)) {
			from, at = l.line, (off-int64(len(l.header)))%int64(len(l.line))
		}
		k := copy(b[n:], from[at:])
		n += k
		off += int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func TestMemoryDoesNotGrowWithTheMessage(t *testing.T) {
	if raceDetector {
		t.Skip("its own memory would be counted")
	}
	const size = 8 << 20 // 50 say the same and take longer
	for _, c := range []struct{ name, header, line string }{
		{"text", "Subject: a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", strings.Repeat("word ", 14) + "\r\n"},
		{"html", "Subject: a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n", "<p>" + strings.Repeat("word ", 14) + "</p>\r\n"},
		{"one line", "Subject: a\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\n\r\n", "words and words "},
		{"one tag", "Subject: a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<img src='data:", "abcdefgh"},
		{"quoted lines", "Subject: a\r\nContent-Type: text/plain\r\n\r\nyes\r\n", "> no\r\n"},
		{"base64", "Subject: a\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n", strings.Repeat("QUJD", 19) + "\r\n"},
		{"raw bytes", "Subject: a\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\r\n", "\x00\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := longMail{c.header, c.line, size}
			m, err := message.Parse(io.NewSectionReader(l, 0, size))
			if err != nil {
				t.Fatal(err)
			}
			d := New(m.Root, l)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, typ := range []Type{Text, HTML, MIME} {
				b, err := d.Body(typ, -1)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := b.WriteTo(io.Discard); err != nil || n != b.Size {
					t.Errorf("type %d: wrote %d of %d, %v", typ, n, b.Size, err)
				}
			}
			if _, err := d.Part(500); err != nil {
				t.Error(err)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 40<<20 {
				t.Errorf("all bodies took %d MiB in all", got>>20)
			}
		})
	}
}

func TestAttachmentsAreBounded(t *testing.T) {
	raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
		strings.Repeat("--b\r\nContent-Type: image/gif\r\nContent-Disposition: attachment\r\n\r\nx\r\n", MaxAttachments+1) + "--b--\r\n"
	d := parse(t, []byte(raw))
	list, err := d.Attachments()
	if err != nil || len(list) != MaxAttachments || len(List(d.root)) != MaxAttachments {
		t.Errorf("%d attachments, %v", len(list), err)
	}
}

func TestChangedDocumentsSayTheirCharset(t *testing.T) {
	var out strings.Builder
	page := strings.Repeat(" ", 100) + `<META  content="text/html; charset='ISO-8859-1'" http-equiv=content-type><meta charset = koi8-r >` + strings.Repeat("x", maxMetaBytes) + "<meta charset=latin1>"
	if err := copyHTML(&out, strings.NewReader(page)); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(strings.Replace(page, "ISO-8859-1", "utf-8", 1), "koi8-r", "utf-8", 1)
	if out.String() != want {
		t.Errorf("got %.300q", out.String())
	}
}

func TestUnframedWhateverThePieces(t *testing.T) {
	page := "<!DOCTYPE html><HTML lang=en><head><title>t</title></head><body class='a>b'>a < b <<b>c</b> <hr></body></html>"
	want := "<title>t</title>b'>a < b <<b>c</b> <hr>"
	for size := 1; size <= len(page); size++ {
		var out strings.Builder
		u := &unframer{w: &out}
		for at := 0; at < len(page); at += size {
			u.Write([]byte(page[at:min(at+size, len(page))]))
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q", size, out.String())
		}
	}
}

func TestOpenRefusesOddPaths(t *testing.T) {
	d := parse(t, []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"))
	for _, path := range []string{"", "0", "2", "1.1", "-1", "1/1", "x", "1.", "1/", "9999999999999999999", strings.Repeat("1.", 200) + "1"} {
		if _, _, err := d.Open(path); err == nil {
			t.Errorf("%q was opened", path)
		}
	}
}

// What is open without end must not make each tag cost more than the one before.
func TestTagsThatNeverEndCostNoMoreThanOthers(t *testing.T) {
	page := strings.Repeat("<b>", MaxHeld/6) + strings.Repeat("</i>", MaxHeld/8) + strings.Repeat("x<blockquote type=cite></blockquote>", MaxHeld/100)
	raw := "Subject: a\r\nContent-Type: text/html\r\n\r\nown text <i>" + page
	d := parse(t, []byte(raw))
	for _, limit := range []int64{-1, 500, int64(len(page)) - 10} {
		if _, err := d.Body(HTML, limit); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Part(limit); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Body(Text, -1); err != nil {
		t.Fatal(err)
	}
}
