package message

import (
	"bytes"
	"io"
)

// DecodedSize is how many bytes DecodeBody makes of the part's body. Identity
// encodings cost nothing. Base64 of more than wholeSizeBytes costs its first and its
// last line, where these and the number of lines agree: a body that is damaged without
// any line being longer or shorter for it may be a few bytes off. Anything else is read
// through.
func DecodedSize(ra io.ReaderAt, p *Part) (int64, error) {
	if p.Encoding != "base64" && p.Encoding != "quoted-printable" {
		return p.BodySize, nil
	}
	if p.Encoding == "base64" && p.BodySize > wholeSizeBytes {
		if n, ok, err := base64Size(ra, p); ok || err != nil {
			return n, err
		}
	}
	return io.Copy(io.Discard, DecodeBody(p.Body(ra), p.Encoding))
}

const (
	wholeSizeBytes = 128 << 10
	sizeWindow     = 2 << 10 // looked at at either end
)

// base64Size computes the size of a body whose lines, but for the last, are all as long
// as the first; it says false if it can't tell.
func base64Size(ra io.ReaderAt, p *Part) (size int64, ok bool, err error) {
	head, tail := make([]byte, sizeWindow), make([]byte, sizeWindow)
	if err := readAt(ra, head, p.BodyOffset); err != nil {
		return 0, false, err
	}
	if err := readAt(ra, tail, p.End()-sizeWindow); err != nil {
		return 0, false, err
	}
	nl := bytes.IndexByte(head, '\n')
	if nl < 0 {
		return 0, false, nil
	}
	line, ending := trimLine(head[:nl+1])
	text := bytes.TrimRight(tail, "\r\n")
	last := text[bytes.LastIndexByte(text, '\n')+1:]
	chars := int64(len(bytes.TrimRight(last, "=")))
	blank := int64(bytes.Count(tail[len(text):], []byte("\n")))
	before := p.BodySize - int64(len(tail)-len(text)) - int64(len(last))
	step := int64(len(line) + len(ending))
	if len(line)%4 != 0 || len(line) == 0 || before%step != 0 || before/step+blank != p.Lines || !allBase64(line) || !allBase64(last[:chars]) {
		return 0, false, nil
	}
	chars += before / step * int64(len(line))
	return chars/4*3 + max(chars%4-1, 0), true, nil
}

func allBase64(b []byte) bool {
	for _, c := range b {
		if base64Values[c] >= base64Skip {
			return false
		}
	}
	return true
}
