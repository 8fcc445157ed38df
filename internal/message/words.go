package message

import (
	"encoding/base64"
	"strings"
)

// maxWordBytes bounds an encoded-word. RFC 2047 allows 75, programs write whole
// subjects in one.
const maxWordBytes = 4096

// encodedWord is =?charset?encoding?text?= taken apart (RFC 2047 §2).
type encodedWord struct {
	charset, text string
	base64        bool
	size          int // of the whole
}

// DecodeWords decodes the encoded-words in an unfolded header value (RFC 2047).
// Neighbours in one charset are joined before they are decoded, since characters
// get split between them. A word that cannot be decoded stays as it is. It never
// fails, and the result is valid UTF-8 without NUL, CR or LF.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	var d wordDecoder
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, ok := cutEncodedWord(s[i:])
		var raw []byte
		if ok {
			raw, ok = w.bytes()
		}
		if !ok {
			d.plain(s[:i+2])
			s = s[i+2:]
			continue
		}
		d.plain(s[:i])
		d.word(w.charset, raw)
		s = s[i+w.size:]
	}
	d.plain(s)
	d.flush()
	return cleanText(d.out.String())
}

// wordDecoder holds back the bytes of the last word, and the space behind it.
type wordDecoder struct {
	out     strings.Builder
	charset string
	raw     []byte
	space   string
	pending bool // there is a word before what comes
}

func (d *wordDecoder) plain(s string) {
	switch {
	case s == "":
	case d.pending && d.space == "" && strings.Trim(s, " \t") == "":
		d.space = s // of no meaning if a word follows (RFC 2047 §6.2)
	default:
		d.flush()
		d.out.WriteString(s)
	}
}

func (d *wordDecoder) word(charset string, raw []byte) {
	d.space = ""
	if d.pending && !strings.EqualFold(d.charset, charset) {
		d.flush()
	}
	d.charset, d.pending = charset, true
	d.raw = append(d.raw, raw...)
}

func (d *wordDecoder) flush() {
	if d.pending {
		d.out.WriteString(decodeCharset(d.charset, d.raw))
		d.out.WriteString(d.space)
	}
	d.raw, d.space, d.pending = d.raw[:0], "", false
}

// cutEncodedWord reads the encoded-word s begins with.
func cutEncodedWord(s string) (w encodedWord, ok bool) {
	s = s[:min(len(s), maxWordBytes)]
	charset, rest, ok1 := strings.Cut(s[2:], "?")
	if !ok1 || len(rest) < 2 || rest[1] != '?' || strings.ContainsAny(charset, " \t\"<>") {
		return w, false
	}
	switch rest[0] {
	case 'B', 'b':
		w.base64 = true
	case 'Q', 'q':
	default:
		return w, false
	}
	end := strings.Index(rest[2:], "?=")
	if end < 0 {
		return w, false
	}
	w.charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language may follow
	w.text = rest[2 : 2+end]
	w.size = 2 + len(charset) + 1 + 2 + end + 2
	return w, knownCharset(w.charset)
}

// bytes undoes the encoding.
func (w encodedWord) bytes() ([]byte, bool) {
	if w.base64 {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(w.text, "= "))
		return raw, err == nil
	}
	raw := make([]byte, 0, len(w.text))
	for i := 0; i < len(w.text); i++ {
		c := w.text[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(w.text):
			if hi, lo := hexDigit(w.text[i+1]), hexDigit(w.text[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		raw = append(raw, c)
	}
	return raw, true
}
