package admin

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Device is one line of an account's devices.
type Device struct {
	ID          mail.DeviceID
	Name        string
	Protocol    mail.Protocol
	Client      string
	AppPassword bool
	// DownloadOnly: it takes mail and tells nothing back, so what is read or moved on
	// it stays there.
	DownloadOnly bool
	Access       mail.Access
	Wipe         mail.Wipe
	ActiveSync   string // the version of it that the device last spoke; "" if it never did
	Connected    int    // sessions now
	LastSeen     time.Time
	LastAddr     string
}

// NewDevice asks for a device with an app password of its own.
type NewDevice struct {
	Login     string
	Name      string
	Protocols []mail.Protocol
}

// AddedDevice carries the app password, which is told once.
type AddedDevice struct {
	ID     mail.DeviceID
	Name   string
	Secret string
}

// OfDevice names a device of an account by its name or number.
type OfDevice struct {
	Login  string
	Device string
}

// NewAccess decides whether a device may come in.
type NewAccess struct {
	OfDevice
	Access mail.Access
}

// NewWipe asks a device to remove the account, or all it holds.
type NewWipe struct {
	OfDevice
	Scope mail.WipeScope
}

// The verbs of devices.
var (
	DeviceList    = Verb[OfAccount, Device]{"device/list", (*Ops).deviceList}
	DeviceAdd     = Verb[NewDevice, AddedDevice]{"device/add", (*Ops).deviceAdd}
	DeviceSignOut = Verb[OfDevice, Device]{"device/sign-out", (*Ops).deviceSignOut}
	DeviceAccess  = Verb[NewAccess, Device]{"device/access", (*Ops).deviceAccess}
	DeviceWipe    = Verb[NewWipe, Device]{"device/wipe", (*Ops).deviceWipe}
	DeviceShow    = Verb[OfDevice, DeviceDetail]{"device/show", (*Ops).deviceShow}
)

func (o *Ops) deviceList(ctx context.Context, q OfAccount, emit func(Device) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	all, err := o.devices(ctx, p)
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := emit(d); err != nil {
			return err
		}
	}
	return nil
}

func (o *Ops) devices(ctx context.Context, p store.Principal) ([]Device, error) {
	creds, err := o.Directory.Credentials(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	own, downloads := map[mail.DeviceID]bool{}, map[mail.DeviceID]bool{}
	for _, c := range creds {
		own[c.Device] = own[c.Device] || c.Kind == store.AppPassword
		downloads[c.Device] = len(c.Protocols) == 1 && c.Protocols[0].DownloadOnly()
	}
	connected := o.Auth.Connected(p.Account)
	var rows []Device
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		all, err := r.Devices()
		rows = nil
		for _, d := range all {
			rows = append(rows, Device{d.ID, d.Name, d.Protocol, d.Client, own[d.ID], downloads[d.ID] || d.Protocol.DownloadOnly(), d.Access, d.Wipe, d.Told.Version, connected[d.ID], d.LastSeen, d.LastAddr})
		}
		return err
	})
	return rows, err
}

func (o *Ops) deviceAdd(ctx context.Context, q NewDevice, emit func(AddedDevice) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	known := []mail.Protocol{mail.IMAP, mail.POP3, mail.Submission, mail.EAS}
	for _, proto := range q.Protocols {
		if !slices.Contains(known, proto) {
			return mail.Errorf(mail.Invalid, "%q is no protocol that devices sign in by: choose of %v", proto, known)
		}
	}
	d, secret, err := o.Auth.AddDevice(ctx, p, q.Name, q.Protocols)
	if err != nil {
		return err
	}
	return emit(AddedDevice{d.ID, d.Name, secret})
}

// device finds a device by its number or its name, where only one has it.
func (o *Ops) device(ctx context.Context, q OfDevice) (store.Principal, Device, error) {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return p, Device{}, err
	}
	all, err := o.devices(ctx, p)
	if err != nil {
		return p, Device{}, err
	}
	var found []Device
	for _, d := range all {
		if strconv.FormatInt(int64(d.ID), 10) == q.Device {
			return p, d, nil
		}
		if strings.EqualFold(d.Name, q.Device) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return p, Device{}, mail.Errorf(mail.NotFound, "%s has no device %q; see: lockstep device list %s", p.Login, q.Device, p.Login)
	case 1:
		return p, found[0], nil
	}
	return p, Device{}, mail.Errorf(mail.Invalid, "%s has %d devices named %q: use the number; see: lockstep device list %s", p.Login, len(found), q.Device, p.Login)
}

func (o *Ops) deviceSignOut(ctx context.Context, q OfDevice, emit func(Device) error) error {
	p, d, err := o.device(ctx, q)
	if err != nil {
		return err
	}
	if err := o.Auth.SignOut(ctx, p, d.ID); err != nil {
		return err
	}
	return emit(d)
}

func (o *Ops) deviceAccess(ctx context.Context, q NewAccess, emit func(Device) error) error {
	p, d, err := o.device(ctx, q.OfDevice)
	if err != nil {
		return err
	}
	if err := o.Auth.SetAccess(ctx, operator(), p.Account, d.ID, q.Access); err != nil {
		return err
	}
	d.Access = q.Access
	return emit(d)
}

func (o *Ops) deviceWipe(ctx context.Context, q NewWipe, emit func(Device) error) error {
	if q.Scope != mail.WipeAccount && q.Scope != mail.WipeDevice {
		return mail.Errorf(mail.Invalid, "%q is nothing that can be wiped", q.Scope)
	}
	p, d, err := o.device(ctx, q.OfDevice)
	if err != nil {
		return err
	}
	now, err := o.Auth.RequestWipe(ctx, operator(), p.Account, d.ID, q.Scope)
	if err != nil {
		return err
	}
	d.Wipe = now.Wipe
	return emit(d)
}
