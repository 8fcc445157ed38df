package wire

import "errors"

// An Error is a command that could not be read. The Reader stands at the next
// command unless Status is BYE: then the connection has to end.
type Error struct {
	Tag    string // of the command; "" when it had none: answer with "*"
	Status string // "BAD", "NO" or "BYE"
	Code   string // response code without brackets, such as TOOBIG; may be ""
	Text   string // for the person
}

func (e *Error) Error() string {
	s := e.Status + " "
	if e.Code != "" {
		s += "[" + e.Code + "] "
	}
	return s + e.Text
}

// ErrCancelled is what ReadSASL returns when the client took its
// authentication back (RFC 9051 §6.2.2).
var ErrCancelled = errors.New("authentication cancelled")

func bad(text string) *Error           { return &Error{Status: "BAD", Text: text} }
func badCode(code, text string) *Error { return &Error{Status: "BAD", Code: code, Text: text} }
func no(code, text string) *Error      { return &Error{Status: "NO", Code: code, Text: text} }
func bye(code, text string) *Error     { return &Error{Status: "BYE", Code: code, Text: text} }
