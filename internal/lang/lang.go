// Package lang is what the protocols say to people, in the languages of these
// people: POP3's LANG (RFC 6856), IMAP's LANGUAGE (RFC 5255). Programs read codes;
// the words beside them are written in English where they are said, and looked up
// here.
package lang

import (
	"regexp"
	"strings"
)

// A Tag names a language (RFC 5646).
type Tag string

// Default is what is spoken until somebody asks for something else: English that
// many can read (RFC 2277 §4.5).
const Default Tag = "en"

// All are the languages, with their own names.
var All = []struct {
	Tag  Tag
	Name string
}{{Default, "English"}, {"de", "Deutsch"}, {"fr", "Français"}}

// words is each language's text for an English one.
var words = map[Tag]map[string]string{"de": german, "fr": french}

// Match finds the language for a range (RFC 4647 §3.4): "de-AT" is served by "de".
// "*" and "i-default" are the default.
func Match(wanted string) (Tag, bool) {
	wanted = strings.ToLower(wanted)
	if wanted == "*" || wanted == "i-default" || wanted == "default" {
		return Default, true
	}
	for wanted != "" {
		for _, l := range All {
			if string(l.Tag) == wanted {
				return l.Tag, true
			}
		}
		wanted = wanted[:max(strings.LastIndexByte(wanted, '-'), 0)]
	}
	return "", false
}

var numbers = regexp.MustCompile(`[0-9]+`)

// commandName is what words about a command begin with.
var commandName = regexp.MustCompile(`^[A-Z][A-Z ]*[A-Z]\b`)

// Say puts an English text into the language. A text nobody has translated stays
// as it is. In the tables "#" stands for a number, and "~" at the beginning for
// the name of a command.
func (t Tag) Say(english string) string {
	table := words[t]
	if table == nil {
		return english
	}
	if s, ok := table[english]; ok {
		return s
	}
	name := commandName.FindString(english)
	for _, name := range []string{"", name} {
		rest := english[len(name):]
		key := numbers.ReplaceAllString(rest, "#")
		if name != "" {
			key = "~" + key
		}
		if s, ok := table[key]; ok {
			for _, n := range numbers.FindAllString(rest, -1) {
				s = strings.Replace(s, "#", n, 1)
			}
			return strings.Replace(s, "~", name, 1)
		}
	}
	return english
}
