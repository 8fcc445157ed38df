package search

import (
	"strings"
	"testing"
)

func TestMarksAreTheWordsThatWereFound(t *testing.T) {
	for _, tt := range []struct{ query, text, want string }{
		{"meet", "We meet at the Meeting place", "We <meet> at the <Meeting> place"},
		{`"meet"`, "We meet at the Meeting place", "We <meet> at the Meeting place"},
		{`"the place"`, "the meeting place, the  place", "the meeting place, <the  place>"},
		{"cafe", "Café! le CAFÉ", "<Café>! le <CAFÉ>"},
		{"strasse", "Große Straße", "Große <Straße>"},
		{"anna@example.test", "mail anna@example.test now", "mail <anna@example.test> now"},
		{"a b", "a b c", "<a> <b> c"},
		{"東京", "今日は東京都にいます", "今日は<東京>都にいます"},
		{"東", "今日は東京都", "今日は<東>京都"},
		{"x y", "nothing here", "nothing here"},
		{"!!", "so !! it is", "so !! it is"},
		{`foo*`, "foobar", "<foobar>"},
		{`"foo"*`, "foobar", "<foobar>"},
		{`ﬁsh`, "ﬁsh fish", "<ﬁsh> <fish>"},
	} {
		got, at := "", 0
		for _, m := range Words(Text, tt.query).Marks(tt.text) {
			got += tt.text[at:m.From] + "<" + tt.text[m.From:m.To] + ">"
			at = m.To
		}
		if got += tt.text[at:]; got != tt.want {
			t.Errorf("%s in %q: %q, want %q", tt.query, tt.text, got, tt.want)
		}
	}
}

func TestWordsOfATextFitItself(t *testing.T) {
	for _, text := range []string{"a", "Grüße aus Köln", "東京都にいます", "x 東京 y", "ﾊﾞﾅﾅ", "foo-bar@baz.test", "⒒ ½", strings.Repeat("long", 100)} {
		if q := Words(Text, text); !q.FitsText("before " + text + " behind") {
			t.Errorf("%q is not found in itself: %+v", text, q)
		}
		if q := Words(Text, `"`+text+`"`); !q.FitsText(text) {
			t.Errorf("%q is not found in itself as a phrase: %+v", text, q)
		}
	}
	if Words(Text, "zebra").FitsText("horse") || len(Words(Text, "?! *")) != 0 || len(Words(Header, "x")) != 0 {
		t.Error("words are found where they are not")
	}
	if got := len(Words(Text, strings.Repeat("w ", 10*maxTerms))); got != maxTerms {
		t.Errorf("%d terms", got)
	}
}

func FuzzMarks(f *testing.F) {
	f.Add("東京 foo*", "東京都 foobar")
	f.Add(`"a b`, "a\xff b")
	f.Fuzz(func(t *testing.T, query, text string) {
		end := 0
		for i, m := range Words(Text, query).Marks(text) {
			if m.From >= m.To || i > 0 && m.From <= end || m.To > len(text) {
				t.Fatalf("%q in %q: %+v after %d", query, text, m, end)
			}
			end = m.To
		}
	})
}
