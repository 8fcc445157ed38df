package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"lockstep/internal/backup/s3"
	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
)

// file is where the server keeps an object.
func file(srv *s3test.Server, key string) string {
	return filepath.Join(srv.Dir, s3test.Bucket, filepath.FromSlash(key))
}

// What rotted in the bucket is not given out as the object, however large it is.
func TestRotIsNotServed(t *testing.T) {
	srv := s3test.Start(t)
	to := open(t, config(srv, "p"))
	for _, size := range []int{1, 1000, 2*partSize + 10} {
		b := targettest.Bytes(1, size)
		if err := targettest.Put(t.Context(), to, "a", b); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(file(srv, "p/a"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{b[size/2] ^ 1}, int64(size/2)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := targettest.Get(t.Context(), to, "a", 0, -1); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// flipper changes a byte of each of the first requests' bodies.
type flipper struct {
	next http.Handler
	mu   sync.Mutex
	left int
}

func (f *flipper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	flip := f.left > 0 && r.Method == http.MethodPut
	if flip {
		f.left--
	}
	f.mu.Unlock()
	if flip {
		r.Body = struct {
			io.Reader
			io.Closer
		}{&flipReader{r: r.Body}, r.Body}
	}
	f.next.ServeHTTP(w, r)
}

type flipReader struct {
	r    io.Reader
	done bool
}

func (f *flipReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

// before puts a handler between client and server; the Host, which is signed, stays.
func before(t *testing.T, srv *s3test.Server, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	to, err := url.Parse(srv.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(wrap(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}))
	t.Cleanup(front.Close)
	return front.URL
}

// A byte that changes on its way to the server is noticed there, and sent again.
func TestBytesThatChangeOnTheWayAreSentAgain(t *testing.T) {
	srv := s3test.Start(t)
	f := &flipper{}
	cfg := config(srv, "p")
	cfg.Endpoint = before(t, srv, func(next http.Handler) http.Handler { f.next = next; return f })
	to := open(t, cfg)
	for _, size := range []int{10, 100_000, partSize + 10} {
		f.mu.Lock()
		f.left = 2
		f.mu.Unlock()
		b := targettest.Bytes(1, size)
		if err := targettest.Put(t.Context(), to, "a", b); err != nil {
			t.Fatal(err)
		}
		if got, err := targettest.Get(t.Context(), to, "a", 0, -1); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d of %d bytes, %v", len(got), size, err)
		}
	}
	f.mu.Lock()
	f.left = 100
	f.mu.Unlock()
	if err := targettest.Put(t.Context(), to, "b", make([]byte, 100)); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("what always changes: %v", err)
	}
}

// assembler is a server that is slow to make an object of its parts: it lets the first
// who asks for that go without an answer, and tells the second that it is done. The object
// is there when it was looked for.
type assembler struct {
	next  http.Handler
	never bool

	mu    sync.Mutex
	asked int
	first *http.Request
}

func (a *assembler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	completes := r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	switch {
	case completes && a.first == nil:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		a.first = r.Clone(context.Background())
		a.first.Body = io.NopCloser(bytes.NewReader(body))
		w.WriteHeader(http.StatusInternalServerError)
	case completes:
		io.WriteString(w, `<CompleteMultipartUploadResult><Key>p/a</Key><ETag>"x"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodHead && !a.never:
		a.next.ServeHTTP(w, r)
		if a.asked++; a.asked == 1 {
			a.next.ServeHTTP(httptest.NewRecorder(), a.first)
		}
	default:
		a.next.ServeHTTP(w, r)
	}
}

// What a server says is complete, and is not, is not acknowledged.
func TestAnObjectIsThereBeforeItIsAcknowledged(t *testing.T) {
	srv := s3test.Start(t)
	b := targettest.Bytes(1, partSize+10)
	for _, never := range []bool{false, true} {
		a := &assembler{never: never}
		cfg := config(srv, fmt.Sprint("p", never))
		cfg.Endpoint = before(t, srv, func(next http.Handler) http.Handler { a.next = next; return a })
		to := open(t, cfg)
		err := targettest.Put(t.Context(), to, "a", b)
		if never {
			if mail.KindOf(err) != mail.Unavailable {
				t.Errorf("what never is there: %v", err)
			}
			continue
		}
		if err != nil || a.asked < 2 {
			t.Errorf("%v, after %d looks", err, a.asked)
		}
		if got, err := targettest.Get(t.Context(), to, "a", 0, -1); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d of %d bytes, %v", len(got), len(b), err)
		}
	}
}

// counter counts requests.
type counter struct {
	next http.Handler
	mu   sync.Mutex
	n    int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	c.next.ServeHTTP(w, r)
}

// What a call costs, which is what a provider counts.
func TestRequestsAreCounted(t *testing.T) {
	srv := s3test.Start(t)
	c := &counter{}
	cfg := config(srv, "p")
	cfg.Endpoint = before(t, srv, func(next http.Handler) http.Handler { c.next = next; return c })
	to := open(t, cfg)
	cost := func(what string, want int, err error) {
		t.Helper()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil || c.n != want {
			t.Errorf("%s: %d requests, want %d, %v", what, c.n, want, err)
		}
		c.n = 0
	}
	cost("opening", 0, nil)
	cost("a small object", 1, targettest.Put(t.Context(), to, "a", make([]byte, partSize)))
	cost("an object of three parts", 5, targettest.Put(t.Context(), to, "b", make([]byte, 3*partSize)))
	cost("looking for leftovers", 1, to.Sweep(t.Context()))
	_, err := targettest.Get(t.Context(), to, "b", 0, -1)
	cost("reading it", 1, err)
	_, err = targettest.Get(t.Context(), to, "b", 1000, 50)
	cost("a range", 1, err)
	_, err = targettest.Names(t.Context(), to, "")
	cost("a list", 1, err)
	cost("removing", 1, to.Delete(t.Context(), "a"))
	_, err = to.PutIf(t.Context(), "lease", strings.NewReader("x"), 1, s3.Absent)
	cost("a condition", 1, err)
}

// uploads are those that were begun and not ended.
func uploads(t *testing.T, srv *s3test.Server) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(srv.Dir, s3test.Bucket), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, ".sgwtmp") {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

// An upload whose caller goes away leaves nothing behind.
func TestUploadThatEndsEarlyIsTakenBack(t *testing.T) {
	srv := s3test.Start(t)
	to := open(t, config(srv, "p"))
	ctx, cancel := context.WithCancel(t.Context())
	began := 0
	r := &ending{Reader: bytes.NewReader(make([]byte, 3*partSize)), at: partSize + partSize/2, passes: 2, do: func() {
		began = uploads(t, srv)
		cancel()
	}}
	if err := to.Put(ctx, "a", r, 3*partSize); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	left := uploads(t, srv)
	for deadline := time.Now().Add(steady.Patience); left > 0 && time.Now().Before(deadline); left = uploads(t, srv) {
		time.Sleep(10 * time.Millisecond) // the server may still be busy with the part that was cut
	}
	if left > 0 || began == 0 {
		t.Errorf("%d files are left of an upload, of %d that were there", left, began)
	}
}

// What a killed process began is taken back when it is old, and what lies beside the
// prefix is not touched.
func TestLeftoversAreSwept(t *testing.T) {
	srv := s3test.Start(t)
	raw := client(srv)
	for _, key := range []string{"p/a", "p/sets/b", "p2/a", "c"} {
		if _, err := raw.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(s3test.Bucket), Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	left := func(want ...string) {
		t.Helper()
		out, err := raw.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: aws.String(s3test.Bucket)})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, u := range out.Uploads {
			keys = append(keys, *u.Key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, want) {
			t.Errorf("%q are left, want %q", keys, want)
		}
	}
	cfg := config(srv, "p")
	if err := open(t, cfg).Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	left("c", "p/a", "p/sets/b", "p2/a")
	cfg.LeftoverAge = time.Nanosecond
	if err := open(t, cfg).Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	left("c", "p2/a")
}

// ending calls do when it is read at a place, in one of the passes, and gives
// nothing after it.
type ending struct {
	*bytes.Reader
	at     int64
	passes int
	do     func()
}

func (e *ending) Read(p []byte) (int, error) {
	before := e.Size() - int64(e.Len())
	n, err := e.Reader.Read(p)
	if before < e.at && before+int64(n) >= e.at {
		if e.passes--; e.passes == 0 {
			e.do()
			return 0, io.ErrClosedPipe
		}
	}
	return n, err
}

// Of those who put on the same condition at once, one succeeds.
func TestConditionLetsOneIn(t *testing.T) {
	srv := s3test.Start(t)
	tag, winners := s3.Absent, 0
	for round := range 10 {
		var mu sync.Mutex
		var all sync.WaitGroup
		was := tag
		for i := range 8 {
			all.Go(func() {
				mine := string(targettest.Bytes(uint64(8*round+i), 20+i))
				got, err := open(t, config(srv, "p")).PutIf(t.Context(), "lease", strings.NewReader(mine), int64(len(mine)), was)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					tag, winners = got, winners+1
				case mail.KindOf(err) != mail.Conflict && mail.KindOf(err) != mail.Unavailable:
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if winners != 10 {
		t.Errorf("%d succeeded in 10 rounds", winners)
	}
	if got, err := open(t, config(srv, "p")).Tag(t.Context(), "lease"); err != nil || got != tag {
		t.Errorf("its tag is %s, but it was put as %s, %v", got, tag, err)
	}
	if got, err := open(t, config(srv, "p")).Tag(t.Context(), "nothing"); err != nil || got != s3.Absent {
		t.Errorf("what is not there has the tag %q, %v", got, err)
	}
	if _, err := open(t, config(srv, "p")).PutIf(t.Context(), "lease", bytes.NewReader(make([]byte, partSize+1)), partSize+1, tag); mail.KindOf(err) != mail.Limit {
		t.Error(err)
	}
}

// zeros is a reader of nothing but zeros that holds none of them.
type zeros struct{ size, at int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.at == z.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.size-z.at)
	clear(p[:n])
	z.at += n
	return int(n), nil
}

func (z *zeros) Seek(offset int64, whence int) (int64, error) {
	z.at = offset + []int64{0, z.at, z.size}[whence]
	return z.at, nil
}

// Neither putting nor getting holds an object in memory.
func TestObjectsStream(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 600 MiB on one goroutine; go test runs it, the race run need not")
	}
	const size = 300 << 20
	srv := s3test.Start(t)
	to := open(t, config(srv, "p"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := to.Put(t.Context(), "a", &zeros{size: size}, size); err != nil {
		t.Fatal(err)
	}
	r, err := to.Get(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	r.Close()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; err != nil || n != size || used > size/10 {
		t.Errorf("%d bytes read, %d allocated, %v", n, used, err)
	}
}
