package web

import (
	"compress/gzip"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestPagesAreTheShell(t *testing.T) {
	for path, want := range map[string]int{
		"/": 200, "/mail/inbox": 200, "/mail/inbox/T7": 200, "/search/is%3Aunread": 200, "/settings": 200, "/devices/d1": 200, "/activity": 200, "/outbox": 200,
		"/mailbox": 404, "/assets/none.js": 404, "/assets": 404, "/web.go": 404, "/jmap/session": 404, "/../web.go": 404, "/healthz": 404,
	} {
		if got := get(t, path).StatusCode; got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
		if got := Serves(strings.ReplaceAll(path, "%3A", ":")); got != (want == 200) {
			t.Errorf("Serves(%s) = %v", path, got)
		}
	}
}

// The page, and every file it is made of, may be loaded under its own policy.
func TestShellNeedsNothingInline(t *testing.T) {
	page := get(t, "/")
	body, _ := io.ReadAll(page.Body)
	for _, bad := range []string{"<style", "style=", "onload=", "http://", "https://"} {
		if strings.Contains(string(body), bad) {
			t.Errorf("the page holds %q:\n%s", bad, body)
		}
	}
	if inline := regexp.MustCompile(`<script[^>]*>[^<]`).Find(body); inline != nil {
		t.Errorf("the page holds a script: %s", inline)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(body, -1) {
		if got := get(t, string(m[1])).StatusCode; got != 200 {
			t.Errorf("%s, which the page asks for: %d", m[1], got)
		}
	}
	csp := page.Header.Get("Content-Security-Policy")
	for _, bad := range []string{"unsafe-inline", "unsafe-eval", "*", "http"} {
		if strings.Contains(csp, bad) {
			t.Errorf("the policy allows %s: %s", bad, csp)
		}
	}
}

// A message may bring its styles, and images when the reader asks; nothing else.
func TestFramesLetNothingRun(t *testing.T) {
	for path, images := range map[string]bool{"/frame/closed": false, "/frame/images": true} {
		answer := get(t, path)
		csp := answer.Header.Get("Content-Security-Policy")
		if answer.StatusCode != 200 || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "sandbox ") {
			t.Errorf("%s: %d, policy %s", path, answer.StatusCode, csp)
		}
		for _, bad := range []string{"script-src", "allow-scripts", "allow-forms", "allow-top", "connect-src", "font-src"} {
			if strings.Contains(csp, bad) {
				t.Errorf("%s allows %s: %s", path, bad, csp)
			}
		}
		if got := strings.Contains(csp, "https:"); got != images {
			t.Errorf("%s: images of strangers %v, want %v", path, got, images)
		}
	}
	if got := get(t, "/frame/other").StatusCode; got != 404 {
		t.Errorf("another frame: %d", got)
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		answer := get(t, "/"+strings.TrimPrefix(name, "dist/"))
		for _, header := range append(slices.Collect(maps.Keys(headers)), "Content-Security-Policy") {
			if answer.Header.Get(header) == "" {
				t.Errorf("%s has no %s", name, header)
			}
		}
		if answer.Header.Get("Content-Type") == "" {
			t.Errorf("%s has no type", name)
		}
		immutable := strings.Contains(answer.Header.Get("Cache-Control"), "immutable")
		if hashed := strings.HasPrefix(name, "dist/assets/"); immutable != hashed {
			t.Errorf("%s: immutable %v", name, immutable)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKnownFilesAreNotSentAgain(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		first := get(t, "/", "Accept-Encoding", encoding)
		etag := first.Header.Get("ETag")
		again := get(t, "/", "Accept-Encoding", encoding, "If-None-Match", "W/"+etag)
		if etag == "" || again.StatusCode != http.StatusNotModified {
			t.Errorf("encoding %q, ETag %s: %d", encoding, etag, again.StatusCode)
		}
	}
	if other := get(t, "/", "If-None-Match", `"other"`); other.StatusCode != 200 {
		t.Errorf("another ETag: %d", other.StatusCode)
	}
}

func TestPackedIsTheSame(t *testing.T) {
	plain, _ := io.ReadAll(get(t, "/").Body)
	for accept, want := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "br": false, "": false} {
		answer := get(t, "/", "Accept-Encoding", accept)
		if packed := answer.Header.Get("Content-Encoding") == "gzip"; packed != want {
			t.Errorf("Accept-Encoding %q: packed %v", accept, packed)
			continue
		}
		if !want {
			continue
		}
		z, err := gzip.NewReader(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(z); string(got) != string(plain) {
			t.Error("what is packed is not what is not")
		}
	}
}

func TestOnlyReading(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("x")))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	w = httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/", nil))
	if w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
}
