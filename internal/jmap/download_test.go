package jmap

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// download fetches what a blob id names, with headers in pairs.
func (w *town) download(blobID, name, accept string, headers ...string) *httptest.ResponseRecorder {
	w.T.Helper()
	r := httptest.NewRequestWithContext(w.T.Context(), "GET", "http://localhost"+downloadPath+w.account+"/"+blobID+"/"+name+"?accept="+accept, nil)
	r.SetBasicAuth(login, password)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

func TestDownloadsAreWhatTheBlobIs(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	for blobID, want := range map[string]string{
		"B" + id: wholeLetter, "P" + id + "-1_1": "Grüße\r\nan alle", "P" + id + "-1_2": "<p class=\"x\">Gr\xfc\xdfe</p>", "P" + id + "-2": "%PDF-1",
		"P" + id + "-3": "Subject: inner\r\nFrom: c@example.test\r\n\r\ninner text", "P" + id + "-3_1": "inner text",
	} {
		rec := w.download(blobID, "a.txt", "text/plain")
		if rec.Code != 200 || rec.Body.String() != want || rec.Header().Get("Content-Type") != "text/plain" {
			t.Errorf("%s: HTTP %d %q %v", blobID, rec.Code, rec.Body, rec.Header())
		}
	}
}

func TestWhatIsNotThereIsNotDownloaded(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	hidden := w.emailID(w.put("INBOX", wholeLetter, `\Deleted`))
	for _, blobID := range []string{
		"B", "P", "Bx", "x", "none", "B" + hidden, "P" + hidden + "-1_1", "P" + id, "P" + id + "-", "P" + id + "-1", "P" + id + "-4", "P" + id + "-01", "P" + id + "-1_1_1",
		"P" + id + "-2_0_0_1", "P" + id + "-0_1", "P" + id + "-" + strings.Repeat("1_0_", maxInto) + "1", "P" + id + strings.Repeat("-1", 200), "PP-1", "P-1",
	} {
		rec := w.download(blobID, "a", "")
		if rec.Code != 404 || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: HTTP %d %s", blobID, rec.Code, rec.Body)
		}
	}
	for path, code := range map[string]int{
		"Ax/B" + id + "/a": 404, w.account + "/B" + id: 404, w.account + "/B" + id + "/a/b": 404, w.account + "/B" + id + "/a?accept=text": 400, w.account + "/B" + id + "/a?accept=a/b%0D%0Ac": 400,
	} {
		if rec := w.do("GET", downloadPath+path, "", nil); rec.Code != code || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: HTTP %d %s", path, rec.Code, rec.Body)
		}
	}
	if rec := newStranger(w, "GET", downloadPath+w.account+"/B"+id+"/a"); rec.Code != 401 {
		t.Errorf("a stranger: HTTP %d", rec.Code)
	}
}

func TestADocumentThatCameByMailCanDoNothing(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	rec := w.download("P"+id+"-1_2", "page.html", "text/html")
	for name, want := range map[string]string{
		"Content-Type": "text/html", "X-Content-Type-Options": "nosniff", "Content-Disposition": `attachment; filename="page.html"`,
		"Cache-Control": "private, immutable, max-age=31536000", "Content-Length": "22", "Cross-Origin-Resource-Policy": "same-origin", "Vary": "Authorization, Cookie",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy is %q", csp)
	}
}

func TestDownloadsInPieces(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	for _, c := range []struct {
		blobID, header, value, body string
		code                        int
	}{
		{"B" + id, "Range", "bytes=10-13", wholeLetter[10:14], 206},
		{"P" + id + "-2", "Range", "bytes=1-3", "PDF", 206},
		{"P" + id + "-2", "If-None-Match", `"P` + id + `-2"`, "", 304},
	} {
		if rec := w.download(c.blobID, "a", "", c.header, c.value); rec.Code != c.code || rec.Body.String() != c.body {
			t.Errorf("%s %s: HTTP %d %q", c.blobID, c.value, rec.Code, rec.Body)
		}
	}
	if rec := w.do("HEAD", downloadPath+w.account+"/B"+id+"/a", "", nil); rec.Code != 200 || rec.Body.Len() != 0 || rec.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: HTTP %d %q %v", rec.Code, rec.Body, rec.Header())
	}
}

func TestLargePartsAreDecodedOnTheWay(t *testing.T) {
	w := newTown(t)
	picture := strings.Repeat("picture ", heldInMemory/8+10)
	text := "Subject: a\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte(picture)), "cHVy", "cHVy\r\n")
	id := w.emailID(w.put("INBOX", text))
	if rec := w.download("P"+id+"-1", "a.png", "image/png", "Range", "bytes=1-3"); rec.Code != 200 || rec.Body.String() != picture || rec.Header().Get("Accept-Ranges") != "none" {
		t.Errorf("HTTP %d, %d bytes, %v", rec.Code, rec.Body.Len(), rec.Header())
	}
	if rec := w.do("HEAD", downloadPath+w.account+"/P"+id+"-1/a", "", nil); rec.Code != 200 || rec.Body.Len() != 0 {
		t.Errorf("HEAD: HTTP %d, %d bytes", rec.Code, rec.Body.Len())
	}
}

func TestNamesOfDownloadsAreSafe(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": `attachment; filename="a.txt"`, "": "attachment", "..": "attachment", "../../etc/passwd": `attachment; filename="passwd"`, `C:\a"b;c%41.txt`: `attachment; filename="a_b_c_41.txt"; filename*=UTF-8''a%22b%3Bc%2541.txt`,
		"Grüße 1.pdf": `attachment; filename="Gr__e 1.pdf"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%201.pdf`, "a\r\nSet-Cookie: b": `attachment; filename="aSet-Cookie: b"`, "a\u202etxt.exe": `attachment; filename="atxt.exe"`,
	} {
		if got := attachmentCalled(name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
	if got := attachmentCalled(strings.Repeat("ü", maxFileNameBytes)); len(got) > 8*maxFileNameBytes {
		t.Errorf("a name of %d bytes", len(got))
	}
}

func TestDownloadsAtOnceAreBounded(t *testing.T) {
	w := newTown(t)
	w.server.init()
	id := w.emailID(w.put("INBOX", wholeLetter))
	for range maxDownloads {
		leave, ok := w.server.rooms.enter(w.alice.ID, "downloads", maxDownloads)
		if !ok {
			t.Fatal("there is no room")
		}
		defer leave()
	}
	if rec := w.download("B"+id, "a", ""); rec.Code != http.StatusTooManyRequests {
		t.Errorf("HTTP %d", rec.Code)
	}
}
