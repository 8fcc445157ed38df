package admin

import (
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What a device told, how far it came and what was left out can be asked for, by
// who runs the server.
func TestDeviceShowSaysWhatBecameOfADevice(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		sess, err := o.Auth.Login(ctx, auth.Attempt{Login: alice, Secret: "a good password", Protocol: mail.EAS, DeviceKey: "ID1", Client: "iPhone"})
		if err != nil {
			t.Fatal(err)
		}
		id, account := sess.Device().ID, sess.Account()
		var inbox mail.Mailbox
		var head mail.ModSeq
		err = o.Store.View(ctx, account, func(r store.Reader) error {
			a, err := r.Account()
			if err == nil {
				head = a.Head
				inbox, err = r.MailboxByPath("INBOX")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		who := device.Who{Account: account, Device: id, DeviceID: "ID1"}
		o.Trails.Note(ctx, who, false, func(tr *device.Trail) {
			tr.Did(device.Command{Name: "Sync", Version: "16.1", Status: "1"})
			tr.Mark("1", device.Mark{Mailbox: inbox.ID, ModSeq: head})
			tr.Mark("9", device.Mark{Mailbox: 1 << 40})
		})
		o.Trails.Note(ctx, who, false, func(tr *device.Trail) {
			tr.Skip(device.Skip{Collection: "1", Item: "1:7", Why: "the device failed on it three times"})
			tr.Restart(device.Restart{Collection: "1", Why: "unknown key"})
		})
		err = o.Store.Note(ctx, account, func(n store.Notes) error {
			return n.DeviceTold(id, mail.Told{Model: "iPhone17,1", Policy: mail.Acknowledged{Name: "default", Status: "1", At: time.Now()}})
		})
		if err != nil {
			t.Fatal(err)
		}
		show := func() DeviceDetail {
			t.Helper()
			d, err := DeviceShow.One(ctx, c, OfDevice{Login: alice, Device: "iPhone"})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		d := show()
		if d.Told.Model != "iPhone17,1" || d.Policy != "default" || d.PolicyMissing || len(d.Syncs) != 1 {
			t.Fatalf("%+v", d)
		}
		s := d.Syncs[0]
		if s.DeviceID != "ID1" || len(s.Commands) != 1 || s.Commands[0].Name != "Sync" || len(s.Skipped) != 1 || s.Restarts[0].Why != "unknown key" {
			t.Errorf("%+v", s)
		}
		if len(s.Collections) != 2 || s.Collections[0].Mailbox != "INBOX" || s.Collections[0].Behind != 0 || s.Collections[1].Mailbox != "" {
			t.Errorf("%+v", s.Collections)
		}
		appendTo(t, o, account, inbox.ID)
		if got := show().Syncs[0].Collections[0].Behind; got != 1 {
			t.Errorf("behind by %d, want 1", got)
		}
		o.Trails.Flush(ctx)
		o.Trails = device.NewTrails(o.Store, o.Log) // another process
		if got := show().Syncs; len(got) != 1 || len(got[0].Commands) != 1 || got[0].Collections[0].Behind != 1 {
			t.Errorf("after a restart: %+v", got)
		}
	})
}

func appendTo(t *testing.T, o *Ops, account mail.AccountID, mb mail.MailboxID) {
	t.Helper()
	_, err := o.Store.Update(t.Context(), account, operator(), func(tx store.Tx) error {
		_, err := tx.Append(mb, mail.Arrival{EmailID: mail.NewEmailID(), Blob: mail.Blob{Size: 1}, InternalDate: time.Now()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDevicesAreWipedAllowedAndQuarantined(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		attempt := auth.Attempt{Login: alice, Secret: "a good password", Protocol: mail.EAS, DeviceKey: "ID1", Client: "iPhone", CanWipe: true}
		if _, err := o.Auth.Login(ctx, attempt); err != nil {
			t.Fatal(err)
		}
		phone := OfDevice{Login: alice, Device: "iPhone"}
		_, err := DeviceWipe.One(ctx, c, NewWipe{phone, "everything"})
		wantKind(t, err, mail.Invalid, "everything")
		row, err := DeviceWipe.One(ctx, c, NewWipe{phone, mail.WipeAccount})
		if err != nil || row.Wipe.State != mail.WipeRequested || row.Wipe.Scope != mail.WipeAccount {
			t.Fatalf("%+v, %v", row, err)
		}
		sess, err := o.Auth.Login(ctx, attempt)
		if err != nil || !sess.WipeOnly() {
			t.Fatalf("%v, %v", sess, err)
		}
		if _, err := DeviceAccess.One(ctx, c, NewAccess{phone, mail.Allowed}); err != nil {
			t.Fatal(err)
		}
		if sess, err := o.Auth.Login(ctx, attempt); err != nil || sess.WipeOnly() {
			t.Fatalf("%v, %v", sess, err)
		}
		if _, err := DeviceAccess.One(ctx, c, NewAccess{phone, mail.Quarantined}); err != nil {
			t.Fatal(err)
		}
		rows, err := DeviceList.All(ctx, c, OfAccount{alice})
		if err != nil || len(rows) != 1 || rows[0].Access != mail.Quarantined || rows[0].Wipe.State != mail.WipeNone {
			t.Errorf("%+v, %v", rows, err)
		}
		events, err := History.All(ctx, c, OfHistory{Login: alice, Limit: 4})
		if err != nil || len(events) != 3 && len(events) != 4 {
			t.Fatalf("%+v, %v", events, err)
		}
		last := events[len(events)-3:]
		for i, want := range []string{"ask iPhone to remove the account", "no longer ask iPhone to remove anything", "quarantine iPhone"} {
			if last[i].What != want {
				t.Errorf("history says %q, want %q", last[i].What, want)
			}
		}
	})
}

func TestPoliciesAreChosenByAccount(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		wantKind(t, PolicySet.Do(ctx, c, PolicyOf{alice, "lax"}), mail.Invalid, "configured are default, strict")
		if err := PolicySet.Do(ctx, c, PolicyOf{alice, "strict"}); err != nil {
			t.Fatal(err)
		}
		rows, err := PolicyList.All(ctx, c, Nothing{})
		if err != nil || len(rows) != 2 || len(rows[0].Accounts) != 0 || rows[1].Name != "strict" || len(rows[1].Accounts) != 1 || rows[1].Missing {
			t.Fatalf("%+v, %v", rows, err)
		}
		o.Policies = nil
		rows, err = PolicyList.All(ctx, c, Nothing{})
		if err != nil || len(rows) != 2 || !rows[1].Missing {
			t.Fatalf("%+v, %v", rows, err)
		}
	})
}
