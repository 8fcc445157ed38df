package imap

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// response is one line of the server with its literals. A value in it is a string
// or a []any.
type response struct {
	tag  string // "*", "+", or a command's
	n    uint32 // the number before the word
	word string // OK, FETCH, EXISTS …
	code []any  // of a response code; nil without
	args []any
	raw  string
}

// readResponse reads one response.
func readResponse(in *bufio.Reader) (response, error) {
	var raw strings.Builder
	for {
		l, err := in.ReadString('\n')
		if err != nil {
			return response{}, err
		}
		raw.WriteString(l)
		m := announcement.FindStringSubmatch(strings.TrimSuffix(l, "\r\n"))
		if m == nil {
			return parseResponse(strings.TrimSuffix(raw.String(), "\r\n"))
		}
		size, _ := strconv.ParseInt(m[1], 10, 64)
		if _, err := io.CopyN(&raw, in, size); err != nil {
			return response{}, err
		}
	}
}

func parseResponse(raw string) (r response, err error) {
	r.raw = raw
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v in %q", p, raw)
		}
	}()
	p := &responseParser{text: raw}
	r.tag = p.value().(string)
	if r.tag == "+" {
		return r, nil
	}
	r.word = p.value().(string)
	if n, err := strconv.ParseUint(r.word, 10, 32); err == nil {
		r.n, r.word = uint32(n), p.value().(string)
	}
	switch r.word {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		if strings.HasPrefix(p.text, "[") {
			end := strings.Index(p.text, "]")
			code := &responseParser{text: p.text[1:end]}
			r.code = code.all()
		}
	default:
		r.args = p.all()
	}
	return r, nil
}

// responseParser cuts values off the front of its text.
type responseParser struct{ text string }

func (p *responseParser) all() (list []any) {
	for p.text != "" && p.text[0] != ')' {
		list = append(list, p.value())
	}
	return list
}

// value reads a value and the space behind it.
func (p *responseParser) value() (v any) {
	switch p.text[0] {
	case '(':
		p.text = p.text[1:]
		v = append([]any{}, p.all()...)
		p.text = p.text[1:]
	case '"':
		v = p.quoted()
	case '{', '~':
		v = p.literal()
	default:
		v = p.atom()
	}
	p.text = strings.TrimPrefix(p.text, " ")
	return v
}

func (p *responseParser) quoted() string {
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

func (p *responseParser) literal() string {
	head, rest, _ := strings.Cut(p.text, "\r\n")
	n, err := strconv.Atoi(strings.Trim(head, "~{}"))
	if err != nil {
		panic(err)
	}
	p.text = rest[n:]
	return rest[:n]
}

// atom also reads BODY[HEADER.FIELDS (DATE)]<0> whole.
func (p *responseParser) atom() string {
	depth := 0
	for i := range len(p.text) {
		switch c := p.text[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0 && (c == ' ' || c == '(' || c == ')'):
			return p.cut(i)
		}
	}
	return p.cut(len(p.text))
}

func (p *responseParser) cut(n int) string {
	s := p.text[:n]
	p.text = p.text[n:]
	return s
}

// pairs are the items of a FETCH or STATUS response.
func pairs(v any) map[string]any {
	list := v.([]any)
	m := map[string]any{}
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i].(string)] = list[i+1]
	}
	return m
}
