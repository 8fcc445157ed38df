package render

import (
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"lockstep/internal/message/tnef"
)

// Bounds on what becomes of a message in a winmail.dat: messages inside each other, and
// files in all of them. Each file is found by reading the stream from its beginning;
// those beyond are left out.
const (
	maxNested      = 5
	maxNestedFiles = 100
)

// asMail makes a message of a TNEF stream, so that a phone can open what Outlook
// forwarded: what the stream says of its header, its text, its attachments. open
// begins to read the stream, as often as it is asked; nothing of it is held.
func asMail(open func() io.Reader, depth int, files *int) (io.Reader, error) {
	m, err := tnef.Read(open())
	if err != nil {
		return nil, err
	}
	boundary := fmt.Sprintf("nested-%d", depth) // base64 has no hyphen, and an inner one another number
	pieces := []io.Reader{strings.NewReader(mailHeader(m, boundary))}
	add := func(header string, body io.Reader) {
		pieces = append(pieces, strings.NewReader("\r\n--"+boundary+"\r\n"+header+"\r\n"), body)
	}
	t, _ := tnefText(m, strings.NewReader(""))
	add(textHeader(t), encoded(func() io.Reader {
		_, text := tnefText(m, open())
		return text
	}))
	for i, f := range m.Attachments {
		if *files--; *files < 0 {
			break
		}
		switch {
		case !f.Message:
			add(fileHeader(describeFile("", f)), encoded(func() io.Reader { return f.Data.Reader(open()) }))
		case depth < maxNested:
			inner, err := asMail(func() io.Reader { return m.Attachments[i].Data.Reader(open()) }, depth+1, files)
			if err != nil {
				return nil, err
			}
			add("Content-Type: message/rfc822\r\n", inner)
		}
	}
	pieces = append(pieces, strings.NewReader("\r\n--"+boundary+"--\r\n"))
	return io.MultiReader(pieces...), nil
}

func mailHeader(m *tnef.Message, boundary string) string {
	var h strings.Builder
	field := func(name, value string) {
		if value != "" {
			h.WriteString(name + ": " + mime.QEncoding.Encode("utf-8", value) + "\r\n")
		}
	}
	field("From", m.From)
	field("To", m.To)
	field("Cc", m.Cc)
	field("Subject", m.Subject)
	if m.Sent > 0 {
		field("Date", time.Unix(m.Sent, 0).UTC().Format(time.RFC1123Z))
	}
	h.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n")
	return h.String()
}

func textHeader(t Type) string {
	subtype := "plain"
	if t == HTML {
		subtype = "html"
	}
	return "Content-Type: text/" + subtype + "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
}

func fileHeader(a Attachment) string {
	header := "Content-Type: " + a.Type + "\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: " + mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}) + "\r\n"
	if a.ContentID != "" {
		header += "Content-ID: <" + a.ContentID + ">\r\n"
	}
	return header
}

// encoded reads what open gives in base64, and opens it when its turn has come.
func encoded(open func() io.Reader) io.Reader { return &lazyBase64{open: open} }

type lazyBase64 struct {
	open func() io.Reader
	in   io.Reader
	line [57]byte // 76 characters encoded
	out  []byte
	err  error
}

func (l *lazyBase64) Read(b []byte) (int, error) {
	if l.in == nil {
		l.in = l.open()
	}
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		var n int
		n, l.err = io.ReadFull(l.in, l.line[:])
		if l.err == io.ErrUnexpectedEOF {
			l.err = io.EOF
		}
		var text strings.Builder
		if n > 0 {
			writeBase64(&text, strings.NewReader(string(l.line[:n]))) // into memory: no error
		}
		l.out = []byte(text.String())
	}
	n := copy(b, l.out)
	l.out = l.out[n:]
	return n, nil
}
