package message

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// Downgraded reads a message for somebody who knows no UTF-8 in headers: a
// surrogate as RFC 6858 has it. Names, subjects and parameters are encoded,
// addresses that can't be are replaced, and other fields with bytes beyond ASCII
// are left out. Bodies, and headers that are ASCII, come as they are. Of a header
// no more is held than MaxHeaderBytes; in a longer one such bytes become "?".
func Downgraded(ra io.ReaderAt, m *Message) io.Reader {
	d := &downgrader{ra: ra}
	d.part(m.Root)
	d.raw(m.Size)
	return io.MultiReader(d.pieces...)
}

type downgrader struct {
	ra     io.ReaderAt
	at     int64 // up to where pieces reach
	pieces []io.Reader
}

// raw adds what stands between the last header and offset end.
func (d *downgrader) raw(end int64) {
	if end > d.at {
		d.pieces = append(d.pieces, io.NewSectionReader(d.ra, d.at, end-d.at))
		d.at = end
	}
}

func (d *downgrader) part(p *Part) {
	d.raw(p.Offset)
	if p.HeaderSize > 0 {
		d.pieces = append(d.pieces, &downgradedHeader{from: io.NewSectionReader(d.ra, p.Offset, p.HeaderSize)})
		d.at = p.BodyOffset
	}
	for _, child := range p.Parts {
		d.part(child)
	}
	if p.Message != nil {
		d.part(p.Message.Root)
	}
}

// downgradedHeader reads a header when its turn has come.
type downgradedHeader struct {
	from *io.SectionReader
	r    io.Reader
}

func (h *downgradedHeader) Read(p []byte) (int, error) {
	if h.r == nil {
		if err := h.begin(); err != nil {
			return 0, err
		}
	}
	return h.r.Read(p)
}

func (h *downgradedHeader) begin() error {
	if h.from.Size() > MaxHeaderBytes {
		h.r = asciiReader{h.from}
		return nil
	}
	block, err := io.ReadAll(h.from)
	if err == nil {
		h.r = bytes.NewReader(downgradeHeader(block))
	}
	return err
}

// asciiReader puts a question mark in the place of each byte beyond ASCII.
type asciiReader struct{ io.Reader }

func (a asciiReader) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	for i, c := range p[:n] {
		if c >= 0x80 {
			p[i] = '?'
		}
	}
	return n, err
}

// downgradeHeader makes a header block ASCII.
func downgradeHeader(block []byte) []byte {
	text := string(block)
	if mail.IsASCII(text) {
		return block
	}
	var out bytes.Buffer
	at := 0
	between := func(end int) {
		io.Copy(&out, asciiReader{strings.NewReader(text[at:end])}) // into memory: no error
	}
	for f := range Header(text).Fields() {
		between(f.Offset)
		at = f.Offset + len(f.Raw)
		if mail.IsASCII(f.Raw) {
			out.WriteString(f.Raw)
		} else if value, ok := downgradeValue(f); ok {
			fmt.Fprintf(&out, "%s: %s\r\n", f.Name, value)
		}
	}
	between(len(text))
	return out.Bytes()
}

// unstructuredFields can be encoded as they are; addressFields hold addresses.
var (
	unstructuredFields = []string{"subject", "comments", "content-description", "thread-topic", "organization"}
	addressFields      = []string{"from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc", "disposition-notification-to"}
)

// downgradeValue is the field's body in ASCII; false where there is no such.
func downgradeValue(f Field) (string, bool) {
	switch name := strings.ToLower(f.Name); {
	case slices.Contains(unstructuredFields, name):
		return encodeWords(f.Value()), true
	case slices.Contains(addressFields, name):
		return downgradeAddresses(ParseAddresses(f.Value())), true
	case name == "content-type":
		typ, subtype, params := parseContentType(f.Value())
		return typ + "/" + subtype + downgradeParams(params), true
	case name == "content-disposition":
		disposition, params := parseDisposition(f.Value())
		return disposition + downgradeParams(params), true
	}
	return "", false
}

// encodeWords writes text as encoded-words (RFC 2047), a line for each.
func encodeWords(text string) string {
	encoded := mime.QEncoding.Encode("utf-8", DecodeWords(text))
	return strings.ReplaceAll(encoded, "?= =?", "?=\r\n =?")
}

// internationalAddress stands for an address that ASCII can't spell (RFC 6858
// §2.1). Nobody can have it.
const internationalAddress = "invalid@internationalized-address.invalid"

func downgradeAddresses(list []Address) string {
	var out strings.Builder
	follows := false
	for _, a := range list {
		switch {
		case a.IsGroupEnd():
			out.WriteByte(';')
			follows = true
			continue
		case follows:
			out.WriteString(",\r\n ")
		}
		follows = !a.IsGroupStart()
		if a.IsGroupStart() {
			out.WriteString(phrase(a.Mailbox) + ": ")
			continue
		}
		out.WriteString(downgradeAddress(a))
	}
	return out.String()
}

func downgradeAddress(a Address) string {
	name, spec := a.Name, quoteLocal(a.Mailbox)+"@"+a.Host
	if !mail.IsASCII(spec) {
		name, spec = strings.TrimSpace(name+" "+a.String()), internationalAddress
	}
	if name == "" {
		return spec
	}
	return phrase(name) + " <" + spec + ">"
}

// phrase writes a display name (RFC 5322 §3.2.5).
func phrase(name string) string {
	if !mail.IsASCII(name) {
		return encodeWords(name)
	}
	if strings.Contains(name, "=?") {
		return name // encoded already
	}
	return quoted(name)
}

// quoteLocal writes a local part as a dot-atom where it is one.
func quoteLocal(local string) string {
	plain := func(r rune) bool {
		return r == '.' || r >= 0x80 || r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>[]:;@\,"`, r)
	}
	if local != "" && strings.IndexFunc(local, func(r rune) bool { return !plain(r) }) < 0 {
		return local
	}
	return quoted(local)
}

func quoted(s string) string { return `"` + inQuotes.Replace(s) + `"` }

var inQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// downgradeParams writes parameters, those beyond ASCII as RFC 2231 has them.
func downgradeParams(params []Param) string {
	var out strings.Builder
	for _, p := range params {
		if mail.IsASCII(p.Value) {
			fmt.Fprintf(&out, ";\r\n %s=%s", p.Name, quoted(p.Value))
			continue
		}
		fmt.Fprintf(&out, ";\r\n %s*=utf-8''", p.Name)
		for i := range len(p.Value) {
			if c := p.Value[i]; c < 0x80 && isTokenByte(c) && !strings.ContainsRune(`*'%`, rune(c)) {
				out.WriteByte(c)
			} else {
				fmt.Fprintf(&out, "%%%02X", c)
			}
		}
	}
	return out.String()
}
