package delivery

import (
	"bytes"
	"io"
	"testing"
)

// What is held of a message never passes the bound, and what grew is not kept.
func TestSpoolMemoryOnePast(t *testing.T) {
	for _, size := range []int{0, 1, spoolStart, spoolStart + 1, spoolMemory, spoolMemory + 1, 3 * spoolMemory} {
		s := newSpool(t.TempDir())
		want := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1000)
			if _, err := s.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			if s.mem != nil && cap(*s.mem) > spoolMemory {
				t.Fatalf("%d bytes are held of a message of %d", cap(*s.mem), size)
			}
			rest = rest[n:]
		}
		if inFile := s.file != nil; inFile != (size > spoolMemory) || inFile && s.mem != nil {
			t.Errorf("%d bytes: in a file: %v, memory kept: %v", size, inFile, s.mem != nil)
		}
		if got, err := io.ReadAll(s.reader()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		s.close()
		if again := spools.Get().(*[]byte); cap(*again) != spoolStart || len(*again) != 0 {
			t.Errorf("after %d bytes a buffer of %d with %d in it is handed out", size, cap(*again), len(*again))
		}
	}
}
