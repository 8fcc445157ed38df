package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// letter4K is a plain message as it comes from a list, with twenty fields.
func letter4K() []byte {
	head := strings.Repeat("Received: from relay.example (relay.example [192.0.2.7])\r\n\tby mx.test with ESMTPS id 4Xyz\r\n\tfor <ben@sample.test>; Mon, 6 Jul 2026 09:12:44 +0200\r\n", 4) +
		strings.Repeat("X-Spam-Status: No, score=-2.1 required=5.0 tests=NONE\r\n", 8) +
		"From: Ada Example <ada@example.test>\r\nTo: Ben Sample <ben@sample.test>, harbour@list.example\r\n" +
		"Subject: Re: [harbour] Minutes of the meeting\r\nDate: Mon, 6 Jul 2026 09:12:40 +0200\r\n" +
		"Message-ID: <m3.20260706@example.test>\r\nIn-Reply-To: <m2@sample.test>\r\nReferences: <m1@example.test>\r\n <m2@sample.test>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	line := "The quick harbour pilot brings the lazy freighter in before the tide.\r\n"
	return []byte(head + strings.Repeat(line, (4096-len(head))/len(line)))
}

func withAttachment(size int) []byte {
	text := (Cut{LineLen: 76, CRLF: true}).appendLines(nil, make([]byte, size/4*3))
	return []byte("From: a@example.test\r\nSubject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee this.\r\n" +
		"--b\r\nContent-Type: image/tiff; name=big.tiff\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(text) + "--b--\r\n")
}

func benchmarkParse(b *testing.B, raw []byte) {
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	r := bytes.NewReader(nil)
	for b.Loop() {
		r.Reset(raw)
		if _, err := Parse(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.Run("plain/4K", func(b *testing.B) { benchmarkParse(b, letter4K()) })
	b.Run("attachment/1M", func(b *testing.B) { benchmarkParse(b, withAttachment(1<<20)) })
}

func BenchmarkEncode(b *testing.B) {
	m := parse(b, letter4K())
	b.ReportAllocs()
	for b.Loop() {
		Encode(m)
	}
}

func BenchmarkDecode(b *testing.B) {
	stored := Encode(parse(b, letter4K()))
	b.Run("envelope", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeEnvelope(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCuts(b *testing.B) {
	raw := withAttachment(1 << 20)
	m := parse(b, raw)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Cuts(bytes.NewReader(raw), m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBody(b *testing.B) {
	text := (Cut{LineLen: 76, CRLF: true}).appendLines(nil, make([]byte, 768<<10))
	for _, encoding := range []string{"base64", "quoted-printable"} {
		b.Run(encoding+"/1M", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := io.Copy(io.Discard, DecodeBody(bytes.NewReader(text), encoding)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
