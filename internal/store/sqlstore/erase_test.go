package sqlstore

import (
	"slices"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// erasedBlob is a blob for an erasing to take.
func erasedBlob(n byte) mail.BlobName { return mail.BlobName{0xe5, n} }

func freshBlob(n byte, place string, parts ...mail.BlobName) mail.Blob {
	return mail.Blob{Name: erasedBlob(n), Size: 5, Place: place, Key: []byte{0, 0, 0, 1}, Parts: parts, Fresh: true, Until: time.Now().Add(time.Hour)}
}

func appendBlob(t *testing.T, db *DB, id mail.AccountID, b mail.Blob, parts ...mail.Blob) error {
	t.Helper()
	_, err := db.Update(t.Context(), id, mail.NewOrigin("test", 0, mail.Local, mail.ByDelivery), func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		if err == nil {
			_, err = tx.Append(inbox.ID, mail.Arrival{Blob: b, Parts: parts})
		}
		return err
	})
	return err
}

func TestRowsOfBlobsAreErasedUnlessNamed(t *testing.T) {
	db, _, id := scourHouse(t)
	if err := appendBlob(t, db, id, freshBlob(1, "a", erasedBlob(2)), freshBlob(2, "b")); err != nil {
		t.Fatal(err)
	}
	x := db.Blobs()
	family, err := x.Family(t.Context(), []mail.BlobName{erasedBlob(1), erasedBlob(9)})
	if err != nil || !slices.Equal(family, []mail.BlobName{erasedBlob(1), erasedBlob(9), erasedBlob(2)}) {
		t.Fatalf("%v, %v", family, err)
	}
	if gone, err := x.Erase(t.Context(), family, nil); err != nil || !slices.Equal(gone, []mail.BlobName{erasedBlob(9)}) {
		t.Errorf("what is named was erased: %v, %v", gone, err)
	}
	by := mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin)
	if _, err := db.Update(t.Context(), id, by, func(tx store.Tx) error {
		_, err := tx.Erase(mail.Erasing{Messages: []mail.MessageKey{keyOfFirst(tx)}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	gone, err := x.Erase(t.Context(), family, []string{"a", "b"})
	if err != nil || len(gone) != 3 {
		t.Fatalf("%v, %v", gone, err)
	}
	for _, name := range family {
		if _, found, err := x.Blob(t.Context(), name); found || err != nil {
			t.Errorf("%s: found %v, %v", name, found, err)
		}
	}
	// A handle to bytes that were erased is refused, one to others not.
	if err := appendBlob(t, db, id, freshBlob(1, "a")); mail.KindOf(err) != mail.Expired {
		t.Errorf("a handle to erased bytes was committed: %v", err)
	}
	if err := appendBlob(t, db, id, freshBlob(1, "c")); err != nil {
		t.Error(err)
	}
}

func keyOfFirst(r store.Reader) (key mail.MessageKey) {
	inbox, _ := r.MailboxByPath("INBOX")
	_ = r.Placements(store.PlacementQuery{Mailbox: inbox.ID, Limit: 1}, func(p *mail.Placement) error { key = p.Message; return nil })
	return key
}

func TestKeysOfRowsAreCountedAndRewrapped(t *testing.T) {
	db, _, id := scourHouse(t)
	for n := range byte(5) {
		if err := appendBlob(t, db, id, freshBlob(n, string('a'+rune(n)))); err != nil {
			t.Fatal(err)
		}
	}
	x := db.Blobs()
	n, err := x.Rewrap(t.Context(), []blob.Rewrap{
		{Name: erasedBlob(1), From: []byte{0, 0, 0, 1}, To: []byte{0, 0, 0, 2, 9}},
		{Name: erasedBlob(2), From: []byte{0, 0, 0, 7}, To: []byte{0, 0, 0, 2}}, // is not so any more
		{Name: erasedBlob(99), From: []byte{0, 0, 0, 1}, To: []byte{0, 0, 0, 2}},
	})
	if err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	by, err := x.Wrapped(t.Context())
	if err != nil || len(by) != 2 || by[1] != 4 || by[2] != 1 {
		t.Errorf("%v, %v", by, err)
	}
}

func TestALoginIsForgottenInAllJournals(t *testing.T) {
	db, path, id := scourHouse(t)
	if _, err := db.Update(t.Context(), id, mail.NewOrigin("wort00001geheim", 0, mail.IMAP, mail.ByUser), func(tx store.Tx) error {
		return tx.Subscribe("INBOX/x")
	}); err == nil {
		t.Fatal("a mailbox that is not there was subscribed")
	}
	for range 3 {
		if _, err := db.Update(t.Context(), id, mail.NewOrigin("wort00001geheim", 0, mail.IMAP, mail.ByUser), func(tx store.Tx) error {
			subscribed, err := tx.Subscriptions()
			if err != nil {
				return err
			}
			if slices.Contains(subscribed, "INBOX") {
				return tx.Unsubscribe("INBOX")
			}
			return tx.Subscribe("INBOX")
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := db.ForgetActor(t.Context(), "wort00001geheim", "somebody", time.Time{}); err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := db.Scour(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, path, "wort00001geheim"); len(left) > 0 {
		t.Errorf("%q", left)
	}
}
