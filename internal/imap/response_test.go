package imap

import (
	"bufio"

	said "lockstep/internal/imap/reply"
)

// response is a reply.Response in the words of these tests.
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
	r, err := said.Read(in)
	return response{r.Tag, r.Num, r.Word, r.Code, r.Args, r.Raw}, err
}

// pairs are the items of a FETCH or STATUS response.
func pairs(v any) map[string]any { return said.Pairs(v) }
