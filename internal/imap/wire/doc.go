// Package wire is the grammar of IMAP on the server's side: it turns the bytes
// of a client into typed commands and the server's values into bytes. It knows
// nothing of mailboxes, sessions or states.
//
// One grammar serves RFC 9051 and RFC 3501 with the extensions the server
// speaks. A Reader yields one Command at a time within its Limits; what is
// wrong comes back as an *Error that says how to answer, and the Reader stands
// at the beginning of the next command. An Encoder writes responses.
//
// To add a command: a type with appendTo, a function that parses its arguments,
// and a line in the grammar table of command.go.
package wire
