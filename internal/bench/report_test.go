package bench

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestGoalsAreJudged(t *testing.T) {
	floor := Floor{SyncP50: 1}
	for _, c := range []struct {
		workload, figure string
		ours, peers      []float64
		want             string
	}{
		{"lmtp-64", perSecond, []float64{4000}, []float64{1000}, "yes"},
		{"lmtp-64", perSecond, []float64{3999}, []float64{1000}, "no"},
		{"lmtp-64", perSecond, []float64{4000}, nil, ""},
		{"lmtp-64", perSecond, nil, []float64{1000}, ""},
		{"open-warm", totalMS, []float64{5, 90, 5.5}, []float64{22}, "yes"},
		{"open-cold", totalMS, []float64{23}, []float64{22}, "no"},
		{"push", pushMedian, []float64{1.5}, nil, "yes"},
		{"push", pushTail, []float64{5.1}, []float64{500}, "no"},
		{"idle-plain", perConnection, []float64{5}, nil, "yes"},
		{"import", peakMB, []float64{200}, nil, "no"},
		{"append-1", perSecond, []float64{1}, []float64{2}, ""},
	} {
		row := Row{Workload: c.workload, Figure: c.figure, Lockstep: c.ours, Dovecot: c.peers}
		if row.judge(floor); row.Met != c.want {
			t.Errorf("%s %s: %v beside %v is %q, want %q", c.workload, c.figure, c.ours, c.peers, row.Met, c.want)
		}
	}
}

func TestEveryGoalHasItsWorkload(t *testing.T) {
	for key := range goals {
		if !slices.Contains(Names(), key[0]) {
			t.Errorf("no workload %s", key[0])
		}
	}
}

func TestReportShowsFailures(t *testing.T) {
	r := &Report{Floor: Floor{SyncP50: 0.2}}
	r.add(workload{name: "lmtp-64"}, []*result{
		{server: "Lockstep", err: errors.New("refused")},
		{server: "Dovecot", names: []string{perSecond}, runs: map[string][]float64{perSecond: {1000, 1100, 900}}},
	})
	r.add(workload{name: "open-warm"}, []*result{{server: "Lockstep", names: []string{totalMS}, runs: map[string][]float64{totalMS: {12}}},
		{server: "Dovecot", names: []string{totalMS}, runs: map[string][]float64{totalMS: {16}}}})
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| lmtp-64   | per second | –        | 1000    |       | ≥ 4×    |     |", "lmtp-64 failed on Lockstep: refused", "| 12.0     | 16.0    | 0.75× | ≤ 0.25× | no  |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if r.Missed() != 1 {
		t.Errorf("%d missed", r.Missed())
	}
}

func TestUnknownWorkloadsAreNamed(t *testing.T) {
	_, err := newBench(Options{Only: []string{"lmtp-2"}})
	if err == nil || !strings.Contains(err.Error(), `no workload "lmtp-2": there are lmtp-1, `) {
		t.Fatalf("%v", err)
	}
}

func TestANodeIsReportedBesideTheOthers(t *testing.T) {
	r := &Report{}
	r.add(workload{name: "lmtp-64"}, []*result{
		{server: "Lockstep", names: []string{perSecond}, runs: map[string][]float64{perSecond: {8000}}},
		{server: "Dovecot", names: []string{perSecond}, runs: map[string][]float64{perSecond: {1000}}},
		{server: nodeName, names: []string{perSecond}, runs: map[string][]float64{perSecond: {2999}}},
	})
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	if want := "| lmtp-64  | per second | 2999       | 1000    | 3.00× | 8000   | 0.37× | ≥ 3× | no  |"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
	if r.Missed() != 1 {
		t.Errorf("%d missed", r.Missed())
	}
}

func TestANodeTakesWhatIsItsOwn(t *testing.T) {
	n, l, d := &node{}, &lockstep{}, &dovecot{}
	for _, c := range []struct {
		w    workload
		s    server
		want bool
	}{{workload{}, n, false}, {workload{nodes: true}, n, true}, {workload{alone: true}, d, false}, {workload{}, d, true}, {workload{alone: true}, l, true}} {
		if got := c.w.takes(c.s); got != c.want {
			t.Errorf("%s takes %+v: %v, want %v", c.s.name(), c.w, got, c.want)
		}
	}
}
