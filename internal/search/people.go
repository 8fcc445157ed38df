package search

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// A Hit is a message that was found. The higher the score, the better it fits: how
// often and where the words stand, how rare they are, and how new it is. Scores of
// one answer can be compared.
type Hit struct {
	Message mail.MessageKey
	Score   float64
}

// maxHits bounds an answer.
const maxHits = 100_000

// New mail counts for up to half as much again; half of that is lost in recentDays.
const (
	recentGain = 0.5
	recentDays = 180
)

// People returns the messages of an account that fit a query, the best first, limit
// at most. It finds what is in the index; it is NotFound when there is none.
func (x *Index) People(ctx context.Context, a mail.AccountID, q Query, limit int) ([]Hit, error) {
	x.need(a)
	var hits []Hit
	err := x.read(ctx, a, func(r *reader) (err error) {
		hits, err = r.people(q)
		return err
	})
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Message, a.Message))
	})
	return hits[:min(len(hits), limit)], err
}

func (r *reader) people(q Query) (hits []Hit, err error) {
	p := q.plan()
	switch {
	case p.isEmpty():
		return nil, nil
	case len(p.must) == 0:
		return r.others(p)
	}
	all, err := r.ranked(p)
	now := time.Now()
	for k, d := range all {
		hits = append(hits, Hit{k, d.score * recent(now, d.date)})
	}
	return hits, err
}

// recent is how much more a message counts because it is new.
func recent(now time.Time, date int64) float64 {
	age := now.Sub(time.Unix(date, 0)).Hours() / 24
	return 1 + recentGain*math.Exp2(-max(age, 0)/recentDays)
}

// others are the messages that have nothing of what must not be there.
func (r *reader) others(p *plan) (hits []Hit, err error) {
	without := map[mail.MessageKey]bool{}
	if err := r.matching(p, func(k mail.MessageKey) { without[k] = true }); err != nil {
		return nil, err
	}
	now := time.Now()
	err = r.docsBetween(0, maxKey, maxHits+len(without), func(d docRow) error {
		if d.flags&docUnread == 0 && !without[d.key] && len(hits) < maxHits {
			hits = append(hits, Hit{d.key, recent(now, d.date)})
		}
		return nil
	})
	return hits, err
}

// Scores say how well messages fit; 0 is not at all. Of one that is not in it nothing
// is known.
type Scores map[mail.MessageKey]float64

// A Wish is what a fuzzy search asks: the words of a text in a part.
type Wish struct {
	Part Part
	Text string
}

// Fuzzy rates messages of an account: each word has to be in the part, as it is or as
// the beginning of one. It rates none without an index, and none by a text without
// words.
func (x *Index) Fuzzy(ctx context.Context, a mail.AccountID, w Wish, keys []mail.MessageKey) (Scores, error) {
	x.need(a)
	in, ok := partFields[w.Part]
	if !ok {
		return Scores{}, nil
	}
	var q Query
	for word := range strings.FieldsSeq(w.Text) {
		if q = append(q, Term{in: in, text: word, prefix: true}); len(q) == maxTerms {
			break
		}
	}
	if q.plan().isEmpty() {
		return Scores{}, nil
	}
	scores := Scores{}
	err := x.read(ctx, a, func(r *reader) error {
		clear(scores)
		e := &exact{reader: r}
		if err := e.load(keys); err != nil {
			return err
		}
		for k := range e.known {
			scores[k] = 0
		}
		hits, err := r.people(q)
		for _, h := range hits {
			if _, ok := scores[h.Message]; ok {
				scores[h.Message] = max(h.Score, math.SmallestNonzeroFloat64)
			}
		}
		return err
	})
	if err != nil {
		return Scores{}, x.unusable(ctx, err)
	}
	return scores, nil
}

// unusable is what becomes of an error of asking: whoever asks goes on without an
// index.
func (x *Index) unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if k := mail.KindOf(err); k != mail.NotFound && k != mail.Corrupt {
		x.Log.WarnContext(ctx, "search index not used", "err", err)
	}
	return nil
}
