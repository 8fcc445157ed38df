package auth

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// phone is an attempt by ActiveSync.
func phone(secret, id string) Attempt {
	return Attempt{Login: "alice@example.test", Secret: secret, Protocol: mail.EAS, Addr: home, Client: "iPhone", DeviceKey: id, CanWipe: true}
}

func (b *bench) set(id mail.DeviceID, change func(*mail.Device)) {
	b.t.Helper()
	if _, err := b.decide(b.t.Context(), by, b.alice.Account, id, func(d *mail.Device) error { change(d); return nil }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) device(id mail.DeviceID) (d mail.Device) {
	b.t.Helper()
	err := b.store.View(b.t.Context(), b.alice.Account, func(r store.Reader) (err error) {
		d, err = r.Device(id)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// Each access and state of a wipe, by ActiveSync and by the others.
func TestWhoIsLetInAsWhat(t *testing.T) {
	const in, wipe = "in", "wipe only"
	for _, c := range []struct {
		access     mail.Access
		state      mail.WipeState
		disabled   bool
		eas, other string
	}{
		{mail.Allowed, mail.WipeNone, false, in, in},
		{mail.Blocked, mail.WipeNone, false, "2", "denied"},
		{mail.Quarantined, mail.WipeNone, false, "3", "denied"},
		{mail.Allowed, mail.WipeNone, true, "1", "denied"},
		{mail.Allowed, mail.WipeRequested, false, wipe, "denied"},
		{mail.Allowed, mail.WipeSent, false, wipe, "denied"},
		{mail.Blocked, mail.WipeRequested, false, wipe, "denied"},
		{mail.Quarantined, mail.WipeSent, false, wipe, "denied"},
		{mail.Allowed, mail.WipeRequested, true, wipe, "denied"},
		{mail.Allowed, mail.WipeConfirmed, false, "4", "denied"},
		{mail.Allowed, mail.WipeRefused, false, wipe, "denied"},
	} {
		t.Run(fmt.Sprint(c.access, c.state, c.disabled), func(t *testing.T) {
			b := newBench(t)
			d, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
			if err != nil {
				t.Fatal(err)
			}
			b.set(d.ID, func(d *mail.Device) {
				d.Access = c.access
				if c.state != mail.WipeNone {
					d.Wipe = mail.Wipe{Scope: mail.WipeAccount, State: c.state}
				}
			})
			if err := b.SetDisabled(t.Context(), b.alice.Account, c.disabled); err != nil {
				t.Fatal(err)
			}
			got := ""
			sess, err := b.Login(t.Context(), phone(secret, "ID1"))
			switch {
			case err != nil:
				names := map[Refusal]string{AccountDisabled: "1", DeviceBlocked: "2", DeviceQuarantined: "3", DeviceWiped: "4"}
				got = names[RefusalOf(err)]
				if mail.KindOf(err) != mail.Denied {
					t.Error(err)
				}
			case sess.WipeOnly():
				got = wipe
			default:
				got = in
			}
			if got != c.eas {
				t.Errorf("by ActiveSync: %q, %v, want %q", got, err, c.eas)
			}
			for _, proto := range []mail.Protocol{mail.IMAP, mail.POP3, mail.Submission, mail.EAS} { // an ActiveSync that can't wipe too
				a := attempt(secret)
				a.Protocol = proto
				_, err := b.Login(t.Context(), a)
				if (err == nil) != (c.other == in) || err != nil && mail.KindOf(err) != mail.Denied {
					t.Errorf("by %s: %v, want %s", proto, err, c.other)
				}
			}
		})
	}
}

func TestANewPhoneIsWhatThePolicySays(t *testing.T) {
	for access, want := range map[mail.Access]Refusal{mail.Allowed: NoRefusal, mail.Quarantined: DeviceQuarantined, mail.Blocked: DeviceBlocked} {
		b := newBench(t)
		b.UsePolicies(device.Policies{"strict": {NewDevices: access}})
		told := 0
		b.TellBy(func(context.Context, mail.AccountID, mail.Device) { told++ })
		b.in(phone(password, "before")) // the default policy lets it in
		_, err := b.store.Update(t.Context(), b.alice.Account, by, func(tx store.Tx) error { return tx.SetPreference(mail.DevicePolicy, "strict") })
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := b.Login(t.Context(), phone(password, "after")); RefusalOf(err) != want {
				t.Errorf("%s: %v, want refusal %d", access, err, want)
			}
		}
		if (told == 1) != (access == mail.Quarantined) {
			t.Errorf("%s: told %d times", access, told)
		}
		b.in(phone(password, "before")) // who was in stays in
		b.in(attempt(password))         // a policy is about devices with an id of their own
		if got := b.devices()[1].Access; got != access {
			t.Errorf("the device is %s, want %s", got, access)
		}
		if _, secret, err := b.AddDevice(t.Context(), b.alice, "made by hand", nil); err != nil {
			t.Error(err)
		} else {
			b.in(phone(secret, "third"))
		}
	}
}

func TestDevicesThatNameThemselvesAreBounded(t *testing.T) {
	b := newBench(t)
	b.UsePolicies(device.Policies{device.Default: {MaxDevices: 2}})
	b.in(phone(password, "one"))
	b.in(phone(password, "two"))
	_, err := b.Login(t.Context(), phone(password, "three"))
	if RefusalOf(err) != TooManyDevices || mail.KindOf(err) != mail.Limit {
		t.Fatal(err)
	}
	b.in(phone(password, "one"))
	b.in(attempt(password)) // no phone
	if err := b.SetAccess(t.Context(), by, b.alice.Account, b.in(phone(password, "one")).Device().ID, mail.Blocked); err != nil {
		t.Fatal(err)
	}
	b.in(phone(password, "three")) // a blocked one takes nobody's place
	if _, err := b.Login(t.Context(), phone(password, "four")); RefusalOf(err) != TooManyDevices {
		t.Fatal(err)
	}
	b.clock = b.clock.Add(device.CountedFor + time.Hour)
	b.in(phone(password, "four")) // the others are no longer about
}

// Who asks what the server can do has no DeviceId yet, and is no device.
func TestActiveSyncWithoutADeviceIdIsNoDevice(t *testing.T) {
	b := newBench(t)
	if d := b.in(phone(password, "")).Device(); d.ID != 0 || len(b.devices()) != 0 {
		t.Errorf("%+v, %v", d, b.devices())
	}
	_, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := b.in(phone(secret, "")).Device(); d.Name != "phone" {
		t.Errorf("%+v", d)
	}
	if d := b.in(phone(secret, "ID1")).Device(); d.Name != "phone" || len(b.devices()) != 1 {
		t.Errorf("%+v: an app password is its device, whatever id comes with it", d)
	}
}

func TestAWipeEndsSessionsAtOnceAndLeavesTheDeviceOut(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	defer b.Track(b.in(phone(secret, "ID1")), func(reason string) { ended <- reason })()
	if _, err := b.RequestWipe(t.Context(), by, b.alice.Account, d.ID, mail.WipeAccount); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "device is to be wiped" {
		t.Error(got)
	}
	b.refused(attempt(secret), mail.Denied)
	sess := b.in(phone(secret, "ID1"))
	for range 2 { // the answer may get lost
		if err := b.WipeSent(t.Context(), sess); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.device(d.ID).Wipe; got.State != mail.WipeSent || got.Scope != mail.WipeAccount || !got.At.Equal(b.clock) {
		t.Errorf("%+v", got)
	}
	sess = b.in(phone(secret, "ID1"))
	told := 0
	b.TellBy(func(_ context.Context, _ mail.AccountID, d mail.Device) {
		if told++; d.Wipe.State != mail.WipeConfirmed {
			t.Errorf("told of %+v", d.Wipe)
		}
	})
	if err := b.WipeAnswered(t.Context(), sess, false, "2"); err != nil || told != 0 {
		t.Fatal(err, told)
	}
	if err := b.WipeAnswered(t.Context(), sess, true, "1"); err != nil || told != 1 {
		t.Fatal(err, told)
	}
	if got := b.device(d.ID).Wipe; got.State != mail.WipeConfirmed || got.Status != "1" {
		t.Errorf("%+v", got)
	}
	if err := b.WipeAnswered(t.Context(), sess, true, "1"); mail.KindOf(err) != mail.Conflict {
		t.Errorf("a second answer: %v", err)
	}
	b.refused(phone(secret, "ID1"), mail.BadCredentials) // its password is gone
	if err := b.SetAccess(t.Context(), by, b.alice.Account, d.ID, mail.Allowed); err != nil {
		t.Fatal(err)
	}
	if got := b.device(d.ID); got.KeptOut() {
		t.Errorf("%+v", got)
	}
}

func TestAWipedPhoneWithTheMainPasswordStaysOutUntilLetIn(t *testing.T) {
	b := newBench(t)
	id := b.in(phone(password, "ID1")).Device().ID
	if _, err := b.RequestWipe(t.Context(), by, b.alice.Account, id, mail.WipeDevice); err != nil {
		t.Fatal(err)
	}
	sess := b.in(phone(password, "ID1"))
	if !sess.WipeOnly() {
		t.Fatal("let in for more than its wipe")
	}
	if err := b.WipeAnswered(t.Context(), sess, false, "2"); err != nil {
		t.Fatal(err)
	}
	if got := b.device(id).Wipe; got.State != mail.WipeRefused || got.Status != "2" {
		t.Error(got)
	}
	if sess = b.in(phone(password, "ID1")); !sess.WipeOnly() {
		t.Fatal("let in for more than its wipe")
	}
	if err := b.WipeAnswered(t.Context(), sess, true, "1"); err != nil {
		t.Fatal(err)
	}
	_, err := b.Login(t.Context(), phone(password, "ID1"))
	if RefusalOf(err) != DeviceWiped {
		t.Error(err)
	}
	b.in(phone(password, "ID2")) // another phone
	if err := b.SetAccess(t.Context(), by, b.alice.Account, id, mail.Allowed); err != nil {
		t.Fatal(err)
	}
	b.in(phone(password, "ID1"))
}

func TestQuarantineEndsSessions(t *testing.T) {
	b := newBench(t)
	sess := b.in(phone(password, "ID1"))
	ended := make(chan string, 1)
	defer b.Track(sess, func(reason string) { ended <- reason })()
	if err := b.SetAccess(t.Context(), by, b.alice.Account, sess.Device().ID, mail.Quarantined); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "device quarantined" {
		t.Error(got)
	}
}

// The bound on all devices is one on those that name themselves too.
func TestAnAccountFullOfDevicesHasNoRoomForAPhone(t *testing.T) {
	b := newBench(t)
	b.UsePolicies(device.Policies{device.Default: {MaxDevices: mail.MaxDevices}})
	err := b.store.Note(t.Context(), b.alice.Account, func(n store.Notes) error {
		for i := range mail.MaxDevices {
			if _, err := n.AddDevice(mail.Device{Name: "d", Key: fmt.Sprint("imap:", i), Protocol: mail.IMAP}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Login(t.Context(), phone(password, "one")); RefusalOf(err) != TooManyDevices {
		t.Error(err)
	}
}
