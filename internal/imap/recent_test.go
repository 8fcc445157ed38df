package imap

import (
	"testing"

	"lockstep/internal/imap/index"
	"lockstep/internal/mail"
)

func TestOfManyRangesTheOldestIsRecentNoLonger(t *testing.T) {
	sel := &selection{box: &index.Box{}, view: &index.Version{}}
	for n := range mail.UID(maxRecentRanges + 1) {
		sel.view.UIDNext = 3*n + 2
		sel.show(3*n + 1)
	}
	if len(sel.recent) != maxRecentRanges || sel.recent.Contains(1) || !sel.recent.Contains(4) || !sel.recent.Contains(3*maxRecentRanges+1) {
		t.Errorf("%d ranges: %s", len(sel.recent), sel.recent)
	}
}

func TestAMessageIsRecentInOneSession(t *testing.T) {
	box := &index.Box{}
	one, other := &selection{box: box, view: &index.Version{}}, &selection{box: box, view: &index.Version{}}
	one.view.UIDNext, other.view.UIDNext = 5, 8
	one.show(2)
	other.show(3)
	one.view.UIDNext = 9
	one.show(5)
	if a, b := one.recent.String(), other.recent.String(); a != "2:4,8" || b != "5:7" {
		t.Errorf("%s are recent here, and %s there", a, b)
	}
}
