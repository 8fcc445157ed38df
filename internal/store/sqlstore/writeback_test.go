package sqlstore

import (
	"os"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"lockstep/internal/store"
)

// frail is the file of databases as a kernel has it whose syncs may fail: it forgets
// then what was to be written.
var frail struct {
	sync.Mutex
	once    sync.Once
	machine openFunc
	file    *lib.Tsqlite3_io_methods // of the machine
	methods uintptr                  // ours, in memory that is not Go's

	fails int            // syncs from now on
	dirty map[int64]bool // by offset
	lost  map[int64]bool // they can be read, and no sync writes them
}

// makeFrail puts a file that can fail under all databases that are opened from then on.
func makeFrail(t *testing.T) {
	logVFS.once.Do(registerLogVFS)
	frail.once.Do(func() {
		frail.machine = called[openFunc](logVFS.open)
		logVFS.open = function(openFrail)
	})
	frail.Lock()
	defer frail.Unlock()
	frail.fails, frail.dirty, frail.lost = 0, map[int64]bool{}, map[int64]bool{}
	t.Cleanup(func() { failSyncs(0) })
}

func failSyncs(n int) {
	frail.Lock()
	defer frail.Unlock()
	frail.fails = n
}

// lostPages counts what is read and will never be on disk.
func lostPages() int {
	frail.Lock()
	defer frail.Unlock()
	return len(frail.lost)
}

func openFrail(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := frail.machine(tls, vfs, name, file, flags, out)
	if rc != lib.SQLITE_OK || flags&lib.SQLITE_OPEN_MAIN_DB == 0 {
		return rc
	}
	frail.Lock()
	defer frail.Unlock()
	f := at[lib.Tsqlite3_file](file)
	if frail.file == nil {
		frail.file = at[lib.Tsqlite3_io_methods](f.FpMethods)
		frail.methods = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*frail.file)))
		m := at[lib.Tsqlite3_io_methods](frail.methods)
		*m = *frail.file
		m.FxWrite, m.FxSync = function(writeFrail), function(syncFrail)
	}
	f.FpMethods = frail.methods
	return rc
}

func writeFrail(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	frail.Lock()
	defer frail.Unlock()
	delete(frail.lost, off)
	frail.dirty[off] = true
	return called[moveFunc](frail.file.FxWrite)(tls, file, buf, n, off)
}

func syncFrail(tls *libc.TLS, file uintptr, flags int32) int32 {
	frail.Lock()
	defer frail.Unlock()
	if frail.fails > 0 {
		frail.fails--
		for off := range frail.dirty {
			frail.lost[off] = true
		}
		clear(frail.dirty)
		return lib.SQLITE_IOERR_FSYNC
	}
	clear(frail.dirty)
	return called[syncFunc](frail.file.FxSync)(tls, file, flags)
}

// copiedInParts is a database whose log was copied to its file up to where a View kept
// it, and then whole, but that the sync failed.
func copiedInParts(t *testing.T) home {
	makeFrail(t)
	h := newHome(t, Options{})
	appendSome := func(from int) {
		for i := range 20 {
			if err := h.appendOne(from + i); err != nil {
				t.Fatal(err)
			}
		}
	}
	appendSome(0)
	err := h.View(t.Context(), h.id, func(store.Reader) error {
		appendSome(100)
		h.writeBack()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if head, err := h.indexHeader(); err != nil || head.written == 0 || head.written == head.frames {
		t.Fatalf("%+v, %v: the View should have kept a part", head, err)
	}
	appendSome(200)
	failSyncs(1)
	h.writeBack()
	if lostPages() == 0 {
		t.Fatal("no sync failed")
	}
	return h
}

// A log may not begin anew, or be taken away, while pages that were copied from it are
// in memory only.
func TestWhatAFailedSyncForgotIsCopiedAnew(t *testing.T) {
	for name, end := range map[string]func(home) error{
		"when the log is written back": func(h home) error { h.writeBack(); return nil },
		"by a scour":                   func(h home) error { _, err := h.Scour(t.Context()); return err },
		"when the database is closed":  func(h home) error { return h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := copiedInParts(t)
			if err := end(h); err != nil {
				t.Fatal(err)
			}
			if n := lostPages(); n > 0 {
				t.Errorf("%d pages are lost when the power goes", n)
			}
		})
	}
}

// Readers that began before, and those that begin after, see what they should while
// the log is copied once more.
func TestReadersSeeNothingOfCopyingAnew(t *testing.T) {
	h := copiedInParts(t)
	before := stateNow(t, h.DB, h.id)
	err := h.View(t.Context(), h.id, func(r store.Reader) error {
		h.writeBack()
		if err := h.appendOne(300); err != nil {
			return err
		}
		h.writeBack()
		a, err := r.Account()
		if a.Head != before.Head || a.Emails != before.Emails {
			t.Errorf("%+v, was %+v", a, before)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := stateNow(t, h.DB, h.id); a.Emails != before.Emails+1 {
		t.Errorf("%+v after %+v", a, before)
	}
	if findings, err := h.Check(t.Context(), h.id, false); err != nil || len(findings) > 0 {
		t.Error(findings, err)
	}
}

// When even the index can't be written, the log stays: the next start copies it.
func TestTheLogStaysWhenItCannotBeCopiedAnew(t *testing.T) {
	h := copiedInParts(t)
	index := h.walIndex
	h.keeping.Lock()
	h.torn = true
	h.keeping.Unlock()
	defer index.Close()
	readOnly, err := os.Open(h.path + "-shm")
	if err != nil {
		t.Fatal(err)
	}
	h.walIndex = readOnly
	if _, err := h.copyLog("PASSIVE"); err == nil {
		t.Error("it is written back all the same")
	}
	if err := h.Close(); err == nil {
		t.Error("it is closed as if nothing were")
	}
	if _, known := basedAlone(h.path); known {
		t.Error("the log is gone")
	}
}

// What could not be synced of a scour is written once more by the next.
func TestZerosThatWereNotSyncedAreWrittenAgain(t *testing.T) {
	h := newHome(t, Options{})
	if err := h.appendOne(1); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Scour(t.Context()); err != nil || h.unzeroed {
		t.Fatal(err, h.unzeroed)
	}
	h.unzeroed = true
	if _, err := h.Scour(t.Context()); err != nil || h.unzeroed {
		t.Fatal(err, h.unzeroed)
	}
}

// The mark says of the file what was synced of it, and no more.
func TestTheMarkSaysWhatWasSynced(t *testing.T) {
	makeFrail(t)
	s := newSite(t)
	s.lives(1)
	db, id := s.open()
	defer db.Close()
	based := func() int64 {
		if err := db.Marked(t.Context()); err != nil {
			t.Fatal(err)
		}
		m, _, err := readMark(s.o.Mark)
		if err != nil {
			t.Fatal(err)
		}
		return m.Based
	}
	first := based()
	if first == 0 {
		t.Fatal("a database without a log is not known")
	}
	s.deliver(db, id, 1)
	if n := based(); n != first {
		t.Errorf("%d before anything was written back, was %d", n, first)
	}
	failSyncs(1)
	db.writeBack()
	if n := based(); n != first {
		t.Errorf("%d after a sync that failed, was %d", n, first)
	}
	db.writeBack()
	second := based()
	if second <= first {
		t.Errorf("%d after it was written back, was %d", second, first)
	}
	k := s.killed()
	k.lives(0)
	m, _, err := readMark(k.o.Mark)
	if err != nil || m.Based < second {
		t.Errorf("after a kill %d, %v, was %d", m.Based, err, second)
	}
}
