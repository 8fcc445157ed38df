package jmap

import (
	"strings"
	"testing"
	"unicode/utf8"

	"lockstep/internal/mail"
	"lockstep/internal/search"
)

type gotSnippets struct {
	List []struct {
		EmailID          string
		Subject, Preview *string
	}
	NotFound []string
}

func TestSnippetsShowWhatWasSearchedFor(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	l["long"] = w.emailID(w.put("INBOX", "Subject: A & B <both>\r\nContent-Type: text/html\r\n\r\n<p>"+strings.Repeat("filler &amp; more ", 400)+"the <b>needle</b> lies &lt;here&gt; in "+strings.Repeat("hay ", 400)+"</p>"))
	for _, tt := range []struct{ filter, of, subject, preview string }{
		{`{"subject":"lunch"}`, "lunch", "<mark>Lunch</mark> tomorrow?", "-"},
		{`{"subject":"lunch absent"}`, "lunch", "-", "-"},
		{`{"text":"lunch meet"}`, "lunch", "<mark>Lunch</mark> tomorrow?", "Shall we <mark>meet</mark> at the harbour restaurant?"},
		{`{"body":"meet"}`, "answer", "-", "Gladly. <mark>Meeting</mark> at noon?"},
		{`{"body":"\"meet\""}`, "answer", "-", "-"},
		{`{"from":"bob"}`, "lunch", "-", "-"},
		{`{"operator":"NOT","conditions":[{"text":"lunch"}]}`, "lunch", "-", "-"},
		{`{"operator":"NOT","conditions":[{"operator":"NOT","conditions":[{"subject":"lunch"}]}]}`, "lunch", "<mark>Lunch</mark> tomorrow?", "-"},
		{`{"operator":"OR","conditions":[{"subject":"tomorrow"},{"body":"\"harbour restaurant\""}]}`, "lunch", "Lunch <mark>tomorrow</mark>?", "Shall we meet at the <mark>harbour restaurant</mark>?"},
		{`{"text":"cafe"}`, "cafe", "<mark>Café</mark> opening", "-"},
		{`{"body":"strasse"}`, "cafe", "-", "Come to the <mark>Straße</mark>."},
		{`{"subject":"b"}`, "long", "A &amp; <mark>B</mark> &lt;<mark>both</mark>&gt;", "-"},
		{`null`, "lunch", "-", "-"},
	} {
		var got gotSnippets
		w.must("SearchSnippet/get", `{"accountId":"$ACCOUNT","filter":`+tt.filter+`,"emailIds":["`+l[tt.of]+`"]}`, &got)
		if len(got.List) != 1 || got.NotFound != nil || orDash(got.List[0].Subject) != tt.subject || orDash(got.List[0].Preview) != tt.preview {
			t.Errorf("%s of %s: %q, %q; want %q, %q", tt.filter, tt.of, orDash(got.List[0].Subject), orDash(got.List[0].Preview), tt.subject, tt.preview)
		}
	}
	var got gotSnippets
	w.must("SearchSnippet/get", `{"accountId":"$ACCOUNT","filter":{"body":"needle"},"emailIds":["`+l["long"]+`","`+mail.NewEmailID().String()+`","x"]}`, &got)
	p := orDash(got.List[0].Preview)
	if !strings.Contains(p, "the <mark>needle</mark> lies &lt;here&gt; in hay") || len(p) > maxSnippetBytes || len(got.NotFound) != 2 {
		t.Errorf("%q, %+v", p, got)
	}
	w.refused("unsupportedFilter", "SearchSnippet/get", `{"accountId":"$ACCOUNT","filter":{"x":1},"emailIds":[]}`)
	w.refused("invalidArguments", "SearchSnippet/get", `{"accountId":"$ACCOUNT","filter":null}`)
	w.refused("requestTooLarge", "SearchSnippet/get", `{"accountId":"$ACCOUNT","filter":null,"emailIds":["x`+strings.Repeat(`","x`, 1000)+`"]}`)
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func FuzzMarked(f *testing.F) {
	f.Add("a & b <c> needle d", "needle", 40, 5)
	f.Add(strings.Repeat("ä", 300), "ä", 255, 60)
	f.Fuzz(func(t *testing.T, text, query string, limit, lead int) {
		text = strings.ToValidUTF8(text, "")
		marks := search.Words(search.Text, query).Marks(text)
		if limit < 0 || lead < 0 || len(marks) == 0 {
			return
		}
		got := marked(text, marks, limit, lead)
		plain := strings.NewReplacer(openMark, "", closeMark, "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(got)
		if len(got) > limit || !utf8.ValidString(got) || !strings.Contains(text, plain) || strings.Count(got, openMark) != strings.Count(got, closeMark) {
			t.Fatalf("%q with %v, %d, %d: %q", text, marks, limit, lead, got)
		}
	})
}
