package search

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// fold appends a character as words are compared: decomposed for compatibility,
// in lower case and without accents. lossy says that it was something else than an
// ASCII letter's case that was lost.
func fold(b []byte, r rune) (out []byte, lossy bool) {
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(b, byte(r)), false
	}
	var one [utf8.UTFMax]byte
	var scratch [64]byte
	for _, d := range string(norm.NFKD.Append(scratch[:0], utf8.AppendRune(one[:0], r)...)) {
		switch {
		case isAccent(d) || unicode.Is(unicode.Cf, d) || d < utf8.RuneSelf && !isWordChar(d): // as in "⒒"
			lossy = true
		case d == 'ß' || d == 'ẞ':
			b, lossy = append(b, "ss"...), true
		default:
			d = unicode.ToLower(d)
			if special, ok := plainLetters[d]; ok {
				b, lossy = append(b, special...), true
				continue
			}
			lossy = lossy || d < utf8.RuneSelf
			b = utf8.AppendRune(b, d)
		}
	}
	return b, lossy
}

// plainLetters are letters that do not decompose and that people write with plain
// ones. Final sigma is sigma.
var plainLetters = map[rune]string{'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ı': "i", 'ħ': "h", 'ŋ': "n", 'ς': "σ"}

// isAccent reports whether words are compared without the mark. The vowel signs of
// Indic scripts are no accents.
func isAccent(r rune) bool {
	switch {
	case r < 0x300:
		return false
	case r <= 0x36f, // combining diacritical marks
		r >= 0x483 && r <= 0x489, // Cyrillic
		r >= 0x591 && r <= 0x5c7, // Hebrew points
		r >= 0x610 && r <= 0x61a, // Arabic
		r >= 0x64b && r <= 0x65f, // Arabic
		r == 0x670, r == 0x640,   // Arabic; tatweel
		r >= 0x1ab0 && r <= 0x1aff, // extended
		r >= 0x1dc0 && r <= 0x1dff, // supplement
		r >= 0x20d0 && r <= 0x20ff, // for symbols
		r >= 0xfe00 && r <= 0xfe0f, // variation selectors
		r >= 0xfe20 && r <= 0xfe2f: // half marks
		return unicode.Is(unicode.M, r) || r == 0x640
	}
	return false
}

// isDense reports whether a script is written without spaces between words, or
// with what belongs to a word glued to it: then pairs of characters stand for
// words.
func isDense(r rune) bool {
	if r < 0xe00 {
		return false
	}
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Bopomofo) ||
		r == 'ー' || r == '々' || r == '〆'
}

func isWordChar(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.M, r) || isGlue(r)
}

// isGlue reports whether a character is invisible and stands within words: soft
// hyphens, joiners.
func isGlue(r rune) bool {
	switch r {
	case 0xad, 0x200c, 0x200d, 0x2060, 0x34f:
		return true
	}
	return false
}
