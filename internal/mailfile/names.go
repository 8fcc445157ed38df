package mailfile

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// modifiedBase64 is that of mailbox names (RFC 3501 §5.1.3).
var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// encodeName writes one name of a mailbox as a Maildir++ directory has it: in
// modified UTF-7, and encoded too what would be a separator there.
func encodeName(name string) string {
	var b, run strings.Builder
	flush := func() {
		if run.Len() == 0 {
			return
		}
		var raw []byte
		for _, u := range utf16.Encode([]rune(run.String())) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + modifiedBase64.EncodeToString(raw) + "-")
		run.Reset()
	}
	for _, r := range name {
		if r >= ' ' && r < 0x7f && r != '.' && r != '/' {
			flush()
			b.WriteRune(r)
			if r == '&' {
				b.WriteByte('-')
			}
			continue
		}
		run.WriteRune(r)
	}
	flush()
	return b.String()
}

// decodeName reads what encodeName wrote. What is no modified UTF-7 is taken as
// it stands: some servers keep names in UTF-8.
func decodeName(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		plain, coded, found := strings.Cut(rest, "&")
		b.WriteString(plain)
		if !found {
			break
		}
		word, after, closed := strings.Cut(coded, "-")
		if !closed {
			return strings.ToValidUTF8(text, "?")
		}
		rest = after
		if word == "" {
			b.WriteByte('&')
			continue
		}
		raw, err := modifiedBase64.DecodeString(word)
		if err != nil || len(raw)%2 != 0 {
			return strings.ToValidUTF8(text, "?")
		}
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		}
		b.WriteString(string(utf16.Decode(units)))
	}
	if s := b.String(); utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(text, "?")
}
