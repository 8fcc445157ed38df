package sqlstore

import (
	"testing"
	"testing/synctest"
	"time"
)

// readyWith makes lanes ready, with so many jobs each.
func (l *lanes) readyWith(jobs int, in ...lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range in {
		q := l.use(i)
		for range jobs {
			q.jobs <- &job{}
		}
		q.taken = true
		l.ready = append(l.ready, q)
	}
}

// Accounts share a turn, as many as may. What belongs to none, and an account with a
// crowd of jobs, has one of its own.
func TestAccountsShareATurn(t *testing.T) {
	l := newLanes()
	l.readyWith(1, directoryLane, 1, 2)
	l.readyWith(maxOfLane+1, 3)
	l.readyWith(maxOfLane, 4)
	for i := range lane(maxTogether) {
		l.readyWith(1, 5+i)
	}
	for _, want := range []int{1, maxTogether, 1, 3} {
		turn := l.take()
		if len(turn.lanes) != want {
			t.Errorf("a turn of %d lanes, want %d", len(turn.lanes), want)
		}
		l.over(turn)
	}
}

// Where accounts lie on servers of their own, each has its own turn.
func TestAccountsApartShareNothing(t *testing.T) {
	l := newLanes()
	l.apart = true
	l.readyWith(1, 1, 2)
	for range 2 {
		turn := l.take()
		if len(turn.lanes) != 1 {
			t.Errorf("a turn of %d lanes, want 1", len(turn.lanes))
		}
		l.over(turn)
	}
}

// What is slow keeps others waiting for a moment only, also when there is as much of it
// as there may be at once.
func TestSlowTurnsKeepNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes()
		began := time.Now()
		for i := range lane(maxUnderWay) {
			l.readyWith(1, 1+i)
			l.take()
		}
		l.readyWith(1, 100)
		l.take()
		if took := time.Since(began); took != patience {
			t.Errorf("another turn began after %v, want %v", took, patience)
		}
	})
}
