package message

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// RawValue is the field's body as it stands, folded and with the space around it, but
// for the line end that ends the field and for NUL, as valid UTF-8 (RFC 8621 §4.1.2.1).
func (f Field) RawValue() string {
	body := strings.TrimSuffix(strings.TrimSuffix(f.body, "\n"), "\r")
	return headerUTF8(strings.ReplaceAll(body, "\x00", ""))
}

// Unstructured is what a person reads of an unfolded value: encoded-words decoded,
// without controls, in NFC (RFC 8621 §4.1.2.2).
func Unstructured(value string) string {
	text := DecodeWords(value)
	if strings.IndexFunc(text, isStrayControl) >= 0 {
		text = strings.Map(func(r rune) rune {
			if isStrayControl(r) {
				return -1
			}
			return r
		}, text)
	}
	return norm.NFC.String(text)
}

func isStrayControl(r rune) bool { return r != '\t' && unicode.IsControl(r) }

// Spec is the address as it stands in a header (RFC 5322 §3.4.1), the local part quoted
// where it has to be. Of a broken address it is what there is.
func (a Address) Spec() string {
	switch noLocal, noHost := a.Mailbox == MissingMailbox, a.Host == MissingHost; {
	case noLocal && noHost:
		return ""
	case noLocal:
		return "@" + a.Host
	case noHost:
		return a.Mailbox
	}
	return quoteLocal(a.Mailbox) + "@" + a.Host
}

// ParseURLs reads the unfolded value of a field of RFC 2369 §2: URLs in angle brackets,
// commas between them, which some forget, comments anywhere. What follows anything else
// is passed over; nil is that there is none.
func ParseURLs(value string) (urls []string) {
	for len(urls) < maxURLs {
		value = skipCFWS(value)
		if !strings.HasPrefix(value, "<") {
			return urls
		}
		end := strings.IndexByte(value, '>')
		if end < 0 {
			return urls
		}
		if url := strings.Join(strings.Fields(value[1:end]), ""); url != "" {
			urls = append(urls, url)
		}
		value = strings.TrimPrefix(skipCFWS(value[end+1:]), ",")
	}
	return urls
}
