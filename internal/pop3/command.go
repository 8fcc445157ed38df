package pop3

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// command is one line (RFC 1939 §3): a keyword and its arguments.
type command struct {
	verb string // upper case
	rest string // as it came: a password may have spaces
}

// parse reads a command. Bytes beyond ASCII have to be UTF-8 (RFC 6856 §2.2), and
// control characters are nowhere.
func parse(line string) (command, error) {
	if !utf8.ValidString(line) {
		return command{}, &refusal{text: "Not UTF-8"}
	}
	for _, r := range line {
		if r < ' ' || r == 0x7f {
			return command{}, &refusal{text: "Control characters are not allowed"}
		}
	}
	verb, rest, _ := strings.Cut(line, " ")
	if verb == "" {
		return command{}, &refusal{text: "Command not understood"}
	}
	return command{strings.ToUpper(verb), rest}, nil
}

// args are the words behind the keyword.
func (c command) args() []string { return strings.Fields(c.rest) }

// number reads a message number or a count of lines; false if it is none.
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && s[0] != '+'
}
