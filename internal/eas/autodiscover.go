package eas

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
	"golang.org/x/net/idna"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Where programs look for how to reach the server, ignoring case.
const (
	autodiscoverPath = "/autodiscover/autodiscover.xml" // MS-ASCMD §2.2.1.1
	autodiscoverJSON = "/autodiscover/autodiscover.json"
)

// The schemas of what is asked and answered.
const (
	frameSchema   = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	mobileSchema  = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"
	outlookSchema = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// Errors of the frame around the answers (MS-ASCMD §2.2.3.61).
const (
	frameNoAddress = 500
	frameBad       = 600
	frameNoSchema  = 601
)

const (
	maxAutodiscoverBytes = 64 << 10
	statusProtocolError  = 2 // of MS-ASCMD §2.2.3.177.1
)

// A Mailserver is another way to read or send mail, for programs that speak no
// ActiveSync.
type Mailserver struct {
	Type string // IMAP, POP3 or SMTP
	Port int
}

// ServesAutodiscover reports whether a path is one of those.
func ServesAutodiscover(path string) bool {
	path = strings.ToLower(path)
	return path == autodiscoverPath || path == autodiscoverJSON || strings.HasPrefix(path, autodiscoverJSON+"/")
}

// Autodiscover tells programs where the server is.
func (s *Server) Autodiscover(w http.ResponseWriter, r *http.Request) {
	s.init()
	switch {
	case !strings.EqualFold(r.URL.Path, autodiscoverPath):
		s.discoverJSON(w, r)
	case r.TLS == nil && r.Method != http.MethodPost && !s.mayPlain(r):
		http.Redirect(w, r, s.origin(r)+autodiscoverPath, http.StatusFound) // programs look here when there is no https
	default:
		s.discover(w, r)
	}
}

// mayPlain reports whether a password may come without TLS.
func (s *Server) mayPlain(r *http.Request) bool {
	return s.AllowPlainAuth != nil && s.AllowPlainAuth(auth.AddrOf(r))
}

// origin is the beginning of the URLs of this server: its configured name, else the one
// that it was reached by.
func (s *Server) origin(r *http.Request) string {
	name, port, _ := strings.Cut(r.Host, ":")
	if strings.HasPrefix(r.Host, "[") { // an IPv6 address
		at := strings.LastIndexByte(r.Host, ']')
		name, port = r.Host[:at+1], strings.TrimPrefix(r.Host[at+1:], ":")
	}
	if s.PublicName != "" {
		name = s.PublicName
	}
	if port != "" && port != "443" && r.TLS != nil {
		name += ":" + port
	}
	return "https://" + name
}

// discover answers a request in XML. Only to who signs in: but for an app password that
// is not for ActiveSync, it is the same as there.
func (s *Server) discover(w http.ResponseWriter, r *http.Request) {
	p, err := s.check(r)
	if err != nil {
		s.refuse(w, r, faultOf(err))
		return
	}
	var out []byte
	asked, err := readDiscovery(http.MaxBytesReader(w, r.Body, maxAutodiscoverBytes))
	switch {
	case err != nil || r.Method != http.MethodPost:
		out, err = frameError(s.origin(r), frameBad, "the request can't be read")
	case asked.schema == mobileSchema:
		out, err = s.mobileAnswer(r, p, asked.address)
	case asked.schema == outlookSchema && len(s.Mailservers) > 0:
		out, err = s.outlookAnswer(r, p, asked.address)
	default:
		out, err = frameError(s.origin(r), frameNoSchema, "this schema is not offered")
	}
	if err != nil {
		s.refuse(w, r, faultOf(err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml; charset=utf-8")
	h.Set("Cache-Control", "private")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out) // who hung up asks again
}

// discovery is what a program asks.
type discovery struct{ address, schema string }

// readDiscovery reads a request. Of several schemas that are accepted the first that is
// offered counts.
func readDiscovery(body io.Reader) (d discovery, err error) {
	var in struct {
		XMLName  xml.Name `xml:"Autodiscover"`
		Requests []struct {
			Address string   `xml:"EMailAddress"`
			Schemas []string `xml:"AcceptableResponseSchema"`
		} `xml:"Request"`
	}
	x := xml.NewDecoder(body)
	x.CharsetReader = charset.NewReaderLabel
	if err := x.Decode(&in); err != nil {
		return d, err
	}
	if len(in.Requests) != 1 {
		return d, errors.New("there is not one Request")
	}
	asked := in.Requests[0]
	d.address = strings.TrimSpace(asked.Address)
	if d.address == "" || len(asked.Schemas) == 0 {
		return d, errors.New("no address, or no schema")
	}
	for i := range asked.Schemas {
		asked.Schemas[i] = strings.TrimSpace(asked.Schemas[i])
	}
	for _, known := range []string{mobileSchema, outlookSchema} {
		if slices.Contains(asked.Schemas, known) {
			d.schema = known
			return d, nil
		}
	}
	return d, nil
}

// owns reports whether mail to an address is the principal's.
func (s *Server) owns(ctx context.Context, p store.Principal, address string) (bool, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false, nil
	}
	local, domain := address[:at], strings.ToLower(address[at+1:])
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	all, err := s.Directory.Addresses(ctx, p.Account)
	return slices.ContainsFunc(all, func(a store.Address) bool {
		return a.Domain == domain && (a.Local == "" || strings.EqualFold(a.Local, local))
	}), err
}

// frameError is an answer of the frame: what was asked could not even be given to who
// would answer.
func frameError(origin string, code int, message string) ([]byte, error) {
	type failure struct {
		Time      string `xml:"Time,attr"`
		ID        uint32 `xml:"Id,attr"`
		ErrorCode int
		Message   string
		DebugData string
	}
	type response struct{ Error failure }
	now := time.Now().UTC().Format("15:04:05.0000000")
	return framed(response{failure{now, crc32.ChecksumIEEE([]byte(origin)), code, message, ""}})
}

// discoveredUser is whose settings they are.
type discoveredUser struct {
	Name    string `xml:"DisplayName"`
	Address string `xml:"EMailAddress"`
}

func userOf(p store.Principal, address string) discoveredUser {
	u := discoveredUser{p.Name, address}
	if u.Name == "" {
		u.Name = address
	}
	return u
}

// mobileAnswer tells where ActiveSync is spoken (MS-ASCMD §2.2.1.1).
func (s *Server) mobileAnswer(r *http.Request, p store.Principal, address string) ([]byte, error) {
	type server struct {
		Type, Url, Name string
	}
	type failure struct {
		Status             int
		Message, DebugData string
	}
	type response struct {
		NS      string         `xml:"xmlns,attr"`
		Culture string         `xml:"Culture"`
		User    discoveredUser `xml:"User"`
		Server  *server        `xml:"Action>Settings>Server"`
		Error   *failure       `xml:"Action>Error"`
	}
	url := s.origin(r) + Path
	a := response{NS: mobileSchema, Culture: "en:us", User: userOf(p, address), Server: &server{"MobileSync", url, url}}
	mine, err := s.owns(r.Context(), p, address)
	if err != nil {
		return nil, err
	}
	if !mine {
		a.User.Name, a.Server = address, nil
		a.Error = &failure{statusProtocolError, "this address is not that of who signed in", ""}
	}
	return framed(a)
}

// outlookAnswer tells where mail is read and sent otherwise (MS-OXDSCLI §2.2.4).
func (s *Server) outlookAnswer(r *http.Request, p store.Principal, address string) ([]byte, error) {
	mine, err := s.owns(r.Context(), p, address)
	if err == nil && !mine {
		return frameError(s.origin(r), frameNoAddress, "this address is not that of who signed in")
	}
	type protocol struct {
		Type, Server   string
		Port           int
		DomainRequired string
		LoginName      string
		SPA, SSL       string
		AuthRequired   string
	}
	type response struct {
		NS          string         `xml:"xmlns,attr"`
		User        discoveredUser `xml:"User"`
		AccountType string         `xml:"Account>AccountType"`
		Action      string         `xml:"Account>Action"`
		Protocols   []protocol     `xml:"Account>Protocol"`
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(s.origin(r), "https://"), ":")
	a := response{NS: outlookSchema, User: userOf(p, address), AccountType: "email", Action: "settings"}
	for _, m := range s.Mailservers {
		a.Protocols = append(a.Protocols, protocol{m.Type, name, m.Port, "off", p.Login, "off", "on", "on"})
	}
	if err != nil {
		return nil, err
	}
	return framed(a)
}

// framed puts an answer into the frame.
func framed[T any](response T) ([]byte, error) {
	return document(struct {
		XMLName  xml.Name `xml:"Autodiscover"`
		NS       string   `xml:"xmlns,attr"`
		Response T        `xml:"Response"`
	}{NS: frameSchema, Response: response})
}

func document(v any) ([]byte, error) {
	b := bytes.NewBufferString(xml.Header)
	err := xml.NewEncoder(b).Encode(v)
	if err != nil {
		return nil, mail.Errorf(mail.Internal, "the answer can't be written: %v", err)
	}
	return b.Bytes(), nil
}
