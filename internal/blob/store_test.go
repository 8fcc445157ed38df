package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// world is a store with what it stands on.
type world struct {
	t     testing.TB
	fs    vfs.FS
	dir   string
	index *blobtest.Index
	keys  *blob.Keyring
	*blob.Store
	opts   blob.Options
	bucket *blobtest.Bucket // nil: packs on the disk
}

func newWorld(t testing.TB, fsys vfs.FS, o blob.Options) *world {
	t.Helper()
	if strings.HasPrefix(t.Name(), "TestInABucket") {
		return startWorld(t, fsys, o, blobtest.NewBucket(1))
	}
	return startWorld(t, fsys, o, nil)
}

func startWorld(t testing.TB, fsys vfs.FS, o blob.Options, bucket *blobtest.Bucket) *world {
	t.Helper()
	w := &world{t: t, fs: fsys, dir: "/data/blobs", index: blobtest.NewIndex(), opts: o, bucket: bucket}
	if _, ok := fsys.(vfs.OS); ok {
		w.dir = filepath.Join(t.TempDir(), "blobs")
	}
	w.opts.FS = fsys
	w.open()
	return w
}

func (w *world) keyFile() string { return filepath.Join(filepath.Dir(w.dir), "key") }

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.keys, _, err = blob.OpenKeyring(w.fs, w.keyFile(), w.dir); err != nil {
		w.t.Fatal(err)
	}
	if w.bucket != nil {
		w.Store, err = blob.OpenBucket(context.Background(), w.dir, w.keys, w.index, w.bucket, w.opts)
	} else {
		w.Store, err = blob.Open(w.dir, w.keys, w.index, w.opts)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// put puts and commits.
func (w *world) put(data []byte, o blob.PutOptions) mail.Blob {
	w.t.Helper()
	b, parts, err := w.Put(context.Background(), bytes.NewReader(data), o)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.index.Commit(append(parts, b)...); err != nil {
		w.t.Fatal(err)
	}
	w.index.Name(b.Name)
	return b
}

func (w *world) read(b mail.Blob) ([]byte, error) {
	r, err := w.Open(context.Background(), b)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (w *world) mustRead(b mail.Blob, want []byte) {
	w.t.Helper()
	got, err := w.read(b)
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		w.t.Fatalf("read %d bytes that are not the %d that were put", len(got), len(want))
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// textBytes makes n bytes that compress.
func textBytes(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of a letter to somebody@example.test\r\n", i)
	}
	return b.Bytes()[:n]
}

func TestWhatIsPutIsReadBack(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	const frame = 64 << 10
	for _, size := range []int{0, 1, 100, frame - 1, frame, frame + 1, frame + 1024, frame + 1025, 3 * frame, 1 << 20, 1<<20 + 1, 3<<20 + 17} {
		for name, data := range map[string][]byte{"text": textBytes(size), "noise": randomBytes(size)} {
			for _, header := range []int64{0, 1, frame, int64(size), int64(size) + 1} {
				t.Run(fmt.Sprint(name, size, "/", header), func(t *testing.T) {
					b, _, err := w.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(data[:min(size, 300)])), blob.PutOptions{HeaderSize: header})
					if err != nil || b.Size != int64(min(size, 300)) {
						t.Fatalf("put: %v, size %d", err, b.Size)
					}
					b, _, err = w.Put(t.Context(), bytes.NewReader(data), blob.PutOptions{HeaderSize: header})
					if err != nil {
						t.Fatal(err)
					}
					w.mustRead(b, data)
					if err := w.Verify(t.Context(), b); err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
}

func TestReadAtGivesAnyRange(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	data := textBytes(700 << 10)
	r, err := w.Open(t.Context(), w.put(data, blob.PutOptions{HeaderSize: 1234}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checkRanges(t, r, data, 500)
	if n, err := r.ReadAt(make([]byte, 1), int64(len(data))); n != 0 || err != io.EOF {
		t.Fatalf("at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(make([]byte, 10), int64(len(data))-3); n != 3 || err != io.EOF {
		t.Fatalf("over the end: %d, %v", n, err)
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); mail.KindOf(err) != mail.Invalid {
		t.Fatalf("before the start: %v", err)
	}
}

// checkRanges reads ranges here and there, with the buffers given back now and
// then.
func checkRanges(t *testing.T, r *blob.Reader, data []byte, n int) {
	t.Helper()
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	for range n {
		off := rng.IntN(len(data))
		p := make([]byte, rng.IntN(min(len(data)-off, 1<<rng.IntN(18))+1))
		if _, err := r.ReadAt(p, int64(off)); err != nil {
			t.Fatalf("%d bytes at %d: %v", len(p), off, err)
		}
		if !bytes.Equal(p, data[off:off+len(p)]) {
			t.Fatalf("%d bytes at %d are wrong", len(p), off)
		}
		if rng.IntN(4) == 0 {
			r.Rest()
		}
	}
}

func TestHeaderIsReadWithoutTheBody(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	r, err := w.Open(t.Context(), w.put(textBytes(200<<10), blob.PutOptions{HeaderSize: 3000}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 3 {
		if _, err := r.ReadAt(make([]byte, 3000), 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Stats().FramesRead; n != 1 {
		t.Errorf("decoded %d frames", n)
	}
	if _, err := r.ReadAt(make([]byte, 3001), 0); err != nil {
		t.Fatal(err)
	}
	if n := w.Stats().FramesRead; n != 2 {
		t.Errorf("the header's frame does not end with the header: decoded %d", n)
	}
}

func TestLargePutStreams(t *testing.T) {
	newWorld(t, vfs.OS{}, blob.Options{}).streams(t, 64<<20)
}

// streams puts and reads so many bytes in less memory.
func (w *world) streams(t *testing.T, size int64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	source := io.LimitReader(mathrand.NewChaCha8([32]byte{}), size)
	b, _, err := w.Put(t.Context(), source, blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Verify(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(size) { // pools forget on purpose under the race detector
		t.Errorf("putting and reading %d MiB allocated %d KiB", size>>20, n>>10)
	}
}

func TestTextIsCompressedAndNoiseIsNot(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	w.put(textBytes(1<<20), blob.PutOptions{})
	text := w.Stats().StoredBytes
	w.put(randomBytes(1<<20), blob.PutOptions{})
	noise := w.Stats().StoredBytes - text
	if text > 1<<18 || noise < 1<<20 || noise > 1<<20+1000 {
		t.Errorf("1 MiB of text takes %d bytes, of noise %d", text, noise)
	}
}

func TestSpoolsOfAKilledProcessAreRemoved(t *testing.T) {
	fsys := faulty.New(1)
	w := newWorld(t, fsys, blob.Options{})
	if _, err := fsys.Create(w.dir + "/spool-7.tmp"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	w.open()
	if _, err := fsys.Stat(w.dir + "/spool-7.tmp"); err == nil {
		t.Error("still there")
	}
}

func TestReaderSatisfiesIO(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	data := textBytes(150 << 10)
	r, err := w.Open(t.Context(), w.put(data, blob.PutOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := iotest.TestReader(r, data); err != nil {
		t.Fatal(err)
	}
}

func TestSameBytesAreStoredOnce(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	for _, size := range []int{4096, 3 << 20} {
		data := randomBytes(size)
		first := w.put(data, blob.PutOptions{})
		before := w.Stats()
		again, parts, err := w.Put(t.Context(), bytes.NewReader(data), blob.PutOptions{HeaderSize: 9})
		if err != nil || again.Name != first.Name || again.Place != first.Place || again.Fresh || len(parts) != 0 {
			t.Fatalf("put again: %+v, %v", again, err)
		}
		if after := w.Stats(); after.StoredBytes != before.StoredBytes || after.Syncs != before.Syncs || after.Found != before.Found+1 {
			t.Fatalf("put again wrote: %+v, then %+v", before, after)
		}
		w.mustRead(again, data)
	}
}

func TestNamesDifferUnderAnotherKey(t *testing.T) {
	a, b := newWorld(t, vfs.OS{}, blob.Options{}), newWorld(t, vfs.OS{}, blob.Options{})
	if a.put([]byte("x"), blob.PutOptions{}).Name == b.put([]byte("x"), blob.PutOptions{}).Name {
		t.Fatal("a name tells what is stored to who does not hold the key")
	}
}

// slowDisk syncs for so long that everybody who is at work meanwhile comes to wait
// for the next sync.
type slowDisk struct{ vfs.FS }

type slowFile struct{ vfs.File }

func (d slowDisk) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return slowFile{f}, err
}

func (f slowFile) Sync() error {
	time.Sleep(time.Millisecond)
	return f.File.Sync()
}

func TestConcurrentPutsShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, slowDisk{faulty.New(1)}, blob.Options{PackSize: 1 << 20})
		const writers, each = 32, 20
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for j := range each {
					data := fmt.Appendf(textBytes(2000+i), "%d %d", i, j)
					b, _, err := w.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{})
					if err != nil {
						t.Error(err)
						return
					}
					w.mustRead(b, data)
				}
			})
		}
		wg.Wait()
		if n := w.Stats().Syncs; n >= writers*each/2 {
			t.Errorf("%d puts by %d writers took %d syncs", writers*each, writers, n)
		}
	})
}

func TestLonePutTakesOneSync(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	w.put([]byte("one"), blob.PutOptions{})
	if n := w.Stats().Syncs; n != 1 {
		t.Errorf("%d syncs", n)
	}
}

func TestErrorOfTheSourceStoresNothing(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	broken := errors.New("line dropped")
	for _, size := range []int{10, 3 << 20} {
		_, _, err := w.Put(t.Context(), io.MultiReader(bytes.NewReader(randomBytes(size)), iotest.ErrReader(broken)), blob.PutOptions{})
		if !errors.Is(err, broken) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if s := w.Stats(); s.StoredBytes != 0 {
		t.Errorf("stored %d bytes", s.StoredBytes)
	}
}

func TestCancelledPutStoresNothing(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Put(ctx, strings.NewReader("x"), blob.PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// asBase64 encodes data in lines.
func asBase64(data []byte, lineLen int, eol string, ended bool) string {
	text := base64.StdEncoding.EncodeToString(data)
	var lines []string
	for len(text) > lineLen {
		lines, text = append(lines, text[:lineLen]), text[lineLen:]
	}
	s := strings.Join(append(lines, text), eol)
	if ended {
		s += eol
	}
	return s
}

func TestPartsAreStoredDecodedOnceAndReadBackExactly(t *testing.T) {
	for _, size := range []int{1, 56, 57, 58, 200, 64 << 10, 300<<10 + 1, 2<<20 + 5} {
		for _, lineLen := range []int{4, 60, 76, 996} {
			for _, eol := range []string{"\n", "\r\n"} {
				for _, ended := range []bool{true, false} {
					if size > 100<<10 && (lineLen != 76 || eol == "\n") || size > 1<<20 && ended {
						continue // slow under the race detector
					}
					t.Run(fmt.Sprintf("%d/%d/%q/%v", size, lineLen, eol, ended), func(t *testing.T) {
						testPart(t, randomBytes(size), lineLen, eol, ended)
					})
				}
			}
		}
	}
}

func testPart(t *testing.T, attachment []byte, lineLen int, eol string, ended bool) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	text := asBase64(attachment, lineLen, eol, ended)
	head, tail := "Subject: hello\r\n\r\n--b\r\n", "\r\n--b--\r\n"
	whole := []byte(head + text + tail)
	cut := blob.Cut{Offset: int64(len(head)), Length: int64(len(text)), LineLen: lineLen, EOL: eol}
	b := w.put(whole, blob.PutOptions{HeaderSize: 18, Cuts: []blob.Cut{cut}})
	if len(b.Parts) != 1 {
		t.Fatalf("%d parts", len(b.Parts))
	}
	w.mustRead(b, whole)
	part, ok, err := w.index.Blob(t.Context(), b.Parts[0])
	if !ok || err != nil || part.Size != int64(len(attachment)) {
		t.Fatalf("part: %+v, %v", part, err)
	}
	w.mustRead(part, attachment)
	if err := w.Verify(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	r, err := w.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checkRanges(t, r, whole, 40)

	before := w.Stats().StoredBytes
	other := append([]byte("Subject: forwarded\r\n\r\n"), whole...)
	cut.Offset += int64(len(other) - len(whole))
	w.mustRead(w.put(other, blob.PutOptions{Cuts: []blob.Cut{cut}}), other)
	if more := w.Stats().StoredBytes - before; more > 1000 {
		t.Errorf("forwarding stored %d bytes more", more)
	}
}

func TestPartsThatWouldNotComeBackStayAsTheyCame(t *testing.T) {
	good := asBase64(randomBytes(57*20), 76, "\r\n", true)
	for name, text := range map[string]string{
		"spaces":       strings.Replace(good, "\r\n", " \r\n", 1),
		"bare LF":      strings.Replace(good, "\r\n", "\n", 3),
		"late":         good + "not base64!\r\n" + good,
		"padding":      "QQ==\r\n" + good,
		"loose bits":   "QR==\r\n",
		"empty line":   "\r\n" + good,
		"short line":   good + "AAAA\r\n" + good,
		"long line":    good + strings.Repeat("A", 80) + "\r\n" + good,
		"url alphabet": "-_-_\r\n",
		"nothing":      "",
		"cut off":      good[:len(good)-3],
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, faulty.New(1), blob.Options{})
			whole := []byte("head" + text + "tail")
			b := w.put(whole, blob.PutOptions{Cuts: []blob.Cut{{Offset: 4, Length: int64(len(text)), LineLen: 76, EOL: "\r\n"}}})
			w.mustRead(b, whole)
			if err := w.Verify(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCutsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	for _, cuts := range [][]blob.Cut{
		{{Offset: -1, Length: 10, LineLen: 76, EOL: "\n"}},
		{{Offset: 0, Length: -1, LineLen: 76, EOL: "\n"}},
		{{Offset: 1, Length: 1<<63 - 1, LineLen: 76, EOL: "\n"}},
		{{Length: 10, LineLen: 0, EOL: "\n"}},
		{{Length: 10, LineLen: 75, EOL: "\n"}},
		{{Length: 10, LineLen: 1000, EOL: "\n"}},
		{{Length: 10, LineLen: 76, EOL: "\r"}},
		{{Length: 10, LineLen: 76, EOL: "\n"}, {Offset: 9, Length: 1, LineLen: 76, EOL: "\n"}},
	} {
		if _, _, err := w.Put(t.Context(), strings.NewReader("x"), blob.PutOptions{Cuts: cuts}); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%+v: %v", cuts, err)
		}
	}
}

func TestCutsBeyondTheEndAndBeyondMaxParts(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	b := w.put([]byte("AAAA\nAAAA\n"), blob.PutOptions{HeaderSize: 100, Cuts: []blob.Cut{
		{Offset: 5, Length: 50, LineLen: 4, EOL: "\n"}, {Offset: 500, Length: 50, LineLen: 4, EOL: "\n"}}})
	w.mustRead(b, []byte("AAAA\nAAAA\n"))

	var data []byte
	var cuts []blob.Cut
	for i := range blob.MaxParts + 1 {
		cuts = append(cuts, blob.Cut{Offset: int64(len(data)), Length: 9, LineLen: 8, EOL: "\n"})
		data = append(data, base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", i))+"\n"...)
	}
	b = w.put(data, blob.PutOptions{Cuts: cuts})
	w.mustRead(b, data)
	if len(b.Parts) != blob.MaxParts {
		t.Errorf("%d parts", len(b.Parts))
	}
}

// tempCounter counts the temporary files that are made.
type tempCounter struct {
	*faulty.FS
	temps int
}

func (c *tempCounter) Temp(dir string) (vfs.File, error) {
	c.temps++
	return c.FS.Temp(dir)
}

func TestManyPartsShareOneFile(t *testing.T) {
	fsys := &tempCounter{FS: faulty.New(1)}
	w := newWorld(t, fsys, blob.Options{})
	var data []byte
	var cuts []blob.Cut
	for range 60 {
		data = append(data, "--boundary\r\n\r\n"...)
		text := asBase64(randomBytes(50<<10), 76, "\r\n", true)
		cuts = append(cuts, blob.Cut{Offset: int64(len(data)), Length: int64(len(text)), LineLen: 76, EOL: "\r\n"})
		data = append(append(data, text...), randomBytes(2000)...)
	}
	b := w.put(data, blob.PutOptions{Cuts: cuts})
	w.mustRead(b, data)
	if len(b.Parts) != 60 || fsys.temps != 1 {
		t.Errorf("%d parts, %d files", len(b.Parts), fsys.temps)
	}
}

func TestPartThatIsItselfPutTogether(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	data := randomBytes(100 << 10)
	for range 5 {
		text := asBase64(data, 76, "\r\n", true)
		data = []byte("Subject: attached\r\n\r\n" + text)
		b := w.put(data, blob.PutOptions{Cuts: []blob.Cut{{Offset: 21, Length: int64(len(text)), LineLen: 76, EOL: "\r\n"}}})
		w.mustRead(b, data)
		r, err := w.Open(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		checkRanges(t, r, data, 20)
		r.Close()
	}
}

func TestPutsDuringCloseEndOrAreRefused(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	var kept sync.Map
	var wg sync.WaitGroup
	begun := make(chan struct{}, 8)
	for i := range 8 {
		wg.Go(func() {
			for j := 0; ; j++ {
				data := fmt.Appendf(textBytes(3000), "%d %d", i, j)
				b, _, err := w.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{})
				if err != nil {
					if mail.KindOf(err) != mail.Unavailable {
						t.Errorf("a put after Close: %v", err)
					}
					return
				}
				kept.Store(b.Name, pair{b, data})
				if j == 0 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-begun
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	w.open()
	kept.Range(func(_, v any) bool {
		w.mustRead(v.(pair).blob, v.(pair).data)
		return true
	})
}

type pair struct {
	blob mail.Blob
	data []byte
}
