package search

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lockstep/internal/mail"
)

// A Question is whether a part of a message contains a needle. With Field it is
// about the fields of that name in the header; an empty needle then is in each.
// Needle and Field are casemapped.
type Question struct {
	Part   Part
	Field  []byte
	Needle []byte
}

// nominee is text that every message has for which the answer is yes.
func (q *Question) nominee() []byte {
	if len(q.Field) > 0 && len(q.Needle) < 3 {
		return append(bytes.Clone(q.Field), ": "...)
	}
	return q.Needle
}

// Answers says of messages whether they match. Of one that is not in it nothing is
// known: it has to be read.
type Answers map[mail.MessageKey]bool

// Exact decides a question for messages of an account: as many of them as it can,
// and each as reading it would. Without an index it decides none.
//
// It costs a look at the rows of the messages asked about, at some lists of each
// segment, and at the text of those that are nominated.
func (x *Index) Exact(ctx context.Context, a mail.AccountID, q Question, keys []mail.MessageKey) (Answers, error) {
	x.need(a)
	x.stats.asked.Add(1)
	answers := Answers{}
	err := x.read(ctx, a, func(r *reader) error {
		clear(answers)
		e := &exact{reader: r, q: q, answers: answers}
		return e.decide(ctx, keys)
	})
	if err != nil {
		return Answers{}, x.unusable(ctx, err) // whoever asks reads
	}
	x.stats.decided.Add(int64(len(answers)))
	return answers, nil
}

// exact decides one question.
type exact struct {
	*reader
	q       Question
	answers Answers
	known   map[mail.MessageKey]docFlags // of those asked about, the ones in the index and not decided
}

func (e *exact) decide(ctx context.Context, keys []mail.MessageKey) error {
	if err := e.load(keys); err != nil {
		return err
	}
	open, err := e.nominate()
	if err != nil {
		return err
	}
	for k, flags := range e.known {
		if !open[k] {
			if flags&docCut == 0 || e.q.Part < Header {
				e.answers[k] = false
				delete(e.known, k)
			}
		}
	}
	if err := e.prove(); err != nil {
		return err
	}
	left := make([]mail.MessageKey, 0, len(e.known))
	for k := range e.known {
		left = append(left, k)
	}
	slices.Sort(left)
	return e.lookAt(ctx, left)
}

// load finds which of keys are in the index.
func (e *exact) load(keys []mail.MessageKey) error {
	e.known = make(map[mail.MessageKey]docFlags, len(keys))
	return e.docsOf(keys, func(d docRow) error {
		if d.flags&docUnread == 0 {
			e.known[d.key] = d.flags
		}
		return nil
	})
}

// nominate returns those of the known messages that have every gram of the needle.
func (e *exact) nominate() (map[mail.MessageKey]bool, error) {
	open := make(map[mail.MessageKey]bool, len(e.known))
	grams := gramsOf(e.q.nominee())
	if len(grams) == 0 {
		for k := range e.known {
			open[k] = true
		}
		return open, nil
	}
	segments, err := e.segments()
	if err != nil {
		return nil, err
	}
	left := make([]*nomination, len(segments))
	for i, s := range segments {
		left[i] = &nomination{segment: s.id}
	}
	for _, at := range []int{2, 8, maxAsked} {
		some := grams[:min(len(grams), at)]
		grams = grams[len(some):]
		if left, err = e.narrow(left, some); err != nil {
			return nil, err
		}
	}
	return open, e.openIn(left, open)
}

// nomination are those of a segment's messages that can match.
type nomination struct {
	segment int64
	have    bitmap
	begun   bool
}

// narrow asks segments for more grams, and leaves out those that have nothing.
func (e *exact) narrow(all []*nomination, grams []gram) ([]*nomination, error) {
	if len(all) == 0 || len(grams) == 0 {
		return all, nil
	}
	var left []*nomination
	for some := range slices.Chunk(all, askSegments) {
		var asks []blockAsk
		for _, n := range some {
			for _, g := range grams {
				asks = append(asks, blockAsk{n.segment, gramKey(g), gramKey(g)})
			}
		}
		blocks, err := e.blocks(asks)
		if err != nil {
			return nil, err
		}
		for i, n := range some {
			open, err := n.take(grams, blocks[i*len(grams):])
			if err != nil {
				return nil, err
			}
			if open {
				left = append(left, n)
			}
		}
	}
	return left, nil
}

// askSegments is how many segments are asked for grams at once.
const askSegments = 64

// take lays the lists of grams over each other; false if nothing is left.
func (n *nomination) take(grams []gram, blocks [][]block) (some bool, err error) {
	for i, g := range grams {
		list, err := listOf(g, blocks[i])
		if err != nil {
			return false, err
		}
		var both bitmap
		some = false
		err = eachNumber(list, func(d uint32) {
			if !n.begun || n.have.has(d) {
				both.set(d)
				some = true
			}
		})
		if err != nil || !some {
			return false, err
		}
		n.have, n.begun = both, true
	}
	return some, nil
}

// listOf finds the list of a gram in the block where it would be; nil if no message
// has it.
func listOf(g gram, blocks []block) (list []byte, err error) {
	for _, b := range blocks {
		r := readGrams(b)
		for {
			more, err := r.next()
			if err != nil {
				return nil, err
			}
			if !more || r.gram > g {
				break
			}
			if r.gram == g {
				return r.list, nil
			}
		}
	}
	return nil, nil
}

// openIn opens the known ones among what is left of segments.
func (e *exact) openIn(left []*nomination, open map[mail.MessageKey]bool) error {
	var ids []int64
	for _, n := range left {
		ids = append(ids, n.segment)
	}
	all, err := e.keysIn(ids)
	if err != nil {
		return err
	}
	for _, n := range left {
		for i, k := range all[n.segment] {
			if _, known := e.known[k]; known && n.have.has(uint32(i)) {
				open[k] = true
			}
		}
	}
	return nil
}

// proveFrom is how many messages must be open for the words to be asked.
const proveFrom = 64

// prove decides, without reading text, the messages in whose body a word begins
// with the needle: where it is of ASCII letters and digits, and the words are the
// letters of the text but for their case, that word contains it.
func (e *exact) prove() error {
	if len(e.known) < proveFrom || e.q.Part != Body && e.q.Part != Text || !isPlainWord(e.q.Needle) {
		return nil
	}
	p := phrase{words: []string{string(bytes.ToLower(e.q.Needle))}, prefix: true}
	return e.matching(&plan{must: []*asked{{phrase: p, in: fields(fieldBody)}}}, func(k mail.MessageKey) {
		if flags, ok := e.known[k]; ok && flags&docLossy == 0 {
			e.answers[k] = true
			delete(e.known, k)
		}
	})
}

// isPlainWord reports whether a needle is of ASCII letters and digits, and no longer
// than words are.
func isPlainWord(needle []byte) bool {
	for _, c := range needle {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return len(needle) > 0 && len(needle) <= maxTokenBytes
}

// lookers is how many goroutines open texts: reading them from the database takes one
// about as long as opening takes three.
const lookers = 3

// lookBatch is how many texts one of them takes at once.
const lookBatch = 64

// lookAt reads the texts of messages.
func (e *exact) lookAt(ctx context.Context, keys []mail.MessageKey) error {
	batches := make(chan []sealedText)
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for range min(lookers, (len(keys)+lookBatch-1)/lookBatch) {
		g.Go(func() error {
			var plain []byte
			for b := range batches {
				if err := e.lookAtSome(b, &plain, &mu); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(batches)
		for some := range slices.Chunk(keys, lookBatch) {
			b, err := e.sealedTexts(some)
			if err != nil {
				return err
			}
			select {
			case batches <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// sealedText is the text of a message as it is stored.
type sealedText struct {
	key    mail.MessageKey
	sealed []byte
}

func (e *exact) sealedTexts(keys []mail.MessageKey) ([]sealedText, error) {
	texts := make([]sealedText, 0, len(keys))
	err := e.texts(keys, func(k mail.MessageKey, sealed []byte) error {
		texts = append(texts, sealedText{k, sealed})
		return nil
	})
	if err == nil && len(texts) < len(keys) {
		err = errDamaged
	}
	return texts, err
}

// lookAtSome opens texts and decides.
func (e *exact) lookAtSome(texts []sealedText, plain *[]byte, mu *sync.Mutex) error {
	for _, s := range texts {
		t, err := e.open(s.key, s.sealed, plain)
		if err != nil {
			return err
		}
		if match, sure := t.decide(&e.q); sure {
			mu.Lock()
			e.answers[s.key] = match
			mu.Unlock()
		}
	}
	return nil
}
