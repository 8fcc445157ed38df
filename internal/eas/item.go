package eas

import (
	"io"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

// A reference names a message as a device does: by folder and item, or by an id of a
// search.
type reference struct{ folder, item, longID string }

// placement finds what is meant.
func (ref reference) placement(r store.Reader) (mail.Placement, error) {
	switch {
	case ref.longID != "" && (ref.item != "" || ref.folder != ""):
		return mail.Placement{}, fail(statusIDCombination, "a LongId goes without other ids")
	case ref.longID != "":
		return placementOfLongID(r, ref.longID)
	case ref.item == "":
		return mail.Placement{}, fail(statusIDCombination, "no source")
	}
	mb, line, ok := parseItemID(ref.item)
	if !ok {
		return mail.Placement{}, errNoItem
	}
	return placementOfLine(r, mb, line)
}

// placementOfLongID finds a message that a search found where it was then, else
// wherever it is now.
func placementOfLongID(r store.Reader, s string) (mail.Placement, error) {
	id, mb, ok := parseLongID(s)
	if !ok {
		return mail.Placement{}, errNoItem
	}
	return placementOfEmail(r, id, mb)
}

// An item is a message of the account that is open for reading.
type item struct {
	compose.Source
	placement mail.Placement
	body      Body
}

func (i *item) close() { i.body.Close() }

// open opens the message a device names.
func (q *request) open(ref reference) (*item, error) {
	i := &item{}
	var m mail.Message
	err := q.view(func(r store.Reader) (err error) {
		if i.placement, err = ref.placement(r); err != nil {
			return err
		}
		m, err = r.Message(i.placement.Message)
		return err
	})
	if err != nil {
		return nil, err
	}
	if i.Message, err = message.Decode(m.Parsed); err != nil {
		return nil, err
	}
	i.body, err = q.srv.Blobs(q.ctx, m.Blob)
	i.Bytes = i.body
	return i, err
}

// spooled is a message that was just written.
type spooled struct {
	compose.Source
	file *spool
}

func (s *spooled) close() { s.file.Close() }

// spooled writes a message and reads what became of it. It is no larger than a
// message may be.
func (q *request) spooled(write func(io.Writer) error) (*spooled, error) {
	s := &spooled{file: newSpool(q.srv.SpoolDir, q.srv.limits.Answer)}
	err := write(&bounded{w: s.file, left: q.srv.limits.Message})
	if err == nil {
		s.Bytes = s.file
		s.Message, err = message.Parse(s.file.reader())
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// bounded passes so many bytes on.
type bounded struct {
	w    io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fail(statusAttachment, "the message would be larger than this server sends")
	}
	return b.w.Write(p)
}
