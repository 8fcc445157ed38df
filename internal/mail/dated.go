package mail

import (
	"cmp"
	"time"
)

// Dated is where a placement stands in the order of the internal dates of a mailbox;
// of equal dates the UID decides.
type Dated struct {
	Date time.Time
	UID  UID
}

// Compare orders the oldest first.
func (d Dated) Compare(e Dated) int {
	return cmp.Or(d.Date.Compare(e.Date), cmp.Compare(d.UID, e.UID))
}

// IsZero reports whether d is no place at all.
func (d Dated) IsZero() bool { return d.UID == 0 && d.Date.IsZero() }

// Version is a placement as one of the versions of its line.
type Version struct {
	Placement
	Date time.Time // the internal date of its message
	Left ModSeq    // when it left the mailbox; 0 is there
}

// Compare orders by line, then the newest message last.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Lineage.Line(), w.Lineage.Line()), cmp.Compare(v.Message, w.Message), cmp.Compare(v.UID, w.UID))
}

// Shown returns of versions of one line the one that a view of lines shows: of those
// that are there, that of the newest message; nil if none is there.
func Shown(versions []Version) *Version {
	var shown *Version
	for i := range versions {
		v := &versions[i]
		if v.Left == 0 && (shown == nil || v.Compare(*shown) > 0) {
			shown = v
		}
	}
	return shown
}
