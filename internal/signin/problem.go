package signin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// A refusal is an error with a reason that programs know.
type refusal struct {
	error
	reason string
}

func (r *refusal) Unwrap() error { return r.error }

// Problem is what went wrong (RFC 9457). Its type is problemType and the reason.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

const problemType = "urn:lockstep:signin:"

// kinds are the statuses of errors, and their reasons where nothing says another.
var kinds = map[mail.Kind]struct {
	status int
	reason string
}{
	mail.Internal:       {http.StatusInternalServerError, "internal"},
	mail.NotFound:       {http.StatusNotFound, "not-found"},
	mail.Exists:         {http.StatusConflict, "exists"},
	mail.Invalid:        {http.StatusBadRequest, "invalid"},
	mail.Conflict:       {http.StatusConflict, "changed"},
	mail.TooOld:         {http.StatusInternalServerError, "internal"},
	mail.OverQuota:      {http.StatusInsufficientStorage, "over-quota"},
	mail.Limit:          {http.StatusTooManyRequests, "limit"},
	mail.Denied:         {http.StatusForbidden, "denied"},
	mail.HasChildren:    {http.StatusConflict, "changed"},
	mail.Expired:        {http.StatusGone, "expired"},
	mail.Unavailable:    {http.StatusServiceUnavailable, "unavailable"},
	mail.Corrupt:        {http.StatusInternalServerError, "internal"},
	mail.Unimplemented:  {http.StatusNotImplemented, "unimplemented"},
	mail.BadCredentials: {http.StatusUnauthorized, "credentials"},
}

// reasons are those of who is not let in.
var reasons = map[auth.Refusal]string{
	auth.AccountDisabled: "account-disabled", auth.NotForProtocol: "not-for-protocol", auth.DeviceBlocked: "device-blocked", auth.DeviceQuarantined: "device-quarantined",
	auth.DeviceWiped: "device-wiped", auth.TooManyDevices: "too-many-devices", auth.NeedsAppPassword: "needs-app-password", auth.NeedsProof: "prove",
}

func problemOf(err error) Problem {
	k := kinds[mail.KindOf(err)]
	p := Problem{problemType + k.reason, http.StatusText(k.status), k.status, mail.DetailOf(err)}
	if reason, ok := reasons[auth.RefusalOf(err)]; ok {
		p.Type = problemType + reason
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		p.Type = problemType + r.reason
	}
	return p
}

// problem answers with what went wrong. A browser that was to be wiped is told to
// forget what it keeps of us.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		s.Log.ErrorContext(r.Context(), "request failed", "proto", "signin", "path", r.URL.Path, "err", err)
	}
	h := w.Header()
	if p.Status == http.StatusTooManyRequests {
		h.Set("Retry-After", "60")
	}
	if auth.RefusalOf(err) == auth.DeviceWiped {
		h.Set("Clear-Site-Data", `"cache", "storage"`)
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // whoever asked may be gone
}

// answer writes JSON; nil is "done".
func answer(w http.ResponseWriter, v any) error {
	if v == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // whoever asked may be gone
	return nil
}

// read takes in JSON, and nothing else: a form of another site can't send it.
func read(r *http.Request, v any) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return mail.Errorf(mail.Invalid, "Content-Type has to be application/json")
	}
	body, err := io.ReadAll(r.Body)
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return mail.Errorf(mail.Limit, "a request has at most %d bytes", tooLong.Limit)
	}
	if err != nil {
		return &mail.Error{Kind: mail.Invalid, Detail: "the request broke off", Err: err}
	}
	return decode(body, v)
}

// decode takes one JSON value.
func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return &mail.Error{Kind: mail.Invalid, Detail: "not the JSON that is taken here", Err: err}
	}
	return nil
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
