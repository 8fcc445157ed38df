package jmap

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// A wanted blob is what a download asks for (§6.2).
type wantedBlob struct{ account, id, name, contentType string }

// parseDownload reads /jmap/download/{accountId}/{blobId}/{name}?accept={type}.
func parseDownload(r *http.Request) (wantedBlob, *problem) {
	steps := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), downloadPath), "/")
	if len(steps) != 3 {
		return wantedBlob{}, httpProblem(http.StatusNotFound, "a download is at "+downloadPath+"{accountId}/{blobId}/{name}?accept={type}")
	}
	for i := range steps {
		var err error
		if steps[i], err = url.PathUnescape(steps[i]); err != nil {
			return wantedBlob{}, httpProblem(http.StatusBadRequest, "the address is not well formed")
		}
	}
	want := wantedBlob{steps[0], steps[1], steps[2], "application/octet-stream"}
	if accept := r.URL.Query().Get("accept"); accept != "" {
		kind, params, err := mime.ParseMediaType(accept)
		if want.contentType = mime.FormatMediaType(kind, params); err != nil || want.contentType == "" || !strings.Contains(kind, "/") {
			return wantedBlob{}, httpProblem(http.StatusBadRequest, "accept is no media type")
		}
	}
	return want, nil
}

// download serves what a blob id names (§6.2). It streams; what can be read at any
// place, and decoded parts that fit into memory, also in ranges.
func (s *Server) download(w http.ResponseWriter, r *http.Request, sess *auth.Session) {
	leave, ok := s.rooms.enter(sess.Principal.ID, "downloads", maxDownloads)
	if !ok {
		w.Header().Set("Retry-After", "1")
		httpProblem(http.StatusTooManyRequests, "too many downloads are under way; wait for one to end").write(w)
		return
	}
	defer leave()
	want, wrong := parseDownload(r)
	if wrong != nil {
		wrong.write(w)
		return
	}
	blob, err := s.openOwn(r.Context(), sess, want)
	if err != nil {
		s.refuseDownload(w, r, err)
		return
	}
	defer blob.Close()
	out, err := blob.begin()
	if err != nil {
		s.refuseDownload(w, r, err)
		return
	}
	say(w.Header(), want)
	if err := out.send(w, r); err != nil {
		s.logFault(r.Context(), "download", mail.KindOf(err), err)
		panic(http.ErrAbortHandler) // so that nobody takes what was sent for all there is
	}
}

// openOwn opens a blob of the account that somebody has.
func (s *Server) openOwn(ctx context.Context, sess *auth.Session, want wantedBlob) (*content, error) {
	if want.account != accountID(sess.Account()) {
		return nil, noBlob()
	}
	return s.openBlob(ctx, sess.Account(), want.id)
}

func (s *Server) refuseDownload(w http.ResponseWriter, r *http.Request, err error) {
	switch kind := mail.KindOf(err); kind {
	case mail.NotFound:
		httpProblem(http.StatusNotFound, mail.DetailOf(err)).write(w)
	case mail.Unavailable, mail.Expired:
		httpProblem(http.StatusServiceUnavailable, mail.DetailOf(err)).write(w)
	default:
		s.logFault(r.Context(), "download", kind, err)
		httpProblem(http.StatusInternalServerError, mail.DetailOf(err)).write(w)
	}
}

// say tells what is downloaded. A document that a browser opens from here may do nothing
// at all: it came by mail.
func say(h http.Header, want wantedBlob) {
	h.Set("Content-Type", want.contentType)
	h.Set("Content-Disposition", attachmentCalled(want.name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, immutable, max-age=31536000")
	h.Set("Vary", "Authorization, Cookie") // the next one at the same browser is answered by us
	h.Set("ETag", `"`+want.id+`"`)
}

// A sending is bytes on their way out.
type sending struct {
	at   io.ReaderAt // nil if they come in a row
	size int64
	row  io.Reader
}

// begin looks at the first bytes of what is decoded on the way: less than heldInMemory
// of it can then be read at any place.
func (c *content) begin() (sending, error) {
	if at, ok := c.ReaderAt(); ok {
		return sending{at: at, size: c.size}, nil
	}
	row := c.Reader()
	head, err := io.ReadAll(io.LimitReader(row, heldInMemory))
	if len(head) < heldInMemory {
		return sending{at: bytes.NewReader(head), size: int64(len(head))}, err
	}
	return sending{row: io.MultiReader(bytes.NewReader(head), row)}, err
}

// send answers with all of it, and where it can be read at any place also requests for a
// part of it, or for nothing if it is held already (RFC 9110 §14, §13). It fails with
// what reading fails with: who left does not hear it.
func (out sending) send(w http.ResponseWriter, r *http.Request) error {
	in := &watched{row: out.row, at: out.at}
	switch {
	case out.at != nil:
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(in, 0, out.size))
	case r.Method == http.MethodHead:
		w.Header().Set("Accept-Ranges", "none")
	default:
		w.Header().Set("Accept-Ranges", "none")
		_, _ = io.Copy(w, in)
	}
	return in.err
}

// watched keeps what reading failed with.
type watched struct {
	row io.Reader
	at  io.ReaderAt
	err error
}

// Read implements io.Reader.
func (f *watched) Read(b []byte) (int, error) {
	n, err := f.row.Read(b)
	return n, f.note(err)
}

// ReadAt implements io.ReaderAt.
func (f *watched) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.at.ReadAt(b, off)
	return n, f.note(err)
}

func (f *watched) note(err error) error {
	if err != nil && err != io.EOF {
		f.err = err
	}
	return err
}

// attachmentCalled is a Content-Disposition with a file name: in ASCII for old programs,
// and as it is (RFC 6266 §4.3, RFC 8187 §3.2). Of the name, folders, controls and marks
// that turn the direction of writing are left out.
func attachmentCalled(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || isTurning(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	name = mail.Clip(strings.Trim(name, " ."), maxFileNameBytes)
	if name == "" {
		return "attachment"
	}
	plain := strings.Map(func(r rune) rune {
		if r > 0x7e || strings.ContainsRune(`"%;`, r) {
			return '_'
		}
		return r
	}, name)
	out := `attachment; filename="` + plain + `"`
	if plain != name {
		out += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return out
}

// isTurning reports whether a character turns the direction of what follows, which
// hides how a name ends.
func isTurning(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}
