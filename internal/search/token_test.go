package search

import (
	"strings"
	"testing"
	"unicode/utf8"
)

var tokenTests = []struct {
	in, want string
	lossy    bool
}{
	{"Hello, World!", "hello world", false},
	{"Café CAFÉ cafe\u0301", "cafe cafe cafe", true},
	{"Straße STRASSE Œuvre Łódź", "strasse strasse oeuvre lodz", true},
	{"ﬁne １２３ ①", "fine 123 1", true},
	{"Привет МИР ёж", "привет мир еж", true},
	{"ΟΔΟΣ οδός", "οδοσ οδοσ", true},
	{"anna.berg@mail.example.test", "anna berg mail example test", false},
	{"1,234.56 EUR v2.0", "1 234 56 eur v2 0", false},
	{"don't re-use snake_case", "don t re use snake case", false},
	{"日本語の文", "日本 本語 語の の文 文", true},
	{"日", "日", true},
	{"ｶﾞｷﾞ", "ガギ ギ", true},
	{"が か\u3099", "が が", true},
	{"한국어 메일", "한국 국어 어 메일 일", true},
	{"abc日本def", "abc 日本 本 def", true},
	{"soft\u00adhyphen zero\u200dwidth", "softhyphen zerowidth", true},
	{"हिन्दी", "हिन्दी", false},
	{"שָׁלוֹם", "שלום", true},
	{"— … “quoted” 💌", "quoted", false},
	{"\xff\xfeabc\xc3", "abc", false},
	{strings.Repeat("x", 100) + " y", strings.Repeat("x", 64) + " y", false},
	{strings.Repeat("ж", 40), strings.Repeat("ж", 32), false},
	{"", "", false},
}

func TestWordsOfText(t *testing.T) {
	for _, tt := range tokenTests {
		tok := newTokenizer(1000)
		tok.text(tt.in)
		if got := strings.TrimSpace(string(tok.out)); got != tt.want || tok.lossy != tt.lossy {
			t.Errorf("%q\n got %q, lossy %v\nwant %q, lossy %v", tt.in, got, tok.lossy, tt.want, tt.lossy)
		}
	}
}

func TestNoMoreWordsThanTheirBound(t *testing.T) {
	for words, full := range map[int]bool{10: false, 11: true} {
		tok := newTokenizer(10)
		tok.text(strings.Repeat("word ", words))
		if n := len(strings.Fields(string(tok.out))); n != 10 || tok.full != full {
			t.Errorf("of %d words %d were taken, full %v", words, n, tok.full)
		}
	}
}

// FuzzTokens holds that words are folded text, however it is cut, and bounded.
func FuzzTokens(f *testing.F) {
	for _, tt := range tokenTests {
		f.Add([]byte(tt.in), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		whole, cut := newTokenizer(100), newTokenizer(100)
		whole.text(string(text))
		at = max(0, min(at, len(text)))
		cut.Write(text[:at])
		cut.Write(text[at:])
		cut.close()
		if string(whole.out) != string(cut.out) || whole.lossy != cut.lossy {
			t.Errorf("%q cut at %d: %q, want %q", text, at, cut.out, whole.out)
		}
		words := strings.Fields(string(whole.out))
		if len(words) > 100 || !utf8.Valid(whole.out) {
			t.Errorf("%q: %d words %q", text, len(words), whole.out)
		}
		for _, w := range words {
			if len(w) > maxTokenBytes {
				t.Errorf("%q: the word %q is too long", text, w)
			}
			if strings.ContainsFunc(w, func(r rune) bool { return r < utf8.RuneSelf && !isWordChar(r) }) {
				t.Errorf("%q: the word %q holds a separator", text, w)
			}
		}
	})
}
