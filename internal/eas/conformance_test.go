package eas

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// The requirements of Microsoft's documents that conformance suites look at, by the
// numbers these have there. What is tested elsewhere is not here again.

// spoken are the versions at which a conformance suite asks.
var spoken = []version{v141, v160, v161}

// syncing is a Sync of one collection with what is in it.
func syncing(key, collection string, rest ...*wbxml.Element) *wbxml.Element {
	c := wbxml.New(wbxml.AirSyncCollection, wbxml.Text(wbxml.AirSyncSyncKey, key))
	if collection != "" {
		c.Add(wbxml.Text(wbxml.AirSyncCollectionId, collection))
	}
	return wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, c.Add(rest...)))
}

func syncOptions(options ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.AirSyncOptions, options...)
}

// keyed begins a relationship and returns its key.
func (p *phone) keyed(collection string) string {
	p.w.T.Helper()
	return collectionOf(p.call("Sync", syncing("0", collection))).Get(wbxml.AirSyncSyncKey)
}

// primed brings a collection into step and returns the key.
func (p *phone) primed(collection string) string {
	p.w.T.Helper()
	key := p.keyed(collection)
	for {
		e := p.call("Sync", syncing(key, collection))
		if e == nil {
			return key
		}
		key = collectionOf(e).Get(wbxml.AirSyncSyncKey)
		if !collectionOf(e).Has(wbxml.AirSyncMoreAvailable) {
			return key
		}
	}
}

func (p *phone) inbox() string { return folderID(p.w.mailbox("INBOX").ID) }

func TestConformanceOfSyncStatus(t *testing.T) {
	many := wbxml.New(wbxml.AirSyncCommands)
	for range 201 {
		many.Add(wbxml.New(wbxml.AirSyncFetch, wbxml.Text(wbxml.AirSyncServerId, "1:1")))
	}
	filter := func(n ...int) *wbxml.Element {
		o := syncOptions()
		for _, n := range n {
			o.Add(wbxml.Int(wbxml.AirSyncFilterType, n))
		}
		return o
	}
	class := func(names ...string) *wbxml.Element {
		o := syncOptions()
		for _, n := range names {
			o.Add(wbxml.Text(wbxml.AirSyncClass, n))
		}
		return o
	}
	wait := func(t wbxml.Tag, n int) *wbxml.Element { return wbxml.Int(t, n) }
	type build func(p *phone) *wbxml.Element
	initial := func(rest ...*wbxml.Element) build {
		return func(p *phone) *wbxml.Element { return syncing("0", p.inbox(), rest...) }
	}
	later := func(rest ...*wbxml.Element) build {
		return func(p *phone) *wbxml.Element { return syncing(p.keyed(p.inbox()), p.inbox(), rest...) }
	}
	waiting := func(waits ...*wbxml.Element) build {
		return func(p *phone) *wbxml.Element { return syncing("0", p.inbox()).Add(waits...) }
	}
	for _, c := range []struct {
		requirement string
		in          build
		root        string // "" is none
		collection  string
	}{
		{"R4425 an unknown key", func(p *phone) *wbxml.Element { return syncing("a8a4bf25-02fd-4c8f-9d2d-6e8f5d3cfd20", p.inbox()) }, "", "3"},
		{"R4430 an empty Sync", func(*phone) *wbxml.Element { return wbxml.New(wbxml.AirSyncSync) }, "4", ""},
		{"R756 an item for the recipient cache", func(*phone) *wbxml.Element {
			return syncing("1", "", wbxml.New(wbxml.AirSyncCommands, wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "1"), wbxml.New(wbxml.AirSyncApplicationData))))
		}, "4", ""},
		{"R4545 no CollectionId", func(*phone) *wbxml.Element { return syncing("0", "") }, "4", ""},
		{"R4460 too long a heartbeat", waiting(wait(wbxml.AirSyncHeartbeatInterval, 3541)), "14 3540", ""},
		{"R4461 too short a heartbeat", waiting(wait(wbxml.AirSyncHeartbeatInterval, 59)), "14 60", ""},
		{"R3227 too short a wait", waiting(wait(wbxml.AirSyncWait, 0)), "14 1", ""},
		{"R3228 too long a wait", waiting(wait(wbxml.AirSyncWait, 60)), "14 59", ""},
		{"R3162 both waits", waiting(wait(wbxml.AirSyncWait, 10), wait(wbxml.AirSyncHeartbeatInterval, 1000)), "4", ""},
		{"R930 options twice of a class", later(class("Email"), class("Email")), "4", ""},
		{"R938 a class twice in options", later(class("Email", "Email")), "", "1"},
		{"R934 mail and text messages", later(class("Email"), class("SMS")), "", "1"},
		{"R3035 filter 0", initial(filter(0)), "", "1"},
		{"R3040 filter 5", initial(filter(5)), "", "1"},
		{"R3041 filter 6", initial(filter(6)), "4", ""},
		{"R3080 filter 8", initial(filter(8)), "4", ""},
		{"R3075 two filters", later(filter(0, 1)), "", "1"},
		{"R2075 Conflict twice", initial(syncOptions(wbxml.Int(wbxml.AirSyncConflict, 1), wbxml.Int(wbxml.AirSyncConflict, 1))), "", "1"},
		{"R3404 MIMESupport twice", later(syncOptions(wbxml.Int(wbxml.AirSyncMIMESupport, 0), wbxml.Int(wbxml.AirSyncMIMESupport, 1))), "", "1"},
		{"R3432 MIMETruncation twice", later(syncOptions(wbxml.Int(wbxml.AirSyncMIMETruncation, 2), wbxml.Int(wbxml.AirSyncMIMETruncation, 3))), "", "1"},
		{"R5838 changes at key 0", initial(wbxml.Int(wbxml.AirSyncGetChanges, 1)), "4", ""},
		{"R3128 changes at key 0, empty", initial(wbxml.New(wbxml.AirSyncGetChanges)), "4", ""},
		{"R5839 no changes at key 0", initial(wbxml.Int(wbxml.AirSyncGetChanges, 0)), "", "1"},
		{"MS-ASAIRS_R348 a preference out of order", later(syncOptions(wbxml.New(wbxml.BaseBodyPreference, wbxml.Int(wbxml.BaseTruncationSize, 100), wbxml.Bool(wbxml.BaseAllOrNone, true), wbxml.Int(wbxml.BaseType, 1)))), "4", ""},
		{"MS-ASAIRS_R350 AllOrNone is no boolean", later(syncOptions(bodyOf(1, 100).Add(wbxml.Text(wbxml.BaseAllOrNone, "a")))), "4", ""},
		{"MS-ASAIRS_R351 AllOrNone twice", later(syncOptions(bodyOf(1, 100).Add(wbxml.Bool(wbxml.BaseAllOrNone, true), wbxml.Bool(wbxml.BaseAllOrNone, true)))), "4", ""},
		{"R5659 more than 200 commands", later(many), "4", ""},
	} {
		t.Run(c.requirement, func(t *testing.T) {
			w := newTown(t)
			w.put("INBOX", letter)
			for _, v := range spoken {
				p := w.phone(v)
				e := p.call("Sync", c.in(p))
				root := strings.TrimSpace(e.Get(wbxml.AirSyncStatus) + " " + e.Get(wbxml.AirSyncLimit))
				if collection := collectionOf(e).Get(wbxml.AirSyncStatus); root != c.root || collection != c.collection {
					t.Errorf("%v: %s", v, short(e))
				}
			}
		})
	}
}

func TestConformanceOfEmptySync(t *testing.T) {
	for _, v := range spoken {
		w := newTown(t)
		p := w.phone(v)
		key := p.primed(p.inbox())
		if e := p.call("Sync", syncing(key, p.inbox())); e != nil {
			t.Errorf("%v, R679: %s", v, short(e))
		}
		p.keyed(p.inbox())
		if e := p.call("Sync", nil); e.Get(wbxml.AirSyncStatus) != "13" {
			t.Errorf("%v, R4456: %s", v, short(e))
		}
	}
}

// A device that asks from the key before hears of its own change, unless it says it
// again; and of what changed only.
func TestConformanceOfOwnChanges(t *testing.T) {
	at := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format("2006-01-02T15:04:05.000Z") }
	read := func(yes bool) *wbxml.Element { return wbxml.Bool(wbxml.EmailRead, yes) }
	flag := wbxml.New(wbxml.EmailFlag, wbxml.Int(wbxml.EmailStatus, 2), wbxml.Text(wbxml.EmailFlagType, "for Follow Up"),
		wbxml.Text(wbxml.TasksDueDate, at(20)), wbxml.Text(wbxml.TasksUtcDueDate, at(20)), wbxml.Text(wbxml.TasksStartDate, at(0)), wbxml.Text(wbxml.TasksUtcStartDate, at(0)))
	categories := wbxml.New(wbxml.EmailCategories, wbxml.Text(wbxml.EmailCategory, "Red"))
	for _, c := range []struct {
		requirement string
		data        []*wbxml.Element
		want        string
	}{
		{"MS-ASEMAIL_R75 Read alone", []*wbxml.Element{read(true)}, "Read"},
		{"MS-ASEMAIL_R76 Flag alone", []*wbxml.Element{flag}, "Flag"},
		{"MS-ASEMAIL_R10612 Read and Flag", []*wbxml.Element{read(true), flag}, "Read Flag"},
		{"MS-ASEMAIL_R106 all", []*wbxml.Element{read(true), flag, categories}, "Read Flag Categories"},
		{"MS-ASEMAIL_R319 Categories", []*wbxml.Element{categories}, "Categories"},
		{"MS-ASEMAIL_R8800 an empty Flag", []*wbxml.Element{wbxml.New(wbxml.EmailFlag), categories}, "Categories"},
	} {
		t.Run(c.requirement, func(t *testing.T) {
			for _, v := range spoken {
				w := newTown(t)
				p := w.phone(v)
				id := idOf(w.put("INBOX", letter))
				key := p.primed(p.inbox())
				change := wbxml.New(wbxml.AirSyncCommands, changeOf(id, c.data...))
				if e := p.call("Sync", syncing(key, p.inbox(), change)); collectionOf(e).Has(wbxml.AirSyncCommands) || collectionOf(e).Has(wbxml.AirSyncResponses) {
					t.Errorf("%v: %s", v, short(e))
				}
				e := p.call("Sync", syncing(key, p.inbox()))
				told := collectionOf(e).Child(wbxml.AirSyncCommands).Child(wbxml.AirSyncChange)
				if got := names(told.Child(wbxml.AirSyncApplicationData)); got != c.want || told.Get(wbxml.AirSyncServerId) != id {
					t.Errorf("%v: got %s, want %s", v, short(e), c.want)
				}
			}
		})
	}
}

func TestConformanceOfMIMETruncation(t *testing.T) {
	w := newTown(t)
	w.put("INBOX", "From: bob@example.test\r\nTo: alice@example.test\r\nSubject: long\r\n\r\n"+strings.Repeat(strings.Repeat("X", 78)+"\r\n", 1400))
	for n, want := range []int{0, 4096, 5120, 7168, 10240, 20480, 51200, 102400} {
		p := w.phone(v161)
		options := syncOptions(wbxml.Int(wbxml.AirSyncMIMESupport, 2), bodyOf(4, -1), wbxml.Int(wbxml.AirSyncMIMETruncation, n))
		e := p.call("Sync", syncing(p.keyed(p.inbox()), p.inbox(), options))
		body := collectionOf(e).Child(wbxml.AirSyncCommands).Child(wbxml.AirSyncAdd).Child(wbxml.AirSyncApplicationData).Child(wbxml.BaseBody)
		if got := len(body.Get(wbxml.BaseData)); got != want || body.Has(wbxml.BaseData) != (want > 0) || body.Get(wbxml.BaseType) != "4" || body.Get(wbxml.BaseTruncated) != "1" {
			t.Errorf("MS-ASCMD_R%d: %d bytes of type %s, want %d", 3418+n, got, body.Get(wbxml.BaseType), want)
		}
	}
}

// What changes again while a delta goes out in several answers comes with the next one,
// whole.
func TestWhatChangesTwiceInOneDeltaIsToldWhole(t *testing.T) {
	w := newTown(t)
	set := func(p mail.Placement, f mail.SystemFlags) {
		w.change(func(tx store.Tx) error {
			_, err := tx.StoreFlags(p.Mailbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Add: mail.Flags{System: f}}, nil)
			return err
		})
	}
	for first := range 4 {
		var all []mail.Placement
		for i := range 4 {
			all = append(all, w.mailAt("INBOX", 4*first+i, time.Hour, nil))
		}
		h := w.handset(v161, "INBOX")
		h.id = fmt.Sprintf("PHONE%d", first)
		h.settle()
		h.window = 1
		for _, p := range all {
			set(p, mail.Seen)
		}
		for i := range all {
			h.hear(h.exchange(h.ask()))
			set(all[(first+i)%4], mail.Flagged)
		}
		h.settle()
		h.agrees()
	}
}

func TestConformanceOfFlags(t *testing.T) {
	at := func(tag wbxml.Tag, days int) *wbxml.Element {
		return wbxml.Text(tag, time.Now().UTC().AddDate(0, 0, days).Format("2006-01-02T15:04:05.000Z"))
	}
	active := []*wbxml.Element{wbxml.Text(wbxml.EmailStatus, "2"), wbxml.Text(wbxml.EmailFlagType, "for Follow Up")}
	dates := func(start, utcStart, due, utcDue int) []*wbxml.Element {
		return append(active[:2:2], at(wbxml.TasksStartDate, start), at(wbxml.TasksUtcStartDate, utcStart), at(wbxml.TasksDueDate, due), at(wbxml.TasksUtcDueDate, utcDue))
	}
	whole := append(dates(0, 0, 20, 20), wbxml.Text(wbxml.TasksSubject, "tea"), wbxml.Text(wbxml.TasksReminderSet, "1"), at(wbxml.TasksReminderTime, 12),
		at(wbxml.TasksOrdinalDate, 0), wbxml.Text(wbxml.TasksSubOrdinalDate, "11/22/2026 4:00:00 AM"))
	done := []*wbxml.Element{at(wbxml.EmailCompleteTime, 0), at(wbxml.TasksDateCompleted, 0)}
	for _, c := range []struct {
		requirement string
		flag        []*wbxml.Element
		want        string // status of the Change; "" is that it went well
	}{
		{"R692", whole, ""},
		{"R757", append([]*wbxml.Element{wbxml.Text(wbxml.EmailStatus, "3"), wbxml.Text(wbxml.EmailFlagType, "for Follow Up")}, done...), "6"},
		{"R336", append([]*wbxml.Element{wbxml.Text(wbxml.EmailStatus, "1"), wbxml.Text(wbxml.EmailFlagType, "for Follow Up")}, done...), ""},
		{"R86", append([]*wbxml.Element{wbxml.Text(wbxml.EmailStatus, "1")}, done...), ""},
		{"R702", append(active[:2:2], wbxml.Text(wbxml.TasksReminderSet, "1")), "6"},
		{"R407", dates(20, 20, 10, 30), "6"},
		{"R851", dates(20, 20, 30, 0), "6"},
		{"R409", append(active[:2:2], at(wbxml.TasksStartDate, 0), at(wbxml.TasksDueDate, 20)), "6"},
		{"R850", dates(0, 0, 20, 20), ""},
		{"R90", active, ""},
		{"R92", active[:1], "6"},
		{"R941", append(active[:2:2], done...), ""},
		{"R88", []*wbxml.Element{wbxml.Text(wbxml.EmailStatus, "0")}, ""},
		{"R8800", nil, ""},
		{"R581", append(whole[:len(whole):len(whole)], at(wbxml.TasksDueDate, 20)), ""},
		{"R634", append(whole[:len(whole):len(whole)], at(wbxml.TasksOrdinalDate, 0)), ""},
		{"R697", append(whole[:len(whole):len(whole)], wbxml.Text(wbxml.TasksReminderSet, "1")), ""},
		{"R706", append(whole[:len(whole):len(whole)], at(wbxml.TasksReminderTime, 12)), ""},
		{"R746", append(whole[:len(whole):len(whole)], at(wbxml.TasksStartDate, 0)), ""},
		{"R761", append([]*wbxml.Element{wbxml.Text(wbxml.EmailStatus, "1")}, whole...), ""},
		{"R777", append(whole[:len(whole):len(whole)], wbxml.Text(wbxml.TasksSubOrdinalDate, "x")), ""},
		{"R858", append(whole[:len(whole):len(whole)], at(wbxml.TasksUtcDueDate, 20)), ""},
		{"R869", append(whole[:len(whole):len(whole)], at(wbxml.TasksUtcStartDate, 0)), ""},
	} {
		w := newTown(t)
		p := w.phone(v161)
		id := idOf(w.put("INBOX", letter))
		in := syncing(p.primed(p.inbox()), p.inbox(), wbxml.New(wbxml.AirSyncCommands, changeOf(id, wbxml.New(wbxml.EmailFlag, c.flag...))))
		said := collectionOf(p.call("Sync", in))
		if got := said.Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncChange).Get(wbxml.AirSyncStatus); got != c.want || said.Get(wbxml.AirSyncStatus) != "1" {
			t.Errorf("MS-ASEMAIL_%s: %s", c.requirement, short(said))
		}
	}
}

func TestConformanceOfReadOnlyElements(t *testing.T) {
	for _, c := range []struct {
		requirement string
		data        *wbxml.Element
	}{
		{"R643", wbxml.Text(wbxml.EmailRead, "NON_BOOL")},
		{"R723", wbxml.Text(wbxml.Email2Sender, "bob")},
		{"R648", wbxml.Text(wbxml.Email2ReceivedAsBcc, "False")},
	} {
		w := newTown(t)
		p := w.phone(v161)
		id := idOf(w.put("INBOX", letter))
		said := collectionOf(p.call("Sync", syncing(p.primed(p.inbox()), p.inbox(), wbxml.New(wbxml.AirSyncCommands, changeOf(id, c.data)))))
		if got := said.Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncChange).Get(wbxml.AirSyncStatus); got != "6" {
			t.Errorf("MS-ASEMAIL_%s: %s", c.requirement, short(said))
		}
	}
}

func TestConformanceOfGetItemEstimate(t *testing.T) {
	w := newTown(t)
	for i := range 3 {
		w.mailAt("INBOX", i, time.Hour, nil)
	}
	estimate := func(p *phone, key, collection string, options ...*wbxml.Element) *wbxml.Element {
		return p.call("GetItemEstimate", wbxml.New(wbxml.EstimateGetItemEstimate, wbxml.New(wbxml.EstimateCollections,
			wbxml.New(wbxml.EstimateCollection, wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.EstimateCollectionId, collection)).Add(options...))))
	}
	for _, v := range spoken {
		p := w.phone(v)
		key := p.keyed(p.inbox())
		filter := func(n int) *wbxml.Element { return syncOptions(wbxml.Int(wbxml.AirSyncFilterType, n)) }
		of := func(status, n int) string {
			if status != 1 {
				return fmt.Sprintf("GetItemEstimate(Response(Status=%d))", status)
			}
			return fmt.Sprintf("GetItemEstimate(Response(Status=1 Collection(CollectionId=%s Estimate=%d)))", p.inbox(), n)
		}
		for _, c := range []struct {
			requirement string
			got         *wbxml.Element
			want        string
		}{
			{"R4134", estimate(p, key, p.inbox(), syncOptions(wbxml.Text(wbxml.AirSyncClass, "Email"))), of(1, 3)},
			{"R3543", estimate(p, key, p.inbox()), of(1, 3)},
			{"R907", estimate(p, key, p.inbox(), syncOptions(wbxml.Text(wbxml.AirSyncClass, "Email")), syncOptions(wbxml.Text(wbxml.AirSyncClass, "SMS"))), of(1, 3)},
			{"R3000", estimate(p, key, p.inbox(), filter(1)), of(1, 3)},
			{"R3004", estimate(p, key, p.inbox(), filter(5)), of(1, 3)},
			{"R3005", estimate(p, key, p.inbox(), filter(6)), "GetItemEstimate(Status=110)"},
			{"R3007", estimate(p, key, p.inbox(), filter(8)), "GetItemEstimate(Status=110)"},
			{"R2984", estimate(p, key, p.inbox(), filter(9)), of(103, 0)},
			{"R4135", estimate(p, key, "InvalidCollectionId"), of(2, 0)},
			{"R4139", estimate(p, "0", p.inbox()), of(3, 0)},
			{"R4142", estimate(p, "InvalidSyncKey", p.inbox()), of(4, 0)},
			{"R4594", estimate(p, p.keyed(folderID(w.mailbox("Sent").ID)), p.inbox()), of(4, 0)},
		} {
			if got := short(c.got); got != c.want {
				t.Errorf("%v, MS-ASCMD_%s: got %s, want %s", v, c.requirement, got, c.want)
			}
		}
		many := wbxml.New(wbxml.EstimateCollections)
		for range 1001 {
			many.Add(wbxml.New(wbxml.EstimateCollection, wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.EstimateCollectionId, p.inbox())))
		}
		if got := short(p.call("GetItemEstimate", wbxml.New(wbxml.EstimateGetItemEstimate, many))); got != "GetItemEstimate(Status=103)" {
			t.Errorf("%v, MS-ASCMD_R5647: %s", v, got)
		}
	}
}

// moving asks to move messages.
func (p *phone) moving(moves ...[3]string) *wbxml.Element {
	p.w.T.Helper()
	in := wbxml.New(wbxml.MoveMoveItems)
	for _, m := range moves {
		in.Add(wbxml.New(wbxml.MoveMove, wbxml.Text(wbxml.MoveSrcMsgId, m[0]), wbxml.Text(wbxml.MoveSrcFldId, m[1]), wbxml.Text(wbxml.MoveDstFldId, m[2])))
	}
	return p.call("MoveItems", in)
}

func moveStatuses(e *wbxml.Element) string {
	var all []string
	for r := range e.All(wbxml.MoveResponse) {
		all = append(all, r.Get(wbxml.MoveStatus))
	}
	return strings.Join(all, " ")
}

func TestConformanceOfMoveItems(t *testing.T) {
	for _, v := range spoken {
		w := newTown(t)
		p := w.phone(v)
		id := idOf(w.put("INBOX", letter))
		trash, sent := folderID(w.mailbox("Trash").ID), folderID(w.mailbox("Sent").ID)
		key, before := p.primed(p.inbox()), p.primed(trash)
		for _, c := range []struct {
			requirement string
			moves       [][3]string
			want        string
		}{
			{"R4207", [][3]string{{id, "Invalid SrcFldId", trash}}, "1"},
			{"R4212", [][3]string{{id, p.inbox(), "Invalid DstFldId"}}, "2"},
			{"R4219", [][3]string{{id, p.inbox(), p.inbox()}}, "4"},
			{"R4222", [][3]string{{id, p.inbox(), trash}, {id, p.inbox(), sent}}, "3 5"},
			{"R4208", [][3]string{{id, p.inbox(), trash}}, "1"},
		} {
			if got := moveStatuses(p.moving(c.moves...)); got != c.want {
				t.Errorf("%v, MS-ASCMD_%s: got %s, want %s", v, c.requirement, got, c.want)
			}
		}
		left := collectionOf(p.call("Sync", syncing(key, p.inbox()))).Child(wbxml.AirSyncCommands)
		if got, want := short(left), fmt.Sprintf("Commands(Delete(ServerId=%s))", id); got != want {
			t.Errorf("%v, MS-ASCMD_R289: got %s, want %s", v, got, want)
		}
		came := collectionOf(p.call("Sync", syncing(before, trash))).Child(wbxml.AirSyncCommands)
		if !came.Has(wbxml.AirSyncAdd) {
			t.Errorf("%v, MS-ASCMD_R289: %s", v, short(came))
		}
	}
}

func TestConformanceOfItemOperations(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	reference := fileReference(w.email(p).EmailID, "2")
	for _, v := range spoken {
		phone := w.phone(v)
		in := func(ops ...*wbxml.Element) *wbxml.Element { return phone.items(ops...) }
		item := func(store, id string, options ...*wbxml.Element) *wbxml.Element {
			return wbxml.New(wbxml.ItemsFetch, wbxml.Text(wbxml.ItemsStore, store), wbxml.Text(wbxml.AirSyncCollectionId, phone.inbox()), wbxml.Text(wbxml.AirSyncServerId, id)).Add(optionsOf(options))
		}
		fetched := func(status int, id string) string {
			return fmt.Sprintf("ItemOperations(Status=1 Response(Fetch(Status=%d CollectionId=%s%s)))", status, phone.inbox(), id)
		}
		for _, c := range []struct {
			requirement string
			got         *wbxml.Element
			want        string
		}{
			{"R3547", in(item("Mailbox", "", wbxml.New(wbxml.ItemsRange))), "ItemOperations(Status=2)"},
			{"R4161", in(item("InvalidStore", "")), "ItemOperations(Status=1 Response(Fetch(Status=9)))"},
			{"R4158", in(item("Mailbox", "InvalidServerID")), fetched(6, " ServerId=InvalidServerID")},
			{"R4166", in(fetchFile("InvalidAttachmentID")), "ItemOperations(Status=1 Response(Fetch(Status=15 FileReference=InvalidAttachmentID)))"},
			{"R765", in(fetchFile(reference).Add(wbxml.Text(wbxml.BaseFileReference, reference))), "ItemOperations(Status=2)"},
			{"R196", in(wbxml.New(wbxml.ItemsEmptyFolderContents)), "ItemOperations(Status=1 Response(EmptyFolderContents(Status=2 CollectionId)))"},
			{"R4167", in(wbxml.New(wbxml.ItemsEmptyFolderContents, wbxml.Text(wbxml.AirSyncCollectionId, "RI"))), "ItemOperations(Status=1 Response(EmptyFolderContents(Status=16 CollectionId=RI)))"},
		} {
			if got := short(c.got); got != c.want {
				t.Errorf("%v, MS-ASCMD_%s: got %s, want %s", v, c.requirement, got, c.want)
			}
		}
	}
	if w.item("INBOX", p, nil).placement.Flags.Has(mail.Deleted) {
		t.Error("something was deleted")
	}
}
