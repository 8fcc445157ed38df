package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
)

func encoded(utf8 bool, f func(e *Encoder)) string {
	var out strings.Builder
	e := NewEncoder(&out)
	e.UTF8 = utf8
	f(e)
	if err := e.Flush(); err != nil {
		return "error: " + err.Error()
	}
	return out.String()
}

func flags(names ...string) mail.Flags {
	f, err := mail.NewFlags(names...)
	if err != nil {
		panic(err)
	}
	return f
}

func TestEncoderWritesResponses(t *testing.T) {
	long := strings.Repeat("x", maxQuoted+1)
	for _, test := range []struct {
		write func(e *Encoder)
		want  string
	}{
		{func(e *Encoder) { fetchLine(e, 7, flags(`\Seen`)) }, `* 7 FETCH (UID 7 FLAGS (\Seen) MODSEQ (12))`},
		{func(e *Encoder) { e.Star().Atom("FLAGS").Flags(flags("$x", `\Draft`, `\Answered`, "a")).End() }, `* FLAGS (\Answered \Draft $x a)`},
		{func(e *Encoder) { e.Star().Atom("FLAGS").Flags(mail.Flags{}).End() }, `* FLAGS ()`},
		{func(e *Encoder) { e.Status("a1", "OK", "READ-WRITE", "done") }, `a1 OK [READ-WRITE] done`},
		{func(e *Encoder) { e.Status("", "BYE", "", "a\r\nb é") }, `* BYE a??b ?`},
		{func(e *Encoder) { e.Status("", "OK", "", "") }, `* OK -`},
		{func(e *Encoder) {
			e.Tag("a1").Atom("OK").OpenCode("COPYUID").Number(7).UIDs(uids("1:3,9")).Ranges([]Range{{4, 6}, {8, 8}}).CloseCode().Text("done").End()
		}, `a1 OK [COPYUID 7 1:3,9 4:6,8] done`},
		{func(e *Encoder) {
			e.Star().Atom("OK").OpenCode("PERMANENTFLAGS").Words(`\Seen`, `\*`).CloseCode().Text("kept").End()
		}, `* OK [PERMANENTFLAGS (\Seen \*)] kept`},
		{func(e *Encoder) { e.Star().Atom("LIST").Words(`\HasNoChildren`).String("/").Mailbox("Entwürfe").End() }, `* LIST (\HasNoChildren) "/" Entw&APw-rfe`},
		{func(e *Encoder) {
			e.Star().Mailbox("a b").Mailbox("R&D").Mailbox("a%").Mailbox("nil").Mailbox("").End()
		}, `* "a b" R&-D "a%" "nil" ""`},
		{func(e *Encoder) {
			e.Star().String(`a"\b`).String("é").String("a\nb").String("a\x00b").String("").End()
		},
			"* \"a\\\"\\\\b\" {2}\r\né {3}\r\na\nb {3}\r\na b \"\""},
		{func(e *Encoder) { e.Star().String(long[1:]).String(long).End() }, `* "` + long[1:] + "\" {1001}\r\n" + long},
		{func(e *Encoder) { e.Star().NString(nil).NString(str("")).NonEmpty("").NonEmpty("x").End() }, `* NIL "" NIL "x"`},
		{func(e *Encoder) {
			e.Star().Open().Open().Address("Ann", "", "ann", "a.test").Tight().Address("", "", "bob", "b.test").Close().NIL().Close().End()
		}, `* ((("Ann" NIL "ann" "a.test")(NIL NIL "bob" "b.test")) NIL)`},
		{func(e *Encoder) { e.Star().DateTime(day).End() }, `* " 1-Feb-2026 03:04:05 -0100"`},
		{func(e *Encoder) {
			e.Star().Open().Item(section(true, Section{Text: SectionHeaderFields, Fields: []string{"To", "a:b c"}}, &Partial{5, 9})[0]).
				Literal(strings.NewReader("hello"), 5).Atom("UID").Number(1).Close().End()
		}, "* (BODY[HEADER.FIELDS (To \"a:b c\")]<5> {5}\r\nhello UID 1)"},
		{func(e *Encoder) {
			e.Star().Literal8(strings.NewReader("\x00"), 1).Literal(strings.NewReader(""), 0).End()
		}, "* ~{1}\r\n\x00 {0}\r\n"},
		{func(e *Encoder) { e.Continuation("go on") }, `+ go on`},
		{func(e *Encoder) { e.Challenge([]byte("\x00")) }, `+ AA==`},
		{func(e *Encoder) { e.Challenge(nil) }, `+ `},
		{func(e *Encoder) { e.Star().Append(func(b []byte) []byte { return append(b, "x y"...) }).End() }, `* x y`},
	} {
		if got := encoded(false, test.write); got != test.want+"\r\n" {
			t.Errorf("\n got %q\nwant %q", got, test.want)
		}
	}
}

func TestEncoderWritesUTF8OnceEnabled(t *testing.T) {
	got := encoded(true, func(e *Encoder) {
		e.Star().String("é").Mailbox("Entwürfe").Mailbox("R&D").String("\xff").Text("né").End()
	})
	if want := "* \"é\" \"Entwürfe\" R&D {1}\r\n\xff né\r\n"; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestLiteralsStreamInPieces(t *testing.T) {
	for _, size := range []int{chunk - 20, chunk, 5*chunk + 7} {
		text := strings.Repeat("0123456789", size/10+1)[:size]
		got := encoded(false, func(e *Encoder) { e.Star().Literal(strings.NewReader(text), int64(size)).End() })
		if _, body, _ := strings.Cut(got, "}\r\n"); body != text+"\r\n" {
			t.Errorf("%d bytes: %d came out", size, len(body))
		}
	}
}

func TestALiteralThatCannotBeFilledBreaksTheConnection(t *testing.T) {
	broken := errors.New("broken disk")
	for _, test := range []struct {
		r    io.Reader
		want error
	}{
		{strings.NewReader("abc"), io.ErrUnexpectedEOF},
		{strings.NewReader(""), io.ErrUnexpectedEOF},
		{io.MultiReader(strings.NewReader("ab"), errReader{broken}), broken},
	} {
		var out strings.Builder
		e := NewEncoder(&out)
		e.Star().Literal(test.r, 5).End()
		e.Status("a", "OK", "", "done")
		if err := e.Flush(); err != test.want || e.Err() != test.want {
			t.Errorf("%v, want %v", err, test.want)
		}
		if strings.Contains(out.String(), "done") {
			t.Errorf("went on after a broken literal: %q", out.String())
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

func TestAnErrorOfTheConnectionSticks(t *testing.T) {
	broken := errors.New("broken pipe")
	e := NewEncoder(errWriter{broken})
	for range 10 * chunk {
		e.Star().Atom("x").End()
	}
	for range 2 {
		if err := e.Flush(); err != broken {
			t.Error(err)
		}
	}
	var out strings.Builder
	e = NewEncoder(&out)
	e.Reset(&out)
	if e.Status("a", "OK", "", "x"); e.Flush() != nil || out.Len() == 0 {
		t.Error("Reset lost the line")
	}
}

func TestManyLinesGoOutBeforeFlush(t *testing.T) {
	var out strings.Builder
	e := NewEncoder(&out)
	for range chunk {
		e.Star().Atom("x").End()
	}
	if out.Len() == 0 || len(e.b) > chunk {
		t.Errorf("%d bytes written, %d held", out.Len(), len(e.b))
	}
	e.Flush()
	if out.Len() != chunk*len("* x\r\n") || e.b != nil {
		t.Errorf("%d bytes written", out.Len())
	}
}

func TestFetchLinesAreWrittenWithoutAllocation(t *testing.T) {
	e := NewEncoder(io.Discard)
	f := flags(`\Seen`, "$Forwarded")
	e.Star().Atom("OK").End()
	if n := testing.AllocsPerRun(1000, func() { fetchLine(e, 7, f) }); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
}

func fetchLine(e *Encoder, uid uint64, f mail.Flags) {
	e.Star().Number(uid).Atom("FETCH").Open().Atom("UID").Number(uid).Atom("FLAGS").Flags(f).
		Atom("MODSEQ").Open().Number(12).Close().Close().End()
}

func BenchmarkEncodeFetchLine(b *testing.B) {
	e := NewEncoder(io.Discard)
	f := flags(`\Seen`)
	b.ReportAllocs()
	for b.Loop() {
		fetchLine(e, 7, f)
	}
}

func TestDatesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]Date{
		"1-Feb-2026": {2026, 2, 1}, "01-feb-2026": {2026, 2, 1}, "29-Feb-2024": {2024, 2, 29}, "31-DEC-9999": {9999, 12, 31},
		"30-Feb-2026": {}, "0-Feb-2026": {}, "001-Feb-2026": {}, "1-Fe-2026": {}, "1-anf-2026": {}, "1-Feb-26": {}, "1-Feb-2O26": {},
		"1Feb2026": {}, "": {}, "+1-Feb-2026": {}, "1-Feb-2026 ": {},
	} {
		got, ok := ParseDate(text)
		if ok != (want != Date{}) || ok && got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	if a, b := (Date{2026, 2, 1}), (Date{2025, 12, 31}); a.Compare(b) != 1 || a.String() != "1-Feb-2026" || DateOf(day) != a {
		t.Errorf("%v, %v", a, DateOf(day))
	}
}

func TestDateTimesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		" 1-Feb-2026 03:04:05 -0100": "2026-02-01T04:04:05Z",
		"01-Feb-2026 03:04:05 +0000": "2026-02-01T03:04:05Z",
		"17-Jul-1996 02:44:60 -0730": "1996-07-17T10:14:59Z",
		"1-Feb-2026 03:04:05 -0100":  "",
		" 1-Feb-2026 24:04:05 -0100": "",
		" 1-Feb-2026 03:60:05 -0100": "",
		" 1-Feb-2026 03:04:61 -0100": "",
		" 1-Feb-2026 03:04:05 -2400": "",
		" 1-Feb-2026 03:04:05 00100": "",
		" 1-Feb-2026 03:04:05 -01:0": "",
		" 1-Feb-2026T03:04:05 -0100": "",
		"":                           "",
	} {
		got, ok := ParseDateTime(text)
		if ok != (want != "") || ok && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"1-Feb-2026", "29-Feb-2024", " 1-Feb-2026 03:04:05 -0100", "17-Jul-1996 02:44:60 +2359", "1-Jan-0000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := ParseDate(s); ok {
			if again, ok := ParseDate(d.String()); !ok || again != d {
				t.Errorf("%q: %v became %v", s, d, again)
			}
		}
		if d, ok := ParseDateTime(s); ok {
			text := string(AppendDateTime(nil, d))
			if again, ok := ParseDateTime(text); !ok || !again.Equal(d) {
				t.Errorf("%q: %v became %v", s, d, again)
			}
		}
	})
}
