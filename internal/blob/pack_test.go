package blob

import (
	"testing"
	"time"

	"lockstep/internal/vfs/faulty"
)

// A server that was restored and the one that it replaces number packs apart, also when
// both have a clock that is behind.
func TestPacksOfTwoServersWithAClockBehindAreNumberedApart(t *testing.T) {
	newest := packID(time.Now().Add(24 * time.Hour).UnixMilli())
	given := map[packID]bool{newest: true}
	for range 2 {
		fsys := faulty.New(1)
		if err := fsys.MkdirAll("/packs"); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create("/packs/" + newest.String() + PackSuffix)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPacks(fsys, "/packs", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			id := p.reserve()
			if given[id] || id <= newest || id > newest+packLeap+10 {
				t.Errorf("%v is given, after %v", id, newest)
			}
			given[id] = true
		}
	}
}
