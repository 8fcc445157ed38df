package signin

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"lockstep/internal/auth"
	"lockstep/internal/lang"
	"lockstep/internal/mail"
)

//go:embed pages
var pages embed.FS

var pageTemplate = template.Must(template.ParseFS(pages, "pages/page.html"))

// page is what a person is shown: plain HTML, without scripts.
type page struct {
	Lang    string
	Say     func(string) string
	Title   string
	Problem string
	Step    string // password, code, consent or "" for nothing to fill in
	Again   string // where the browser goes by itself
	Action  string
	Client  string
	Login   string
	Target  string
	CSRF    string
}

// language is the first that the browser asks for and that is spoken here (RFC 9110
// §12.5.4); their order is taken for their weight.
func language(r *http.Request) lang.Tag {
	wanted := r.URL.Query().Get("ui_locales") + "," + r.Header.Get("Accept-Language")
	for part := range strings.FieldsFuncSeq(wanted[:min(len(wanted), 200)], func(c rune) bool { return c == ',' || c == ' ' }) {
		name, _, _ := strings.Cut(part, ";")
		if tag, ok := lang.Match(name); ok {
			return tag
		}
	}
	return lang.Default
}

func languages() []string {
	var all []string
	for _, l := range lang.All {
		all = append(all, string(l.Tag))
	}
	return all
}

// show shows a page. It may send a form to us, and on to target.
func show(w http.ResponseWriter, r *http.Request, status int, p page, target string) error {
	tag := language(r)
	p.Lang, p.Say = string(tag), tag.Say
	p.Title, p.Problem = tag.Say(p.Title), tag.Say(p.Problem)
	p.Action = r.URL.RequestURI()
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, p); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(tag))
	h.Set("Content-Security-Policy", strings.TrimSpace("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+source(target)))
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // whoever asked may be gone
	return nil
}

// source is a redirect URI as a policy names where forms may lead: browsers look at
// redirects, too.
func source(redirect string) string {
	u, err := url.Parse(redirect)
	switch {
	case err != nil || redirect == "":
		return ""
	case u.Scheme != "http" && u.Scheme != "https", strings.Contains(u.Host, "["): // a policy knows no numbers of IPv6
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

func style(w http.ResponseWriter, _ *http.Request) {
	text, err := pages.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is embedded
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=86400")
	_, _ = w.Write(text) // whoever asked may be gone
}

// asked is an authorization request (RFC 6749 §4.1.1).
type asked struct {
	client    client
	redirect  string // where the answer goes
	said      string // redirect_uri as it was said; "" if it was not
	state     string
	scope     string
	challenge string
	login     string      // whom the program expects
	wrong     *oauthError // what is wrong with it; nil is nothing
}

// parseAsked reads a request. An error without a redirect is for the person: whoever
// asks is not known, or where the answer would go (RFC 6749 §4.1.2.1).
func (s *Server) parseAsked(q url.Values) (a asked, err error) {
	if a.client, err = s.clientOf(q.Get("client_id")); err != nil {
		return asked{}, err
	}
	if a.said = q.Get("redirect_uri"); a.said == "" && len(a.client.Redirects) == 1 {
		a.redirect = a.client.Redirects[0]
	} else if a.client.takes(a.said) {
		a.redirect = a.said
	} else {
		return asked{}, mail.Errorf(mail.Invalid, "this program asks to be answered at an address that it has not registered")
	}
	a.state, a.login = q.Get("state"), q.Get("login_hint")
	if err := once(q); err != nil {
		return a, err
	}
	if len(a.state) > maxStateBytes {
		a.state = ""
		return a, &oauthError{"invalid_request", "state is too long"}
	}
	a.challenge = q.Get("code_challenge")
	switch {
	case q.Get("response_type") != "code":
		return a, &oauthError{"unsupported_response_type", "response_type has to be code"}
	case q.Has("request") || q.Has("request_uri"):
		return a, &oauthError{"request_not_supported", "the parameters are taken as they are"}
	case len(a.challenge) != challengeLength || q.Get("code_challenge_method") != "S256":
		return a, &oauthError{"invalid_request", "PKCE is asked for: code_challenge, with code_challenge_method S256"}
	}
	if a.scope, err = auth.GrantedScope(q.Get("scope")); err != nil {
		return a, &oauthError{"invalid_scope", mail.DetailOf(err)}
	}
	return a, nil
}

// back is the redirect URI with an answer: who it comes from is always said (RFC 9207).
func (s *Server) back(r *http.Request, a asked, answer url.Values) string {
	u, err := url.Parse(a.redirect)
	if err != nil {
		panic(err) // it was looked at
	}
	q := u.Query()
	for name, values := range answer {
		q[name] = values
	}
	if a.state != "" {
		q.Set("state", a.state)
	}
	q.Set("iss", s.issuer(r))
	u.RawQuery = q.Encode()
	return u.String()
}

// again marks a request that the browser repeated from a page of ours.
const again = "again"

// authorize serves the authorization endpoint.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if err := s.tryAuthorize(w, r); err != nil {
		s.sorry(w, r, err)
	}
}

// sorry tells a person what went wrong.
func (s *Server) sorry(w http.ResponseWriter, r *http.Request, err error) {
	status := problemOf(err).Status
	if status == http.StatusInternalServerError {
		s.Log.ErrorContext(r.Context(), "request failed", "proto", "signin", "path", r.URL.Path, "err", err)
	}
	if err := show(w, r, status, page{Title: "This does not work", Problem: mail.DetailOf(err)}, ""); err != nil {
		s.problem(w, r, err)
	}
}

func (s *Server) tryAuthorize(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	a, err := s.parseAsked(q)
	if errors.As(err, &a.wrong) && a.redirect != "" {
		err = nil // the program is told, once it is known who asks
	}
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		if s.provenance(r) != ours {
			return errForeign
		}
		return s.acted(w, r, a)
	}
	// Another site led here, so the browser has left our cookies at home. It brings
	// them when a page of ours leads here.
	if s.provenance(r) != ours && !q.Has(again) {
		q.Set(again, "1")
		return show(w, r, http.StatusOK, page{Title: "One moment", Again: authorizePath + "?" + q.Encode()}, "")
	}
	return s.ask(w, r, a, http.StatusOK, "")
}

// ask shows what the person has to do next: sign in, or say whether it may be.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, a asked, status int, problem string) error {
	p := page{Title: "Sign in", Step: "password", Client: a.client.Name, Login: a.login, Problem: problem}
	sess, token, err := s.visitor(r)
	if err != nil && mail.KindOf(err) != mail.BadCredentials {
		return err
	}
	if err == nil && a.wrong != nil {
		return s.tellWrong(w, r, a, sess)
	}
	if err == nil {
		p.Title, p.Step, p.Login, p.CSRF = "Allow access?", "consent", sess.Principal.Login, auth.CSRF(token)
		p.Target = target(a.redirect)
	}
	return show(w, r, status, p, a.redirect)
}

// tellWrong tells the program what was wrong with its request, if the person has let it
// in before. Anybody can register one, so nobody is sent on by a mere link (RFC 9700
// §4.11.2): where the program is not known to the person, it is the person who is told.
func (s *Server) tellWrong(w http.ResponseWriter, r *http.Request, a asked, sess *auth.Session) error {
	known, err := s.Auth.Granted(r.Context(), sess.Principal, a.client.id)
	if err != nil {
		return err
	}
	if !known {
		return mail.Errorf(mail.Invalid, "%s asked in a way that is not understood (%s); nothing was allowed", a.client.Name, a.wrong.detail)
	}
	http.Redirect(w, r, s.back(r, a, url.Values{"error": {a.wrong.code}, "error_description": {a.wrong.detail}}), http.StatusSeeOther)
	return nil
}

// target is where somebody is sent, as far as it says who that is.
func target(redirect string) string {
	u, err := url.Parse(redirect)
	switch {
	case err != nil:
		return redirect
	case u.Host == "":
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// visitor is who is signed in with the browser, for a page that shows no more than
// that.
func (s *Server) visitor(r *http.Request) (*auth.Session, string, error) {
	token := s.cookie(r, sessionCookie)
	if token == "" {
		return nil, "", errSignedOut
	}
	sess, err := s.Auth.Resume(r.Context(), token, auth.AddrOf(r))
	return sess, token, err
}

// acted does what the person chose, or filled in.
func (s *Server) acted(w http.ResponseWriter, r *http.Request, a asked) error {
	q, err := form(r)
	if err != nil {
		return mail.Errorf(mail.Invalid, "the form can't be read")
	}
	switch q.Get("action") {
	case "password":
		return s.passwordForm(w, r, a, q)
	case "code":
		return s.codeForm(w, r, a, q)
	case "allow", "deny":
		return s.consent(w, r, a, q)
	}
	return mail.Errorf(mail.Invalid, "the form can't be read")
}

func (s *Server) passwordForm(w http.ResponseWriter, r *http.Request, a asked, q url.Values) error {
	proof, err := s.Auth.ProvePassword(r.Context(), q.Get("login"), q.Get("password"), auth.AddrOf(r))
	a.login = q.Get("login")
	if err != nil {
		return s.ask(w, r, a, problemOf(err).Status, mail.DetailOf(err))
	}
	if proof.Done() {
		return s.entered(w, r, proof, nil)
	}
	if err := s.begin(w, r, &pending{Proof: proof}); err != nil {
		return err
	}
	return show(w, r, http.StatusOK, page{Title: "One more step", Step: "code"}, a.redirect)
}

func (s *Server) codeForm(w http.ResponseWriter, r *http.Request, a asked, q url.Values) error {
	one, err := s.begun(r)
	if err != nil && mail.KindOf(err) != mail.Expired {
		return err
	}
	if err == nil {
		defer s.leave(r, one)
	}
	if err != nil || one.Proof == nil {
		return s.ask(w, r, a, http.StatusGone, mail.DetailOf(errNothingBegun))
	}
	prove := s.Auth.ProveTOTP
	if strings.ContainsFunc(q.Get("code"), func(r rune) bool { return r > '9' }) { // recovery codes have letters
		prove = s.Auth.ProveRecovery
	}
	if err := prove(r.Context(), one.Proof, q.Get("code")); err != nil {
		return show(w, r, problemOf(err).Status, page{Title: "One more step", Step: "code", Problem: mail.DetailOf(err)}, a.redirect)
	}
	return s.entered(w, r, one.Proof, one)
}

// entered keeps who signed in, and shows the page anew.
func (s *Server) entered(w http.ResponseWriter, r *http.Request, proof *auth.Proof, one *pending) error {
	if _, _, err := s.stay(w, r, proof, "", one); err != nil {
		return err
	}
	http.Redirect(w, r, r.URL.RequestURI(), http.StatusSeeOther)
	return nil
}

// consent gives a code to the program, or tells it that it gets none.
func (s *Server) consent(w http.ResponseWriter, r *http.Request, a asked, q url.Values) error {
	sess, token, err := s.visitor(r)
	if err != nil && mail.KindOf(err) == mail.BadCredentials {
		return s.ask(w, r, a, http.StatusUnauthorized, mail.DetailOf(err))
	}
	if err != nil {
		return err
	}
	if !equal(q.Get("csrf"), auth.CSRF(token)) {
		return errNoCSRF
	}
	if a.wrong != nil {
		return s.tellWrong(w, r, a, sess)
	}
	answer := url.Values{"error": {"access_denied"}}
	if q.Get("action") == "allow" {
		code, err := s.give(r.Context(), authorization{
			Client: a.client.id, Redirect: a.said, Challenge: a.challenge, Scope: a.scope, Browser: s.browser(w, r, "").Key, Owner: sess.Principal,
		})
		if err != nil {
			return err
		}
		answer = url.Values{"code": {code}}
	}
	http.Redirect(w, r, s.back(r, a, answer), http.StatusSeeOther)
	return nil
}
