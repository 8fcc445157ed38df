package search

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search/searchtest"
	"lockstep/internal/store"
)

// wordsOf reads the words of each message.
func (h *house) wordsOf(keys []mail.MessageKey) map[mail.MessageKey]*words {
	h.t.Helper()
	all := map[mail.MessageKey]*words{}
	h.view(func(r store.Reader) error {
		for _, k := range keys {
			m, err := r.Message(k)
			if err != nil {
				return err
			}
			parsed, err := message.Decode(m.Parsed)
			if err != nil {
				return err
			}
			h.mu.Lock()
			data := h.blobs[m.Blob.Name]
			h.mu.Unlock()
			if all[k], err = wordsOf(h.t.Context(), bytes.NewReader(data), parsed, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

// times is how often a row of words stands in some fields of a message, weighted.
func (p phrase) times(w *words, in fieldSet) (sum float64) {
	for f := range numFields {
		if in.orAll()&(1<<f) == 0 {
			continue
		}
		have := strings.Fields(string(w.fields[f].out))
		for i := 0; i+len(p.words) <= len(have); i++ {
			last := len(p.words) - 1
			if slices.Equal(have[i:i+last], p.words[:last]) && (have[i+last] == p.words[last] || p.prefix && strings.HasPrefix(have[i+last], p.words[last])) {
				sum += weights[f]
			}
		}
	}
	return sum
}

// naive finds and rates by reading: bm25 as its authors wrote it.
func naive(q Query, all map[mail.MessageKey]*words) map[mail.MessageKey]float64 {
	total := int64(0)
	for _, w := range all {
		total += wordsIn(w)
	}
	n, average := float64(len(all)), float64(total)/float64(len(all))
	found := map[mail.MessageKey]float64{}
	for k, w := range all {
		fits := true
		for _, t := range q {
			is := true
			for _, p := range phrasesOf(t.text, t.prefix) {
				is = is && p.times(w, t.in) > 0
			}
			fits = fits && (len(phrasesOf(t.text, t.prefix)) == 0 || is != t.not)
		}
		if !fits {
			continue
		}
		score := 0.0
		for _, t := range q {
			if t.not {
				continue
			}
			for _, p := range phrasesOf(t.text, t.prefix) {
				hits := 0.0
				for _, other := range all {
					if p.times(other, t.in) > 0 {
						hits++
					}
				}
				idf := max(math.Log((n-hits+0.5)/(hits+0.5)), noIDF)
				freq := p.times(w, t.in)
				score += idf * freq * 2.2 / (freq + 1.2*(0.25+0.75*float64(wordsIn(w))/average))
			}
		}
		found[k] = score
	}
	return found
}

// randomQuery asks for words of the mail, rows of them, beginnings, in fields, and for
// what must not be there.
func randomQuery(r *rand.Rand, all map[mail.MessageKey]*words, keys []mail.MessageKey) string {
	var terms []string
	for range 1 + r.IntN(3) {
		w := all[keys[r.IntN(len(keys))]]
		f := field(r.IntN(int(numFields)))
		have := strings.Fields(string(w.fields[f].out))
		if len(have) == 0 {
			terms = append(terms, "nothing")
			continue
		}
		i, n := r.IntN(len(have)), 1+r.IntN(3)
		term := strings.Join(have[i:min(i+n, len(have))], " ")
		if r.IntN(3) == 0 {
			runes := []rune(term)
			term = string(runes[:1+r.IntN(len(runes))])
		}
		term = `"` + term + `"`
		if r.IntN(3) == 0 {
			term += "*"
		}
		if r.IntN(3) == 0 {
			term = []string{"subject:", "from:", "to:", "body:", "filename:", "attachment:"}[r.IntN(6)] + term
		}
		if r.IntN(5) == 0 {
			term = "-" + term
		}
		terms = append(terms, term)
	}
	return strings.Join(terms, " ")
}

// What people find in blocks of words is what reading all of them finds, and rated so.
func TestPeopleFindAndRateAsReadingDoes(t *testing.T) {
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 11))
		maker := searchtest.Maker{Rand: r}
		h := newHouse(t)
		some := 0
		for round := range 4 {
			for range 5 {
				var letters []string
				for range 8 {
					letters = append(letters, maker.Letter())
				}
				h.put(letters...)
				h.settle()
			}
			keys := h.all()
			gone := round == 3
			if gone {
				h.forget(keys[:10])
				keys = h.all()
			}
			all := h.wordsOf(keys)
			for range 40 {
				text := randomQuery(r, all, keys)
				q := ParseQuery(text)
				if q.plan().isEmpty() {
					continue
				}
				var got map[mail.MessageKey]ratedDoc
				hits, err := h.x.People(t.Context(), h.account, q, maxHits)
				if err == nil {
					err = h.x.read(t.Context(), h.account, func(r *reader) (err error) {
						got, err = r.ranked(q.plan())
						return err
					})
				}
				if err != nil {
					t.Fatal(err)
				}
				want := naive(q, all)
				if len(hits) != len(want) {
					t.Fatalf("seed %d: %s finds %d, reading finds %d", seed, text, len(hits), len(want))
				}
				for _, hit := range hits {
					score, fits := want[hit.Message]
					if !fits {
						t.Fatalf("seed %d: %s finds message %d", seed, text, hit.Message)
					}
					if is := got[hit.Message].score; len(q.plan().must) > 0 && !gone && math.Abs(is-score) > 1e-4*max(1, score) {
						t.Fatalf("seed %d: %s rates message %d %v, want %v", seed, text, hit.Message, is, score)
					}
				}
				some += len(hits)
			}
		}
		if some < 200 {
			t.Errorf("seed %d: %d found: the test tests too little", seed, some)
		}
	}
}

// Lists that do not fit a block are found whole, and no other word with them.
func TestWordsThatEveryMessageHasAreFoundInAll(t *testing.T) {
	h := newHouse(t)
	var letters []string
	for i := range 900 {
		letters = append(letters, fmt.Sprintf("Subject: number%d\r\n\r\n%s\r\n", i, strings.Repeat("the than then ", 20)))
	}
	h.put(letters...)
	h.settle()
	for text, want := range map[string]int{"the": 900, "th*": 900, `"the than"`: 900, `"than the"`: 0, `"then th"*`: 900, "thes": 0, "number7": 1, "number7*": 111, "-the": 0} {
		hits, err := h.x.People(t.Context(), h.account, ParseQuery(text), maxHits)
		if err != nil || len(hits) != want {
			t.Errorf("%s: %d found, want %d; %v", text, len(hits), want, err)
		}
	}
}

// A message of nothing but one word, as often as is kept, is one list longer than a
// block.
func TestAListOfOneMessageMayBeLongerThanABlock(t *testing.T) {
	w := wordsFor(strings.Repeat("a ", maxTokens+1), strings.Repeat("a b ", maxTokens))
	s := wordSorter{ids: map[string]int{}}
	for i := range uint32(3) {
		s.add(i, w)
	}
	var all []block
	if err := s.write(func(b block) error { all = append(all, b); return nil }); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, word := range []string{"a", "b"} {
		err := eachList(all, word, false, func(list []byte) error {
			return eachPlaced(list, func(p *placed) error {
				n[word] += len(p.appendTo(nil, fieldSet(0).orAll()))
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n["a"] != 3*(maxTokens+maxTokens/2) || n["b"] != 3*maxTokens/2 {
		t.Errorf("%v", n)
	}
}

// A row of words is looked for from so many places of a segment; those behind them are
// left out, and what is found before them is not.
func TestPlacesOfARowOfWordsAreBounded(t *testing.T) {
	s := wordSorter{ids: map[string]int{}}
	w := wordsFor("", strings.Repeat("a ", maxTokens))
	docs := uint32(maxPlaces/maxTokens + 2)
	for i := range docs {
		s.add(i, w)
	}
	var all []block
	if err := s.write(func(b block) error { all = append(all, b); return nil }); err != nil {
		t.Fatal(err)
	}
	p := ParseQuery(`"a a"`).plan()
	f := &finding{plan: p, blocks: map[wordAsk][]block{{"a", false}: all}}
	if err := f.look(); err != nil {
		t.Fatal(err)
	}
	if n := f.have.count(); n < maxPlaces/maxTokens || n >= int(docs) {
		t.Errorf("%d of %d messages found", n, docs)
	}
}

// What left and came back is found once.
func TestWhatCameBackIsFoundOnce(t *testing.T) {
	h := newHouse(t)
	p := h.put("Subject: x\r\n\r\nneedle\r\n")[0]
	h.settle()
	for range 2 * mergeAt {
		for _, change := range []mail.FlagChange{{Add: flags(t, `\Deleted`)}, {Remove: flags(t, `\Deleted`)}} {
			h.update(func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(p.UID), change, nil)
				return err
			})
			h.settle()
		}
		hits, err := h.x.People(t.Context(), h.account, ParseQuery("needle"), 10)
		if err != nil || len(hits) != 1 {
			t.Fatalf("%v, %v", hits, err)
		}
	}
}

// Of a query with more rows of words than count for the order all have to be there.
func TestMoreRowsOfWordsThanAreRankedStillHaveToBeThere(t *testing.T) {
	h := newHouse(t)
	var most []string
	for i := range maxRanked + 1 {
		most = append(most, fmt.Sprintf("word%d", i))
	}
	h.put("Subject: all\r\n\r\n"+strings.Join(most, " ")+"\r\n", "Subject: most\r\n\r\n"+strings.Join(most[:maxRanked], " ")+"\r\n")
	h.settle()
	hits, err := h.x.People(t.Context(), h.account, ParseQuery(strings.Join(most, " ")), 10)
	if err != nil || len(hits) != 1 || hits[0].Message != h.all()[0] {
		t.Errorf("%v, %v", hits, err)
	}
}
