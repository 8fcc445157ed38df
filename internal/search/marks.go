package search

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Mark is a piece of a text, by its bytes.
type Mark struct{ From, To int }

// Marks are the pieces of a text that a query asks for, in order and apart from each
// other: whole words, also where it asks for the beginning of one.
func (q Query) Marks(text string) []Mark {
	tokens := tokensIn(text)
	var all []Mark
	for _, t := range q {
		if t.not {
			continue
		}
		for _, p := range phrasesOf(t.text, t.prefix) {
			all = append(all, p.marks(tokens)...)
		}
	}
	return apart(all)
}

// apart puts marks in order, and those together that touch each other.
func apart(all []Mark) (out []Mark) {
	slices.SortFunc(all, func(a, b Mark) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	for _, m := range all {
		if n := len(out); n > 0 && m.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, m.To)
			continue
		}
		out = append(out, m)
	}
	return out
}

// marks are the places of a phrase in a text.
func (p phrase) marks(tokens []tokenAt) (all []Mark) {
	for i := range tokens {
		if n := len(p.words); i+n <= len(tokens) && p.standsAt(tokens[i:i+n]) {
			last := tokens[i+n-1]
			to := last.to
			if last.dense && last.word != p.words[n-1] { // of a pair, the first character alone
				to = last.middle
			}
			all = append(all, Mark{tokens[i].from, to})
		}
	}
	return all
}

func (p phrase) standsAt(tokens []tokenAt) bool {
	for i, w := range p.words {
		isLast := i == len(p.words)-1
		if tokens[i].word != w && !(isLast && p.prefix && strings.HasPrefix(tokens[i].word, w)) {
			return false
		}
	}
	return true
}

// tokenAt is a word of a text, and where it stands.
type tokenAt struct {
	word     string
	from, to int
	dense    bool // a pair of characters of a script without spaces, or the last of them
	middle   int  // of a pair
}

// tokensIn are the words of a text as a tokenizer makes them.
func tokensIn(text string) (all []tokenAt) {
	for from := 0; from < len(text); {
		r, size := utf8.DecodeRuneInString(text[from:])
		if !isWordChar(r) {
			from += size
			continue
		}
		to := from
		for to < len(text) {
			r, size := utf8.DecodeRuneInString(text[to:])
			if !isWordChar(r) {
				break
			}
			to += size
		}
		at := from
		for _, run := range denseRuns(text[from:to]) {
			if run.dense {
				all = append(all, pairsIn(run.text, at)...)
			} else if w := foldedWord(run.text); w != "" {
				all = append(all, tokenAt{word: w, from: at, to: at + len(run.text)})
			}
			at += len(run.text)
		}
		from = to
	}
	return all
}

// foldedWord is a run of letters as the index has it.
func foldedWord(s string) string {
	t := newTokenizer(1)
	t.text(s)
	return strings.TrimSuffix(string(t.out), " ")
}

// pairsIn are the pairs of characters of a run of a script without spaces, which
// begins at a byte of the text.
func pairsIn(run string, at int) (all []tokenAt) {
	var starts []int // of characters, with their voicing marks
	for i, r := range run {
		if len(starts) == 0 || !isVoicing(r) {
			starts = append(starts, i)
		}
	}
	starts = append(starts, len(run))
	for i := range len(starts) - 1 {
		end := min(i+2, len(starts)-1)
		word, _, _ := strings.Cut(foldedWord(run[starts[i]:starts[end]]), " ")
		all = append(all, tokenAt{word: word, from: at + starts[i], to: at + starts[end], dense: true, middle: at + starts[i+1]})
	}
	return all
}
