package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"lockstep/internal/mail"
)

// mailbox reads a mailbox name and decodes it to UTF-8. INBOX comes in capitals
// however it is spelled (RFC 9051 §5.1).
func (p *parser) mailbox() string {
	return p.decodeMailbox(p.bytes("a mailbox name"))
}

func (p *parser) spMailbox() string {
	p.sp()
	return p.mailbox()
}

func (p *parser) decodeMailbox(s string) string {
	if p.failed() {
		return ""
	}
	name, ok := s, utf8.ValidString(s)
	if !p.r.UTF8 && mail.IsASCII(s) {
		name, ok = DecodeUTF7(s)
	} else if !p.r.UTF8 {
		// go-imap v2.0.0-beta.8 sends UTF-8, with "&" as in modified UTF-7, to a
		// server that announces IMAP4rev2, enabled or not.
		name = strings.ReplaceAll(s, "&-", "&")
	}
	if !ok {
		p.fail(no("CANNOT", "Mailbox name is not "+p.mailboxEncoding()))
		return ""
	}
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

func (p *parser) mailboxEncoding() string {
	if p.r.UTF8 {
		return "UTF-8"
	}
	return "modified UTF-7"
}

// base64UTF7 is modified base64 (RFC 3501 §5.1.3).
var base64UTF7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// DecodeUTF7 turns modified UTF-7 (RFC 3501 §5.1.3) into UTF-8. It accepts one
// spelling of each name only: ASCII shifted, or two shifts side by side, are not
// modified UTF-7.
func DecodeUTF7(s string) (string, bool) {
	if isPlainUTF7(s) {
		return s, true
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c >= 0x7f:
			return "", false
		case c != '&':
			b = append(b, c)
		default:
			n := strings.IndexByte(s[i:], '-')
			if n < 0 {
				return "", false
			}
			b = appendShifted(b, s[i+1:i+n])
			if b == nil || n > 1 && strings.HasPrefix(s[i+n+1:], "&") && !strings.HasPrefix(s[i+n+1:], "&-") {
				return "", false
			}
			i += n
		}
	}
	return string(b), true
}

// isPlainUTF7 says whether s is the same in modified UTF-7 and in UTF-8.
func isPlainUTF7(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '&' {
			return false
		}
	}
	return true
}

// appendShifted decodes what stands between "&" and "-". It returns nil when
// that is not well-formed.
func appendShifted(b []byte, text string) []byte {
	if text == "" {
		return append(b, '&')
	}
	units, err := base64UTF7.DecodeString(text)
	if err != nil || len(units)%2 != 0 || strings.ContainsAny(text, "\r\n") {
		return nil
	}
	for i := 0; i < len(units); i += 2 {
		r := rune(units[i])<<8 | rune(units[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i >= len(units) {
				return nil
			}
			r = utf16.DecodeRune(r, rune(units[i])<<8|rune(units[i+1]))
			if r == utf8.RuneError {
				return nil
			}
		}
		if r >= ' ' && r < 0x7f {
			return nil
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}

// AppendUTF7 appends a UTF-8 name in modified UTF-7.
func AppendUTF7(b []byte, name string) []byte {
	if isPlainUTF7(name) {
		return append(b, name...)
	}
	var units []byte
	for _, r := range name {
		if r < ' ' || r >= 0x7f {
			units = appendUnits(units, r)
			continue
		}
		b, units = appendShift(b, units), units[:0]
		b = append(b, byte(r))
		if r == '&' {
			b = append(b, '-')
		}
	}
	return appendShift(b, units)
}

func appendUnits(b []byte, r rune) []byte {
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return append(b, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
	}
	return append(b, byte(r>>8), byte(r))
}

func appendShift(b, units []byte) []byte {
	if len(units) == 0 {
		return b
	}
	return append(base64UTF7.AppendEncode(append(b, '&'), units), '-')
}

// appendMailbox appends a name as an astring in the encoding of the client.
func appendMailbox(b []byte, name string, asUTF8 bool) []byte {
	if asUTF8 || isPlainUTF7(name) {
		return appendAStringAs(b, name, asUTF8)
	}
	return appendAString(b, string(AppendUTF7(nil, name)))
}
