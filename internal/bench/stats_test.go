package bench

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1}, 5}, {[]float64{5, 100, 1}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestMedianLeavesTheRunsInOrder(t *testing.T) {
	runs := []float64{3, 1, 2}
	median(runs)
	if runs[0] != 3 || runs[1] != 1 || runs[2] != 2 {
		t.Fatalf("the runs became %v", runs)
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, c := range []struct {
		in   []time.Duration
		p    float64
		want time.Duration
	}{
		{nil, 50, 0}, {[]time.Duration{5}, 99, 5}, {[]time.Duration{5}, 0, 5}, {[]time.Duration{2, 1}, 50, 1}, {[]time.Duration{3, 1, 2}, 50, 2},
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 99.5, 100},
	} {
		if got := percentile(c.in, c.p); got != c.want {
			t.Errorf("percentile %v of %d values = %v, want %v", c.p, len(c.in), got, c.want)
		}
	}
}
