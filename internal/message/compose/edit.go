package compose

import (
	"io"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// A Source is a message that is there already.
type Source struct {
	Bytes   io.ReaderAt
	Message *message.Message
}

// Edit says how the header of a message is changed on its way. Zero fields change
// nothing.
type Edit struct {
	Remove []string          // fields that go, such as Bcc
	From   []message.Address // in place of From and Sender

	// What is added where there is no such field.
	Date                  time.Time
	MessageID             string
	InReplyTo, References []string
}

// Write writes the message with its header changed and CRLF line ends; its parts
// stay as they are. Invalid if the header is longer than message.MaxHeaderBytes.
func (e *Edit) Write(w io.Writer, src Source) error {
	root := src.Message.Root
	h, err := header(src, root)
	if err != nil {
		return err
	}
	out := &lineEnds{w: w}
	if _, err := out.Write(append(e.apply(h), "\r\n"...)); err != nil {
		return err
	}
	_, err = io.Copy(out, io.NewSectionReader(src.Bytes, root.BodyOffset, src.Message.Size-root.BodyOffset))
	return err
}

// apply writes the fields of the new header: what is new before what was there.
func (e *Edit) apply(h message.Header) []byte {
	missing := func(name string) bool {
		_, ok := h.Get(name)
		return !ok || e.removes(name)
	}
	var b []byte
	if missing("Date") && !e.Date.IsZero() {
		b = append(b, "Date: "+e.Date.Format(time.RFC1123Z)+"\r\n"...)
	}
	b = appendAddresses(b, "From", e.From)
	if missing("Message-ID") {
		b = appendIDs(b, "Message-ID", []string{e.MessageID})
	}
	if missing("In-Reply-To") {
		b = appendIDs(b, "In-Reply-To", e.InReplyTo)
	}
	if missing("References") {
		b = appendIDs(b, "References", e.References)
	}
	for f := range h.Fields() {
		if !e.removes(f.Name) {
			b = appendRaw(b, f)
		}
	}
	return b
}

func (e *Edit) removes(name string) bool {
	if e.From != nil && (strings.EqualFold(name, "From") || strings.EqualFold(name, "Sender")) {
		return true
	}
	return slices.ContainsFunc(e.Remove, func(gone string) bool { return strings.EqualFold(name, gone) })
}

// appendRaw copies a field as it stands, and gives it a line end if it has none.
func appendRaw(b []byte, f message.Field) []byte {
	b = append(b, f.Raw...)
	if !strings.HasSuffix(f.Raw, "\n") {
		b = append(b, "\r\n"...)
	}
	return b
}

// header reads a header that is to be written again, and so has to be whole.
func header(src Source, p *message.Part) (message.Header, error) {
	if p.HeaderSize > message.MaxHeaderBytes {
		return "", mail.Errorf(mail.Invalid, "a header has at most %d bytes", message.MaxHeaderBytes)
	}
	return message.ReadHeader(src.Bytes, p)
}
