package upkeep

import (
	"context"
	"fmt"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// Derive makes anew what a message's row says of its bytes.
func Derive(ctx context.Context, blobs *blob.Store, m mail.Message) (store.Derived, error) {
	r, err := blobs.Open(ctx, m.Blob)
	if err != nil {
		return store.Derived{}, err
	}
	defer r.Close()
	p, err := message.Parse(r)
	if err != nil {
		return store.Derived{}, fmt.Errorf("message: %w", err)
	}
	return store.Derived{Message: m.Key, SentAt: p.Envelope.SentAt, MessageID: p.ID, Parsed: message.Encode(p), Preview: p.Preview}, nil
}

// contentsPage is how many messages one View reads.
const contentsPage = 500

// contents looks whether what is shown of each message of an account can be read, and
// makes it anew from the bytes where it can't.
func (s *Scrub) contents(ctx context.Context, p store.Principal) error {
	if s.Store == nil {
		return nil
	}
	var mailboxes []mail.Mailbox
	err := s.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		mailboxes, err = r.Mailboxes()
		return err
	})
	again := 0
	for _, mb := range mailboxes {
		if err != nil {
			return err
		}
		var n int
		n, err = s.contentsOf(ctx, p, mb)
		again += n
	}
	if err == nil && again > 0 && s.Reindex != nil {
		err = s.Reindex(ctx, p.Account)
	}
	return err
}

// contentsOf looks at one mailbox, and says how many messages it made anew.
func (s *Scrub) contentsOf(ctx context.Context, p store.Principal, mb mail.Mailbox) (again int, err error) {
	for from, next := mail.UID(1), mail.UID(0); ; from = next {
		var broken []mail.MessageKey
		n := 0
		err := s.Store.View(ctx, p.Account, func(r store.Reader) error {
			broken, n = broken[:0], 0
			q := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.UIDSet{{First: from, Last: 1<<32 - 1}}, Limit: contentsPage}
			return r.Messages(q, func(pl *mail.Placement, m *mail.Message) error {
				n, next = n+1, pl.UID+1
				if _, err := message.Decode(m.Parsed); err != nil {
					broken = append(broken, m.Key)
				}
				return nil
			})
		})
		if err != nil {
			return again, err
		}
		made, err := s.remake(ctx, p, mb, broken)
		again += made
		if err == nil {
			err = s.rest(ctx, 0)
		}
		if err != nil || n < contentsPage || next == 0 { // 0 is past the last UID there can be
			return again, err
		}
	}
}

// remake makes anew what is shown of messages.
func (s *Scrub) remake(ctx context.Context, p store.Principal, mb mail.Mailbox, keys []mail.MessageKey) (made int, err error) {
	var all []store.Derived
	for _, key := range keys {
		var m mail.Message
		err := s.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
			m, err = r.Message(key)
			return err
		})
		var d store.Derived
		if err == nil {
			d, err = Derive(ctx, s.Blobs, m)
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case mail.KindOf(err) == mail.NotFound && err != nil: // it has gone
		case err != nil:
			s.wrong(ctx, fmt.Sprintf("%s: what is shown of a message in %s can't be made anew: %v", p.Login, mb.Path, err), false)
		default:
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return 0, nil
	}
	if err := s.Rows.Reparsed(ctx, p.Account, all); err != nil {
		return 0, err
	}
	for range all {
		s.wrong(ctx, fmt.Sprintf("%s: what is shown of a message in %s (sender, subject, structure, preview) could not be read", p.Login, mb.Path), true)
	}
	return len(all), nil
}
