package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

func TestWhatPeopleType(t *testing.T) {
	for text, want := range map[string]string{
		`meeting`:                    `"meeting"`,
		`Besprechung  Übersicht`:     `"besprechung" AND "ubersicht"`,
		`"summer plan"`:              `"summer plan"`,
		`plan*`:                      `"plan" *`,
		`"summer pl"*`:               `"summer pl" *`,
		`from:anna subject:"a b"`:    `{sender} : "anna" AND {subject} : "a b"`,
		`From:anna@example.test`:     `{sender} : "anna example test"`,
		`attachment:report -draft`:   `({names files} : "report") NOT ("draft")`,
		`-draft -"old one"`:          `"draft" OR "old one"`,
		`re: x`:                      `"re" AND "x"`,
		`subject:`:                   ``,
		`- -- * "" :`:                ``,
		`a"b AND OR NOT NEAR(x)`:     `"a b" AND "and" AND "or" AND "not" AND "near x"`,
		`日本語`:                        `"日本 本語"`,
		`語`:                          `"語" *`,
		`日本語abc`:                     `("日本 本語" AND "abc")`,
		`subject:日本abc`:              `({subject} : "日本" AND {subject} : "abc")`,
		`https://example.test/a?b=c`: `"https example test a b c"`,
	} {
		if got, _ := ParseQuery(text).match(); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestMoreTermsThanTheirBoundAreLeftOut(t *testing.T) {
	if n := len(ParseQuery(strings.Repeat("word ", maxTerms+1))); n != maxTerms {
		t.Errorf("%d terms, want %d", n, maxTerms)
	}
	p := phrasesOf(strings.Repeat("a.", maxWords+1), false)
	if len(p) != 1 || len(p[0].words) != maxWords {
		t.Errorf("%d words, want %d", len(p[0].words), maxWords)
	}
}

// match writes the query down; "" if it looks for no word. For a
// query of nothing but what must not be there, negative is true, and the result is
// that.
func (q Query) match() (text string, negative bool) {
	var must, not []string
	for _, t := range q {
		m := t.match()
		switch {
		case m == "":
		case t.not:
			not = append(not, m)
		default:
			must = append(must, m)
		}
	}
	switch {
	case len(must) == 0 && len(not) == 0:
		return "", false
	case len(must) == 0:
		return strings.Join(not, " OR "), true
	case len(not) == 0:
		return strings.Join(must, " AND "), false
	}
	return "(" + strings.Join(must, " AND ") + ") NOT (" + strings.Join(not, " OR ") + ")", false
}

// columns are the names of the fields in the index.
var columns = [numFields]string{"subject", "sender", "recipients", "body", "names", "files"}

func (t Term) match() string {
	var all []string
	for _, p := range phrasesOf(t.text, t.prefix) {
		m := `"` + strings.Join(p.words, " ") + `"`
		if p.prefix {
			m += " *"
		}
		if t.in != 0 {
			m = t.in.names() + " : " + m
		}
		all = append(all, m)
	}
	if len(all) > 1 {
		return "(" + strings.Join(all, " AND ") + ")"
	}
	return strings.Join(all, "")
}

func (s fieldSet) names() string {
	var names []string
	for f := range numFields {
		if s&(1<<f) != 0 {
			names = append(names, columns[f])
		}
	}
	return "{" + strings.Join(names, " ") + "}"
}

var peoplesMail = []string{
	"From: Anna Berg <anna.berg@mail.example.test>\r\nTo: bob@example.test\r\nSubject: Café opening\r\n\r\nSee you at the harbour.\r\n",
	"From: bob@example.test\r\nTo: anna.berg@mail.example.test\r\nSubject: Re: plans\r\n\r\nThe caf\u00e9 by the harbour garden, number 12345.\r\n",
	"From: carol@other.example\r\nCc: Anna <anna@third.example>\r\nSubject: 日本語の件名\r\n\r\n東京タワーに行きます。한국어 메일\r\n",
	"From: carol@other.example\r\nSubject: report\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nattached\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=\"garden-budget.txt\"\r\n\r\nflowers and spades\r\n--b--\r\n",
}

func TestPeopleFindMail(t *testing.T) {
	h := newHouse(t)
	h.put(peoplesMail...)
	h.settle()
	keys := h.all()
	for text, want := range map[string][]int{
		"cafe":                        {0, 1}, // in the subject before in the body
		"CAFÉ":                        {0, 1},
		"harb*":                       {0, 1},
		"harbour garden":              {1},
		`"harbour garden"`:            {1},
		`"garden harbour"`:            {},
		"harbour -garden":             {0},
		"anna.berg@mail.example.test": {0, 1},
		"from:anna":                   {0},
		"to:anna":                     {1, 2},
		"mail.example.test":           {0, 1},
		"berg":                        {0, 1},
		"123*":                        {1},
		"日本":                          {2},
		"件名":                          {2},
		"名":                           {2},
		"タワー":                         {2},
		"국어":                          {2},
		"京日":                          {},
		"garden":                      {1, 3},
		"filename:garden":             {3},
		"attachment:spades":           {3},
		"body:spades":                 {},
		"subject:harbour":             {},
		"-harbour -report":            {2},
		"nothing of it":               {},
		"":                            {},
	} {
		hits, err := h.x.People(t.Context(), h.account, ParseQuery(text), 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, hit := range hits {
			got = append(got, slices.Index(keys, hit.Message))
		}
		if text != "cafe" && text != "CAFÉ" { // whose order matters
			slices.Sort(got)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q finds %v, want %v", text, got, want)
		}
	}
}

func TestNewMailComesFirstAmongEquals(t *testing.T) {
	h := newHouse(t)
	old, young := h.arrival("Subject: a\r\n\r\nsame words\r\n"), h.arrival("Subject: b\r\n\r\nsame words\r\n")
	old.InternalDate = old.InternalDate.AddDate(-10, 0, 0)
	for _, a := range []mail.Arrival{young, old} {
		h.append(a)
	}
	h.settle()
	hits, err := h.x.People(t.Context(), h.account, ParseQuery("words"), 1)
	if err != nil || len(hits) != 1 || hits[0].Message != h.all()[0] {
		t.Errorf("%v, %v", hits, err)
	}
}

func TestFuzzyRatesWhatItKnows(t *testing.T) {
	h := newHouse(t)
	h.put(peoplesMail...)
	h.settle()
	h.put("Subject: late\r\n\r\nharbour\r\n")
	keys := h.all()
	scores, err := h.x.Fuzzy(t.Context(), h.account, Wish{Text, "harb opening"}, keys)
	if err != nil || len(scores) != 4 || scores[keys[0]] <= 0 || scores[keys[1]] != 0 {
		t.Errorf("%v, %v", scores, err)
	}
	if scores, err := h.x.Fuzzy(t.Context(), h.account, Wish{Text, "?!"}, keys); err != nil || len(scores) != 0 {
		t.Errorf("without words: %v, %v", scores, err)
	}
	if scores, err := h.x.Fuzzy(t.Context(), h.account+1, Wish{Text, "harb"}, keys); err != nil || len(scores) != 0 {
		t.Errorf("without an index: %v, %v", scores, err)
	}
}

// FuzzQuery holds that whatever is typed is a query the engine understands.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{`a "b c" -d from:e f*`, `subject:日本`, `"`, `-`, `:*`, "\x00", `{}() AND NOT NEAR ^ + "" *`} {
		f.Add(s)
	}
	h := newHouse(f)
	h.put(peoplesMail...)
	if err := h.x.CatchUp(f.Context(), h.account); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := h.x.People(t.Context(), h.account, ParseQuery(text), 10); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
