package search

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// A Part is a piece of a message that an exact search looks at.
type Part uint8

// The parts. Text is header and body in one, so a needle may lie across them.
const (
	Subject Part = iota
	From
	To
	Cc
	Bcc
	Header
	Body
	Text

	numSections = Text
)

// maxText bounds the casemapped text that is kept of one message. What a longer
// one says further back is read from the message.
const maxText = 1 << 20

// exactText is a message as exact search compares it: casemapped
// (i;unicode-casemap, RFC 5051), in sections.
type exactText struct {
	bytes []byte
	ends  [numSections]int
	cut   bool // header and body are not whole
}

// errFull ends the reading: no more is kept.
var errFull = errors.New("enough text")

// exactTextOf reads a message.
func exactTextOf(ra io.ReaderAt, m *message.Message) (*exactText, error) {
	t := &exactText{}
	e := &m.Envelope
	t.add(Subject, message.DecodeWords(e.Subject))
	t.addAddresses(From, e.From)
	t.addAddresses(To, e.To)
	t.addAddresses(Cc, e.Cc)
	t.addAddresses(Bcc, e.Bcc)
	if len(t.bytes) > maxText/2 {
		return nil, mail.Errorf(mail.Limit, "its header says too much")
	}
	for _, s := range []struct {
		part  Part
		write func(io.Writer, io.ReaderAt, *message.Message, int64) error
	}{{Header, message.HeaderText}, {Body, message.BodyText}} {
		w := &mapper{text: t}
		if !t.cut {
			if err := s.write(w, ra, m, math.MaxInt64); errors.Is(err, errFull) {
				t.cut = true
			} else if err != nil {
				return nil, err
			}
		}
		t.ends[s.part] = len(t.bytes)
	}
	return t, nil
}

func (t *exactText) add(p Part, s string) {
	t.bytes = message.AppendCasemap(t.bytes, []byte(s))
	t.ends[p] = len(t.bytes)
}

// addAddresses keeps addresses as FROM and its kin compare them, each by itself:
// no needle holds a NUL.
func (t *exactText) addAddresses(p Part, list []message.Address) {
	for _, a := range list {
		t.bytes = message.AppendCasemap(t.bytes, []byte(message.DecodeWords(a.Name)+" <"+a.String()+">"))
		t.bytes = append(t.bytes, 0)
	}
	t.ends[p] = len(t.bytes)
}

// mapper casemaps what is written to it.
type mapper struct {
	text *exactText
	cut  []byte // the beginning of a character
}

func (w *mapper) Write(b []byte) (int, error) {
	text := b
	if len(w.cut) > 0 {
		text = append(w.cut, b...)
		w.cut = nil
	}
	whole := len(text) - unfinished(text)
	w.text.bytes = message.AppendCasemap(w.text.bytes, text[:whole])
	w.cut = append(w.cut, text[whole:]...)
	if len(w.text.bytes) > maxText {
		w.text.bytes = w.text.bytes[:maxText]
		return len(b), errFull
	}
	return len(b), nil
}

func unfinished(b []byte) int { return message.Unfinished(b) }

// part is a piece of the text.
func (t *exactText) part(p Part) []byte {
	switch p {
	case Subject:
		return t.bytes[:t.ends[Subject]]
	case Text:
		return t.bytes[t.ends[Header-1]:]
	}
	return t.bytes[t.ends[p-1]:t.ends[p]]
}

// decide answers a question. What is cut says nothing about what it does not show.
func (t *exactText) decide(q *Question) (found, sure bool) {
	if len(q.Field) > 0 {
		found = t.hasField(q.Field, q.Needle)
	} else {
		found = bytes.Contains(t.part(q.Part), q.Needle)
	}
	return found, found || !t.cut || q.Part < Header
}

// hasField looks for a field, which is a line, with the needle in its value.
func (t *exactText) hasField(name, needle []byte) bool {
	for line := range bytes.Lines(t.part(Header)) {
		value, ok := bytes.CutPrefix(line, name)
		if !ok {
			continue
		}
		value, ok = bytes.CutPrefix(bytes.TrimSuffix(value, []byte("\n")), []byte(": "))
		if ok && bytes.Contains(value, needle) {
			return true
		}
	}
	return false
}

// encode writes the text for keeping.
func (t *exactText) encode(b []byte) []byte {
	b = append(b, b2i(t.cut))
	for _, end := range t.ends {
		b = binary.AppendUvarint(b, uint64(end))
	}
	return append(b, t.bytes...)
}

func decodeText(b []byte) (*exactText, error) {
	t := &exactText{}
	if len(b) == 0 {
		return nil, errDamaged
	}
	t.cut, b = b[0] != 0, b[1:]
	for i := range t.ends {
		end, n := binary.Uvarint(b)
		if n <= 0 || end > math.MaxInt32 || i > 0 && int(end) < t.ends[i-1] {
			return nil, errDamaged
		}
		t.ends[i], b = int(end), b[n:]
	}
	if t.ends[numSections-1] != len(b) {
		return nil, errDamaged
	}
	t.bytes = b
	return t, nil
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}
