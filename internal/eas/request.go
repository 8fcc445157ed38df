package eas

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A request is one command of one device.
type request struct {
	*query
	srv  *Server
	ctx  context.Context
	http *http.Request
	sess *auth.Session
	cmd  command

	policyName string
	policy     device.Policy // that holds for the device
	doc        policyDoc

	in   *wbxml.Element // what the device says; nil if it said nothing
	mime *spool         // the message it sends, if it sends one
	hash [sha256.Size]byte
	told []collectionKey // that the answer is about
	owed []func()        // begin to save what the answer says already; used by one goroutine
}

// An answer is what a device is told. The zero answer is "200, and nothing to say".
type answer struct {
	root   *wbxml.Element
	parts  *answerParts // an answer of several parts, of which root is the first
	raw    *rawAnswer   // an answer that is no document
	header http.Header
	vigil  *vigil // if there is one, it makes the answer later
}

// post serves one command.
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	a, q, err := s.command(w, r)
	if q != nil {
		defer q.close()
	}
	if err == nil && a.vigil != nil {
		s.keep(w, r, q, a.vigil)
		return
	}
	s.reply(w, r, q, a, err, began)
}

// reply answers a command with what came of it. The request is nil if the query could
// not be read.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, q *request, a *answer, err error, began time.Time) {
	if err == nil {
		err = s.write(w, r, a)
	}
	if q != nil {
		q.remember()
		if err == nil && r.Context().Err() == nil {
			s.handed.add(q.told)
		}
	}
	name, result := "none", "ok"
	if q != nil && q.sess != nil && q.cmd.name != "" {
		name = q.cmd.name
	}
	var f *fault
	if err != nil {
		f = faultOf(err)
		result = "failed"
		s.log(r, q, f)
		s.fail(w, r, q, f)
	} else if brings(a.root) {
		s.paces.brought(q.deviceKey())
	}
	s.Metrics.Command(name, result, time.Since(began))
	if q != nil && q.sess != nil {
		q.did(a, f, began)
	}
}

// command reads, checks and serves a command. The request it returns is closed by
// the caller; it may be there beside an error.
func (s *Server) command(w http.ResponseWriter, r *http.Request) (*answer, *request, error) {
	q, err := parseQuery(r)
	if err == nil {
		err = q.check()
	}
	if err != nil {
		_, signedOut := s.check(r) // who may not sign in learns nothing else
		return nil, s.unheard(q), firstOf(signedOut, err)
	}
	sess, err := s.signIn(r, q)
	if err != nil {
		return nil, s.unheard(q), err
	}
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	defer s.Auth.Track(sess, func(reason string) { stop(errors.New(reason)) })()
	req := &request{query: q, srv: s, ctx: ctx, http: r, sess: sess}
	cmd, ok := commandByName(q.command, q.version)
	if !ok {
		return nil, req, fail(statusCommand, "no command of this name in version %v", q.version)
	}
	req.cmd = cmd
	leave, err := s.devices.enter(req.deviceKey())
	if err != nil {
		return nil, req, err
	}
	defer leave()
	if err := req.gate(); err != nil {
		req.passOver(w)
		return nil, req, err
	}
	if err := req.byTheWay(); err != nil {
		return nil, req, err
	}
	if err := req.read(w); err != nil {
		return nil, req, err
	}
	a, err := cmd.serve(req)
	return a, req, err
}

// unheard is a request that is not served: as much of it as its answer needs. It is
// nil for a query that could not be read.
func (s *Server) unheard(q *query) *request {
	if q == nil {
		return nil
	}
	cmd, _ := commandByName(q.command, q.version)
	return &request{query: q, srv: s, cmd: cmd}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// close gives back what the request holds.
func (q *request) close() {
	if q.mime != nil {
		q.mime.Close()
	}
}

// account is whose mail the request is about.
func (q *request) account() mail.AccountID { return q.sess.Account() }

// deviceKey names the device among those of all accounts.
func (q *request) deviceKey() deviceKey {
	return deviceKey{q.account(), q.sess.Device().ID, q.deviceID}
}

// cursor is the full name of what is remembered for the device under a name. One
// device of the account may be several to the protocol: an app password can be typed
// into two phones.
func (q *request) cursor(name string) string { return "eas/" + q.deviceID + "/" + name }

// view runs fn on a snapshot of the account.
func (q *request) view(fn func(store.Reader) error) error {
	return q.srv.Store.View(q.ctx, q.account(), fn)
}

// update runs fn in a transaction of the device.
func (q *request) update(fn func(store.Tx) error) (mail.ModSeq, error) {
	return q.srv.Store.Update(q.ctx, q.account(), q.sess.Origin(), fn)
}

// note runs fn as bookkeeping. Nothing is kept for who only tries an account out.
func (q *request) note(fn func(store.Notes) error) error {
	if q.trying() {
		return nil
	}
	return q.srv.Store.Note(q.ctx, q.account(), fn)
}

// How bodies are called (MS-ASHTTP §2.2.1.1.2.2).
const (
	typeWBXML      = "application/vnd.ms-sync.wbxml"
	typeShortWBXML = "application/vnd.ms-sync"
	typeMessage    = "message/rfc822"
)

// read takes in what the device says.
func (q *request) read(w http.ResponseWriter) error {
	most := q.mostBytes()
	body, err := plain(q.http, http.MaxBytesReader(w, q.http.Body, most))
	if err != nil {
		return err
	}
	kind, _, _ := mime.ParseMediaType(q.http.Header.Get("Content-Type"))
	if q.cmd.mime && q.version <= v121 && kind == typeMessage {
		q.mime = newSpool(q.srv.SpoolDir, q.srv.limits.Answer)
		return q.readErr(q.copyMessage(body))
	}
	sum := sha256.New()
	err = q.decode(io.TeeReader(body, sum), most, sum)
	return q.readErr(err)
}

// mostBytes is how long a body may be.
func (q *request) mostBytes() int64 {
	if q.cmd.mime || q.cmd.name == "Sync" { // drafts come by Sync
		return maxCommandBytes + q.srv.limits.Message
	}
	return maxCommandBytes
}

// passOver reads what is not looked at: a device that is still sending a message when
// the connection ends takes that for a fault of the network, and hears no answer.
func (q *request) passOver(w http.ResponseWriter) {
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, q.http.Body, q.mostBytes()))
}

// plain undoes what the body was packed in.
func plain(r *http.Request, body io.Reader) (io.Reader, error) {
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, &fault{status: statusContent, http: http.StatusBadRequest, detail: "the body is not gzip", err: err}
		}
		return unpacked, nil
	}
	return nil, &fault{http: http.StatusUnsupportedMediaType, detail: "this content encoding is not known here"}
}

func (q *request) copyMessage(body io.Reader) error {
	sum := sha256.New()
	_, err := io.Copy(io.MultiWriter(q.mime, sum), io.LimitReader(body, q.srv.limits.Message+1))
	if err == nil && q.mime.size > q.srv.limits.Message {
		err = wbxml.ErrLimit
	}
	sum.Sum(q.hash[:0])
	return err
}

func (q *request) decode(body io.Reader, most int64, sum hash.Hash) error {
	l := wbxml.Limits{Bytes: most, Spill: func(t wbxml.Tag) io.Writer {
		if t != wbxml.ComposeMime || q.mime != nil {
			return nil
		}
		q.mime = newSpool(q.srv.SpoolDir, q.srv.limits.Answer)
		return q.mime
	}}
	probe := make([]byte, 1)
	if _, err := io.ReadFull(body, probe); err == io.EOF {
		if !q.cmd.empty {
			return fail(statusContent, "the command says nothing")
		}
		sum.Sum(q.hash[:0])
		return nil
	} else if err != nil {
		return err
	}
	in, err := wbxml.Decode(io.MultiReader(strings.NewReader(string(probe)), body), l)
	if err != nil {
		return err
	}
	if in.Tag != q.cmd.root {
		return fail(statusContent, "the root element is %v", in.Tag)
	}
	q.in = in
	_, err = io.Copy(io.Discard, body) // also what follows the document is part of what was said
	sum.Sum(q.hash[:0])
	return err
}

// readErr says what a body that can't be read means.
func (q *request) readErr(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case (errors.As(err, &tooLarge) || errors.Is(err, wbxml.ErrLimit)) && q.cmd.mime:
		return &fault{status: statusAttachment, detail: "larger than this server sends", err: err}
	case errors.As(err, &tooLarge), errors.Is(err, wbxml.ErrLimit):
		return &fault{status: statusContent, http: http.StatusRequestEntityTooLarge, detail: "larger than this server takes", err: err}
	case errors.Is(err, wbxml.ErrSyntax):
		return &fault{status: statusWBXML, detail: "the body is not WBXML", err: err}
	}
	var f *fault
	if errors.As(err, &f) {
		return err
	}
	return &fault{http: http.StatusBadRequest, detail: "the body can't be read", err: err}
}
