package eas

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// restored puts the store back to what it was, as a server that comes up after that
// finds it.
func (w *town) restored(putBack func()) {
	w.T.Helper()
	putBack()
	if err := w.Store.Restored(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	w.start()
}

func (p *phone) syncStatus(key string, rest ...*wbxml.Element) string {
	p.w.T.Helper()
	e := p.call("Sync", syncing(key, p.inbox(), rest...))
	if e == nil {
		return "nothing"
	}
	if c := e.Child(wbxml.AirSyncCollections); c != nil {
		return collectionOf(e).Get(wbxml.AirSyncStatus)
	}
	return e.Get(wbxml.AirSyncStatus)
}

// A phone that comes with a key of before a restore starts over, whether the copy
// remembers the key, the one before it, or neither; nothing of what it says is done
// before; and then it holds what is there, under the ids it had.
func TestAfterARestoreAPhoneStartsOver(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	kept := w.put("INBOX", "Subject: kept\r\n\r\nx")
	folders := []string{p.folderStep("0")}
	keys := []string{p.primed(p.inbox())}
	w.put("INBOX", "Subject: second\r\n\r\nx")
	keys = append(keys, p.inStep("INBOX", keys[0])) // the copy remembers both
	putBack := w.Model().Copy()
	for n := range 3 { // and these not
		w.put("INBOX", fmt.Sprintf("Subject: lost %d\r\n\r\nx", n))
		w.change(func(tx store.Tx) error {
			_, err := tx.CreateMailbox(mail.MailboxImage{Name: fmt.Sprint("Lost ", n)})
			return err
		})
		keys = append(keys, p.inStep("INBOX", keys[len(keys)-1]))
		folders = append(folders, p.folderStep(folders[len(folders)-1]))
	}
	w.restored(putBack)

	for _, key := range keys {
		if status := p.syncStatus(key, readMark(itemID(kept.Mailbox, kept.Lineage))); status != "3" || w.isSeen(kept) {
			t.Errorf("Sync with %s: status %s, seen %v", key, status, w.isSeen(kept))
		}
		e := p.call("GetItemEstimate", wbxml.New(wbxml.EstimateGetItemEstimate, wbxml.New(wbxml.EstimateCollections, wbxml.New(wbxml.EstimateCollection,
			wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.EstimateCollectionId, p.inbox())))))
		if status := e.Child(wbxml.EstimateResponse).Get(wbxml.EstimateStatus); status != "4" {
			t.Errorf("GetItemEstimate with %s: %s", key, short(e))
		}
	}
	for _, key := range folders {
		a := p.call("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, key)))
		if a.Get(wbxml.FolderStatus) != "9" {
			t.Errorf("FolderSync with %s: %s", key, short(a))
		}
	}
	p.folderStep("0")
	c := collectionOf(p.call("Sync", syncing(p.keyed(p.inbox()), p.inbox())))
	ids := map[string]bool{}
	for add := range c.Child(wbxml.AirSyncCommands).All(wbxml.AirSyncAdd) {
		ids[add.Get(wbxml.AirSyncServerId)] = true
	}
	if len(ids) != 2 || !ids[itemID(kept.Mailbox, kept.Lineage)] {
		t.Errorf("holds %v", ids)
	}
	key := c.Get(wbxml.AirSyncSyncKey)
	fresh := w.put("INBOX", "Subject: fresh\r\n\r\nx")
	c = collectionOf(p.call("Sync", syncing(key, p.inbox(), readMark(itemID(kept.Mailbox, kept.Lineage)))))
	if c.Get(wbxml.AirSyncStatus) != "1" || !w.isSeen(kept) || c.Child(wbxml.AirSyncCommands).Child(wbxml.AirSyncAdd).Get(wbxml.AirSyncServerId) != itemID(fresh.Mailbox, fresh.Lineage) {
		t.Error("goes on with", short(c))
	}
}

// What a phone that has not started over says of ids that never were is about nothing:
// they are never given again.
func TestIdsOfATimeThatNeverWasNameNothing(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.primed(p.inbox())
	putBack := w.Model().Copy()
	var lost []mail.Placement
	for range 20 {
		lost = append(lost, w.put("INBOX", "Subject: lost\r\n\r\nx"))
	}
	w.restored(putBack)
	for range 20 {
		w.put("INBOX", "Subject: fresh\r\n\r\nx")
	}
	key := p.primed(p.inbox())
	for _, l := range lost {
		c := p.call("Sync", syncing(key, p.inbox(), wbxml.New(wbxml.AirSyncCommands, wbxml.New(wbxml.AirSyncDelete, wbxml.Text(wbxml.AirSyncServerId, itemID(l.Mailbox, l.Lineage))))))
		if c != nil {
			key = collectionOf(c).Get(wbxml.AirSyncSyncKey)
		}
	}
	if n := w.mailbox("INBOX").Counts.Placements; n != 20 {
		t.Errorf("%d of 20 messages are left", n)
	}
}

// A phone that goes on waiting for a folder which it came to know after the copy was made
// is told to look: by itself it would wait for ever, as nobody knows what it has. Once it
// has looked it waits.
func TestAPhoneThatTheCopyDoesNotKnowIsWoken(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	putBack := w.Model().Copy()
	w.put("INBOX", "Subject: lost\r\n\r\nx")
	key := p.primed(p.inbox())
	w.restored(putBack)
	p.folderStep("0")
	if a := p.call("Ping", pinging(60, p.inbox())); a.Get(wbxml.PingStatus) != "2" || a.Child(wbxml.PingFolders).Get(wbxml.PingFolder) != p.inbox() {
		t.Fatal("answered", short(a))
	}
	if status := p.syncStatus(key); status != "3" {
		t.Fatal("Sync", status)
	}
	p.inStep("INBOX", "0")
	answer := p.begin(pinging(60, p.inbox()))
	if len(answer) > 0 {
		t.Fatal("answered", <-answer)
	}
	w.put("INBOX", "Subject: fresh\r\n\r\nx")
	if got := <-answer; !strings.Contains(got, "Status=2") {
		t.Error("answered", got)
	}
}
