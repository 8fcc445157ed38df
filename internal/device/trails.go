package device

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// CursorPrefix begins the names of all cursors of an ActiveSync device. A DeviceId
// has no slash.
func CursorPrefix(deviceID string) string { return allCursors + deviceID + "/" }

const (
	allCursors  = "eas/"
	trailCursor = "trail"
)

// Who names a conversation: an account's device, and the DeviceId it goes by. A
// device with an app password may go by several.
type Who struct {
	Account  mail.AccountID
	Device   mail.DeviceID
	DeviceID string
}

// Trails keeps the trails of devices: in memory what happens, in the store, lazily,
// what is to outlive the process. Safe for concurrent use; make it with NewTrails.
type Trails struct {
	store store.Store
	log   *slog.Logger
	now   func() time.Time

	mu    sync.Mutex
	live  map[Who]*list.Element // of *walk
	order list.List             // the last used first
}

// walk is a trail in memory.
type walk struct {
	who Who

	mu      sync.Mutex
	trail   Trail
	read    bool // from the store
	dirty   bool
	written time.Time
}

// When a trail is written: most commands change nothing that anybody will ask for
// after a crash, and each write costs a sync. What is in memory takes some 3 KiB for
// each device; with more devices at once than there is room for, each command may cost
// a read and a write.
const (
	writeEach       = 10 * time.Minute
	writeUrgentEach = 5 * time.Second
	maxLiveTrails   = 20_000
)

// NewTrails returns Trails that lie in the accounts' cursors.
func NewTrails(st store.Store, log *slog.Logger) *Trails {
	return &Trails{store: st, log: log, now: time.Now, live: map[Who]*list.Element{}}
}

// Note changes a trail. What is urgent is written soon: that a device has to start
// over, and why, is asked for later. Who without a device, or a DeviceId, leaves
// none.
func (t *Trails) Note(ctx context.Context, who Who, urgent bool, change func(*Trail)) {
	if who.Device == 0 || who.DeviceID == "" {
		return
	}
	w := t.walk(ctx, who)
	w.mu.Lock()
	defer w.mu.Unlock()
	t.readOnce(ctx, w)
	change(&w.trail)
	w.dirty = true
	each := writeEach
	if urgent {
		each = writeUrgentEach
	}
	if t.now().Sub(w.written) >= each {
		t.write(ctx, w)
	}
}

// walk finds the trail in memory, or makes room for it.
func (t *Trails) walk(ctx context.Context, who Who) *walk {
	t.mu.Lock()
	if e := t.live[who]; e != nil {
		t.order.MoveToFront(e)
		t.mu.Unlock()
		return e.Value.(*walk)
	}
	w := &walk{who: who}
	t.live[who] = t.order.PushFront(w)
	var old *walk
	if t.order.Len() > maxLiveTrails {
		old = t.order.Remove(t.order.Back()).(*walk)
		delete(t.live, old.who)
	}
	t.mu.Unlock()
	if old != nil {
		t.settle(ctx, old)
	}
	return w
}

// readOnce reads what an earlier process left. The caller holds w.mu.
func (t *Trails) readOnce(ctx context.Context, w *walk) {
	if w.read {
		return
	}
	w.read = true
	err := t.store.View(ctx, w.who.Account, func(r store.Reader) error {
		stored, err := r.Cursor(w.who.Device, CursorPrefix(w.who.DeviceID)+trailCursor)
		if err == nil {
			w.trail = ReadTrail(stored)
		}
		return err
	})
	if err != nil && mail.KindOf(err) != mail.NotFound {
		t.log.WarnContext(ctx, "trail of a device not read", "err", err)
	}
}

// write writes the trail down. The caller holds w.mu. One that fails is tried again
// with the next change: nobody's mail depends on it.
func (t *Trails) write(ctx context.Context, w *walk) {
	stored, err := w.trail.Encode()
	if err == nil {
		err = t.store.Note(ctx, w.who.Account, func(n store.Notes) error {
			return n.SetCursor(w.who.Device, CursorPrefix(w.who.DeviceID)+trailCursor, stored)
		})
	}
	if err != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "trail of a device not written", "err", err)
	}
	w.written, w.dirty = t.now(), err != nil
}

func (t *Trails) settle(ctx context.Context, w *walk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dirty {
		t.write(ctx, w)
	}
}

// Flush writes down all that is not.
func (t *Trails) Flush(ctx context.Context) {
	t.mu.Lock()
	var all []*walk
	for e := t.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*walk))
	}
	t.mu.Unlock()
	for _, w := range all {
		t.settle(ctx, w)
	}
}

// Of returns the trails of a device, by the DeviceIds it goes by.
func (t *Trails) Of(ctx context.Context, account mail.AccountID, device mail.DeviceID) (map[string]Trail, error) {
	found := map[string]Trail{}
	err := t.store.View(ctx, account, func(r store.Reader) error {
		clear(found)
		ids, err := DeviceIDs(r, device)
		for _, id := range ids {
			stored, err := r.Cursor(device, CursorPrefix(id)+trailCursor)
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return err
			}
			found[id] = ReadTrail(stored)
		}
		return err
	})
	for _, w := range t.liveOf(account, device) {
		w.mu.Lock()
		if w.read {
			found[w.who.DeviceID] = w.trail.clone()
		}
		w.mu.Unlock()
	}
	return found, err
}

func (t *Trails) liveOf(account mail.AccountID, device mail.DeviceID) []*walk {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*walk
	for who, e := range t.live {
		if who.Account == account && who.Device == device {
			all = append(all, e.Value.(*walk))
		}
	}
	return all
}

// DeviceIDs returns the DeviceIds that a device goes by, sorted: those that have
// state.
func DeviceIDs(r store.Reader, device mail.DeviceID) ([]string, error) {
	names, err := r.Cursors(device, allCursors)
	var ids []string
	for _, name := range names {
		id, _, _ := strings.Cut(strings.TrimPrefix(name, allCursors), "/")
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}
