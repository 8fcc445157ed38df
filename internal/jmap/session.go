package jmap

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"

	"lockstep/internal/auth"
)

// The capabilities.
const (
	core = "urn:ietf:params:jmap:core"
)

// A capability is what the session says of one (§2): on the server, and on an
// account.
type capability struct {
	name    string
	server  func(*Server) any
	account func(*Server, *auth.Session) any // nil is none on accounts
}

// capabilities are all that are announced; each is served whole.
var capabilities = []capability{
	{core, (*Server).coreCapability, nil},
	{webSocketURN, nothing, nil},
	{submissionURN, nothing, (*Server).submissionCapability},
	{mdnURN, nothing, func(*Server, *auth.Session) any { return struct{}{} }},
	{vapidURN, (*Server).vapidCapability, nil},
	{vacationURN, nothing, func(*Server, *auth.Session) any { return struct{}{} }},
	{mailURN, nothing, (*Server).mailCapability},
	{blobURN, nothing, (*Server).blobCapability},
	{quotaURN, nothing, func(*Server, *auth.Session) any { return struct{}{} }},
	{ours, nothing, (*Server).oursOfAccount},
}

func capabilityNames() (all []string) {
	for _, c := range capabilities {
		all = append(all, c.name)
	}
	return all
}

// nothing is what is said of a capability with no properties.
func nothing(*Server) any { return struct{}{} }

func (s *Server) coreCapability() any {
	return map[string]any{
		"maxSizeUpload":         s.limits.Upload,
		"maxConcurrentUpload":   s.limits.ConcurrentUploads,
		"maxSizeRequest":        s.limits.Request,
		"maxConcurrentRequests": s.limits.ConcurrentRequests,
		"maxCallsInRequest":     s.limits.Calls,
		"maxObjectsInGet":       s.limits.ObjectsInGet,
		"maxObjectsInSet":       s.limits.ObjectsInSet,
		"collationAlgorithms":   collations,
	}
}

// collations are those that lists can be sorted by (RFC 4790): octets after folding
// as package search folds words.
var collations = []string{"i;ascii-casemap", "i;octet", "i;unicode-casemap"}

// sessionObject is the Session object (§2).
type sessionObject struct {
	Capabilities    map[string]any           `json:"capabilities"`
	Accounts        map[string]accountObject `json:"accounts"`
	PrimaryAccounts map[string]string        `json:"primaryAccounts"`
	Username        string                   `json:"username"`
	APIURL          string                   `json:"apiUrl"`
	DownloadURL     string                   `json:"downloadUrl"`
	UploadURL       string                   `json:"uploadUrl"`
	EventSourceURL  string                   `json:"eventSourceUrl"`
	State           string                   `json:"state"`
}

type accountObject struct {
	Name                string         `json:"name"`
	IsPersonal          bool           `json:"isPersonal"`
	IsReadOnly          bool           `json:"isReadOnly"`
	AccountCapabilities map[string]any `json:"accountCapabilities"`
}

// session serves the Session object.
func (s *Server) session(w http.ResponseWriter, r *http.Request, sess *auth.Session) {
	o := s.sessionOf(sess, s.baseURL(r))
	o.State = o.state()
	writeJSON(w, o)
}

func (s *Server) sessionOf(sess *auth.Session, base string) *sessionObject {
	id := accountID(sess.Account())
	o := &sessionObject{
		Capabilities: map[string]any{}, Accounts: map[string]accountObject{}, PrimaryAccounts: map[string]string{}, Username: sess.Principal.Login,
		APIURL: base + apiPath, UploadURL: base + uploadPath + "{accountId}/", DownloadURL: base + downloadPath + "{accountId}/{blobId}/{name}?accept={type}",
		EventSourceURL: base + eventSourcePath + "?types={types}&closeafter={closeafter}&ping={ping}",
	}
	own := accountObject{Name: sess.Principal.Login, IsPersonal: true, AccountCapabilities: map[string]any{}}
	for _, c := range capabilities {
		o.Capabilities[c.name] = c.server(s)
		if c.account != nil {
			own.AccountCapabilities[c.name] = c.account(s, sess)
			o.PrimaryAccounts[c.name] = id
		}
	}
	o.Capabilities[webSocketURN] = webSocketCapability(base)
	if s.signer == nil {
		delete(o.Capabilities, vapidURN)
	}
	o.Accounts[id] = own
	return o
}

// state changes whenever anything else in the object does.
func (o *sessionObject) state() string {
	plain := *o
	plain.State = ""
	b, err := json.Marshal(plain)
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// baseURL is how the client reaches the server: by the public name, or as it asked.
func (s *Server) baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if s.PublicName == "" || isLoopback(r.RemoteAddr) {
		return scheme + "://" + r.Host
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return scheme + "://" + net.JoinHostPort(s.PublicName, port)
	}
	return scheme + "://" + s.PublicName
}

func isLoopback(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return err == nil && at.Addr().Unmap().IsLoopback()
}
