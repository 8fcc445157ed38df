package message

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// partText reads the decoded text of a body as UTF-8.
func partText(body io.Reader, p *Part) io.Reader { return toUTF8(partDecoded(body, p)) }

// partDecoded reads the decoded text of a body, and says what charset it is in: as the
// header does, else as an HTML document itself may say.
func partDecoded(body io.Reader, p *Part) (text io.Reader, name string) {
	text = DecodeBody(body, p.Encoding)
	if p.Charset() != "" || p.Subtype != "html" {
		return text, p.Charset()
	}
	in := bufio.NewReaderSize(text, metaBytes)
	head, _ := in.Peek(metaBytes) // an error comes again with the reading
	_, name, _ = charset.DetermineEncoding(head, "")
	if name == "windows-1252" {
		name = "" // its guess if it knows nothing; ours tells UTF-8 apart
	}
	return in, name
}

// metaBytes is how far into a document its charset may stand (HTML §4.2.5.4).
const metaBytes = 1024

// PartUTF8 reads a text part's body decoded and in UTF-8, with its tags if it is
// HTML.
func PartUTF8(ra io.ReaderAt, p *Part) io.Reader { return partText(p.Body(ra), p) }

// ToUTF8 reads r, which is in the charset, as UTF-8. One that is unknown or unsaid is
// read as UTF-8, and bytes that are not that as windows-1252.
func ToUTF8(r io.Reader, charset string) io.Reader { return toUTF8(r, charset) }

// PartText reads a text part's body as plain UTF-8 text: decoded, and without
// tags if it is HTML.
func PartText(ra io.ReaderAt, p *Part) io.Reader {
	text := partText(p.Body(ra), p)
	if p.Is("text", "html") {
		return htmlText(text)
	}
	return text
}

// HeaderText writes the message's header decoded and unfolded, a field a line, at
// most limit bytes of it.
func HeaderText(w io.Writer, ra io.ReaderAt, m *Message, limit int64) error {
	return stopAtLimit(headerText(&limitWriter{w, limit}, ra, m.Root))
}

// BodyText writes what SEARCH BODY looks at: the text of all text parts, and of
// the headers of embedded messages, and the names and descriptions of all parts.
// It writes at most limit bytes.
func BodyText(w io.Writer, ra io.ReaderAt, m *Message, limit int64) error {
	return stopAtLimit(bodyText(&limitWriter{w, limit}, ra, m.Root))
}

// Text writes what SEARCH TEXT looks at: HeaderText and BodyText, at most limit
// bytes together.
func Text(w io.Writer, ra io.ReaderAt, m *Message, limit int64) error {
	lw := &limitWriter{w, limit}
	err := headerText(lw, ra, m.Root)
	if err == nil {
		err = bodyText(lw, ra, m.Root)
	}
	return stopAtLimit(err)
}

func headerText(w io.Writer, ra io.ReaderAt, p *Part) error {
	h, err := ReadHeader(ra, p)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	for f := range h.Fields() {
		out.WriteString(f.Name)
		out.WriteString(": ")
		out.WriteString(DecodeWords(f.Value()))
		out.WriteByte('\n')
	}
	return out.Flush()
}

func bodyText(w io.Writer, ra io.ReaderAt, root *Part) error {
	var err error
	root.Walk(func(p *Part) bool {
		if err == nil {
			err = partWords(w, p)
		}
		switch {
		case err != nil:
		case p.Message != nil:
			err = headerText(w, ra, p.Message.Root)
		case p.Type == "text":
			if _, err = io.Copy(w, PartText(ra, p)); err == nil {
				_, err = io.WriteString(w, "\n")
			}
		}
		return err == nil
	})
	return err
}

// partWords writes what a part is called.
func partWords(w io.Writer, p *Part) error {
	for _, s := range []string{p.Filename(), DecodeWords(p.Description)} {
		if s == "" {
			continue
		}
		if _, err := io.WriteString(w, s+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// limitWriter passes left bytes on, cut between characters, and then fails with
// errLimit.
type limitWriter struct {
	w    io.Writer
	left int64
}

var errLimit = errors.New("text limit reached")

func (l *limitWriter) Write(b []byte) (int, error) {
	if int64(len(b)) <= l.left {
		n, err := l.w.Write(b)
		l.left -= int64(n)
		return n, err
	}
	n, err := l.w.Write(wholeChars(b, int(l.left)))
	l.left = 0
	if err == nil {
		err = errLimit
	}
	return n, err
}

// wholeChars returns at most n bytes of b that do not end inside a character.
func wholeChars(b []byte, n int) []byte {
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

func stopAtLimit(err error) error {
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}
