package sqlstore

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What a crash leaves of somebody who was removed, in an account that was kept then
// and is back, is taken away at the next start. Versions before this left it there until
// the account came back.
func TestACutReinstatementIsFinished(t *testing.T) {
	h := newHome(t, Options{})
	bob, err := h.CreateAccount(t.Context(), by.WithCause(mail.BySetup), store.NewAccount{Login: "bob@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx store.Tx) error { return tx.SetRights(h.inbox, bob.ID, mail.MayLookup|mail.MayRead) })
	h.update(func(tx store.Tx) error { return tx.SetMetadata(h.inbox, bob.ID, "/private/comment", []byte("mine")) })
	if err := h.KeepRemoved(t.Context(), h.id); err != nil {
		t.Fatal(err)
	}
	h.run("UPDATE share SET live = -1 WHERE principal_id = ?1 AND owner_id = ?2", bob.ID, h.id)
	// The account is shown again, and that is how far it came.
	h.run("UPDATE account SET kept = 0 WHERE account_id = ?1", h.id)
	h.run("UPDATE principal SET removed = 0, login = kept_login WHERE owner_id = ?1", h.id)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = h.again(Options{})
	defer h.Close()
	h.view(func(r store.Reader) error {
		grants, err := r.Rights(h.inbox)
		notes, err2 := r.Metadata(h.inbox, bob.ID)
		if len(grants) > 0 || len(notes) > 0 || err != nil || err2 != nil {
			t.Errorf("%v, %v, %v, %v", grants, notes, err, err2)
		}
		return nil
	})
	h.sound()
}

// A kept account's blobs are named as anybody's: they are not collected.
func TestTheBlobsOfAKeptAccountAreNamed(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(3)
	if err := h.KeepRemoved(t.Context(), h.id); err != nil {
		t.Fatal(err)
	}
	found := false
	name := arrival(1).Blob.Name
	err := h.read(t.Context(), func(c conn) (err error) { found, err = isNamed(c, name); return err })
	if err != nil || !found {
		t.Errorf("%v, %v", found, err)
	}
}
