package eas

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"lockstep/internal/mail"
)

// categoryOf is the category that a keyword is to a device; none for what programs say
// to each other.
func categoryOf(keyword string) (string, bool) {
	if strings.HasPrefix(keyword, "$") || strings.EqualFold(keyword, "Junk") || strings.EqualFold(keyword, "NonJunk") || strings.EqualFold(keyword, "NotJunk") {
		return "", false
	}
	return decodeKeyword(keyword)
}

// categoriesOf are the categories that a message's keywords are.
func categoriesOf(f mail.Flags) []string {
	var list []string
	for _, k := range f.Keywords() {
		if name, ok := categoryOf(k); ok && len(list) < maxCategories {
			list = append(list, name)
		}
	}
	return list
}

// withCategories is f with the categories in place of those it has; keywords that are
// no categories stay. What no keyword can hold is Invalid, too much of it Limit.
func withCategories(f mail.Flags, names []string) (mail.Flags, error) {
	if len(names) > maxCategories {
		return f, mail.Errorf(mail.Limit, "a message has at most %d categories", maxCategories)
	}
	var keywords []string
	for _, k := range f.Keywords() {
		if _, ok := categoryOf(k); !ok {
			keywords = append(keywords, k)
		}
	}
	for _, name := range names {
		keyword, ok := keywordOf(name)
		if !ok {
			return f, mail.Errorf(mail.Invalid, "no keyword can hold this category")
		}
		keywords = append(keywords, keyword)
	}
	words, err := mail.NewFlags(keywords...)
	if err != nil {
		return f, err
	}
	return mail.StoredFlags(f.System, words.KeywordText()), nil
}

// keywordOf is the keyword that a category is to other protocols: a space is an
// underscore, and what an atom can't have is base64 of UTF-16 between "&" and "-", as
// in names of mailboxes (RFC 3501 §5.1.3).
func keywordOf(name string) (string, bool) {
	if name == "" || !utf8.ValidString(name) {
		return "", false
	}
	keyword := encodeKeyword(name, 0)
	if _, ok := categoryOf(keyword); !ok { // it means something to programs
		_, first := utf8.DecodeRuneInString(name)
		keyword = encodeKeyword(name, first)
	}
	back, ok := categoryOf(keyword)
	return keyword, ok && back == name && len(keyword) <= mail.MaxKeywordBytes
}

// encodeKeyword writes a name, its first bytes encoded whatever they are.
func encodeKeyword(name string, first int) string {
	var out strings.Builder
	var run []rune
	flush := func() {
		if len(run) > 0 {
			out.WriteString("&" + encodeRun(run) + "-")
			run = run[:0]
		}
	}
	for i, r := range name {
		switch {
		case i < first || r != ' ' && !isKeywordRune(r):
			run = append(run, r)
			continue
		case r == ' ':
			r = '_'
		}
		flush()
		out.WriteRune(r)
	}
	flush()
	return out.String()
}

// isKeywordRune reports whether a character stands for itself in a keyword.
func isKeywordRune(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`(){%*"\]_&`, r)
}

func encodeRun(run []rune) string {
	var b []byte
	for _, unit := range utf16.Encode(run) {
		b = binary.BigEndian.AppendUint16(b, unit)
	}
	return strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(b), "/", ",")
}

// decodeKeyword reads what encodeKeyword wrote; false for a keyword it would not have
// written so.
func decodeKeyword(keyword string) (string, bool) {
	var out strings.Builder
	for rest := keyword; rest != ""; {
		plain, run, encoded := strings.Cut(rest, "&")
		out.WriteString(strings.ReplaceAll(plain, "_", " "))
		if !encoded {
			break
		}
		text, after, ok := strings.Cut(run, "-")
		name, valid := decodeRun(text)
		if !ok || !valid {
			return "", false
		}
		out.WriteString(name)
		rest = after
	}
	return out.String(), out.Len() > 0
}

func decodeRun(text string) (string, bool) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.ReplaceAll(text, ",", "/"))
	if err != nil || len(b) == 0 || len(b)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units)), true
}
