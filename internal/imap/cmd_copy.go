package imap

import (
	"context"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// destination finds the mailbox to copy or append to; the client may try to
// create one that is not there (RFC 9051 §6.3.12).
func destination(r store.Reader, path string) (mail.Mailbox, error) {
	mb, err := r.MailboxByPath(path)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return mb, errNo("TRYCREATE", "There is no such mailbox")
	}
	return mb, err
}

// copy serves COPY and UID COPY (RFC 9051 §6.4.7): all or nothing, in one
// transaction.
func (s *session) copy(ctx context.Context, cmd *wire.Copy, r *reply) error {
	uids, err := s.uids(cmd.Set, cmd.UID)
	if err != nil {
		return err
	}
	if len(uids) == 0 {
		return s.mayCopy(ctx, cmd.Mailbox)
	}
	var done store.Mapping
	var dest mail.Mailbox
	r.told, err = s.update(ctx, func(tx store.Tx) (err error) {
		if dest, err = destination(tx, cmd.Mailbox); err != nil {
			return err
		}
		if done, err = tx.Copy(s.sel.id, uids, dest.ID); err != nil {
			return err
		}
		if !cmd.UID && done.From.Count() < uids.Count() {
			return errExpunged
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.code = copyUID(dest, done)
	return nil
}

// mayCopy answers for no messages at all: whether some could be copied.
func (s *session) mayCopy(ctx context.Context, path string) error {
	return s.view(ctx, func(r store.Reader) error {
		_, err := destination(r, path)
		return err
	})
}

// copyUID is the response code of RFC 4315 §3; "" if nothing was copied.
func copyUID(dest mail.Mailbox, m store.Mapping) string {
	if len(m.From) == 0 {
		return ""
	}
	return "COPYUID " + decimal(uint64(dest.UIDValidity)) + " " + m.From.String() + " " + m.To.String()
}

// move serves MOVE and UID MOVE (RFC 6851). Very many messages move in several
// transactions of one act, each said as soon as it is durable.
func (s *session) move(ctx context.Context, cmd *wire.Move, r *reply) error {
	if s.sel.readOnly {
		return errReadOnly
	}
	uids, err := s.uids(cmd.Set, cmd.UID)
	if err != nil {
		return err
	}
	if len(uids) == 0 {
		return s.mayCopy(ctx, cmd.Mailbox)
	}
	a := s.newAct()
	for _, chunk := range chunks(uids, updateChunk) {
		if err := s.moveChunk(ctx, a, chunk, cmd); err != nil {
			r.told = a.last
			return err
		}
	}
	r.told, r.highest = a.last, a.last > 0
	return nil
}

func (s *session) moveChunk(ctx context.Context, a *act, uids mail.UIDSet, cmd *wire.Move) error {
	var done store.Mapping
	var dest mail.Mailbox
	_, err := a.update(ctx, func(tx store.Tx) (err error) {
		if dest, err = destination(tx, cmd.Mailbox); err != nil {
			return err
		}
		if done, err = tx.Move(s.sel.id, uids, dest.ID); err != nil {
			return err
		}
		if !cmd.UID && done.From.Count() < uids.Count() {
			return errExpunged
		}
		return nil
	})
	if err != nil {
		return err
	}
	if code := copyUID(dest, done); code != "" {
		s.enc.Status("", "OK", code, "Moved")
	}
	return nil
}
