package message

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"
)

// isUnicode reports whether charset is UTF-8, ASCII or unsaid: what claims to be
// one of these is read as UTF-8 as far as it is that.
func isUnicode(charset string) bool {
	switch strings.ToLower(strings.TrimSpace(charset)) {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "default":
		return true
	}
	return false
}

// findCharset returns the encoding of that name, nil if there is none we know.
// The names of the web come first: they are what programs mean, such as
// windows-1252 by iso-8859-1.
func findCharset(name string) encoding.Encoding {
	name = strings.Trim(name, " \t\"'")
	if len(name) > 64 {
		return nil
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	e, err := ianaindex.MIME.Encoding(name)
	if err != nil {
		return nil
	}
	return e
}

func knownCharset(name string) bool { return isUnicode(name) || findCharset(name) != nil }

// decodeCharset makes UTF-8 of raw. A charset that is unknown or does not fit is
// read as UTF-8, and bytes that are not that as windows-1252.
func decodeCharset(name string, raw []byte) string {
	if !isUnicode(name) {
		if e := findCharset(name); e != nil {
			if out, err := e.NewDecoder().Bytes(raw); err == nil {
				return string(out)
			}
		}
	}
	return headerUTF8(string(raw))
}

// toUTF8 reads r, which is in the charset, as UTF-8.
func toUTF8(r io.Reader, charset string) io.Reader {
	if !isUnicode(charset) {
		if e := findCharset(charset); e != nil {
			return transform.NewReader(r, e.NewDecoder())
		}
	}
	return transform.NewReader(r, &lenientUTF8{})
}

// lenientUTF8 passes UTF-8 through and reads bytes that are not that as
// windows-1252, each by itself.
type lenientUTF8 struct {
	transform.NopResetter
	guessed bool // there were some
}

func (l *lenientUTF8) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if c := src[nSrc]; c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, n := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && n == 1 {
			r, l.guessed = charmap.Windows1252.DecodeByte(src[nSrc]), true
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}
