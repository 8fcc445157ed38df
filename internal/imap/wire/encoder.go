package wire

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"lockstep/internal/lang"
	"lockstep/internal/mail"
)

// An Encoder writes responses. It puts the space between two values itself, so
// that a line reads
//
//	e.Star().Number(7).Atom("FETCH").Open().Atom("UID").Number(9).Close().End()
//
// Lines are gathered and go out with Flush, or when many have come together.
// The first error sticks; Err returns it, and the connection is then to be
// broken off. It is used by one goroutine and holds no buffer after Flush.
type Encoder struct {
	// UTF8 says that the client enabled UTF8=ACCEPT or IMAP4rev2: strings are
	// quoted as UTF-8, and mailbox names are not in modified UTF-7.
	UTF8 bool

	// Language is what resp-texts are said in; "" is i-default (RFC 5255 §3).
	Language lang.Tag

	w     io.Writer
	b     []byte
	held  *[]byte
	space bool // a value was written and the next one needs a space before it
	err   error
}

// chunk is how much is gathered before it goes out unasked.
const chunk = 16 << 10

// maxPooledChunk bounds what a buffer may have grown to and still be kept.
const maxPooledChunk = 64 << 10

var chunks = sync.Pool{New: func() any { b := make([]byte, 0, chunk+4<<10); return &b }}

// NewEncoder writes to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// NewTextEncoder gathers values for Taken; it ends no lines and streams nothing.
func NewTextEncoder(utf8 bool) *Encoder { return &Encoder{UTF8: utf8} }

// Taken returns what a text encoder was told since it was last asked. It holds until
// the encoder is told more.
func (e *Encoder) Taken() []byte {
	b := e.b
	e.b, e.space = e.b[:0], false
	return b
}

// Reset goes on writing to w: after STARTTLS and COMPRESS, flushed before.
func (e *Encoder) Reset(w io.Writer) { e.w = w }

// Err returns the first error of writing.
func (e *Encoder) Err() error { return e.err }

// Flush writes out what was gathered and gives the buffer back.
func (e *Encoder) Flush() error {
	e.write()
	if e.held != nil && cap(e.b) <= maxPooledChunk {
		*e.held = e.b[:0]
		chunks.Put(e.held)
	}
	e.held, e.b = nil, nil
	return e.err
}

// write writes out what was gathered and keeps the buffer.
func (e *Encoder) write() {
	if e.err == nil && len(e.b) > 0 {
		_, e.err = e.w.Write(e.b)
	}
	e.b = e.b[:0]
}

// begin starts a line.
func (e *Encoder) begin(s string) *Encoder {
	if e.held == nil {
		e.held = chunks.Get().(*[]byte)
		e.b = (*e.held)[:0]
	}
	e.b = append(e.b, s...)
	e.space = true
	return e
}

// Star begins an untagged response.
func (e *Encoder) Star() *Encoder { return e.begin("*") }

// Tag begins the response that completes a command; "" is an untagged one.
func (e *Encoder) Tag(tag string) *Encoder {
	if tag == "" {
		tag = "*"
	}
	return e.begin(tag)
}

// Continuation writes a whole continuation request with text and flushes it.
func (e *Encoder) Continuation(text string) error {
	e.begin("+")
	e.Text(text).End()
	return e.Flush()
}

// Challenge writes a whole continuation request with a challenge of SASL and
// flushes it.
func (e *Encoder) Challenge(challenge []byte) error {
	e.begin("+ ")
	e.b = base64.StdEncoding.AppendEncode(e.b, challenge)
	e.End()
	return e.Flush()
}

// End ends the line.
func (e *Encoder) End() {
	e.b = append(e.b, '\r', '\n')
	e.space = false
	if len(e.b) >= chunk {
		e.write()
	}
}

// Line writes a whole line, which f appends without its end.
func (e *Encoder) Line(f func(b []byte) []byte) {
	e.begin("")
	e.b = f(e.b)
	e.End()
}

// Status writes a whole status response: OK, NO, BAD, BYE or PREAUTH, with a code
// without brackets unless it is "". An empty tag makes it untagged.
func (e *Encoder) Status(tag, status, code, text string) {
	e.Tag(tag).Atom(status)
	if code != "" {
		e.OpenCode(code).CloseCode()
	}
	e.Text(text).End()
}

// Error writes the answer to a command that could not be read.
func (e *Encoder) Error(err *Error) {
	tag := err.Tag
	if err.Status == "BYE" {
		tag = ""
	}
	e.Status(tag, err.Status, err.Code, err.Text)
}

// sep puts the space before a value.
func (e *Encoder) sep() {
	if e.space {
		e.b = append(e.b, ' ')
	}
	e.space = true
}

// Tight leaves the space before the next value out: between addresses, between
// the bodies of a multipart.
func (e *Encoder) Tight() *Encoder {
	e.space = false
	return e
}

// Open begins a list.
func (e *Encoder) Open() *Encoder {
	e.sep()
	e.b = append(e.b, '(')
	e.space = false
	return e
}

// Close ends a list.
func (e *Encoder) Close() *Encoder {
	e.b = append(e.b, ')')
	e.space = true
	return e
}

// OpenCode begins a response code; its arguments follow.
func (e *Encoder) OpenCode(name string) *Encoder {
	e.sep()
	e.b = append(e.b, '[')
	e.b = append(e.b, name...)
	return e
}

// CloseCode ends a response code.
func (e *Encoder) CloseCode() *Encoder {
	e.b = append(e.b, ']')
	e.space = true
	return e
}

// Atom writes s as it is: words of the grammar and what they hold.
func (e *Encoder) Atom(s string) *Encoder {
	e.sep()
	e.b = append(e.b, s...)
	return e
}

// Append writes what f appends as one value.
func (e *Encoder) Append(f func(b []byte) []byte) *Encoder {
	e.sep()
	e.b = f(e.b)
	return e
}

// Number writes a number: sequence numbers, UIDs, sizes, mod-sequences.
func (e *Encoder) Number(n uint64) *Encoder {
	e.sep()
	e.b = strconv.AppendUint(e.b, n, 10)
	return e
}

// NIL writes NIL.
func (e *Encoder) NIL() *Encoder { return e.Atom("NIL") }

// Text writes resp-text to the end of the line. What would break the line, or is
// not ASCII for a client that enabled neither UTF-8 nor a language, becomes a
// question mark.
func (e *Encoder) Text(s string) *Encoder {
	e.sep()
	if s == "" {
		s = "-" // text of RFC 3501 has one character at least
	}
	s = e.Language.Say(s)
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && !e.UTF8 && e.Language == "" {
			r = '?'
		}
		e.b = utf8.AppendRune(e.b, r)
	}
	return e
}

// String writes a quoted string, or a literal where quoting will not do.
func (e *Encoder) String(s string) *Encoder {
	e.sep()
	e.b = appendStringAs(e.b, s, e.UTF8, "}\r\n")
	return e
}

// NString writes NIL for nil.
func (e *Encoder) NString(s *string) *Encoder {
	if s == nil {
		return e.NIL()
	}
	return e.String(*s)
}

// Value writes a value of an annotation (RFC 5464 §5): NIL for nil, a literal8 for
// what holds NUL.
func (e *Encoder) Value(v []byte) *Encoder {
	switch {
	case v == nil:
		return e.NIL()
	case bytes.IndexByte(v, 0) >= 0:
		return e.Literal8(bytes.NewReader(v), int64(len(v)))
	}
	return e.String(string(v))
}

// NonEmpty writes NIL for "".
func (e *Encoder) NonEmpty(s string) *Encoder {
	if s == "" {
		return e.NIL()
	}
	return e.String(s)
}

// AString writes an atom if s can be one, else a string.
func (e *Encoder) AString(s string) *Encoder {
	if isAString(s) {
		return e.Atom(s)
	}
	return e.String(s)
}

// Mailbox writes a mailbox name in the encoding the client expects. Names that
// are no atoms are strings.
func (e *Encoder) Mailbox(name string) *Encoder {
	if !e.UTF8 && !isPlainUTF7(name) {
		name = string(AppendUTF7(nil, name))
	}
	return e.AString(name)
}

// Flags writes a flag list: system flags, then keywords.
func (e *Encoder) Flags(f mail.Flags) *Encoder {
	e.Open()
	for _, s := range encodedFlags {
		if f.Has(s.flag) {
			e.Atom(s.name)
		}
	}
	if words := f.KeywordText(); words != "" {
		e.Atom(words)
	}
	return e.Close()
}

var encodedFlags = [...]struct {
	flag mail.SystemFlags
	name string
}{{mail.Answered, `\Answered`}, {mail.Flagged, `\Flagged`}, {mail.Deleted, `\Deleted`}, {mail.Seen, `\Seen`}, {mail.Draft, `\Draft`}}

// Words writes a list of atoms.
func (e *Encoder) Words(words ...string) *Encoder {
	e.Open()
	for _, w := range words {
		e.Atom(w)
	}
	return e.Close()
}

// DateTime writes a quoted date-time (RFC 9051 §9).
func (e *Encoder) DateTime(t time.Time) *Encoder {
	e.sep()
	e.b = append(e.b, '"')
	e.b = append(AppendDateTime(e.b, t), '"')
	return e
}

// UIDs writes a set as uid-set; the set is not empty.
func (e *Encoder) UIDs(set mail.UIDSet) *Encoder {
	e.sep()
	for i, r := range set {
		e.b = appendRange(e.b, i, uint32(r.First), uint32(r.Last))
	}
	return e
}

// Sequence writes numbers as a sequence-set in their order, which is not empty:
// ranges stand only for numbers that grow one by one (RFC 5267 §3.2).
func (e *Encoder) Sequence(numbers []mail.UID) *Encoder {
	e.sep()
	for i := 0; i < len(numbers); {
		n := i + 1
		for n < len(numbers) && numbers[n] == numbers[n-1]+1 {
			n++
		}
		e.b = appendRange(e.b, i, uint32(numbers[i]), uint32(numbers[n-1]))
		i = n
	}
	return e
}

// Ranges writes a set of sequence numbers; the set is not empty.
func (e *Encoder) Ranges(set []Range) *Encoder {
	e.sep()
	for i, r := range set {
		e.b = appendRange(e.b, i, r.First, r.Last)
	}
	return e
}

func appendRange(b []byte, i int, first, last uint32) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = strconv.AppendUint(b, uint64(first), 10)
	if first == last {
		return b
	}
	return strconv.AppendUint(append(b, ':'), uint64(last), 10)
}

// Item writes the name of a data item as FETCH responds with it.
func (e *Encoder) Item(item FetchItem) *Encoder {
	e.sep()
	e.b = item.AppendName(e.b)
	return e
}

// Address writes one address of an envelope (RFC 9051 §7.5.2); "" is NIL. More
// addresses follow without a space: Tight.
func (e *Encoder) Address(name, route, mailbox, host string) *Encoder {
	return e.Open().NonEmpty(name).NonEmpty(route).NonEmpty(mailbox).NonEmpty(host).Close()
}

// Literal writes size bytes of r as a literal. When r has fewer, or fails, the
// encoder has failed: the client can only be left.
func (e *Encoder) Literal(r io.Reader, size int64) *Encoder { return e.literal("{", r, size) }

// Literal8 is Literal for bytes that may hold NUL (RFC 3516).
func (e *Encoder) Literal8(r io.Reader, size int64) *Encoder { return e.literal("~{", r, size) }

// LiteralBytes is Literal of what is there.
func (e *Encoder) LiteralBytes(text []byte) *Encoder {
	e.sep()
	e.b = strconv.AppendInt(append(e.b, '{'), int64(len(text)), 10)
	e.b = append(append(e.b, "}\r\n"...), text...)
	return e
}

// Said writes text that is one value or several, as a text encoder made it.
func (e *Encoder) Said(text []byte) *Encoder {
	e.sep()
	e.b = append(e.b, text...)
	return e
}

func (e *Encoder) literal(open string, r io.Reader, size int64) *Encoder {
	e.sep()
	e.b = append(e.b, open...)
	e.b = strconv.AppendInt(e.b, size, 10)
	e.b = append(e.b, "}\r\n"...)
	for size > 0 && e.err == nil {
		if len(e.b) >= chunk {
			e.write()
		}
		size -= e.fill(r, size)
	}
	return e
}

// fill reads up to size bytes of r behind what was gathered.
func (e *Encoder) fill(r io.Reader, size int64) int64 {
	if cap(e.b)-len(e.b) < 4<<10 {
		e.write()
	}
	free := e.b[len(e.b):cap(e.b)]
	n, err := io.ReadFull(r, free[:min(int64(len(free)), size)])
	e.b = e.b[:len(e.b)+n]
	if err != nil {
		e.err = unexpectedEOF(err)
	}
	return int64(n)
}
