package signin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// OAuth 2.0 for programs that people trust with their mail: authorization code and
// PKCE (RFC 6749, RFC 7636), the manners of RFC 9700. All clients are public: what is
// on a person's device keeps no secret of its maker's.

// Where it is spoken.
const (
	serverMetadata   = "/.well-known/oauth-authorization-server" // RFC 8414
	resourceMetadata = "/.well-known/oauth-protected-resource"   // RFC 9728
	authorizePath    = "/auth/oauth/authorize"
	tokenPath        = "/auth/oauth/token"
	revokePath       = "/auth/oauth/revoke"
	registerPath     = "/auth/oauth/register"
	stylePath        = "/auth/style.css"
)

// issuer is the server's name among those that give tokens: its public one, but for
// who tries it out on the same machine without TLS.
func (s *Server) issuer(r *http.Request) string {
	if s.PublicURL != nil && s.secure(r) {
		return s.PublicURL.Scheme + "://" + s.PublicURL.Host
	}
	return s.origin(r)
}

// metadata says where everything is (RFC 8414 §2).
func (s *Server) metadata(_ http.ResponseWriter, r *http.Request) (any, error) {
	at := s.issuer(r)
	return object{
		"issuer": at, "authorization_endpoint": at + authorizePath, "token_endpoint": at + tokenPath, "revocation_endpoint": at + revokePath, "registration_endpoint": at + registerPath,
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query"}, "grant_types_supported": []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported": []string{"none"}, "revocation_endpoint_auth_methods_supported": []string{"none"},
		"code_challenge_methods_supported": []string{"S256"}, "authorization_response_iss_parameter_supported": true, "scopes_supported": auth.Scopes(),
		"ui_locales_supported": languages(),
	}, nil
}

// resource says who gives tokens for the protocols here (RFC 9728 §2).
func (s *Server) resource(_ http.ResponseWriter, r *http.Request) (any, error) {
	at := s.issuer(r)
	return object{"resource": at + strings.TrimPrefix(r.URL.Path, resourceMetadata), "authorization_servers": []string{at}, "scopes_supported": auth.Scopes(), "bearer_methods_supported": []string{"header"}}, nil
}

// object is a JSON object.
type object map[string]any

// Challenge tells in an answer of 401 how to sign in (RFC 9110 §11.6.1). Browsers that
// run a page are not asked for a password: they would show a window of their own.
func (s *Server) Challenge(h http.Header, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Mode") == "" || r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		h.Add("WWW-Authenticate", `Basic realm="Lockstep", charset="UTF-8"`)
	}
	h.Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm="Lockstep", resource_metadata="%s%s"`, s.issuer(r), resourceMetadata))
}

// client is a program that was registered. Its id says all of it, with our stamp: so
// nothing is kept of who registers, and nobody can fill a table.
type client struct {
	Name      string   `json:"n"`
	Redirects []string `json:"r"`
	id        string
}

const clientStamp = "OAuth clients"

func (s *Server) clientID(c client) (string, error) {
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(append(s.Auth.Stamp(clientStamp, text)[:16], text...)), err
}

var errNoClient = mail.Errorf(mail.Invalid, "this program is not registered here")

// clientOf reads an id that clientID made.
func (s *Server) clientOf(id string) (c client, err error) {
	if len(id) > maxClientID {
		return c, errNoClient
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) < 16 || !equal(string(raw[:16]), string(s.Auth.Stamp(clientStamp, raw[16:])[:16])) || json.Unmarshal(raw[16:], &c) != nil {
		return c, errNoClient
	}
	c.id = id
	return c, nil
}

// oauthError is how the endpoints for programs tell what went wrong (RFC 6749 §5.2).
type oauthError struct {
	code   string
	detail string
}

func (e *oauthError) Error() string { return e.code + ": " + e.detail }

// register serves RFC 7591.
func (s *Server) register(w http.ResponseWriter, r *http.Request) (any, error) {
	var q struct {
		Redirects []string `json:"redirect_uris"`
		Name      string   `json:"client_name"`
		Method    string   `json:"token_endpoint_auth_method"`
		Grants    []string `json:"grant_types"`
		Responses []string `json:"response_types"`
		Scope     string   `json:"scope"`
	}
	if err := read(r, &q); err != nil {
		return nil, &oauthError{"invalid_client_metadata", mail.DetailOf(err)}
	}
	if err := checkRedirects(q.Redirects); err != nil {
		return nil, err
	}
	c := client{Name: cleanName(q.Name), Redirects: q.Redirects}
	switch {
	case c.Name == "" || len(c.Name) > maxClientName:
		return nil, &oauthError{"invalid_client_metadata", fmt.Sprintf("client_name has 1 to %d bytes: people are asked whether they trust it", maxClientName)}
	case q.Method != "" && q.Method != "none":
		return nil, &oauthError{"invalid_client_metadata", "token_endpoint_auth_method has to be none"}
	case len(q.Grants) > 0 && !slices.Contains(q.Grants, "authorization_code"), len(q.Responses) > 0 && !slices.Contains(q.Responses, "code"):
		return nil, &oauthError{"invalid_client_metadata", "only authorization_code and code are spoken"}
	}
	id, err := s.clientID(c)
	if err != nil {
		return nil, err
	}
	scope, err := auth.GrantedScope(q.Scope)
	if err != nil {
		return nil, &oauthError{"invalid_client_metadata", mail.DetailOf(err)}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	return object{"client_id": id, "client_name": c.Name, "redirect_uris": c.Redirects, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "scope": scope}, nil
}

// cleanName is a name as it is shown: one line, and nothing that turns it around.
func cleanName(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
}

func checkRedirects(all []string) error {
	if len(all) == 0 || len(all) > maxRedirects {
		return &oauthError{"invalid_redirect_uri", fmt.Sprintf("there are 1 to %d redirect_uris", maxRedirects)}
	}
	for _, uri := range all {
		if !goodRedirect(uri) {
			return &oauthError{"invalid_redirect_uri", "a redirect_uri is https, or a loopback address, or a scheme of the program's own with a dot in it"}
		}
	}
	return nil
}

// goodRedirect reports whether a code may be sent there: to a site, to a program on the
// same machine, or to a scheme that is its maker's domain backwards (RFC 8252 §7).
func goodRedirect(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxRedirectURI || u.Fragment != "" || strings.Contains(uri, "#") || u.User != nil || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>;,\`, r) }) {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Hostname() != ""
	case "http":
		return isLoopback(u)
	}
	return strings.Contains(u.Scheme, ".")
}

func isLoopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// takes reports whether a redirect URI is one of the client's: the same, letter by
// letter, but for the port of a loopback address, which a program learns only when it
// listens (RFC 8252 §7.3).
func (c client) takes(uri string) bool {
	return goodRedirect(uri) && slices.ContainsFunc(c.Redirects, func(known string) bool { return known == uri || withoutPort(known) == withoutPort(uri) })
}

func withoutPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || !isLoopback(u) {
		return uri
	}
	u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	return u.String()
}

// forPrograms answers programs, also those that run in pages of other sites: nothing
// there looks at cookies.
func (s *Server) forPrograms(serve func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Content-Type")
			h.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		v, err := serve(w, r)
		if err == nil && v == nil {
			w.WriteHeader(http.StatusOK)
			return
		}
		if err == nil {
			err = answer(w, v)
		}
		if err != nil {
			s.tellProgram(w, r, err)
		}
	})
}

// tellProgram tells what went wrong.
func (s *Server) tellProgram(w http.ResponseWriter, r *http.Request, err error) {
	code, detail, status := "invalid_request", mail.DetailOf(err), http.StatusBadRequest
	switch e, ok := err.(*oauthError); {
	case ok:
		code, detail = e.code, e.detail
	case mail.KindOf(err) == mail.BadCredentials, mail.KindOf(err) == mail.Denied:
		code = "invalid_grant"
	case mail.KindOf(err) == mail.Limit:
		code, status = "temporarily_unavailable", http.StatusTooManyRequests
		w.Header().Set("Retry-After", "60")
	case mail.KindOf(err) == mail.Invalid:
	default:
		s.Log.ErrorContext(r.Context(), "request failed", "proto", "signin", "path", r.URL.Path, "err", err)
		code, status = "server_error", http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object{"error": code, "error_description": detail}) // whoever asked may be gone
}

// form reads a form, each field of which is there once (RFC 6749 §3.1).
func form(r *http.Request) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{"invalid_request", "the form can't be read"}
	}
	return r.PostForm, once(r.PostForm)
}

func once(q url.Values) error {
	for name, values := range q {
		if len(values) > 1 {
			return &oauthError{"invalid_request", name + " is there twice"}
		}
	}
	return nil
}

// token serves the token endpoint (RFC 6749 §4.1.3, §6).
func (s *Server) token(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := form(r)
	if err != nil {
		return nil, err
	}
	c, err := s.clientOf(q.Get("client_id"))
	if err != nil {
		return nil, &oauthError{"invalid_client", mail.DetailOf(err)}
	}
	var t auth.Tokens
	switch q.Get("grant_type") {
	case "authorization_code":
		t, err = s.redeem(r, c, q)
	case "refresh_token":
		t, err = s.Auth.Refresh(r.Context(), c.id, q.Get("refresh_token"), auth.AddrOf(r))
	default:
		return nil, &oauthError{"unsupported_grant_type", "grant_type is authorization_code or refresh_token"}
	}
	if err != nil {
		return nil, err
	}
	return object{"access_token": t.Access, "token_type": "Bearer", "expires_in": int(auth.AccessLife.Seconds()), "refresh_token": t.Refresh, "scope": t.Scope}, nil
}

// revoke serves RFC 7009: whatever the token was, it is good for nothing afterwards.
func (s *Server) revoke(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := form(r)
	if err != nil {
		return nil, err
	}
	if q.Get("token") == "" {
		return nil, &oauthError{"invalid_request", "token is missing"}
	}
	return nil, s.Auth.Revoke(r.Context(), q.Get("client_id"), q.Get("token"), auth.AddrOf(r))
}
