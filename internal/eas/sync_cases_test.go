package eas

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// collectionOf is the one collection of an answer.
func collectionOf(root *wbxml.Element) *wbxml.Element {
	return root.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection)
}

// toldOf is what an answer tells of the collection, in short.
func toldOf(root *wbxml.Element) string {
	if root == nil {
		return "nothing"
	}
	var words []string
	if c := collectionOf(root).Child(wbxml.AirSyncCommands); c != nil {
		for _, e := range c.Children {
			words = append(words, e.Tag.Name()+" "+e.Get(wbxml.AirSyncServerId))
		}
	}
	return strings.Join(words, ", ")
}

func (h *handset) tell(commands ...*wbxml.Element) *wbxml.Element {
	h.w.T.Helper()
	root := h.exchange(h.ask(commands...))
	if root != nil {
		fitsSchema(h.w.T, "Sync", root)
	}
	h.hear(root)
	return root
}

func changeOf(id string, data ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.AirSyncChange, wbxml.Text(wbxml.AirSyncServerId, id), wbxml.New(wbxml.AirSyncApplicationData, data...))
}

func TestOwnChangesAreNotToldBackAndOthersOnlyAsFlags(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", "Subject: one\r\n\r\ntext")
	h := w.handset(v161, "INBOX")
	h.settle()
	id := itemID(h.folder.ID, p.Lineage)

	flag := wbxml.New(wbxml.EmailFlag, wbxml.Text(wbxml.EmailStatus, "2"), wbxml.Text(wbxml.EmailFlagType, "for Follow Up"))
	root := h.tell(changeOf(id, wbxml.Text(wbxml.EmailRead, "1"), flag, wbxml.New(wbxml.EmailCategories, wbxml.Text(wbxml.EmailCategory, "blue"))))
	if got := toldOf(root); got != "" || collectionOf(root).Has(wbxml.AirSyncResponses) {
		t.Errorf("a change that went well is answered with %s", short(root))
	}
	if root := h.tell(); root != nil {
		t.Errorf("told back: %s", short(root))
	}
	now := placement(t, w, p)
	if !now.Flags.Has(mail.Seen|mail.Flagged) || !now.Flags.HasKeyword("blue") {
		t.Errorf("flags %v", now.Flags)
	}

	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(p.Mailbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Remove: mail.Flags{System: mail.Seen}}, nil)
		return err
	})
	root = h.tell()
	c := collectionOf(root).Child(wbxml.AirSyncCommands)
	if len(c.Children) != 1 || c.Children[0].Tag != wbxml.AirSyncChange || c.Children[0].Child(wbxml.AirSyncApplicationData).Has(wbxml.EmailSubject) {
		t.Errorf("a flag change tells %s", short(root))
	}

	// Somebody else's change that was not told yet is told with the device's own.
	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(p.Mailbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Remove: mail.Flags{System: mail.Flagged}}, nil)
		return err
	})
	if got := toldOf(h.tell(changeOf(id, wbxml.Text(wbxml.EmailRead, "1")))); got != "Change "+id {
		t.Errorf("after both changed: %q", got)
	}
	h.agrees()
}

func placement(t *testing.T, w *town, p mail.Placement) (now mail.Placement) {
	t.Helper()
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: p.Mailbox, UIDs: mail.MakeUIDSet(p.UID)}, func(p *mail.Placement) error { now = *p; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func TestSyncSaysWhatIsWrong(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", "Subject: one\r\n\r\ntext")
	h := w.handset(v141, "INBOX")
	h.settle()
	id := itemID(h.folder.ID, p.Lineage)
	col := func(children ...*wbxml.Element) *wbxml.Element {
		return wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection, children...)))
	}
	key, folder := wbxml.Text(wbxml.AirSyncSyncKey, h.key), wbxml.Text(wbxml.AirSyncCollectionId, folderID(h.folder.ID))
	text, num, el := wbxml.Text, wbxml.Int[int], wbxml.New
	tooMany := el(wbxml.AirSyncCommands)
	for range maxSyncCommands + 1 {
		tooMany.Add(el(wbxml.AirSyncFetch, text(wbxml.AirSyncServerId, id)))
	}
	crowd := el(wbxml.AirSyncCollections)
	for i := range maxSyncCollections + 1 {
		crowd.Add(el(wbxml.AirSyncCollection, text(wbxml.AirSyncSyncKey, "0"), num(wbxml.AirSyncCollectionId, i+1)))
	}
	for _, c := range []struct {
		what string
		in   *wbxml.Element
		want string
	}{
		{"no key", col(folder), "Status=4"},
		{"no collection", col(key), "Status=4"},
		{"Supported first", col(text(wbxml.AirSyncSyncKey, "0"), el(wbxml.AirSyncSupported), folder), "Status=4"},
		{"key 0 and changes", col(text(wbxml.AirSyncSyncKey, "0"), folder, el(wbxml.AirSyncGetChanges)), "Status=4"},
		{"key 0 and commands", col(text(wbxml.AirSyncSyncKey, "0"), folder, el(wbxml.AirSyncCommands, el(wbxml.AirSyncFetch, text(wbxml.AirSyncServerId, id)))), "Status=4"},
		{"a key never given", col(text(wbxml.AirSyncSyncKey, "7-7"), folder), "SyncKey=0"},
		{"a folder that is not", col(key, text(wbxml.AirSyncCollectionId, "4711")), "Status=12"},
		{"too many commands", col(key, folder, tooMany), "Status=4"},
		{"too many collections", el(wbxml.AirSyncSync, crowd), fmt.Sprintf("Status=15 Limit=%d", maxSyncCollections)},
		{"a filter of tasks", col(key, folder, el(wbxml.AirSyncOptions, num(wbxml.AirSyncFilterType, 8))), "Status=4"},
		{"two options of a class", col(key, folder, el(wbxml.AirSyncOptions), el(wbxml.AirSyncOptions)), "Status=4"},
		{"a window that is no number", col(key, folder, text(wbxml.AirSyncWindowSize, "many")), "Status=4"},
		{"both waits", el(wbxml.AirSyncSync, el(wbxml.AirSyncCollections, el(wbxml.AirSyncCollection, key, folder)), num(wbxml.AirSyncWait, 1), num(wbxml.AirSyncHeartbeatInterval, 60)), "Status=4"},
		{"too long a wait", el(wbxml.AirSyncSync, el(wbxml.AirSyncCollections, el(wbxml.AirSyncCollection, key, folder)), num(wbxml.AirSyncWait, 60)), "Status=14 Limit=59"},
		{"too short a heartbeat", el(wbxml.AirSyncSync, el(wbxml.AirSyncCollections, el(wbxml.AirSyncCollection, key, folder)), num(wbxml.AirSyncHeartbeatInterval, 59)), "Status=14 Limit=60"},
		{"Partial, and nothing cached", el(wbxml.AirSyncSync, el(wbxml.AirSyncPartial)), "Status=13"},
	} {
		if err := h.request().noteSync(nil); err != nil {
			t.Fatal(err)
		}
		root := h.exchange(c.in)
		if got := short(root); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		fitsSchema(t, "Sync", root)
	}

	for _, c := range []struct {
		what string
		in   *wbxml.Element
		want string
	}{
		{"a change of what is gone", changeOf(folderID(h.folder.ID)+":4711", text(wbxml.EmailRead, "1")), "Change(ServerId=1:4711 Status=8)"},
		{"a subject", changeOf(id, text(wbxml.EmailSubject, "other")), "Status=6"},
		{"a flag without its dates", changeOf(id, el(wbxml.EmailFlag, text(wbxml.EmailStatus, "1"))), "Status=6"},
		{"mail that the device made", el(wbxml.AirSyncAdd, text(wbxml.AirSyncClientId, "c1"), el(wbxml.AirSyncApplicationData, text(wbxml.EmailSubject, "x"))), "Add(ClientId=c1 Status=6)"},
		{"a fetch", el(wbxml.AirSyncFetch, text(wbxml.AirSyncServerId, id)), "Status=1 ApplicationData("},
		{"a fetch of what is gone", el(wbxml.AirSyncFetch, text(wbxml.AirSyncServerId, "1:4711")), "Fetch(ServerId=1:4711 Status=8)"},
		{"a deletion of what is gone", el(wbxml.AirSyncDelete, text(wbxml.AirSyncServerId, "1:4711")), "Status=1)"},
	} {
		root := h.tell(c.in)
		if got := short(root); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestDraftsGoBothWaysUnderOneID(t *testing.T) {
	w := newTown(t)
	h := w.handset(v161, "Drafts")
	h.settle()
	data := func(subject, body string, more ...*wbxml.Element) *wbxml.Element {
		return wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailTo, `"Bob" <bob@example.test>`), wbxml.Text(wbxml.EmailSubject, subject),
			wbxml.New(wbxml.BaseBody, wbxml.Text(wbxml.BaseType, "1"), wbxml.Text(wbxml.BaseData, body))).Add(more...)
	}
	attachments := wbxml.New(wbxml.BaseAttachments, wbxml.New(wbxml.BaseAdd, wbxml.Text(wbxml.BaseClientId, "a1"), wbxml.Bytes(wbxml.BaseContent, []byte("bytes")),
		wbxml.Text(wbxml.BaseContentType, "text/plain"), wbxml.Text(wbxml.BaseDisplayName, "notes.txt"), wbxml.Text(wbxml.BaseMethod, "1")))
	in := h.ask(wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "c1"), data("first", "words", attachments)))
	lost := h.exchange(in)
	root := h.exchange(in)
	if short(lost) != short(root) {
		t.Errorf("asked again: %s, first %s", short(root), short(lost))
	}
	fitsSchema(t, "Sync", root)
	added := collectionOf(root).Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncAdd)
	id := added.Get(wbxml.AirSyncServerId)
	if added.Get(wbxml.AirSyncStatus) != "1" || id == "" || !strings.Contains(short(added), "ClientId=a1") || !strings.Contains(short(added), "FileReference=") {
		t.Fatalf("the draft is answered with %s", short(added))
	}
	h.hear(root)
	if ps := placementsIn(w, "Drafts"); len(ps) != 1 || !ps[0].Flags.Has(mail.Draft) {
		t.Fatalf("drafts: %+v", ps)
	}

	// The device edits it: same id, attachments kept, nothing comes back.
	if got := toldOf(h.tell(changeOf(id, wbxml.Text(wbxml.EmailSubject, "second")))); got != "" {
		t.Errorf("its own edit comes back: %s", got)
	}
	ps := placementsIn(w, "Drafts")
	if len(ps) != 1 || itemID(h.folder.ID, ps[0].Lineage) != id {
		t.Fatalf("after the edit: %+v", ps)
	}
	if text := w.textOf(ps[0]); !strings.Contains(text, "Subject: second") || !strings.Contains(text, "notes.txt") || !strings.Contains(text, "words") {
		t.Errorf("the draft is now\n%s", text)
	}

	// Somebody else edits it: the same item changes.
	a, err := w.Delivery.Ingest(t.Context(), strings.NewReader("To: bob@example.test\r\nSubject: third\r\n\r\ntheirs\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	a.Flags.System, a.Replaces = mail.Draft, ps[0].UID
	w.change(func(tx store.Tx) error { _, err := tx.Append(h.folder.ID, a); return err })

	// Both edited: the server's stays the item, the device's stays beside it.
	root = h.exchange(h.ask(changeOf(id, wbxml.Text(wbxml.EmailSubject, "mine"))))
	fitsSchema(t, "Sync", root)
	if got := short(collectionOf(root).Child(wbxml.AirSyncResponses)); !strings.Contains(got, "Status=7") {
		t.Errorf("a conflict is answered with %s", got)
	}
	if got := toldOf(root); !strings.Contains(got, "Change "+id) || !strings.Contains(got, "Add ") {
		t.Errorf("a conflict tells %s", got)
	}
	if ps = placementsIn(w, "Drafts"); len(ps) != 2 {
		t.Errorf("%d drafts, want both", len(ps))
	}
}

func (w *town) textOf(p mail.Placement) string {
	w.T.Helper()
	var m mail.Message
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) { m, err = r.Message(p.Message); return err })
	if err != nil {
		w.T.Fatal(err)
	}
	b, err := w.server.Blobs(w.T.Context(), m.Blob)
	if err != nil {
		w.T.Fatal(err)
	}
	defer b.Close()
	text := make([]byte, m.Size)
	if _, err := b.ReadAt(text, 0); err != nil {
		w.T.Fatal(err)
	}
	return string(text)
}

func placementsIn(w *town, path string) (all []mail.Placement) {
	mb := w.mailbox(path)
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error { all = append(all, *p); return nil })
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return all
}

func TestADraftThatIsSentLeavesTheDrafts(t *testing.T) {
	w := newTown(t)
	h := w.handset(v161, "Drafts")
	h.settle()
	root := h.tell(wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "c1"), wbxml.New(wbxml.AirSyncApplicationData,
		wbxml.Text(wbxml.EmailTo, login), wbxml.Text(wbxml.EmailSubject, "draft"), wbxml.New(wbxml.BaseBody, wbxml.Text(wbxml.BaseType, "1"), wbxml.Text(wbxml.BaseData, "words")))))
	id := collectionOf(root).Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncAdd).Get(wbxml.AirSyncServerId)
	h.holds[id] = held{}
	in := h.ask(changeOf(id, wbxml.New(wbxml.Email2Send), wbxml.Text(wbxml.EmailSubject, "sent")))
	h.exchange(in)
	root = h.exchange(in)
	fitsSchema(t, "Sync", root)
	if got := toldOf(root); got != "Delete "+id {
		t.Errorf("the device is told %q", got)
	}
	if n := len(placementsIn(w, "Drafts")); n != 0 {
		t.Errorf("%d drafts are left", n)
	}
	if n := len(placementsIn(w, "Sent")); n != 1 {
		t.Errorf("%d copies in Sent", n)
	}
	h.hear(root)
	root = h.exchange(h.ask(wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "c2"), wbxml.New(wbxml.AirSyncApplicationData, wbxml.New(wbxml.Email2Send), wbxml.Text(wbxml.EmailTo, "nobody at all")))))
	if got := short(root); !strings.Contains(got, "Status=183") {
		t.Errorf("recipients that are none: %s", got)
	}
}

// The server dies between what the device did and its answer.
func TestWhatWasDoneBeforeACrashIsNotDoneAgain(t *testing.T) {
	w := newTown(t)
	h := w.handset(v161, "Drafts")
	h.settle()
	in := h.ask(wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "c1"), wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailSubject, "draft"))))
	q := h.prepared(in)
	s, err := q.parseSync()
	if err != nil {
		t.Fatal(err)
	}
	x, err := q.openExchange(s.collections[0], &budget{})
	if err != nil {
		t.Fatal(err)
	}
	x.standsAt(&x.rel.Current)
	if err := x.act(); err != nil {
		t.Fatal(err)
	}
	w.start()
	root := h.exchange(in)
	if got := collectionOf(root).Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncAdd); got.Get(wbxml.AirSyncServerId) == "" {
		t.Errorf("answered with %s", short(root))
	}
	if n := len(placementsIn(w, "Drafts")); n != 1 {
		t.Errorf("%d drafts", n)
	}
}

func TestAnItemThatADeviceChokesOnIsLeftOut(t *testing.T) {
	w := newTown(t)
	for i := range 4 {
		w.mailAt("INBOX", i, time.Duration(i)*time.Hour, nil)
	}
	h := w.handset(v161, "INBOX")
	h.window = 3
	h.hear(h.exchange(h.ask()))
	poison := itemID(h.folder.ID, placementsIn(w, "INBOX")[1].Lineage)
	for range 60 {
		root := h.exchange(h.ask())
		if root == nil {
			break
		}
		if !strings.Contains(toldOf(root)+",", poison+",") {
			h.hear(root)
		}
	}
	if len(h.holds) != 3 {
		t.Errorf("the device holds %d of 3 others", len(h.holds))
	}
	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.folder.ID, mail.MakeUIDSet(2), mail.FlagChange{Add: mail.Flags{System: mail.Seen}}, nil)
		return err
	})
	if got := toldOf(h.exchange(h.ask())); got != "Add "+poison {
		t.Errorf("when something became of it the device is told %q", got)
	}
}

// An answer that never came to the device says nothing of whether it can take it in:
// connections that break, however often, cost no item.
func TestNothingIsLeftOutWhenConnectionsBreak(t *testing.T) {
	w := newTown(t)
	for i := range 4 {
		w.mailAt("INBOX", i, time.Duration(i)*time.Hour, nil)
	}
	h := w.handset(v161, "INBOX")
	h.window = 3
	h.hear(h.exchange(h.ask()))
	for range 6 {
		h.hangsUp = true
		for range 4 * triesBeforeSingly {
			h.exchange(h.ask())
		}
		h.hangsUp = false
		if root := h.exchange(h.ask()); root != nil {
			h.hear(root)
		}
	}
	if len(h.holds) != 4 {
		t.Errorf("the device holds %d of 4", len(h.holds))
	}
}

func TestTheWindowMovesWithTheDay(t *testing.T) {
	w := newTown(t)
	for i := range 10 {
		w.mailAt("INBOX", i, time.Duration(i)*24*time.Hour, nil)
	}
	h := w.handset(v161, "INBOX")
	h.filter = 2
	h.settle()
	h.agrees()
	was := len(h.holds)
	w.server.now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	wakes := func() (yes bool) {
		q := h.request()
		if err := q.view(func(r store.Reader) (err error) { yes, err = q.changed(r, folderID(h.folder.ID)); return err }); err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if wakes() {
		t.Error("a day that passed wakes the device")
	}
	w.mailAt("INBOX", 10, 3*24*time.Hour, nil)
	if wakes() {
		t.Error("the device is woken for what came and is too old already: Sync does not tell it")
	}
	w.mailAt("INBOX", 11, 2*24*time.Hour, nil)
	if !wakes() {
		t.Error("the device is not woken for what is in its window")
	}
	h.settle()
	h.agrees()
	if len(h.holds) != was || h.softs != 1 || h.deletes != 0 {
		t.Errorf("of %d it holds %d, after %d soft deletes and %d deletes", was, len(h.holds), h.softs, h.deletes)
	}
}

func TestTheEstimateIsWhatSyncTells(t *testing.T) {
	w := newTown(t)
	for i := range 7 {
		w.mailAt("INBOX", i, time.Duration(i)*time.Hour, nil)
	}
	h := w.handset(v141, "INBOX")
	estimate := func(key, id string) string {
		return short(h.call("GetItemEstimate", wbxml.New(wbxml.EstimateGetItemEstimate, wbxml.New(wbxml.EstimateCollections,
			wbxml.New(wbxml.EstimateCollection, wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.EstimateCollectionId, id))))))
	}
	id := folderID(h.folder.ID)
	if got := estimate("7-7", id); !strings.Contains(got, "Status=3") {
		t.Errorf("before key 0: %s", got)
	}
	h.hear(h.exchange(h.ask()))
	for _, c := range []struct{ key, id, want string }{{h.key, id, "Estimate=7"}, {"7-7", id, "Status=4"}, {h.key, "4711", "Status=2"}} {
		if got := estimate(c.key, c.id); !strings.Contains(got, c.want) {
			t.Errorf("of %s in %s: %s, want %s", c.key, c.id, got, c.want)
		}
	}
	h.settle()
	if got := estimate(h.key, id); !strings.Contains(got, "Estimate=0") {
		t.Errorf("of nothing: %s", got)
	}
}

// What was moved is told as any move is, but to a device that shows it at once: it
// would show it twice, and so hears what it became from the answer alone.
func TestMovesAreTold(t *testing.T) {
	for _, outlook := range []bool{false, true} {
		w := newTown(t)
		p := w.put("INBOX", "Subject: one\r\n\r\ntext")
		h, to := w.handset(v141, "INBOX"), w.handset(v141, "Archive")
		if outlook {
			h.kind, to.kind = "WindowsOutlook15", "WindowsOutlook15"
		}
		h.settle()
		to.settle()
		in := wbxml.New(wbxml.MoveMoveItems, wbxml.New(wbxml.MoveMove, wbxml.Text(wbxml.MoveSrcMsgId, itemID(p.Mailbox, p.Lineage)),
			wbxml.Text(wbxml.MoveSrcFldId, folderID(h.folder.ID)), wbxml.Text(wbxml.MoveDstFldId, folderID(to.folder.ID))))
		first, again := short(h.call("MoveItems", in)), short(h.call("MoveItems", in))
		if !strings.Contains(first, "Status=3 DstMsgId="+folderID(to.folder.ID)+":") || (first == again) != outlook || !outlook && !strings.Contains(again, "Status=1)") {
			t.Errorf("moved: %s, again: %s", first, again)
		}
		if got := toldOf(h.exchange(h.ask())); got != "Delete "+itemID(p.Mailbox, p.Lineage) {
			t.Errorf("the source tells %s", got)
		}
		if root := to.exchange(to.ask()); (root == nil) != outlook {
			t.Errorf("outlook %v: the target tells %s", outlook, toldOf(root))
		}
		for _, c := range []struct{ id, from, to, want string }{
			{"1:4711", "1", "2", "Status=1"}, {"1:4711", "1", "1", "Status=4"}, {"1:4711", "1", "4711", "Status=2"}, {"nonsense", "1", "2", "Status=1"},
		} {
			got := short(h.call("MoveItems", wbxml.New(wbxml.MoveMoveItems, wbxml.New(wbxml.MoveMove, wbxml.Text(wbxml.MoveSrcMsgId, c.id), wbxml.Text(wbxml.MoveSrcFldId, c.from), wbxml.Text(wbxml.MoveDstFldId, c.to)))))
			if !strings.Contains(got, c.want) {
				t.Errorf("%v: %s", c, got)
			}
		}
	}
}

// An empty request is the last one again; what is cached outlives a restart.
func TestAnEmptySyncIsTheLastOneAgain(t *testing.T) {
	w := newTown(t)
	h := w.handset(v161, "INBOX")
	h.settle()
	w.start()
	if root := h.exchange(nil); root != nil {
		t.Errorf("nothing new: %s", short(root))
	}
	w.put("INBOX", "Subject: one\r\n\r\ntext")
	root := h.exchange(nil)
	if !strings.HasPrefix(toldOf(root), "Add ") {
		t.Errorf("something new: %s", short(root))
	}
	if again := h.exchange(nil); !bytes.Equal([]byte(short(again)), []byte(short(root))) {
		t.Errorf("the answer was lost: %s, first %s", short(again), short(root))
	}
}

// Who asks again and again, with its options each time, costs no write.
func TestNothingNewWritesNothing(t *testing.T) {
	w := newTown(t)
	w.put("INBOX", "Subject: one\r\n\r\ntext")
	h := w.handset(v161, "INBOX")
	h.settle()
	state := func() (raw []byte) {
		q := h.request()
		err := q.view(func(r store.Reader) (err error) {
			_, raw, err = q.loadCollection(r, folderID(h.folder.ID))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	before := state()
	w.put("Archive", "Subject: elsewhere\r\n\r\ntext")
	for range 3 {
		h.options = true
		if root := h.exchange(h.ask()); root != nil {
			t.Errorf("told %s", short(root))
		}
	}
	if !bytes.Equal(before, state()) {
		t.Error("what is remembered was written anew")
	}
}

// A draft that is marked and written in one request is both.
func TestADraftThatIsMarkedAndWritten(t *testing.T) {
	w := newTown(t)
	h := w.handset(v161, "Drafts")
	h.settle()
	root := h.tell(wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "c1"), wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailSubject, "first"))))
	id := collectionOf(root).Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncAdd).Get(wbxml.AirSyncServerId)
	h.tell(changeOf(id, wbxml.New(wbxml.EmailCategories, wbxml.Text(wbxml.EmailCategory, "work"))), changeOf(id, wbxml.Text(wbxml.EmailSubject, "second")))
	ps := placementsIn(w, "Drafts")
	if len(ps) != 1 || !slices.Contains(ps[0].Flags.Names(), "work") || !strings.Contains(w.textOf(ps[0]), "Subject: second") {
		t.Errorf("got %+v", ps)
	}
}

func TestTwoChangesOfAnItemInOneRequest(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", "Subject: one\r\n\r\ntext")
	h := w.handset(v161, "INBOX")
	h.settle()
	id := itemID(h.folder.ID, p.Lineage)
	h.tell(changeOf(id, wbxml.Text(wbxml.EmailRead, "1")), changeOf(id, wbxml.Text(wbxml.EmailRead, "0")))
	if placement(t, w, p).Flags.Has(mail.Seen) {
		t.Error("the last change does not count")
	}
	if root := h.tell(); root != nil {
		t.Errorf("told back: %s", short(root))
	}
}
