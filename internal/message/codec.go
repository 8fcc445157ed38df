package message

import (
	"encoding/binary"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// codecVersion is the first byte of what Encode writes. A change of the form is a
// new version, and Decode reads the old ones as long as databases hold them.
const codecVersion = 1

// envelopeStart is the length of what stands before the envelope: version, flags
// and the envelope's length.
const envelopeStart = 1 + 1 + 4

// Bits of the byte behind the version, and of those that begin an envelope and a
// part.
const (
	isReplyBit = 1 << iota
	hasAttachmentBit
	onlyInReplyToShift = iota // Message.OnlyInReplyTo begins here; it came later, and rows without it have none
)

const (
	sentAtBit = 1 << iota
	senderIsFromBit
	replyToIsFromBit
	blankShift = iota // Envelope.Blank begins here; it came later, and rows without it have none
)

// routesBit says that routes of addresses stand behind the envelope; it came later.
const routesBit = 1 << 7

const (
	messageBit     = 1 << iota // an embedded message follows
	plainBit                   // text/plain; charset=us-ascii, as when nothing is said
	rareBit                    // has one of the rare fields
	dispositionBit             // has a disposition
)

var errBadEncoding = mail.Errorf(mail.Corrupt, "a stored message structure is damaged")

// Encode makes the compact form of m that the database keeps: a version, flags,
// the envelope with its length before it, then the rest. Numbers are varints,
// strings have their length before them, offsets count from the parent's body.
func Encode(m *Message) []byte {
	e := encoder{make([]byte, envelopeStart, 1024)}
	e.b[0] = codecVersion
	e.b[1] = bit(m.IsReply, isReplyBit) | bit(m.HasAttachment, hasAttachmentBit) | byte(m.OnlyInReplyTo)<<onlyInReplyToShift
	e.envelope(&m.Envelope)
	binary.BigEndian.PutUint32(e.b[2:], uint32(len(e.b)-envelopeStart))
	e.int(m.Size)
	e.string(m.Preview)
	e.string(m.ID)
	e.strings(m.References)
	e.string(m.BaseSubject)
	e.part(m.Root, 0)
	return e.b
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

type encoder struct{ b []byte }

func (e *encoder) uint(n uint64)   { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)     { e.uint(uint64(n)) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); e.b = append(e.b, s...) }

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) params(list []Param) {
	e.uint(uint64(len(list)))
	for _, p := range list {
		e.string(p.Name)
		e.string(p.Value)
	}
}

func (e *encoder) addresses(list []Address) {
	e.uint(uint64(len(list)))
	for _, a := range list {
		e.string(a.Name)
		e.string(a.Mailbox)
		e.string(a.Host)
	}
}

func (e *encoder) envelope(v *Envelope) {
	sender := len(v.From) > 0 && slices.Equal(v.Sender, v.From)
	replyTo := len(v.From) > 0 && slices.Equal(v.ReplyTo, v.From)
	e.b = append(e.b, bit(!v.SentAt.IsZero(), sentAtBit)|bit(sender, senderIsFromBit)|bit(replyTo, replyToIsFromBit)|byte(v.Blank)<<blankShift|bit(v.hasRoutes(), routesBit))
	if !v.SentAt.IsZero() {
		_, zone := v.SentAt.Zone()
		e.b = binary.AppendVarint(e.b, v.SentAt.Unix())
		e.b = binary.AppendVarint(e.b, int64(zone))
	}
	e.string(v.Date)
	e.string(v.Subject)
	e.addresses(v.From)
	if !sender {
		e.addresses(v.Sender)
	}
	if !replyTo {
		e.addresses(v.ReplyTo)
	}
	e.addresses(v.To)
	e.addresses(v.Cc)
	e.addresses(v.Bcc)
	e.string(v.InReplyTo)
	e.string(v.MessageID)
	if v.hasRoutes() {
		for _, list := range v.lists() {
			for _, a := range *list {
				e.string(a.Route)
			}
		}
	}
}

// lists are the addresses of an envelope.
func (v *Envelope) lists() [6]*[]Address {
	return [...]*[]Address{&v.From, &v.Sender, &v.ReplyTo, &v.To, &v.Cc, &v.Bcc}
}

func (v *Envelope) hasRoutes() bool {
	for _, list := range v.lists() {
		if slices.ContainsFunc(*list, func(a Address) bool { return a.Route != "" }) {
			return true
		}
	}
	return false
}

func (p *Part) isRare() bool {
	return p.ID != "" || p.Description != "" || p.MD5 != "" || p.Language != nil || p.Location != ""
}

func (p *Part) isDefault() bool { return p.Is("text", "plain") && slices.Equal(p.Params, plainParams) }

// part writes p, whose parent's body begins at base.
func (e *encoder) part(p *Part, base int64) {
	disposition := p.Disposition != "" || p.DispositionParams != nil
	e.b = append(e.b, bit(p.Message != nil, messageBit)|bit(p.isDefault(), plainBit)|bit(p.isRare(), rareBit)|
		bit(disposition, dispositionBit))
	if !p.isDefault() {
		e.string(p.Type)
		e.string(p.Subtype)
		e.params(p.Params)
	}
	e.string(p.Encoding)
	if disposition {
		e.string(p.Disposition)
		e.params(p.DispositionParams)
	}
	if p.isRare() {
		e.string(p.ID)
		e.string(p.Description)
		e.string(p.MD5)
		e.strings(p.Language)
		e.string(p.Location)
	}
	e.int(p.Offset - base)
	e.int(p.HeaderSize)
	e.int(p.BodySize)
	e.int(p.Lines)
	e.uint(uint64(len(p.Parts)))
	for _, c := range p.Parts {
		e.part(c, p.BodyOffset)
	}
	if p.Message != nil {
		e.envelope(&p.Message.Envelope)
		e.part(p.Message.Root, p.BodyOffset)
	}
}

// Decode reads what Encode wrote; anything else is Corrupt. It checks that parts
// lie inside their parents and that the bounds of Parse hold. The message shares
// one copy of b.
func Decode(b []byte) (*Message, error) {
	size, ok := envelopeSize(b)
	if !ok {
		return nil, errBadEncoding
	}
	m := new(Message)
	m.IsReply, m.HasAttachment, m.OnlyInReplyTo = b[1]&isReplyBit != 0, b[1]&hasAttachmentBit != 0, int(b[1]>>onlyInReplyToShift)
	d := decoder{s: string(b[envelopeStart:])}
	before := len(d.s)
	d.envelope(&m.Envelope)
	if before-len(d.s) != size {
		d.fail()
	}
	m.Size = d.int()
	m.Preview = d.string()
	m.ID = d.string()
	m.References = d.strings()
	m.BaseSubject = d.string()
	m.Root = d.part(0, m.Size, 1)
	if d.bad || d.s != "" || m.OnlyInReplyTo > len(m.References) {
		return nil, errBadEncoding
	}
	return m, nil
}

// DecodeEnvelope reads the envelope alone out of what Encode wrote, without a
// look at the rest.
func DecodeEnvelope(b []byte) (Envelope, error) {
	var v Envelope
	size, ok := envelopeSize(b)
	if !ok {
		return v, errBadEncoding
	}
	d := decoder{s: string(b[envelopeStart : envelopeStart+size])}
	d.envelope(&v)
	if d.bad || d.s != "" {
		return Envelope{}, errBadEncoding
	}
	return v, nil
}

// envelopeSize returns the length of the envelope in b, if b begins as it should.
func envelopeSize(b []byte) (int, bool) {
	if len(b) < envelopeStart || b[0] != codecVersion {
		return 0, false
	}
	size := binary.BigEndian.Uint32(b[2:])
	return int(size), uint64(size) <= uint64(len(b)-envelopeStart)
}

// decoder takes values off the front of s. After the first that is not there it
// is bad and gives zeroes.
type decoder struct {
	s     string
	bad   bool
	parts int
}

func (d *decoder) fail() { d.s, d.bad = "", true }

func (d *decoder) byte() byte {
	if d.s == "" {
		d.fail()
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	d.fail()
	return 0
}

func (d *decoder) varint() int64 {
	n := d.uint()
	return int64(n>>1) ^ -int64(n&1)
}

// int reads a size, which is never negative and never near overflow.
func (d *decoder) int() int64 {
	n := d.uint()
	if n > 1<<56 {
		d.fail()
		return 0
	}
	return int64(n)
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

// count reads the length of a list whose elements take at least size bytes each,
// so that a lie makes no room.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.s)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) strings() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) params() []Param {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	list := make([]Param, n)
	for i := range list {
		list[i] = Param{d.string(), d.string()}
	}
	return list
}

func (d *decoder) addresses() []Address {
	n := d.count(3)
	if n == 0 {
		return nil
	}
	list := make([]Address, n)
	for i := range list {
		list[i] = Address{Name: d.string(), Mailbox: d.string(), Host: d.string()}
	}
	return list
}

func (d *decoder) envelope(v *Envelope) {
	flags := d.byte()
	v.Blank = Fields(flags>>blankShift) & allFields
	if flags&sentAtBit != 0 {
		v.SentAt = d.time()
	}
	v.Date = d.string()
	v.Subject = d.string()
	v.From = d.addresses()
	if v.Sender = v.From; flags&senderIsFromBit == 0 {
		v.Sender = d.addresses()
	}
	if v.ReplyTo = v.From; flags&replyToIsFromBit == 0 {
		v.ReplyTo = d.addresses()
	}
	v.To = d.addresses()
	v.Cc = d.addresses()
	v.Bcc = d.addresses()
	v.InReplyTo = d.string()
	v.MessageID = d.string()
	if flags&routesBit != 0 {
		for _, list := range v.lists() {
			*list = slices.Clone(*list) // Sender may be From
			for i := range *list {
				(*list)[i].Route = d.string()
			}
		}
	}
}

func (d *decoder) time() time.Time {
	sec, zone := d.varint(), d.varint()
	if zone <= -24*3600 || zone >= 24*3600 {
		d.fail()
		return time.Time{}
	}
	t := time.Unix(sec, 0).UTC()
	if zone != 0 {
		t = t.In(time.FixedZone("", int(zone)))
	}
	if !inRange(t.Year()) {
		d.fail()
	}
	return t
}

// part reads a part that lies between base and end.
func (d *decoder) part(base, end int64, depth int) *Part {
	if d.parts++; d.parts > MaxParts || depth > MaxDepth {
		d.fail()
		return nil
	}
	p := new(Part)
	flags := d.byte()
	d.fields(p, flags)
	p.Offset = base + d.int()
	p.HeaderSize = d.int()
	p.BodyOffset = p.Offset + p.HeaderSize
	p.BodySize = d.int()
	p.Lines = d.int()
	if p.End() > end {
		d.fail()
	}
	d.inside(p, flags, depth)
	return p
}

func (d *decoder) fields(p *Part, flags byte) {
	if flags&plainBit != 0 {
		p.makePlain()
	} else {
		p.Type, p.Subtype, p.Params = d.string(), d.string(), d.params()
	}
	p.Encoding = d.string()
	if flags&dispositionBit != 0 {
		p.Disposition, p.DispositionParams = d.string(), d.params()
	}
	if flags&rareBit != 0 {
		p.ID, p.Description, p.MD5 = d.string(), d.string(), d.string()
		p.Language = d.strings()
		p.Location = d.string()
	}
}

// inside reads what p holds.
func (d *decoder) inside(p *Part, flags byte, depth int) {
	n := d.count(6)
	if n > 0 {
		p.Parts = make([]*Part, n)
	}
	base := p.BodyOffset
	for i := range p.Parts {
		p.Parts[i] = d.part(p.BodyOffset, p.End(), depth+1)
		if d.bad {
			return
		}
		if p.Parts[i].Offset < base {
			d.fail()
			return
		}
		base = p.Parts[i].End()
	}
	if flags&messageBit != 0 {
		p.Message = new(Embedded)
		d.envelope(&p.Message.Envelope)
		p.Message.Root = d.part(p.BodyOffset, p.End(), depth+1)
	}
}
