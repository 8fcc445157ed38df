package eas

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"lockstep/internal/mail"
)

// Most answers that only tell what is new bring a device from one place in the log to
// another, and nothing else of what is remembered changes. The key of such an answer
// says the place (ADR 41), so that it can go out before it is remembered: if that never
// comes to pass, the next request says it.
//
// The number of a generation so has two parts: below, how many came before it in its
// relationship, and above the ModSeq that its key carries, 0 if it is remembered before
// it is told.
const countBits = 24

// maxCarried is the greatest ModSeq that a key can carry.
const maxCarried = 1<<(63-countBits) - 1

// follower is the number of a generation that follows another and carries a ModSeq.
func follower(n uint64, carried mail.ModSeq) uint64 {
	return uint64(carried)<<countBits | (n+1)&(1<<countBits-1)
}

// carriedBy is the ModSeq in the number of a generation.
func carriedBy(n uint64) mail.ModSeq { return mail.ModSeq(n >> countBits) }

// upTo is where a device stands that stood at v and was told all that came up to a
// ModSeq. It is not known where it was under way to somewhere, or was further already.
func (v view) upTo(at mail.ModSeq) (_ view, ok bool) {
	if at <= v.Log.Since || v.Log.Target != 0 || v.Fill != nil || v.Soft != nil {
		return v, false
	}
	v.Sure = at
	v.ended(v.Log.Epoch.At(at))
	return v, true
}

// equal reports whether two views are remembered alike.
func (v view) equal(w view) bool {
	for _, x := range []*view{&v, &w} {
		if len(x.Hidden) == 0 {
			x.Hidden = nil
		}
		if len(x.Own) == 0 {
			x.Own = nil
		}
	}
	return reflect.DeepEqual(v, w)
}

// carry makes the generation that a number says current, if it follows one that is
// remembered: a device has its key, and the server died before it remembered it, or
// another node remembered its own answer to the same request.
func (r *relationship) carry(n uint64, head mail.ModSeq) bool {
	at := carriedBy(n)
	if at == 0 || at > head {
		return false
	}
	follows := func(g *generation) (generation, bool) {
		v, ok := g.View.upTo(at)
		return generation{View: v}, ok && follower(g.N, at) == n
	}
	if g, ok := follows(&r.Current); ok {
		if p := r.Pending; p != nil && p.N == r.Current.N {
			g.Done = p.Done.unheard()
		}
		r.Singly = max(r.Singly-r.Current.Said.Entries, 0) // it heard the answer before
		r.advance(r.Current, g, at)
		return true
	}
	if !r.HasPrev {
		return false
	}
	g, ok := follows(&r.Before)
	if ok {
		g.N, g.Done = n, r.Current.Done.unheard()
		r.Current, r.Pending = g, nil
	}
	return ok
}

// unheard is what a device did by a request whose answer it did not hear, to one who
// goes on from elsewhere.
func (d done) unheard() done {
	return done{Known: slices.Concat(d.Known, d.Results), Own: d.Own, Gone: d.Gone}
}

// carries is the ModSeq that the key of an answer carries; 0 if that does not say all
// that has to be remembered of it.
func (x *exchange) carries(told *telling) mail.ModSeq {
	at := told.end.Log.Since
	if len(x.c.commands) > 0 || x.how != isCurrent || x.wishes || told.more || at > maxCarried {
		return 0
	}
	if v, ok := x.base.View.upTo(at); !ok || !v.equal(told.end) {
		return 0
	}
	return at
}

// saveLater remembers what was told with a key that carries it, once the answer is
// written, or that takes long. Who was overtaken leaves it to the key, as does a server
// that stops.
func (x *exchange) saveLater(done func()) {
	dies := x.srv.dies != nil && x.srv.dies()
	q, y := *x.request, *x
	y.request = &q
	x.srv.saving.Add(1)
	begin := sync.OnceFunc(func() {
		go func() {
			defer x.srv.saving.Done()
			defer done()
			if !dies {
				y.saveAfter()
			}
		}()
	})
	late := time.AfterFunc(maxUnsaved, begin)
	x.owed = append(x.owed, func() { late.Stop(); begin() })
}

// saveAfter is save for when the request may be over.
func (x *exchange) saveAfter() {
	ctx, stop := context.WithTimeout(context.WithoutCancel(x.ctx), maxSaveTime)
	defer stop()
	x.request.ctx = ctx
	if err := x.save(); err != nil && err != errOvertaken {
		x.srv.Log.Warn("what a device was told is not remembered", "proto", "activesync", "account", x.sess.Principal.Login, "device", x.deviceID, "collection", x.c.id, "err", err)
	}
}

// remember begins to save what the answer owes: the device has it.
func (q *request) remember() {
	for _, begin := range q.owed {
		begin()
	}
	q.owed = nil
}

// Close waits until all that devices were told is remembered. Nobody is served any more.
func (s *Server) Close() error {
	s.saving.Wait()
	return nil
}

// How long a device may take to read what is not remembered yet, and the store to
// remember it: so long others wait for the collection.
const (
	maxUnsaved  = 20 * time.Millisecond
	maxSaveTime = 4 * time.Second
)
