package jmap

import (
	"encoding/json"
	"net/http"

	"lockstep/internal/mail"
)

// A problem is why a whole request was refused (§3.6.1, RFC 7807).
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title,omitempty"`
	Detail string `json:"detail"`
	Limit  string `json:"limit,omitempty"` // which one, with type limit
}

const problemPrefix = "urn:ietf:params:jmap:error:"

func notJSON(detail string) *problem {
	return &problem{Type: problemPrefix + "notJSON", Status: http.StatusBadRequest, Detail: detail}
}

func notRequest(detail string) *problem {
	return &problem{Type: problemPrefix + "notRequest", Status: http.StatusBadRequest, Detail: detail}
}

func unknownCapability(detail string) *problem {
	return &problem{Type: problemPrefix + "unknownCapability", Status: http.StatusBadRequest, Detail: detail}
}

func pastLimit(name, detail string) *problem {
	return &problem{Type: problemPrefix + "limit", Status: http.StatusBadRequest, Detail: detail, Limit: name}
}

func tooManyRequests() *problem {
	return pastLimit("maxConcurrentRequests", "too many requests are under way; wait for one to end")
}

// httpProblem is a refusal that is not of JMAP's own making (RFC 7807 §4.2).
func httpProblem(status int, detail string) *problem {
	return &problem{Type: "about:blank", Status: status, Title: http.StatusText(status), Detail: detail}
}

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // who left does not hear it
}

// A methodError is why one call was refused (§3.6.2).
type methodError struct {
	Type        string   `json:"type"`
	Description string   `json:"description,omitempty"`
	Arguments   []string `json:"arguments,omitempty"` // that are wrong, with invalidArguments
}

func (e *methodError) Error() string { return e.Type + ": " + e.Description }

func invalidArguments(detail string, which ...string) error {
	return &methodError{Type: "invalidArguments", Description: detail, Arguments: which}
}

func refused(kind, detail string) error { return &methodError{Type: kind, Description: detail} }

// methodKinds is how a method says why it failed.
var methodKinds = map[mail.Kind]string{
	mail.Internal:       "serverFail",
	mail.NotFound:       "notFound",
	mail.Exists:         "invalidArguments",
	mail.Invalid:        "invalidArguments",
	mail.Conflict:       "stateMismatch",
	mail.TooOld:         "cannotCalculateChanges",
	mail.OverQuota:      "overQuota",
	mail.Limit:          "requestTooLarge",
	mail.Denied:         "forbidden",
	mail.HasChildren:    "invalidArguments",
	mail.Expired:        "serverUnavailable",
	mail.Unavailable:    "serverUnavailable",
	mail.Corrupt:        "serverPartialFail",
	mail.Unimplemented:  "unknownMethod",
	mail.BadCredentials: "forbidden",
}

// setKinds is how a method says why one object could not be changed (§5.3).
var setKinds = map[mail.Kind]string{
	mail.Internal:       "serverFail",
	mail.NotFound:       "notFound",
	mail.Exists:         "invalidProperties",
	mail.Invalid:        "invalidProperties",
	mail.Conflict:       "stateMismatch",
	mail.TooOld:         "stateMismatch",
	mail.OverQuota:      "overQuota",
	mail.Limit:          "overQuota",
	mail.Denied:         "forbidden",
	mail.HasChildren:    "mailboxHasChild",
	mail.Expired:        "rateLimit",
	mail.Unavailable:    "rateLimit",
	mail.Corrupt:        "serverFail",
	mail.Unimplemented:  "forbidden",
	mail.BadCredentials: "forbidden",
}

// A setError is why one object was not created, changed or destroyed (§5.3). Some
// types say more: see Extra.
type setError struct {
	Type        string
	Description string
	Properties  []string
	Extra       map[string]any // such as existingId, maxSize, notFound
}

func (e *setError) Error() string { return e.Type + ": " + e.Description }

// MarshalJSON implements json.Marshaler.
func (e *setError) MarshalJSON() ([]byte, error) {
	out := map[string]any{"type": e.Type}
	if e.Description != "" {
		out["description"] = e.Description
	}
	if len(e.Properties) > 0 {
		out["properties"] = e.Properties
	}
	for name, v := range e.Extra {
		out[name] = v
	}
	return json.Marshal(out)
}

func invalidProperties(detail string, which ...string) *setError {
	return &setError{Type: "invalidProperties", Description: detail, Properties: which}
}

var errNotFound = &setError{Type: "notFound"}
