package search

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search/searchtest"
	"lockstep/internal/store"
)

var everyPart = []Part{Subject, From, To, Cc, Bcc, Header, Body, Text}

func TestExactSearchIsWhatReadingFinds(t *testing.T) {
	for seed := range uint64(3) {
		r := searchtest.Maker{Rand: rand.New(rand.NewPCG(seed, 7))}
		h := newHouse(t)
		found, decided := 0, 0
		for round := range 4 {
			var letters []string
			for range 25 {
				letters = append(letters, r.Letter())
			}
			h.put(letters...)
			h.settle()
			keys := h.all()
			if round == 3 {
				h.forget(keys[:10])
				keys = h.all()
			}
			for range 60 {
				p, needle := everyPart[r.IntN(len(everyPart))], r.Needle()
				got := h.ask(p, needle, keys)
				for _, k := range keys {
					match, sure := got[k]
					if sure {
						decided++
					}
					if want := h.truth(p, needle, k); sure && match != want {
						t.Fatalf("seed %d: part %d, %q in message %d: %v, want %v", seed, p, needle, k, match, want)
					} else if want {
						found++
					}
				}
			}
		}
		if found < 100 || decided < 10_000 {
			t.Errorf("seed %d: %d found, %d decided: the test tests too little", seed, found, decided)
		}
	}
}

// forget expunges messages.
func (h *house) forget(keys []mail.MessageKey) {
	h.update(func(tx store.Tx) error {
		var uids mail.UIDSet
		for _, k := range keys {
			all, err := tx.PlacementsOf(k)
			if err != nil {
				return err
			}
			for _, p := range all {
				uids.Add(p.UID)
			}
		}
		_, err := tx.Expunge(h.inbox, uids, false)
		return err
	})
	h.settle()
}

func TestACommonWordIsFoundWithoutReadingText(t *testing.T) {
	h := newHouse(t)
	var letters []string
	for i := range 200 {
		letters = append(letters, fmt.Sprintf("Subject: %d\r\n\r\nabout the meeting number %d and its cafe\r\n", i, i))
	}
	letters = append(letters, "Subject: x\r\n\r\ncafés\r\n", "Subject: y\r\n\r\nthe e-cafesociety\r\n", "Subject: z\r\n\r\nnone\r\n")
	h.put(letters...)
	h.settle()
	keys := h.all()
	// The text is taken away: what is not proved by words can't be decided.
	h.exec("DELETE FROM doc_text WHERE key IN (SELECT key FROM doc ORDER BY key LIMIT 200)", "DELETE FROM search_text WHERE message_key IN (SELECT message_key FROM search_doc ORDER BY message_key LIMIT 200)")
	for needle, want := range map[string]int{"meet": 200, "MEETING": 200, "cafe": 202} {
		got := h.ask(Text, needle, keys)
		n := 0
		for _, match := range got {
			if match {
				n++
			}
		}
		if len(got) != len(keys) || n != want {
			t.Errorf("%q: %d of %d decided, %d found, want %d", needle, len(got), len(keys), n, want)
		}
	}
	if got := h.ask(Body, "cafes", keys); got[keys[200]] || !got[keys[201]] {
		t.Errorf("accents are lost: %v, %v", got[keys[200]], got[keys[201]])
	}
}

// Where accents are lost in the words, words prove nothing, even if all trigrams of
// the needle are there.
func TestWordsThatLostAccentsProveNothing(t *testing.T) {
	h := newHouse(t)
	var letters []string
	for i := range 2 * proveFrom {
		letters = append(letters, fmt.Sprintf("Subject: %d\r\n\r\ncafés, a cafe, lefest\r\n", i))
	}
	h.put(letters...)
	h.settle()
	keys := h.all()
	for k, match := range h.ask(Body, "cafes", keys) {
		if match || h.truth(Body, "cafes", k) {
			t.Fatalf("message %d: %v", k, match)
		}
	}
}

func TestWhatIsNotKeptWholeIsLeftToReading(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: long\r\n\r\nbeginning "+strings.Repeat("filler and more of it ", maxText/20)+" theend\r\n", "Subject: short\r\n\r\nnothing\r\n")
	h.settle()
	keys := h.all()
	for _, c := range []struct {
		part   Part
		needle string
		sure   bool
		match  bool
	}{{Body, "beginning", true, true}, {Body, "theend", false, false}, {Text, "nowhere", false, false}, {Subject, "nowhere", true, false}, {Subject, "LONG", true, true}} {
		match, sure := h.ask(c.part, c.needle, keys)[keys[0]]
		if match != c.match || sure != c.sure {
			t.Errorf("part %d, %q: %v, sure %v", c.part, c.needle, match, sure)
		}
	}
}

func TestGramsOfNeedles(t *testing.T) {
	for needle, want := range map[string]int{"": 0, "ab": 0, "abc": 1, "abcdef": 4, "aaaaaa": 1, strings.Repeat("0123456789abcdef", 9): 16} {
		if got := gramsOf([]byte(needle)); len(got) != want {
			t.Errorf("%q has %d grams, want %d", needle, len(got), want)
		}
	}
	var long []byte
	for i := range 200 {
		long = append(long, byte(i))
	}
	if got := gramsOf(long); len(got) != maxAsked {
		t.Errorf("%d grams of a long needle are asked, want %d", len(got), maxAsked)
	}
}

// FuzzBlocks holds that blocks from a damaged file end in an error, not in a panic.
func FuzzBlocks(f *testing.F) {
	var s gramSorter
	s.add(0, message.AppendCasemap(nil, []byte("hello world")))
	s.add(7, message.AppendCasemap(nil, []byte("hello there")))
	add := func(b block) error {
		f.Add(b.first, bytes.Clone(b.data))
		return nil
	}
	_ = s.write(add)
	w := wordSorter{ids: map[string]int{}}
	w.add(0, wordsFor("hello world", "hello"))
	w.add(7, wordsFor("hello there hello", ""))
	_ = w.write(add)
	f.Fuzz(func(t *testing.T, first, data []byte) {
		b := readGrams(block{first, data})
		for {
			more, err := b.next()
			if err != nil || !more {
				break
			}
			_ = eachNumber(b.list, func(n uint32) {
				if n >= maxSegment {
					t.Errorf("number %d", n)
				}
			})
		}
		l := readWords(block{first, data})
		for {
			more, err := l.next()
			if err != nil || !more {
				break
			}
			_ = eachPlaced(l.list, func(p *placed) error {
				if p.doc >= maxSegment || len(p.appendTo(nil, fieldSet(0).orAll())) != p.in(fieldSet(0).orAll()) {
					t.Errorf("%+v", p)
				}
				return nil
			})
		}
		_, _ = decodeKeys(data)
		if text, err := decodeText(data); err == nil {
			for _, p := range everyPart {
				text.part(p)
			}
		}
	})
}

// wordsFor are the words of a message that says something in its subject and its body.
func wordsFor(subject, body string) *words {
	w := &words{}
	for i := range w.fields {
		w.fields[i] = newTokenizer(maxTokens)
	}
	w.add(fieldSubject, subject)
	w.add(fieldBody, body)
	return w
}
