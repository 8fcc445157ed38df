package eas

import (
	"testing"
	"time"
)

// What comes while a wake is still to come shares it: pauses do not add up.
func TestAWakeThatIsToComeIsShared(t *testing.T) {
	p := &paces{}
	key := deviceKey{1, 2, "x"}
	defer p.begin(key, &watch{})()
	now := time.Unix(1_000_000, 0)
	for i, want := range []time.Duration{0, wakePause, wakePause} {
		if late, vain := p.wake(key, now); late != want || vain {
			t.Errorf("wake %d: %v, %v; want %v", i+1, late, vain, want)
		}
		p.brought(key)
	}
	if late, _ := p.wake(key, now.Add(wakePause/3)); late != wakePause-wakePause/3 {
		t.Errorf("later: %v", late)
	}
	if late, _ := p.wake(key, now.Add(10*wakePause)); late != 0 {
		t.Errorf("after quiet: %v", late)
	}
}
