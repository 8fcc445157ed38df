package render

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"lockstep/internal/message"
)

var update = flag.Bool("update", false, "write the golden files anew")

func parse(t testing.TB, b []byte) *Document {
	t.Helper()
	m, err := message.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return New(m.Root, bytes.NewReader(b))
}

func written(t testing.TB, b *Body, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n, err := b.WriteTo(&out)
	if err != nil || n != int64(out.Len()) || n != b.Len() {
		t.Fatalf("wrote %d bytes and said %d, Len %d, error %v", out.Len(), n, b.Len(), err)
	}
	if !b.Truncated && b.Size != n {
		t.Fatalf("size %d of %d bytes", b.Size, n)
	}
	return out.String()
}

// describeAll is what there is to see of a message.
func describeAll(t testing.TB, raw []byte) string {
	d := parse(t, raw)
	var out strings.Builder
	native, err := d.Native()
	fmt.Fprintf(&out, "native %d, security %d, error %v\n", native, SecurityOf(d.root), err)
	if p := Calendar(d.root); p != nil {
		fmt.Fprintf(&out, "calendar %s/%s of %d bytes\n", p.Type, p.Subtype, p.BodySize)
	}
	list, err := d.Attachments()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		fmt.Fprintf(&out, "attachment %+v\n", a)
		_, r, err := d.Open(a.Path)
		if err != nil {
			t.Fatalf("%s: %v", a.Path, err)
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "  %d bytes: %.60q\n", content.Len(), content.String())
	}
	section := func(title, text string) {
		fmt.Fprintf(&out, "--- %s\n%s", title, strings.ReplaceAll(text, "\r\n", "\n"))
		if !strings.HasSuffix(text, "\n") {
			out.WriteString("¶\n")
		}
	}
	var texts [5]string
	for _, typ := range []Type{Text, HTML, MIME} {
		b, err := d.Body(typ, -1)
		texts[typ] = written(t, b, err)
	}
	section("text", texts[Text])
	section("html", texts[HTML])
	if texts[MIME] == string(raw) {
		section("mime", "as it is\n")
	} else {
		section("mime", texts[MIME])
	}
	if b, err := d.Part(-1); written(t, b, err) != texts[HTML] {
		section("part", written(t, b, err))
	}
	if len(texts[HTML]) > 300 {
		b, err := d.Body(HTML, 300)
		section("html of 300", written(t, b, err))
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	own, _ := filepath.Glob("testdata/*.eml")
	others, _ := filepath.Glob("../testdata/*.eml")
	if len(own) < 10 {
		t.Fatal("there are no messages")
	}
	for _, file := range append(own, others...) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := describeAll(t, raw)
			golden := filepath.Join("testdata", strings.TrimSuffix(filepath.Base(file), ".eml")+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// checkBodies holds whatever the message says: sizes are exact, what is cut fits, is
// UTF-8, and is the beginning of the whole but for HTML.
func checkBodies(t testing.TB, raw []byte, limit int64) {
	d := parse(t, raw)
	for _, typ := range []Type{Text, HTML, MIME} {
		whole, err := d.Body(typ, -1)
		all := written(t, whole, err)
		b, err := d.Body(typ, limit)
		got := written(t, b, err)
		switch {
		case b.Size != whole.Size:
			t.Errorf("type %d: size %d cut, %d whole", typ, b.Size, whole.Size)
		case b.Truncated != (limit < whole.Size):
			t.Errorf("type %d: truncated is %v of %d at %d", typ, b.Truncated, whole.Size, limit)
		case !utf8.ValidString(got):
			t.Errorf("type %d at %d: no UTF-8: %q", typ, limit, got)
		case typ != MIME && int64(len(got)) > limit:
			t.Errorf("type %d: %d bytes at %d", typ, len(got), limit)
		case typ != HTML && !strings.HasPrefix(all, got):
			t.Errorf("type %d at %d: %q is no beginning of %q", typ, limit, got, all)
		case typ == MIME && strings.Contains(all, "\r\n\r\n") && len(all) < MaxHeld && !strings.Contains(got, "\r\n\r\n"):
			t.Errorf("cut in the header: %q", got)
		case typ == MIME && strings.Contains(strings.ReplaceAll(all, "\r\n", ""), "\n"):
			t.Errorf("a line of MIME has no CRLF: %q", all)
		}
	}
	if _, err := d.Part(limit); err != nil {
		t.Error(err)
	}
	list, err := d.Attachments()
	if err != nil {
		t.Error(err)
	}
	for _, a := range list {
		if _, _, err := d.Open(a.Path); err != nil || a.Name == "" || a.Type == "" {
			t.Errorf("attachment %+v: %v", a, err)
		}
	}
}

func TestCutAnywhere(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for limit := int64(0); limit < 1500; limit += 61 {
			checkBodies(t, raw, limit)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, pattern := range []string{"testdata/*.eml", "../testdata/*.eml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, int64(300))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, limit int64) {
		checkBodies(t, raw, max(limit, 0)%(1<<20))
	})
}
