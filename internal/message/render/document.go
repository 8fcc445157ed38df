package render

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/tnef"
)

// Document is a message with its bytes. It is used by one goroutine.
type Document struct {
	root   *message.Part
	ra     io.ReaderAt
	choice Choice
	files  map[*message.Part]*tnef.Message // read already
}

// New makes a document of a message, or of one embedded in it, out of the bytes of
// the whole.
func New(root *message.Part, ra io.ReaderAt) *Document {
	return &Document{root: root, ra: ra, choice: Choose(root), files: map[*message.Part]*tnef.Message{}}
}

// errNoPart is what Open fails with.
var errNoPart = mail.Errorf(mail.NotFound, "the message has no such attachment")

// Attachments is List with the contents of winmail.dat in the place of that, and with
// the types that only the bytes tell.
func (d *Document) Attachments() ([]Attachment, error) {
	var list []Attachment
	for _, p := range attached(d.root) {
		if len(list) >= MaxAttachments {
			break
		}
		a := p.describe()
		if !isTNEF(p.Part) {
			d.retype(&a, p.Part)
			list = append(list, a)
			continue
		}
		m, err := d.tnef(p.Part)
		switch {
		case err != nil:
			return nil, err
		case m == nil:
			list = append(list, a) // is called winmail.dat and is something else
		default:
			list = appendFiles(list, a.Path, m)
		}
	}
	return list[:min(len(list), MaxAttachments)], nil
}

// retype sees to messages that are attached in base64, which MIME forbids and some
// programs send: their type stands in the header only, see package message.
func (d *Document) retype(a *Attachment, p *message.Part) {
	if !p.Is("application", "octet-stream") || p.Encoding != "base64" || p.HeaderSize > maxMetaBytes {
		return
	}
	h, err := message.ReadHeader(d.ra, p)
	if err != nil {
		return
	}
	if value, _ := h.Get("Content-Type"); strings.HasPrefix(strings.ToLower(value), "message/rfc822") {
		a.Type, a.Method, a.Name = "message/rfc822", Embedded, messageName(cleanName(p.Filename()))
	}
}

// tnef reads what a winmail.dat holds; nil if it is none.
func (d *Document) tnef(p *message.Part) (*tnef.Message, error) {
	if m, ok := d.files[p]; ok {
		return m, nil
	}
	m, err := tnef.Read(d.decoded(p))
	if errors.Is(err, tnef.ErrFormat) {
		m, err = nil, nil
	}
	if err == nil {
		d.files[p] = m
	}
	return m, err
}

func (d *Document) decoded(p *message.Part) io.Reader {
	return message.DecodeBody(p.Body(d.ra), p.Encoding)
}

func appendFiles(list []Attachment, path string, m *tnef.Message) []Attachment {
	for i, f := range m.Attachments {
		list = append(list, describeFile(path+"/"+strconv.Itoa(i+1), f))
	}
	return list
}

func describeFile(path string, f tnef.Attachment) Attachment {
	a := Attachment{
		Path: path, Name: cleanName(f.Name), Type: f.Type, Size: f.Data.Length,
		ContentID: f.ContentID, Location: f.Location, Inline: f.Inline, Method: Normal,
	}
	if typ, subtype, ok := strings.Cut(a.Type, "/"); !ok || typ == "" || subtype == "" {
		a.Type = "application/octet-stream"
	}
	switch {
	case f.Message:
		a.Method, a.Name, a.Type = Embedded, messageName(a.Name), "message/rfc822"
	case f.OLE:
		a.Method = OLE
	}
	if a.Name == "" {
		a.Name = "attachment.dat"
	}
	return a
}

// Open reads the attachment with the path, decoded. Any part of the message may be
// asked for, also one inside an embedded message. NotFound if there is none.
func (d *Document) Open(path string) (Attachment, io.Reader, error) {
	section, inside, nested := strings.Cut(path, "/")
	numbers, ok := parsePath(section)
	if !ok {
		return Attachment{}, nil, errNoPart
	}
	p, ok := (&message.Message{Root: d.root}).Part(numbers)
	if !ok || p.IsMultipart() {
		return Attachment{}, nil, errNoPart
	}
	if nested {
		return d.openFile(p, path, inside)
	}
	a := place{Part: p, path: path}.describe()
	d.retype(&a, p)
	return a, d.decoded(p), nil
}

// openFile reads the file out of a winmail.dat.
func (d *Document) openFile(p *message.Part, path, inside string) (Attachment, io.Reader, error) {
	m, err := d.tnef(p)
	if err != nil {
		return Attachment{}, nil, err
	}
	n, err := strconv.Atoi(inside)
	if m == nil || err != nil || n < 1 || n > len(m.Attachments) {
		return Attachment{}, nil, errNoPart
	}
	f := m.Attachments[n-1]
	a := describeFile(path, f)
	if !f.Message {
		return a, f.Data.Reader(d.decoded(p)), nil
	}
	files := maxNestedFiles
	r, err := asMail(func() io.Reader { return f.Data.Reader(d.decoded(p)) }, 0, &files)
	return a, r, err
}

// Native is the form the body is in as it came. winmail.dat is looked into where the
// message has no other text.
func (d *Document) Native() (Type, error) {
	m, _, err := d.wrapped()
	switch {
	case err != nil || m == nil:
		return d.choice.Native(), err
	case m.HTML.Length > 0 || m.RTF.Length > 0:
		return HTML, nil
	}
	return Text, nil
}

// wrapped is the winmail.dat whose text is the body: the first, where there is no
// other text.
func (d *Document) wrapped() (*tnef.Message, *message.Part, error) {
	for _, p := range d.choice.HTML {
		if isText(p) && p.BodySize > 2 { // Outlook puts an empty text beside it
			return nil, nil, nil
		}
	}
	for _, p := range d.choice.Attachments {
		if isTNEF(p) {
			m, err := d.tnef(p)
			return m, p, err
		}
	}
	return nil, nil, nil
}

// tnefText reads the best text of a stream that r is at the beginning of.
func tnefText(m *tnef.Message, r io.Reader) (Type, io.Reader) {
	switch {
	case m.HTML.Length > 0:
		return HTML, message.ToUTF8(m.HTML.Reader(r), m.HTMLCharset)
	case m.RTF.Length > 0:
		html, text := tnef.RTFText(m.RTF.Reader(r))
		if html {
			return HTML, text
		}
		return Text, text
	case m.Text.Length > 0:
		return Text, withoutNUL{message.ToUTF8(m.Text.Reader(r), m.TextCharset)}
	}
	return Text, strings.NewReader("")
}

// withoutNUL leaves out the NUL that ends a text in MAPI.
type withoutNUL struct{ io.Reader }

func (w withoutNUL) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	kept := bytes.ReplaceAll(b[:n], []byte{0}, nil)
	return copy(b, kept), err
}
