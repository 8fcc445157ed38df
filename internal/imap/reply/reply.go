// Package reply reads what an IMAP server says, for whoever plays a client: the
// simulated devices, and tests. It takes any response of RFC 9051 §9 apart into
// strings and lists and leaves their meaning to the reader.
package reply

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Response is one line of the server with its literals. A value in it is a string
// or a []any.
type Response struct {
	Tag  string // "*", "+", or a command's
	Num  uint32 // the number before the word
	Word string // OK, FETCH, EXISTS …
	Code []any  // of a response code; nil without
	Args []any
	Raw  string
}

// MaxBytes bounds a response with its literals.
const MaxBytes = 64 << 20

var errLong = errors.New("response too long")

// Read reads one response.
func Read(in *bufio.Reader) (Response, error) {
	var raw strings.Builder
	for raw.Len() <= MaxBytes {
		l, err := in.ReadString('\n')
		if err != nil {
			return Response{}, err
		}
		raw.WriteString(l)
		size, ok := announced(strings.TrimSuffix(l, "\r\n"))
		if !ok {
			return Parse(strings.TrimSuffix(raw.String(), "\r\n"))
		}
		if size > MaxBytes {
			break
		}
		if _, err := io.CopyN(&raw, in, size); err != nil {
			return Response{}, err
		}
	}
	return Response{}, errLong
}

// announced is the size of the literal that a line ends with the announcement of.
func announced(line string) (size int64, ok bool) {
	digits, ok := strings.CutSuffix(line, "}")
	if !ok {
		return 0, false
	}
	size, err := strconv.ParseInt(digits[strings.LastIndexByte(digits, '{')+1:], 10, 64)
	return size, err == nil && strings.Contains(digits, "{")
}

// Parse takes a response apart that is whole.
func Parse(raw string) (r Response, err error) {
	defer func() { // running off the end of the text is how a broken one shows
		if p := recover(); p != nil {
			err = fmt.Errorf("%v in %q", p, raw)
		}
	}()
	r.Raw = raw
	p := &parser{text: raw}
	r.Tag = p.tag()
	if r.Tag == "+" {
		return r, nil
	}
	r.Word = p.word()
	if n, err := strconv.ParseUint(r.Word, 10, 32); err == nil {
		r.Num, r.Word = uint32(n), p.word()
	}
	switch r.Word {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		if strings.HasPrefix(p.text, "[") {
			code := &parser{text: p.text[1:strings.Index(p.text, "]")]}
			r.Code = code.all()
		}
	default:
		r.Args = p.all()
	}
	return r, nil
}

// parser cuts values off the front of its text.
type parser struct{ text string }

// tag reads a tag, which any atom is, and "]" in it is no bracket.
func (p *parser) tag() string {
	i := strings.IndexAny(p.text+" ", " ()")
	tag := p.cut(i)
	if tag == "" || strings.HasPrefix(p.text, "(") || strings.HasPrefix(p.text, ")") {
		panic("no tag")
	}
	p.text = strings.TrimPrefix(p.text, " ")
	return tag
}

func (p *parser) word() string {
	s, ok := p.value().(string)
	if !ok {
		panic("a list for a word")
	}
	return s
}

func (p *parser) all() (list []any) {
	for p.text != "" && p.text[0] != ')' {
		list = append(list, p.value())
	}
	return list
}

// value reads a value and the space behind it.
func (p *parser) value() (v any) {
	switch c := p.text[0]; {
	case c == '(':
		p.text = p.text[1:]
		v = append([]any{}, p.all()...)
		p.text = p.text[1:]
	case c == ')':
		panic("a parenthesis too many")
	case c == '"':
		v = p.quoted()
	case c == '{', strings.HasPrefix(p.text, "~{"):
		v = p.literal()
	default:
		v = p.atom()
	}
	p.text = strings.TrimPrefix(p.text, " ")
	return v
}

func (p *parser) quoted() string {
	var s []byte
	for i := 1; ; i++ {
		switch p.text[i] {
		case '"':
			p.text = p.text[i+1:]
			return string(s)
		case '\\':
			i++
		}
		s = append(s, p.text[i])
	}
}

func (p *parser) literal() string {
	head, rest, _ := strings.Cut(p.text, "\r\n")
	n, err := strconv.Atoi(strings.Trim(head, "~{}"))
	if err != nil {
		panic(err)
	}
	p.text = rest[n:]
	return rest[:n]
}

// withSection are the items that have one in brackets; elsewhere "[" is a letter.
var withSection = []string{"BODY", "BINARY", "BINARY.SIZE"}

// atom also reads BODY[HEADER.FIELDS (DATE)]<0> whole.
func (p *parser) atom() string {
	for i := 0; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '[' && slices.Contains(withSection, p.text[:i]):
			i += sectionLen(p.text[i:]) - 1
		case c == ' ' || c == '(' || c == ')':
			return p.cut(i)
		}
	}
	return p.cut(len(p.text))
}

// sectionLen is how long a section is that text begins with. In its list of fields
// stand atoms and strings, in which brackets mean nothing.
func sectionLen(text string) int {
	inList := false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			q := &parser{text: text[i:]}
			q.quoted()
			i = len(text) - len(q.text) - 1
		case c == '(' || c == ')':
			inList = c == '('
		case c == ']' && !inList:
			return i + 1
		}
	}
	panic("a section without end")
}

func (p *parser) cut(n int) string {
	s := p.text[:n]
	p.text = p.text[n:]
	return s
}

// Pairs are the items of a FETCH or STATUS response.
func Pairs(v any) map[string]any {
	m := map[string]any{}
	list, _ := v.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		if name, ok := list[i].(string); ok {
			m[name] = list[i+1]
		}
	}
	return m
}

// Strings are those of a list that are strings.
func Strings(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
