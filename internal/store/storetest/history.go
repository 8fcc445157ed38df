package storetest

import (
	"fmt"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// proof is what must hold of every random history.
type proof struct {
	name       string
	n          int // operations; negative: of one mailbox that members share
	holds      func(h *history)
	concurrent bool // many goroutines at once
}

// proofs are all of them.
var proofs = []proof{
	{"AgreesWithTheModel", 1500, (*history).agrees, false},
	{"DeltasAreDifferences", 120, (*history).deltas, false},
	{"MembersDeltasAreDifferences", -60, (*history).deltas, false},
	{"DeltasConvergeWhileOthersWrite", 120, (*history).interleaved, false},
	{"MembersConvergeWhileOthersWrite", -100, (*history).interleaved, false},
	{"JournalRewinds", 250, (*history).rewinds, false},
	{"UndoPutsBack", 120, (*history).undoes, false},
	{"HorizonIsExact", 100, (*history).horizon, false},
	{"ARestoreStartsOver", 120, (*history).restored, false},
	{"ARestoreStartsMembersOver", -60, (*history).restored, false},
	{"ConcurrentWritersLeaveASoundAccount", 240, (*history).concurrent, true},
}

// history is a sequence of operations to be done to an engine.
type history struct {
	*trial
	ops  []op
	seed uint64
}

// shrinkFor bounds the time spent on making a failing history smaller.
const shrinkFor = 20 * time.Second

// ops are the operations of the proof's history.
func (p proof) ops(seed uint64) []op {
	if p.n < 0 {
		return sharedOps(seed, -p.n)
	}
	if p.name == "AgreesWithTheModel" {
		return withAbsences(withRestores(randomOps(seed, p.n), seed), seed)
	}
	return randomOps(seed, p.n)
}

// prove returns why the proof fails, for as short a history as can be found.
func (p proof) prove(t *trial, seed uint64) error {
	ops := p.ops(seed)
	err := p.fails(t, seed, ops)
	if err == nil {
		return nil
	}
	until := time.Now().Add(shrinkFor)
	for size := len(ops) / 2; size > 0; size /= 2 {
		for at := 0; at < len(ops) && time.Now().Before(until); {
			fewer := append(append([]op{}, ops[:at]...), ops[min(at+size, len(ops)):]...)
			if e := p.fails(t, seed, fewer); e != nil {
				ops, err = fewer, e
			} else {
				at += size
			}
		}
	}
	return fmt.Errorf("seed %d: %w\nthe history, made smaller:\n%s", seed, err, describe(ops))
}

func (p proof) fails(t *trial, seed uint64, ops []op) error {
	return try(func() { p.holds(&history{t, ops, seed}) })
}

func describe(ops []op) string {
	var b strings.Builder
	for i, o := range ops {
		fmt.Fprintf(&b, "%4d %v\n", i, o)
	}
	return b.String()
}

// everyStep is how many operations are compared whole; after that only every
// few, because snapshots grow.
const everyStep, everyFew = 200, 20

// agrees does each operation to the engine and to the model.
func (h *history) agrees() {
	m := newModel()
	got, want := h.subject(), newSubject(m)
	watch := newWatch(got)
	grown := growth{}
	var before *snapshot
	for i, o := range h.ops {
		began := time.Now()
		g := o.do(got)
		if o.restores {
			m.Now = got.cameBackAt(began)
		}
		w := o.do(want)
		m.Now = time.Now
		if g != w {
			fail("step %d: %v\n got %s\nwant %s", i, o, g, w)
		}
		if i >= everyStep && i%everyFew != 0 && i != len(h.ops)-1 {
			continue
		}
		now := got.snapshot()
		if d := difference(now.text(got), want.snapshot().text(want)); d != "" {
			fail("step %d: %v: the snapshots differ: %s", i, o, d)
		}
		now.sound()
		grown.observe(now)
		watch.heardTypes(now)
		if before != nil {
			watch.heardPuts(before, now)
		}
		before = now
	}
	watch.heardAll()
	if d := difference(recordLines(got), recordLines(want)); d != "" {
		fail("the journals differ: %s", d)
	}
	got.checked()
}

// checked gives up if the engine's own check finds something.
func (s *subject) checked() {
	if wrong := must(s.Check(ctx, s.account, false)); len(wrong) > 0 {
		fail("Check finds: %s", strings.Join(wrong, "; "))
	}
}

// recordLines is the journal since the test began.
func recordLines(s *subject) []string {
	var lines []string
	for _, r := range s.records(store.JournalQuery{After: s.base, Limit: 1 << 20}) {
		line := fmt.Sprintf("%d: act %d undoes %d %s %s %s by device %d:", r.ModSeq-s.base, int64(r.Act)-int64(s.base), max(0, int64(r.Undoes)-int64(s.base)),
			r.Actor, r.Protocol, r.Cause, indexOf(s.devices, r.Device))
		ops := map[mail.Op]int{}
		for _, e := range r.Entries {
			ops[e.Op] += max(1, int(e.UIDs.Count()))
		}
		lines = append(lines, fmt.Sprintf("%s %v", line, ops))
	}
	return lines
}

func indexOf(devices []mail.DeviceID, d mail.DeviceID) int {
	for i := range devices {
		if devices[i] == d {
			return i
		}
	}
	return -1
}
