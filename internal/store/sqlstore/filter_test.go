package sqlstore

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func blobName(n int) mail.BlobName { return mail.BlobName(sha256.Sum256(fmt.Append(nil, n))) }

// ready asks for a name, and waits until all are read.
func (h home) ready() {
	h.t.Helper()
	h.naming.known.absent(blobName(-1))
	for range 10_000 {
		h.naming.known.mu.RLock()
		ready := h.naming.known.ready
		h.naming.known.mu.RUnlock()
		if ready {
			return
		}
		time.Sleep(time.Millisecond)
	}
	h.t.Fatal("the names of blobs are not read")
}

// What is there is never denied: before, while and after the names are read; what
// is not there nearly always is.
func TestNoBlobIsDeniedThatIsThere(t *testing.T) {
	h := newHome(t, Options{})
	put := func(n int) {
		h.update(func(tx store.Tx) error {
			a := arrival(n)
			a.Blob.Name = blobName(n)
			_, err := tx.Append(h.inbox, a)
			return err
		})
	}
	there := func(n int) {
		t.Helper()
		if _, found, err := h.Blobs().Blob(t.Context(), blobName(n)); err != nil || !found {
			t.Fatalf("blob %d is denied: %v", n, err)
		}
	}
	const blobs = 200
	var both sync.WaitGroup
	both.Go(func() {
		for n := range blobs {
			put(n)
			there(n)
		}
	})
	for range 5 { // as when it has become too small
		h.ready()
		h.naming.known.full <- struct{}{}
	}
	both.Wait()
	h.ready()
	denied := 0
	for n := range blobs {
		there(n)
		if h.naming.known.absent(blobName(1_000_000 + n)) {
			denied++
		}
	}
	if denied < blobs*9/10 {
		t.Errorf("%d of %d that are not there are known not to be", denied, blobs)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), h.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	h.DB = db
	h.ready()
	there(blobs / 2)
	statements := func() int64 {
		n := int64(0)
		err := h.ask(t.Context(), func(c conn) error { n = c.statements(); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := statements()
	for n := range 10 {
		if _, found, err := h.Blobs().Blob(t.Context(), blobName(2_000_000+n)); err != nil || found {
			t.Fatal(found, err)
		}
	}
	if asked := statements() - before; asked > 3 {
		t.Errorf("the database was asked %d times for what is not there", asked)
	}
}

// A filter that fills up is made anew, larger.
func TestTheFilterGrows(t *testing.T) {
	f := nameFilter{full: make(chan struct{}, 1)}
	f.begin(100)
	for n := range 50 {
		f.add(blobName(n))
	}
	if !f.complete() {
		t.Fatal("half full is not good enough")
	}
	for n := range 51 {
		f.add(blobName(100 + n))
	}
	select {
	case <-f.full:
	default:
		t.Error("it is full, and nobody is told")
	}
	f.begin(100)
	for n := range 51 {
		f.add(blobName(n))
	}
	if f.complete() {
		t.Error("it was called good enough with more than half of its room taken")
	}
}
