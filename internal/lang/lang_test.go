package lang

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMatch(t *testing.T) {
	for wanted, want := range map[string]Tag{"de": "de", "DE-AT-1996": "de", "fr": "fr", "en-GB": "en", "*": "en", "i-default": "en", "default": "en", "mul": "", "": "", "-": "", "d": ""} {
		if got, ok := Match(wanted); got != want || ok != (want != "") {
			t.Errorf("%q: %q", wanted, got)
		}
	}
}

func TestSay(t *testing.T) {
	for _, c := range []struct {
		tag      Tag
		in, want string
	}{
		{"en", "Goodbye", "Goodbye"},
		{"de", "Goodbye", "Auf Wiedersehen"},
		{"fr", "Nobody has said this", "Nobody has said this"},
		{"de", "UID FETCH completed", "UID FETCH ist erledigt"},
		{"fr", "There is no message 12", "Il n'y a pas de message 12"},
		{"fr", "SEARCH: Expected a space", "SEARCH : il manque une espace"},
		{"de", "", ""},
		{"de", "too many failed sign-ins, try again in 1m30s", "Zu viele Fehlversuche, weiter geht es in 1 min 30 s"},
	} {
		if got := c.tag.Say(c.in); got != c.want {
			t.Errorf("%s %q: %q", c.tag, c.in, got)
		}
	}
}

// Every language says what the others say, and puts the same numbers in.
func TestTheLanguagesAreWhole(t *testing.T) {
	for tag, table := range words {
		for other, same := range words {
			for english, text := range table {
				if same[english] == "" {
					t.Errorf("%s has no %q, which %s has", other, english, tag)
				}
				if strings.Count(english, "#") != strings.Count(text, "#") || strings.HasPrefix(english, "~") != strings.HasPrefix(text, "~") || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n") {
					t.Errorf("%s: %q can't stand for %q", tag, text, english)
				}
			}
		}
	}
}
