// Package web serves the web client: a program of static files that speaks JMAP, like
// any other device. Its sources lie in src; dist is what the build made of them, and
// is embedded.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

// policy lets our pages load, run and ask nothing that is not ours.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
	"frame-src 'self' blob:; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'; object-src 'none'"

// A message's HTML is shown in a frame, and what it may do is said by the empty
// document that the client fills: nothing runs in it, nothing leaves it, and it
// loads nothing. Its own styles are let in, which our pages do without. It keeps our
// origin, so that the client may fill and measure it; as no script ever runs in it,
// nobody else can make use of that.
const framePolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; " +
	"sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; img-src data: blob:"

// frames are the documents that messages are shown in, by path: without, and when the
// reader asked for them with, images of strangers.
var frames = map[string]string{"frame/closed": framePolicy, "frame/images": framePolicy + " https: http:"}

var headers = map[string]string{
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=()",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
}

// shellPages are the first parts of paths at which the client shows a page of its own.
var shellPages = map[string]bool{"": true, "mail": true, "search": true, "settings": true, "devices": true, "activity": true, "outbox": true}

// Serves says whether a path is the client's: one of its files, or one of its pages.
func Serves(p string) bool { return fileOf(p) != "" }

// fileOf is the embedded file, or the frame, that answers a path; "" when none does.
func fileOf(p string) string {
	name := strings.TrimPrefix(path.Clean("/"+p), "/")
	first, _, _ := strings.Cut(name, "/")
	if shellPages[first] {
		return "dist/index.html"
	}
	if frames[name] != "" {
		return name
	}
	if info, err := fs.Stat(dist, "dist/"+name); err == nil && !info.IsDir() {
		return "dist/" + name
	}
	return ""
}

// Handler serves the client.
func Handler() http.Handler {
	var files sync.Map // name to *file, made when first asked for
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name := fileOf(r.URL.Path)
		if name == "" {
			http.NotFound(w, r)
			return
		}
		f, ok := files.Load(name)
		if !ok {
			f, _ = files.LoadOrStore(name, open(name))
		}
		f.(*file).serve(w, r)
	})
}

// A file is one of dist, and what its answers say of it.
type file struct {
	contentType, etag, cacheControl, policy string
	plain, packed                           []byte // packed is nil where gzip would not help
}

func open(name string) *file {
	policy, source := policy, name
	if p := frames[name]; p != "" {
		policy, source = p, "dist/frame.html"
	}
	plain, err := dist.ReadFile(source)
	if err != nil {
		panic(err) // fileOf has just found it
	}
	sum := sha256.Sum256(append([]byte(policy), plain...))
	f := &file{contentType: typeOf(source), etag: base64.RawURLEncoding.EncodeToString(sum[:12]), cacheControl: "no-cache", policy: policy, plain: plain}
	if strings.HasPrefix(name, "dist/assets/") {
		f.cacheControl = "public, max-age=31536000, immutable" // their names hold a hash
	}
	if packed := pack(plain); len(packed) < len(plain)*9/10 {
		f.packed = packed
	}
	return f
}

// typeOf names types itself where systems disagree.
func typeOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".webmanifest":
		return "application/manifest+json"
	default:
		return mime.TypeByExtension(ext)
	}
}

func pack(plain []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	w.Write(plain)
	w.Close()
	return b.Bytes()
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, value := range headers {
		h.Set(name, value)
	}
	h.Set("Content-Security-Policy", f.policy)
	body, etag := f.plain, `"`+f.etag+`"`
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body, etag = f.packed, `"`+f.etag+`-gzip"`
		}
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cacheControl)
	h.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		io.Copy(w, bytes.NewReader(body)) // who hung up does not mind
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3) as far as gzip goes.
func acceptsGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, found := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !found || (err == nil && weight > 0)
		}
	}
	return false
}

// matches compares weakly, as If-None-Match asks for (RFC 9110 §13.1.2).
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}
