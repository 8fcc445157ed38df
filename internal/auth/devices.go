package auth

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// deviceFor finds or makes the device an attempt comes from: by its app
// password; else by the key its protocol carries; else by what the client says of
// itself; else "unnamed IMAP client".
func (s *Service) deviceFor(ctx context.Context, p store.Principal, c store.Credential, a Attempt) (mail.Device, error) {
	switch {
	case c.Device == 0 && a.Protocol == mail.EAS && a.DeviceKey == "":
		return mail.Device{Protocol: mail.EAS}, nil // who only asks what there is
	case c.Device == 0:
		return s.implicitDevice(ctx, p.Account, a)
	}
	var d mail.Device
	err := s.store.View(ctx, p.Account, func(r store.Reader) (err error) {
		d, err = r.Device(c.Device)
		return err
	})
	if err != nil {
		return d, err
	}
	return d, s.saw(ctx, p.Account, d, a)
}

var protocolNames = map[mail.Protocol]string{mail.IMAP: "IMAP", mail.POP3: "POP3", mail.Submission: "SMTP", mail.SMTP: "SMTP", mail.JMAP: "JMAP", mail.EAS: "ActiveSync", mail.DAV: "CalDAV"}

// clientName is what the client says of itself, made fit to be shown and kept.
func clientName(said string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, strings.TrimSpace(said))
	if len(name) > mail.MaxDeviceNameBytes {
		name = strings.ToValidUTF8(name[:mail.MaxDeviceNameBytes], "")
	}
	return name
}

func implicitKey(a Attempt) (key, name string) {
	client := clientName(a.Client)
	switch {
	case a.DeviceKey != "":
		return string(a.Protocol) + ":" + a.DeviceKey, cmp.Or(client, unnamed(a.Protocol))
	case client != "":
		return string(a.Protocol) + ":" + strings.ToLower(client), client
	}
	return string(a.Protocol) + ":", unnamed(a.Protocol)
}

func unnamed(p mail.Protocol) string {
	return "unnamed " + cmp.Or(protocolNames[p], string(p)) + " client"
}

func (s *Service) implicitDevice(ctx context.Context, account mail.AccountID, a Attempt) (mail.Device, error) {
	key, name := implicitKey(a)
	d, err := s.findOrAdd(ctx, account, key, name, a)
	if mail.KindOf(err) == mail.Limit && a.DeviceKey == "" { // so many names that there is no room for one more
		a.Client = ""
		key, name = implicitKey(a)
		d, err = s.findOrAdd(ctx, account, key, name, a)
	}
	return d, err
}

// findOrAdd returns the device known by key, and makes it if it is not there, as the
// account's policy has it. Of two first contacts at once the store lets one make it.
func (s *Service) findOrAdd(ctx context.Context, account mail.AccountID, key, name string, a Attempt) (mail.Device, error) {
	d, err := s.find(ctx, account, key, a)
	if err == nil || mail.KindOf(err) != mail.NotFound {
		return d, err
	}
	access, err := s.firstAccess(ctx, account, a)
	if err != nil {
		return d, err
	}
	now := s.now()
	err = s.store.Note(ctx, account, func(n store.Notes) (err error) {
		d, err = n.AddDevice(mail.Device{Name: name, Key: key, Protocol: a.Protocol, Client: clientName(a.Client), Told: a.Told, Access: access, Created: now, LastSeen: now, LastAddr: a.Addr.String()})
		return err
	})
	if err != nil && mail.KindOf(err) == mail.Exists {
		return s.find(ctx, account, key, a)
	}
	if err != nil && mail.KindOf(err) == mail.Limit && a.DeviceKey != "" {
		return d, refuse(TooManyDevices, mail.Limit, "%s", mail.DetailOf(err))
	}
	if err == nil && access == mail.Quarantined && s.tell != nil {
		s.tell(context.WithoutCancel(ctx), account, d)
	}
	return d, err
}

// firstAccess is what a new device may do. A policy is asked only about devices that
// have an id of their own: what an IMAP client calls itself anybody can say.
func (s *Service) firstAccess(ctx context.Context, account mail.AccountID, a Attempt) (mail.Access, error) {
	if a.DeviceKey == "" {
		return mail.Allowed, nil
	}
	access := mail.Allowed
	err := s.store.View(ctx, account, func(r store.Reader) error {
		_, policy, _, err := s.policies.Of(r)
		if err != nil {
			return err
		}
		access = policy.NewDevices
		all, err := r.Devices()
		if counted(all, s.now()) >= policy.DeviceBound() {
			return refuse(TooManyDevices, mail.Limit, "this account has %d devices already, which is all it may have", policy.DeviceBound())
		}
		return err
	})
	return access, err
}

// counted is how many of the devices name themselves, and are still about. Those that
// somebody blocked take nobody's place.
func counted(all []mail.Device, now time.Time) int {
	n := 0
	for _, d := range all {
		if d.Protocol == mail.EAS && d.Access != mail.Blocked && now.Sub(d.LastSeen) < device.CountedFor {
			n++
		}
	}
	return n
}

// find returns the device known by key, and notes the contact.
func (s *Service) find(ctx context.Context, account mail.AccountID, key string, a Attempt) (mail.Device, error) {
	var d mail.Device
	err := s.store.View(ctx, account, func(r store.Reader) (err error) {
		d, err = r.DeviceByKey(key)
		return err
	})
	if err != nil {
		return d, err
	}
	return d, s.saw(ctx, account, d, a)
}

// saw notes the contact, at most every few minutes: a phone that signs in each
// minute must not cost a write each minute.
func (s *Service) saw(ctx context.Context, account mail.AccountID, d mail.Device, a Attempt) error {
	now, addr := s.now(), a.Addr.String()
	if now.Sub(d.LastSeen) < writeContactAtMostEach && d.LastAddr == addr {
		return nil
	}
	return s.store.Note(ctx, account, func(n store.Notes) error { return n.SawDevice(d.ID, now, addr) })
}

// Named is called when a client says what it is after it signed in (IMAP ID): an
// implicit device becomes the one of that name. Denied if that one is blocked, or
// if sessions of the account were ended meanwhile: as in Track, it may be one of
// those that were meant, and it ends.
func (s *Service) Named(ctx context.Context, sess *Session, client string) error {
	if !sess.implicit || strings.TrimSpace(client) == "" {
		return nil
	}
	before := s.sessions.soFar()
	d, err := s.implicitDevice(ctx, sess.Account(), Attempt{Protocol: sess.Protocol, Addr: sess.Addr, Client: client})
	if err != nil {
		return err
	}
	if err := standing(d); err != nil {
		return err
	}
	sess.become(d)
	if s.sessions.endedSince(sess.Account(), before) {
		s.sessions.endOne(sess, "signed out")
		return mail.Errorf(mail.Denied, "sessions were ended, sign in again")
	}
	return nil
}

func (s *Session) become(d mail.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.device = deviceOf(d)
}

// AddDevice makes a device with an app password of its own, for the given
// protocols or all. The secret is returned once and never stored.
func (s *Service) AddDevice(ctx context.Context, p store.Principal, name string, protocols []mail.Protocol) (mail.Device, string, error) {
	tooLong := len(name) > mail.MaxDeviceNameBytes
	if name = clientName(name); name == "" || tooLong {
		return mail.Device{}, "", mail.Errorf(mail.Invalid, "a device's name has 1 to %d bytes", mail.MaxDeviceNameBytes)
	}
	secret := NewAppPassword()
	scram, err := s.scramKeysFor(ctx, p, secret)
	if err != nil {
		return mail.Device{}, "", err
	}
	d := mail.Device{Name: name, Key: "app:" + mail.NewEmailID().String(), Protocol: mail.Local, Created: s.now()}
	err = s.store.Note(ctx, p.Account, func(n store.Notes) (err error) {
		d, err = n.AddDevice(d)
		return err
	})
	if err != nil {
		return d, "", err
	}
	_, err = s.dir.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword, Name: name, Verifier: newAppVerifier(secret), Token: tokenOf(secret), Scram: scram, Protocols: protocols, Device: d.ID, Created: s.now()})
	return d, secret, err
}

// SignOut revokes a device's credentials and sign-ins and ends its sessions. An implicit
// device has none of its own: its sessions end, and it can come back with the
// password.
func (s *Service) SignOut(ctx context.Context, p store.Principal, device mail.DeviceID) error {
	creds, err := s.dir.Credentials(ctx, p.ID)
	if err != nil {
		return err
	}
	for _, c := range creds {
		if c.Device != device || c.Kind != store.AppPassword {
			continue
		}
		if err := s.dir.RemoveCredential(ctx, c.ID); err != nil {
			return err
		}
	}
	err = s.endSignIns(ctx, p, "signed out", func(row store.SignIn) bool { return row.Device == device })
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	return s.endDevice(ctx, p.Account, device, "signed out")
}

// SetPassword changes the person's password and ends all that was begun with the old
// one: also browsers that stay signed in, as whoever changes it for somebody else does
// so because it is known or forgotten.
func (s *Service) SetPassword(ctx context.Context, p store.Principal, password string) error {
	if err := s.setPassword(ctx, p, password); err != nil {
		return err
	}
	err := s.endSignIns(ctx, p, "password changed", func(row store.SignIn) bool { return row.Kind == store.WebSignIn })
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

func (s *Service) setPassword(ctx context.Context, p store.Principal, password string) error {
	v, err := HashPassword(ctx, password)
	if err != nil {
		return err
	}
	if err := s.dir.SetPassword(ctx, p.ID, v); err != nil {
		return err
	}
	s.end(p.Account, func(sess *Session) bool { return sess.implicit }, "password changed")
	return nil
}

// SetDisabled locks an account out and ends its sessions, or lets it in again.
func (s *Service) SetDisabled(ctx context.Context, account mail.AccountID, disabled bool) error {
	err := s.dir.SetDisabled(ctx, account, disabled)
	if err == nil && disabled {
		s.EndAll(account, "account disabled")
	}
	return err
}

// EndAll ends all sessions of an account that was locked out in the store.
func (s *Service) EndAll(account mail.AccountID, reason string) {
	s.end(account, func(*Session) bool { return true }, reason)
}

// StartOver has a device that speaks ActiveSync forget what it holds and fill it anew,
// from when it next comes. What it does now ends first, so that nothing of it is
// remembered afterwards.
func (s *Service) StartOver(ctx context.Context, account mail.AccountID, id mail.DeviceID) error {
	if err := s.endDevice(ctx, account, id, "the device starts over"); err != nil {
		return err
	}
	return device.Forget(ctx, s.store, account, id)
}

// Rename gives a device another name, for people.
func (s *Service) Rename(ctx context.Context, by mail.Origin, account mail.AccountID, id mail.DeviceID, name string) (mail.Device, error) {
	name = clientName(name)
	if name == "" {
		return mail.Device{}, mail.Errorf(mail.Invalid, "a device's name has 1 to %d bytes", mail.MaxDeviceNameBytes)
	}
	return s.decide(ctx, by, account, id, func(d *mail.Device) error {
		d.Name = name
		return nil
	})
}
