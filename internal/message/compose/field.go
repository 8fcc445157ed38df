package compose

import (
	"encoding/base64"
	"mime"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"lockstep/internal/message"
)

// foldAt is the length of line that header fields are folded at (RFC 5322 §2.1.1).
const foldAt = 76

// appendField writes a field whose value may be folded at each space, and before
// an encoded-word that would make the first line too long (RFC 2047 §2).
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ':')
	line := len(name) + 1
	for word := range strings.SplitSeq(value, " ") {
		first := line == len(name)+1
		if line+1+len(word) > foldAt && word != "" && (!first || strings.HasPrefix(word, "=?")) {
			b, line = append(b, "\r\n"...), 0
		}
		b = append(append(b, ' '), word...)
		line += 1 + len(word)
	}
	return append(b, "\r\n"...)
}

// appendText writes an unstructured field (RFC 5322 §2.2.1); "" is left out.
func appendText(b []byte, name, text string) []byte {
	text = strings.TrimSpace(cut(clean(text), maxSubjectBytes))
	if text == "" {
		return b
	}
	return appendField(b, name, encodeText(text))
}

// encodeText writes text in encoded-words (RFC 2047) if it can't stand as it is.
func encodeText(s string) string {
	switch {
	case !isASCII(s):
		return wordEncoder(s).Encode("utf-8", s)
	case strings.Contains(s, "=?") || longestWord(s) > 900:
		return asciiWords(s)
	}
	return s
}

// wordEncoder is the shorter one for the text.
func wordEncoder(s string) mime.WordEncoder {
	high := 0
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			high++
		}
	}
	if high > len(s)/3 {
		return mime.BEncoding
	}
	return mime.QEncoding
}

// asciiWords encodes text that would do without but is taken for encoded-words, or
// has no space to fold it at.
func asciiWords(s string) string {
	const most = 42 // bytes, to stay below 75 with what stands around them
	var b strings.Builder
	for s != "" {
		n := min(most, len(s))
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		s = s[n:]
	}
	return b.String()
}

func longestWord(s string) int {
	longest := 0
	for word := range strings.SplitSeq(s, " ") {
		longest = max(longest, len(word))
	}
	return longest
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// clean makes valid UTF-8 without control characters: each becomes a space.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cut returns at most n bytes of s that do not end inside a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendAddresses writes a field of addresses; none are no field.
func appendAddresses(b []byte, name string, list []message.Address) []byte {
	value := AddressList(list)
	if value == "" {
		return b
	}
	return appendField(b, name, value)
}

// AddressField is a whole field of addresses, folded; nil if there are none.
func AddressField(name string, list []message.Address) []byte {
	return appendAddresses(nil, name, list)
}

// AddressList spells addresses as a header field has them (RFC 5322 §3.4): names
// in encoded-words where they have to be, domains in A-labels. Groups are written
// without their marks, and what is no address is left out.
func AddressList(list []message.Address) string {
	var b strings.Builder
	for _, a := range list {
		s, ok := spell(a)
		if !ok {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s)
	}
	return b.String()
}

// spell writes one address.
func spell(a message.Address) (string, bool) {
	addr, ok := Mailbox(a)
	if !ok {
		return "", false
	}
	name := strings.TrimSpace(cut(clean(message.DecodeWords(a.Name)), maxNameBytes))
	switch {
	case name == "":
		s := (&mail.Address{Address: addr}).String()
		if strings.HasPrefix(s, `<"`) { // readers know quotes better in brackets
			return s, true
		}
		return strings.Trim(s, "<>"), true
	case strings.Contains(name, "=?"):
		return asciiOrWords(name) + " " + (&mail.Address{Address: addr}).String(), true
	}
	return (&mail.Address{Name: name, Address: addr}).String(), true
}

// asciiOrWords encodes a name that looks as if it were encoded.
func asciiOrWords(name string) string {
	if isASCII(name) {
		return asciiWords(name)
	}
	return mime.BEncoding.Encode("utf-8", name)
}

// Mailbox is local@domain of an address, the domain in A-labels (RFC 5890); false
// for the marks of groups and what has no local part or domain.
func Mailbox(a message.Address) (string, bool) {
	local := strings.TrimSpace(clean(a.Mailbox))
	if local == "" || a.Host == "" || a.Mailbox == message.MissingMailbox || a.Host == message.MissingHost {
		return "", false
	}
	host, ok := domain(strings.TrimSpace(clean(a.Host)))
	if !ok {
		return "", false
	}
	if len(local)+len(host) > maxIDBytes-maxNameBytes {
		return "", false
	}
	return local + "@" + host, true
}

// domain is a domain in A-labels, or an address literal as it stands.
func domain(host string) (string, bool) {
	if literal, ok := strings.CutPrefix(host, "["); ok {
		literal, ok = strings.CutSuffix(literal, "]")
		return host, ok && literal != "" && isHostText(literal)
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err == nil {
		host = ascii
	}
	return host, isHostText(host)
}

// isHostText reports whether all characters are of names of hosts, or of addresses.
func isHostText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_' && r != ':'
	})
}

// ParseRecipients reads what a person typed or a program put together: addresses
// with commas or semicolons between them, names quoted or not. What can't be a
// recipient is in bad.
func ParseRecipients(s string) (list []message.Address, bad []string) {
	for _, a := range message.ParseAddresses(clean(s)) {
		if a.IsGroupStart() || a.IsGroupEnd() {
			continue
		}
		if _, ok := Mailbox(a); !ok {
			bad = append(bad, strings.TrimSpace(a.Name+" "+a.Mailbox))
			continue
		}
		list = append(list, a)
	}
	return list, bad
}

// appendIDs writes a field of message ids, given without their brackets.
func appendIDs(b []byte, name string, ids []string) []byte {
	if len(ids) > maxReferences {
		ids = append(ids[:1:1], ids[len(ids)-maxReferences+1:]...)
	}
	value := ""
	for _, id := range ids {
		if isID(id) {
			value += " <" + id + ">"
		}
	}
	if value == "" {
		return b
	}
	return appendField(b, name, value[1:])
}

// isID reports whether an id can be written.
func isID(id string) bool {
	return id != "" && len(id) < maxIDBytes && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' })
}
