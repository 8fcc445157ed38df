package pop3

import (
	"bytes"
	"context"
	"io"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// retr serves RETR.
func (s *session) retr(ctx context.Context, cmd command) error {
	args := cmd.args()
	if len(args) != 1 {
		return errSyntax
	}
	_, e, err := s.find(args[0])
	if err == nil {
		err = s.send(ctx, e, wholeMessage)
	}
	if err == nil {
		s.srv.counts.retrieved.Add(1)
	}
	return err
}

// top serves TOP: the header and so many lines of the body.
func (s *session) top(ctx context.Context, cmd command) error {
	args := cmd.args()
	if len(args) != 2 {
		return errSyntax
	}
	lines, ok := number(args[1])
	if !ok {
		return errSyntax
	}
	_, e, err := s.find(args[0])
	if err != nil {
		return err
	}
	return s.send(ctx, e, lines)
}

// send sends a message. What can't be read is found out before the first word, or,
// if it is damaged far inside, ends the session: what was said can't be taken back.
func (s *session) send(ctx context.Context, e *entry, lines int) error {
	m, err := s.locate(ctx, e)
	if err != nil {
		return err
	}
	body, err := s.srv.Blobs.Open(ctx, m.Blob)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := s.text(body, &m)
	if err != nil {
		return err
	}
	var first [1]byte
	if n, err := body.ReadAt(first[:], 0); n == 0 && err != nil && err != io.EOF {
		return err
	}
	s.okf("%d octets", e.size)
	if err := sendText(s.c.out, text, lines); err != nil {
		if !s.c.isClosing() {
			s.srv.Log.WarnContext(ctx, "message broke off", "proto", "pop3", "account", s.drop.account, "err", err)
		}
		return errLost
	}
	return nil
}

// text is the message as this client may see it (RFC 6856 §2.1).
func (s *session) text(body Body, m *mail.Message) (io.Reader, error) {
	if s.utf8 {
		return io.NewSectionReader(body, 0, body.Size()), nil
	}
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return nil, err
	}
	return message.Downgraded(body, parsed), nil
}

// locate finds where the bytes of a message lie; also of one that left meanwhile.
func (s *session) locate(ctx context.Context, e *entry) (m mail.Message, err error) {
	err = s.srv.Store.View(ctx, s.drop.account, func(r store.Reader) error {
		found := false
		q := store.PlacementQuery{Mailbox: s.drop.inbox, UIDs: mail.UIDSet{{First: e.uid, Last: e.uid}}, Located: true}
		err := r.Messages(q, func(_ *mail.Placement, there *mail.Message) error {
			found, m = true, *there
			m.Blob.Key, m.Blob.Parts, m.Parsed = bytes.Clone(m.Blob.Key), slices.Clone(m.Blob.Parts), bytes.Clone(m.Parsed)
			return nil
		})
		if err != nil || found {
			return err
		}
		p, err := r.Departed(s.drop.inbox, e.uid)
		if err == nil {
			m, err = r.Message(p.Message)
		}
		return err
	})
	if err != nil && mail.KindOf(err) == mail.NotFound {
		err = errGone
	}
	return m, err
}

// errGone is for a message that another device deleted, too long ago for history
// to have it.
var errGone = &refusal{text: "Another device has deleted the message"}
