package jmap

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// A page of another site may ask with a token, and is never let in by a cookie.
func TestPagesOfOtherSitesMayAskWithATokenOfTheirOwn(t *testing.T) {
	w := newTown(t)
	r := httptest.NewRequest("OPTIONS", apiPath, nil)
	r.Header.Set("Origin", "https://client.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	h := rec.Header()
	if rec.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("asked first: %d %v", rec.Code, h)
	}
	for method, path := range map[string]string{"GET": sessionPath, "POST": apiPath} {
		rec := w.do(method, path, "application/json", []byte(`{"using":[],"methodCalls":[]}`))
		if h := rec.Header(); rec.Code != 200 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", path, rec.Code, h)
		}
	}
	rec = httptest.NewRecorder()
	w.server.ServeHTTP(rec, httptest.NewRequest("OPTIONS", apiPath, nil))
	if rec.Code != 405 {
		t.Errorf("OPTIONS that asks for nothing: %d", rec.Code)
	}
}
