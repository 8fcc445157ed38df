package admin

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func TestGuard(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		p, err := o.principal(ctx, alice)
		if err != nil {
			t.Fatal(err)
		}
		var phone mail.Device
		err = o.Store.Note(ctx, p.Account, func(n store.Notes) (err error) {
			phone, err = n.AddDevice(mail.Device{Name: "phone", Key: "phone", Protocol: mail.IMAP})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		by := mail.NewOrigin(alice, phone.ID, mail.IMAP, mail.ByUser)
		var inbox mail.Mailbox
		flood := func() mail.ModSeq {
			t.Helper()
			_, err := o.Store.Update(ctx, p.Account, by, func(tx store.Tx) (err error) {
				if inbox, err = tx.MailboxByPath("INBOX"); err != nil {
					return err
				}
				for range 101 {
					if _, err := tx.Append(inbox.ID, mail.Arrival{Blob: mail.Blob{Size: 1}}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = o.Store.Update(ctx, p.Account, by, func(tx store.Tx) error {
				_, err := tx.Expunge(inbox.ID, mail.AllUIDs, false)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			rows, err := GuardList.All(ctx, c, OfAccount{})
			if err != nil || len(rows) != 1 || rows[0].Login != alice || rows[0].Device != "phone" || rows[0].Removed < 101 {
				t.Fatalf("%+v, %v", rows, err)
			}
			return rows[0].ID
		}
		id := flood()
		wantKind(t, GuardAccept.Do(ctx, c, OfFlood{alice, id + 1}), mail.NotFound, "guard list")
		done, err := GuardUndo.One(ctx, c, OfFlood{alice, id})
		if err != nil || done.Count != 101 || len(done.Left) > 0 || done.Act == 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		wantKind(t, GuardAccept.Do(ctx, c, OfFlood{alice, id}), mail.NotFound, "guard list")
		if err := GuardAccept.Do(ctx, c, OfFlood{alice, flood()}); err != nil {
			t.Fatal(err)
		}
		if rows, err := GuardList.All(ctx, c, OfAccount{alice}); err != nil || len(rows) != 0 {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}
