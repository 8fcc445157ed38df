package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Owners returns those who share something with who signed in, by login.
func (s *Service) Owners(ctx context.Context, sess *Session) ([]store.Principal, error) {
	return s.dir.SharedWith(ctx, sess.Principal.ID)
}

// Principal finds somebody by login, and PrincipalByID by number.
func (s *Service) Principal(ctx context.Context, login string) (store.Principal, error) {
	return s.dir.PrincipalByLogin(ctx, login)
}

// PrincipalByID finds somebody by number.
func (s *Service) PrincipalByID(ctx context.Context, id mail.PrincipalID) (store.Principal, error) {
	return s.dir.PrincipalByID(ctx, id)
}

// A member's device is known in the owner's account too, once it has changed
// something there, so that the owner's history names it and the owner can block it.

const memberDevice = "member:%d:%d"

// KeyElsewhere is by what the session's device is known in the accounts of others.
func (s *Session) KeyElsewhere() string {
	return fmt.Sprintf(memberDevice, s.Principal.ID, s.Device().ID)
}

// OriginIn is the session as the maker of changes in the account of somebody else.
// In an account with very many devices it is no device.
func (s *Service) OriginIn(ctx context.Context, sess *Session, owner mail.AccountID) (mail.Origin, error) {
	own, key := sess.Device(), sess.KeyElsewhere()
	a := Attempt{Protocol: sess.Protocol, Addr: sess.Addr, Client: own.Client}
	name := strings.ToValidUTF8(sess.Principal.Login+": "+own.Name, "")
	d, err := s.findOrAdd(ctx, owner, key, strings.ToValidUTF8(name[:min(len(name), mail.MaxDeviceNameBytes)], ""), a)
	if err != nil && mail.KindOf(err) != mail.Limit {
		return mail.Origin{}, err
	}
	return mail.NewOrigin(sess.Principal.Login, d.ID, sess.Protocol, mail.ByUser), nil
}

// endElsewhere ends the sessions of a member whose device an owner blocked. They
// may come back, and find nothing of that owner's.
func (s *Service) endElsewhere(ctx context.Context, d mail.Device) error {
	var p mail.PrincipalID
	var device mail.DeviceID
	if _, err := fmt.Sscanf(d.Key, memberDevice, &p, &device); err != nil {
		return nil
	}
	member, err := s.dir.PrincipalByID(ctx, p)
	if err != nil {
		return nil // who is no more has no sessions
	}
	return s.endDevice(ctx, member.Account, device, "what was shared with this device no longer is")
}

// Blocked reports whether the owner of the account keeps the session's device out
// there.
func (s *Session) Blocked(r store.Reader) (bool, error) {
	d, err := r.DeviceByKey(s.KeyElsewhere())
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return false, nil
	}
	return d.KeptOut(), err
}

// OwnerOf finds among owners the one whose login begins the name, and what follows
// it. A login may have slashes, so the longest is it.
func OwnerOf(owners []store.Principal, name string) (owner store.Principal, path string, ok bool) {
	owners = slices.Clone(owners)
	slices.SortFunc(owners, func(a, b store.Principal) int { return len(b.Login) - len(a.Login) })
	for _, o := range owners {
		n := len(o.Login)
		if len(name) > n && name[n] == '/' && strings.EqualFold(name[:n], o.Login) {
			return o, name[n+1:], true
		}
	}
	return owner, "", false
}
