package eas

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// handset is a device as it keeps one folder: what it holds, and what it last asked.
type handset struct {
	*phone
	folder  mail.Mailbox
	key     string
	window  int
	filter  int
	options bool // to be sent with the next request
	holds   map[string]held

	losses  int              // of answers in a row
	singly  bool             // so many that it may get items one by one
	cloned  bool             // another one has the same id
	own     map[string]bool  // items it changed last itself
	dirty   map[string]bool  // items others changed since it heard everything
	pending []*wbxml.Element // commands it heard no answer to
	lost    bool             // it heard no answer to its last request

	adds, changes, deletes, softs, strays int
}

// held is what a device shows of an item.
type held struct {
	subject string
	read    bool
	flagged bool
}

func (w *town) handset(v version, path string) *handset {
	return &handset{phone: w.phone(v), folder: w.mailbox(path), key: "0", window: 25, options: true, holds: map[string]held{}, own: map[string]bool{}, dirty: map[string]bool{}}
}

// prepared is a request as it comes over the wire.
func (h *handset) prepared(in *wbxml.Element) *request {
	h.w.T.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := wbxml.Encode(&body, in); err != nil {
			h.w.T.Fatal(err)
		}
	}
	q := h.request()
	q.cmd = command{name: "Sync", root: wbxml.AirSyncSync}
	q.hash = sha256.Sum256(body.Bytes())
	if in != nil {
		read, err := wbxml.Decode(&body, wbxml.Limits{})
		if err != nil {
			h.w.T.Fatal(err)
		}
		q.in = read
	}
	return q
}

// exchange sends a request and returns the answer.
func (h *handset) exchange(in *wbxml.Element) *wbxml.Element {
	h.w.T.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := wbxml.Encode(&body, in); err != nil {
			h.w.T.Fatal(err)
		}
	}
	rec := h.post(h.query("Sync"), body.Bytes())
	if rec.Code != http.StatusOK {
		h.w.T.Fatalf("Sync: HTTP %d: %s", rec.Code, rec.Body)
	}
	if rec.Body.Len() == 0 {
		return nil
	}
	e, err := wbxml.Decode(rec.Body, wbxml.Limits{})
	if err != nil {
		h.w.T.Fatal(err)
	}
	return e
}

// ask makes a request with commands.
func (h *handset) ask(commands ...*wbxml.Element) *wbxml.Element {
	c := wbxml.New(wbxml.AirSyncCollection, wbxml.Text(wbxml.AirSyncSyncKey, h.key), wbxml.Text(wbxml.AirSyncCollectionId, folderID(h.folder.ID)))
	if h.key != "0" {
		c.Add(wbxml.Int(wbxml.AirSyncWindowSize, h.window))
	}
	if h.options {
		c.Add(wbxml.New(wbxml.AirSyncOptions, wbxml.Int(wbxml.AirSyncFilterType, h.filter)))
	}
	if len(commands) > 0 {
		c.Add(wbxml.New(wbxml.AirSyncCommands, commands...))
	}
	return wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, c))
}

// hear takes an answer in, and returns whether there is more.
func (h *handset) hear(root *wbxml.Element) (more bool) {
	h.w.T.Helper()
	if root == nil {
		return false
	}
	c := root.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection)
	if h.cloned && c.Get(wbxml.AirSyncStatus) == "3" { // too many began anew under its id
		h.key, h.options, h.pending = "0", true, nil
		return true
	}
	if status := c.Get(wbxml.AirSyncStatus); status != "1" {
		h.w.T.Fatalf("status %s: %s", status, short(root))
	}
	if h.key == "0" {
		clear(h.holds)
		clear(h.own)
	}
	h.key, h.options = c.Get(wbxml.AirSyncSyncKey), false
	if commands := c.Child(wbxml.AirSyncCommands); commands != nil {
		seen := map[string]bool{}
		for _, e := range commands.Children {
			id := e.Get(wbxml.AirSyncServerId)
			if seen[id] {
				h.w.T.Errorf("%s comes twice in one answer", id)
			}
			seen[id] = true
			h.take(e, id)
		}
	}
	return c.Has(wbxml.AirSyncMoreAvailable)
}

func (h *handset) take(e *wbxml.Element, id string) {
	h.w.T.Helper()
	_, holds := h.holds[id]
	if h.own[id] && e.Tag != wbxml.AirSyncSoftDelete && !e.Child(wbxml.AirSyncApplicationData).Has(wbxml.EmailSubject) {
		h.w.T.Errorf("the device's own change of %s comes back: %s", id, short(e))
	}
	data := e.Child(wbxml.AirSyncApplicationData)
	switch e.Tag {
	case wbxml.AirSyncAdd:
		h.adds++
		if holds {
			h.w.T.Errorf("%s is added twice", id)
		}
		h.holds[id] = held{data.Get(wbxml.EmailSubject), data.Get(wbxml.EmailRead) == "1", data.Child(wbxml.EmailFlag).Get(wbxml.EmailStatus) == "2"}
	case wbxml.AirSyncChange:
		h.changes++
		if !holds {
			h.w.T.Errorf("%s changes and the device does not have it", id)
		}
		it := h.holds[id]
		if data.Has(wbxml.EmailSubject) {
			it.subject = data.Get(wbxml.EmailSubject)
		}
		if data.Has(wbxml.EmailRead) {
			it.read = data.Get(wbxml.EmailRead) == "1"
		}
		if data.Has(wbxml.EmailFlag) {
			it.flagged = data.Child(wbxml.EmailFlag).Get(wbxml.EmailStatus) == "2"
		}
		h.holds[id] = it
	case wbxml.AirSyncDelete, wbxml.AirSyncSoftDelete:
		if !holds {
			h.strays++
		}
		if e.Tag == wbxml.AirSyncDelete {
			h.deletes++
		} else {
			h.softs++
		}
		delete(h.holds, id)
		delete(h.own, id)
	default:
		h.w.T.Errorf("an unknown entry: %s", short(e))
	}
}

// settle syncs until nothing new is heard.
func (h *handset) settle() {
	h.w.T.Helper()
	for range 500 {
		first := h.key == "0"
		asked := h.pending
		h.pending = nil
		if more := h.hear(h.exchange(h.ask(asked...))); !more && !first {
			if root := h.exchange(h.ask()); root == nil {
				return
			} else {
				h.hear(root)
			}
		}
	}
	h.w.T.Fatal("the device never comes to rest")
}

// shown is what the folder's window shows, as the store has it.
func (h *handset) shown() map[string]held {
	h.w.T.Helper()
	want := map[string]held{}
	newest := map[mail.Lineage]mail.MessageKey{}
	floor := floorOf(h.filter, h.w.server.now().UTC())
	err := h.w.Store.View(h.w.T.Context(), h.w.alice.Account, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: h.folder.ID}, func(p *mail.Placement, m *mail.Message) error {
			if p.Flags.Has(mail.Deleted) || m.InternalDate.UnixMicro() < floor || newest[p.Lineage.Line()] > m.Key {
				return nil
			}
			newest[p.Lineage.Line()] = m.Key
			parsed, err := message.Decode(m.Parsed)
			if err != nil {
				return err
			}
			want[itemID(h.folder.ID, p.Lineage)] = held{parsed.Envelope.Subject, p.Flags.Has(mail.Seen), p.Flags.Has(mail.Flagged)}
			return nil
		})
	})
	if err != nil {
		h.w.T.Fatal(err)
	}
	return want
}

// agrees holds what the device has against the folder.
func (h *handset) agrees() {
	h.w.T.Helper()
	want := h.shown()
	if maps.Equal(h.holds, want) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got, ok := h.holds[id]; !ok || got != want[id] {
			h.w.T.Errorf("%s: the device has %+v (%v), the folder %+v", id, got, ok, want[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.holds)) {
		if _, ok := want[id]; !ok {
			h.w.T.Errorf("%s: the device has %+v, the folder does not", id, h.holds[id])
		}
	}
	h.w.T.FailNow()
}

// mailAt is a message that came so long ago.
func (w *town) mailAt(path string, n int, ago time.Duration, more func(*mail.Arrival)) (p mail.Placement) {
	w.T.Helper()
	a, err := w.Delivery.Ingest(w.T.Context(), strings.NewReader(fmt.Sprintf("From: bob@example.test\r\nMessage-ID: <%d@example.test>\r\nSubject: %d@example.test\r\n\r\ntext %d\r\n", n, n, n)))
	if err != nil {
		w.T.Fatal(err)
	}
	a.InternalDate = time.Now().Add(-ago)
	if more != nil {
		more(&a)
	}
	mb := w.mailbox(path)
	w.change(func(tx store.Tx) (err error) {
		p, err = tx.Append(mb.ID, a)
		return err
	})
	return p
}

func TestSyncTellsWhatIsThereNewestFirst(t *testing.T) {
	w := newTown(t)
	for i := range 30 {
		w.mailAt("INBOX", i, time.Duration(30-i)*time.Hour, nil)
	}
	h := w.handset(v141, "INBOX")
	h.window = 10
	h.hear(h.exchange(h.ask()))
	var last string
	for i := range 3 {
		root := h.exchange(h.ask())
		fitsSchema(t, "Sync", root)
		if more := h.hear(root); more != (i < 2) {
			t.Errorf("window %d: more is %v", i, more)
		}
		c := root.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection).Child(wbxml.AirSyncCommands)
		if len(c.Children) != 10 {
			t.Errorf("window %d has %d entries", i, len(c.Children))
		}
		for j, e := range c.Children {
			subject := e.Child(wbxml.AirSyncApplicationData).Get(wbxml.EmailSubject)
			if want := fmt.Sprintf("%d@example.test", 29-i*10-j); subject != want {
				t.Errorf("window %d, entry %d: %s, want %s", i, j, subject, want)
			}
			last = subject
		}
	}
	if root := h.exchange(h.ask()); root != nil {
		t.Errorf("after %s: %s", last, short(root))
	}
	h.agrees()
}

// trial is a random life of one folder and a device or two that keep it.
type trial struct {
	*town
	*rand.Rand
	t    *testing.T
	all  []*handset
	next int
	log  []string
	box  mail.MailboxID // the folder; it may be called something else at any time
}

// path is what the folder is called now.
func (l *trial) path() string {
	l.t.Helper()
	var mb mail.Mailbox
	err := l.Store.View(l.t.Context(), l.alice.Account, func(r store.Reader) (err error) { mb, err = r.Mailbox(l.box); return err })
	if err != nil {
		l.t.Fatal(err)
	}
	return mb.Path
}

// rename gives the folder another name, and another place.
func (l *trial) rename() {
	l.next++
	l.note("rename to %d", l.next)
	l.change(func(tx store.Tx) error {
		image := mail.MailboxImage{Name: fmt.Sprint("Work ", l.next)}
		if archive, err := tx.MailboxByPath("Archive"); l.IntN(2) == 0 && err == nil {
			image.Parent = archive.ID
		}
		return tx.SetMailbox(l.box, image)
	})
}

func (l *trial) note(format string, args ...any) {
	l.log = append(l.log, fmt.Sprintf(format, args...))
}

// touched says that somebody, but for one device, changed items.
func (l *trial) touched(but *handset, ids ...string) {
	for _, h := range l.all {
		for _, id := range ids {
			if h != but {
				delete(h.own, id)
				h.dirty[id] = true
			}
		}
	}
}

// placements are those of the folder.
func (l *trial) placements(path string) (all []mail.Placement) {
	mb := l.mailbox(path)
	err := l.Store.View(l.t.Context(), l.alice.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error { all = append(all, *p); return nil })
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// others does something that another device, or the world, does.
func (l *trial) others() {
	inbox, archive := l.mailbox(l.path()), l.mailbox("Archive")
	ps := l.placements(l.path())
	some := func() (set mail.UIDSet, ids []string) {
		if len(ps) == 0 {
			return nil, nil
		}
		first := l.IntN(len(ps))
		for _, p := range ps[first:min(first+1+l.IntN(4), len(ps))] {
			set.Add(p.UID)
			ids = append(ids, itemID(inbox.ID, p.Lineage))
		}
		return set, ids
	}
	ago := time.Duration(l.IntN(20*24)) * time.Hour
	switch k := l.IntN(13); {
	case k < 4 || len(ps) == 0:
		l.next++
		if l.IntN(2) == 0 {
			ago = 0
		}
		p := l.mailAt(l.path(), l.next, ago, func(a *mail.Arrival) {
			if l.IntN(8) == 0 {
				a.Flags.System = mail.Deleted
			}
		})
		l.note("append %d, %v ago, UID %d", l.next, ago, p.UID)
	case k < 7:
		set, ids := some()
		c := mail.FlagChange{Add: mail.Flags{System: mail.SystemFlags(1 << l.IntN(5))}}
		if l.IntN(2) == 0 {
			c.Add, c.Remove = c.Remove, c.Add
		}
		l.touched(nil, ids...)
		l.note("flags of %v +%v -%v", set, c.Add, c.Remove)
		l.change(func(tx store.Tx) error { _, err := tx.StoreFlags(inbox.ID, set, c, nil); return err })
	case k < 8:
		set, ids := some()
		l.touched(nil, ids...)
		l.note("expunge %v", set)
		l.change(func(tx store.Tx) error { _, err := tx.Expunge(inbox.ID, set, false); return err })
	case k < 9:
		set, ids := some()
		l.touched(nil, ids...)
		l.note("move out %v", set)
		l.change(func(tx store.Tx) error { _, err := tx.Move(inbox.ID, set, archive.ID); return err })
	case k < 10:
		l.note("move in")
		l.change(func(tx store.Tx) error { _, err := tx.Move(archive.ID, mail.AllUIDs, inbox.ID); return err })
	case k < 11:
		p := ps[l.IntN(len(ps))]
		l.next++
		l.touched(nil, itemID(inbox.ID, p.Lineage))
		goesOn := l.IntN(2) == 0
		q := l.mailAt(l.path(), l.next, ago/4, func(a *mail.Arrival) {
			if a.Replaces = p.UID; goesOn {
				a.Replaces, a.Continues = 0, p.UID
			}
		})
		l.note("edit UID %d of line %d, goes on %v, by %d, UID %d", p.UID, p.Lineage, goesOn, l.next, q.UID)
	case k < 12:
		l.undo()
	case inbox.Role == mail.NoRole:
		l.rename()
	}
}

// undo takes back what was done last, whatever it was.
func (l *trial) undo() {
	for _, h := range l.all {
		l.touched(nil, slices.Collect(maps.Keys(h.holds))...)
	}
	var act mail.ActID
	err := l.Store.View(l.t.Context(), l.alice.Account, func(r store.Reader) error {
		records, err := r.Journal(store.JournalQuery{Limit: 1 + l.IntN(3)})
		if len(records) > 0 {
			act = records[len(records)-1].Act
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.note("undo %d", act)
	_, _ = l.Store.Update(l.t.Context(), l.alice.Account, deliverytest.By, func(tx store.Tx) error { _, err := tx.Undo(act); return err })
}

// maxLosses is how many answers in a row get lost: with more the server takes an item
// for one that the device chokes on. Fewer are enough for that once it tells them one by
// one.
const maxLosses = 5

func (h *handset) mayLose() bool {
	return h.losses < maxLosses && (!h.singly || h.losses < triesBeforeSingly-1)
}

// sync is one exchange of a device over a network that loses answers. What the device
// did itself it shows at once, and says it until it hears an answer.
func (l *trial) sync(h *handset) {
	if l.IntN(6) == 0 && h.key != "0" {
		h.filter, h.options = l.IntN(5), true
	}
	h.window = []int{1, 2, 3, 5, 20, 100}[l.IntN(6)]
	ids := slices.Sorted(maps.Keys(h.holds))
	var mine []string
	if h.key != "0" && len(ids) > 0 && l.IntN(2) == 0 {
		for range 1 + l.IntN(3) {
			if id := ids[l.IntN(len(ids))]; !slices.Contains(mine, id) {
				mine = append(mine, id)
				h.pending = append(h.pending, l.command(h, id))
			}
		}
	}
	if h.key == "0" {
		h.pending = nil
	}
	in := h.ask(h.pending...)
	l.note("%s: sync %s, window %d, filter %d: %s", h.id, h.key, h.window, h.filter, short(wbxml.New(wbxml.AirSyncCommands, h.pending...)))
	root := h.exchange(in)
	for _, e := range h.pending {
		l.touched(h, e.Get(wbxml.AirSyncServerId))
	}
	quiet := true
	for range l.IntN(3) {
		if l.IntN(3) == 0 && h.mayLose() { // lost: the same once more, perhaps after something happened, or the server began anew
			if l.IntN(2) == 0 {
				l.others()
				quiet = false
			}
			if l.IntN(3) == 0 {
				l.restart()
			}
			h.losses++
			l.note("%s: the answer is lost, and it asks again: %s", h.id, short(root))
			root = h.exchange(in)
		}
	}
	if l.IntN(8) == 0 && h.mayLose() {
		h.losses++
		l.note("%s: the answer is lost: %s", h.id, short(root))
		h.lost = true
		return // what it asks next may be something else
	}
	h.singly = h.singly || h.losses >= triesBeforeSingly
	h.pending, h.losses = nil, 0
	l.note("%s: hears %s", h.id, short(root))
	if more := h.hear(root); !more && quiet && !h.lost && h.key != "0" {
		clear(h.dirty)
	}
	h.lost = false
	for _, id := range mine {
		if _, holds := h.holds[id]; holds && quiet && !h.dirty[id] {
			h.own[id] = true
		}
	}
}

// dies is whether the server ends right after an answer whose key carries where the
// device stands.
func (l *trial) dies() bool {
	yes := l.IntN(3) > 0
	l.note("the server dies: %v", yes)
	return yes
}

// restart has a server come up that knows what is remembered, and no more.
func (l *trial) restart() {
	l.start()
	l.server.dies = l.dies
}

// command is something that a device does to an item it has.
func (l *trial) command(h *handset, id string) *wbxml.Element {
	server := wbxml.Text(wbxml.AirSyncServerId, id)
	delete(h.own, id)
	if l.IntN(5) == 0 {
		delete(h.holds, id)
		return wbxml.New(wbxml.AirSyncDelete, server)
	}
	it := h.holds[id]
	it.read = l.IntN(2) == 0
	h.holds[id] = it
	return wbxml.New(wbxml.AirSyncChange, server, wbxml.New(wbxml.AirSyncApplicationData, wbxml.Bool(wbxml.EmailRead, it.read)))
}

// A person may read a message and then mark it unread before the device syncs.
func TestCommandsOfOneRequestFollowEachOther(t *testing.T) {
	w := newTown(t)
	w.mailAt("INBOX", 1, time.Hour, nil)
	h := w.handset(v161, "INBOX")
	h.settle()
	id := slices.Collect(maps.Keys(h.holds))[0]
	read := func(yes bool) *wbxml.Element {
		return wbxml.New(wbxml.AirSyncChange, wbxml.Text(wbxml.AirSyncServerId, id), wbxml.New(wbxml.AirSyncApplicationData, wbxml.Bool(wbxml.EmailRead, yes)))
	}
	h.hear(h.exchange(h.ask(read(true), read(false))))
	if h.shown()[id].read {
		t.Error("the second command was not done")
	}
	h.hear(h.exchange(h.ask(read(true), read(false), read(true))))
	if !h.shown()[id].read {
		t.Error("the third command was not done")
	}
}

func TestSyncConverges(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12}
	for n := range soakSeeds() {
		seeds = append(seeds, uint64(n)+7)
	}
	if testing.Short() {
		seeds = seeds[:2]
	}
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			l := &trial{town: newTown(t), Rand: rand.New(rand.NewPCG(seed, 1)), t: t}
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(l.log, "\n"))
				}
			}()
			l.server.dies = l.dies
			l.box = l.mailbox("INBOX").ID
			if seed%2 == 0 {
				l.change(func(tx store.Tx) error {
					mb, err := tx.CreateMailbox(mail.MailboxImage{Name: "Work"})
					l.box = mb.ID
					return err
				})
			}
			for i := range 20 {
				l.next++
				l.mailAt(l.path(), l.next, time.Duration(20-i)*24*time.Hour, nil)
			}
			for i := range 3 {
				h := l.handset(v161, l.path())
				h.id = fmt.Sprintf("PHONE%d", i%2)
				h.cloned = i%2 == 0
				l.all = append(l.all, h)
			}
			for range 120 {
				if l.IntN(2) == 0 {
					l.others()
				}
				l.sync(l.all[l.IntN(len(l.all))])
				if t.Failed() {
					return
				}
			}
			for _, h := range l.all {
				l.note("%s settles", h.id)
				h.settle()
				h.agrees()
			}
		})
	}
}

// soakSeeds is how many seeds more are tried, by the environment.
func soakSeeds() int {
	n, _ := strconv.Atoi(os.Getenv("EAS_SEEDS"))
	return n
}
