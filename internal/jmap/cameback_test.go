package jmap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// An email that left the account and came again under its id, as one does that was moved
// to a friend's mailbox and back, is told of once.
func TestAnEmailThatCameBackIsUpdated(t *testing.T) {
	w := newTown(t)
	a, err := w.Delivery.Ingest(t.Context(), strings.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	a.EmailID = mail.NewEmailID()
	inbox := w.mailbox("INBOX")
	arrives := func(tx store.Tx) error {
		_, err := tx.Append(inbox.ID, a)
		return err
	}
	w.change(arrives)
	id, gone := a.EmailID.String(), w.put("INBOX", letter)
	state := w.state(mail.TypeEmail)
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(inbox.ID, mail.AllUIDs, false)
		return err
	})
	w.change(arrives)
	fresh := w.emailID(w.put("INBOX", letter))
	for _, window := range []int{1, 2, 3, 100} {
		var all changesAnswer
		for since, more := state, true; more; {
			var c changesAnswer
			w.must("Email/changes", fmt.Sprintf(`{"accountId":"$ACCOUNT","sinceState":"%s","maxChanges":%d}`, since, window), &c)
			all.Created, all.Updated, all.Destroyed = append(all.Created, c.Created...), append(all.Updated, c.Updated...), append(all.Destroyed, c.Destroyed...)
			since, more = c.NewState, c.HasMoreChanges
		}
		if !slices.Equal(all.Updated, []string{id}) || !slices.Equal(all.Created, []string{fresh}) || len(all.Destroyed) != 1 || all.Destroyed[0] == id {
			t.Errorf("by %d: %+v of %s, which came back, %v, which left, and %s", window, all, id, gone.Message, fresh)
		}
	}
}
