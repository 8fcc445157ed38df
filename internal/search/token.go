package search

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of what is made of text. A longer word is cut: what follows is not found
// by people's search.
const (
	maxTokenBytes = 64
	maxTokens     = 50_000 // in one field of a message
)

// A tokenizer makes words of text that is written to it. Words are runs of letters,
// digits and marks, folded; everything else separates, so that an address or a host
// name is a row of words: it is found whole as a phrase, and by its parts. Where a
// script has no spaces, words are pairs of characters that overlap; the last of a
// run also stands alone, so that every single one begins some word.
//
// The words are written to out, a space behind each.
type tokenizer struct {
	out   []byte
	left  int  // words that may still come
	lossy bool // some word is not the letters of the text but for ASCII case

	word  []byte // folded, not yet given out
	dense []rune // the last characters of a dense run, two at most, not yet given out
	cut   []byte // the beginning of a character
	full  bool   // words were left out
}

func newTokenizer(limit int) *tokenizer { return &tokenizer{left: limit} }

// Write implements io.Writer; it fails with errFull when there are enough words.
func (t *tokenizer) Write(b []byte) (int, error) {
	text := b
	if len(t.cut) > 0 {
		text = append(t.cut, b...)
		t.cut = nil
	}
	whole := text
	if n := unfinished(text); n > 0 {
		whole = text[:len(text)-n]
		t.cut = append(t.cut, text[len(text)-n:]...)
	}
	for len(whole) > 0 {
		r, n := rune(whole[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(whole)
		}
		whole = whole[n:]
		t.char(r)
	}
	if t.full {
		return len(b), errFull
	}
	return len(b), nil
}

func (t *tokenizer) char(r rune) {
	switch {
	case !isWordChar(r):
		t.end()
	case isGlue(r):
		t.lossy = true
	case isDense(r):
		t.endWord()
		t.denseChar(r)
	case len(t.dense) > 0 && isVoicing(r):
		last := &t.dense[len(t.dense)-1]
		*last = compose(*last, r)
	default:
		t.endDense()
		if len(t.word) >= maxTokenBytes {
			return
		}
		var lossy bool
		t.word, lossy = fold(t.word, r)
		t.lossy = t.lossy || lossy
	}
}

// isVoicing reports whether r is a voicing mark of kana by itself.
func isVoicing(r rune) bool { return r == 0x3099 || r == 0x309a || r == 0xff9e || r == 0xff9f }

func compose(a, mark rune) rune {
	if mark >= 0xff9e {
		mark -= 0xff9e - 0x3099
	}
	if r, n := utf8.DecodeRuneInString(norm.NFC.String(string([]rune{a, mark}))); n > 0 {
		return r
	}
	return a
}

// denseChar takes a character of a script without spaces. Half-width forms become
// the usual ones.
func (t *tokenizer) denseChar(r rune) {
	t.lossy = true
	for _, c := range norm.NFKC.String(string(r)) {
		if len(t.dense) == 2 {
			t.emit([]byte(string(t.dense)))
			t.dense[0], t.dense = t.dense[1], t.dense[:1]
		}
		t.dense = append(t.dense, c)
	}
}

func (t *tokenizer) endDense() {
	if len(t.dense) == 2 {
		t.emit([]byte(string(t.dense)))
	}
	if n := len(t.dense); n > 0 {
		t.emit([]byte(string(t.dense[n-1:])))
		t.dense = t.dense[:0]
	}
}

func (t *tokenizer) endWord() {
	if len(t.word) > 0 {
		t.emit(trimWord(t.word))
		t.word = t.word[:0]
	}
}

// trimWord cuts a word to its bound, between characters.
func trimWord(w []byte) []byte {
	if len(w) <= maxTokenBytes {
		return w
	}
	n := maxTokenBytes
	for !utf8.RuneStart(w[n]) {
		n--
	}
	return w[:n]
}

// end ends a word: what comes is not of it.
func (t *tokenizer) end() {
	t.endWord()
	t.endDense()
}

func (t *tokenizer) emit(word []byte) {
	if len(word) == 0 {
		return
	}
	if t.left == 0 {
		t.full = true
		return
	}
	t.left--
	t.out = append(append(t.out, word...), ' ')
}

// text takes a whole text, and ends the last word.
func (t *tokenizer) text(s string) {
	t.Write([]byte(s))
	t.close()
}

// close ends the text.
func (t *tokenizer) close() {
	t.cut = nil
	t.end()
}
