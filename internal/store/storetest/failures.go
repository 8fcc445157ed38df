package storetest

import (
	"fmt"
	"sync"
	"time"

	"lockstep/internal/store"
)

var failureChecks = []check{
	{"FailuresAreCountedByAllTogether", failuresTogether},
	{"FailuresAreFoundAndForgotten", failures},
}

// count counts one more for each key.
func count(at, until time.Time) func([]store.Failure) []store.Failure {
	return func(was []store.Failure) []store.Failure {
		for i := range was {
			was[i].N, was[i].Last, was[i].Until = was[i].N+1, at, until
		}
		return was
	}
}

func failuresTogether(t *trial) {
	s := t.subject()
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for i := range 40 {
		keys := []string{"a", "b"}
		if i%2 == 0 { // as others take them the other way round
			keys = []string{"b", "a"}
		}
		wg.Go(func() { errs <- s.CountFailure(ctx, keys, count(day(1), time.Time{})) })
	}
	wg.Wait()
	for range 40 {
		ok(<-errs)
	}
	for _, f := range must(s.FailuresOf(ctx, []string{"b", "a"})) {
		equal("failures of "+f.Key, f.N, int64(40))
	}
}

func failures(t *trial) {
	s := t.subject()
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	show := func(all []store.Failure) (text string) {
		for _, f := range all {
			text += fmt.Sprintf("%s:%d ", f.Key, f.N)
		}
		return text
	}
	for i, key := range []string{"a", "b", "c", "d"} {
		until := time.Time{}
		if key != "b" {
			until = at.Add(time.Hour)
		}
		ok(s.CountFailure(ctx, []string{key}, count(at.Add(time.Duration(i)*time.Minute), until)))
	}
	ok(s.CountFailure(ctx, []string{"a", "z"}, func(was []store.Failure) []store.Failure {
		equal("what stands", show(was), "a:1 z:0 ")
		equal("its time", was[0].Last.Equal(at) && was[0].Until.Equal(at.Add(time.Hour)) && was[1].Last.IsZero() && was[1].Until.IsZero(), true)
		return nil
	}))
	equal("left alone", show(must(s.FailuresOf(ctx, []string{"z", "a", "b"}))), "z:0 a:1 b:1 ")
	equal("locked out", show(must(s.LockedOut(ctx, at, at, 10))), "c:1 d:1 ")
	equal("from before", show(must(s.LockedOut(ctx, at.Add(-1e9), at, 2))), "a:1 c:1 ")
	equal("no more", show(must(s.LockedOut(ctx, at.Add(-1e9), at.Add(time.Hour), 10))), "")
	ok(s.ForgetFailures(ctx, "c"))
	ok(s.ForgetFailures(ctx, "never"))
	ok(s.PruneFailures(ctx, at.Add(time.Minute), 10))
	equal("left", show(must(s.FailuresOf(ctx, []string{"a", "b", "c", "d"}))), "a:0 b:1 c:0 d:1 ")
	ok(s.PruneFailures(ctx, at, 1))
	equal("the newest", show(must(s.FailuresOf(ctx, []string{"b", "d"}))), "b:0 d:1 ")
}
