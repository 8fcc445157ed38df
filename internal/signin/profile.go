package signin

import (
	"bytes"
	"cmp"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/device/profile"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Ports are where programs reach the server under TLS; 0 is nowhere.
type Ports struct {
	IMAP       int
	Submission int
	HTTPS      int // of ActiveSync; 0 where that is not served
}

// offer is a configuration profile that a phone may fetch: its app password is made
// when it comes, so that a code nobody scanned leaves nothing behind.
type offer struct {
	Owner   store.Principal
	SignIn  int64 // of who offers it, with whom it ends; 0: the password was in the request
	Name    string
	Account profile.Account // without its password before the first time
	Fetched int
}

const profilePath = "/auth/profile"

// Offer is where a phone fetches its profile, for a QR code.
type Offer struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// profileOffer offers a profile for a device that is to be added.
func (s *Server) profileOffer(_ http.ResponseWriter, r *http.Request, sess *auth.Session) (any, error) {
	var q struct{ Name, Kind string }
	if err := read(r, &q); err != nil {
		return nil, err
	}
	if err := s.Auth.Proven(sess); err != nil {
		return nil, err
	}
	q.Name = cleanName(q.Name)
	if q.Name == "" || len(q.Name) > mail.MaxDeviceNameBytes {
		return nil, mail.Errorf(mail.Invalid, "a device's name has 1 to %d bytes", mail.MaxDeviceNameBytes)
	}
	o := &offer{Owner: sess.Principal, Name: q.Name}
	if in := sess.SignedIn(); in != nil {
		o.SignIn = in.ID
	}
	var err error
	if o.Account, err = s.profileFor(r, sess.Principal, q.Kind); err != nil {
		return nil, err
	}
	one := &pending{Offer: o}
	key, err := s.beginAt(r.Context(), mail.Network(auth.AddrOf(r)), one)
	return Offer{s.issuer(r) + profilePath + "?key=" + key, one.Until}, err // paths are logged, queries are not
}

// profileFor is a profile of a kind: mail alone, or all that ActiveSync brings.
func (s *Server) profileFor(r *http.Request, p store.Principal, kind string) (profile.Account, error) {
	u, err := url.Parse(s.issuer(r))
	if err != nil {
		return profile.Account{}, mail.Errorf(mail.Invalid, "the server does not know its name")
	}
	a := profile.Account{Name: p.Login, Owner: cmp.Or(p.Name, p.Login), Login: p.Login, Host: u.Hostname(), IMAP: s.Ports.IMAP, Submission: s.Ports.Submission}
	switch {
	case kind == "mail" && a.IMAP != 0 && a.Submission != 0:
		return a, nil
	case kind == "exchange" && s.Ports.HTTPS != 0:
		a.ActiveSync = true
		if port := cmp.Or(u.Port(), "443"); port != "443" {
			a.Host = net.JoinHostPort(a.Host, port)
		}
		return a, nil
	case kind == "mail" || kind == "exchange":
		return a, mail.Errorf(mail.NotFound, "this server does not serve that")
	}
	return a, mail.Errorf(mail.Invalid, "kind is mail or exchange")
}

// protocols are what the app password in the profile is for.
func (o *offer) protocols() []mail.Protocol {
	if o.Account.ActiveSync {
		return []mail.Protocol{mail.EAS}
	}
	return []mail.Protocol{mail.IMAP, mail.Submission}
}

// profile gives a phone its profile.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	if err := s.tryProfile(w, r); err != nil {
		s.sorry(w, r, err)
	}
}

var errNoProfile = mail.Errorf(mail.Expired, "this profile was fetched already, or was offered too long ago: offer it again")

// stands looks whether an offer still holds: nobody who was signed out has one left.
func (s *Server) stands(r *http.Request, o *offer) error {
	if o.Fetched >= maxFetches {
		return errNoProfile
	}
	if o.SignIn == 0 {
		return nil
	}
	all, err := s.Auth.SignIns(r.Context(), o.Owner)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(in *auth.SignedIn) bool { return in.ID == o.SignIn }) {
		return errNoProfile
	}
	return nil
}

func (s *Server) tryProfile(w http.ResponseWriter, r *http.Request) error {
	one, err := s.takeBegun(r.Context(), r.URL.Query().Get("key"))
	if err != nil && mail.KindOf(err) == mail.Expired {
		return errNoProfile
	}
	if err != nil {
		return err
	}
	defer s.leave(r, one)
	o := one.Offer
	if o == nil {
		return errNoProfile
	}
	if err := s.stands(r, o); err != nil {
		return err
	}
	if o.Account.Password == "" {
		_, secret, err := s.Auth.AddDevice(r.Context(), o.Owner, o.Name, o.protocols())
		if err != nil {
			return err
		}
		o.Account.Password = secret
	}
	o.Fetched++
	var text bytes.Buffer
	if err := profile.Write(&text, o.Account); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", profile.ContentType)
	h.Set("Content-Disposition", `attachment; filename="lockstep.mobileconfig"`)
	h.Set("Content-Length", strconv.Itoa(text.Len()))
	_, _ = w.Write(text.Bytes()) // whoever asked may be gone
	return nil
}
