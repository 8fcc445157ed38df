package inflate

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// feed is an Input that fails when it would have to wait.
type feed struct {
	bytes.Buffer
	t *testing.T
}

func (f *feed) Pending() bool { return f.Len() > 0 }

func (f *feed) Read(b []byte) (int, error) {
	if f.Len() == 0 {
		f.t.Helper()
		f.t.Fatal("waits for input although it holds output")
	}
	return f.Buffer.Read(b)
}

// ended is an Input that ends.
type ended struct{ io.Reader }

func (ended) Pending() bool { return true }

// partial are commands, each ended with zlib's partial flush.
var partial = []struct{ hex, text string }{
	{"3254f073f4750d0e707476e5e50208", "1 NAMESPACE\r\n"},
	{"2023051fcfe01005252505252d255e2e8000", "2 LIST \"\" \"*\"\r\n"},
	{"32560876f57175060a78fa39f94700450002", "3 SELECT \"INBOX\"\r\n"},
	{"904def380d444110457324ef61423b4153d5ef9b82c7023930010408b1ff6d38ad7e15dfec48b76c3f9fd7ed767cbf7f6c1cdbf9ed71fd7dfd3a8efbdfffe5f452a5465d6b935ab8d6ae75ae7548ad6dad536a8bb56297dc77cbd0dc2d53f2289643f28465059b060615c36e645033c0d0d0533736a81b6870503984d151e950cc8e48ddf0a878a8a647d543333e96d4cd8fc9af9b1f93df303f26bf617e4c7ed3fca87edccd2fd48f30bf40eae617ea479a5fa81fc3fc22fd1ae617eac7627ea17eace6173d75f30bf56333bf487eddfc9e02", fetches()},
}

func fetches() string {
	var b strings.Builder
	for i := 4; i < 40; i++ {
		fmt.Fprintf(&b, "%d UID FETCH %d (BODY.PEEK[])\r\n", i, i*7)
	}
	return b.String()
}

func TestPartialFlushGivesEverythingOut(t *testing.T) {
	in := &feed{t: t}
	r := NewReader(in)
	buf := make([]byte, 16<<10)
	for _, c := range partial {
		raw, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(raw)
		got := ""
		for len(got) < len(c.text) {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += string(buf[:n])
		}
		if got != c.text {
			t.Errorf("got  %q\nwant %q", got, c.text)
		}
		if in.Pending() {
			t.Error("input is left over")
		}
	}
}

func TestSyncFlushGivesEverythingOut(t *testing.T) {
	in := &feed{t: t}
	r := NewReader(in)
	w, _ := flate.NewWriter(in, flate.BestSpeed)
	buf := make([]byte, 1<<20)
	for _, text := range []string{"a\r\n", strings.Repeat("b", 70_000), "c", fetches()} {
		io.WriteString(w, text)
		w.Flush()
		got := ""
		for len(got) < len(text) {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += string(buf[:n])
		}
		if got != text {
			t.Fatalf("%d bytes differ", len(text))
		}
	}
}

// samples are texts that compress well, badly and not at all.
func samples() [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	few := make([]byte, 100_000)
	for i := range few {
		few[i] = "abcdefgh\n"[rng.IntN(9)]
	}
	far := append(append(bytes.Clone(noise[:32_000]), few[:768]...), noise[:32_000]...)
	return [][]byte{nil, {0}, noise, few, far, bytes.Repeat([]byte{'x'}, 300_000), []byte(strings.Repeat(fetches(), 50))}
}

func TestWhatCompressFlateWritesIsRead(t *testing.T) {
	for i, want := range samples() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(want)
			w.Close()
			got, err := io.ReadAll(NewReader(ended{&b}))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("sample %d, level %d: %d of %d bytes, %v", i, level, len(got), len(want), err)
			}
		}
	}
}

func TestDamageIsAnErrorNotAPanic(t *testing.T) {
	for name, raw := range map[string]string{
		"reserved block":         "\x07",
		"stored length":          "\x01\x01\x00\x00\x00x",
		"distance before start":  "\x4b\x04\xa2\x00",
		"too many literals":      "\xfd\xff\xff\xff",
		"repeat without a first": "\x05\x00\x00\x00\x00\x00\x00\x00",
	} {
		if _, err := io.ReadAll(NewReader(ended{strings.NewReader(raw + strings.Repeat("\xff", 300))})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzAgreesWithCompressFlate(f *testing.F) {
	for _, c := range partial {
		raw, _ := hex.DecodeString(c.hex)
		f.Add(raw)
	}
	for _, s := range samples()[:4] {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.DefaultCompression)
		w.Write(s[:min(len(s), 4000)])
		w.Close()
		f.Add(b.Bytes())
	}
	const bound = 1 << 20
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), bound))
		got, err := io.ReadAll(io.LimitReader(NewReader(ended{iotest.HalfReader(bytes.NewReader(raw))}), bound))
		if wantErr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	text := samples()[6]
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, flate.BestSpeed)
	w.Write(text)
	w.Close()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, NewReader(ended{bytes.NewReader(z.Bytes())})); err != nil {
			b.Fatal(err)
		}
	}
}
