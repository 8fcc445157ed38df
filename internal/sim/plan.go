package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Plan is everything that happens in one run, in order. What a step does follows
// from its own chance and the state it meets, so that a plan stays one when steps
// are left out.
type Plan struct {
	Seed     uint64
	Accounts int
	Devices  int
	First    int // of the kinds that devices are of, in order
	Steps    []Step
}

// Step is one event.
type Step struct {
	Do     Deed
	Device int
	R      uint64
}

// A Deed is what a step does.
type Deed uint8

// The deeds.
const (
	DeedAct     Deed = iota // somebody does something with a device
	DeedSync                // a device comes into step
	DeedLeave               // a device goes offline
	DeedSend                // mail comes in
	DeedCut                 // a connection is going to break
	DeedKill                // the server is killed, in the middle of a commit or not
	DeedPower               // the power goes
	DeedDisk                // the disk fails for a while, or works again
	DeedSleep               // time passes
	DeedShift               // the server's clock is set
	DeedPrune               // history is forgotten
	DeedLose                // a device is set up anew
	DeedPulse               // who is pushed to has to be in step right now
	DeedCopy                // somebody copies the server's database
	DeedRestore             // the last such copy is put in its place
	deeds
)

var deedNames = [deeds]string{"act", "sync", "leave", "send", "cut", "kill", "power", "disk", "sleep", "shift", "prune", "lose", "pulse", "copy", "restore"}

func (d Deed) String() string { return deedNames[d] }

// odds are how often deeds happen, of a hundred.
var odds = [deeds]int{DeedAct: 45, DeedSync: 8, DeedLeave: 3, DeedSend: 12, DeedCut: 5, DeedKill: 2, DeedPower: 1, DeedDisk: 2,
	DeedSleep: 5, DeedShift: 1, DeedPrune: 1, DeedLose: 1, DeedPulse: 14}

// NewPlan thinks of a run.
func NewPlan(seed uint64, accounts, devices, steps int) Plan {
	r := rand.New(rand.NewPCG(seed, 7))
	p := Plan{Seed: seed, Accounts: accounts, Devices: devices}
	for range steps {
		p.Steps = append(p.Steps, Step{deal(r), r.IntN(devices), r.Uint64()})
	}
	return p
}

// WithRestores is the plan with an older copy of the server put in its place twice, the
// second time the same one, or a later one.
func (p Plan) WithRestores() Plan {
	r := rand.New(rand.NewPCG(p.Seed, 11))
	at := func(part int) int { return len(p.Steps)*part/10 + r.IntN(len(p.Steps)/10) }
	deeds := []struct {
		at int
		do Deed
	}{{at(8), DeedRestore}, {at(6), DeedCopy}, {at(5), DeedRestore}, {at(2), DeedCopy}} // from the end, so that places stay
	p.Steps = slices.Clone(p.Steps)
	for _, d := range deeds {
		if d.at > len(p.Steps)/2 && d.do == DeedCopy && r.IntN(2) == 0 {
			continue // the same copy comes back again
		}
		p.Steps = slices.Insert(p.Steps, d.at, Step{d.do, 0, r.Uint64()})
	}
	return p
}

func deal(r *rand.Rand) Deed {
	n := r.IntN(100)
	for d, odd := range odds {
		if n -= odd; n < 0 {
			return Deed(d)
		}
	}
	return DeedAct
}

// Shorter tries to leave out what fails needs not to fail, in at most tries runs.
func (p Plan) Shorter(tries int, fails func(Plan) bool) Plan {
	for size := len(p.Steps) / 2; size > 0; {
		left := false
		for at := 0; at < len(p.Steps) && tries > 0; {
			less := p
			less.Steps = append(append([]Step{}, p.Steps[:at]...), p.Steps[min(at+size, len(p.Steps)):]...)
			tries--
			if fails(less) {
				p, left = less, true
			} else {
				at += size
			}
		}
		if tries == 0 {
			break
		}
		if !left || size > len(p.Steps) {
			size /= 2
		}
	}
	return p
}

func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d accounts, %d devices from kind %d, %d steps:", p.Seed, p.Accounts, p.Devices, p.First, len(p.Steps))
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "\n  %s by %d (%x)", s.Do, s.Device, s.R)
	}
	return b.String()
}
