package signin

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return strings.ToLower(host)
	}
	return strings.ToLower(hostport)
}

// prove proves again who is signed in, by any one thing they have: what is sensitive
// is done by who did so lately.
func (s *Server) prove(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	var q struct{ Password, Code string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	var proof *auth.Proof
	var err error
	if q.Code != "" {
		if proof, err = s.Auth.Prove(r.Context(), sess); err == nil {
			err = s.Auth.ProveTOTP(r.Context(), proof, q.Code)
		}
	} else {
		proof, err = s.Auth.ProvePassword(r.Context(), sess.Principal.Login, q.Password, auth.AddrOf(r))
	}
	if err != nil {
		return nil, err
	}
	return nil, s.Auth.Proved(r.Context(), sess, proof)
}

// proveBegin and proveFinish are prove with a passkey.
func (s *Server) proveBegin(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	proof, err := s.Auth.Prove(r.Context(), sess)
	if err != nil {
		return nil, err
	}
	c, err := s.Auth.AskPasskey(r.Context(), s.relyingParty(r), proof)
	if err != nil {
		return nil, err
	}
	return c.Options, s.begin(w, r, &pending{Ceremony: c})
}

func (s *Server) proveFinish(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	c, answer, _, err := s.answered(w, r)
	if err != nil {
		return nil, err
	}
	proof, err := s.Auth.ProvePasskey(r.Context(), c, auth.AddrOf(r), answer)
	if err != nil {
		return nil, err
	}
	return nil, s.Auth.Proved(r.Context(), sess, proof)
}

// answered is the browser's answer to a passkey that it was asked for, or was to make.
func (s *Server) answered(w http.ResponseWriter, r *http.Request) (c *auth.Ceremony, answer []byte, name string, err error) {
	var q struct {
		Name       string
		Credential json.RawMessage
	}
	if err := read(r, &q); err != nil {
		return nil, nil, "", err
	}
	one, err := s.begun(r)
	if err != nil {
		return nil, nil, "", err
	}
	defer s.leave(r, one)
	c, err = one.take()
	s.finished(w, r, one)
	return c, q.Credential, q.Name, err
}

// Security is how somebody signs in.
type Security struct {
	TOTP         bool      `json:"totp"`
	Passkeys     []Passkey `json:"passkeys"`
	RecoveryLeft int       `json:"recoveryLeft"`
	Proven       bool      `json:"proven"`
}

// Passkey is one of somebody's.
type Passkey struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"lastUsed"`
}

func (s *Server) security(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	f, err := s.Auth.Factors(r.Context(), sess.Principal)
	if err != nil {
		return nil, err
	}
	all := Security{TOTP: f.TOTP, Passkeys: []Passkey{}, RecoveryLeft: f.Recovery, Proven: sess.SignedIn().Fresh(s.now())}
	for _, k := range f.Passkeys {
		one := Passkey{ID: number(k.ID), Name: k.Name, Created: k.Created}
		if !k.LastUsed.IsZero() {
			one.LastUsed = &k.LastUsed
		}
		all.Passkeys = append(all.Passkeys, one)
	}
	return all, nil
}

func number(id int64) string { return strconv.FormatInt(id, 10) }

// named is an id that number made.
func named(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, mail.Errorf(mail.NotFound, "there is nothing of that id")
	}
	return n, nil
}

func (s *Server) changePassword(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	var q struct {
		Current, Password string
		EndOthers         bool
	}
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return nil, s.Auth.ChangePassword(r.Context(), sess, q.Current, q.Password, q.EndOthers)
}

// Enrolment is a secret that its owner takes into a program for codes.
type Enrolment struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"` // for a QR code
}

func (s *Server) totpBegin(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	e := s.Auth.BeginTOTP(sess.Principal, hostname(r.Host))
	return Enrolment{e.Secret, e.URI}, s.begin(w, r, &pending{Secret: e.Secret})
}

// Recovery is codes that are shown once; null if those before still hold.
type Recovery struct {
	Recovery []string `json:"recovery"`
}

func (s *Server) totpConfirm(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	var q struct{ Code string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	one, err := s.begun(r)
	if err != nil {
		return nil, err
	}
	defer s.leave(r, one)
	if one.Secret == "" {
		return nil, errNothingBegun
	}
	codes, err := s.Auth.ConfirmTOTP(r.Context(), sess.Principal, one.Secret, q.Code)
	if err != nil {
		return nil, wrongHere(err)
	}
	s.finished(w, r, one)
	return Recovery{codes}, nil
}

// wrongHere is a code that does not fit what is being set up: whoever types it is
// signed in all the same.
func wrongHere(err error) error {
	if mail.KindOf(err) == mail.BadCredentials {
		return &refusal{mail.Errorf(mail.Invalid, "%s", mail.DetailOf(err)), "wrong-code"}
	}
	return err
}

func (s *Server) totpRemove(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	return nil, s.Auth.RemoveTOTP(r.Context(), sess.Principal)
}

// passkeyAdd and passkeyAdded make a passkey.
func (s *Server) passkeyAdd(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	c, err := s.Auth.BeginPasskey(r.Context(), sess.Principal, s.relyingParty(r))
	if err != nil {
		return nil, err
	}
	return c.Options, s.begin(w, r, &pending{Ceremony: c})
}

func (s *Server) passkeyAdded(w http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	c, answer, name, err := s.answered(w, r)
	if err != nil {
		return nil, err
	}
	codes, err := s.Auth.FinishPasskey(r.Context(), c, sess.Principal, name, answer)
	return Recovery{codes}, err
}

func (s *Server) passkeyRemove(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	var q struct{ ID string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	id, err := named(q.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Auth.RemovePasskey(r.Context(), sess.Principal, id)
}

func (s *Server) recoveryRenew(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	f, err := s.Auth.Factors(r.Context(), sess.Principal)
	if err != nil {
		return nil, err
	}
	if !f.Any() {
		return nil, mail.Errorf(mail.NotFound, "there is no second factor to get past")
	}
	codes, err := s.Auth.NewRecoveryCodes(r.Context(), sess.Principal)
	return Recovery{codes}, err
}

// SignIn is one way in which somebody stays signed in.
type SignIn struct {
	ID       string    `json:"id"`
	Current  bool      `json:"current"`
	Kind     string    `json:"kind"` // web or oauth
	Client   string    `json:"client"`
	Device   string    `json:"device"`
	Address  string    `json:"address"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"lastSeen"`
	Expires  time.Time `json:"expires"`
}

func (s *Server) sessions(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	all, err := s.Auth.SignIns(r.Context(), sess.Principal)
	if err != nil {
		return nil, err
	}
	rows := []SignIn{}
	for _, in := range all {
		rows = append(rows, SignIn{number(in.ID), in.ID == sess.SignedIn().ID, string(in.Kind), in.Client, deviceID(in.Device), in.Addr, in.Created, in.LastSeen, in.Ends})
	}
	return map[string]any{"sessions": rows}, nil
}

func (s *Server) sessionEnd(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	var q struct{ ID string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	id, err := named(q.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Auth.EndSignIn(r.Context(), sess.Principal, id)
}

// sessionsEnd ends all but this one.
func (s *Server) sessionsEnd(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	return nil, s.Auth.EndOtherSignIns(r.Context(), sess)
}
