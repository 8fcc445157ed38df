package jmap

import "net/http"

// crossOrigin lets pages of other sites ask with a token of their own (Fetch §3.2). It
// never lets them ask with our cookies: a browser that sends these does not show what
// was answered to everybody, and what changes something needs a token beside them. It
// reports whether that was all there was to answer.
func crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, Content-Disposition")
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Range, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}
