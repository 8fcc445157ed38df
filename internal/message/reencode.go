package message

import (
	"encoding/base64"
	"io"

	"lockstep/internal/mail"
)

// Decode reads the bytes that are stored in place of the cut, out of the message.
func (c Cut) Decode(ra io.ReaderAt) io.Reader {
	return DecodeBodyStrict(io.NewSectionReader(ra, c.Offset, c.Length), "base64")
}

// Reencode writes the text of the cut again from its decoded bytes. Other bytes
// than those of the cut are Corrupt, if there are too few or too many of them.
func Reencode(dst io.Writer, decoded io.Reader, c Cut) error {
	in := make([]byte, c.decodedBlock())
	var out []byte
	var written int64
	for {
		n, err := io.ReadFull(decoded, in)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		out = c.appendLines(out[:0], in[:n])
		last := written+int64(len(out)) >= c.Length
		if last {
			out = out[:max(c.Length-written, 0)]
		}
		if _, err := dst.Write(out); err != nil {
			return err
		}
		written += int64(len(out))
		if err != nil || last {
			return c.check(written, decoded)
		}
	}
}

func (c Cut) check(written int64, decoded io.Reader) error {
	more, err := io.CopyN(io.Discard, decoded, 1)
	switch {
	case err != nil && err != io.EOF:
		return err
	case written != c.Length || more > 0:
		return mail.Errorf(mail.Corrupt, "the stored part is not as long as it was")
	}
	return nil
}

// appendLines encodes a block, or what there is of the last one, with a line end
// after every line, the last included.
func (c Cut) appendLines(dst, decoded []byte) []byte {
	text := base64.StdEncoding.AppendEncode(nil, decoded)
	for len(text) > 0 {
		n := min(c.LineLen, len(text))
		dst = append(dst, text[:n]...)
		dst = append(dst, c.lineEnd()...)
		text = text[n:]
	}
	return dst
}

// Encoded gives random access to the text of the cut, made from its decoded bytes
// as it is read. Offsets count from the beginning of the cut.
func (c Cut) Encoded(decoded io.ReaderAt) io.ReaderAt { return encodedReader{c, decoded} }

type encodedReader struct {
	c       Cut
	decoded io.ReaderAt
}

func (r encodedReader) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off < r.c.Length {
		text, err := r.block(off / int64(r.c.encodedBlock()))
		if err != nil {
			return n, err
		}
		k := copy(b[n:], text[off%int64(r.c.encodedBlock()):])
		n += k
		off += int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// block encodes the i-th block.
func (r encodedReader) block(i int64) ([]byte, error) {
	size := int64(r.c.decodedBlock())
	in := make([]byte, min(size, r.c.Size-i*size))
	if err := readAt(r.decoded, in, i*size); err != nil {
		return nil, err
	}
	text := r.c.appendLines(nil, in)
	return text[:min(int64(len(text)), r.c.Length-i*int64(r.c.encodedBlock()))], nil
}
