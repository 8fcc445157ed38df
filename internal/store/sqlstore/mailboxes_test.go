package sqlstore

import (
	"fmt"
	"slices"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func TestMailboxesOnePast(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand mailboxes take ten minutes under the race detector, and one goroutine makes them; whole runs do")
	}
	h := newHome(t, Options{})
	free := make([]int, mail.MaxMailboxes-len(mail.Standard))
	for i := range free {
		free[i] = i
	}
	for some := range slices.Chunk(free, 100) { // a transaction looks at each it made again and again
		h.update(func(tx store.Tx) error {
			for _, i := range some {
				if _, err := tx.CreateMailbox(mail.MailboxImage{Name: fmt.Sprint("box ", i)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	_, err := h.Update(t.Context(), h.id, by, func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "one past"})
		return err
	})
	if err == nil || mail.KindOf(err) != mail.Limit {
		t.Errorf("one past %d: %v, want %v", mail.MaxMailboxes, err, mail.Limit)
	}
}
