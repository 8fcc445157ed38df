package tnef

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"lockstep/internal/message"
)

// Property types (MS-OXCDATA §2.11.1).
const (
	typeInt16    = 0x0002
	typeInt32    = 0x0003
	typeFloat32  = 0x0004
	typeError    = 0x000A
	typeBoolean  = 0x000B
	typeObject   = 0x000D
	typeString8  = 0x001E
	typeUnicode  = 0x001F
	typeGUID     = 0x0048
	typeTime     = 0x0040
	typeBinary   = 0x0102
	multiValued  = 0x1000
	namedFrom    = 0x8000
	objectIDSize = 16
)

// Properties (MS-OXPROPS).
const (
	tagMessageClass       = 0x001A
	tagSubject            = 0x0037
	tagClientSubmitTime   = 0x0039
	tagSentRepresenting   = 0x0042
	tagSenderName         = 0x0C1A
	tagDisplayCc          = 0x0E03
	tagDisplayTo          = 0x0E04
	tagBody               = 0x1000
	tagRTFCompressed      = 0x1009
	tagHTML               = 0x1013
	tagDisplayName        = 0x3001
	tagAttachData         = 0x3701
	tagAttachFilename     = 0x3704
	tagAttachMethod       = 0x3705
	tagAttachLongFilename = 0x3707
	tagAttachMIMETag      = 0x370E
	tagAttachContentID    = 0x3712
	tagAttachLocation     = 0x3713
	tagAttachFlags        = 0x3714
	tagInternetCPID       = 0x3FDE
)

// property is one value in hand: its bytes lie ahead of the stream.
type property struct {
	id     uint32
	typ    uint32
	length int64
}

// propertyList reads a TnefPropertyList (MS-OXTNEF §2.1.3.4) that ends at end, and
// calls fn for the first value of each property that has no name.
func (s *stream) propertyList(end int64, fn func(property)) {
	for left := int64(s.u32()); left > 0 && s.err == nil && s.at < end; left-- {
		if s.properties++; s.properties > MaxProperties {
			break
		}
		s.property(end, fn)
	}
}

func (s *stream) property(end int64, fn func(property)) {
	p := property{typ: uint32(s.u16()), id: uint32(s.u16())}
	if p.id >= namedFrom {
		s.propertyName(end)
	}
	typ, values := p.typ&^multiValued, int64(1)
	if p.typ&multiValued != 0 || isVariable(typ) {
		values = int64(s.u32())
	}
	for i := int64(0); i < values && s.err == nil && s.at < end; i++ {
		p.length = fixedSize(typ)
		if isVariable(typ) {
			p.length = int64(s.u32())
		}
		next := s.at + (p.length+3)&^3
		if s.err != nil || next > end+3 {
			s.err = orError(s.err)
			return
		}
		if i == 0 && p.id < namedFrom {
			fn(p)
		}
		s.seek(min(next, end))
	}
}

func orError(err error) error {
	if err == nil {
		return errDamaged
	}
	return err
}

// propertyName passes over the name of a property: a set, and a number or a text.
func (s *stream) propertyName(end int64) {
	s.skip(16)
	if kind := s.u32(); kind == 0 {
		s.skip(4)
		return
	}
	length := int64(s.u32())
	s.seek(min(s.at+(length+3)&^3, end))
}

func isVariable(typ uint32) bool {
	return typ == typeString8 || typ == typeUnicode || typ == typeObject || typ == typeBinary
}

func fixedSize(typ uint32) int64 {
	switch typ {
	case typeInt16, typeBoolean, typeInt32, typeFloat32, typeError:
		return 4
	case typeGUID:
		return 16
	}
	return 8
}

// messageProperty takes a property of the message.
func (s *stream) messageProperty(p property) {
	m := s.m
	switch p.id {
	case tagMessageClass:
		m.Class = orText(m.Class, s.text(p))
	case tagSubject:
		m.Subject = orText(m.Subject, s.text(p))
	case tagSenderName, tagSentRepresenting:
		m.From = orText(m.From, s.text(p))
	case tagDisplayTo:
		m.To = s.text(p)
	case tagDisplayCc:
		m.Cc = s.text(p)
	case tagClientSubmitTime:
		if p.typ == typeTime {
			m.Sent = unixTime(s.u64())
		}
	case tagInternetCPID:
		m.HTMLCharset = charset(int(s.u32()))
	case tagBody:
		m.Text, m.TextCharset = Range{s.at, p.length}, s.charsetOf(p)
	case tagHTML:
		m.HTML = Range{s.at, p.length}
		if p.typ == typeUnicode {
			m.HTMLCharset = "utf-16le"
		}
	case tagRTFCompressed:
		m.RTF = Range{s.at, p.length}
	}
}

// unixTime is a FILETIME, tenths of microseconds since 1601, in seconds since 1970.
func unixTime(filetime uint64) int64 {
	return int64(filetime/10_000_000) - 11_644_473_600
}

func (s *stream) charsetOf(p property) string {
	if p.typ == typeUnicode {
		return "utf-16le"
	}
	return charset(s.m.CodePage)
}

// attachmentProperty takes a property of an attachment.
func (s *stream) attachmentProperty(a *Attachment, p property) {
	const embedded, ole = 5, 6
	const renderedInBody = 4
	switch p.id {
	case tagAttachLongFilename:
		a.Name = orText(a.Name, s.text(p))
	case tagAttachFilename, tagDisplayName:
		if a.Name == "" {
			a.Name = s.text(p)
		}
	case tagAttachMIMETag:
		a.Type = strings.ToLower(s.text(p))
	case tagAttachContentID:
		a.ContentID = strings.Trim(s.text(p), "<> \t")
	case tagAttachLocation:
		a.Location = s.text(p)
	case tagAttachMethod:
		method := s.u32()
		a.Message = method == embedded
		a.OLE = a.OLE || method == ole
	case tagAttachFlags:
		a.Inline = s.u32()&renderedInBody != 0
	case tagAttachData:
		s.attachmentData(a, p)
	}
}

// messageObject is how the id of an object begins that is a message (IID_IMessage).
var messageObject = []byte{0x07, 0x03, 0x02, 0x00}

func (s *stream) attachmentData(a *Attachment, p property) {
	if p.typ != typeObject || p.length < objectIDSize {
		a.Data = Range{s.at, p.length}
		return
	}
	var id [objectIDSize]byte
	s.read(id[:])
	a.Message = a.Message || bytes.HasPrefix(id[:], messageObject)
	a.OLE = a.OLE || !a.Message
	a.Data = Range{s.at, p.length - objectIDSize}
}

// text reads a value of text.
func (s *stream) text(p property) string {
	switch p.typ {
	case typeUnicode:
		return utf16Text(s.keep(p.length))
	case typeString8:
		return s.ansi(p.length)
	}
	return ""
}

func utf16Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return clean(string(utf16.Decode(units)))
}

// ansi reads text in the stream's code page.
func (s *stream) ansi(length int64) string {
	b, _ := io.ReadAll(message.ToUTF8(bytes.NewReader(s.keep(length)), charset(s.m.CodePage)))
	return clean(string(b))
}

// clean cuts a text at its NUL and takes line ends away, which no header may have.
func clean(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return strings.TrimSpace(strings.ToValidUTF8(strings.NewReplacer("\r", " ", "\n", " ").Replace(s), "\uFFFD"))
}

// charset names a Windows code page.
func charset(codePage int) string {
	switch codePage {
	case 0, 20127:
		return ""
	case 65001:
		return "utf-8"
	case 932:
		return "shift_jis"
	case 936:
		return "gbk"
	case 949:
		return "euc-kr"
	case 950:
		return "big5"
	case 20866:
		return "koi8-r"
	case 50220, 50221, 50222:
		return "iso-2022-jp"
	case 54936:
		return "gb18030"
	}
	if codePage >= 28591 && codePage <= 28605 {
		return "iso-8859-" + strconv.Itoa(codePage-28590)
	}
	return "windows-" + strconv.Itoa(codePage)
}
