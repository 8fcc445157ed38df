package steady

import (
	"slices"
	"testing"
)

func TestWhatCIPlaysFollowsFromTheCommit(t *testing.T) {
	t.Setenv(seedVariable, "")
	t.Setenv(soakVariable, "")
	t.Setenv(ciVariable, "true")
	if a, b := Seed(t), Seed(t); a != b {
		t.Errorf("one test has the seeds %d and %d", a, b)
	}
	here := Seed(t)
	t.Run("another", func(t *testing.T) {
		if Seed(t) == here {
			t.Error("two tests have one seed")
		}
	})
	if got := slices.Collect(Seeds(t, 3)); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("seeds %v", got)
	}
}

func TestElsewhereSeedsAreNew(t *testing.T) {
	t.Setenv(seedVariable, "")
	for _, why := range []struct{ ci, soak string }{{"", ""}, {"true", "1ms"}} {
		t.Setenv(ciVariable, why.ci)
		t.Setenv(soakVariable, why.soak)
		if a, b := Seed(t), Seed(t); a == b {
			t.Errorf("%+v: %d twice", why, a)
		}
	}
}

func TestASeedIsPlayedAgain(t *testing.T) {
	t.Setenv(seedVariable, "77")
	t.Setenv(soakVariable, "1h")
	t.Setenv(ciVariable, "true")
	if got := Seed(t); got != 77 {
		t.Errorf("seed %d", got)
	}
	if got := slices.Collect(Seeds(t, 3)); !slices.Equal(got, []uint64{77}) {
		t.Errorf("seeds %v", got)
	}
}

func TestASoakGoesOnWithNewSeeds(t *testing.T) {
	t.Setenv(seedVariable, "")
	t.Setenv(soakVariable, "1h")
	var got []uint64
	for seed := range Seeds(t, 1) {
		if got = append(got, seed); len(got) == 4 {
			break
		}
	}
	slices.Sort(got)
	if got[0] != 1 || len(slices.Compact(got)) != 4 {
		t.Errorf("seeds %v", got)
	}
}
