package reply

import (
	"bufio"
	"reflect"
	"strings"
	"testing"
)

func TestResponsesAreTakenApart(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Response
	}{
		{"+ OK\r\n", Response{Tag: "+"}},
		{"a1 OK [COPYUID 7 1:2 3:4] done\r\n", Response{Tag: "a1", Word: "OK", Code: []any{"COPYUID", "7", "1:2", "3:4"}}},
		{"* FLAGS (~ ~x)\r\n", Response{Tag: "*", Word: "FLAGS", Args: []any{[]any{"~", "~x"}}}},
		{"* LIST () \"/\" a[b\r\n", Response{Tag: "*", Word: "LIST", Args: []any{[]any{}, "/", "a[b"}}},
		{"* 1 FETCH (BODY[1.HEADER.FIELDS (S[x a]b \"c) ]\\\"[\")]<0> NIL)\r\n", Response{Tag: "*", Num: 1, Word: "FETCH", Args: []any{[]any{`BODY[1.HEADER.FIELDS (S[x a]b "c) ]\"[")]<0>`, "NIL"}}}},
		{"]a OK done\r\n", Response{Tag: "]a", Word: "OK"}},
		{"* 23 EXISTS\r\n", Response{Tag: "*", Num: 23, Word: "EXISTS"}},
		{"* VANISHED (EARLIER) 1:3,9\r\n", Response{Tag: "*", Word: "VANISHED", Args: []any{[]any{"EARLIER"}, "1:3,9"}}},
		{"* 1 FETCH (UID 9 FLAGS (\\Seen $x) BODY[HEADER.FIELDS (DATE)] {5}\r\na\r\nb) RFC822.SIZE 1)\r\n",
			Response{Tag: "*", Num: 1, Word: "FETCH", Args: []any{[]any{"UID", "9", "FLAGS", []any{"\\Seen", "$x"}, "BODY[HEADER.FIELDS (DATE)]", "a\r\nb)", "RFC822.SIZE", "1"}}}},
		{"* LIST () \"/\" \"a \\\"b\\\\\"\r\n", Response{Tag: "*", Word: "LIST", Args: []any{[]any{}, "/", "a \"b\\"}}},
		{"* OK ends {with} a brace}\r\n", Response{Tag: "*", Word: "OK"}},
	} {
		got, err := Read(bufio.NewReader(strings.NewReader(tt.text)))
		tt.want.Raw = strings.TrimSuffix(tt.text, "\r\n")
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q\n got %+v, %v\nwant %+v", tt.text, got, err, tt.want)
		}
	}
}

func TestWhatIsNoResponseIsAnError(t *testing.T) {
	for _, text := range []string{"\r\n", "* \r\n", "*\r\n", "* 1 FETCH (UID\r\n", "* 1 FETCH (X \"y)\r\n", "(a) OK\r\n", "* 1 FETCH (BODY[HEADER NIL)\r\n", "* ) x\r\n",
		"* 1 FETCH (X {99999999999}\r\n", "* 1 FETCH (X {-3}\r\nabc)\r\n"} {
		if r, err := Read(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%q was read as %+v", text, r)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("* 1 FETCH (UID 9 BODY[] {3}\r\nabc)\r\n")
	f.Add("a OK [X (y)] z\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := Read(bufio.NewReader(strings.NewReader(text))); err == nil && !strings.HasPrefix(text, r.Raw) {
			t.Errorf("%q was read as %q", text, r.Raw)
		}
	})
}
