package jmap

import (
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
	var c changesAnswer
	w.must("Email/changes", `{"accountId":"$ACCOUNT","sinceState":"`+state+`"}`, &c)
	if !slices.Equal(c.Updated, []string{id}) || !slices.Equal(c.Created, []string{fresh}) || len(c.Destroyed) != 1 || c.Destroyed[0] == id {
		t.Errorf("%+v of %s, which came back, %v, which left, and %s", c, id, gone.Message, fresh)
	}
}
