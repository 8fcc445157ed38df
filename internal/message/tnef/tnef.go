// Package tnef reads winmail.dat: the Transport Neutral Encapsulation Format
// (MS-OXTNEF), in which Outlook wraps what MIME has no words for, and with it, all too
// often, the text and the attachments of a message.
//
// Read goes through a stream once and says where things lie in it; contents are read
// from there and never held. A stream that is cut or broken gives what was found
// before the damage.
package tnef

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"lockstep/internal/mail"
)

// What one stream can make us hold or do.
const (
	MaxAttachments   = 1000
	MaxProperties    = 50_000  // looked at, all together
	MaxPropertyBytes = 4 << 10 // of one name or the like that is kept; a longer one is cut
	MaxKeptBytes     = 1 << 20 // of all that is kept
	maxSize          = 1 << 40 // no length is near overflow
)

// Message is what a stream holds. Its text is valid UTF-8.
type Message struct {
	Class       string // as MAPI has it, such as IPM.Note
	Subject     string
	From        string // name and address as a header has them, as far as they are there
	To, Cc      string // names
	Sent        int64  // Unix seconds, 0 if unsaid
	CodePage    int    // of what is no Unicode
	Text        Range  // plain, in the charset TextCharset says
	HTML        Range  // in HTMLCharset
	RTF         Range  // compressed (MS-OXRTFCP)
	TextCharset string
	HTMLCharset string
	Attachments []Attachment
}

// Attachment is a file, a message or an object in a stream.
type Attachment struct {
	Name      string
	Type      string // media type, "" if unsaid
	ContentID string
	Location  string
	Data      Range
	Message   bool // Data is a stream by itself
	OLE       bool
	Inline    bool
}

// A Range of the stream's bytes. One without length is nothing.
type Range struct{ Offset, Length int64 }

// Reader reads a range of the stream that r is at the beginning of.
func (g Range) Reader(r io.Reader) io.Reader {
	return &rangeReader{r: r, skip: g.Offset, left: g.Length}
}

type rangeReader struct {
	r          io.Reader
	skip, left int64
}

func (g *rangeReader) Read(b []byte) (int, error) {
	if g.skip > 0 {
		n, err := io.CopyN(io.Discard, g.r, g.skip)
		if g.skip -= n; err != nil {
			return 0, err
		}
	}
	if g.left <= 0 {
		return 0, io.EOF
	}
	n, err := g.r.Read(b[:min(int64(len(b)), g.left)])
	g.left -= int64(n)
	return n, err
}

// ErrFormat is what Read fails with when a stream is no TNEF.
var ErrFormat = mail.Errorf(mail.Invalid, "this is no TNEF")

// signature begins every stream (MS-OXTNEF §2.1.3.1).
const signature = 0x223E9F78

// Attributes (MS-OXTNEF §2.1.3.3), by their ids.
const (
	attFrom           = 0x8000
	attSubject        = 0x8004
	attMessageClass   = 0x8008
	attBody           = 0x800C
	attAttachData     = 0x800F
	attAttachTitle    = 0x8010
	attAttachRenddata = 0x9002
	attMsgProps       = 0x9003
	attAttachment     = 0x9005
	attOEMCodepage    = 0x9007
)

// Read goes through a stream. The error is ErrFormat or r's; damage behind the
// beginning is none.
func Read(r io.Reader) (*Message, error) {
	s := &stream{in: bufio.NewReaderSize(r, 16<<10), m: new(Message)}
	if s.u32() != signature {
		return nil, s.failure(ErrFormat)
	}
	s.skip(2)
	for s.err == nil {
		s.attribute()
	}
	s.finish()
	return s.m, s.failure(nil)
}

// stream is a stream being read. After the first error it gives zeroes.
type stream struct {
	in         *bufio.Reader
	m          *Message
	at         int64
	err        error
	properties int
	kept       int
	cut        bool // another bound was reached
	bodyText   Range
}

var errDamaged = errors.New("damaged")

// failure is the error of the reader, if it was one, else other.
func (s *stream) failure(other error) error {
	if s.err == nil || errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) || errors.Is(s.err, errDamaged) {
		return other
	}
	return s.err
}

func (s *stream) read(b []byte) {
	if s.err == nil {
		var n int
		n, s.err = io.ReadFull(s.in, b)
		s.at += int64(n)
	}
	if s.err != nil {
		clear(b)
	}
}

func (s *stream) u8() byte {
	var b [1]byte
	s.read(b[:])
	return b[0]
}

func (s *stream) u16() uint16 {
	var b [2]byte
	s.read(b[:])
	return binary.LittleEndian.Uint16(b[:])
}

func (s *stream) u32() uint32 {
	var b [4]byte
	s.read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

func (s *stream) u64() uint64 {
	var b [8]byte
	s.read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

func (s *stream) skip(n int64) {
	if s.err != nil || n <= 0 {
		return
	}
	var skipped int64
	skipped, s.err = io.CopyN(io.Discard, s.in, n)
	s.at += skipped
}

// seek goes forward to an offset.
func (s *stream) seek(offset int64) {
	if offset < s.at && s.err == nil {
		s.err = errDamaged // what was read did not keep inside its own length
		return
	}
	s.skip(offset - s.at)
}

// keep reads n bytes of which a beginning is kept.
func (s *stream) keep(n int64) []byte {
	size := min(n, MaxPropertyBytes)
	if s.kept += int(size); s.kept > MaxKeptBytes {
		s.skip(n)
		return nil
	}
	b := make([]byte, size)
	s.read(b)
	s.skip(n - size)
	return b
}

// attribute reads one attribute: level, id and type, length, data, checksum.
func (s *stream) attribute() {
	level := s.u8()
	id := s.u32() & 0xffff
	length := int64(s.u32())
	if s.err != nil {
		return
	}
	end := s.at + length
	switch {
	case level == 1:
		s.messageAttribute(id, length)
	case level == 2:
		s.attachmentAttribute(id, length)
	default:
		s.err = errDamaged
		return
	}
	s.seek(end)
	s.skip(2) // the checksum: programs write it wrong
}

func (s *stream) messageAttribute(id uint32, length int64) {
	switch id {
	case attOEMCodepage:
		s.m.CodePage = int(s.u32())
	case attSubject:
		s.m.Subject = s.ansi(length)
	case attMessageClass:
		s.m.Class = s.ansi(length)
	case attBody:
		s.bodyText = Range{s.at, length}
	case attMsgProps:
		s.propertyList(s.at+length, s.messageProperty)
	}
}

func (s *stream) attachmentAttribute(id uint32, length int64) {
	if id == attAttachRenddata {
		s.beginAttachment()
		return
	}
	if s.cut || len(s.m.Attachments) == 0 {
		return
	}
	a := &s.m.Attachments[len(s.m.Attachments)-1]
	switch id {
	case attAttachTitle:
		a.Name = orText(a.Name, s.ansi(length))
	case attAttachData:
		a.Data = Range{s.at, length}
	case attAttachment:
		s.propertyList(s.at+length, func(p property) { s.attachmentProperty(a, p) })
	}
}

// beginAttachment reads an attAttachRenddata (MS-OXTNEF §2.1.3.3.15), which opens
// each attachment.
func (s *stream) beginAttachment() {
	if s.cut = len(s.m.Attachments) == MaxAttachments; s.cut {
		return
	}
	const ole = 2
	s.m.Attachments = append(s.m.Attachments, Attachment{OLE: s.u16() == ole})
}

// finish decides what the properties left open.
func (s *stream) finish() {
	if s.m.Text.Length == 0 {
		s.m.Text, s.m.TextCharset = s.bodyText, charset(s.m.CodePage)
	}
	if s.m.HTMLCharset == "" {
		s.m.HTMLCharset = charset(s.m.CodePage)
	}
	for i := range s.m.Attachments {
		a := &s.m.Attachments[i]
		if a.OLE {
			a.Inline = true
		}
	}
}

func orText(s, other string) string {
	if other != "" {
		return other
	}
	return s
}
