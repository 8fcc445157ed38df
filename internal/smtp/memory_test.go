package smtp

import (
	"bytes"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A large message passes through: what is held of it at any time is small.
func TestLargeMessageTakesLittleMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	w := newTown(t)
	c := begin(t, w.serve(LMTP, nil), "LHLO")
	c.nc.SetDeadline(time.Now().Add(time.Minute))
	c.says("DATA", "354")
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				runtime.ReadMemStats(&now)
				most.Store(max(most.Load(), now.HeapAlloc))
			}
		}
	}()
	const size = 45 << 20
	c.send("Subject: large\r\n\r\n")
	chunk := bytes.Repeat([]byte("a line of text that is neither long nor short, as lines are\r\n"), 1000)
	for sent := 0; sent < size; sent += len(chunk) {
		if _, err := c.nc.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	c.says(".", "250")
	close(stop)
	<-stopped
	if grew := int64(most.Load()) - int64(before.HeapAlloc); grew > 8<<20 {
		t.Errorf("%d bytes more were held for a message of %d", grew, size)
	} else {
		t.Logf("%d bytes more were held for a message of %d", grew, size)
	}
}

func TestNoRoomForALargeMessageIs4xx(t *testing.T) {
	w := newTown(t)
	w.Delivery.SpoolDir = filepath.Join(t.TempDir(), "gone")
	for _, role := range []string{"DATA", "BDAT"} {
		c := begin(t, w.serve(LMTP, nil), "LHLO")
		body := "Subject: x\r\n\r\n" + strings.Repeat("x", 2<<20)
		if role == "DATA" {
			c.says("DATA", "354")
			c.says(body+"\r\n.", "451 4.3.0")
		} else {
			c.send("BDAT 2097166 LAST\r\n" + body)
			c.hears("451 4.3.0")
		}
		c.says("NOOP", "250")
	}
}
