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
	at := leapDay.Unix()
	if l.Epoch(3) != Epoch(at)+1 || l.Epoch(Epoch(at)+9) != Epoch(at)+10 {
		t.Error("an epoch does not grow")
	}
	far := int64(1) << 46
	if l.ID(7) != at<<14+1<<32 || l.ID(far) != far+1<<32 || l.ModSeq(7) != ModSeq(l.ID(7)) {
		t.Errorf("ids %d, %d", l.ID(7), l.ID(far))
	}
	if l.UIDValidity(5) != UIDValidity(at)+1<<16 || l.UIDValidity(4e9) != 4e9+1<<16 {
		t.Errorf("UIDVALIDITY %d, %d", l.UIDValidity(5), l.UIDValidity(4e9))
	}
	if l.Global(5) != at+1<<20 {
		t.Errorf("accounts %d", l.Global(5))
	}
}

// The same copy comes back once more: what was given after the first time is not
// given again, where it is known of, nor a minute later where it is not.
func TestTheSameCopyComesBackTwice(t *testing.T) {
	first := NewLeap(leapDay, 0, 1)
	for _, again := range []Leap{NewLeap(leapDay, 0, 2), NewLeap(leapDay.Add(time.Minute), time.Minute, 1)} {
		if again.Epoch(1) <= first.Epoch(1) || again.UIDNext(1) < first.UIDNext(1)+1200 || again.ID(1) < first.ID(1)+60<<14 ||
			again.UIDValidity(1) < first.UIDValidity(1)+60 || again.Global(1) < first.Global(1)+60 {
			t.Errorf("%+v after %+v", again, first)
		}
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
