// Package kql reads what people and programs ask for in the Keyword Query Language
// (MS-KQL): words, phrases, properties such as from: and received>=, AND, OR, NOT and
// parentheses. Nothing is wrong: what is no operator is a word.
package kql

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Op says how the parts of a Node go together.
type Op byte

// The operators.
const (
	Leaf Op = iota
	And
	Or
	Not // of the one part
	All // everything fits
)

// A Node is a query, or a part of one.
type Node struct {
	Op    Op
	Parts []*Node
	// Of a leaf:
	Property Property // "" is any
	Compare  string   // ":", "<", "<=", ">", ">=", "<>"
	Text     string   // without quotes and the star behind it
}

// A Property is what a leaf looks at.
type Property string

// The properties.
const (
	Subject       Property = "subject"
	From          Property = "from"
	To            Property = "to"
	Cc            Property = "cc"
	Bcc           Property = "bcc"
	Participants  Property = "participants"
	Body          Property = "body"
	Attachment    Property = "attachment"
	HasAttachment Property = "hasattachment"
	Received      Property = "received"
	Sent          Property = "sent"
	IsRead        Property = "isread"
	IsFlagged     Property = "isflagged"
)

// properties are the names that are known, and those that mean the same.
var properties = map[string]Property{
	"subject": Subject, "from": From, "sender": From, "to": To, "recipients": To, "cc": Cc, "bcc": Bcc, "participants": Participants,
	"body": Body, "attachment": Attachment, "attachments": Attachment, "attachmentnames": Attachment, "filename": Attachment,
	"hasattachment": HasAttachment, "hasattachments": HasAttachment, "received": Received, "date": Received, "sent": Sent,
	"isread": IsRead, "read": IsRead, "isflagged": IsFlagged,
}

// IsText reports whether the property is one whose words are looked for.
func (p Property) IsText() bool {
	switch p {
	case HasAttachment, Received, Sent, IsRead, IsFlagged:
		return false
	}
	return true
}

// Bounds on a query; what comes after is not looked at.
const (
	maxLeaves = 32
	maxDepth  = 16
	maxBytes  = 4096
)

// Parse reads a query. One that says nothing is nil.
func Parse(text string) *Node {
	if len(text) > maxBytes {
		text = strings.ToValidUTF8(text[:maxBytes], "")
	}
	p := &parser{rest: text}
	return p.either(0, "")
}

// Leaves are the leaves of a query, from the left.
func (n *Node) Leaves() []*Node {
	if n == nil || n.Op == All {
		return nil
	}
	if n.Op == Leaf {
		return []*Node{n}
	}
	var all []*Node
	for _, part := range n.Parts {
		all = append(all, part.Leaves()...)
	}
	return all
}

// String writes a query with all its operators, for tests.
func (n *Node) String() string {
	switch {
	case n == nil:
		return ""
	case n.Op == All:
		return "*"
	case n.Op == Not:
		return "NOT " + n.Parts[0].String()
	case n.Op == Leaf && n.Property == "":
		return `"` + n.Text + `"`
	case n.Op == Leaf:
		return string(n.Property) + n.Compare + `"` + n.Text + `"`
	}
	word := map[Op]string{And: " AND ", Or: " OR "}[n.Op]
	var parts []string
	for _, part := range n.Parts {
		parts = append(parts, part.String())
	}
	return "(" + strings.Join(parts, word) + ")"
}

type parser struct {
	rest   string
	leaves int
}

// either reads parts between which OR stands, up to a closing parenthesis.
func (p *parser) either(depth int, in Property) *Node {
	var parts []*Node
	for {
		if n := p.together(depth, in); n != nil {
			parts = append(parts, n)
		}
		if !p.word("OR") {
			return join(Or, parts)
		}
	}
}

// together reads parts that all have to fit. Of parts of one property that stand
// beside each other without a word between, one is enough (MS-KQL §2.1.3).
func (p *parser) together(depth int, in Property) *Node {
	var parts []*Node
	said := true
	for {
		n, more := p.negated(depth, in)
		if !more {
			return join(And, parts)
		}
		if n != nil {
			if last := len(parts) - 1; !said && alike(parts[last], n) {
				parts[last] = widen(parts[last], n)
			} else {
				parts = append(parts, n)
			}
		}
		said = p.word("AND") || len(parts) == 0
	}
}

// alike reports whether n is a leaf of the property that the leaves of before have.
// Bounds are not: of received>=a received<b, people mean both.
func alike(before, n *Node) bool {
	if before.Op == Or && len(before.Parts) > 0 {
		before = before.Parts[len(before.Parts)-1]
	}
	return before.Op == Leaf && n.Op == Leaf && n.Property != "" && before.Property == n.Property &&
		before.Compare == ":" && n.Compare == ":"
}

func widen(before, n *Node) *Node {
	if before.Op == Or {
		before.Parts = append(before.Parts, n)
		return before
	}
	return &Node{Op: Or, Parts: []*Node{before, n}}
}

func join(op Op, parts []*Node) *Node {
	switch len(parts) {
	case 0:
		return nil
	case 1:
		return parts[0]
	}
	return &Node{Op: op, Parts: parts}
}

// negated reads one part. More is false where there is none; what says nothing is nil.
func (p *parser) negated(depth int, in Property) (n *Node, more bool) {
	p.space()
	not := false
	for depth < maxDepth {
		switch {
		case p.word("NOT"):
			not = !not
		case len(p.rest) > 1 && p.rest[0] == '-' && !unicode.IsSpace(rune(p.rest[1])):
			p.rest, not = p.rest[1:], !not
		case len(p.rest) > 1 && p.rest[0] == '+' && !unicode.IsSpace(rune(p.rest[1])):
			p.rest = p.rest[1:]
		default:
			n, more = p.part(depth, in)
			if not && n != nil {
				n = &Node{Op: Not, Parts: []*Node{n}}
			}
			return n, more
		}
		p.space()
	}
	return p.part(depth, in)
}

func (p *parser) part(depth int, in Property) (*Node, bool) {
	p.space()
	switch {
	case p.rest == "", p.at("OR"):
		return nil, false
	case p.rest[0] == ')':
		if depth > 0 {
			return nil, false
		}
		p.rest = p.rest[1:] // closes nothing
		return nil, true
	case p.rest[0] == '(':
		return p.group(depth, in), true
	}
	property, compare := in, ":"
	if name, op, ok := p.property(); ok {
		property, compare = name, op
		p.space()
		if strings.HasPrefix(p.rest, "(") {
			return p.group(depth, property), true
		}
		if p.at("AND") || p.at("OR") || p.at("NOT") {
			return nil, true // the property says nothing
		}
	}
	return p.leaf(property, compare), true
}

func (p *parser) group(depth int, in Property) *Node {
	p.rest = p.rest[1:]
	if depth+1 >= maxDepth {
		return nil // it is as if it were not there; what closes it closes nothing
	}
	n := p.either(depth+1, in)
	p.space()
	p.rest = strings.TrimPrefix(p.rest, ")")
	return n
}

// compares are the signs behind a property, the longer first.
var compares = []string{"<>", "<=", ">=", ":", "=", "<", ">"}

// property takes the name of a property and the sign behind it.
func (p *parser) property() (Property, string, bool) {
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !unicode.IsLetter(r) })
	if end <= 0 {
		return "", "", false
	}
	name, ok := properties[strings.ToLower(p.rest[:end])]
	if !ok {
		return "", "", false
	}
	for _, c := range compares {
		if after, ok := strings.CutPrefix(p.rest[end:], c); ok {
			p.rest = after
			if c == "=" {
				c = ":"
			}
			return name, c, true
		}
	}
	return "", "", false
}

// leaf takes a phrase or a word. One that says nothing is nil.
func (p *parser) leaf(property Property, compare string) *Node {
	var text string
	if after, ok := strings.CutPrefix(p.rest, `"`); ok {
		text, p.rest, _ = strings.Cut(after, `"`)
		p.rest = strings.TrimPrefix(p.rest, "*")
	} else {
		end := strings.IndexFunc(p.rest, func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' || r == '"' })
		if end < 0 {
			end = len(p.rest)
		}
		text, p.rest = p.rest[:end], p.rest[end:]
	}
	star := strings.HasSuffix(text, "*")
	text = strings.TrimSpace(strings.TrimRight(text, "*"))
	if text == "" && !star {
		return nil
	}
	if p.leaves++; p.leaves > maxLeaves {
		p.rest = ""
		return nil
	}
	if text == "" {
		return &Node{Op: All}
	}
	return &Node{Property: property, Compare: compare, Text: text}
}

func (p *parser) space() { p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace) }

// at reports whether an operator comes: in upper case, and a word of its own.
func (p *parser) at(operator string) bool {
	after, ok := strings.CutPrefix(p.rest, operator)
	if !ok {
		return false
	}
	r, _ := utf8.DecodeRuneInString(after)
	return after == "" || unicode.IsSpace(r) || slices.Contains([]rune{'(', ')', '"'}, r)
}

// word takes an operator if it comes.
func (p *parser) word(operator string) bool {
	p.space()
	if !p.at(operator) {
		return false
	}
	p.rest = p.rest[len(operator):]
	return true
}
