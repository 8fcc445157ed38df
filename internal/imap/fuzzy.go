package imap

import (
	"math"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/search"
)

// errRelevancy refuses to say how well messages fit a search that they fit or not
// (RFC 6203 §4, §5).
var errRelevancy = errBad("RELEVANCY needs a FUZZY key")

// softKey is a key about text inside a FUZZY one.
type softKey struct{ wire.SearchKey }

// soften makes the keys about text within a key fuzzy (RFC 6203 §3); the others
// mean what they mean.
func soften(key wire.SearchKey) wire.SearchKey {
	switch k := key.(type) {
	case wire.And:
		all := make(wire.And, len(k))
		for i := range k {
			all[i] = soften(k[i])
		}
		return all
	case wire.Or:
		return wire.Or{A: soften(k.A), B: soften(k.B)}
	case wire.Not:
		return wire.Not{Key: soften(k.Key)}
	case wire.FuzzyKey:
		return soften(k.Key)
	case wire.EnvelopeKey, wire.TextKey:
		return softKey{key}
	}
	return key
}

// compileSoft is a test by words: each word of the text, whatever its case and
// accents, or one that begins so. Of what the index does not know it is the exact
// one.
func (s *session) compileSoft(sel *selection, k softKey) test {
	exact := s.compile(sel, k.SearchKey)
	w := &search.Wish{Part: search.Text}
	switch k := k.SearchKey.(type) {
	case wire.EnvelopeKey:
		w.Part, w.Text = envelopeParts[k.Field], k.Text
	case wire.TextKey:
		w.Text = k.Text
		if k.BodyOnly {
			w.Part = search.Body
		}
	}
	return func(c *candidate) verdict {
		if score, known := c.texts.score(w, c.message); known {
			c.score += score
			return verdictOf(score > 0)
		}
		return exact(c)
	}
}

// score says how well a message fits, if that is known.
func (t *texts) score(w *search.Wish, k mail.MessageKey) (score float64, known bool) {
	if t == nil || t.err != nil {
		return 0, false
	}
	all, asked := t.scores[w]
	if !asked {
		all, t.err = t.srv.Search.Fuzzy(t.ctx, t.account, *w, t.keys)
		t.scores[w] = all
	}
	if score, known = all[k]; t.others && score > 0 {
		score = 1 // how rare a word is tells of mail that is not shared
	}
	return score, known
}

// scores are how well messages fit, by UID. What has none fits least.
type scores map[mail.UID]float64

// maxScores is of how many messages of one search they are kept.
const maxScores = 100_000

// rate keeps the score of a message that was found.
func (x *searcher) rate(v verdict, c *candidate) {
	if v != yes || c.score == 0 || len(x.scores) >= maxScores {
		return
	}
	if x.scores == nil {
		x.scores = scores{}
	}
	x.scores[c.entry.UID] = c.score
}

func (s *scores) of(uid mail.UID) float64 {
	if s == nil {
		return 0
	}
	return (*s)[uid]
}

// sortInto has what is found put in order.
func (x *searcher) sortInto(o *sorter) { x.keeper, o.scores = o, &x.scores }

// sayRelevancy writes the scores of what ALL or PARTIAL names, from 1 to 100, which is
// the best of all that was found (RFC 6203 §4).
func (x *searcher) sayRelevancy(out *wire.Encoder, found finding, ret *wire.SearchReturn) {
	best := 0.0
	for _, score := range x.scores {
		best = max(best, score)
	}
	if ret.Partial != nil {
		found = found.part(*ret.Partial)
	}
	out.Atom("RELEVANCY").Open()
	for uid := range found.all() {
		score := 1.0
		if best > 0 {
			score = max(1, math.Round(100*x.scores[uid]/best))
		}
		out.Number(uint64(score))
	}
	out.Close()
}
