package imap

import (
	"context"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/transfer"
)

// destination finds the mailbox to copy or append to, and what may be done there.
// The client may try to create one that is not there (RFC 9051 §6.3.12), if it may
// do that.
func (s *session) destination(r store.Reader, at reach) (mail.Mailbox, mail.Rights, error) {
	mb, rights, err := s.find(r, at, mail.MayInsert)
	if err != nil && mail.KindOf(err) == mail.NotFound && s.mayCreate(r, at) == nil {
		err = errTryCreate
	}
	return mb, rights, err
}

var errTryCreate = errNo("TRYCREATE", "There is no such mailbox")

// copy serves COPY and UID COPY (RFC 9051 §6.4.7): all or nothing, in one
// transaction.
func (s *session) copy(ctx context.Context, cmd *wire.Copy, r *reply) error {
	uids, err := s.uids(cmd.Set, cmd.UID)
	if err != nil {
		return err
	}
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	if len(uids) == 0 {
		return s.mayCopy(ctx, at)
	}
	if err := s.maySave(uids); err != nil {
		return err
	}
	var done store.Mapping
	var dest mail.Mailbox
	if at.account != s.sel.at.account {
		dest, done, err = s.between(ctx, at, uids, !cmd.UID, s.srv.Transfer.Copy, mail.MayRead)
	} else {
		a := s.newAct()
		dest, done, err = s.within(ctx, a, at, uids, !cmd.UID, store.Tx.Copy, mail.MayRead)
		r.told = a.last
	}
	if err != nil {
		return err
	}
	r.code = copyUID(dest, done)
	return nil
}

// mayCopy answers for no messages at all: whether some could be copied.
func (s *session) mayCopy(ctx context.Context, at reach) error {
	return s.viewAt(ctx, at, func(r store.Reader) error {
		_, _, err := s.destination(r, at)
		return err
	})
}

// within copies or moves inside the account of the selected mailbox.
func (s *session) within(ctx context.Context, a *act, at reach, uids mail.UIDSet, all bool,
	do func(store.Tx, mail.MailboxID, mail.UIDSet, mail.MailboxID) (store.Mapping, error), need mail.Rights) (dest mail.Mailbox, done store.Mapping, err error) {
	_, err = a.update(ctx, func(tx store.Tx) error {
		if _, err := s.may(tx, need); err != nil {
			return err
		}
		var rights mail.Rights
		if dest, rights, err = s.destination(tx, at); err != nil {
			return err
		}
		if done, err = do(tx, s.sel.id, uids, dest.ID); err != nil {
			return err
		}
		if all && done.From.Count() < uids.Count() {
			return errExpunged
		}
		return dropFlags(tx, at, dest.ID, done.To, rights)
	})
	return dest, done, err
}

// dropFlags takes from copies the flags that must not be set where they are (RFC
// 4314 §4).
func dropFlags(tx store.Tx, at reach, mb mail.MailboxID, uids mail.UIDSet, rights mail.Rights) error {
	if rights.Has(mail.MaySee | mail.MayWrite | mail.MayDeleteMessages) {
		return nil
	}
	all := mail.StoredFlags(mail.AllSystemFlags, "")
	drop := mail.FlagChange{Remove: mail.Flags{System: all.System &^ all.Permitted(rights).System}, As: at.as}
	if !rights.Has(mail.MayWrite) { // no keyword either
		drop = mail.FlagChange{Replace: true, Keep: all.Permitted(rights).System, As: at.as}
	}
	_, err := tx.StoreFlags(mb, uids, drop, nil)
	return err
}

// between copies or moves into another account.
func (s *session) between(ctx context.Context, at reach, uids mail.UIDSet, all bool,
	do func(context.Context, transfer.End, mail.UIDSet, transfer.End) (store.Mapping, error), need mail.Rights) (dest mail.Mailbox, done store.Mapping, err error) {
	err = s.viewAt(ctx, at, func(r store.Reader) (err error) {
		dest, _, err = s.destination(r, at)
		return err
	})
	if err != nil {
		return dest, done, err
	}
	here, err := s.originAt(ctx, s.sel.at)
	if err != nil {
		return dest, done, err
	}
	there, err := s.originAt(ctx, at)
	if err != nil {
		return dest, done, err
	}
	if all {
		if err := s.allThere(ctx, uids); err != nil {
			return dest, done, err
		}
	}
	from := transfer.End{Account: s.sel.at.account, Mailbox: s.sel.id, As: s.sel.at.as, By: here,
		May: func(r store.Reader) (mail.Rights, error) { return s.may(r, need) }}
	to := transfer.End{Account: at.account, Mailbox: dest.ID, As: at.as, By: there,
		May: func(r store.Reader) (mail.Rights, error) {
			_, rights, err := s.destination(r, at)
			return rights, err
		}}
	done, err = do(ctx, from, uids, to)
	return dest, done, err
}

// allThere is EXPUNGEISSUED unless all of uids are there.
func (s *session) allThere(ctx context.Context, uids mail.UIDSet) error {
	n := uint64(0)
	err := s.viewAt(ctx, s.sel.at, func(r store.Reader) error {
		n = 0
		return r.Placements(store.PlacementQuery{Mailbox: s.sel.id, UIDs: uids}, func(*mail.Placement) error { n++; return nil })
	})
	if err == nil && n < uids.Count() {
		err = errExpunged
	}
	return err
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
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	if len(uids) == 0 {
		return s.mayCopy(ctx, at)
	}
	uids = s.upTo(uids, r)
	if at.account != s.sel.at.account {
		return s.moveAway(ctx, at, uids, !cmd.UID)
	}
	a, p := s.newAct(), s.newProgress(r.tag, uids.Count())
	for i, chunk := range chunks(uids, updateChunk) {
		if err := p.at(uint64(i * updateChunk)); err != nil {
			return err
		}
		dest, done, err := s.within(ctx, a, at, chunk, !cmd.UID, store.Tx.Move, mayMove)
		if err != nil {
			r.told = a.last
			return err
		}
		s.sayMoved(dest, done)
	}
	r.told, r.highest = a.last, a.last > 0
	return nil
}

// mayMove is what moving takes where messages are (RFC 6851 §4.5).
const mayMove = mail.MayDeleteMessages | mail.MayExpunge

// moveAway moves to another account, so many at a time.
func (s *session) moveAway(ctx context.Context, at reach, uids mail.UIDSet, all bool) error {
	for _, chunk := range chunks(uids, transfer.MaxMessages) {
		dest, done, err := s.between(ctx, at, chunk, all, s.srv.Transfer.Move, mayMove)
		if err != nil {
			return err
		}
		s.sayMoved(dest, done)
	}
	return s.lookForChanges(ctx)
}

func (s *session) sayMoved(dest mail.Mailbox, done store.Mapping) {
	if code := copyUID(dest, done); code != "" {
		s.enc.Status("", "OK", code, "Moved")
	}
}
