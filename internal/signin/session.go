package signin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// routes are all there is.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for at, serve := range map[string]func(http.ResponseWriter, *http.Request) (any, error){
		"GET /auth/session":         s.session,
		"POST /auth/sign-in":        s.signIn,
		"POST /auth/totp":           s.totp,
		"POST /auth/recovery":       s.recovery,
		"POST /auth/passkey/begin":  s.passkeyBegin,
		"POST /auth/passkey/finish": s.passkeyFinish,
	} {
		mux.Handle(at, s.endpoint(serve))
	}
	for at, serve := range map[string]func(http.ResponseWriter, *http.Request, *auth.Session) (any, error){
		"POST /auth/sign-out":                 s.signOut,
		"POST /auth/prove":                    s.prove,
		"POST /auth/prove/passkey/begin":      s.proveBegin,
		"POST /auth/prove/passkey/finish":     s.proveFinish,
		"GET /auth/account/security":          s.security,
		"POST /auth/account/password":         s.changePassword,
		"POST /auth/account/totp/begin":       s.totpBegin,
		"POST /auth/account/totp/confirm":     s.totpConfirm,
		"POST /auth/account/totp/remove":      s.totpRemove,
		"POST /auth/account/passkeys/begin":   s.passkeyAdd,
		"POST /auth/account/passkeys/finish":  s.passkeyAdded,
		"POST /auth/account/passkeys/remove":  s.passkeyRemove,
		"POST /auth/account/recovery/renew":   s.recoveryRenew,
		"POST /auth/account/profile":          s.profileOffer,
		"GET /auth/account/sessions":          s.sessions,
		"POST /auth/account/sessions/end":     s.sessionEnd,
		"POST /auth/account/sessions/end-all": s.sessionsEnd,
	} {
		mux.Handle(at, s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
			sess, _, err := s.signedIn(r)
			if err != nil {
				return nil, err
			}
			return serve(w, r, sess)
		}))
	}
	for at, serve := range map[string]func(http.ResponseWriter, *http.Request) (any, error){
		"GET " + serverMetadata:         s.metadata,
		"GET " + resourceMetadata:       s.resource,
		"GET " + resourceMetadata + "/": s.resource,
		"POST " + tokenPath:             s.token,
		"POST " + revokePath:            s.revoke,
		"POST " + registerPath:          s.register,
	} {
		mux.Handle(at, s.forPrograms(serve))
		_, path, _ := strings.Cut(at, " ")
		mux.Handle("OPTIONS "+path, s.forPrograms(serve))
	}
	mux.HandleFunc("GET "+authorizePath, s.authorize)
	mux.HandleFunc("POST "+authorizePath, s.authorize)
	mux.HandleFunc("GET "+stylePath, style)
	mux.HandleFunc("GET "+profilePath, s.profile)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, mail.Errorf(mail.NotFound, "there is nothing here"))
	})
	return mux
}

// endpoint answers with JSON, or with what went wrong. Nothing here is for pages of
// other sites, signed in or not.
func (s *Server) endpoint(serve func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any
		err := error(errForeign)
		if s.provenance(r) != theirs {
			v, err = serve(w, r)
		}
		if err == nil {
			err = answer(w, v)
		}
		if err != nil {
			s.problem(w, r, err)
		}
	})
}

// Session is who is signed in.
type Session struct {
	Login     string    `json:"login"`
	Name      string    `json:"name"`
	Account   string    `json:"account"` // as JMAP names it
	CSRF      string    `json:"csrf"`
	Device    Device    `json:"device"`
	TwoFactor bool      `json:"twoFactor"`
	Proven    bool      `json:"proven"` // lately enough for what is sensitive
	Expires   time.Time `json:"expires"`
}

// Device is what somebody is signed in with.
type Device struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Ids are spelled as JMAP spells them.
func accountID(id mail.AccountID) string { return "A" + strconv.FormatInt(int64(id), 36) }
func deviceID(id mail.DeviceID) string   { return "D" + strconv.FormatInt(int64(id), 36) }

// session says who is signed in.
func (s *Server) session(_ http.ResponseWriter, r *http.Request) (any, error) {
	sess, token, err := s.signedIn(r)
	if err != nil {
		return nil, err
	}
	return s.describe(r, sess, token)
}

func (s *Server) describe(r *http.Request, sess *auth.Session, token string) (*Session, error) {
	f, err := s.Auth.Factors(r.Context(), sess.Principal)
	in, d := sess.SignedIn(), sess.Device()
	return &Session{
		Login: sess.Principal.Login, Name: sess.Principal.Name, Account: accountID(sess.Account()), CSRF: auth.CSRF(token),
		Device: Device{deviceID(d.ID), d.Name}, TwoFactor: f.Any(), Proven: in.Fresh(s.now()), Expires: in.Ends,
	}, err
}

// signIn begins with the password, and ends there if that is all it takes.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) (any, error) {
	var q struct{ Login, Password, DeviceName string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	proof, err := s.Auth.ProvePassword(r.Context(), q.Login, q.Password, auth.AddrOf(r))
	if err != nil {
		return nil, err
	}
	if proof.Done() {
		return s.enter(w, r, proof, q.DeviceName, nil)
	}
	if err := s.begin(w, r, &pending{Proof: proof, Device: q.DeviceName}); err != nil {
		return nil, err
	}
	return nextOf(proof.Factors), nil
}

// Next is what more is asked for: any one of these.
type Next struct {
	Next []string `json:"next"`
}

func nextOf(f auth.Factors) Next {
	var n Next
	if f.TOTP {
		n.Next = append(n.Next, "totp")
	}
	if len(f.Passkeys) > 0 {
		n.Next = append(n.Next, "passkey")
	}
	if f.Recovery > 0 {
		n.Next = append(n.Next, "recovery")
	}
	return n
}

// enter signs in who has shown enough, which ends what was begun.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, proof *auth.Proof, device string, one *pending) (any, error) {
	sess, token, err := s.stay(w, r, proof, device, one)
	if err != nil {
		return nil, err
	}
	return s.describe(r, sess, token)
}

// stay makes the session of a browser, in place of one that it had.
func (s *Server) stay(w http.ResponseWriter, r *http.Request, proof *auth.Proof, device string, one *pending) (*auth.Session, string, error) {
	token, sess, err := s.Auth.Stay(r.Context(), proof, s.browser(w, r, device))
	if err != nil {
		return nil, "", err
	}
	if old := s.cookie(r, sessionCookie); old != "" {
		s.endOld(r, old)
	}
	s.finished(w, r, one)
	s.setCookie(w, r, sessionCookie, token, time.Until(sess.SignedIn().Created.Add(auth.WebLife)))
	return sess, token, nil
}

// endOld ends what the browser was signed in with before.
func (s *Server) endOld(r *http.Request, token string) {
	old, err := s.Auth.Resume(r.Context(), token, auth.AddrOf(r))
	if err == nil {
		err = s.Auth.EndSignIn(r.Context(), old.Principal, old.SignedIn().ID)
	}
	if err != nil && mail.KindOf(err) == mail.Internal {
		s.Log.WarnContext(r.Context(), "an earlier sign-in was not ended", "proto", "signin", "err", err)
	}
}

// withCode goes on with a code, by what takes it.
func (s *Server) withCode(w http.ResponseWriter, r *http.Request, prove func(*auth.Proof, string) error) (any, error) {
	var q struct{ Code string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	one, err := s.begun(r)
	if err != nil {
		return nil, err
	}
	defer s.leave(r, one)
	if one.Proof == nil {
		return nil, errNothingBegun
	}
	if err := prove(one.Proof, q.Code); err != nil {
		return nil, err
	}
	return s.enter(w, r, one.Proof, one.Device, one)
}

// totp goes on with a code that changes (RFC 6238).
func (s *Server) totp(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.withCode(w, r, func(p *auth.Proof, code string) error { return s.Auth.ProveTOTP(r.Context(), p, code) })
}

// recovery goes on with a recovery code.
func (s *Server) recovery(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.withCode(w, r, func(p *auth.Proof, code string) error { return s.Auth.ProveRecovery(r.Context(), p, code) })
}

func (s *Server) relyingParty(r *http.Request) auth.RelyingParty {
	return auth.RelyingParty{ID: hostname(r.Host), Origin: s.origin(r)}
}

// passkeyBegin asks for a passkey: of who has shown the password, else of whoever has
// one.
func (s *Server) passkeyBegin(w http.ResponseWriter, r *http.Request) (any, error) {
	var q struct {
		DeviceName string
		Alone      bool // whoever it is: what was begun with a password is dropped
	}
	if err := read(r, &q); err != nil {
		return nil, err
	}
	one := &pending{Device: q.DeviceName}
	if !q.Alone {
		was, err := s.begun(r)
		if err != nil && mail.KindOf(err) != mail.Expired {
			return nil, err
		}
		if err == nil {
			defer s.leave(r, was)
			one = was
		}
	}
	c, err := s.Auth.AskPasskey(r.Context(), s.relyingParty(r), one.Proof)
	if err != nil {
		return nil, err
	}
	one.Ceremony, one.Own = c, one.Proof != nil
	if one.Until.IsZero() {
		err = s.begin(w, r, one)
	}
	return c.Options, err
}

// passkeyFinish signs in with a passkey.
func (s *Server) passkeyFinish(w http.ResponseWriter, r *http.Request) (any, error) {
	var q struct{ Credential json.RawMessage }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	one, err := s.begun(r)
	if err != nil {
		return nil, err
	}
	defer s.leave(r, one)
	c, err := one.take()
	if err != nil {
		return nil, err
	}
	proof, err := s.Auth.ProvePasskey(r.Context(), c, auth.AddrOf(r), q.Credential)
	if err != nil {
		return nil, err
	}
	return s.enter(w, r, proof, one.Device, one)
}

// signOut signs the browser out, and has it forget what it keeps of us.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	if err := s.Auth.EndSignIn(r.Context(), sess.Principal, sess.SignedIn().ID); err != nil && mail.KindOf(err) != mail.NotFound {
		return nil, err
	}
	s.setCookie(w, r, sessionCookie, "", 0)
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return nil, nil
}
