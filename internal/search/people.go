package search

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

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

const (
	selectMatches = "SELECT word.rowid, word.rank, doc.date FROM word JOIN doc ON doc.key = word.rowid WHERE word MATCH ?1 LIMIT ?2 + 0"
	selectOthers  = "SELECT key, -1, date FROM doc WHERE flags & 4 = 0 AND key NOT IN (SELECT rowid FROM word WHERE word MATCH ?1) LIMIT ?2 + 0"
)

func (r *reader) people(q Query) (hits []Hit, err error) {
	match, negative := q.match()
	if match == "" {
		return nil, nil
	}
	sql := selectMatches
	if negative {
		sql = selectOthers
	}
	now := time.Now()
	err = query(r.c, sql, func(st *sqlite.Stmt) error {
		age := now.Sub(time.Unix(st.ColumnInt64(2), 0)).Hours() / 24
		score := -st.ColumnFloat(1) * (1 + recentGain*math.Exp2(-max(age, 0)/recentDays))
		hits = append(hits, Hit{mail.MessageKey(st.ColumnInt64(0)), score})
		return nil
	}, match, int64(maxHits))
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
	if match, _ := q.match(); match == "" {
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
