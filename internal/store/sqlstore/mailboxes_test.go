package sqlstore

import (
	"fmt"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func TestMailboxesOnePast(t *testing.T) {
	h := newHome(t, Options{})
	h.update(func(tx store.Tx) error {
		for i := range mail.MaxMailboxes - len(mail.Standard) {
			if _, err := tx.CreateMailbox(mail.MailboxImage{Name: fmt.Sprint("box ", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := h.Update(t.Context(), h.id, by, func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "one past"})
		return err
	})
	if err == nil || mail.KindOf(err) != mail.Limit {
		t.Errorf("one past %d: %v, want %v", mail.MaxMailboxes, err, mail.Limit)
	}
}
