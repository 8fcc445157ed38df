package main

import (
	"context"
	"runtime"
	"runtime/debug"
	rtm "runtime/metrics"
	"time"

	"lockstep/internal/auth"
)

// Memory that a busy time took is given back when it is quiet: nobody signs in for a
// minute, which takes 19 MiB for each password that is hashed, or a minute long next to
// nothing is done at all. A server of which nobody wants anything then is as small as
// one that was just started.
const (
	quietFor   = time.Minute
	quietEvery = 30 * time.Second
	quietBytes = 4 << 20  // that may be allocated within quietEvery
	worthBytes = 16 << 20 // that were allocated since memory was given back last: less is not worth it
)

// stillness watches whether memory is to be given back. Used by one goroutine.
type stillness struct {
	freed time.Time // the last hash that memory was given back after
	spent uint64    // bytes that had been allocated by then
	seen  uint64    // and when it was looked last
	still time.Duration
}

// due is asked every quietEvery: when a password was hashed last, and how many bytes
// the process has allocated since it began.
func (s *stillness) due(hashed time.Time, allocated uint64, now time.Time) bool {
	if allocated-s.seen > quietBytes {
		s.still = 0
	} else {
		s.still += quietEvery
	}
	s.seen = allocated
	signedIn := hashed.After(s.freed) && now.Sub(hashed) >= quietFor
	worked := s.still >= quietFor && allocated-s.spent >= worthBytes
	if signedIn {
		s.freed = hashed
	}
	if signedIn || worked {
		s.spent = allocated
	}
	return signedIn || worked
}

// watchMemory gives memory back whenever it is quiet.
func (h *house) watchMemory(ctx context.Context) error {
	t := time.NewTicker(quietEvery)
	defer t.Stop()
	var s stillness
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if s.due(auth.LastHash(), allocated(), time.Now()) {
				h.giveBackMemory(ctx)
			}
		}
	}
}

// giveBackMemory frees what the parts keep so that they need not read it again, and
// what the runtime keeps for the next who wants some.
func (h *house) giveBackMemory(ctx context.Context) {
	if err := h.db.ReleaseMemory(); err != nil {
		h.log.ErrorContext(ctx, "memory", "err", err)
	}
	h.search.ReleaseMemory()
	runtime.GC() // what pools keep goes with the second
	debug.FreeOSMemory()
}

// allocated is how many bytes the process has allocated since it began.
func allocated() uint64 {
	sample := []rtm.Sample{{Name: "/gc/heap/allocs:bytes"}}
	rtm.Read(sample)
	return sample[0].Value.Uint64()
}
