package jmap

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"lockstep/internal/auth"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// uploadAnswer is what an upload became (§6.1).
type uploadAnswer struct {
	AccountID string `json:"accountId"`
	BlobID    string `json:"blobId"`
	Type      string `json:"type"`
	Size      int64  `json:"size"`
}

// upload keeps the body of a request for a day (§6.1). It streams to where it stays:
// what an upload costs is its bytes, and one commit.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, sess *auth.Session) {
	leave, ok := s.rooms.enter(sess.Principal.ID, "uploads", s.limits.ConcurrentUploads)
	if !ok {
		pastLimit("maxConcurrentUpload", "too many uploads are under way; wait for one to end").write(w)
		return
	}
	defer leave()
	if strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, uploadPath), "/") != accountID(sess.Account()) {
		httpProblem(http.StatusNotFound, "there is no such account").write(w)
		return
	}
	if r.ContentLength > s.limits.Upload {
		s.uploadTooLarge(w)
		return
	}
	kept, err := s.keep(r.Context(), sess.Account(), http.MaxBytesReader(w, r.Body, s.limits.Upload), r.Header.Get("Content-Type"))
	if err != nil {
		s.refuseUpload(w, r, err)
		return
	}
	b, err := json.Marshal(uploadAnswer{accountID(sess.Account()), kept.ID.String(), kept.Type, kept.Blob.Size})
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(b) // who left does not hear it
}

func (s *Server) uploadTooLarge(w http.ResponseWriter) {
	p := pastLimit("maxSizeUpload", "the upload is too large")
	p.Status = http.StatusRequestEntityTooLarge
	p.write(w)
}

// refuseUpload says why an upload was not kept.
func (s *Server) refuseUpload(w http.ResponseWriter, r *http.Request, err error) {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		s.uploadTooLarge(w)
		return
	}
	switch kind := mail.KindOf(err); kind {
	case mail.Limit, mail.OverQuota:
		httpProblem(http.StatusInsufficientStorage, mail.DetailOf(err)).write(w)
	case mail.Unavailable, mail.Expired:
		w.Header().Set("Retry-After", "1")
		httpProblem(http.StatusServiceUnavailable, mail.DetailOf(err)).write(w)
	default:
		if r.Context().Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			s.logFault(r.Context(), "upload", kind, err)
		}
		httpProblem(http.StatusInternalServerError, mail.DetailOf(err)).write(w)
	}
}

// keep stores what r gives, durable, as an upload of the account.
func (s *Server) keep(ctx context.Context, account mail.AccountID, r io.Reader, mediaType string) (mail.Upload, error) {
	b, parts, err := s.Delivery.Blobs.Put(ctx, r, blob.PutOptions{})
	if err != nil {
		return mail.Upload{}, err
	}
	u := mail.Upload{Blob: b, Parts: parts, Type: uploadType(mediaType)}
	var kept mail.Upload
	err = s.Store.Note(ctx, account, func(n store.Notes) (err error) {
		kept, err = n.AddUpload(u)
		return err
	})
	return kept, err
}

// uploadType is the media type that a client gives, if it is one.
func uploadType(said string) string {
	if _, _, err := mime.ParseMediaType(said); err != nil || len(said) > mail.MaxUploadTypeBytes {
		return "application/octet-stream"
	}
	return said
}

// openUpload opens what a client put beside its mail.
func (s *Server) openUpload(ctx context.Context, account mail.AccountID, id string) (*content, error) {
	name, ok := mail.ParseUploadID(id)
	if !ok {
		return nil, noBlob()
	}
	var u mail.Upload
	err := s.Store.View(ctx, account, func(r store.Reader) (err error) {
		u, err = r.Upload(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	body, err := s.Blobs(ctx, u.Blob)
	if err != nil {
		return nil, err
	}
	return &content{size: u.Blob.Size, at: body, closers: []func() error{body.Close}}, nil
}
