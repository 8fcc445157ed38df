package render

import (
	"fmt"
	"strings"
	"testing"
)

// letterOf is a message of an HTML text of about n bytes, and a picture.
func letterOf(n int) []byte {
	line := `<tr><td style="font-family:sans-serif;padding:4px"><a href="https://shop.example.test/item?id=12345&amp;ref=mail">An offer</a> that you should not miss &mdash; Gr&uuml;&szlig;e</td></tr>` + "\r\n"
	return []byte("Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><table>\r\n" +
		strings.Repeat(line, n/len(line)+1) + "</table></body></html>\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <p>\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", n/78) + "--b--\r\n")
}

func BenchmarkBody(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		d := parse(b, letterOf(size))
		for typ, name := range map[Type]string{Text: "text", HTML: "html", MIME: "mime"} {
			b.Run(fmt.Sprintf("%s/%dk", name, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := d.Body(typ, 500); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
