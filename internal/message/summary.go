package message

import "time"

// Summary is the little of a message by which it is put in order: what SORT and
// THREAD look at (RFC 5256), and JMAP's sorting (RFC 8621 §4.4.2).
type Summary struct {
	SentAt       time.Time // zero when Date says nothing readable
	From, To, Cc Address   // the first of each; zero when there is none
	ID           string
	Ancestry     []string // see Message.Ancestry
	BaseSubject  string
	IsReply      bool
}

// DecodeSummary reads a summary out of what Encode wrote. The structure is not
// looked at.
func DecodeSummary(b []byte) (Summary, error) {
	var s Summary
	size, ok := envelopeSize(b)
	if !ok {
		return s, errBadEncoding
	}
	d := decoder{s: string(b[envelopeStart:])}
	end := len(d.s) - size
	d.summary(&s)
	if b[envelopeStart]&routesBit != 0 && len(d.s) > end { // routes are of no interest here
		d.s = d.s[len(d.s)-end:]
	}
	if len(d.s) != end {
		d.fail()
	}
	d.int()    // size
	d.string() // preview
	s.ID = d.string()
	references, only := d.strings(), int(b[1]>>onlyInReplyToShift)
	s.BaseSubject = d.string()
	s.IsReply = b[1]&isReplyBit != 0
	if d.bad || only > len(references) {
		return Summary{}, errBadEncoding
	}
	s.Ancestry = ancestry(references, only)
	return s, nil
}

// summary reads an envelope, in the order of decoder.envelope.
func (d *decoder) summary(s *Summary) {
	flags := d.byte()
	if flags&sentAtBit != 0 {
		s.SentAt = d.time()
	}
	d.string() // date
	d.string() // subject
	s.From = d.firstAddress()
	if flags&senderIsFromBit == 0 {
		d.firstAddress()
	}
	if flags&replyToIsFromBit == 0 {
		d.firstAddress()
	}
	s.To = d.firstAddress()
	s.Cc = d.firstAddress()
	d.firstAddress() // bcc
	d.string()       // in-reply-to
	d.string()       // message-id
}

// firstAddress reads a list of addresses and keeps the first.
func (d *decoder) firstAddress() (first Address) {
	for i := range d.count(3) {
		a := Address{Name: d.string(), Mailbox: d.string(), Host: d.string()}
		if i == 0 {
			first = a
		}
	}
	return first
}

// DisplayName is what a person sees of an address, decoded: its name, else
// mailbox@host, else the name of a group (RFC 5957 §3).
func (a Address) DisplayName() string {
	if name := DecodeWords(a.Name); name != "" {
		return name
	}
	return a.String()
}

// DecodeHasAttachment reads Message.HasAttachment out of what Encode wrote.
func DecodeHasAttachment(b []byte) bool { return len(b) > 1 && b[1]&hasAttachmentBit != 0 }
