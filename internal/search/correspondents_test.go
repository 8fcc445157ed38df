package search

import (
	"testing"
	"time"

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
	for address, want := range map[string]bool{"dave@remote.test": true, "mallory@remote.test": false} {
		if known, err := h.x.WroteTo(t.Context(), h.account, address); known != want || err != nil {
			t.Errorf("without an index, %s: %v, %v", address, known, err)
		}
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

func TestCatchingUpHasATime(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: harbour\r\n\r\nhi\r\n")
	l := h.x.lock(h.account)
	l.Lock() // as a rebuild does, for as long as it takes
	if there, err := h.x.CatchUpWithin(t.Context(), h.account, 20*time.Millisecond); there || err != nil {
		t.Errorf("with somebody else at it: %v, %v", there, err)
	}
	l.Unlock()
	if there, err := h.x.CatchUpWithin(t.Context(), h.account, time.Minute); !there || err != nil {
		t.Errorf("caught up: %v, %v", there, err)
	}
	if hits, err := h.x.People(t.Context(), h.account, ParseQuery("harbour"), 10); len(hits) != 1 || err != nil {
		t.Errorf("found %d, %v", len(hits), err)
	}
}
