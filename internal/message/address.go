package message

import "strings"

// Address is one entry of an address list as ENVELOPE has it (RFC 9051 §7.5.2).
// An empty Host marks a group: where it begins Mailbox is its name, where it ends
// Mailbox is empty too.
type Address struct {
	Name    string // display name without quotes, encoded-words as they came
	Mailbox string // the local part without quotes, or the name of a group
	Host    string
	Route   string // obs-route, which nobody follows, such as "@a.test,@b.test"; else ""
}

// What stands for the halves of a broken address, so that it is not taken for a
// group.
const (
	MissingMailbox = "MISSING_MAILBOX"
	MissingHost    = "MISSING_DOMAIN"
)

// IsGroupStart reports whether the entry begins a group.
func (a Address) IsGroupStart() bool { return a.Host == "" && a.Mailbox != "" }

// IsGroupEnd reports whether the entry ends a group.
func (a Address) IsGroupEnd() bool { return a.Host == "" && a.Mailbox == "" }

// String is mailbox@host, or the name of a group. It is for comparing and
// showing, not for a header: the local part is not quoted again.
func (a Address) String() string {
	if a.Host == "" {
		return a.Mailbox
	}
	return a.Mailbox + "@" + a.Host
}

// maxPhraseBytes bounds a name, local part or domain; words beyond are left out.
const maxPhraseBytes = 4096

// ParseAddresses reads the unfolded value of an address field (RFC 5322 §3.4 with
// the obsolete forms of §4.4). Broken input gives what can be made of it. At most
// MaxAddresses entries are returned, the marks of groups counted.
func ParseAddresses(value string) []Address { return appendAddresses(nil, value) }

func appendAddresses(list []Address, value string) []Address {
	if list == nil && value != "" {
		list = make([]Address, 0, 1+min(strings.Count(value, ","), 100))
	}
	p := addressParser{rest: cleanText(value), list: list}
	for p.rest != "" && len(p.list) < MaxAddresses-1 {
		p.entry()
	}
	p.endGroup()
	if len(p.list) == 0 {
		return nil
	}
	return p.list
}

type addressParser struct {
	rest    string
	list    []Address
	inGroup bool
	comment string // the last one passed over
}

func (p *addressParser) add(a Address) { p.list = append(p.list, a) }

func (p *addressParser) endGroup() {
	if p.inGroup {
		p.list = append(p.list, Address{})
		p.inGroup = false
	}
}

// entry reads what stands before the next comma or semicolon, or the beginning of
// a group.
func (p *addressParser) entry() {
	p.comment = ""
	words, spaced := p.words()
	switch p.peek() {
	case '<':
		mailbox, host, route := p.angle()
		p.add(Address{words, mailbox, host, route})
	case '@':
		p.bareAddress(words, spaced)
	case ':':
		p.rest = p.rest[1:]
		p.endGroup()
		p.inGroup = true
		p.add(Address{Mailbox: orText(words, MissingMailbox)})
		return
	default:
		if words != "" {
			p.add(Address{Name: p.comment, Mailbox: words, Host: MissingHost})
		}
	}
	p.skipJunk()
}

// bareAddress reads the rest of local@host. Words before the last one are a name
// whose angle brackets were forgotten; a comment is the name in the old style.
func (p *addressParser) bareAddress(words string, spaced bool) {
	name, local := "", words
	if i := strings.LastIndexByte(words, ' '); spaced {
		name, local = words[:i], words[i+1:]
	} else if strings.Contains(words, " .") || strings.Contains(words, ". ") {
		local = strings.ReplaceAll(strings.ReplaceAll(words, " .", "."), ". ", ".") // RFC 5322 §4.4
	}
	host := p.domain()
	p.space()
	if name == "" {
		name = p.comment
	}
	p.add(Address{Name: name, Mailbox: orText(local, MissingMailbox), Host: orText(host, MissingHost)})
}

// skipJunk goes behind the next comma or semicolon; the latter may end a group.
func (p *addressParser) skipJunk() {
	for p.space(); p.rest != ""; p.space() {
		if p.rest[0] == '"' {
			_, p.rest = cutQuoted(p.rest)
			continue
		}
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch c {
		case ';':
			p.endGroup()
			return
		case ',':
			return
		}
	}
}

// peek skips white space and comments and returns the next byte, 0 at the end.
func (p *addressParser) peek() byte {
	p.space()
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *addressParser) space() {
	for p.rest != "" {
		switch {
		case isFolding(p.rest[0]):
			p.rest = p.rest[1:]
		case p.rest[0] == '(':
			p.comment, p.rest = cutComment(p.rest)
			p.comment = strings.TrimSpace(p.comment)
		default:
			return
		}
	}
}

func isFolding(c byte) bool { return isSpace(c) || c == '\r' || c == '\n' }

// words reads atoms, dots and quoted-strings up to what ends a phrase or a local
// part. Space between them becomes one; spaced tells whether there was any that no
// dot touched, so that this cannot be a local part.
func (p *addressParser) words() (text string, spaced bool) {
	p.space()
	source := p.rest
	for {
		before := len(p.rest)
		p.space()
		gap := len(p.rest) < before
		word := p.word()
		switch {
		case word == "" && (p.rest == "" || isPhraseEnd(p.rest[0])):
			return text, spaced
		case text == "":
			text = word
			continue
		case word == "": // empty quotes
			continue
		case len(text)+len(word) > maxPhraseBytes:
			continue
		}
		if gap && !strings.HasSuffix(text, ".") && word[0] != '.' {
			spaced = true
		}
		text = join(source, text, word, gap)
	}
}

// join puts a word behind text, with a space after a gap. Mostly the two stand so
// in the source, and nothing is copied.
func join(source, text, word string, gap bool) string {
	n := len(text) + len(word)
	if gap {
		n++
	}
	if n <= len(source) && source[:len(text)] == text && source[n-len(word):n] == word && (!gap || source[len(text)] == ' ') {
		return source[:n]
	}
	if gap {
		return text + " " + word
	}
	return text + word
}

func isPhraseEnd(c byte) bool { return strings.IndexByte("<>:;,@", c) >= 0 }

// word reads one atom with its dots, encoded-word or quoted-string. A byte that
// may not stand there is taken as part of an atom, so that it always goes on.
func (p *addressParser) word() string {
	if p.rest == "" {
		return ""
	}
	if p.rest[0] == '"' {
		var text string
		text, p.rest = cutQuoted(p.rest)
		return text
	}
	n := encodedWordLen(p.rest)
	for n < len(p.rest) && !isFolding(p.rest[n]) && p.rest[n] != '(' && p.rest[n] != '"' && !isPhraseEnd(p.rest[n]) {
		n++
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

// encodedWordLen returns the length of the encoded-word s begins with, else 0. In
// it people leave commas and the like unencoded.
func encodedWordLen(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	w, ok := cutEncodedWord(s)
	if !ok || strings.ContainsAny(s[:w.size], " \t") {
		return 0
	}
	return w.size
}

// angle reads <local@host>, with an obsolete route before it.
func (p *addressParser) angle() (mailbox, host, route string) {
	p.rest = p.rest[1:]
	if p.peek() == '@' {
		window := p.rest[:min(len(p.rest), maxPhraseBytes)]
		if i := strings.IndexAny(window, ":>"); i >= 0 && window[i] == ':' {
			route = strings.TrimSpace(window[:i])
			p.rest = p.rest[i+1:]
		}
	}
	local, _ := p.words()
	if p.peek() == '@' {
		host = p.domain()
	}
	window := p.rest[:min(len(p.rest), maxPhraseBytes)]
	if i := strings.IndexAny(window, ">,"); i >= 0 && window[i] == '>' {
		p.rest = p.rest[i+1:]
	}
	return orText(local, MissingMailbox), orText(host, MissingHost), route
}

// domain reads the at sign and what is behind it: dotted atoms or a literal.
func (p *addressParser) domain() string {
	p.rest = p.rest[1:]
	host := ""
	for {
		c := p.peek()
		switch {
		case c == '[' && host == "":
			end := strings.IndexByte(p.rest, ']') + 1
			if end == 0 {
				end = len(p.rest)
			}
			host, p.rest = p.rest[:end], p.rest[end:]
			return host
		case c == 0, len(host) > maxPhraseBytes, isPhraseEnd(c), c == '"', host != "" && c != '.' && !strings.HasSuffix(host, "."):
			return host
		}
		host += p.word()
	}
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
