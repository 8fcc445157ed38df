package storetest

import (
	"testing"

	"lockstep/internal/mail"
)

// Replay lives through the random history of a seed, of n operations, and calls after
// with each of them done: for who proves something else of accounts than that a store
// keeps them.
func Replay(t testing.TB, open Open, seed uint64, n int, after func(Engine, mail.AccountID)) {
	err := try(func() {
		s := (&trial{t, open}).subject()
		for _, o := range randomOps(seed, n) {
			o.do(s)
			after(s.Engine, s.account)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
