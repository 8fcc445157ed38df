package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var clusterChecks = []check{
	{"ALeaseHasOneHolder", leaseHolder},
	{"OfManyTakersOneHasTheLease", manyTakers},
	{"WhoLostItsLeaseWritesNothing", overtaken},
	{"NobodyWritesAfterWhoOvertookIt", fencesInOrder},
	{"NodesAreSeen", nodesSeen},
	{"FilesAreShared", sharedFiles},
	{"AFileIsDroppedOnce", droppedOnce},
	{"WhatNodesShareAgreesWithTheModel", clusterHistory},
}

// past waits until the store's clock has passed a time.
func past(e Engine, at time.Time) {
	for !must(e.Clock(ctx)).After(at) {
	}
}

func leaseText(l store.Lease) string { return fmt.Sprintf("%s %s %d", l.Name, l.Holder, l.Fence) }

func leaseHolder(t *trial) {
	s := t.subject()
	a := must(s.Take(ctx, "prune", "a", time.Hour))
	equal("the first", leaseText(a), "prune a 1")
	if left := a.Until.Sub(must(s.Clock(ctx))); left < 50*time.Minute || left > time.Hour {
		fail("it lives for %v", left)
	}
	b, err := s.Take(ctx, "prune", "b", time.Hour)
	want(mail.Exists, err)
	equal("who has it", leaseText(b), "prune a 1")
	again := must(s.Take(ctx, "prune", "a", time.Microsecond))
	equal("renewed", leaseText(again), "prune a 1")
	past(s, again.Until)
	ok(s.Holds(ctx, a)) // as nobody took it
	equal("all", len(must(s.AllLeases(ctx))), 0)
	b = must(s.Take(ctx, "prune", "b", time.Hour))
	equal("taken over", leaseText(b), "prune b 2")
	want(mail.Expired, s.Holds(ctx, a))
	ok(s.Yield(ctx, a))
	ok(s.Holds(ctx, b))
	other := must(s.Take(ctx, "collect", "a", time.Hour))
	all := must(s.AllLeases(ctx))
	equal("all", len(all), 2)
	equal("by name", leaseText(all[0])+", "+leaseText(all[1]), "collect a 1, prune b 2")
	ok(s.Yield(ctx, b))
	want(mail.Expired, s.Holds(ctx, b))
	equal("after the yield", leaseText(must(s.Take(ctx, "prune", "b", time.Hour))), "prune b 3")
	want(mail.Expired, s.Holds(ctx, b))
	ok(s.Holds(ctx, other))
	want(mail.Expired, s.Holds(ctx, store.Lease{Name: "never", Holder: "a", Fence: 1}))
	for _, life := range []time.Duration{0, -time.Second, store.MaxLease + 1} {
		_, err := s.Take(ctx, "drill", "a", life)
		want(mail.Invalid, err)
	}
	must(s.Take(ctx, "drill", "a", store.MaxLease))
}

// writers take the lease from each other, and never two have it.
func manyTakers(t *trial) {
	const each = 10
	s := t.subject()
	var inside atomic.Int32
	var mu sync.Mutex
	var all sync.WaitGroup
	var errs []error
	last := int64(0)
	for i := range writers {
		all.Go(func() {
			for done := 0; done < each; {
				l, err := s.Take(ctx, "one", fmt.Sprint("node", i), time.Hour)
				if err != nil && mail.KindOf(err) == mail.Exists {
					continue
				}
				mu.Lock()
				if n := inside.Add(1); err == nil && (n != 1 || l.Fence <= last) {
					err = fmt.Errorf("%d have it, fence %d after %d", n, l.Fence, last)
				}
				last = l.Fence
				inside.Add(-1)
				errs = append(errs, err)
				mu.Unlock()
				done++
				if err := s.Yield(ctx, l); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	ok(errors.Join(errs...))
	equal("fences", last, writers*each)
}

func overtaken(t *trial) {
	s := t.subject()
	box := s.box("INBOX").ID
	l := must(s.Take(ctx, "work", "a", time.Microsecond))
	past(s, l.Until)
	under := store.Under(ctx, l)
	acts := map[string]func(context.Context) error{
		"Update": func(ctx context.Context) error {
			_, err := s.Update(ctx, s.account, setup, func(tx store.Tx) error { _, err := tx.Append(box, arrival(1)); return err })
			return err
		},
		"Note": func(ctx context.Context) error {
			return s.Note(ctx, s.account, func(n store.Notes) error { return n.SetCursor(s.devices[0], "c", []byte("x")) })
		},
		"Prune": func(ctx context.Context) error { return s.Prune(ctx, s.account, noon) },
		"Enqueue": func(ctx context.Context) error {
			return s.Enqueue(ctx, []store.Outgoing{s.outgoing("d1", "b@else.example", noon)})
		},
		"PutFile": func(ctx context.Context) error { return s.PutFile(ctx, store.File{Name: "f", Data: []byte("x")}) },
	}
	for name, act := range acts {
		if err := act(under); err != nil {
			fail("%s, while nobody took over: %v", name, err)
		}
	}
	must(s.Take(ctx, "work", "b", time.Hour))
	head, files, queued := s.head(), len(must(s.FilesBelow(ctx, "", 9))), s.pending()
	for name, act := range acts {
		if err := act(under); mail.KindOf(err) != mail.Expired || err == nil {
			fail("%s by who was overtaken: %v", name, err)
		}
	}
	equal("the head", s.head(), head)
	equal("files", len(must(s.FilesBelow(ctx, "", 9))), files)
	equal("the queue", s.pending(), queued)
	ok(s.View(under, s.account, func(r store.Reader) error { _, err := r.Account(); return err })) // reading harms nobody
	ok(s.PutFile(ctx, store.File{Name: "f"}))                                                      // nor who needs no lease
}

// fencesInOrder has nodes that always come too late, and writes down, in one
// transaction with looking, whose turn it was.
func fencesInOrder(t *trial) {
	const each = 15
	s := t.subject()
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	written := atomic.Int32{}
	for i := range writers {
		all.Go(func() {
			for range each {
				l, err := s.Take(ctx, "turn", fmt.Sprint("node", i), time.Microsecond)
				if err != nil {
					continue
				}
				err = s.Note(store.Under(ctx, l), s.account, func(n store.Notes) error {
					return n.SetCursor(s.devices[0], "turn", fmt.Append(nil, l.Fence))
				})
				switch {
				case err == nil:
					written.Add(1)
					err = s.turnAtLeast(l.Fence)
				case mail.KindOf(err) == mail.Expired:
					err = nil
				}
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	ok(errors.Join(errs...))
	if written.Load() == 0 {
		fail("nobody ever wrote")
	}
}

// turnAtLeast looks whether nobody wrote whose turn was over.
func (s *subject) turnAtLeast(fence int64) error {
	return s.View(ctx, s.account, func(r store.Reader) error {
		var is int64
		state, err := r.Cursor(s.devices[0], "turn")
		if err == nil {
			_, err = fmt.Sscan(string(state), &is)
		}
		if err == nil && is < fence {
			err = fmt.Errorf("%d was written after %d", is, fence)
		}
		return err
	})
}

func nodesSeen(t *trial) {
	s := t.subject()
	before := must(s.Clock(ctx))
	b := store.Node{ID: "2", Name: "b", Version: "1.0", Schema: 29, Started: noon, State: "serving", Detail: []byte(`{}`)}
	a := store.Node{ID: "1", Name: "a", Version: "1.1", Schema: 30, Started: noon.Add(time.Hour), State: "serving"}
	ok(s.Announce(ctx, b))
	ok(s.Announce(ctx, a))
	text := func(within time.Duration) string {
		var all []string
		for _, n := range must(s.AllNodes(ctx, within)) {
			if n.Seen.Before(before.Truncate(time.Microsecond)) || n.Seen.After(must(s.Clock(ctx))) {
				fail("%s was seen at %v", n.Name, n.Seen)
			}
			all = append(all, fmt.Sprintf("%s %s %s %d %s %s %q", n.ID, n.Name, n.Version, n.Schema, n.Started.UTC().Format("15:04"), n.State, n.Detail))
		}
		return strings.Join(all, "; ")
	}
	equal("by name", text(time.Hour), `1 a 1.1 30 13:00 serving ""; 2 b 1.0 29 12:00 serving "{}"`)
	first := must(s.AllNodes(ctx, time.Hour))[1].Seen
	past(s, first)
	ok(s.Announce(ctx, store.Node{ID: "2", State: "draining", Detail: []byte(`{"n":1}`)}))
	equal("what it says now", text(0), `1 a 1.1 30 13:00 serving ""; 2 b 1.0 29 12:00 draining "{\"n\":1}"`)
	if seen := must(s.AllNodes(ctx, time.Hour))[1].Seen; !seen.After(first) {
		fail("seen at %v, and again at %v", first, seen)
	}
	past(s, must(s.AllNodes(ctx, time.Hour))[0].Seen.Add(time.Microsecond))
	equal("seen just now", len(must(s.AllNodes(ctx, time.Microsecond))), 0)
	ok(s.Leave(ctx, "1"))
	ok(s.Leave(ctx, "1"))
	equal("left", text(0), `2 b 1.0 29 12:00 draining "{\"n\":1}"`)
	want(mail.Invalid, s.Announce(ctx, store.Node{Name: "nobody"}))
	b.Detail = make([]byte, store.MaxNodeDetail)
	ok(s.Announce(ctx, b))
	b.Detail = append(b.Detail, 'x')
	want(mail.Limit, s.Announce(ctx, b))
}

// filesText are the files below a prefix in words.
func filesText(e Engine, prefix string, limit int) string {
	var all []string
	for _, f := range must(e.FilesBelow(ctx, prefix, limit)) {
		if len(f.Data) > 0 {
			fail("%s is listed with its bytes", f.Name)
		}
		all = append(all, fmt.Sprintf("%s %d", f.Name, f.Size))
	}
	return strings.Join(all, "; ")
}

func sharedFiles(t *trial) {
	s := t.subject()
	want(mail.NotFound, errOf(s.FileNamed(ctx, "a/b")))
	want(mail.NotFound, s.DropFile(ctx, "a"))
	for _, name := range []string{"a/b", "a/c", "a-b", "ab/x", "a/b/d", "a/ö"} {
		ok(s.PutFile(ctx, store.File{Name: name, Data: []byte(name)}))
	}
	f := must(s.FileNamed(ctx, "a/b"))
	equal("a file", fmt.Sprintf("%s %s %d %v", f.Name, f.Data, f.Size, f.Until.IsZero()), "a/b a/b 3 true")
	if age := must(s.Clock(ctx)).Sub(f.Changed); age < 0 || age > time.Minute {
		fail("changed %v ago", age)
	}
	equal("below", filesText(s, "a/", 9), "a/b 3; a/b/d 5; a/c 3; a/ö 4")
	equal("some", filesText(s, "", 3), "a-b 3; a/b 3; a/b/d 5")
	soon := must(s.Clock(ctx)).Add(time.Microsecond)
	ok(s.PutFile(ctx, store.File{Name: "a/c", Data: []byte("new"), Until: soon}))
	past(s, soon)
	want(mail.NotFound, errOf(s.FileNamed(ctx, "a/c")))
	want(mail.NotFound, s.DropFile(ctx, "a/c"))
	ok(s.DropFile(ctx, "a/b"))
	equal("without a directory", filesText(s, "a", 9), "a-b 3; a/ö 4; ab/x 4")
	ok(s.DropFile(ctx, "a"))
	equal("what only begins so stays", filesText(s, "a", 9), "a-b 3; ab/x 4")
	later := must(s.Clock(ctx)).Add(time.Hour).Truncate(time.Microsecond)
	ok(s.PutFile(ctx, store.File{Name: "a/c", Data: nil, Until: later}))
	f = must(s.FileNamed(ctx, "a/c"))
	equal("replaced after its life", fmt.Sprint(len(f.Data), f.Until.Equal(later)), "0 true")
	ok(s.PutFile(ctx, store.File{Name: "large", Data: make([]byte, store.MaxFile)}))
	want(mail.Limit, s.PutFile(ctx, store.File{Name: "large", Data: make([]byte, store.MaxFile+1)}))
	ok(s.PutFile(ctx, store.File{Name: strings.Repeat("x", store.MaxFileName)}))
	for _, name := range []string{"", "/a", "a/", "a//b", "a/../b", ".", "a\x00b", "\xff", strings.Repeat("x", store.MaxFileName+1)} {
		want(mail.Invalid, s.PutFile(ctx, store.File{Name: name}))
	}
}

func errOf[T any](_ T, err error) error { return err }

// What may be used once is used once, whoever comes for it.
func droppedOnce(t *trial) {
	s := t.subject()
	for i := range 5 {
		name := fmt.Sprint("code/", i)
		ok(s.PutFile(ctx, store.File{Name: name, Until: must(s.Clock(ctx)).Add(time.Hour)}))
		var won, lost atomic.Int32
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				switch err := s.DropFile(ctx, name); {
				case err == nil:
					won.Add(1)
				case mail.KindOf(err) == mail.NotFound:
					lost.Add(1)
				}
			})
		}
		all.Wait()
		equal("won and lost", fmt.Sprint(won.Load(), lost.Load()), fmt.Sprint(1, writers-1))
	}
}

// clusterHistory does the same to the engine and to the model. Lives are of an hour, or
// over at once, so that neither's clock matters.
func clusterHistory(t *trial) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 29))
		got, truth := t.open(t.tb), Engine(newModel())
		var leases [2][]store.Lease
		for step := range 200 {
			op, do := randomClusterOp(r, &leases)
			if g, w := do(0, got), do(1, truth); g != w {
				fail("seed %d, step %d: %s\n got %s\nwant %s", seed, step, op, g, w)
			}
		}
	}
}

// randomClusterOp returns something to do to each of two engines, of which one has
// given out the first of leases and one the second.
func randomClusterOp(r *rand.Rand, leases *[2][]store.Lease) (string, func(which int, e Engine) string) {
	name, holder, n := fmt.Sprint("work", r.IntN(3)), fmt.Sprint("node", r.IntN(3)), r.IntN(1<<16)
	file := []string{"a", "a/b", "a/c", "ab", "a/b/d"}[r.IntN(5)]
	short := r.IntN(3) == 0
	kind := func(err error) string {
		if err == nil {
			return "ok"
		}
		return mail.KindOf(err).String()
	}
	switch r.IntN(7) {
	case 0, 1:
		return fmt.Sprint("take ", name, holder, short), func(which int, e Engine) string {
			life := time.Hour
			if short {
				life = time.Microsecond
			}
			l, err := e.Take(ctx, name, holder, life)
			leases[which] = append(leases[which], l)
			if err == nil {
				if short {
					past(e, l.Until)
				}
			}
			return leaseText(l) + kind(err)
		}
	case 2:
		return fmt.Sprint("yield ", n), func(which int, e Engine) string {
			if len(leases[which]) == 0 {
				return ""
			}
			return kind(e.Yield(ctx, leases[which][n%len(leases[which])]))
		}
	case 3:
		return fmt.Sprint("holds ", n), func(which int, e Engine) string {
			if len(leases[which]) == 0 {
				return ""
			}
			l := leases[which][n%len(leases[which])]
			return kind(e.Holds(ctx, l)) + kind(e.PutFile(store.Under(ctx, l), store.File{Name: "fenced", Data: fmt.Append(nil, n)}))
		}
	case 4:
		return fmt.Sprint("leases and files ", n), func(_ int, e Engine) string {
			text := filesText(e, file, n%4)
			for _, l := range must(e.AllLeases(ctx)) {
				text += " " + leaseText(l)
			}
			return text
		}
	case 5:
		return fmt.Sprint("drop ", file), func(_ int, e Engine) string { return kind(e.DropFile(ctx, file)) }
	default:
		return fmt.Sprint("put ", file, short), func(_ int, e Engine) string {
			f := store.File{Name: file, Data: fmt.Append(nil, n)}
			if short {
				f.Until = must(e.Clock(ctx))
			}
			err := e.PutFile(ctx, f)
			back, readErr := e.FileNamed(ctx, file)
			return fmt.Sprint(kind(err), kind(readErr), string(back.Data))
		}
	}
}
