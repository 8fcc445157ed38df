package imap

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// ahead is what sessions have for reading more than one message at a time: some
// memory and some goroutines, which all of them share. Who gets none does its work
// by itself, one message after the other.
type ahead struct {
	bytes   atomic.Int64
	helpers atomic.Int64
}

// take takes memory, if there is any left.
func (a *ahead) take(n int64) bool {
	if a.bytes.Add(n) > maxAhead {
		a.bytes.Add(-n)
		return false
	}
	return true
}

func (a *ahead) give(n int64) { a.bytes.Add(-n) }

// perHelper is how many pieces of work are worth a goroutine.
const perHelper = 2

// each calls do for the numbers below n, several at once, and returns when all are
// done. A panic in any of them is the caller's.
func (a *ahead) each(n int, do func(i int)) {
	var next atomic.Int64
	var panicked atomic.Pointer[any]
	work := func() {
		defer func() {
			if p := recover(); p != nil {
				panicked.Store(&p)
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var helpers sync.WaitGroup
	for range min(n/perHelper, runtime.GOMAXPROCS(0)-1) {
		if a.helpers.Add(1) > int64(runtime.GOMAXPROCS(0)) {
			a.helpers.Add(-1)
			break
		}
		helpers.Go(func() {
			defer a.helpers.Add(-1)
			work()
		})
	}
	work()
	helpers.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
}
