package mail

import (
	"math"
	"testing"
	"time"
)

var leapDay = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestALeapGoesBeyondWhatMayHaveBeenGiven(t *testing.T) {
	l := NewLeap(leapDay, 3*time.Hour+59*time.Second, 1)
	if got := l.UIDNext(100); got != 100+1<<20+20*3*3600 {
		t.Errorf("UIDNEXT %d", got)
	}
	if l.Epoch(3) != Epoch(leapDay.Unix()) || l.Epoch(Epoch(leapDay.Unix())) != Epoch(leapDay.Unix())+1 {
		t.Error("an epoch does not grow")
	}
	far := int64(1) << 46
	if l.ID(7) != leapDay.Unix()<<14 || l.ID(far) != far+1<<32 {
		t.Errorf("ids %d, %d", l.ID(7), l.ID(far))
	}
	if l.UIDValidity(5) != UIDValidity(leapDay.Unix()) || l.UIDValidity(4e9) != 4e9+1<<16 {
		t.Errorf("UIDVALIDITY %d, %d", l.UIDValidity(5), l.UIDValidity(4e9))
	}
}

// The same copy comes back once more: what was given after the first time is not
// given again, where it is known of, nor a minute later where it is not.
func TestTheSameCopyComesBackTwice(t *testing.T) {
	first, known, later := NewLeap(leapDay, 0, 1), NewLeap(leapDay, 0, 2), NewLeap(leapDay.Add(time.Minute), time.Minute, 1)
	for _, again := range []Leap{known, later} {
		switch {
		case again.Epoch(9e8*2) <= first.Epoch(9e8*2) && again.Times == 2, again.Epoch(1) < first.Epoch(1):
			t.Errorf("epochs %d, %d", first.Epoch(1), again.Epoch(1))
		case again.UIDNext(1) < first.UIDNext(1)+1200, again.ID(1<<47) <= first.ID(1<<47) && again.Times == 2:
			t.Errorf("%+v after %+v", again, first)
		}
	}
	if later.ID(1) != first.ID(1)+60<<14 || later.Epoch(1) != first.Epoch(1)+60 || later.UIDValidity(1) != first.UIDValidity(1)+60 {
		t.Errorf("%+v after %+v", later, first)
	}
}

// Whatever is asked for, UIDs and UIDVALIDITYs never run out, and never go back.
func TestALeapLeavesRoom(t *testing.T) {
	l := NewLeap(leapDay, math.MaxInt64, 3)
	next := UID(1)
	for range 100 {
		after := l.UIDNext(next)
		if after < next || after > maxUID-7 {
			t.Fatalf("UIDNEXT %d after %d", after, next)
		}
		next = after
	}
	if v := UIDValidity(maxValidity + 5); l.UIDValidity(v) != v || l.UIDValidity(maxValidity-1) != maxValidity {
		t.Error("UIDVALIDITYs run out")
	}
	if l := NewLeap(time.Unix(-5, 0), -time.Hour, 0); l.At != 0 || l.Times != 1 || l.UIDs != 1<<20 {
		t.Errorf("a clock gone wrong: %+v", l)
	}
}
