package imap

import (
	"context"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// anyone is the identifier of every user (RFC 4314 §2).
const anyone = "anyone"

// identify finds whom an identifier means; 0 is the owner of the account. Negative
// rights and groups, which RFC 4314 lets a server leave out, there are none.
func (s *session) identify(ctx context.Context, at reach, id string) (mail.PrincipalID, error) {
	switch {
	case strings.EqualFold(id, anyone):
		return mail.Anyone, nil
	case strings.HasPrefix(id, "-"):
		return 0, errNo("CANNOT", "Negative rights can't be given")
	}
	p, err := s.srv.Auth.Principal(ctx, id)
	switch {
	case err != nil && mail.KindOf(err) == mail.NotFound:
		return 0, mail.Errorf(mail.NotFound, "there is no user %s", id)
	case err != nil:
		return 0, err
	case p.Account == at.account:
		return 0, nil
	}
	return p.ID, nil
}

var errOwnersRights = errNo("CANNOT", "The owner of a mailbox has all rights, always")

// setACL serves SETACL (RFC 4314 §3.1).
func (s *session) setACL(ctx context.Context, cmd *wire.SetACL, r *reply) error {
	rights, err := mail.ParseRights(cmd.Rights)
	if err != nil {
		return errBad(mail.DetailOf(err))
	}
	return s.changeACL(ctx, cmd.Mailbox, cmd.Identifier, r, func(had mail.Rights) mail.Rights {
		switch cmd.Mode {
		case wire.ACLAdd:
			return had | rights
		case wire.ACLRemove:
			return had &^ rights
		}
		return rights
	})
}

// deleteACL serves DELETEACL (RFC 4314 §3.2).
func (s *session) deleteACL(ctx context.Context, cmd *wire.DeleteACL, r *reply) error {
	return s.changeACL(ctx, cmd.Mailbox, cmd.Identifier, r, func(mail.Rights) mail.Rights { return 0 })
}

func (s *session) changeACL(ctx context.Context, name, id string, r *reply, change func(had mail.Rights) mail.Rights) error {
	at, _, _, err := s.visit(ctx, name, mail.MayAdminister) // before a word is said of who there is
	if err != nil {
		return err
	}
	who, err := s.identify(ctx, at, id)
	if err != nil {
		return err
	}
	n, err := s.updateAt(ctx, at, func(tx store.Tx) error {
		mb, _, err := s.find(tx, at, mail.MayAdminister)
		if err != nil {
			return err
		}
		if who == 0 {
			if change(mail.AllRights) != mail.AllRights {
				return errOwnersRights
			}
			return nil
		}
		grants, err := tx.Rights(mb.ID)
		if err != nil {
			return err
		}
		return tx.SetRights(mb.ID, who, change(granted(grants, who)))
	})
	if s.sel != nil && s.sel.at.account == at.account {
		r.told = n
	}
	return err
}

// granted is what a principal itself was given.
func granted(grants []mail.Grant, p mail.PrincipalID) mail.Rights {
	for _, g := range grants {
		if g.Principal == p {
			return g.Rights
		}
	}
	return 0
}

// getACL serves GETACL (RFC 4314 §3.3).
func (s *session) getACL(ctx context.Context, cmd *wire.GetACL, _ *reply) error {
	at, mb, _, err := s.visit(ctx, cmd.Mailbox, mail.MayAdminister)
	if err != nil {
		return err
	}
	var grants []mail.Grant
	err = s.viewAt(ctx, at, func(r store.Reader) (err error) {
		grants, err = r.Rights(mb.ID)
		return err
	})
	if err != nil {
		return err
	}
	owner := at.owner
	if at.as == 0 {
		owner = s.user.Principal.Login
	}
	pairs := []string{owner, mail.AllRights.Compatible()}
	for _, g := range grants {
		id, err := s.identifier(ctx, g.Principal)
		if err != nil {
			return err
		}
		if id != "" {
			pairs = append(pairs, id, g.Rights.Compatible())
		}
	}
	e := s.enc.Star().Atom("ACL").Mailbox(at.name(mb.Path))
	for _, p := range pairs {
		e.AString(p)
	}
	e.End()
	return nil
}

// identifier is how a principal is called; "" is one that is just being removed.
func (s *session) identifier(ctx context.Context, id mail.PrincipalID) (string, error) {
	if id == mail.Anyone {
		return anyone, nil
	}
	p, err := s.srv.Auth.PrincipalByID(ctx, id)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return "", nil
	}
	return p.Login, err
}

// listRights serves LISTRIGHTS (RFC 4314 §3.4): each right can be given by itself.
func (s *session) listRights(ctx context.Context, cmd *wire.ListRights, _ *reply) error {
	at, mb, _, err := s.visit(ctx, cmd.Mailbox, mail.MayAdminister)
	if err != nil {
		return err
	}
	who, err := s.identify(ctx, at, cmd.Identifier)
	if err != nil {
		return err
	}
	e := s.enc.Star().Atom("LISTRIGHTS").Mailbox(at.name(mb.Path)).AString(cmd.Identifier)
	if who == 0 {
		e.AString(mail.AllRights.Compatible()).End()
		return nil
	}
	e.String("")
	for _, letter := range mail.AllRights.Compatible() {
		e.AString(string(letter))
	}
	e.End()
	return nil
}

// myRights serves MYRIGHTS (RFC 4314 §3.5).
func (s *session) myRights(ctx context.Context, cmd *wire.MyRights, _ *reply) error {
	at, mb, rights, err := s.visit(ctx, cmd.Mailbox, 0)
	if err == nil && !rights.Visible() {
		err = errNoMailbox
	}
	if err != nil {
		return err
	}
	s.sayMyRights(at.name(mb.Path), rights)
	return nil
}

func (s *session) sayMyRights(name string, rights mail.Rights) {
	s.enc.Star().Atom("MYRIGHTS").Mailbox(name).AString(rights.Compatible()).End()
}
