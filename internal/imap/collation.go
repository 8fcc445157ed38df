package imap

import (
	"bytes"
	"context"
	glob "path"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/message"
)

// A collation is how texts are compared: each is folded, then bytes are
// (RFC 4790, RFC 5255 §4).
type collation struct {
	name string
	fold func(b, s []byte) []byte // appends s folded
}

// collations are those there are, the default first.
var collations = []*collation{
	{"i;unicode-casemap", message.AppendCasemap}, // RFC 5051
	{"i;ascii-casemap", asciiCasemap},            // RFC 4790 §9.2
	{"i;octet", func(b, s []byte) []byte { return append(b, s...) }},
}

func asciiCasemap(b, s []byte) []byte {
	for _, c := range s {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// collation is the session's active comparator (RFC 5255 §4.2).
func (s *session) collation() *collation {
	if s.compare == nil {
		return collations[0]
	}
	return s.compare
}

// needle is text to be found.
type needle struct {
	by     *collation
	text   []byte // folded
	mapped []byte // as the index of texts has it
}

func (c *collation) needle(text string) needle {
	n := needle{by: c, text: c.fold(nil, []byte(text))}
	n.mapped = n.text
	if !n.isMapped() {
		n.mapped = collations[0].fold(nil, []byte(text))
	}
	return n
}

// isMapped says whether the index of texts compares as the needle does. Where it
// does not, text that it does not find is not there all the same: others tell more
// texts apart.
func (n needle) isMapped() bool { return n.by == collations[0] }

// in reports whether the needle is a substring of text.
func (n needle) in(text string) bool {
	return len(n.text) == 0 || bytes.Contains(n.by.fold(make([]byte, 0, len(text)+16), []byte(text)), n.text)
}

// comparator serves COMPARATOR (RFC 5255 §4.7): the first argument that means one
// or more of what there is decides.
func (s *session) comparator(_ context.Context, cmd *wire.Comparator, _ *reply) error {
	var matching []*collation
	for _, order := range cmd.Orders {
		for _, c := range collations {
			if !hasCollation(matching, c) && c.matches(order) {
				matching = append(matching, c)
			}
		}
	}
	switch {
	case len(cmd.Orders) > 0 && len(matching) == 0:
		return errNo("BADCOMPARATOR", "There is no such comparator")
	case len(matching) > 0:
		s.compare = matching[0]
	}
	out := s.enc.Star().Atom("COMPARATOR").AString(s.collation().name)
	if len(matching) > 1 {
		out.Open()
		for _, c := range matching {
			out.AString(c.name)
		}
		out.Close()
	}
	out.End()
	return s.enc.Err()
}

func hasCollation(list []*collation, c *collation) bool {
	for _, have := range list {
		if have == c {
			return true
		}
	}
	return false
}

// matches says whether a client that asks for order means c (RFC 4790 §3.2: "*"
// stands for anything).
func (c *collation) matches(order string) bool {
	if strings.EqualFold(order, "default") {
		return c == collations[0]
	}
	ok, err := glob.Match(strings.NewReplacer(`\`, `\\`, "[", `\[`, "?", `\?`).Replace(strings.ToLower(order)), c.name)
	return ok && err == nil
}
