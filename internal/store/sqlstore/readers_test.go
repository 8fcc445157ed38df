package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"modernc.org/libc"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// slots is how deep the call stack of a connection's C is: 0 when nobody is inside.
func slots(c conn) int {
	return (*(**libc.TLS)(unsafe.Pointer(c.(*sqliteConn).c))).StackSlots()
}

// Closing waits for those who read, and whatever way they leave by, in the middle of
// a statement too, they leave their connection as they found it.
func TestCloseWaitsForThoseWhoReadHoweverTheyLeave(t *testing.T) {
	for round := range 8 {
		leaveSomehow(t, uint64(round))
	}
}

func leaveSomehow(t *testing.T, seed uint64) {
	h := newHome(t, Options{Readers: 4})
	h.fill(50)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for n := range uint64(12) {
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { _ = recover() }()
			rng := rand.New(rand.NewPCG(seed, n))
			for {
				err := h.View(ctx, h.id, func(r store.Reader) error { return h.readSome(r, rng) })
				if mail.KindOf(err) == mail.Unavailable || ctx.Err() != nil {
					return
				}
			}
		}()
	}
	for n := range 1 + seed {
		h.update(func(tx store.Tx) error { _, err := tx.Append(h.inbox, arrival(int(1000+n))); return err })
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	cancel()
	all.Wait()
}

// readSome reads with statements inside statements, and may leave in any of them: by
// an error, a panic, or as a test that fails does.
func (h home) readSome(r store.Reader, rng *rand.Rand) error {
	c := r.(*reader).c
	if n := slots(c); n != 0 {
		h.t.Errorf("a connection is given out that somebody is %d deep inside", n)
	}
	return r.Placements(store.PlacementQuery{Mailbox: h.inbox, UIDs: mail.MakeUIDSet(3, 4, 7, 20, 33)}, func(p *mail.Placement) error {
		if n := slots(c); n != 0 {
			h.t.Errorf("between two rows somebody is %d deep inside", n)
		}
		switch rng.IntN(60) {
		case 0:
			return fmt.Errorf("enough")
		case 1:
			panic("on purpose")
		case 2:
			runtime.Goexit()
		case 3:
			time.Sleep(time.Millisecond)
		}
		_, err := r.Message(p.Message)
		return err
	})
}

func TestAReaderIsOfItsViewAlone(t *testing.T) {
	h := newHome(t, Options{Readers: 1})
	var kept store.Reader
	h.view(func(r store.Reader) error { kept = r; return nil })
	defer func() {
		if recover() == nil {
			t.Error("a Reader works after its View")
		}
	}()
	kept.Mailboxes()
}
