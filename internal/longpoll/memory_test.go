package longpoll

import (
	"fmt"
	"runtime"
	"testing"
)

// memory is what is in use of heap and stacks.
func memory() int64 {
	for range 3 { // stacks shrink by half at each collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestWaitingCostsLittle holds many requests and looks at what each costs. The
// clients are in the same process, and what they take is taken off.
func TestWaitingCostsLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	const n = 300
	for _, test := range []struct {
		secure        bool
		bound, client int64
	}{{false, 2 << 10, 1400}, {true, 9 << 10, 8 << 10}} {
		t.Run(fmt.Sprintf("TLS %v", test.secure), func(t *testing.T) {
			h := newHouse(t, test.secure, nil)
			warm := h.dial().ask("/wait", "")
			h.awaitLot(1)
			before, goroutines := memory(), runtime.NumGoroutine()
			clients := make([]*client, n)
			for i := range clients {
				clients[i] = h.dial().ask(fmt.Sprintf("/wait/%d", i), fmt.Sprintf("%500d", i))
			}
			h.awaitLot(n + 1)
			each := (memory()-before)/n - test.client
			t.Logf("%d bytes each, %d goroutines more", each, runtime.NumGoroutine()-goroutines)
			if each > test.bound {
				t.Errorf("%d bytes each, want at most %d", each, test.bound)
			}
			h.await("no goroutine waits", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
			runtime.KeepAlive(warm)
			runtime.KeepAlive(clients)
		})
	}
}
