package eas

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func folderSync(key string) *wbxml.Element {
	return wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, key))
}

// folders plays the hierarchy of a device: what it knows, by id.
type folders struct {
	p     *phone
	key   string
	known map[string]string // id to "parent/name type"
}

func (f *folders) sync() *wbxml.Element {
	f.p.w.T.Helper()
	a := f.p.call("FolderSync", folderSync(f.key))
	if s := a.Get(wbxml.FolderStatus); s != "1" {
		f.p.w.T.Fatalf("status %s", s)
	}
	if f.key == "0" {
		f.known = map[string]string{}
	}
	f.key = a.Get(wbxml.FolderSyncKey)
	for _, c := range a.Child(wbxml.FolderChanges).Children {
		id, is := c.Get(wbxml.FolderServerId), c.Get(wbxml.FolderParentId)+"/"+c.Get(wbxml.FolderDisplayName)+" "+c.Get(wbxml.FolderType)
		_, knew := f.known[id]
		switch c.Tag {
		case wbxml.FolderAdd:
			if parent := c.Get(wbxml.FolderParentId); parent != "0" && f.known[parent] == "" {
				f.p.w.T.Errorf("%s comes before its parent", is)
			}
			if knew {
				f.p.w.T.Errorf("%s is added twice", is)
			}
			f.known[id] = is
		case wbxml.FolderUpdate:
			if !knew {
				f.p.w.T.Errorf("%s is updated and was not there", is)
			}
			f.known[id] = is
		case wbxml.FolderDelete:
			if !knew {
				f.p.w.T.Errorf("%s is deleted and was not there", id)
			}
			delete(f.known, id)
		}
	}
	return a
}

func (w *town) folders(v version) *folders {
	f := &folders{p: w.phone(v), key: "0"}
	f.sync()
	return f
}

func count(a *wbxml.Element) string { return a.Child(wbxml.FolderChanges).Get(wbxml.FolderCount) }

func TestFirstFolderSyncListsAll(t *testing.T) {
	for _, v := range versions {
		w := newTown(t)
		f := w.folders(v)
		want := map[string]bool{"0/Inbox 2": true, "0/Drafts 3": true, "0/Sent 5": true, "0/Trash 4": true, "0/Outbox 6": true, "0/Archive 12": true, "0/Junk 12": true}
		for _, is := range f.known {
			if !want[is] {
				t.Errorf("%v: %s", v, is)
			}
			delete(want, is)
		}
		for is := range want {
			t.Errorf("%v: %s is missing", v, is)
		}
	}
}

func TestFolderSyncTellsWhatOthersDid(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	if a := f.sync(); count(a) != "0" {
		t.Error("something changed by itself: " + short(a))
	}
	was := f.key
	var made mail.Mailbox
	w.change(func(tx store.Tx) (err error) {
		if made, err = tx.CreateMailbox(mail.MailboxImage{Name: "Work"}); err != nil {
			return err
		}
		_, err = tx.CreateMailbox(mail.MailboxImage{Name: "a below", Parent: made.ID})
		return err
	})
	f.sync()
	if f.known[folderID(made.ID)] != "0/Work 12" || f.key == was {
		t.Error(f.known)
	}
	w.change(func(tx store.Tx) error { return tx.SetMailbox(made.ID, mail.MailboxImage{Name: "Play"}) })
	f.sync()
	if f.known[folderID(made.ID)] != "0/Play 12" {
		t.Error(f.known)
	}
	w.change(func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("Play/a below")
		if err != nil {
			return err
		}
		if err := tx.DeleteMailbox(mb.ID); err != nil {
			return err
		}
		return tx.DeleteMailbox(made.ID)
	})
	if a := f.sync(); count(a) != "2" || f.known[folderID(made.ID)] != "" {
		t.Error(short(a))
	}
}

func TestMailDoesNotChangeTheHierarchy(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	was := f.key
	w.put("INBOX", "Subject: x\r\n\r\n")
	if a := f.sync(); count(a) != "0" || f.key != was {
		t.Error(short(a), f.key)
	}
}

// A device that did not hear an answer asks again with the key it has, and nothing
// is lost or doubled.
func TestFolderSyncAfterALostAnswer(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "One"})
		return err
	})
	f.p.call("FolderSync", folderSync(f.key)) // lost
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Two"})
		return err
	})
	w.start()
	if a := f.sync(); count(a) != "2" {
		t.Error(short(a))
	}
	if a := f.sync(); count(a) != "0" {
		t.Error(short(a))
	}
}

func TestFolderSyncFromZeroLeavesIDs(t *testing.T) {
	w := newTown(t)
	f, again := w.folders(v161), w.folders(v161)
	if len(f.known) != len(again.known) {
		t.Fatal(f.known, again.known)
	}
	for id, is := range f.known {
		if again.known[id] != is {
			t.Errorf("%s is %s, then %s", id, is, again.known[id])
		}
	}
}

// Two phones with one DeviceId each go on from their own keys.
func TestClonedDeviceIDsEachKeepTheirKeys(t *testing.T) {
	w := newTown(t)
	one, two := w.folders(v161), w.folders(v161)
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "New"})
		return err
	})
	if a, b := count(one.sync()), count(two.sync()); a != "1" || b != "1" {
		t.Error(a, b)
	}
}

func TestFolderSyncStormIsBounded(t *testing.T) {
	w := newTown(t)
	first := w.folders(v161)
	for range 50 {
		w.folders(v161)
	}
	var size int
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		d, err := r.DeviceByKey("activesync:PHONE1")
		if err != nil {
			return err
		}
		raw, err := r.Cursor(d.ID, "eas/PHONE1/folders")
		size = len(raw)
		return err
	})
	if err != nil || size > 2000 {
		t.Error(err, size)
	}
	if a := first.sync(); count(a) != "0" {
		t.Error("a key that is no longer remembered does not say where it stands: " + short(a))
	}
}

// A phone made from the backup of another comes with its keys and an id of its own.
func TestAKeyOfAnotherDeviceStandsWhereItStands(t *testing.T) {
	w := newTown(t)
	f := w.folders(v141)
	a := f.p.call("FolderCreate", folderCreate(f.key, "0", "Mine", "12"))
	f.p.id = "PHONE2"
	if a := f.sync(); count(a) != "1" {
		t.Error(short(a))
	}
	if a := f.sync(); count(a) != "0" {
		t.Error(short(a))
	}
	if a.Get(wbxml.FolderStatus) != "1" {
		t.Error(short(a))
	}
}

func TestAKeyFromBeforeTheHorizonStartsOver(t *testing.T) {
	w := newTown(t)
	f := w.folders(v141)
	made := image(1)
	w.change(func(tx store.Tx) error {
		mb, err := tx.CreateMailbox(made)
		if err != nil {
			return err
		}
		return tx.DeleteMailbox(mb.ID)
	})
	if err := w.Store.Prune(t.Context(), w.alice.Account, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for command, in := range map[string]*wbxml.Element{"FolderSync": folderSync(f.key), "FolderCreate": folderCreate(f.key, "0", "New", "12")} {
		if a := f.p.call(command, in); a.Get(wbxml.FolderStatus) != "9" {
			t.Error(short(a))
		}
	}
}

// What wakes a Ping is what a FolderSync would tell.
func TestFoldersChangedAgreesWithFolderSync(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	changed := func() (yes bool) {
		t.Helper()
		err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) (err error) {
			r2 := f.p.request()
			yes, err = r2.foldersChanged(r)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	w.put("INBOX", "Subject: x\r\n\r\n")
	if changed() {
		t.Error("mail is no change of folders")
	}
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "New"})
		return err
	})
	if !changed() {
		t.Error("a new folder is a change")
	}
	f.sync()
	if changed() {
		t.Error("what was told is no change")
	}
}

func TestBadFolderKeys(t *testing.T) {
	w := newTown(t)
	f := w.folders(v141)
	id, _, _ := strings.Cut(f.key, "-")
	for key, want := range map[string]string{"": "9", "1": "9", "x": "9", "1-1": "9", id + "-7": "9", id + "-": "9", id + "-1-": "9", id + "-1-1.999999": "9", id + "-1-9.1": "9", strings.Repeat("9", 300): "9"} {
		if a := f.p.call("FolderSync", folderSync(key)); a.Get(wbxml.FolderStatus) != want {
			t.Errorf("%q: %s", key, short(a))
		}
	}
	if a := f.p.call("FolderSync", wbxml.New(wbxml.FolderFolderSync)); a.Get(wbxml.FolderStatus) != "10" {
		t.Error(short(a))
	}
}

func TestFolderSyncWithElementsOfOthers(t *testing.T) {
	w := newTown(t)
	p := w.phone(v140)
	if a := p.call("FolderSync", folderSync("0").Add(wbxml.Text(wbxml.BaseFileReference, "0"))); a.Get(wbxml.FolderStatus) != "102" {
		t.Error(short(a))
	}
	if a := p.call("FolderSync", folderSync("0").Add(wbxml.Text(wbxml.Tag(99<<8|7), "new"))); a.Get(wbxml.FolderStatus) != "1" {
		t.Error("an element of a later version is refused: " + short(a))
	}
}

func folderCreate(key, parent, name, kind string) *wbxml.Element {
	return wbxml.New(wbxml.FolderFolderCreate, wbxml.Text(wbxml.FolderSyncKey, key), wbxml.Text(wbxml.FolderParentId, parent),
		wbxml.Text(wbxml.FolderDisplayName, name), wbxml.Text(wbxml.FolderType, kind))
}

func folderUpdate(key, id, parent, name string) *wbxml.Element {
	return wbxml.New(wbxml.FolderFolderUpdate, wbxml.Text(wbxml.FolderSyncKey, key), wbxml.Text(wbxml.FolderServerId, id),
		wbxml.Text(wbxml.FolderParentId, parent), wbxml.Text(wbxml.FolderDisplayName, name))
}

func folderDelete(key, id string) *wbxml.Element {
	return wbxml.New(wbxml.FolderFolderDelete, wbxml.Text(wbxml.FolderSyncKey, key), wbxml.Text(wbxml.FolderServerId, id))
}

func TestADevicesOwnFolderChangesAreNotEchoed(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	a := f.p.call("FolderCreate", folderCreate(f.key, "0", "Mine", "12"))
	if a.Get(wbxml.FolderStatus) != "1" || a.Get(wbxml.FolderSyncKey) == f.key {
		t.Fatal(short(a))
	}
	f.key = a.Get(wbxml.FolderSyncKey)
	id := a.Get(wbxml.FolderServerId)
	f.known[id] = "0/Mine 12"
	if a := f.sync(); count(a) != "0" {
		t.Error(short(a))
	}
	a = f.p.call("FolderUpdate", folderUpdate(f.key, id, "0", "Yours"))
	if f.key = a.Get(wbxml.FolderSyncKey); w.mailbox("Yours").ID == 0 {
		t.Error(short(a))
	}
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Others"})
		return err
	})
	if a := f.sync(); count(a) != "1" {
		t.Error(short(a))
	}
	a = f.p.call("FolderDelete", folderDelete(f.key, id))
	f.key = a.Get(wbxml.FolderSyncKey)
	delete(f.known, id)
	if a := f.sync(); count(a) != "0" {
		t.Error(short(a))
	}
}

func TestAFolderCommandThatComesAgainIsNotDoneAgain(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	in := folderCreate(f.key, "0", "Mine", "12")
	lost := f.p.call("FolderCreate", in)
	w.start()
	if again := f.p.call("FolderCreate", in); short(again) != short(lost) {
		t.Errorf("%s, then %s", short(lost), short(again))
	}
}

// What somebody else did before and the device was not told of is not hidden by what
// the device does.
func TestAnOwnRenameDoesNotHideAnothers(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	var made mail.Mailbox
	w.change(func(tx store.Tx) (err error) {
		made, err = tx.CreateMailbox(mail.MailboxImage{Name: "A"})
		return err
	})
	f.sync()
	archive := w.mailbox("Archive").ID
	w.change(func(tx store.Tx) error {
		return tx.SetMailbox(made.ID, mail.MailboxImage{Name: "A", Parent: archive})
	})
	a := f.p.call("FolderUpdate", folderUpdate(f.key, folderID(made.ID), "0", "B"))
	f.key = a.Get(wbxml.FolderSyncKey)
	f.sync()
	if is := f.known[folderID(made.ID)]; is != "0/B 12" {
		t.Error(is)
	}
}

// A folder that came and went since the key is news to none but who made it.
func TestAnOwnFolderThatSomebodyDeletedIsTold(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	a := f.p.call("FolderCreate", folderCreate(f.key, "0", "Mine", "12"))
	id := a.Get(wbxml.FolderServerId)
	f.key, f.known[id] = a.Get(wbxml.FolderSyncKey), "0/Mine 12"
	mine := w.mailbox("Mine").ID
	w.change(func(tx store.Tx) error { return tx.DeleteMailbox(mine) })
	if f.sync(); f.known[id] != "" {
		t.Error("the device still has it")
	}
	if a := f.sync(); count(a) != "0" {
		t.Error(short(a))
	}
}

func TestFolderNamesWithTheDelimiter(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	a := f.p.call("FolderCreate", folderCreate(f.key, "0", "In/Out", "1"))
	f.key = a.Get(wbxml.FolderSyncKey)
	f.known[a.Get(wbxml.FolderServerId)] = "0/In/Out 12"
	f.sync()
	if is := f.known[a.Get(wbxml.FolderServerId)]; is != "0/In"+slash+"Out 12" {
		t.Error(is)
	}
}

func TestBadFolderCommands(t *testing.T) {
	w := newTown(t)
	f := w.folders(v160)
	a := f.p.call("FolderCreate", folderCreate(f.key, "0", "Mine", "12"))
	f.key = a.Get(wbxml.FolderSyncKey)
	mine := a.Get(wbxml.FolderServerId)
	inbox := folderID(w.mailbox("INBOX").ID)
	for _, c := range []struct {
		command string
		in      *wbxml.Element
		want    string
	}{
		{"FolderCreate", folderCreate(f.key, "0", "Mine", "12"), "2"},
		{"FolderCreate", folderCreate(f.key, "77777", "New", "12"), "5"},
		{"FolderCreate", folderCreate(f.key, "junk", "New", "12"), "5"},
		{"FolderCreate", folderCreate("1-1", "0", "New", "12"), "9"},
		{"FolderCreate", folderCreate("", "0", "New", "12"), "10"},
		{"FolderCreate", folderCreate(f.key, "0", "", "12"), "10"},
		{"FolderCreate", folderCreate(f.key, "0", "New", "2"), "10"},
		{"FolderCreate", folderCreate(f.key, "0", "New", ""), "10"},
		{"FolderCreate", folderCreate(f.key, "0", strings.Repeat("x", mail.MaxMailboxNameBytes+1), "12"), "6"},
		{"FolderUpdate", folderUpdate(f.key, "77777", "0", "New"), "4"},
		{"FolderUpdate", folderUpdate(f.key, mine, "77777", "New"), "5"},
		{"FolderUpdate", folderUpdate(f.key, mine, "0", "Archive"), "2"},
		{"FolderUpdate", folderUpdate(f.key, inbox, "0", "New"), "2"},
		{"FolderUpdate", folderUpdate(f.key, outboxID, "0", "New"), "2"},
		{"FolderUpdate", folderUpdate("1-1", mine, "0", "New"), "9"},
		{"FolderUpdate", folderUpdate(f.key, mine, "0", ""), "10"},
		{"FolderDelete", folderDelete(f.key, "77777"), "4"},
		{"FolderDelete", folderDelete(f.key, inbox), "3"},
		{"FolderDelete", folderDelete(f.key, outboxID), "3"},
		{"FolderDelete", folderDelete("1-1", mine), "9"},
		{"FolderDelete", folderDelete(f.key, ""), "10"},
	} {
		if a := f.p.call(c.command, c.in); a.Get(wbxml.FolderStatus) != c.want || len(a.Children) != 1 {
			t.Errorf("%s: %s, want status %s", short(c.in), short(a), c.want)
		}
	}
}

func TestDeletingAFolderDeletesWhatLiesBelow(t *testing.T) {
	w := newTown(t)
	f := w.folders(v161)
	var top mail.Mailbox
	w.change(func(tx store.Tx) (err error) {
		if top, err = tx.CreateMailbox(mail.MailboxImage{Name: "Top"}); err != nil {
			return err
		}
		_, err = tx.CreateMailbox(mail.MailboxImage{Name: "Below", Parent: top.ID})
		return err
	})
	f.sync()
	a := f.p.call("FolderDelete", folderDelete(f.key, folderID(top.ID)))
	if a.Get(wbxml.FolderStatus) != "1" {
		t.Fatal(short(a))
	}
	again := w.folders(v161)
	for _, is := range again.known {
		if regexp.MustCompile(`Top|Below`).MatchString(is) {
			t.Error(is)
		}
	}
}
