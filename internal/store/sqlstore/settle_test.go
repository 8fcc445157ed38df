package sqlstore

import (
	"bytes"
	"os"
	"testing"
)

// A log that could not be settled stays, and nothing of it is written back: what it
// holds may be in memory only.
func TestALogThatIsNotSettledStays(t *testing.T) {
	s := newSite(t)
	db, id := s.open()
	for i := range 20 {
		s.deliver(db, id, i)
	}
	killed := s.killed()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(killed.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	database, log := read("lockstep.db"), read("lockstep.db-wal")
	c, err := openSettler(killed.path("lockstep.db"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := one(c, "SELECT count(*) FROM message", func(row) {}); err != nil || !n {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read("lockstep.db"), database) || !bytes.Equal(read("lockstep.db-wal"), log) {
		t.Error("it was written back")
	}
	if a := killed.lives(0); a.Emails != 20 || a.Restored != 0 {
		t.Errorf("%+v", a)
	}
}
