package auth

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// SetAccess lets a device in, quarantines it or blocks it, everywhere. What is not
// allowed ends its sessions. Letting it in also takes back a wipe, whatever came of
// it: who was wiped stays out until somebody does this.
func (s *Service) SetAccess(ctx context.Context, by mail.Origin, account mail.AccountID, device mail.DeviceID, access mail.Access) error {
	d, err := s.decide(ctx, by, account, device, func(d *mail.Device) error {
		d.Access = access
		if access == mail.Allowed {
			d.Wipe = mail.Wipe{}
		}
		return nil
	})
	if err == nil && access != mail.Allowed {
		err = s.keptOut(ctx, account, d, "device "+access.String())
	}
	return err
}

// RequestWipe asks a device to remove the account, or all it holds, when it next
// comes. From now on it may do nothing else, and its sessions end: nobody waits for
// the device to agree. Only a device that speaks ActiveSync can be asked; from
// another the same keeps it out.
func (s *Service) RequestWipe(ctx context.Context, by mail.Origin, account mail.AccountID, device mail.DeviceID, scope mail.WipeScope) (mail.Device, error) {
	d, err := s.decide(ctx, by, account, device, func(d *mail.Device) error {
		d.Wipe = mail.Wipe{Scope: scope, State: mail.WipeRequested, At: s.now()}
		return nil
	})
	if err == nil {
		err = s.keptOut(ctx, account, d, "device is to be wiped")
	}
	return d, err
}

// WipeSent notes that the session's device was told to wipe.
func (s *Service) WipeSent(ctx context.Context, sess *Session) error {
	d, err := s.decide(ctx, sess.Origin(), sess.Account(), sess.Device().ID, func(d *mail.Device) error {
		if d.Wipe.State == mail.WipeRequested {
			d.Wipe.State, d.Wipe.At = mail.WipeSent, s.now()
		}
		return nil
	})
	if err == nil {
		sess.become(d)
	}
	return err
}

// WipeAnswered notes what the session's device said of its wipe, with its own word. If
// it does it, it stays out until somebody lets it in, and its app password is worth
// nothing any more; if it could not, it may be asked again.
func (s *Service) WipeAnswered(ctx context.Context, sess *Session, done bool, status string) error {
	d, err := s.decide(ctx, sess.Origin(), sess.Account(), sess.Device().ID, func(d *mail.Device) error {
		if !d.Wipe.Open() {
			return mail.Errorf(mail.Conflict, "nobody asked for that")
		}
		d.Wipe.State, d.Wipe.At, d.Wipe.Status = mail.WipeConfirmed, s.now(), mail.Clip(status, mail.MaxToldBytes)
		if !done {
			d.Wipe.State = mail.WipeRefused
		}
		return nil
	})
	if err != nil {
		return err
	}
	sess.become(d)
	if !done {
		return nil
	}
	if s.tell != nil {
		s.tell(context.WithoutCancel(ctx), sess.Account(), d)
	}
	return s.SignOut(ctx, sess.Principal, d.ID)
}

// decide changes what people decided about a device and returns it as it is now.
func (s *Service) decide(ctx context.Context, by mail.Origin, account mail.AccountID, device mail.DeviceID, change func(*mail.Device) error) (d mail.Device, err error) {
	_, err = s.store.Update(ctx, account, by, func(tx store.Tx) (err error) {
		if d, err = tx.Device(device); err != nil {
			return err
		}
		if err := change(&d); err != nil {
			return err
		}
		return tx.SetDevice(d)
	})
	return d, err
}

// keptOut ends the sessions of a device that the store keeps out by now, also those in
// which a member of what is shared used it.
func (s *Service) keptOut(ctx context.Context, account mail.AccountID, d mail.Device, reason string) error {
	s.end(account, ofDevice(d.ID), reason)
	return s.endElsewhere(ctx, d)
}
