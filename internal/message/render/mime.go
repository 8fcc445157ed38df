package render

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"lockstep/internal/message"
)

// writeMIME writes the message as phones take it: ASCII, or UTF-8 where a part says
// so, without controls, lines ended with CRLF. What is so already, and that is nearly
// all mail, is passed on byte for byte; signed mail stays valid. Else headers are
// repaired (message.RepairHeader), and bodies that are not what they say are encoded:
// text as UTF-8 in quoted-printable, other bytes in base64.
func (d *Document) writeMIME(w io.Writer) error {
	m := &mimeWriter{ra: d.ra, out: &crlfWriter{w: w}, at: d.root.Offset}
	if err := m.part(d.root); err != nil {
		return err
	}
	return m.between(d.root.End())
}

// mimeWriter writes a message part by part, and what stands between them.
type mimeWriter struct {
	ra  io.ReaderAt
	out io.Writer
	at  int64 // up to where the message is written
}

func (m *mimeWriter) section(end int64) *io.SectionReader {
	return io.NewSectionReader(m.ra, m.at, max(end-m.at, 0))
}

// between writes delimiters, and what no program shows.
func (m *mimeWriter) between(end int64) error {
	_, err := io.Copy(&cleaner{w: m.out, replace: '?'}, m.section(end))
	m.at = max(end, m.at)
	return err
}

func (m *mimeWriter) part(p *message.Part) error {
	if err := m.between(p.Offset); err != nil {
		return err
	}
	recoding, err := m.recoding(p)
	if err != nil {
		return err
	}
	if err := m.header(p, recoding); err != nil {
		return err
	}
	m.at = p.BodyOffset
	for _, child := range p.Parts {
		if err := m.part(child); err != nil {
			return err
		}
	}
	if p.Message != nil {
		if err := m.part(p.Message.Root); err != nil {
			return err
		}
	}
	if p.IsMultipart() || p.Message != nil {
		return nil
	}
	m.at = p.End()
	return m.body(p, recoding)
}

// header writes a header; of one that is too long for any program the rest is not
// looked into.
func (m *mimeWriter) header(p *message.Part, r *message.Recoding) error {
	if p.HeaderSize == 0 && r == nil {
		return nil
	}
	if p.HeaderSize > message.MaxHeaderBytes {
		_, err := io.Copy(&cleaner{w: m.out, replace: '?'}, p.Header(m.ra))
		return err
	}
	block, err := io.ReadAll(p.Header(m.ra))
	if err == nil {
		_, err = m.out.Write(message.RepairHeader(block, p, r))
	}
	return err
}

// recoding says how the body of a leaf has to be encoded; nil if it goes as it is.
func (m *mimeWriter) recoding(p *message.Part) (*message.Recoding, error) {
	if p.IsMultipart() || p.Message != nil || p.HeaderSize > message.MaxHeaderBytes {
		return nil, nil
	}
	switch p.Encoding {
	case "7bit", "8bit", "binary", "":
	default:
		return nil, nil
	}
	var k kind
	if _, err := io.Copy(&k, p.Body(m.ra)); err != nil || k.isClean(p) {
		return nil, err
	}
	if p.Type == "text" {
		return &message.Recoding{Encoding: "quoted-printable", Charset: "utf-8"}, nil
	}
	return &message.Recoding{Encoding: "base64"}, nil
}

func (m *mimeWriter) body(p *message.Part, r *message.Recoding) error {
	switch {
	case r == nil && p.Encoding == "quoted-printable":
		return copyTo(&cleaner{w: m.out, escape: true}, p.Body(m.ra))
	case r == nil:
		return copyTo(&cleaner{w: m.out, utf8: p.Encoding == "8bit", replace: replacement(p)}, p.Body(m.ra))
	case r.Encoding == "base64":
		return writeBase64(m.out, p.Body(m.ra))
	}
	out := quotedprintable.NewWriter(m.out)
	if err := copyTo(out, message.PartUTF8(m.ra, p)); err != nil {
		return err
	}
	return out.Close()
}

func copyTo(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}

// replacement is what a byte becomes that may not be there: nothing in base64, which
// has no such, and a question mark under encodings nobody knows.
func replacement(p *message.Part) byte {
	if p.Encoding == "base64" {
		return 0
	}
	return '?'
}

// writeBase64 writes lines of base64.
func writeBase64(w io.Writer, r io.Reader) error {
	lines := &base64Lines{w: w}
	encoder := base64.NewEncoder(base64.StdEncoding, lines)
	if err := copyTo(encoder, r); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	return lines.end()
}

// base64Lines breaks text into lines of 76 (RFC 2045 §6.8).
type base64Lines struct {
	w io.Writer
	n int
}

func (l *base64Lines) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(76-l.n, len(b)-done)
		if _, err := l.w.Write(b[done : done+n]); err != nil {
			return done, err
		}
		done += n
		if l.n += n; l.n == 76 {
			if err := l.end(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

func (l *base64Lines) end() error {
	if l.n == 0 {
		return nil
	}
	l.n = 0
	_, err := l.w.Write(crlf)
	return err
}

// isPlain tells bytes that may be in any text: printable ASCII, tabs and line ends.
var isPlain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = true
	}
	t['\t'], t['\n'] = true, true
	return t
}()

// kind finds out what bytes a body has.
type kind struct {
	high, control, broken bool
	cr                    bool
	rest                  []byte // the beginning of a character
}

func (k *kind) Write(b []byte) (int, error) {
	for _, c := range b {
		if !isPlain[c] || k.cr || len(k.rest) > 0 {
			k.byte(c)
		}
	}
	return len(b), nil
}

func (k *kind) byte(c byte) {
	if k.cr && c != '\n' {
		k.control = true // programs break lines at it
	}
	k.cr = c == '\r'
	if c >= utf8.RuneSelf {
		k.high = true
		if k.rest = append(k.rest, c); utf8.FullRune(k.rest) {
			_, size := utf8.DecodeRune(k.rest)
			k.broken = k.broken || size != len(k.rest)
			k.rest = k.rest[:0]
		}
		return
	}
	k.broken = k.broken || len(k.rest) > 0
	k.rest = k.rest[:0]
	if c < ' ' && c != '\t' && c != '\r' && c != '\n' {
		k.control = true
	}
}

// isClean reports whether a body of this kind can go as it is.
func (k *kind) isClean(p *message.Part) bool {
	switch {
	case k.control || k.broken || len(k.rest) > 0 || k.cr:
		return false
	case !k.high:
		return true
	}
	return p.Encoding == "8bit" && strings.EqualFold(strings.TrimSpace(p.Charset()), "utf-8")
}

// cleaner takes away what may not be in text that is sent: controls, and bytes beyond
// ASCII unless utf8 says that they are known to be good.
type cleaner struct {
	w       io.Writer
	utf8    bool
	escape  bool // into quoted-printable
	replace byte // 0 leaves out
}

func (c *cleaner) Write(b []byte) (int, error) {
	done := 0
	for i, ch := range b {
		if isPlain[ch] || ch == '\r' || c.utf8 && ch > 0x7f {
			continue
		}
		if _, err := c.w.Write(b[done:i]); err != nil {
			return done, err
		}
		if _, err := c.w.Write(c.instead(ch)); err != nil {
			return done, err
		}
		done = i + 1
	}
	if _, err := c.w.Write(b[done:]); err != nil {
		return done, err
	}
	return len(b), nil
}

func (c *cleaner) instead(ch byte) []byte {
	const digits = "0123456789ABCDEF"
	switch {
	case c.escape:
		return []byte{'=', digits[ch>>4], digits[ch&15]}
	case c.replace == 0:
		return nil
	}
	return []byte{c.replace}
}
