package sqlstore

import (
	"bytes"
	"os"
	"testing"
)

// What a disk that failed left of a first start is no database, and in nobody's way.
func TestAFileThatNeverWasADatabaseBecomesOne(t *testing.T) {
	for name, c := range map[string]struct {
		is    []byte
		log   bool
		opens bool
	}{
		"nothing":           {nil, false, true},
		"zeros":             {make([]byte, unbornBytes), false, true},
		"a sector of zeros": {make([]byte, 512), false, true},
		"more zeros":        {make([]byte, unbornBytes+1), false, false},
		"something else":    {bytes.Repeat([]byte("x"), unbornBytes), false, false},
		"zeros with a log":  {make([]byte, unbornBytes), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if c.log { // one that is not read as a log: the file is left alone all the same
				if err := os.WriteFile(s.path("lockstep.db-wal"), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(s.path("lockstep.db"), c.is, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), s.path("lockstep.db"), s.o)
			if (err == nil) != c.opens {
				t.Error(err)
			}
			if err == nil {
				db.Close()
				return
			}
			if b, err := os.ReadFile(s.path("lockstep.db")); err != nil || !bytes.Equal(b, c.is) {
				t.Error("what was refused was changed", err)
			}
		})
	}
}
