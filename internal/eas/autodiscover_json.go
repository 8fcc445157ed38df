package eas

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// discoverJSON answers the second form of discovery, which Microsoft's programs use and
// no document of theirs describes: which URL a protocol has. Nobody signs in for it, so
// it is the same for all addresses, also those that are nobody's.
func (s *Server) discoverJSON(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET only", http.StatusMethodNotAllowed)
		return
	}
	type found struct{ Protocol, Url string }
	type refused struct{ ErrorCode, ErrorMessage string }
	switch protocol := parameter(r.URL.Query(), "Protocol"); strings.ToLower(protocol) {
	case "activesync":
		writeJSON(w, http.StatusOK, found{"ActiveSync", s.origin(r) + Path})
	case "autodiscoverv1":
		writeJSON(w, http.StatusOK, found{"AutodiscoverV1", s.origin(r) + autodiscoverPath})
	case "":
		writeJSON(w, http.StatusBadRequest, refused{"MandatoryParameterMissing", "A Protocol is to be named: ActiveSync or AutodiscoverV1."})
	default: // so that programs go on to what there is
		writeJSON(w, http.StatusBadRequest, refused{"InvalidProtocol", "This protocol is not served. Served are: ActiveSync, AutodiscoverV1."})
	}
}

// parameter is a parameter's value; names ignore case.
func parameter(values url.Values, name string) string {
	for key, v := range values {
		if strings.EqualFold(key, name) {
			return v[0]
		}
	}
	return ""
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer can't be written", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // who hung up asks again
}
