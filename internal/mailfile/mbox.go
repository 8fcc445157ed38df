package mailfile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// maxHeaderBytes is how much of a header is searched for flags; what is behind
// passes unread.
const maxHeaderBytes = 256 << 10

const mboxBuffer = 64 << 10

// fromDates are the forms of date that From_ lines are seen with, all of them
// behind the sender.
var fromDates = []string{
	"Mon Jan _2 15:04:05 2006",
	"Mon Jan _2 15:04:05 -0700 2006", // Gmail
	"Mon Jan _2 15:04:05 MST 2006",
	"Mon Jan _2 15:04:05 2006 -0700",
	"Mon Jan _2 15:04:05 2006 MST",
	"Mon Jan _2 15:04 2006",
	"Mon, _2 Jan 2006 15:04:05 -0700",
	"Mon, _2 Jan 2006 15:04:05 MST",
}

// parseFromLine reads a From_ line: "From ", the sender, a date. A line without a
// readable date is none, whatever stands before it: in mail people write "From
// now on".
func parseFromLine(line []byte) (sender string, at time.Time, ok bool) {
	text, found := bytes.CutPrefix(line, []byte("From "))
	if !found || len(text) > maxFromLine {
		return "", at, false
	}
	rest := strings.TrimSpace(string(text))
	rest, _, _ = strings.Cut(rest, " remote from ")
	sender, date, found := strings.Cut(rest, " ")
	for words := 1; found && words <= maxSenderWords; words++ {
		date = strings.TrimLeft(date, " ")
		for _, form := range fromDates {
			if at, err := time.Parse(form, date); err == nil {
				return strings.TrimSpace(sender), at, true
			}
		}
		var word string
		word, date, found = strings.Cut(date, " ") // a sender with spaces in it
		sender += " " + word
	}
	return "", at, false
}

// Bounds on what is looked at in a line that begins with "From ".
const (
	maxFromLine    = 1000
	maxSenderWords = 4
)

// ReadMbox calls fn with each message of an mbox, in order. What fn leaves unread
// is passed over; an error of fn ends the reading and is returned. Quoting is that
// of mboxrd; in an older mboxo file a line that began with ">From " loses its
// mark. Flags are taken from Status, X-Status and X-Keywords fields, which are not
// passed on. What stands before the first From_ line is no message; if there is
// such, and no From_ line at all, it is Invalid.
func ReadMbox(r io.Reader, fn func(msg io.Reader, m Meta) error) error {
	b := &mboxReader{in: bufio.NewReaderSize(r, mboxBuffer), fresh: true}
	junk, err := b.skip()
	if err != nil {
		return err
	}
	if junk && b.from == nil {
		return mail.Errorf(mail.Invalid, "this is no mbox: no line that begins a message")
	}
	for b.from != nil {
		m := Meta{Offset: b.fromAt}
		m.Sender, m.Received, _ = parseFromLine(b.from)
		b.from, b.ended = nil, false
		if err := b.readHeader(&m); err != nil {
			return err
		}
		if err := fn(b, m); err != nil {
			return err
		}
		if _, err := b.skip(); err != nil {
			return err
		}
	}
	return nil
}

// mboxReader reads the message in hand until its end.
type mboxReader struct {
	in     *bufio.Reader
	pos    int64  // of what will be read next
	fresh  bool   // a line begins there
	began  bool   // what was read last began a line
	from   []byte // the From_ line that ended the message
	fromAt int64
	ended  bool

	out   []byte // read, and not yet handed out
	blank bool   // an empty line was read that may be the one before a From_ line
	cr    bool   // the piece before ended with CR

	line, joined []byte // what next returned, good until it is called again
}

// Read implements io.Reader.
func (b *mboxReader) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		piece, err := b.next()
		if err != nil {
			return 0, err
		}
		b.out = piece
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// skip reads to the end of the message and says whether there was anything.
func (b *mboxReader) skip() (something bool, err error) {
	b.out = nil
	for {
		piece, err := b.next()
		if err == io.EOF {
			return something, nil
		}
		if err != nil {
			return something, err
		}
		something = something || len(bytes.TrimSpace(piece)) > 0
	}
}

// next returns a line of the message, with CRLF, or a piece of a long one. An
// empty line before a From_ line, or before the end of the file, is not of the
// message.
func (b *mboxReader) next() ([]byte, error) {
	if b.ended {
		return nil, io.EOF
	}
	at, fresh := b.pos, b.fresh
	b.began = fresh
	piece, err := b.in.ReadSlice('\n')
	if err == io.EOF && len(piece) == 0 && !fresh {
		b.fresh = true
		return b.missingEnd(), nil
	}
	if err != nil && err != bufio.ErrBufferFull && (err != io.EOF || len(piece) == 0) {
		b.ended = true
		return nil, err
	}
	b.pos += int64(len(piece))
	whole := err == nil
	b.fresh = whole
	if !fresh {
		return b.give(b.lineEnd(piece)), nil
	}
	if _, _, ok := parseFromLine(piece); ok {
		b.from, b.fromAt, b.ended, b.blank = bytes.Clone(piece), at, true, false
		return nil, io.EOF
	}
	if whole && len(bytes.TrimRight(piece, "\r\n")) == 0 {
		held := b.blank
		b.blank = true
		if held {
			return crlf, nil
		}
		return b.next()
	}
	if isQuotedFrom(piece) {
		piece = piece[1:]
	}
	return b.give(b.lineEnd(piece)), nil
}

var crlf = []byte("\r\n")

// give puts the empty line that was held back before piece.
func (b *mboxReader) give(piece []byte) []byte {
	if !b.blank {
		return piece
	}
	b.blank = false
	b.joined = append(append(b.joined[:0], crlf...), piece...)
	return b.joined
}

// lineEnd makes the line end of a piece, if it has one, CRLF.
func (b *mboxReader) lineEnd(piece []byte) []byte {
	crBefore, n := b.cr, len(piece)
	b.cr = piece[n-1] == '\r'
	if !b.fresh || n > 1 && piece[n-2] == '\r' || n == 1 && crBefore {
		return piece
	}
	b.line = append(append(b.line[:0], piece[:n-1]...), crlf...)
	return b.line
}

// missingEnd is what the last line of the file lacks.
func (b *mboxReader) missingEnd() []byte {
	if b.cr {
		return crlf[1:]
	}
	return crlf
}

// isQuotedFrom reports whether the line is "From " behind one or more marks.
func isQuotedFrom(line []byte) bool {
	rest := bytes.TrimLeft(line, ">")
	return len(rest) < len(line) && bytes.HasPrefix(rest, []byte("From "))
}

// readHeader reads the header, takes the flags out of it and leaves the rest to
// be read.
func (b *mboxReader) readHeader(m *Meta) error {
	var header []byte
	var words flagWords
	dropping := false
	for len(header) < maxHeaderBytes {
		line, err := b.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, crlf) { // the end of the header, and what is behind it
			header = append(header, line...)
			break
		}
		if b.began && line[0] != ' ' && line[0] != '\t' {
			dropping = words.take(line)
		}
		if !dropping {
			header = append(header, line...)
		}
	}
	m.Flags = words.flags()
	b.out = header
	return nil
}

// flagWords collects flags out of header fields.
type flagWords struct{ names []string }

var statusFlags = map[byte]string{'R': `\Seen`, 'A': `\Answered`, 'F': `\Flagged`, 'D': `\Deleted`, 'T': `\Draft`}

// take reads a field if it is one of those that hold flags.
func (w *flagWords) take(line []byte) bool {
	name, value, _ := strings.Cut(string(line), ":")
	value = strings.TrimSpace(value)
	switch strings.ToLower(name) {
	case "status", "x-status":
		for i := range len(value) {
			if f := statusFlags[value[i]]; f != "" {
				w.names = append(w.names, f)
			}
		}
	case "x-keywords":
		w.names = append(w.names, strings.Fields(value)...)
	default:
		return false
	}
	return true
}

// flags makes a set of what can be one; the rest is left out.
func (w *flagWords) flags() mail.Flags {
	var set mail.Flags
	for _, n := range w.names {
		one, err := mail.NewFlags(n)
		if err != nil || len(set.Union(one).Keywords()) > mail.MaxKeywords {
			continue
		}
		set = set.Union(one)
	}
	return set
}

// MboxWriter writes an mbox with the quoting of mboxrd. Used by one goroutine.
type MboxWriter struct{ out *bufio.Writer }

// NewMboxWriter returns a writer onto w. Flush it at the end.
func NewMboxWriter(w io.Writer) *MboxWriter {
	return &MboxWriter{bufio.NewWriterSize(w, mboxBuffer)}
}

// Flush writes what is waiting.
func (w *MboxWriter) Flush() error { return w.out.Flush() }

// Write adds a message; its flags become Status, X-Status and X-Keywords fields.
func (w *MboxWriter) Write(msg io.Reader, m Meta) error {
	sender := strings.Join(strings.Fields(m.Sender), "")
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	at := m.Received
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	fmt.Fprintf(w.out, "From %s %s\n", sender, at.UTC().Format(fromDates[0]))
	in := bufio.NewReaderSize(newLFReader(msg), mboxBuffer)
	inHeader, fresh := true, true
	for {
		piece, err := in.ReadSlice('\n')
		if len(piece) == 0 && err == io.EOF {
			break
		}
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if fresh && inHeader && piece[0] == '\n' {
			w.writeFlags(m.Flags)
			inHeader = false
		}
		if fresh && (isQuotedFrom(piece) || bytes.HasPrefix(piece, []byte("From "))) {
			w.out.WriteByte('>')
		}
		fresh = piece[len(piece)-1] == '\n'
		w.out.Write(piece)
	}
	if !fresh {
		w.out.WriteByte('\n')
	}
	if inHeader {
		w.writeFlags(m.Flags)
	}
	return w.out.WriteByte('\n')
}

func (w *MboxWriter) writeFlags(f mail.Flags) {
	status := "O"
	if f.Has(mail.Seen) {
		status = "RO"
	}
	fmt.Fprintf(w.out, "Status: %s\n", status)
	var x []byte
	for _, c := range []struct {
		flag   mail.SystemFlags
		letter byte
	}{{mail.Answered, 'A'}, {mail.Flagged, 'F'}, {mail.Draft, 'T'}, {mail.Deleted, 'D'}} {
		if f.Has(c.flag) {
			x = append(x, c.letter)
		}
	}
	if len(x) > 0 {
		fmt.Fprintf(w.out, "X-Status: %s\n", x)
	}
	if words := f.Keywords(); len(words) > 0 {
		fmt.Fprintf(w.out, "X-Keywords: %s\n", strings.Join(words, " "))
	}
}
