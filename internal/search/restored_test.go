package search

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

func (h *house) database() string { return filepath.Join(h.dir, "lockstep.db") }

// restart closes the database, lets somebody do something to its file, and begins anew
// with what is there.
func (h *house) restart(meanwhile func(path string)) {
	h.t.Helper()
	h.x.Close()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	meanwhile(h.database())
	var err error
	if h.db, err = sqlstore.Open(context.Background(), h.database(), sqlstore.Options{Hub: h.hub, Mark: filepath.Join(h.dir, "mark")}); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.db.Close() })
	h.x = nil
	h.reopen()
}

func copyTo(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The indexes beside a database that was copied back are ahead of it. They find what
// is there and nothing else, at once and when they have caught up, and read again only
// what they lack.
func TestAnIndexAheadOfItsDatabaseStartsOver(t *testing.T) {
	ofFiles(t)
	h := newHouse(t)
	h.put("Subject: a\r\n\r\nkept\r\n", "Subject: b\r\n\r\nkept and deleted later\r\n", "Subject: c\r\n\r\nkept\r\n")
	h.settle()
	copied := filepath.Join(t.TempDir(), "copy.db")
	h.restart(func(path string) { copyTo(t, copied, path) })
	h.put("Subject: d\r\n\r\nlost\r\n")
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(2), false); return err })
	h.put("Subject: e\r\n\r\nlost\r\n")
	h.settle()
	if h.has("kept") != 2 || h.has("lost") != 2 || h.status().Messages != 4 {
		t.Fatalf("before: %d, %d, %+v", h.has("kept"), h.has("lost"), h.status())
	}
	h.restart(func(path string) { copyTo(t, path, copied) })
	if why, _ := h.db.Returned(); why == "" {
		t.Fatal("the copy was not found out")
	}
	h.put("Subject: f\r\n\r\nfresh\r\n")
	if h.has("lost") != 0 {
		t.Error("it finds what never was, at once")
	}
	h.settle()
	if hits, err := h.x.People(t.Context(), h.account, ParseQuery("lost"), 10); err != nil || len(hits) != 0 {
		t.Errorf("people find what never was: %+v, %v", hits, err)
	}
	if s := h.status(); s.Messages != 4 || h.has("kept") != 3 || h.has("deleted") != 1 || h.has("fresh") != 1 || h.has("lost") != 0 {
		t.Errorf("%+v", s)
	}
	if n := h.x.Stats().Indexed; n != 2 {
		t.Errorf("read %d messages, and lacked 2", n)
	}
	h.put("Subject: g\r\n\r\nfresh\r\n")
	h.settle()
	if h.has("fresh") != 2 {
		t.Error("it does not go on")
	}
}

// An index of another installation is not taken for this one's.
func TestAnIndexOfAnotherAccountIsMadeAnew(t *testing.T) {
	ofFiles(t)
	h := newHouse(t)
	h.put("Subject: a\r\n\r\nours\r\n")
	h.settle()
	other := newHouse(t)
	other.put("Subject: a\r\n\r\ntheirs\r\n")
	other.settle()
	other.restart(func(string) {})
	other.restart(func(string) {})
	other.x.Close()
	if err := other.db.Close(); err != nil {
		t.Fatal(err)
	}
	h.blobs = other.blobs
	h.restart(func(path string) {
		copyTo(t, path, other.database())
	})
	h.settle()
	if h.has("theirs") != 1 || h.has("ours") != 0 || h.status().Messages != 1 {
		t.Errorf("%d, %d, %+v", h.has("theirs"), h.has("ours"), h.status())
	}
}
