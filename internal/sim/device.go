package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// A device is one thing that syncs, with a local store of its own. It is built
// from what it was told and from nothing else.
type device interface {
	Name() string
	// Act does one thing that a person does with it; what it needs chance for
	// comes from r.
	Act(r *rand.Rand) error
	// Hear takes in what came without having been asked for.
	Hear() error
	// Sync does what was done offline, and comes into step.
	Sync() error
	// Cut lets its connection break after so many more bytes up and down.
	Cut(up, down int)
	// Leave hangs up.
	Leave()
	// Lose forgets everything it holds, as a device that was set up anew.
	Lose()
	// Pushed reports whether changes come to it while it does nothing.
	Pushed() bool
	// Heard is the end of what it said and was told.
	Heard() []string
	// Differs says how what it holds differs from the truth; only what it is shown
	// at the moment if live.
	Differs(t Truth, live bool) []string
}

// errLost is wrapped by errors of the network: the device comes back later.
var errLost = errors.New("connection lost")

// errRefused in an answer is no fault of anybody: the disk was full, say.
var errRefusedByServer = errors.New("refused")

// Truth is an account as it has to be seen.
type Truth map[string]*TruthBox // by mailbox id

// String writes everything, in order.
func (t Truth) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&b, "%s %s %d\n", id, t[id].Name, t[id].Validity)
		for _, uid := range slices.Sorted(maps.Keys(t[id].Letters)) {
			fmt.Fprintf(&b, "  %d %s %s\n", uid, t[id].Letters[uid].Token, t[id].Letters[uid].Flags)
		}
	}
	return b.String()
}

// TruthBox is a mailbox.
type TruthBox struct {
	Name     string
	Validity uint32
	Letters  map[uint32]Letter       // by UID
	Emails   map[uint32]string       // their email ids, by UID; only the truth knows them
	Versions map[uint32]mail.Version // so too; nil where the truth is what a device saw
}

// superseded reports whether there is a newer version of a letter among others.
func (b *TruthBox) superseded(uid uint32, others map[uint32]bool) bool {
	v, known := b.Versions[uid]
	for other := range others {
		if w := b.Versions[other]; known && w.Lineage.Line() == v.Lineage.Line() && w.Compare(v) > 0 {
			return true
		}
	}
	return false
}

// maybeSuperseded reports whether there is a newer letter of the same draft among
// others, where nobody knows the versions: a device that was cut off between saving a
// draft and removing the one before may have left both, and a view of lines shows one.
func (b *TruthBox) maybeSuperseded(uid uint32, others map[uint32]bool) bool {
	l := b.Letters[uid]
	if b.Versions != nil || withFlag(l.Flags, `\Draft`) != l.Flags {
		return false
	}
	for other := range others {
		if other > uid && b.Letters[other].Token == l.Token {
			return true
		}
	}
	return false
}

// unread counts what is not \Seen.
func (b *TruthBox) unread() int {
	n := 0
	for _, l := range b.Letters {
		if withFlag(l.Flags, `\Seen`) != l.Flags {
			n++
		}
	}
	return n
}

// Letter is a message in a mailbox as devices compare it.
type Letter struct {
	Token   string    // of its Message-ID
	Flags   string    // sorted, without \Recent
	Subject string    // the last word
	Date    time.Time // when it came
}

// wire is a connection that can break and be looked at.
type wire interface {
	net.Conn
	CutAfter(up, down int)
	Waiting() bool
}
