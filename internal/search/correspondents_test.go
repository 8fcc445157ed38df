package search

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func TestWhoWasWrittenToIsWhoASentMessageIsFor(t *testing.T) {
	h := newHouse(t)
	h.put("From: eve@remote.test\r\nTo: alice@example.test, mallory@remote.test\r\n\r\nhi\r\n")
	h.update(func(tx store.Tx) error {
		sent, err := tx.MailboxByPath("Sent")
		if err == nil {
			_, err = tx.Append(sent.ID, h.arrival("From: alice@example.test\r\nTo: Dave <Dave@Remote.test>\r\nBcc: erin@remote.test\r\n\r\nhi\r\n"))
		}
		return err
	})
	if known, err := h.x.WroteTo(t.Context(), h.account, "dave@remote.test"); known || err != nil {
		t.Errorf("without an index: %v, %v", known, err)
	}
	h.settle()
	for address, want := range map[string]bool{
		"dave@remote.test": true, "erin@remote.test": true, "mallory@remote.test": false, "eve@remote.test": false,
		"dave.remote@test": false, "remote.test": false, "": false,
	} {
		if known, err := h.x.WroteTo(t.Context(), h.account, address); known != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", address, known, err, want)
		}
	}
	if known, err := h.x.WroteTo(t.Context(), mail.AccountID(1<<40), "dave@remote.test"); known || err != nil {
		t.Errorf("nobody's: %v, %v", known, err)
	}
}
