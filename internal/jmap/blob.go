package jmap

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// Blob ids (§6.1). That of a part ends in its section number (RFC 9051 §6.4.5.1), with
// "_" for the dots, which ids have not; "0" in it goes into a message that is encoded
// as a part, which MIME forbids and programs do.
func wholeBlobID(id mail.EmailID) string { return "B" + id.String() }

const (
	partBlobMark = "P"
	intoEncoded  = "0_"
	maxInto      = 4 // times that a blob id goes into an encoded message
)

func noBlob() error { return mail.Errorf(mail.NotFound, "there is no such blob") }

// A content is what a blob id names, opened. Its bytes never change.
type content struct {
	size    int64       // -1 if only reading tells it
	at      io.ReaderAt // nil if it is decoded as it is read
	decoded func() io.Reader
	closers []func() error

	part   *message.Part    // of which it is, nil if it is not one of a message's
	parsed *message.Message // what it is when it is a whole email
}

// Size is how many bytes Reader reads, if that is known without reading.
func (c *content) Size() (int64, bool) { return c.size, c.size >= 0 }

// ReaderAt reads at any place; false says that the bytes come only in a row.
func (c *content) ReaderAt() (io.ReaderAt, bool) { return c.at, c.at != nil }

// Reader reads it all, once more for each call.
func (c *content) Reader() io.Reader {
	if c.at != nil {
		return io.NewSectionReader(c.at, 0, c.size)
	}
	return c.decoded()
}

// Close releases what was opened, also where it came from.
func (c *content) Close() error {
	var err error
	for _, f := range slices.Backward(c.closers) {
		err = errors.Join(err, f())
	}
	c.closers = nil
	return err
}

// openBlob opens what a blob id of the account names: a message, a part or an upload.
// It is NotFound if it names nothing. It reads the row of the message and the head of
// its blob; a part costs no more, but for one inside an encoded message.
func (s *Server) openBlob(ctx context.Context, account mail.AccountID, id string) (*content, error) {
	if !isID(id) {
		return nil, noBlob()
	}
	switch id[:1] {
	case "B":
		return s.openMessage(ctx, account, id[1:])
	case partBlobMark:
		return s.openPart(ctx, account, id[1:])
	case "U":
		return s.openUpload(ctx, account, id)
	}
	return nil, noBlob()
}

// openMessage opens a whole message by its email id.
func (s *Server) openMessage(ctx context.Context, account mail.AccountID, id string) (*content, error) {
	email, ok := mail.ParseEmailID(id)
	if !ok {
		return nil, noBlob()
	}
	var m mail.Message
	err := s.Store.View(ctx, account, func(r store.Reader) (err error) {
		m, err = r.MessageByEmailID(email)
		return err
	})
	if err != nil {
		return nil, err
	}
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return nil, err
	}
	body, err := s.Blobs(ctx, m.Blob)
	if err != nil {
		return nil, err
	}
	return &content{size: m.Size, at: body, parsed: parsed, closers: []func() error{body.Close}}, nil
}

// openPart opens a part by the id of what it is in, and its number.
func (s *Server) openPart(ctx context.Context, account mail.AccountID, id string) (*content, error) {
	dash := strings.LastIndexByte(id, '-')
	if dash < 1 {
		return nil, noBlob()
	}
	base, number := id[:dash], id[dash+1:]
	c, root, err := s.openBase(ctx, account, base)
	if err != nil {
		return nil, err
	}
	within := c.at
	segments := strings.Split(number, "_"+intoEncoded)
	if len(segments) > maxInto {
		return nil, errors.Join(noBlob(), c.Close())
	}
	for i, segment := range segments {
		part, ok := findPart(root, segment)
		if !ok {
			return nil, errors.Join(noBlob(), c.Close())
		}
		c.become(part, within)
		if i == len(segments)-1 {
			break
		}
		if within, root, err = s.parseEncoded(c); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// openBase opens the message that a part is of: an email, or an upload that holds one.
func (s *Server) openBase(ctx context.Context, account mail.AccountID, id string) (*content, *message.Part, error) {
	if _, ok := mail.ParseEmailID(id); ok {
		c, err := s.openMessage(ctx, account, id)
		if err != nil {
			return nil, nil, err
		}
		return c, c.parsed.Root, nil
	}
	c, err := s.openBlob(ctx, account, id)
	if err != nil {
		return nil, nil, err
	}
	_, root, err := s.parseEncoded(c)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, root, nil
}

// prefixInside begins the blob ids of the parts of the message that the content is.
func (c *content) prefixInside(id string) string {
	switch email, isWhole := strings.CutPrefix(id, "B"); {
	case isWhole:
		return partBlobMark + email + "-"
	case c.part == nil:
		return partBlobMark + id + "-"
	case c.part.Message == nil:
		return id + "_" + intoEncoded
	}
	return id + "_"
}

// findPart looks a part up by its number.
func findPart(root *message.Part, number string) (*message.Part, bool) {
	var path []int
	for step := range strings.SplitSeq(number, "_") {
		n, err := strconv.Atoi(step)
		if err != nil || n < 1 || strconv.Itoa(n) != step || len(path) > message.MaxDepth {
			return nil, false
		}
		path = append(path, n)
	}
	p, ok := (&message.Message{Root: root}).Part(path)
	return p, ok && !p.IsMultipart()
}

// become makes of an opened message one of its parts.
func (c *content) become(p *message.Part, within io.ReaderAt) {
	c.part, c.parsed = p, nil
	c.at, c.decoded, c.size = nil, func() io.Reader { return message.DecodeBody(p.Body(within), p.Encoding) }, -1
	if p.Encoding != "base64" && p.Encoding != "quoted-printable" {
		c.at, c.size = p.Body(within), p.BodySize
	}
}

// parseEncoded takes the message apart that the content is, and gives its bytes.
func (s *Server) parseEncoded(c *content) (io.ReaderAt, *message.Part, error) {
	if err := s.hold(c); err != nil {
		return nil, nil, err
	}
	m, err := message.Parse(c.Reader())
	if err != nil {
		return nil, nil, err
	}
	return c.at, m.Root, nil
}

// hold makes the content readable at any place.
func (s *Server) hold(c *content) error {
	if c.at != nil {
		return nil
	}
	held, err := spoolOf(c.decoded(), s.SpoolDir)
	if err != nil {
		return err
	}
	c.at, c.size, c.closers = held, held.size, append(c.closers, held.Close)
	return nil
}
