package undo

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// home is an account in the naive store.
type home struct {
	t     *testing.T
	st    store.Store
	id    mail.AccountID
	phone mail.DeviceID
	n     int
}

func newHome(t *testing.T) *home {
	m := model.New()
	p, err := m.CreateAccount(context.Background(), mail.NewOrigin("operator", 0, mail.Local, mail.BySetup), store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, st: m, id: p.Account}
	err = m.Note(context.Background(), h.id, func(tx store.Notes) error {
		d, err := tx.AddDevice(mail.Device{Name: "phone", Key: "k", Protocol: mail.IMAP})
		h.phone = d.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) origin(device mail.DeviceID) mail.Origin {
	return mail.NewOrigin("alice@example.test", device, mail.IMAP, mail.ByUser)
}

func (h *home) update(device mail.DeviceID, fn func(store.Tx) error) mail.ModSeq {
	h.t.Helper()
	n, err := h.st.Update(context.Background(), h.id, h.origin(device), fn)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *home) mailbox(path string) (mb mail.Mailbox, err error) {
	err = h.st.View(context.Background(), h.id, func(r store.Reader) (err error) { mb, err = r.MailboxByPath(path); return err })
	return mb, err
}

func (h *home) make(path string) mail.MailboxID {
	h.t.Helper()
	above, name, nested := strings.Cut(path, "/")
	im := mail.MailboxImage{Name: path}
	if nested {
		parent, err := h.mailbox(above)
		if err != nil {
			h.t.Fatal(err)
		}
		im = mail.MailboxImage{Name: name, Parent: parent.ID}
	}
	var mb mail.Mailbox
	h.update(0, func(tx store.Tx) (err error) { mb, err = tx.CreateMailbox(im); return err })
	return mb.ID
}

func (h *home) append(mb mail.MailboxID) {
	h.t.Helper()
	h.n++
	var name mail.BlobName
	copy(name[:], fmt.Sprint("blob", h.n))
	a := mail.Arrival{Blob: mail.Blob{Name: name, Size: 10, Place: "p/1", Fresh: true}, MessageID: fmt.Sprint(h.n)}
	h.update(0, func(tx store.Tx) error { _, err := tx.Append(mb, a); return err })
}

func (h *home) delete(device mail.DeviceID, path string) mail.ModSeq {
	h.t.Helper()
	mb, err := h.mailbox(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.update(device, func(tx store.Tx) error { return tx.DeleteMailbox(mb.ID) })
}

func (h *home) do(a Asked, preview bool) (Done, error) {
	return Do(context.Background(), h.st, h.id, h.origin(0), a, preview)
}

func TestAPreviewSaysWhatWouldCome(t *testing.T) {
	h := newHome(t)
	h.append(h.make("Work"))
	act := h.delete(0, "Work")
	would, err := h.do(Asked{Acts: []mail.ActID{mail.ActID(act)}}, true)
	if err != nil || would.Undone != 2 || would.Act != 0 {
		t.Errorf("%+v, %v", would, err)
	}
	if _, err := h.mailbox("Work"); mail.KindOf(err) != mail.NotFound {
		t.Error("a preview changed something: ", err)
	}
	did, err := h.do(Asked{Acts: []mail.ActID{mail.ActID(act)}}, false)
	if err != nil || did.Undone != would.Undone || did.Act == 0 {
		t.Errorf("%+v, %v", did, err)
	}
	if again, err := h.do(Asked{Acts: []mail.ActID{did.Act}}, false); err != nil || again.Undone == 0 {
		t.Errorf("the undo can't be undone: %+v, %v", again, err)
	}
}

func TestAllThatADeviceDidSinceIsOneUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t)
		for _, path := range []string{"A", "B", "C", "D"} {
			h.append(h.make(path))
		}
		h.delete(h.phone, "A")
		time.Sleep(time.Hour)
		since := time.Now()
		h.delete(h.phone, "B")
		h.delete(0, "C")
		h.delete(h.phone, "D")
		done, err := h.do(Asked{Device: h.phone, Since: since}, false)
		if err != nil || len(done.Acts) != 2 || done.Acts[0] < done.Acts[1] || done.Undone != 4 {
			t.Errorf("%+v, %v", done, err)
		}
		for path, there := range map[string]bool{"A": false, "B": true, "C": false, "D": true} {
			if _, err := h.mailbox(path); (err == nil) != there {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}

func TestAnUndoIsBounded(t *testing.T) {
	h := newHome(t)
	inbox, err := h.mailbox("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	h.append(inbox.ID)
	flagged, _ := mail.NewFlags(`\Flagged`)
	for i := range MaxActs + 1 {
		change := mail.FlagChange{Add: flagged}
		if i%2 == 1 {
			change = mail.FlagChange{Remove: flagged}
		}
		h.update(h.phone, func(tx store.Tx) error { _, err := tx.StoreFlags(inbox.ID, mail.AllUIDs, change, nil); return err })
	}
	if _, err := h.do(Asked{Device: h.phone}, false); mail.KindOf(err) != mail.Limit {
		t.Errorf("a device: %v", err)
	}
	if _, err := h.do(Asked{Acts: make([]mail.ActID, MaxActs+1)}, false); mail.KindOf(err) != mail.Limit {
		t.Errorf("acts: %v", err)
	}
	if _, err := h.do(Asked{Acts: []mail.ActID{9999}}, false); mail.KindOf(err) != mail.NotFound {
		t.Errorf("no act: %v", err)
	}
}

func (h *home) deleted() (words []string) {
	h.t.Helper()
	err := h.st.View(context.Background(), h.id, func(r store.Reader) error {
		all, err := Deleted(r)
		for _, m := range all {
			words = append(words, fmt.Sprintf("%s:%d", m.Path, m.Messages))
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return words
}

func (h *home) undelete(path string, below bool) (Done, error) {
	return Undelete(context.Background(), h.st, h.id, h.origin(0), path, below, false)
}

func TestADeletedMailboxComesBackWithWhatItLayIn(t *testing.T) {
	h := newHome(t)
	h.append(h.make("Work"))
	year := h.make("Work/2025")
	h.append(year)
	h.append(year)
	h.make("Work/2026")
	for _, path := range []string{"Work/2025", "Work/2026", "Work"} {
		h.delete(h.phone, path)
	}
	if got := fmt.Sprint(h.deleted()); got != "[Work:1 Work/2026:0 Work/2025:2]" {
		t.Error(got)
	}
	if _, err := h.undelete("Nothing", false); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
	if done, err := h.undelete("Work/2025", false); err != nil || done.Undone != 5 {
		t.Errorf("%+v, %v", done, err)
	}
	if mb, err := h.mailbox("Work/2025"); err != nil || mb.ID != year || mb.Counts.Placements != 2 {
		t.Errorf("%+v, %v", mb, err)
	}
	if got := fmt.Sprint(h.deleted()); got != "[Work/2026:0]" {
		t.Error(got)
	}
}

func TestBelowBringsBackTheTree(t *testing.T) {
	h := newHome(t)
	h.make("Work")
	h.append(h.make("Work/2025"))
	h.make("Workshop")
	for _, path := range []string{"Work/2025", "Work", "Workshop"} {
		h.delete(0, path)
	}
	if _, err := h.undelete("Work", true); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(h.deleted()); got != "[Workshop:0]" {
		t.Error(got)
	}
}

// What took the name meanwhile stays; the report says so.
func TestATakenNameIsSaid(t *testing.T) {
	h := newHome(t)
	h.append(h.make("Work"))
	h.delete(0, "Work")
	h.make("Work")
	done, err := h.undelete("Work", false)
	if err != nil || done.Undone != 0 || len(done.Left) == 0 {
		t.Errorf("%+v, %v", done, err)
	}
}
