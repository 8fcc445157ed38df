package signin

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lockstep/internal/auth"
)

// The cookies. Under TLS their names begin with what makes browsers take them from
// this host alone, whole and secure (RFC 6265bis §4.1.3.2).
const (
	hostPrefix    = "__Host-"
	sessionCookie = "lockstep"
	deviceCookie  = "lockstep-device" // lasts: the same browser is the same device
	pendingCookie = "lockstep-pending"
)

// secure reports whether the browser speaks TLS, with us or with a proxy of ours.
func (s *Server) secure(r *http.Request) bool {
	return r.TLS != nil || s.PublicURL != nil && s.PublicURL.Scheme == "https" && strings.EqualFold(r.Host, s.PublicURL.Host)
}

// origin is by what browsers know the server.
func (s *Server) origin(r *http.Request) string {
	scheme := "http"
	if s.secure(r) {
		scheme = "https"
	}
	return scheme + "://" + strings.ToLower(r.Host)
}

func (s *Server) cookieName(r *http.Request, name string) string {
	if s.secure(r) {
		return hostPrefix + name
	}
	return name
}

// cookie is the value of one of ours; "" if it is not there.
func (s *Server) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(s.cookieName(r, name))
	if err != nil || len(c.Value) > maxCookieBytes {
		return ""
	}
	return c.Value
}

// setCookie sets one of ours, for a time; with none it goes.
func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := &http.Cookie{Name: s.cookieName(r, name), Value: value, Path: "/", HttpOnly: true, Secure: s.secure(r), SameSite: http.SameSiteStrictMode, MaxAge: int(life.Seconds())}
	if life <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// browser is what signs in, and the cookie by which it is known the next time.
func (s *Server) browser(w http.ResponseWriter, r *http.Request, name string) auth.Browser {
	key := s.cookie(r, deviceCookie)
	if len(key) < len(rand.Text()) {
		key = rand.Text()
	}
	s.setCookie(w, r, deviceCookie, key, deviceCookieLife)
	return auth.Browser{Key: key, Name: name, Agent: r.UserAgent(), Addr: auth.AddrOf(r)}
}

// From where a browser says that a request comes (Fetch Metadata; RFC 6454).
type provenance int

const (
	unsaid      provenance = iota // by a program that says nothing of it
	ours                          // a page of ours
	theirs                        // another site's, or a sibling of ours
	byTheirSelf                   // the person: typed, or a bookmark
)

func (s *Server) provenance(r *http.Request) provenance {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return ours
	case "none":
		return byTheirSelf
	case "":
	default:
		return theirs
	}
	switch origin := r.Header.Get("Origin"); {
	case origin == "":
		return unsaid
	case s.ourOrigin(r, origin):
		return ours
	}
	return theirs
}

func (s *Server) ourOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Scheme+"://"+u.Host, s.origin(r))
}
