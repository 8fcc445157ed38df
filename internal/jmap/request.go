package jmap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// A request is one Request object on its way (§3.3).
type request struct {
	srv       *Server
	sess      *auth.Session
	using     []string
	created   map[string]string // creation id to id, also the client's own
	echoIDs   bool              // the client gave createdIds and is given them back
	responses []response
	bytes     int64 // of responses
}

// An invocation is a method call, or its answer (§3.2).
type invocation struct {
	name   string
	args   json.RawMessage
	callID string
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *invocation) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return errors.New("a method call has three parts: name, arguments, call id")
	}
	if err := json.Unmarshal(parts[0], &i.name); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(parts[1]), []byte("{")) {
		return errors.New("the arguments of a method call are an object")
	}
	i.args = parts[1]
	return json.Unmarshal(parts[2], &i.callID)
}

// A response is one answer, as it goes out and as result references read it.
type response struct {
	name   string
	args   json.RawMessage
	callID string
}

// MarshalJSON implements json.Marshaler.
func (r response) MarshalJSON() ([]byte, error) { return r.appendTo(nil), nil }

// appendTo writes the response. What it answers is JSON already, and may be long.
func (r response) appendTo(b []byte) []byte {
	b = append(append(b, '['), mustEncode(r.name)...)
	b = append(append(b, ','), r.args...)
	b = append(append(b, ','), mustEncode(r.callID)...)
	return append(b, ']')
}

// api serves the requests of methods (§3.1).
func (s *Server) api(w http.ResponseWriter, r *http.Request, sess *auth.Session) {
	leave, ok := s.rooms.enter(sess.Principal.ID, "requests", s.limits.ConcurrentRequests)
	if !ok {
		tooManyRequests().write(w)
		return
	}
	defer leave()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		notJSON("the Content-Type of a request is application/json").write(w)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, s.limits.Request+1))
	switch {
	case err != nil:
		return // who asked has left
	case int64(len(body)) > s.limits.Request:
		pastLimit("maxSizeRequest", "the request is too large").write(w)
		return
	}
	out, wrong := s.process(r.Context(), sess, body, s.baseURL(r))
	if wrong != nil {
		wrong.write(w)
		return
	}
	sendJSON(w, out.encode())
}

// writeJSON answers with a JSON object.
func writeJSON(w http.ResponseWriter, v any) { sendJSON(w, mustEncode(v)) }

// mustEncode is encodeJSON of what we answer, all of which can be said in JSON.
func mustEncode(v any) []byte {
	b, err := encodeJSON(v)
	if err != nil {
		panic(err)
	}
	return b
}

func sendJSON(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	_, _ = w.Write(b) // who left does not hear it
}

// answer is a Response object (§3.4).
type answer struct {
	MethodResponses []response        `json:"methodResponses"`
	CreatedIDs      map[string]string `json:"createdIds,omitzero"`
	SessionState    string            `json:"sessionState"`
}

// encode writes the answer. A Marshaler's work would be looked through once more for
// each level it is nested in.
func (a *answer) encode() []byte {
	size := 1024
	for _, r := range a.MethodResponses {
		size += len(r.args) + 256
	}
	b := append(make([]byte, 0, size), `{"methodResponses":[`...)
	for i, r := range a.MethodResponses {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.appendTo(b)
	}
	b = append(b, ']')
	if a.CreatedIDs != nil {
		b = append(append(b, `,"createdIds":`...), mustEncode(a.CreatedIDs)...)
	}
	b = append(append(b, `,"sessionState":`...), mustEncode(a.SessionState)...)
	return append(b, '}')
}

// process does what a Request object asks for, whichever way it came.
func (s *Server) process(ctx context.Context, sess *auth.Session, body []byte, base string) (*answer, *problem) {
	if err := checkJSON(body); err != nil {
		return nil, notJSON(err.Error())
	}
	in, wrong := s.parse(body)
	if wrong != nil {
		return nil, wrong
	}
	req := &request{srv: s, sess: sess, using: in.Using, created: map[string]string{}, echoIDs: in.CreatedIDs != nil}
	for id, is := range in.CreatedIDs {
		req.created[id] = is
	}
	var signedOut atomic.Bool
	defer s.Accounts.Track(sess, func(string) { signedOut.Store(true) })()
	for _, c := range in.MethodCalls {
		if signedOut.Load() { // what was done before is told; nothing more is
			req.respond("error", c.callID, &methodError{Type: "forbidden", Description: "you were signed out meanwhile"})
			continue
		}
		req.run(ctx, c)
	}
	out := &answer{MethodResponses: req.responses, SessionState: s.sessionOf(sess, base).state()}
	if out.MethodResponses == nil {
		out.MethodResponses = []response{}
	}
	if req.echoIDs {
		out.CreatedIDs = req.created
	}
	return out, nil
}

type requestObject struct {
	Using       []string          `json:"using"`
	MethodCalls []invocation      `json:"methodCalls"`
	CreatedIDs  map[string]string `json:"createdIds"`
}

func (s *Server) parse(body []byte) (*requestObject, *problem) {
	var in requestObject
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, notRequest("it is not a Request object: " + err.Error())
	}
	if in.Using == nil || in.MethodCalls == nil {
		return nil, notRequest("a Request object has using and methodCalls")
	}
	for _, u := range in.Using {
		if !slices.Contains(capabilityNames(), u) {
			return nil, unknownCapability("this server does not know " + u)
		}
	}
	if len(in.MethodCalls) > s.limits.Calls {
		return nil, pastLimit("maxCallsInRequest", "there are too many method calls in one request")
	}
	return &in, nil
}

// run answers one method call. It always adds a response.
func (r *request) run(ctx context.Context, c invocation) {
	began := r.srv.now()
	err := r.call(ctx, c)
	result := "ok"
	if err != nil {
		e := r.srv.methodErrorOf(ctx, c.name, err)
		result = e.Type
		r.respond("error", c.callID, e)
	}
	r.srv.Metrics.Command(metricName(c.name), result, r.srv.now().Sub(began))
}

// metricName is a label out of a fixed set.
func metricName(name string) string {
	if _, ok := methods[name]; ok {
		return name
	}
	return "other"
}

func (r *request) call(ctx context.Context, c invocation) (err error) {
	m, ok := methods[c.name]
	if !ok || !slices.Contains(r.using, m.capability) {
		return refused("unknownMethod", unknownMethodHint(c.name, m, ok))
	}
	args, err := r.resolve(c.args)
	if err != nil {
		return err
	}
	if r.bytes > maxAnswerBytes {
		return refused("requestTooLarge", "the answers to this request grew too large; ask in several requests")
	}
	return m.serve(ctx, &call{request: r, name: c.name, id: c.callID, args: args})
}

func unknownMethodHint(name string, m method, known bool) string {
	if known {
		return name + " needs " + m.capability + " in using"
	}
	return "there is no method " + strings.ToValidUTF8(name, "?")
}

// respond adds an answer.
func (r *request) respond(name, callID string, v any) {
	b := mustEncode(v)
	r.bytes += int64(len(b))
	r.responses = append(r.responses, response{name, b, callID})
}

// account finds the account that a call names.
func (r *request) account(id string) (mail.AccountID, error) {
	if own := r.sess.Account(); id == accountID(own) {
		return own, nil
	}
	if id == "" {
		return 0, invalidArguments("accountId is missing", "accountId")
	}
	return 0, refused("accountNotFound", "there is no such account")
}

// idOf is the id that a client means: its own, or that of what it created before,
// as "#creation id" (§5.3).
func (r *request) idOf(said string) (string, bool) {
	creation, isReference := strings.CutPrefix(said, "#")
	if !isReference {
		return said, true
	}
	id, ok := r.created[creation]
	return id, ok
}
