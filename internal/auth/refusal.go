package auth

import (
	"errors"

	"lockstep/internal/mail"
)

// A Refusal says why somebody with the right secret is not let in, for protocols
// that have a word for each reason.
type Refusal uint8

// The refusals.
const (
	NoRefusal Refusal = iota
	AccountDisabled
	NotForProtocol // the app password is for others
	DeviceBlocked
	DeviceQuarantined
	DeviceWiped      // it is to be wiped, or was
	TooManyDevices   // one more than the account's policy allows
	NeedsAppPassword // the password alone is not enough, and more can't be asked for
	NeedsProof       // who is signed in has to prove again who they are
)

// RefusalOf returns why the error turned somebody away; NoRefusal if it did not, or
// for no such reason.
func RefusalOf(err error) Refusal {
	var r *refused
	if errors.As(err, &r) {
		return r.why
	}
	return NoRefusal
}

// refused is a mail.Error that knows its reason.
type refused struct {
	error
	why Refusal
}

func (r *refused) Unwrap() error { return r.error }

func refuse(why Refusal, kind mail.Kind, format string, args ...any) error {
	return &refused{mail.Errorf(kind, format, args...), why}
}

// standing is Denied for a device that is kept out.
func standing(d mail.Device) error {
	switch {
	case d.Wipe.State != mail.WipeNone:
		return refuse(DeviceWiped, mail.Denied, "the device %q was asked to remove what it holds, and may not come in", d.Name)
	case d.Access == mail.Blocked:
		return refuse(DeviceBlocked, mail.Denied, "the device %q is blocked", d.Name)
	case d.Access == mail.Quarantined:
		return refuse(DeviceQuarantined, mail.Denied, "the device %q waits for somebody to let it in", d.Name)
	}
	return nil
}
