package imap

import (
	"context"
	"errors"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// replace serves REPLACE and UID REPLACE (RFC 8508): the new message comes and the
// old one goes in one transaction, and where it came is said before the EXPUNGE, so
// that the client knows what took the place of what is leaving (§4.4).
func (s *session) replace(ctx context.Context, cmd *wire.Replace, r *reply) error {
	if s.sel.readOnly {
		return errReadOnly
	}
	old, err := s.toReplace(cmd)
	if err != nil {
		return err
	}
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	if at.account != s.sel.at.account {
		return errNo("CANNOT", "A message is replaced in the account where it is")
	}
	frees, err := s.sizeOf(ctx, old)
	if err != nil {
		return err
	}
	if err := s.mayAppend(ctx, at, -frees, r); err != nil {
		return err
	}
	arrivals, err := s.ingest(ctx, at, &cmd.Append, frees, r)
	if err != nil {
		return err
	}
	a := arrivals[0]
	a.Replaces, a.ReplacesIn = old, s.sel.id
	var dest mail.Mailbox
	var done appended
	by, err := s.originAt(ctx, at)
	if err != nil {
		return err
	}
	r.told, err = s.commit(ctx, at.account, by, func(tx store.Tx) error {
		if _, err := s.may(tx, mayMove); err != nil {
			return err
		}
		found, rights, err := s.destination(tx, at)
		if err != nil {
			return err
		}
		dest = found
		a := a
		a.Flags, a.As = a.Flags.Permitted(rights), at.as
		done, err = s.appendOnce(tx, at, by.Device(), dest, a)
		return err
	})
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return errReplacedGone
	}
	if err != nil {
		return err
	}
	s.noteAppended(done)
	s.enc.Status("", "OK", appendUID(dest, mail.MakeUIDSet(done.placement.UID)), "The replacement is there")
	r.highest = true
	return nil
}

var errReplacedGone = errNo("EXPUNGEISSUED", "The message to be replaced is gone, and nothing was appended")

// toReplace is the message that a REPLACE names. A UID that is gone is found out
// by the transaction, since it may have been this REPLACE, whose answer got lost,
// that removed it.
func (s *session) toReplace(cmd *wire.Replace) (mail.UID, error) {
	if cmd.UID && cmd.Number != wire.Star {
		if mail.UID(cmd.Number) >= s.sel.view.UIDNext {
			return 0, errNo("NONEXISTENT", "There is no such message")
		}
		return mail.UID(cmd.Number), nil
	}
	if s.sel.view.Len() == 0 {
		return 0, errNo("NONEXISTENT", "The mailbox is empty")
	}
	uids, err := s.uids(wire.SeqSet{Ranges: []wire.Range{{First: cmd.Number, Last: cmd.Number}}}, cmd.UID)
	if err != nil {
		return 0, err
	}
	return uids[0].First, nil
}

// sizeOf is how much room a message of the selected mailbox takes, 0 if it is gone.
func (s *session) sizeOf(ctx context.Context, uid mail.UID) (size int64, err error) {
	err = s.viewAt(ctx, s.sel.at, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: s.sel.id, UIDs: mail.MakeUIDSet(uid)}, func(p *mail.Placement) error {
			size = p.Size
			return nil
		})
	})
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return 0, errors.Join(errDeleted, err)
	}
	return size, err
}
