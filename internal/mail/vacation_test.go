package mail

import (
	"strings"
	"testing"
	"time"
)

func TestVacationReadsBack(t *testing.T) {
	want := Vacation{
		Enabled: true, From: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 7, 15, 0, 0, 0, 0, time.UTC), Subject: "Away",
		Internal: VacationAnswer{Enabled: true, Text: "Ask <Bob> & co"}, Known: VacationAnswer{Enabled: true, HTML: "<p>Away</p>"},
	}
	b, err := EncodeVacation(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeVacation(b)
	if err != nil || got != want {
		t.Errorf("%s\n got %+v, %v\nwant %+v", b, got, err, want)
	}
	if v, err := DecodeVacation(nil); err != nil || v != (Vacation{}) {
		t.Errorf("nothing is %+v, %v", v, err)
	}
}

func TestVacationThatCanNotBe(t *testing.T) {
	at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		v    Vacation
		kind Kind
	}{
		"ends before it begins": {Vacation{From: at, Until: at}, Invalid},
		"subject of two lines":  {Vacation{Subject: "a\r\nBcc: b"}, Invalid},
		"subject too long":      {Vacation{Subject: strings.Repeat("a", MaxVacationSubjectBytes+1)}, Limit},
		"no text":               {Vacation{Known: VacationAnswer{Text: "\xff"}}, Invalid},
		"too much":              {Vacation{Known: VacationAnswer{Text: strings.Repeat("a", MaxMetadataBytes)}}, Limit},
	} {
		if _, err := EncodeVacation(c.v); err == nil || KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	for _, value := range []string{"", "{}", "[]", `{"version":2}`, `{"version":1,"subject":"a\nb"}`, `{"version":1,"from":"yesterday"}`} {
		if _, err := DecodeVacation([]byte(value)); KindOf(err) != Invalid {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestVacationHasItsTime(t *testing.T) {
	at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	said := VacationAnswer{Enabled: true, Text: "away"}
	for _, c := range []struct {
		v    Vacation
		want bool
	}{
		{Vacation{Enabled: true, Internal: said}, true},
		{Vacation{Internal: said}, false},
		{Vacation{Enabled: true}, false},
		{Vacation{Enabled: true, Unknown: VacationAnswer{Text: "away"}}, false},
		{Vacation{Enabled: true, Unknown: said, From: at}, true},
		{Vacation{Enabled: true, Unknown: said, From: at.Add(1)}, false},
		{Vacation{Enabled: true, Unknown: said, Until: at}, false},
		{Vacation{Enabled: true, Unknown: said, Until: at.Add(1)}, true},
	} {
		if got := c.v.In(at); got != c.want {
			t.Errorf("%+v: %v", c.v, got)
		}
	}
}

func FuzzDecodeVacation(f *testing.F) {
	f.Add([]byte(`{"version":1,"enabled":true,"internal":{"enabled":true,"text":"a"}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := DecodeVacation(value)
		if err != nil {
			return
		}
		b, err := EncodeVacation(v)
		if err != nil {
			if KindOf(err) == Limit || v.From.Year() > 9999 {
				return
			}
			t.Fatal(err)
		}
		if again, err := DecodeVacation(b); err != nil || !again.From.Equal(v.From) || !again.Until.Equal(v.Until) || again.Known != v.Known || again.Subject != v.Subject {
			t.Errorf("%s: %+v, %v", b, again, err)
		}
	})
}
