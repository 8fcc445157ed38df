package search

import (
	"math"
	"slices"

	"lockstep/internal/mail"
)

// plan is a query as segments are asked: the rows of words that a message has to have,
// and those of which it must not have all of one group.
type plan struct {
	must []*asked
	not  [][]*asked
}

// asked is a row of words in some fields.
type asked struct {
	phrase
	in   fieldSet
	rank int   // which place it has among those that count for the order; -1: none
	hits int64 // messages that have it, of those looked at
}

// maxRanked is how many rows of words count for the order.
const maxRanked = 16

// plan is nothing where the query looks for no word.
func (q Query) plan() *plan {
	p := &plan{}
	for _, t := range q {
		var all []*asked
		for _, row := range phrasesOf(t.text, t.prefix) {
			all = append(all, &asked{phrase: row, in: t.in.orAll(), rank: -1})
		}
		if t.not && len(all) > 0 {
			p.not = append(p.not, all)
		} else {
			p.must = append(p.must, all...)
		}
	}
	for i, a := range p.must[:min(len(p.must), maxRanked)] {
		a.rank = i
	}
	return p
}

// isEmpty reports whether it looks for no word.
func (p *plan) isEmpty() bool { return len(p.must) == 0 && len(p.not) == 0 }

func (p *plan) all() []*asked { return slices.Concat(append(slices.Clone(p.not), p.must)...) }

// weights are what a word's place counts, by field.
var weights = [numFields]float64{10, 8, 4, 2, 2, 1}

// found is a message that fits a plan.
type found struct {
	key  mail.MessageKey
	freq [maxRanked]float32 // how much there is of each row of words, weighted
}

// askWords is how many words the segments have that are asked at once, unless one has
// more: it bounds the memory that a question takes.
const askWords = 4 << 20

// find calls each with the messages of each segment that fit, the newest segments
// first, as long as it returns true. Messages that are gone are among them, and some
// come twice.
func (r *reader) find(p *plan, each func(s segmentRow, keys []mail.MessageKey, f *finding) bool) error {
	segments, err := r.segments()
	if err != nil {
		return err
	}
	segments = slices.Clone(segments)
	slices.Reverse(segments)
	for len(segments) > 0 {
		n, words := 1, segments[0].words
		for n < len(segments) && words+segments[n].words <= askWords {
			words += segments[n].words
			n++
		}
		more, err := r.findIn(p, segments[:n], each)
		if err != nil || !more {
			return err
		}
		segments = segments[n:]
	}
	return nil
}

// findIn asks some segments at once.
func (r *reader) findIn(p *plan, segments []segmentRow, each func(segmentRow, []mail.MessageKey, *finding) bool) (more bool, err error) {
	ranges := p.ranges()
	var asks []blockAsk
	for _, s := range segments {
		for _, w := range ranges {
			low, high := wordRange(w.word, w.prefix)
			asks = append(asks, blockAsk{s.id, low, high})
		}
	}
	blocks, err := r.blocks(asks)
	if err != nil {
		return false, err
	}
	var fits []*finding
	var ids []int64
	for i, s := range segments {
		f := &finding{plan: p, blocks: map[wordAsk][]block{}}
		for j, w := range ranges {
			f.blocks[w] = blocks[i*len(ranges)+j]
		}
		if err := f.look(); err != nil {
			return false, err
		}
		if fits = append(fits, f); f.some {
			ids = append(ids, s.id)
		}
	}
	keys, err := r.keysIn(ids)
	if err != nil {
		return false, err
	}
	for i, s := range segments {
		if f := fits[i]; !each(s, keys[s.id], f) {
			return false, nil
		}
	}
	return true, nil
}

// wordAsk is a word, or the beginning of some.
type wordAsk struct {
	word   string
	prefix bool
}

func (p *phrase) ask(i int) wordAsk {
	return wordAsk{p.words[i], p.prefix && i == len(p.words)-1}
}

// ranges are the words that have to be looked up.
func (p *plan) ranges() (all []wordAsk) {
	seen := map[wordAsk]bool{}
	for _, a := range p.all() {
		for i := range a.words {
			if w := a.ask(i); !seen[w] {
				seen[w] = true
				all = append(all, w)
			}
		}
	}
	return all
}

// finding is what one segment says of a plan.
type finding struct {
	plan   *plan
	blocks map[wordAsk][]block
	have   bitmap // who fits; of a plan of nothing but what must not be there, who does not
	some   bool
	freq   [maxRanked]*[maxSegment]float32
}

// look lays the rows of words over each other.
func (f *finding) look() error {
	for i, a := range f.plan.must {
		rank := a.rank
		if i > 0 && !f.some && rank < 0 {
			break
		}
		has, err := f.row(a)
		if err != nil {
			return err
		}
		a.hits += int64(has.count())
		if i > 0 {
			for j := range has {
				has[j] &= f.have[j]
			}
		}
		f.have = has
		f.some = has != bitmap{}
	}
	var without bitmap
	for _, group := range f.plan.not {
		all, err := f.group(group)
		if err != nil {
			return err
		}
		for j := range all {
			without[j] |= all[j]
		}
	}
	if len(f.plan.must) == 0 {
		f.have = without
	} else {
		for j := range without {
			f.have[j] &^= without[j]
		}
	}
	f.some = f.have != bitmap{}
	return nil
}

// group are the messages that have all of a group.
func (f *finding) group(group []*asked) (all bitmap, err error) {
	for i, a := range group {
		has, err := f.row(a)
		if err != nil {
			return all, err
		}
		if i > 0 {
			for j := range has {
				has[j] &= all[j]
			}
		}
		all = has
	}
	return all, nil
}

// row are the messages that have a row of words, and notes how much.
func (f *finding) row(a *asked) (has bitmap, err error) {
	var freq *[maxSegment]float32
	if a.rank >= 0 {
		freq = new([maxSegment]float32)
		f.freq[a.rank] = freq
	}
	if len(a.words) == 1 {
		err = f.word(a, &has, freq)
		return has, err
	}
	err = f.words(a, &has, freq)
	return has, err
}

// word looks for a single word, or for the beginning of one.
func (f *finding) word(a *asked, has *bitmap, freq *[maxSegment]float32) error {
	w := a.ask(0)
	return eachList(f.blocks[w], w.word, w.prefix, func(list []byte) error {
		return eachPlaced(list, func(p *placed) error {
			sum := 0.0
			for i, n := range p.n {
				if n > 0 && a.in&(1<<i) != 0 {
					sum += float64(n) * weights[i]
				}
			}
			if sum == 0 {
				return nil
			}
			has.set(p.doc)
			if freq != nil {
				freq[p.doc] += float32(sum)
			}
			return nil
		})
	})
}

// maxPlaces bounds the places that a row of words is looked for from in one segment;
// those behind them are not found.
const maxPlaces = 2 << 20

// words looks for words that stand one behind the other.
func (f *finding) words(a *asked, has *bitmap, freq *[maxSegment]float32) error {
	common, err := f.common(a)
	if err != nil || common == (bitmap{}) {
		return err
	}
	var at, next []uint64
	for i := range a.words {
		w, last := a.ask(i), i == len(a.words)-1
		next = next[:0]
		var buf []uint64
		err := eachList(f.blocks[w], w.word, w.prefix, func(list []byte) error {
			from := 0
			return eachPlaced(list, func(p *placed) error {
				if !common.has(p.doc) || len(next) >= maxPlaces {
					return nil
				}
				buf = p.appendTo(buf[:0], a.in)
				for _, place := range buf {
					if i > 0 {
						n, there := slices.BinarySearch(at[from:], place-1)
						if from += n; !there {
							continue
						}
					}
					if !last {
						next = append(next, place)
						continue
					}
					has.set(p.doc)
					if freq != nil {
						freq[p.doc] += float32(weights[place>>16&7])
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		at, next = next, at
	}
	return nil
}

// common are the messages that have all words of a row, wherever.
func (f *finding) common(a *asked) (all bitmap, err error) {
	for i := range a.words {
		w := a.ask(i)
		var has bitmap
		err := eachList(f.blocks[w], w.word, w.prefix, func(list []byte) error {
			return eachPlaced(list, func(p *placed) error {
				if p.in(a.in) > 0 && (i == 0 || all.has(p.doc)) {
					has.set(p.doc)
				}
				return nil
			})
		})
		if err != nil {
			return all, err
		}
		all = has
	}
	return all, nil
}

// matching calls each with the messages that have all that a plan asks for. Those that
// are gone are among them.
func (r *reader) matching(p *plan, each func(mail.MessageKey)) error {
	for _, a := range p.must {
		a.rank = -1
	}
	return r.find(p, func(s segmentRow, keys []mail.MessageKey, f *finding) bool {
		for i, k := range keys {
			if f.have.has(uint32(i)) {
				each(k)
			}
		}
		return true
	})
}

// The constants of bm25.
const (
	bm25k = 1.2
	bm25b = 0.75
	noIDF = 1e-6 // what a word counts that more than half of the messages have
)

// ranked returns the messages that fit a plan with what bm25 makes of them: how often
// and where the words stand, how rare they are, and how much else the message says. Of
// more than maxHits it returns those that came last.
func (r *reader) ranked(p *plan) (hits map[mail.MessageKey]ratedDoc, err error) {
	var all []found
	docs, words := int64(0), int64(0)
	err = r.find(p, func(s segmentRow, keys []mail.MessageKey, f *finding) bool {
		docs += s.docs
		words += s.words
		for i, k := range keys {
			if f.have.has(uint32(i)) && len(all) < maxHits {
				all = append(all, f.found(k, i))
			}
		}
		return len(all) < maxHits
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	byKey := make(map[mail.MessageKey]*found, len(all))
	keys := make([]mail.MessageKey, 0, len(all))
	for i := range all {
		if byKey[all[i].key] == nil { // else it says the same twice
			byKey[all[i].key] = &all[i]
			keys = append(keys, all[i].key)
		}
	}
	hits = make(map[mail.MessageKey]ratedDoc, len(keys))
	average := float64(words) / float64(docs)
	err = r.docsOf(keys, func(d docRow) error {
		hits[d.key] = ratedDoc{p.score(byKey[d.key], float64(d.words)/average, float64(docs)), d.date}
		return nil
	})
	return hits, err
}

// ratedDoc is a message that was found.
type ratedDoc struct {
	score float64
	date  int64 // Unix seconds
}

func (f *finding) found(k mail.MessageKey, i int) found {
	out := found{key: k}
	for j, freq := range f.freq {
		if freq != nil {
			out.freq[j] = freq[i]
		}
	}
	return out
}

// score is bm25 of a message that is so many times as long as others.
func (p *plan) score(f *found, length, docs float64) (sum float64) {
	for _, a := range p.must {
		if a.rank < 0 {
			continue
		}
		idf := math.Log((docs - float64(a.hits) + 0.5) / (float64(a.hits) + 0.5))
		if idf <= 0 {
			idf = noIDF
		}
		freq := float64(f.freq[a.rank])
		sum += idf * freq * (bm25k + 1) / (freq + bm25k*(1-bm25b+bm25b*length))
	}
	return sum
}
