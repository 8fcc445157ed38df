package wire

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestModifiedUTF7(t *testing.T) {
	for coded, name := range map[string]string{
		"":                                "",
		"INBOX":                           "INBOX",
		"&-":                              "&",
		"a&-b&-":                          "a&b&",
		"Entw&APw-rfe":                    "Entwürfe",
		"~peter/mail/&U,BTFw-/&ZeVnLIqe-": "~peter/mail/台北/日本語",
		"&2D3eAA-":                        "😀",
		"&AOkA6Q-":                        "éé",
		"&AOk-&-":                         "é&",
		"&AAk-":                           "\t",
	} {
		if got, ok := DecodeUTF7(coded); !ok || got != name {
			t.Errorf("decode %q: %q, %v", coded, got, ok)
		}
		if got := string(AppendUTF7(nil, name)); got != coded {
			t.Errorf("encode %q: %q, want %q", name, got, coded)
		}
	}
}

func TestModifiedUTF7HasOneSpellingOfAName(t *testing.T) {
	for coded, why := range map[string]string{
		"&":          "no end",
		"a&b":        "no end",
		"&AGE-":      "ASCII shifted",
		"&AOk-&AOk-": "two shifts side by side",
		"&AOk=-":     "padding",
		"&AOl-":      "bits left over",
		"&AOkA-":     "half a unit",
		"&2D0-":      "half a surrogate pair",
		"&3gDYPQ-":   "surrogates the wrong way round",
		"&A/k-":      "not modified base64",
		"&AO\nk-":    "line feed in base64",
		"é":          "8-bit",
		"a\tb":       "control character",
		"\x7f":       "control character",
		"&AOk-\xff":  "8-bit behind a shift",
	} {
		if got, ok := DecodeUTF7(coded); ok {
			t.Errorf("%q (%s) was read as %q", coded, why, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"", "INBOX", "&-", "Entw&APw-rfe", "&2D3eAA-", "&AOk-&-", "日本語", "&AGE-", "&\n-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := DecodeUTF7(s); ok {
			if again := string(AppendUTF7(nil, name)); again != s {
				t.Errorf("%q became %q and that %q", s, name, again)
			}
		}
		if !utf8.ValidString(s) {
			return
		}
		coded := string(AppendUTF7(nil, s))
		if again, ok := DecodeUTF7(coded); !ok || again != s {
			t.Errorf("%q became %q and that %q, %v", s, coded, again, ok)
		}
	})
}

func TestSeqSetsResolve(t *testing.T) {
	for _, test := range []struct {
		text    string
		largest uint32
		want    string
	}{
		{"1:*", 7, "1:7"},
		{"*", 7, "7"},
		{"9:*", 7, "7:9"},
		{"*:9", 7, "7:9"},
		{"4294967295", 7, "4294967295"},
		{"5:4294967295", 3, "5:4294967295"},
		{"5,1:2,3,9:8,2", 9, "1:3,5,8:9"},
		{"1:*", 0, ""},
		{"*,3", 0, "3"},
		{"1:4294967295,*", 4294967295, "1:4294967295"},
		{"$", 7, ""},
	} {
		p := &parser{buf: []byte(test.text), limits: Limits{}.orDefault()}
		s := p.seqSet()
		if p.failed() || s.String() != test.text {
			t.Errorf("%s: read as %s, %v", test.text, s, p.err)
		}
		if got := s.UIDs(mailUID(test.largest)).String(); got != test.want {
			t.Errorf("%s of %d: %s, want %s", test.text, test.largest, got, test.want)
		}
		again := append([]Range(nil), s.Ranges...)
		s.Resolve(1)
		if !reflect.DeepEqual(again, s.Ranges) {
			t.Errorf("%s: Resolve changed the set to %v", test.text, s.Ranges)
		}
		if s.HasStar() != strings.Contains(test.text, "*") {
			t.Errorf("%s: HasStar", test.text)
		}
	}
}
