package jmap

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkChangeToEvent is how long it takes from the return of a commit to the read of
// the event.
func BenchmarkChangeToEvent(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(fmt.Sprintf("TLS=%v", secure), func(b *testing.B) {
			w := newTown(b)
			p := w.put("INBOX", letter)
			x := w.listen(secure)
			l := x.events("types=*&closeafter=no&ping=0")
			var took []time.Duration
			came := make(chan time.Time)
			on := false
			for b.Loop() {
				x.await("it waits", func() bool { return x.waiting.Load() == 1 })
				go func() {
					l.event()
					came <- time.Now()
				}()
				on = !on
				w.mark(p, `\Flagged`, on)
				committed := time.Now()
				took = append(took, (<-came).Sub(committed))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
