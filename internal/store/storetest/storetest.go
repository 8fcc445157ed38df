// Package storetest proves that a store keeps its contract. One line does it:
//
//	storetest.Run(t, func(t testing.TB) storetest.Engine { return sqlstore.OpenTemp(t) })
//
// Focused checks try each verb and promise. Random histories are done step by
// step to the engine and to store/model, and must come out the same; from what
// they leave, the deltas that IMAP, JMAP and ActiveSync need are applied to old
// snapshots, the journal is walked backwards, acts are undone and history is
// pruned. A history that fails is made smaller before it is printed.
//
// -storetest.seed=N replays one history; -storetest.seeds=K adds K fresh ones.
package storetest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Engine is what is held against the contract.
type Engine interface {
	store.Store
	store.Directory
	store.Queue
	store.Intents
	store.Erasures
	store.Keeper
	store.Leases
	store.Nodes
	store.Files
	store.Endings
	store.Failures
}

// Scattered is an engine of several nodes, whose news may overtake each other on
// their way to who watches.
type Scattered interface{ Scattered() }

// Open makes an empty engine that the test cleans up.
type Open func(testing.TB) Engine

var (
	oneSeed    = flag.Uint64("storetest.seed", 0, "replay the histories of this seed only")
	freshSeeds = flag.Int("storetest.seeds", 0, "try this many fresh seeds too")
)

// Run holds the engines that open makes against the contract.
func Run(t *testing.T, open Open) {
	Checks(t, open)
	Histories(t, open)
}

// Checks is the part of Run that looks at one promise after the other.
func Checks(t *testing.T, open Open) {
	for _, c := range checks {
		c.run(t, open)
	}
}

// Everything is the environment variable by which RunPart runs everything.
const Everything = "LOCKSTEP_TEST_ALL"

// RunPart is Run for an engine whose every statement is a trip to a server: all
// checks, and each history of the first seed for a part as long.
func RunPart(t *testing.T, open Open, part int) {
	if os.Getenv(Everything) != "" || *oneSeed != 0 || *freshSeeds > 0 {
		Run(t, open)
		return
	}
	Checks(t, open)
	HistoriesPart(t, open, part)
}

// HistoriesPart is the histories of RunPart alone.
func HistoriesPart(t *testing.T, open Open, part int) {
	for _, p := range proofs {
		if !p.concurrent {
			p.n /= part
		}
		p.run(t, open, 1)
	}
}

// Concurrent is the part of Run in which many write to one account at once.
func Concurrent(t *testing.T, open Open) {
	for _, c := range concurrencyChecks {
		if c.name != "ViewAndUpdateInsideAnUpdatePanic" { // which is about one engine
			c.run(t, open)
		}
	}
	for _, seed := range seeds() {
		for _, p := range proofs {
			if p.concurrent {
				p.run(t, open, seed)
			}
		}
	}
}

// Histories is the part of Run that lives through random histories: for engines
// opened as in production, which do not look for mistakes of their callers.
func Histories(t *testing.T, open Open) {
	for _, seed := range seeds() {
		for _, p := range proofs {
			p.run(t, open, seed)
		}
	}
}

func (c check) run(t *testing.T, open Open) {
	t.Run(c.name, func(t *testing.T) {
		if err := try(func() { c.do(&trial{t, open}) }); err != nil {
			t.Fatal(err)
		}
	})
}

func (p proof) run(t *testing.T, open Open, seed uint64) {
	if testing.Short() && !p.concurrent { // Short is for the race detector, which has nothing to say of one goroutine
		return
	}
	t.Run(fmt.Sprintf("%s/seed=%d", p.name, seed), func(t *testing.T) {
		if err := p.prove(&trial{t, open}, seed); err != nil {
			t.Fatal(err)
		}
	})
}

func seeds() []uint64 {
	if *oneSeed != 0 {
		return []uint64{*oneSeed}
	}
	all := []uint64{1, 2, 3}
	for range *freshSeeds {
		all = append(all, rand.Uint64N(1<<32)+4)
	}
	return all
}

// check is one focused test of the contract.
type check struct {
	name string // what must hold
	do   func(*trial)
}

// checks are all focused tests.
var checks = concat(mailboxChecks, messageChecks, journalChecks, newsChecks, notesChecks, directoryChecks, queueChecks, concurrencyChecks, preferenceChecks, metadataChecks, sharingChecks, annotationChecks, guardChecks, receivedChecks, uploadChecks, objectChecks, emailChecks, pastChecks, restoredChecks, eraseChecks, keptChecks, clusterChecks, endingChecks, failureChecks)

func concat(lists ...[]check) (all []check) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// trial is one run of a check.
type trial struct {
	tb   testing.TB
	open Open
}

// failed is how a check gives up.
type failed string

func (f failed) Error() string { return string(f) }

func fail(format string, args ...any) { panic(failed(fmt.Sprintf(format, args...))) }

// try runs fn and returns why it gave up.
func try(fn func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failed:
			err = r
		default:
			panic(r)
		}
	}()
	fn()
	return nil
}

// ok gives up on an error.
func ok(err error) {
	if err != nil {
		fail("unexpected error: %v", err)
	}
}

// must returns v, or gives up on an error.
func must[T any](v T, err error) T {
	ok(err)
	return v
}

// want gives up unless the error is of the kind.
func want(k mail.Kind, err error) {
	if err == nil || mail.KindOf(err) != k {
		fail("got error %v (%v), want %v", err, mail.KindOf(err), k)
	}
}

// equal gives up unless got is want.
func equal[T comparable](what string, got, want T) {
	if got != want {
		fail("%s: got %v, want %v", what, got, want)
	}
}

var ctx = context.Background()
