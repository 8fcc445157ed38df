package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/imap/wire"
	"lockstep/internal/message"
)

// span is a piece of a message: bytes of its body, or text made from them.
type span struct {
	io.ReaderAt
	size int64
}

func bytesSpan(b []byte) *span { return &span{bytes.NewReader(b), int64(len(b))} }

func spanOf(r *io.SectionReader) *span { return &span{r, r.Size()} }

// partial cuts the span to what the client asked for (RFC 9051 §6.4.5).
func (p *span) partial(part *wire.Partial) *span {
	if part == nil {
		return p
	}
	offset := min(part.Offset, p.size)
	n := min(part.Length, p.size-offset)
	return &span{io.NewSectionReader(p.ReaderAt, offset, n), n}
}

func (p *span) reader() io.Reader { return io.NewSectionReader(p.ReaderAt, 0, p.size) }

// section finds the piece of a message that an item names; nil if it has none
// (RFC 9051 §6.4.5.1). Whole messages need no structure.
func section(item wire.FetchItem, m *message.Message, body Body) (*span, error) {
	switch item.Kind {
	case wire.FetchRFC822:
		return &span{body, body.Size()}, nil
	case wire.FetchRFC822Header:
		return spanOf(m.Root.Header(body)), nil
	case wire.FetchRFC822Text:
		return spanOf(m.Root.Body(body)), nil
	}
	sec := item.Section
	if len(sec.Part) == 0 && sec.Text == wire.SectionAll {
		return &span{body, body.Size()}, nil
	}
	root := m.Root
	if len(sec.Part) > 0 {
		part, ok := m.Part(path(sec.Part))
		switch {
		case !ok:
			return nil, nil
		case sec.Text == wire.SectionAll:
			return spanOf(part.Body(body)), nil
		case sec.Text == wire.SectionMIME:
			return spanOf(part.Header(body)), nil
		case part.Message == nil:
			return nil, nil
		}
		root = part.Message.Root
	}
	switch sec.Text {
	case wire.SectionHeader:
		return spanOf(root.Header(body)), nil
	case wire.SectionTextOnly:
		return spanOf(root.Body(body)), nil
	}
	return headerFields(root, body, sec)
}

func path(numbers []uint32) []int {
	p := make([]int, len(numbers))
	for i, n := range numbers {
		p[i] = int(min(n, 1<<30))
	}
	return p
}

// headerReaders are large enough for package message to use them as they are.
var headerReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4096) }}

// headerFields picks fields out of a header, of which as much is looked at as
// package message does.
func headerFields(root *message.Part, body Body, sec wire.Section) (*span, error) {
	var out bytes.Buffer
	header := headerReaders.Get().(*bufio.Reader)
	defer headerReaders.Put(header)
	header.Reset(io.LimitReader(root.Header(body), message.MaxHeaderBytes))
	err := message.SelectFields(&out, header, func(name string) bool {
		named := slices.ContainsFunc(sec.Fields, func(f string) bool { return strings.EqualFold(f, name) })
		return named == (sec.Text == wire.SectionHeaderFields)
	})
	return bytesSpan(out.Bytes()), err
}

// errUnknownEncoding is for BINARY of a part whose encoding nobody knows, or
// that is not what it says (RFC 3516 §4.3).
var errUnknownEncoding = errNo("UNKNOWN-CTE", "The part can't be decoded")

// decoded is a part with its transfer encoding undone.
type decoded struct {
	open   func() io.Reader
	size   int64
	hasNUL bool
}

// binary measures the decoded part; it is decoded once more when it is written,
// and never held.
func binary(item wire.FetchItem, m *message.Message, body Body) (*decoded, error) {
	d := &decoded{open: func() io.Reader { return io.NewSectionReader(body, 0, body.Size()) }}
	switch {
	case item.Section.Text != wire.SectionAll: // of which nothing is encoded
		sp, err := section(item, m, body)
		if err != nil || sp == nil {
			return nil, err
		}
		d.open = sp.reader
	case len(item.Section.Part) > 0:
		part, ok := m.Part(path(item.Section.Part))
		if !ok {
			return nil, nil
		}
		d.open = func() io.Reader { return message.DecodeBodyStrict(part.Body(body), part.Encoding) }
	}
	n, err := io.Copy(d, d.open())
	if errors.Is(err, message.ErrUndecodable) {
		err = errUnknownEncoding
	}
	d.size = n
	return d, err
}

// Write looks at the bytes that are measured.
func (d *decoded) Write(b []byte) (int, error) {
	d.hasNUL = d.hasNUL || bytes.IndexByte(b, 0) >= 0
	return len(b), nil
}

// partial returns the bytes asked for, and how many they are.
func (d *decoded) partial(part *wire.Partial) (io.Reader, int64, error) {
	r := d.open()
	if part == nil {
		return r, d.size, nil
	}
	offset := min(part.Offset, d.size)
	_, err := io.CopyN(io.Discard, r, offset)
	return r, min(part.Length, d.size-offset), err
}
