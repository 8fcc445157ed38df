package mailfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"lockstep/internal/mail"
)

type got struct {
	text string
	meta Meta
}

func readAll(t testing.TB, text string) []got {
	t.Helper()
	var all []got
	err := ReadMbox(strings.NewReader(text), func(r io.Reader, m Meta) error {
		b, err := io.ReadAll(r)
		all = append(all, got{string(b), m})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func flags(t testing.TB, names ...string) mail.Flags {
	t.Helper()
	f, err := mail.NewFlags(names...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const from = "From carol@example.org Fri Nov 20 10:00:00 2026\n"

func TestMboxes(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"empty":                    {"", nil},
		"one":                      {from + "Subject: a\n\nhi\n", []string{"Subject: a\r\n\r\nhi\r\n"}},
		"two":                      {from + "Subject: a\n\nhi\n\n" + from + "Subject: b\n\nho\n\n", []string{"Subject: a\r\n\r\nhi\r\n", "Subject: b\r\n\r\nho\r\n"}},
		"CRLF":                     {"From a Fri Nov 20 10:00:00 2026\r\nSubject: a\r\n\r\nhi\r\n\r\n", []string{"Subject: a\r\n\r\nhi\r\n"}},
		"quoted":                   {from + "A: b\n\n>From x\n>>From y\n> From z\n>Fromage\n", []string{"A: b\r\n\r\nFrom x\r\n>From y\r\n> From z\r\n>Fromage\r\n"}},
		"people write From":        {from + "A: b\n\n\nFrom now on\nFrom 10:00 on\n", []string{"A: b\r\n\r\n\r\nFrom now on\r\nFrom 10:00 on\r\n"}},
		"no empty line before":     {from + "A: b\n\nhi\n" + from + "C: d\n\nho\n", []string{"A: b\r\n\r\nhi\r\n", "C: d\r\n\r\nho\r\n"}},
		"empty lines at the end":   {from + "A: b\n\nhi\n\n\n\n" + from + "\n", []string{"A: b\r\n\r\nhi\r\n\r\n\r\n", ""}},
		"no body":                  {from + "A: b\n\n\n" + from + "C: d\n\n" + from + "E: f\n", []string{"A: b\r\n\r\n", "C: d\r\n", "E: f\r\n"}},
		"no line end at the end":   {from + "A: b\n\nhi", []string{"A: b\r\n\r\nhi\r\n"}},
		"CR at the end":            {from + "A: b\n\nhi\r", []string{"A: b\r\n\r\nhi\r\n"}},
		"junk before":              {"junk\n\n" + from + "A: b\n\nhi\n", []string{"A: b\r\n\r\nhi\r\n"}},
		"empty lines before":       {"\n\n" + from + "A: b\n\nhi\n", []string{"A: b\r\n\r\nhi\r\n"}},
		"long line":                {from + "A: b\n\n" + strings.Repeat("x", 200_000) + "\nend\n", []string{"A: b\r\n\r\n" + strings.Repeat("x", 200_000) + "\r\nend\r\n"}},
		"long line at the end":     {from + "A: b\n\n" + strings.Repeat("x", mboxBuffer), []string{"A: b\r\n\r\n" + strings.Repeat("x", mboxBuffer) + "\r\n"}},
		"status is taken out":      {from + "A: b\nStatus: RO\nX-Status: AF\nX-Keywords: one\n two\nC: d\n\nStatus: R\n", []string{"A: b\r\nC: d\r\n\r\nStatus: R\r\n"}},
		"a long field taken out":   {from + "X-Keywords: " + strings.Repeat("y ", 50_000) + "\nC: d\n\nhi\n", []string{"C: d\r\n\r\nhi\r\n"}},
		"From_ inside of a header": {from + "A: b\n" + from + "C: d\n\n", []string{"A: b\r\n", "C: d\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var texts []string
			for _, g := range readAll(t, c.in) {
				texts = append(texts, g.text)
			}
			if !reflect.DeepEqual(texts, c.want) {
				t.Errorf("got %.300q, want %.300q", texts, c.want)
			}
		})
	}
}

func TestWhatIsNoMbox(t *testing.T) {
	err := ReadMbox(strings.NewReader("Subject: a message\n\nhi\n"), func(io.Reader, Meta) error { return nil })
	if mail.KindOf(err) != mail.Invalid || err == nil {
		t.Errorf("got %v, want Invalid", err)
	}
	broken := errors.New("disk")
	for _, text := range []string{"", from, from + "A: b\n", from + "A: b\n\nhi\n"} {
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))
		if err := ReadMbox(r, func(io.Reader, Meta) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("behind %q: %v", text, err)
		}
	}
	stop := errors.New("stop")
	if err := ReadMbox(strings.NewReader(from+from), func(io.Reader, Meta) error { return stop }); err != stop {
		t.Errorf("got %v, want fn's error", err)
	}
}

func TestFromLines(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for line, sender := range map[string]string{
		"From carol@example.org Fri Nov 20 10:00:00 2026":                  "carol@example.org",
		"From carol@example.org  Fri Nov 20 10:00:00 2026":                 "carol@example.org",
		"From - Fri Nov 20 10:00:00 2026":                                  "-",
		"From 123456@xxx Fri Nov 20 12:00:00 +0200 2026":                   "123456@xxx",
		"From a b c Fri Nov 20 10:00:00 2026":                              "a b c",
		"From carol Fri Nov 20 10:00 2026":                                 "carol",
		"From carol Fri, 20 Nov 2026 10:00:00 +0000":                       "carol",
		"From carol Fri Nov 20 10:00:00 2026 remote from uucp.example.org": "carol",
	} {
		got, when, ok := parseFromLine([]byte(line + "\n"))
		if !ok || got != sender || !when.Equal(at) {
			t.Errorf("%s: %q, %v, %v", line, got, when, ok)
		}
	}
	for _, line := range []string{"From", "From ", "From x", "From now on", "from carol Fri Nov 20 10:00:00 2026", ">From carol Fri Nov 20 10:00:00 2026", "From a b c d e f Fri Nov 20 10:00:00 2026"} {
		if _, _, ok := parseFromLine([]byte(line + "\n")); ok {
			t.Errorf("%q was taken for one", line)
		}
	}
}

func TestMboxMeta(t *testing.T) {
	all := readAll(t, from+"A: b\nStatus: RO\nX-Status: AF\nX-Keywords: $Forwarded work (bad)\n\nhi\n\n"+from+"C: d\n\nho\n")
	m := all[0].meta
	want := flags(t, `\Seen`, `\Answered`, `\Flagged`, "$Forwarded", "work")
	if m.Flags != want || m.Sender != "carol@example.org" || m.Received.Hour() != 10 {
		t.Errorf("got %+v, want flags %v", m, want)
	}
}

func TestReadingGoesOnFromAnOffset(t *testing.T) {
	text := from + "A: b\n\nhi\n\n" + from + "C: d\n\nho\n\n" + from + "E: f\n\nhu\n"
	all := readAll(t, text)
	for i, g := range all {
		rest := readAll(t, text[g.meta.Offset:])
		if len(rest) != len(all)-i || rest[0].text != g.text {
			t.Errorf("from message %d at %d: %+v", i, g.meta.Offset, rest)
		}
	}
}

func TestMboxBackAgain(t *testing.T) {
	messages := []got{
		{"A: b\r\n\r\nhi\r\n", Meta{Flags: flags(t, `\Seen`, `\Draft`, "work", "$Junk"), Sender: "a@example.org", Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}},
		{"A: b\r\n\r\nFrom x\r\n>From y\r\n\r\n" + strings.ReplaceAll(from, "\n", "\r\n") + "\r\n\r\n", Meta{Flags: flags(t, `\Deleted`, `\Flagged`, `\Answered`)}},
		{"A: b\r\n", Meta{}},
		{"A: b\r\n\r\n", Meta{}},
		{"A: b\r\n\r\n" + strings.Repeat("z", 3*mboxBuffer) + "\r\n", Meta{}},
		{"A: b\r\n\r\nodd\rCR\r\n\r\n", Meta{}},
		{"\r\nno header\r\n", Meta{}},
	}
	var file bytes.Buffer
	w := NewMboxWriter(&file)
	for _, m := range messages {
		if err := w.Write(strings.NewReader(m.text), m.meta); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	all := readAll(t, file.String())
	if len(all) != len(messages) {
		t.Fatalf("%d messages came back of %d", len(all), len(messages))
	}
	for i, m := range messages {
		if all[i].text != m.text || all[i].meta.Flags != m.meta.Flags || m.meta.Sender != "" && (all[i].meta.Sender != m.meta.Sender || !all[i].meta.Received.Equal(m.meta.Received)) {
			t.Errorf("message %d came back as %.200q %+v, was %.200q %+v", i, all[i].text, all[i].meta, m.text, m.meta)
		}
	}
}

func FuzzReadMbox(f *testing.F) {
	f.Add([]byte(from + "A: b\nStatus: RO\n\nhi\n\n" + from + "C: d\n"))
	f.Add([]byte("\n\n" + from + "\n>From \n\r\n\r"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var again bytes.Buffer
		w := NewMboxWriter(&again)
		var first []got
		err := ReadMbox(bytes.NewReader(text), func(r io.Reader, m Meta) error {
			b, err := io.ReadAll(r)
			first = append(first, got{string(b), m})
			return errors.Join(err, w.Write(bytes.NewReader(b), m))
		})
		if err != nil && mail.KindOf(err) != mail.Invalid {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		second := readAll(t, again.String())
		if len(second) != len(first) {
			t.Fatalf("%d messages became %d in\n%q", len(first), len(second), again.String())
		}
		for i := range first {
			if second[i].meta.Flags != first[i].meta.Flags {
				t.Fatalf("flags %v became %v", first[i].meta.Flags, second[i].meta.Flags)
			}
		}
	})
}

// repeat reads a text over and over.
type repeat struct {
	text string
	left int
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.at:])
	if r.at += n; r.at == len(r.text) {
		r.at, r.left = 0, r.left-1
	}
	return n, nil
}

func TestLargeMboxTakesLittleMemory(t *testing.T) {
	message := from + "A: b\n\n" + strings.Repeat("0123456789\n", 10_000) + "\n"
	const times = 600
	var most uint64
	n := 0
	err := ReadMbox(&repeat{text: message, left: times}, func(r io.Reader, m Meta) error {
		if n++; n%100 == 0 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			most = max(most, s.HeapAlloc)
		}
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil || n != times {
		t.Fatalf("%d messages, %v", n, err)
	}
	if most > 16<<20 {
		t.Errorf("%d bytes held while reading %d", most, times*len(message))
	}
}

func TestMaildirBackAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	messages := []got{
		{"A: b\r\n\r\nhi\r\n", Meta{Flags: flags(t, `\Seen`, `\Answered`, "$Forwarded", "work"), Received: at, Name: "1.a"}},
		{"A: c\r\n\r\nodd\rCR\r\nno end", Meta{Flags: flags(t, "play", "work"), Received: at, Name: "2.a"}},
		{"A: d\r\n\r\n" + strings.Repeat("z", 3*mboxBuffer) + "\r\n", Meta{Mailbox: "Archive/2025", Flags: flags(t, `\Draft`, `\Flagged`, `\Deleted`), Received: at, Name: "1.b"}},
		{"A: e\r\n", Meta{Mailbox: "Käse & Brot/v1.2", Received: at, Name: "1.c"}},
	}
	for range 2 { // the second time nothing is new
		w, err := NewMaildirWriter(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if err := w.Write(strings.NewReader(m.text), m.meta); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all []got
	err := ReadMaildir(dir, func(r io.Reader, m Meta) error {
		b, err := io.ReadAll(r)
		m.Received = m.Received.UTC()
		all = append(all, got{string(b), m})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(all, messages) {
		t.Errorf("got %+.600v\nwant %+.600v", all, messages)
	}
}

func TestMaildirOfOthers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cur/1700000002.x:2,S":         "second\n",
		"cur/1700000001.x;2,RS":        "first\r\n",
		"new/1700000003.x":             "third",
		"cur/.hidden":                  "no",
		"tmp/1700000000.x":             "unfinished",
		".Sent.&AOk-t&AOk-/cur/1.x:2,": "été\n",
		"Work/Plans/cur/1.x:2,ab":      "nested\n",
		"Work/Plans/dovecot-keywords":  "0 alpha\n1 beta\nx y\n99 z\n",
		".Bad&x/cur/1.x:2,":            "name\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	err := ReadMaildir(dir, func(r io.Reader, m Meta) error {
		b, err := io.ReadAll(r)
		lines = append(lines, m.Mailbox+"|"+m.Flags.String()+"|"+m.Name+"|"+strings.TrimSpace(string(b)))
		return err
	})
	want := []string{`|\Answered \Seen|1700000001.x|first`, `|\Seen|1700000002.x|second`, `||1700000003.x|third`, `Bad&x||1.x|name`, `Sent/été||1.x|été`, `Work/Plans|alpha beta|1.x|nested`}
	if err != nil || !reflect.DeepEqual(lines, want) {
		t.Errorf("got %q, %v\nwant %q", lines, err, want)
	}
	if err := ReadMaildir(t.TempDir(), nil); mail.KindOf(err) != mail.Invalid || err == nil {
		t.Errorf("an empty directory: %v, want Invalid", err)
	}
}

func FuzzNames(f *testing.F) {
	f.Add("Käse & Brot")
	f.Add("a.b/c\x01😀&-")
	f.Fuzz(func(t *testing.T, name string) {
		decodeName(name)
		name = strings.ToValidUTF8(name, "?")
		enc := encodeName(name)
		if strings.ContainsAny(enc, "./") || decodeName(enc) != name {
			t.Fatalf("%q became %q and then %q", name, enc, decodeName(enc))
		}
	})
}
