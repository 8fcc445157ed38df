package imap

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// reach is where the name of a mailbox leads: into whose account, as whom, and by
// which path there.
type reach struct {
	account mail.AccountID
	as      mail.PrincipalID // 0 in the session's own account
	owner   string           // login of the account's owner, where that is somebody else
	path    string
}

// othersPrefix begins the names of other users' mailboxes (RFC 2342 §5).
const othersPrefix = mail.OtherUsers + mail.Delimiter

// reach finds out where a name leads. A name under other users of somebody who
// shares nothing is NotFound, as is one of nobody.
func (s *session) reach(ctx context.Context, name string) (reach, error) {
	rest, other := strings.CutPrefix(name, othersPrefix)
	if !other && name != mail.OtherUsers {
		return reach{account: s.user.Account(), path: name}, nil
	}
	owners, err := s.srv.Auth.Owners(ctx, s.user)
	if err != nil {
		return reach{}, err
	}
	owner, path, ok := auth.OwnerOf(owners, rest)
	if !ok {
		return reach{}, errNoMailbox
	}
	return s.reachOf(owner, path), nil
}

func (s *session) reachOf(owner store.Principal, path string) reach {
	return reach{account: owner.Account, as: s.user.Principal.ID, owner: owner.Login, path: path}
}

// errNoMailbox is said of a mailbox that is not there, as the store says it, and of one
// that must not be known to be.
var errNoMailbox = mail.Errorf(mail.NotFound, "no such mailbox")

// name is how the session calls a mailbox of the account.
func (at reach) name(path string) string {
	if at.as == 0 {
		return path
	}
	return othersPrefix + at.owner + mail.Delimiter + path
}

// objectID spells the id of a mailbox or thread. Ids are an account's own, so one of
// somebody else's says whose: no two mailboxes that a session sees have the same
// (RFC 8474 §4).
func (at reach) objectID(id fmt.Stringer) string {
	if at.as == 0 {
		return id.String()
	}
	return id.String() + "-" + strconv.FormatInt(int64(at.account), 36)
}

// find returns the mailbox that a name led to, if all of need may be done there.
// What may not be known is NotFound, what may not be done Denied.
func (s *session) find(r store.Reader, at reach, need mail.Rights) (mail.Mailbox, mail.Rights, error) {
	mb, err := r.MailboxByPath(at.path)
	if at.as == 0 || err != nil && mail.KindOf(err) != mail.NotFound {
		return mb, mail.AllRights, err
	}
	if err != nil {
		return mb, 0, errNoMailbox
	}
	rights, err := s.rights(r, at, mb.ID)
	switch {
	case err != nil:
	case rights.Has(need) && rights != 0:
		mb, err = r.MailboxAs(mb.ID, at.as)
	case rights.Has(mail.MayLookup):
		err = errDenied
	default:
		err = errNoMailbox
	}
	return mb, rights, err
}

var errDenied = mail.Errorf(mail.Denied, "you may not do that with this mailbox")

// rights are what the session may do in a mailbox.
func (s *session) rights(r store.Reader, at reach, mb mail.MailboxID) (mail.Rights, error) {
	if at.as == 0 {
		return mail.AllRights, nil
	}
	blocked, err := s.user.Blocked(r)
	if err != nil || blocked {
		return 0, err
	}
	grants, err := r.Rights(mb)
	return mail.RightsOf(grants, at.as), err
}

// may says whether all of need may still be done in the selected mailbox, and what
// may.
func (s *session) may(r store.Reader, need mail.Rights) (mail.Rights, error) {
	rights, err := s.rights(r, s.sel.at, s.sel.id)
	if err == nil && !rights.Has(need) {
		err = errDenied
	}
	return rights, err
}

// visit finds a mailbox by its name and returns it with what may be done there.
func (s *session) visit(ctx context.Context, name string, need mail.Rights) (at reach, mb mail.Mailbox, rights mail.Rights, err error) {
	if at, err = s.reach(ctx, name); err != nil {
		return at, mb, 0, err
	}
	err = s.viewAt(ctx, at, func(r store.Reader) error {
		mb, rights, err = s.find(r, at, need)
		return err
	})
	return at, mb, rights, err
}

// viewAt and updateAt are View and Update of the account that a name led to.
func (s *session) viewAt(ctx context.Context, at reach, fn func(store.Reader) error) error {
	return s.srv.Store.View(ctx, at.account, fn)
}

func (s *session) updateAt(ctx context.Context, at reach, fn func(store.Tx) error) (mail.ModSeq, error) {
	by, err := s.originAt(ctx, at)
	if err != nil {
		return 0, err
	}
	return s.commit(ctx, at.account, by, fn)
}

// originAt is the session as the maker of changes in an account.
func (s *session) originAt(ctx context.Context, at reach) (mail.Origin, error) {
	if at.as == 0 {
		return s.origin(), nil
	}
	by, err := s.srv.Auth.OriginIn(ctx, s.user, at.account)
	if err != nil {
		return by, err
	}
	return by.WithSession(s.sock.RemoteAddr().String()), nil
}

// isSelected reports whether a mailbox is the selected one.
func (s *session) isSelected(at reach, id mail.MailboxID) bool {
	return s.sel != nil && s.sel.id == id && s.sel.at.account == at.account
}
