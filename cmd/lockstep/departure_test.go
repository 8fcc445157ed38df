package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/cluster"
	"lockstep/internal/config"
)

// somebody goes some time after it is asked to.
type somebody struct {
	d     *departure
	lazy  time.Duration
	began time.Time
	asked time.Duration
}

func (s *somebody) Leave() {
	s.asked = time.Since(s.began)
	time.AfterFunc(s.lazy, func() { s.d.farewell.Left(s) })
}

func (d *departure) comes(lazy time.Duration) *somebody {
	s := &somebody{d: d, lazy: lazy, began: time.Now()}
	d.farewell.Enter(s)
	return s
}

func newTestDeparture() *departure {
	return newDeparture(4*time.Second, 15*time.Second, 10*time.Second, slog.New(slog.DiscardHandler))
}

func TestADepartureTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDeparture()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := d.through(newGate(l))
		defer g.Close()
		var all []*somebody
		for range 30 {
			all = append(all, d.comes(0))
		}
		slow := d.comes(3 * time.Second)
		phases := map[time.Duration]string{3900 * time.Millisecond: admin.PhaseNotice, 5 * time.Second: admin.PhaseLeaving}
		for at, want := range phases {
			time.AfterFunc(at, func() {
				if got := d.Draining().Phase; got != want {
					t.Errorf("after %v it is in %q, want %q", at, got, want)
				}
				if shut := isShut(g); shut != (want == admin.PhaseLeaving) {
					t.Errorf("in %q the gate is shut: %v", want, shut)
				}
			})
		}
		began := time.Now()
		d.run(t.Context(), 15*time.Second)
		if took := time.Since(began); took < 18*time.Second || took > 23*time.Second {
			t.Errorf("it took %v", took)
		}
		if slow.asked == 0 || d.farewell.Inside() != 0 || d.Draining().Phase != admin.PhaseGone {
			t.Errorf("%+v", d.Draining())
		}
		perThird := [3]int{}
		for _, s := range all {
			if s.asked <= 4*time.Second || s.asked > 19*time.Second {
				t.Fatalf("asked after %v", s.asked)
			}
			perThird[(s.asked-4*time.Second-1)/(5*time.Second)]++
		}
		for _, n := range perThird {
			if n < 8 || n > 12 {
				t.Errorf("of 30 went in each third of the time: %v", perThird)
			}
		}
	})
}

func isShut(g *gate) bool {
	select {
	case <-g.shut:
		return true
	default:
		return false
	}
}

// Who does not go is waited for so long, and not longer.
func TestADepartureEndsWithSomebodyInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDeparture()
		d.comes(time.Hour)
		began := time.Now()
		d.run(t.Context(), 0)
		if took := time.Since(began).Round(time.Second); took != 14*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Hour)
	})
}

func TestAHurriedDepartureWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDeparture()
		s := d.comes(time.Minute)
		hurry, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		d.run(hurry, time.Hour)
		if took := time.Since(began); took > 3*time.Second || s.asked == 0 {
			t.Errorf("it took %v, and they were asked after %v", took, s.asked)
		}
		time.Sleep(time.Minute)
	})
}

// A shut gate lets nobody in, and its server serves on until it is closed.
func TestAShutGateLetsNobodyIn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l)
	accepted := make(chan error, 2)
	go func() {
		for {
			c, err := g.Accept()
			accepted <- err
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	g.Shut()
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("somebody came in")
	}
	select {
	case err := <-accepted:
		t.Fatalf("its server was told: %v", err)
	default:
	}
	g.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// A signal ends a server of its own at once, and has a node of a cluster send its
// sessions away before.
func TestOnlyNodesOfAClusterDrainWhenTheyAreStopped(t *testing.T) {
	for database, want := range map[string]string{"": admin.PhaseServing, "postgres://lockstep@db/lockstep": admin.PhaseGone} {
		h := &house{cfg: config.Default(), log: slog.New(slog.DiscardHandler), node: cluster.New(nil, cluster.About{}, nil, slog.New(slog.DiscardHandler))}
		h.cfg.Cluster.Database = database
		h.leave = newDeparture(0, 0, 0, h.log)
		asked, cancel := context.WithCancel(t.Context())
		cancel()
		h.awaitStop(asked, t.Context())
		if got := h.leave.Draining().Phase; got != want {
			t.Errorf("with database %q: %q, want %q", database, got, want)
		}
	}
	h := &house{cfg: config.Default(), log: slog.New(slog.DiscardHandler), node: cluster.New(nil, cluster.About{}, nil, slog.New(slog.DiscardHandler))}
	h.leave = newDeparture(0, time.Hour, 0, h.log)
	h.leave.Drain(0)
	h.leave.Drain(time.Hour) // is under way
	h.awaitStop(t.Context(), t.Context())
	if h.leave.Draining().Phase != admin.PhaseGone {
		t.Error("who asks for it gets it, cluster or not")
	}
}

// However many ask, what lies elsewhere is looked at once a second; what is wrong is
// logged once.
func TestReadinessIsLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		var broken error
		var said []string
		r := &readiness{
			checks: []check{{notReadyDatabase, func(context.Context) error { looks++; return broken }}, {notReadyKey, func(context.Context) error { return nil }}},
			said: func(word string, err error) {
				text := word + " well"
				if err != nil {
					text = word + " " + err.Error()
				}
				said = append(said, text)
			},
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			if wrong := r.look(gone); len(wrong) > 0 {
				t.Fatal(wrong)
			}
		}
		if looks != 1 {
			t.Errorf("looked %d times", looks)
		}
		broken = errors.New("is away")
		for range 3 {
			time.Sleep(readyFor)
			if wrong := r.look(t.Context()); !slices.Equal(wrong, []string{notReadyDatabase}) {
				t.Error(wrong)
			}
		}
		broken = nil
		time.Sleep(readyFor)
		if wrong := r.look(t.Context()); len(wrong) > 0 || looks != 5 {
			t.Error(wrong, looks)
		}
		if want := []string{"database is away", "database well"}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}

// A check that hangs does not hang who asks.
func TestReadinessDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &readiness{checks: []check{{notReadyBlobs, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}, said: func(string, error) {}}
		began := time.Now()
		if wrong := r.look(t.Context()); len(wrong) != 1 || time.Since(began) != readyTime {
			t.Errorf("%v after %v", wrong, time.Since(began))
		}
	})
}

func TestAHouseSaysWhatItLacks(t *testing.T) {
	h := openTestHouse(t, testConfig(t))
	look := func() []string { h.readiness.looked = time.Time{}; return h.ready(t.Context()) }
	if wrong := look(); len(wrong) > 0 {
		t.Error(wrong)
	}
	other := openTestHouse(t, testConfig(t))
	moveFile(t, other.path(keyFile), h.path(keyFile))
	if wrong := look(); !slices.Equal(wrong, []string{notReadyKey}) {
		t.Errorf("with the key of another server: %v", wrong)
	}
	h.leave.enter(admin.PhaseNotice)
	if wrong := h.ready(t.Context()); !slices.Equal(wrong, []string{notReadyDraining}) {
		t.Errorf("draining: %v", wrong)
	}
}

func moveFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestNodesThatAreSetApartAreTold(t *testing.T) {
	node := func(settings, state string) admin.ClusterNode {
		return admin.ClusterNode{State: state, Detail: cluster.Detail{Settings: settings}}
	}
	for _, c := range []struct {
		all  []admin.ClusterNode
		want bool
	}{
		{nil, false},
		{[]admin.ClusterNode{node("a", "serving"), node("a", "draining")}, false},
		{[]admin.ClusterNode{node("a", "serving"), node("b", "serving")}, true},
		{[]admin.ClusterNode{node("a", "serving"), node("b", admin.Gone), node("", "serving")}, false},
	} {
		if got := setApart(c.all); got != c.want {
			t.Errorf("%+v: %v", c.all, got)
		}
	}
}

func TestHowFarANodeIsBehindIsSaid(t *testing.T) {
	for _, c := range []struct {
		behind cluster.Behind
		want   string
	}{
		{cluster.Behind{}, "-"},
		{cluster.Behind{Commits: 12, Time: 3*time.Second + 400*time.Microsecond}, "12, 3s"},
	} {
		if got := behindText(c.behind); got != c.want {
			t.Errorf("%+v: %q, want %q", c.behind, got, c.want)
		}
	}
}
