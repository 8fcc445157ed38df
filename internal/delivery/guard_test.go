package delivery_test

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// flooded is an account in which a phone moved ten of twelve messages to Trash and
// emptied it.
func flooded(t *testing.T) (*deliverytest.House, store.Principal) {
	h := deliverytest.New(t)
	h.Model().Guard = mail.GuardRule{Minimum: 8}
	p := h.Account("ann@example.test", 0, nil)
	var phone mail.Device
	err := h.Store.Note(t.Context(), p.Account, func(n store.Notes) (err error) {
		phone, err = n.AddDevice(mail.Device{Name: "Täles phone", Key: "phone", Protocol: mail.IMAP})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	by := mail.NewOrigin(p.Login, phone.ID, mail.IMAP, mail.ByUser)
	for _, do := range []func(store.Tx, mail.MailboxID, mail.MailboxID) error{
		func(tx store.Tx, inbox, trash mail.MailboxID) error {
			for range 12 {
				if _, err := tx.Append(inbox, mail.Arrival{Blob: mail.Blob{Size: 1}}); err != nil {
					return err
				}
			}
			return nil
		},
		func(tx store.Tx, inbox, trash mail.MailboxID) error {
			_, err := tx.Move(inbox, mail.UIDSet{{First: 1, Last: 10}}, trash)
			return err
		},
		func(tx store.Tx, inbox, trash mail.MailboxID) error {
			_, err := tx.Expunge(trash, mail.AllUIDs, false)
			return err
		},
		func(tx store.Tx, inbox, trash mail.MailboxID) error {
			_, err := tx.Expunge(inbox, mail.AllUIDs, false)
			return err
		},
	} {
		_, err := h.Store.Update(t.Context(), p.Account, by, func(tx store.Tx) error {
			inbox, err := tx.MailboxByPath("INBOX")
			if err != nil {
				return err
			}
			trash, err := tx.MailboxByPath("Trash")
			if err != nil {
				return err
			}
			return do(tx, inbox.ID, trash.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h, p
}

func TestAFloodIsToldOnceWhenItIsOver(t *testing.T) {
	h, p := flooded(t)
	if err := h.Delivery.TellFloods(t.Context(), h.Store, time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Inbox(p.Account)); n != 0 {
		t.Fatalf("%d letters while it may go on", n)
	}
	for range 2 {
		if err := h.Delivery.TellFloods(t.Context(), h.Store, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	letters := h.Inbox(p.Account)
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	for _, words := range []string{"Subject: =?utf-8?q?", "To: <ann@example.test>", "10 messages from INBOX, moved to Trash\r\n", "  10 messages from Trash\r\n", "  2 messages from INBOX\r\n",
		"lockstep guard undo ann@example.test ", "\"Täles phone\" deleted"} {
		if !strings.Contains(letters[0], words) {
			t.Errorf("%q is missing in\n%s", words, letters[0])
		}
	}
}

func TestAnAccountThatCannotBeToldIsToldLater(t *testing.T) {
	h, p := flooded(t)
	quota := func(n int64) {
		_, err := h.Store.Update(t.Context(), p.Account, deliverytest.By, func(tx store.Tx) error { return tx.SetQuota(n) })
		if err != nil {
			t.Fatal(err)
		}
	}
	quota(1)
	if err := h.Delivery.TellFloods(t.Context(), h.Store, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if untold, err := h.Store.Untold(t.Context()); len(untold) != 1 || err != nil {
		t.Fatalf("%v, %v", untold, err)
	}
	quota(0)
	if err := h.Delivery.TellFloods(t.Context(), h.Store, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Inbox(p.Account)); n != 1 {
		t.Errorf("%d letters", n)
	}
}
