package search

import (
	"strings"
	"unicode"
)

// fieldSet is a set of fields; 0 is all of them.
type fieldSet uint8

func fields(list ...field) (s fieldSet) {
	for _, f := range list {
		s |= 1 << f
	}
	return s
}

// operators are the words that narrow what follows them to some fields, as people
// know them from elsewhere.
var operators = map[string]fieldSet{
	"subject": fields(fieldSubject), "from": fields(fieldSender),
	"to": fields(fieldRecipients), "cc": fields(fieldRecipients), "bcc": fields(fieldRecipients),
	"body": fields(fieldBody), "filename": fields(fieldNames), "attachment": fields(fieldNames, fieldFiles),
}

// A Term is one thing that is looked for: a row of words.
type Term struct {
	in     fieldSet
	text   string
	prefix bool // the last word may go on
	not    bool // it must not be there
}

// Query is what a person looks for: all of its terms.
type Query []Term

// maxTerms bounds a query; what comes after is not looked for.
const maxTerms = 64

// ParseQuery reads what people type: words, "rows of words", beginnings*, and any
// of these behind from:, to:, subject:, body:, filename: or attachment:, or behind
// a minus for what must not be there. Nothing is wrong: what is no operator is a
// word.
func ParseQuery(text string) Query {
	var q Query
	for len(q) < maxTerms {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			break
		}
		var t Term
		if t, text = cutTerm(text); strings.TrimSpace(t.text) != "" {
			q = append(q, t)
		}
	}
	return q
}

func cutTerm(text string) (t Term, rest string) {
	if after, ok := strings.CutPrefix(text, "-"); ok && after != "" && !unicode.IsSpace(rune(after[0])) {
		t.not, text = true, after
	}
	if name, after, ok := strings.Cut(text, ":"); ok {
		if in, known := operators[strings.ToLower(name)]; known {
			t.in, text = in, after
		}
	}
	if after, ok := strings.CutPrefix(text, `"`); ok {
		t.text, rest, _ = strings.Cut(after, `"`)
	} else if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
		t.text, rest = text[:i], text[i:]
	} else {
		t.text = text
	}
	if strings.HasSuffix(t.text, "*") {
		t.prefix = true
	} else if after, ok := strings.CutPrefix(rest, "*"); ok {
		t.prefix, rest = true, after
	}
	return t, rest
}

// phrase is a row of words that stand one behind the other; with prefix the last may
// go on.
type phrase struct {
	words  []string
	prefix bool
}

// maxWords bounds the words of one term.
const maxWords = 64

// phrasesOf makes the words of a term. Runs of a script without spaces are phrases of
// their own: of such a run the index also has its last character alone, which in a
// longer text is not there. A single character begins some pair.
func phrasesOf(text string, prefix bool) []phrase {
	var out []phrase
	words := 0
	for _, run := range denseRuns(text) {
		t := newTokenizer(maxWords - words)
		t.text(run.text)
		p := phrase{words: strings.Fields(string(t.out))}
		if words += len(p.words); len(p.words) == 0 {
			continue
		}
		if run.dense {
			p.prefix = len(p.words) == 1
			p.words = p.words[:max(len(p.words)-1, 1)]
		}
		out = append(out, p)
	}
	if n := len(out); prefix && n > 0 {
		out[n-1].prefix = true
	}
	return out
}

type denseRun struct {
	text  string
	dense bool
}

// denseRuns cuts a text where scripts with and without spaces meet.
func denseRuns(text string) (runs []denseRun) {
	begin, dense := 0, false
	for i, r := range text {
		now := isDense(r) || dense && isVoicing(r)
		if now != dense && i > begin {
			runs = append(runs, denseRun{text[begin:i], dense})
			begin = i
		}
		dense = now
	}
	if begin < len(text) {
		runs = append(runs, denseRun{text[begin:], dense})
	}
	return runs
}
