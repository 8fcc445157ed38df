package backup

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// An extent that is read in any way ends with what belongs to the bytes that were read.
func TestExtentsAreReadInAnyOrder(t *testing.T) {
	seals, err := newPackSealer("id", make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	e := extent{"0000000000ab", 0, int64(len(data))}
	mac := seals.mac(e)
	mac.Write(data)
	want := append(bytes.Clone(data), mac.Sum(nil)...)
	r := newExtentReader(seals, e, bytes.NewReader(data))
	if err := iotest.TestReader(r, want); err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{700_000, 0, int64(len(data)) + 5, 3} {
		if _, err := r.Seek(from, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want[from:]) {
			t.Errorf("from %d: %d bytes, %v", from, len(got), err)
		}
	}
	// A byte that changes between two readings is told in each as it was.
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(data)
	changed[5] = 0
	r.x = bytes.NewReader(changed)
	mac = seals.mac(e)
	mac.Write(changed)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, append(changed, mac.Sum(nil)...)) {
		t.Errorf("after a change: %v", err)
	}
}
