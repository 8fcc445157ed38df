package lot

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// leaver goes when it is asked to, and says when that was.
type leaver struct {
	from  *Farewell
	began time.Time
	asked []time.Duration
}

func (g *leaver) Leave() {
	g.asked = append(g.asked, time.Since(g.began))
	g.from.Left(g)
}

func enter(f *Farewell, n int) (all []*leaver) {
	for range n {
		g := &leaver{from: f, began: time.Now()}
		f.Enter(g)
		all = append(all, g)
	}
	return all
}

// In each second of the time as many go as in any other.
func TestPeopleAreSentAwayEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Farewell
		all := enter(&f, 6000)
		f.Tell(t.Context(), time.Minute)
		perSecond := make(map[int]int)
		for _, g := range all {
			if len(g.asked) != 1 {
				t.Fatalf("asked %d times", len(g.asked))
			}
			perSecond[int((g.asked[0]-1)/time.Second)]++
		}
		for s := range 60 {
			if n := perSecond[s]; n < 90 || n > 110 {
				t.Errorf("%d went in second %d, of 6000 in a minute", n, s)
			}
		}
		if f.Inside() != 0 {
			t.Errorf("%d are left", f.Inside())
		}
	})
}

func TestWhoWentIsNotAskedAndWhoComesIsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Farewell
		all := enter(&f, 10)
		if f.Telling() {
			t.Fatal("nobody was asked yet")
		}
		done := make(chan struct{})
		go func() { f.Tell(t.Context(), 10*time.Second); close(done) }()
		time.Sleep(5*time.Second + 50*time.Millisecond)
		synctest.Wait()
		var early int
		for _, g := range all {
			early += len(g.asked)
		}
		if early != 5 {
			t.Errorf("%d of 10 were asked in half of the time", early)
		}
		late := enter(&f, 1)[0]
		if len(late.asked) != 1 {
			t.Error("who came while the others go was not asked")
		}
		var wentBy []*leaver
		for _, g := range all {
			if len(g.asked) == 0 {
				f.Left(g)
				wentBy = append(wentBy, g)
			}
		}
		<-done
		for _, g := range wentBy {
			if len(g.asked) > 0 {
				t.Error("who went by themselves were asked")
			}
		}
	})
}

func TestWhoHasNoMoreTimeAsksAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Farewell
		enter(&f, 100)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		f.Tell(ctx, time.Hour)
		if took := time.Since(began); took > 2*time.Second || f.Inside() != 0 {
			t.Errorf("took %v, %d are left", took, f.Inside())
		}
	})
}

func TestWithNobodyInThereIsNothingToWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Farewell
		began := time.Now()
		f.Tell(t.Context(), time.Hour)
		if time.Since(began) != 0 || !f.Telling() {
			t.Error("it waited for nobody")
		}
		var none *Farewell
		none.Enter(&leaver{})
		none.Tell(t.Context(), time.Hour)
		if none.Inside() != 0 || none.Telling() {
			t.Error("nil knows nobody")
		}
	})
}
