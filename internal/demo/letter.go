package demo

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// letter is a message before it is bytes.
type letter struct {
	from, to, cc person
	more         []person // further recipients
	subject      string
	date         time.Time
	id           string
	refs         []string    // message ids, oldest first
	header       [][2]string // further fields
	text         string
	html         string
	inline       []part // shown by the html
	attached     []part
	calendar     string // text/calendar; method in the part's type
	method       string
}

// part is one file in a message.
type part struct {
	mediaType string
	name      string
	id        string // Content-ID
	data      []byte
}

// newID makes a Message-ID in the sender's domain.
func (w *writer) newID(from person) string {
	w.ids++
	return fmt.Sprintf("%06d.%08x@%s", w.ids, w.rng.Uint32(), from.domain())
}

// replyTo makes l an answer to earlier.
func (l letter) replyTo(earlier letter) letter {
	l.refs = append(append([]string{}, earlier.refs...), earlier.id)
	if l.subject == "" {
		l.subject = "Re: " + strings.TrimPrefix(earlier.subject, "Re: ")
	}
	return l
}

// bytes writes the message as RFC 5322 with MIME.
func (l letter) bytes(rng *rand.Rand) []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, fold(value))
		}
	}
	fmt.Fprintf(&b, "Received: from mx.%s (mx.%s [192.0.2.%d])\r\n\tby mail.example.test with ESMTPS; %s\r\n",
		l.from.domain(), l.from.domain(), 1+rng.IntN(250), l.date.Format(time.RFC1123Z))
	field("Date", l.date.Add(-time.Duration(rng.IntN(40))*time.Second).Format(time.RFC1123Z))
	field("From", l.from.String())
	field("To", people(append([]person{l.to}, l.more...)))
	field("Cc", people([]person{l.cc}))
	field("Subject", mime.QEncoding.Encode("utf-8", l.subject))
	field("Message-ID", "<"+l.id+">")
	if n := len(l.refs); n > 0 {
		field("In-Reply-To", "<"+l.refs[n-1]+">")
		field("References", "<"+strings.Join(l.refs, "> <")+">")
	}
	for _, h := range l.header {
		field(h[0], h[1])
	}
	field("MIME-Version", "1.0")
	l.body(rng).write(&b)
	return b.Bytes()
}

// entity is a node of the MIME tree.
type entity struct {
	header   [][2]string
	data     []byte // already encoded, CRLF
	boundary string
	children []entity
}

func (e entity) write(b *bytes.Buffer) {
	for _, h := range e.header {
		fmt.Fprintf(b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	b.Write(e.data)
	for _, c := range e.children {
		fmt.Fprintf(b, "--%s\r\n", e.boundary)
		c.write(b)
		b.WriteString("\r\n")
	}
	if e.boundary != "" {
		fmt.Fprintf(b, "--%s--\r\n", e.boundary)
	}
}

func multipart(rng *rand.Rand, kind string, children ...entity) entity {
	if len(children) == 1 {
		return children[0]
	}
	boundary := fmt.Sprintf("=_%016x", rng.Uint64())
	return entity{header: [][2]string{{"Content-Type", fmt.Sprintf("multipart/%s; boundary=\"%s\"", kind, boundary)}}, boundary: boundary, children: children}
}

func (l letter) body(rng *rand.Rand) entity {
	var alternatives []entity
	if l.text != "" {
		alternatives = append(alternatives, textEntity("plain", l.text))
	}
	if l.html != "" {
		related := []entity{textEntity("html", l.html)}
		for _, p := range l.inline {
			related = append(related, p.entity("inline"))
		}
		alternatives = append(alternatives, multipart(rng, "related", related...))
	}
	if l.calendar != "" {
		e := textEntity("calendar", l.calendar)
		e.header[0][1] += "; method=" + l.method
		alternatives = append(alternatives, e)
	}
	mixed := []entity{multipart(rng, "alternative", alternatives...)}
	for _, p := range l.attached {
		mixed = append(mixed, p.entity("attachment"))
	}
	return multipart(rng, "mixed", mixed...)
}

// textEntity encodes text as it needs: 7bit where it can, quoted-printable for
// the odd accent, base64 where most letters are not ASCII.
func textEntity(subtype, text string) entity {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	charset, encoding, data := "utf-8", "quoted-printable", []byte(nil)
	switch {
	case isPlain(text):
		charset, encoding, data = "us-ascii", "7bit", []byte(text)
	case foreign(text):
		encoding, data = "base64", wrap64([]byte(text))
	default:
		var b bytes.Buffer
		q := quotedprintable.NewWriter(&b)
		_, _ = q.Write([]byte(text)) // a bytes.Buffer takes everything
		_ = q.Close()
		data = b.Bytes()
	}
	return entity{header: [][2]string{{"Content-Type", "text/" + subtype + "; charset=" + charset}, {"Content-Transfer-Encoding", encoding}}, data: data}
}

func isPlain(text string) bool {
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 78 {
			return false
		}
	}
	return strings.IndexFunc(text, func(r rune) bool { return r > 0x7e }) < 0
}

func foreign(text string) bool {
	n := 0
	for _, r := range text {
		if r > 0x7f {
			n++
		}
	}
	return n*3 > len([]rune(text))
}

func (p part) entity(disposition string) entity {
	name := mime.FormatMediaType(disposition, map[string]string{"filename": p.name})
	e := entity{header: [][2]string{{"Content-Type", mime.FormatMediaType(p.mediaType, map[string]string{"name": p.name})}, {"Content-Disposition", name}, {"Content-Transfer-Encoding", "base64"}}, data: wrap64(p.data)}
	if p.id != "" {
		e.header = append(e.header, [2]string{"Content-ID", "<" + p.id + ">"})
	}
	return e
}

// wrap64 is base64 in lines of 76 (RFC 2045 §6.8).
func wrap64(data []byte) []byte {
	const lineBytes = 57
	var b bytes.Buffer
	for len(data) > 0 {
		n := min(lineBytes, len(data))
		b.WriteString(base64.StdEncoding.EncodeToString(data[:n]))
		b.WriteString("\r\n")
		data = data[n:]
	}
	return b.Bytes()
}

// fold breaks a header field before it gets longer than 78 where a space allows.
func fold(value string) string {
	var b strings.Builder
	column := 20
	for i, word := range strings.Split(value, " ") {
		if i > 0 {
			if column+len(word) > 76 {
				b.WriteString("\r\n")
				column = 0
			}
			b.WriteByte(' ')
		}
		b.WriteString(word)
		column += len(word) + 1
	}
	return b.String()
}
