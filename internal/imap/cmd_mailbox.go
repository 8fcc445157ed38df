package imap

import (
	"context"
	"strings"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var errUseAttr = errNo("USEATTR", "A mailbox has one use at most, of those that LIST names")

// create serves CREATE (RFC 9051 §6.3.4, RFC 6154 §3). Names above that are not
// there are made too, in the same transaction.
func (s *session) create(ctx context.Context, cmd *wire.Create, r *reply) error {
	role, err := roleOf(cmd.Use)
	if err != nil {
		return err
	}
	at, err := s.reach(ctx, strings.TrimSuffix(cmd.Mailbox, mail.Delimiter))
	if err != nil {
		return err
	}
	if at.as != 0 && role != mail.NoRole {
		return errUseAttr
	}
	var made mail.Mailbox
	_, err = s.updateAt(ctx, at, func(tx store.Tx) (err error) {
		if err := s.mayCreate(tx, at); err != nil {
			return err
		}
		if role != mail.NoRole {
			if err := roleIsFree(tx, role); err != nil {
				return err
			}
		}
		made, err = makePath(tx, at.path, role)
		return err
	})
	if err != nil {
		return err
	}
	r.code = "MAILBOXID (" + at.objectID(made.ID) + ")"
	return nil
}

// mayCreate says whether a mailbox may be made: that is up to the nearest mailbox
// above it (RFC 4314 §4).
func (s *session) mayCreate(r store.Reader, at reach) error {
	if at.as == 0 {
		return nil
	}
	for p := parent(at.path); p != ""; p = parent(p) {
		above := at
		above.path = p
		_, err := r.MailboxByPath(p)
		if err == nil {
			_, _, err = s.find(r, above, mail.MayCreate)
			return err
		}
		if mail.KindOf(err) != mail.NotFound {
			return err
		}
	}
	return errDenied
}

func roleOf(use []string) (mail.Role, error) {
	if len(use) == 0 {
		return mail.NoRole, nil
	}
	for _, u := range uses {
		if len(use) == 1 && strings.EqualFold(u.use, use[0]) {
			return u.role, nil
		}
	}
	return mail.NoRole, errUseAttr
}

func roleIsFree(r store.Reader, role mail.Role) error {
	boxes, err := r.Mailboxes()
	for _, mb := range boxes {
		if mb.Role == role {
			return errNo("USEATTR", "There is a mailbox for that use already")
		}
	}
	return err
}

// makePath makes a mailbox and what is missing above it.
func makePath(tx store.Tx, path string, role mail.Role) (mail.Mailbox, error) {
	above, err := makeParents(tx, path)
	if err != nil {
		return mail.Mailbox{}, err
	}
	name := path[strings.LastIndex(path, mail.Delimiter)+1:]
	return tx.CreateMailbox(mail.MailboxImage{Name: name, Parent: above, Role: role})
}

// makeParents returns what lies above a path, made where it is missing; 0 at the
// top.
func makeParents(tx store.Tx, path string) (mail.MailboxID, error) {
	above := parent(path)
	if above == "" {
		if strings.HasPrefix(path, mail.Delimiter) {
			return 0, mail.Errorf(mail.Invalid, "a mailbox name does not begin with %q", mail.Delimiter)
		}
		return 0, nil
	}
	if strings.Count(path, mail.Delimiter) >= mail.MaxMailboxDepth {
		return 0, mail.Errorf(mail.Limit, "mailboxes lie at most %d deep", mail.MaxMailboxDepth)
	}
	mb, err := tx.MailboxByPath(above)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		mb, err = makePath(tx, above, mail.NoRole)
	}
	return mb.ID, err
}

// deleteMailbox serves DELETE (RFC 9051 §6.3.5).
func (s *session) deleteMailbox(ctx context.Context, cmd *wire.Delete, r *reply) error {
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	var id mail.MailboxID
	_, err = s.updateAt(ctx, at, func(tx store.Tx) error {
		mb, _, err := s.find(tx, at, mail.MayDelete)
		if err != nil {
			return err
		}
		id = mb.ID
		if err := tx.DeleteMailbox(mb.ID); err != nil {
			return err
		}
		return tx.SetCursor(0, index.CursorName(mb.ID), nil)
	})
	if err == nil && at.as == 0 {
		s.notify.drop(id)
	}
	if err == nil && s.isSelected(at, id) { // the client knows, having asked for it
		r.noTell = true
		s.leaveMailbox()
		s.enc.Status("", "OK", "CLOSED", "The mailbox is deleted")
	}
	return err
}

// rename serves RENAME (RFC 9051 §6.3.6). What lies below follows. INBOX stays,
// and its messages go.
func (s *session) rename(ctx context.Context, cmd *wire.Rename, r *reply) error {
	at, err := s.reach(ctx, cmd.From)
	if err != nil {
		return err
	}
	dest, err := s.reach(ctx, strings.TrimSuffix(cmd.To, mail.Delimiter))
	if err != nil {
		return err
	}
	if dest.account != at.account {
		return errNo("CANNOT", "A mailbox stays in its account")
	}
	to := dest.path
	n, err := s.updateAt(ctx, at, func(tx store.Tx) error {
		mb, _, err := s.find(tx, at, mail.MayDelete)
		if err == nil && parent(to) != parent(mb.Path) {
			err = s.mayCreate(tx, dest)
		}
		if err != nil {
			return err
		}
		if mb.Role == mail.RoleInbox && at.as != 0 {
			return errDenied
		}
		if mb.Role == mail.RoleInbox {
			dest, err := makePath(tx, to, mail.NoRole)
			if err == nil {
				_, err = tx.Move(mb.ID, mail.AllUIDs, dest.ID)
			}
			if err == nil {
				err = copyMetadata(tx, mb.ID, dest.ID)
			}
			return err
		}
		if strings.HasPrefix(to+mail.Delimiter, mb.Path+mail.Delimiter) && to != mb.Path {
			return mail.Errorf(mail.Invalid, "a mailbox can't be moved below itself")
		}
		above, err := makeParents(tx, to)
		if err != nil {
			return err
		}
		if to == mb.Path {
			return mail.Errorf(mail.Exists, "the mailbox has that name already")
		}
		image := mb.Image()
		image.Name, image.Parent = to[strings.LastIndex(to, mail.Delimiter)+1:], above
		return tx.SetMailbox(mb.ID, image)
	})
	if at.as == 0 {
		s.notify.hush(at.path, to)
	}
	if s.sel != nil && s.sel.at.account == at.account {
		r.told = n
	}
	return err
}

// subscribe serves SUBSCRIBE (RFC 9051 §6.3.7).
func (s *session) subscribe(ctx context.Context, cmd *wire.Subscribe, _ *reply) error {
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	name := cmd.Mailbox
	if at.as != 0 {
		_, mb, _, err := s.visit(ctx, cmd.Mailbox, mail.MayLookup)
		if err != nil {
			return err
		}
		name = at.name(mb.Path)
	}
	s.notify.hush(name)
	_, err = s.update(ctx, func(tx store.Tx) error { return tx.Subscribe(name) })
	return err
}

// unsubscribe serves UNSUBSCRIBE (RFC 9051 §6.3.8).
func (s *session) unsubscribe(ctx context.Context, cmd *wire.Unsubscribe, _ *reply) error {
	s.notify.hush(cmd.Mailbox)
	_, err := s.update(ctx, func(tx store.Tx) error { return tx.Unsubscribe(cmd.Mailbox) })
	return err
}
