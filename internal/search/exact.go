package search

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"zombiezen.com/go/sqlite"

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

// scanDocs is how many times as many messages an index may have as are asked about
// for all of them to be read in one go.
const scanDocs = 8

// load finds which of keys are in the index.
func (e *exact) load(keys []mail.MessageKey) error {
	e.known = make(map[mail.MessageKey]docFlags, len(keys))
	if len(keys) == 0 {
		return nil
	}
	total := int64(0)
	err := query(e.c, "SELECT coalesce(sum(docs), 0) FROM segment", func(st *sqlite.Stmt) error {
		total = st.ColumnInt64(0)
		return nil
	})
	if err != nil {
		return err
	}
	take := func(st *sqlite.Stmt) error {
		if flags := docFlags(st.ColumnInt64(1)); flags&docUnread == 0 {
			e.known[mail.MessageKey(st.ColumnInt64(0))] = flags
		}
		return nil
	}
	if total > int64(len(keys))*scanDocs {
		for _, k := range keys {
			if err := query(e.c, "SELECT key, flags FROM doc WHERE key = ?1", take, int64(k)); err != nil {
				return err
			}
		}
		return nil
	}
	asked := slices.Clone(keys)
	slices.Sort(asked)
	i := 0
	return query(e.c, "SELECT key, flags FROM doc WHERE key BETWEEN ?1 AND ?2 ORDER BY key", func(st *sqlite.Stmt) error {
		k := mail.MessageKey(st.ColumnInt64(0))
		for i < len(asked) && asked[i] < k {
			i++
		}
		if i < len(asked) && asked[i] == k {
			return take(st)
		}
		return nil
	}, int64(asked[0]), int64(asked[len(asked)-1]))
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
	var segments []int64
	err := query(e.c, "SELECT segment_id FROM segment", func(st *sqlite.Stmt) error {
		segments = append(segments, st.ColumnInt64(0))
		return nil
	})
	for _, id := range segments {
		if err == nil {
			err = e.nominateIn(id, grams, open)
		}
	}
	return open, err
}

// nominateIn asks one segment. The lists are laid over each other in a bitmap.
func (e *exact) nominateIn(segment int64, grams []gram, open map[mail.MessageKey]bool) error {
	var have, both [maxSegment / 64]uint64
	for i, g := range grams {
		list, err := e.list(segment, g)
		if err != nil {
			return err
		}
		clear(both[:])
		some := false
		err = eachNumber(list, func(n uint32) {
			bit := uint64(1) << (n & 63)
			if i == 0 || have[n>>6]&bit != 0 {
				both[n>>6] |= bit
				some = true
			}
		})
		if err != nil || !some {
			return err
		}
		have = both
	}
	keys, err := segmentKeys(e.c, segment)
	if err != nil {
		return err
	}
	for n, k := range keys {
		if have[n>>6]&(1<<(n&63)) != 0 {
			if _, known := e.known[k]; known {
				open[k] = true
			}
		}
	}
	return nil
}

// list finds the list of a gram; nil if no message has it.
func (e *exact) list(segment int64, g gram) (list []byte, err error) {
	err = query(e.c, "SELECT block_id, data FROM gram_block WHERE block_id BETWEEN ?1 AND ?2 ORDER BY block_id DESC LIMIT 1", func(st *sqlite.Stmt) error {
		b := readBlock(block{gram(st.ColumnInt64(0) & maxGram), columnBytes(st, 1, nil)})
		for {
			more, err := b.next()
			if err != nil || !more || b.gram > g {
				return err
			}
			if b.gram == g {
				list = b.list
				return nil
			}
		}
	}, blockID(segment, 0), blockID(segment, g))
	return list, err
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
	return query(e.c, "SELECT rowid FROM word WHERE word MATCH ?1", func(st *sqlite.Stmt) error {
		k := mail.MessageKey(st.ColumnInt64(0))
		if flags, ok := e.known[k]; ok && flags&docLossy == 0 {
			e.answers[k] = true
			delete(e.known, k)
		}
		return nil
	}, `body : "`+string(bytes.ToLower(e.q.Needle))+`" *`)
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
	for _, k := range keys {
		err := query(e.c, "SELECT sealed FROM doc_text WHERE key = ?1", func(st *sqlite.Stmt) error {
			texts = append(texts, sealedText{k, columnBytes(st, 0, nil)})
			return nil
		}, int64(k))
		if err != nil {
			return nil, err
		}
	}
	if len(texts) < len(keys) {
		return nil, errDamaged
	}
	return texts, nil
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
