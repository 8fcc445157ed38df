package imap

import (
	"context"
	"errors"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// status serves STATUS (RFC 9051 §6.3.11) out of counters the store keeps.
func (s *session) status(ctx context.Context, cmd *wire.Status, _ *reply) error {
	at, mb, _, err := s.visit(ctx, cmd.Mailbox, mail.MayRead)
	if err != nil {
		return err
	}
	return s.sayStatus(ctx, at, mb, cmd.Items)
}

func (s *session) sayStatus(ctx context.Context, at reach, mb mail.Mailbox, items []wire.StatusItem) error {
	recent, deletedSize := int64(0), int64(0)
	for _, item := range items {
		if item == wire.StatusDeletedSize {
			var err error
			if deletedSize, err = s.deletedSize(ctx, at, mb); err != nil {
				return err
			}
		}
		if item == wire.StatusHighestModSeq {
			s.beginCondstore()
		}
		if item == wire.StatusRecent && at.as == 0 {
			var err error
			if recent, err = s.countRecent(ctx, mb); err != nil {
				return err
			}
		}
	}
	e := s.enc.Star().Atom("STATUS").Mailbox(at.name(mb.Path)).Open()
	for _, item := range items {
		e.Atom(string(item))
		switch item {
		case wire.StatusMailboxID:
			e.Open().Atom(at.objectID(mb.ID)).Close()
		case wire.StatusRecent:
			e.Number(uint64(recent))
		case wire.StatusDeletedSize:
			e.Number(uint64(deletedSize))
		default:
			e.Number(s.statusNumber(at, mb, item))
		}
	}
	e.Close().End()
	return e.Err()
}

func (s *session) statusNumber(at reach, mb mail.Mailbox, item wire.StatusItem) uint64 {
	switch item {
	case wire.StatusMessages:
		return uint64(mb.Counts.Placements)
	case wire.StatusUIDNext:
		return uint64(mb.UIDNext)
	case wire.StatusUIDValidity:
		return uint64(mb.UIDValidity)
	case wire.StatusUnseen:
		return uint64(mb.Counts.Unseen)
	case wire.StatusDeleted:
		return uint64(mb.Counts.Deleted)
	case wire.StatusSize:
		return uint64(mb.Counts.Size)
	case wire.StatusAppendLimit:
		return uint64(s.srv.limits.Message)
	}
	if s.isSelected(at, mb.ID) { // below what is held back (RFC 7162 §3.2)
		return uint64(min(mb.HighestModSeq, max(s.sel.told, 1)))
	}
	return uint64(mb.HighestModSeq)
}

// errPeeked rolls back what only looked.
var errPeeked = errors.New("only looking")

// countRecent counts the messages that no session has shown as \Recent, without
// claiming them.
func (s *session) countRecent(ctx context.Context, mb mail.Mailbox) (n int64, err error) {
	var first mail.UID
	err = s.srv.Store.Note(ctx, s.user.Account(), func(n store.Notes) (err error) {
		if first, err = n.ClaimRecent(mb.ID); err == nil {
			err = errPeeked
		}
		return err
	})
	if !errors.Is(err, errPeeked) {
		return 0, err
	}
	err = s.view(ctx, func(r store.Reader) error {
		q := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.UIDSet{{First: max(first, s.srv.cache.Shown(s.user.Account(), mb.ID), 1), Last: 1<<32 - 1}}}
		return r.Placements(q, func(*mail.Placement) error {
			n++
			return nil
		})
	})
	return n, err
}
