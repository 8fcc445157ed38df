package eas

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth/authtest"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// pinging is a Ping as devices send it; 0 seconds and no folders are left out.
func pinging(seconds int, folders ...string) *wbxml.Element {
	e := wbxml.New(wbxml.PingPing)
	if seconds != 0 {
		e.Add(wbxml.Int(wbxml.PingHeartbeatInterval, seconds))
	}
	if len(folders) > 0 {
		list := wbxml.New(wbxml.PingFolders)
		for _, id := range folders {
			list.Add(wbxml.New(wbxml.PingFolder, wbxml.Text(wbxml.PingId, id), wbxml.Text(wbxml.PingClass, "Email")))
		}
		e.Add(list)
	}
	return e
}

// folderStep brings the device's folders in step and returns the new key.
func (p *phone) folderStep(key string) string {
	p.w.T.Helper()
	a := p.call("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, key)))
	if a.Get(wbxml.FolderStatus) != "1" {
		p.w.T.Fatal(short(a))
	}
	return a.Get(wbxml.FolderSyncKey)
}

// inStep brings a folder in step and returns the new key.
func (p *phone) inStep(path, key string) string {
	p.w.T.Helper()
	for {
		a := p.call("Sync", wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
			wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.AirSyncCollectionId, folderID(p.w.mailbox(path).ID))))))
		if a == nil {
			return key
		}
		key = a.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection).Get(wbxml.AirSyncSyncKey)
	}
}

// begin asks and does not wait for the answer; it returns when the device waits, or was
// answered.
func (p *phone) begin(in *wbxml.Element) <-chan string { return p.beginOf("Ping", in) }

func (p *phone) beginOf(command string, in *wbxml.Element) <-chan string {
	p.w.T.Helper()
	answered := make(chan string, 1)
	body := []byte(nil)
	if in != nil {
		body = encoded(p.w.T, in)
	}
	before := p.w.vigils()
	go func() {
		r := p.post(p.query(command), body)
		if r.Body.Len() == 0 {
			answered <- short(nil)
			return
		}
		answered <- short(p.w.decode(command, r.Body))
	}()
	until(p.w.T.(*testing.T), "it waits, or is answered", func() bool {
		for k := range p.w.vigils() {
			if !before[k] {
				return true
			}
		}
		return len(answered) > 0
	})
	return answered
}

// vigils are those of devices that wait, and have looked.
func (w *town) vigils() map[*watch]bool {
	w.server.init()
	w.server.paces.mu.Lock()
	defer w.server.paces.mu.Unlock()
	all := map[*watch]bool{}
	for _, d := range w.server.paces.all {
		for _, k := range d.now {
			k.mu.Lock()
			if !k.looking {
				all[k] = true
			}
			k.mu.Unlock()
		}
	}
	return all
}

func TestPingSaysWhatIsWrong(t *testing.T) {
	w := newTown(t)
	inbox := folderID(w.mailbox("INBOX").ID)
	var many []string
	for i := range maxPingFolders + 1 {
		many = append(many, fmt.Sprint(i+1))
	}
	for _, c := range []struct {
		name string
		in   *wbxml.Element
		want string
	}{
		{"nothing, and nothing remembered", nil, "Ping(Status=3)"},
		{"no folders, and none remembered", pinging(80), "Ping(Status=3)"},
		{"no interval, and none remembered", pinging(0, inbox), "Ping(Status=3)"},
		{"no folder in the list", pinging(80).Add(wbxml.New(wbxml.PingFolders)), "Ping(Status=3)"},
		{"an empty element", pinging(0), "Ping(Status=4)"},
		{"a folder without an id", pinging(80).Add(wbxml.New(wbxml.PingFolders, wbxml.New(wbxml.PingFolder, wbxml.Text(wbxml.PingClass, "Email")))), "Ping(Status=4)"},
		{"an interval that is no number", wbxml.New(wbxml.PingPing, wbxml.Text(wbxml.PingHeartbeatInterval, "soon")), "Ping(Status=4)"},
		{"an empty interval", wbxml.New(wbxml.PingPing, wbxml.Text(wbxml.PingHeartbeatInterval, "")), "Ping(Status=4)"},
		{"too short", pinging(59, inbox), "Ping(Status=5 HeartbeatInterval=60)"},
		{"negative", pinging(-100, inbox), "Ping(Status=5 HeartbeatInterval=60)"},
		{"too long", pinging(3541, inbox), "Ping(Status=5 HeartbeatInterval=3540)"},
		{"longer than numbers go", wbxml.New(wbxml.PingPing, wbxml.Text(wbxml.PingHeartbeatInterval, "99999999999999999999")), "Ping(Status=5 HeartbeatInterval=3540)"},
		{"too many folders", pinging(80, many...), fmt.Sprintf("Ping(Status=6 MaxFolders=%d)", maxPingFolders)},
		{"before any FolderSync", pinging(80, inbox), "Ping(Status=7)"},
	} {
		for _, v := range []version{v121, v140, v141, v160, v161} {
			if got := short(w.phone(v).call("Ping", c.in)); got != c.want {
				t.Errorf("%s, %v: %s, want %s", c.name, v, got, c.want)
			}
		}
	}
}

func TestPingHearsOfChanges(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	inbox, sent := folderID(w.mailbox("INBOX").ID), folderID(w.mailbox("Sent").ID)
	first := w.put("INBOX", "Subject: x\r\n\r\n")
	key := p.inStep("INBOX", "0")
	p.inStep("Sent", "0")
	for round := range 3 {
		answer := p.begin(pinging(80, sent, inbox, inbox, "outbox", "99999"))
		w.change(func(tx store.Tx) error { // a flag, and mail in a folder that it does not ask about
			add, _ := mail.NewFlags(fmt.Sprintf("word%d", round))
			_, err := tx.StoreFlags(first.Mailbox, mail.MakeUIDSet(first.UID), mail.FlagChange{Add: add}, nil)
			return err
		})
		heard(t, answer, "Ping(Status=2 Folders(Folder="+inbox+"))")
		key = p.inStep("INBOX", key)
	}
	answer := p.begin(nil) // as before
	w.put("Sent", "Subject: x\r\n\r\n")
	heard(t, answer, "Ping(Status=2 Folders(Folder="+sent+"))")
	w.put("INBOX", "Subject: y\r\n\r\n")
	heard(t, p.begin(pinging(0, inbox)), "Ping(Status=2 Folders(Folder="+inbox+"))")
	heard(t, p.begin(pinging(100)), "Ping(Status=2 Folders(Folder="+inbox+"))")
}

func TestPingHearsOfFolders(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	key := p.folderStep("0")
	p.inStep("INBOX", "0")
	answer := p.begin(pinging(80, folderID(w.mailbox("INBOX").ID)))
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(image(1))
		return err
	})
	heard(t, answer, "Ping(Status=7)")
	heard(t, p.begin(nil), "Ping(Status=7)")
	p.folderStep(key)
	answer = p.begin(nil)
	waits(t, answer)
	w.auth.EndAll(w.alice.Account, "signed out")
	heard(t, answer, "Ping(Status=1)")
}

func TestPingEndsForWhoIsBlockedAtAnotherNode(t *testing.T) {
	w := newTown(t)
	there := authtest.Beside(t, w.Store, w.auth)
	p := w.phone(v161)
	p.folderStep("0")
	p.inStep("INBOX", "0")
	answer := p.begin(pinging(80, folderID(w.mailbox("INBOX").ID)))
	waits(t, answer)
	for id := range w.auth.Connected(w.alice.Account) {
		if err := there.SetAccess(t.Context(), deliverytest.By, w.alice.Account, id, mail.Blocked); err != nil {
			t.Fatal(err)
		}
	}
	heard(t, answer, "Ping(Status=1)")
}

// What a device did itself is no news to it; what others do is.
func TestPingPassesOverTheDevicesOwnChanges(t *testing.T) {
	w := newTown(t)
	p, other := w.phone(v161), w.phone(v161)
	other.id = "PHONE2"
	w.put("INBOX", "Subject: x\r\n\r\n")
	inbox := folderID(w.mailbox("INBOX").ID)
	for _, d := range []*phone{p, other} {
		d.folderStep("0")
	}
	key := p.inStep("INBOX", "0")
	other.inStep("INBOX", "0")
	mine, others := p.begin(pinging(80, inbox)), other.begin(pinging(80, inbox))
	item := fmt.Sprintf("%s:%d", inbox, 1)
	if l := w.lineages("INBOX"); len(l) == 1 {
		item = l[0]
	}
	a := p.call("Sync", wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
		wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.AirSyncCollectionId, inbox), wbxml.New(wbxml.AirSyncCommands,
			wbxml.New(wbxml.AirSyncChange, wbxml.Text(wbxml.AirSyncServerId, item), wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailRead, "1"))))))))
	if c := a.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection); c.Get(wbxml.AirSyncStatus) != "1" || c.Has(wbxml.AirSyncResponses) {
		t.Fatal(short(a))
	}
	heard(t, others, "Ping(Status=2 Folders(Folder="+inbox+"))")
	waits(t, mine)
	w.put("INBOX", "Subject: y\r\n\r\n")
	heard(t, mine, "Ping(Status=2 Folders(Folder="+inbox+"))")
}

// lineages are the ids of the items of a mailbox.
func (w *town) lineages(path string) (ids []string) {
	w.T.Helper()
	mb := w.mailbox(path)
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement, _ *mail.Message) error {
			ids = append(ids, itemID(mb.ID, p.Lineage))
			return nil
		})
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return ids
}

// A device that asks again and again without a Sync that brings something is slowed
// down.
func TestAHotPingLoopCoolsDown(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	key := p.inStep("INBOX", "0")
	w.put("INBOX", "Subject: x\r\n\r\n")
	inbox := folderID(w.mailbox("INBOX").ID)
	const answer = "Ping(Status=2 Folders(Folder="
	for range vainWakes {
		heard(t, p.begin(pinging(80, inbox)), answer+inbox+"))")
	}
	ping := func() time.Duration {
		began := time.Now()
		heard(t, p.begin(pinging(80, inbox)), answer+inbox+"))")
		return time.Since(began)
	}
	const tries = 10 // a machine that stands still makes the pause pass, or an answer late
	slowest := time.Duration(0)
	for n := 0; n < tries && slowest < 500*time.Millisecond; n++ {
		slowest = max(slowest, ping())
	}
	if slowest < 500*time.Millisecond {
		t.Errorf("answered after %v", slowest)
	}
	fastest := time.Duration(math.MaxInt64)
	for n := 0; n < tries && fastest > 5*wakePause; n++ {
		p.inStep("INBOX", key)
		w.put("INBOX", "Subject: y\r\n\r\n")
		fastest = min(fastest, ping())
	}
	if fastest > 5*wakePause {
		t.Errorf("answered after %v, although its Sync brought something", fastest)
	}
}

// A Sync that waits is answered as a Ping is, with what is new.
func TestAWaitingSyncTellsWhatIsNew(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	key := p.inStep("INBOX", "0")
	inbox := folderID(w.mailbox("INBOX").ID)
	waiting := func(wait *wbxml.Element) *wbxml.Element {
		return wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
			wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.AirSyncCollectionId, inbox))), wait)
	}
	for _, wait := range []*wbxml.Element{wbxml.Int(wbxml.AirSyncHeartbeatInterval, 60), wbxml.Int(wbxml.AirSyncWait, 1)} {
		answer := p.beginOf("Sync", waiting(wait))
		w.put("Sent", "Subject: x\r\n\r\n")
		waits(t, answer)
		w.put("INBOX", "Subject: new\r\n\r\n")
		select {
		case got := <-answer:
			if !strings.Contains(got, "Add(") || !strings.Contains(got, "Subject=new") {
				t.Error(got)
			}
		case <-time.After(steady.Patience):
			t.Fatal("no answer")
		}
		key = p.inStep("INBOX", "0")
	}
	answer := p.beginOf("Sync", waiting(wbxml.Int(wbxml.AirSyncWait, 1)))
	ping := p.begin(pinging(80, inbox))
	heard(t, answer, "nothing") // the newer one waits in its place
	w.put("INBOX", "Subject: x\r\n\r\n")
	heard(t, ping, "Ping(Status=2 Folders(Folder="+inbox+"))")
}

// Two phones with one DeviceId do not send each other away for ever, and both hear of
// what happens.
func TestPhonesThatShareTheirIDBothWait(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	p.inStep("INBOX", "0")
	inbox := folderID(w.mailbox("INBOX").ID)
	waiting := []<-chan string{p.begin(pinging(80, inbox)), p.begin(pinging(80, inbox))}
	turns := 0
	for round := 0; round < 20; round++ {
		select {
		case got := <-waiting[round%2]:
			if got != "Ping(Status=1)" {
				t.Fatal(got)
			}
			turns++
			waiting[round%2] = p.begin(pinging(80, inbox))
		case <-time.After(20 * time.Millisecond):
		}
	}
	if turns > vainWakes {
		t.Errorf("they sent each other away %d times", turns)
	}
	for range 10 { // but not more than a few
		waiting = append(waiting, p.begin(pinging(80, inbox)))
	}
	for _, answer := range waiting[:len(waiting)-maxRelationships] {
		heard(t, answer, "Ping(Status=1)")
	}
	w.put("INBOX", "Subject: x\r\n\r\n")
	for _, answer := range waiting[len(waiting)-maxRelationships:] {
		heard(t, answer, "Ping(Status=2 Folders(Folder="+inbox+"))")
	}
}

// What is remembered outlives the server.
func TestPingIsRememberedByTheStore(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	p.inStep("INBOX", "0")
	w.put("INBOX", "Subject: x\r\n\r\n")
	inbox := folderID(w.mailbox("INBOX").ID)
	heard(t, p.begin(pinging(80, inbox)), "Ping(Status=2 Folders(Folder="+inbox+"))")
	w.start()
	heard(t, p.begin(nil), "Ping(Status=2 Folders(Folder="+inbox+"))")
}
