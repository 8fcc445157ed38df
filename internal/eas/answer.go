package eas

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"lockstep/internal/auth"
	"lockstep/internal/eas/wbxml"
)

// worthPacking is the least answer that gzip is worth the time for.
const worthPacking = 200

// write sends an answer. Its length is always said: some clients wait for it.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a *answer) error {
	h := w.Header()
	maps.Copy(h, a.header)
	if a.root == nil && a.raw == nil {
		h.Set("Content-Length", "0")
		return nil
	}
	out := newSpool(s.SpoolDir, s.limits.Answer)
	defer out.Close()
	typ, err := a.encode(out, s)
	if err != nil {
		return err
	}
	setType(h, typ)
	return s.send(w, r, out)
}

// send sends a body, packed if the device takes that.
func (s *Server) send(w http.ResponseWriter, r *http.Request, body *spool) error {
	h := w.Header()
	h.Set("Cache-Control", "private")
	if body.size >= worthPacking && takesGzip(r) {
		packed := newSpool(s.SpoolDir, s.limits.Answer)
		defer packed.Close()
		z := gzip.NewWriter(packed)
		if _, err := io.Copy(z, body.reader()); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		h.Set("Content-Encoding", "gzip")
		body = packed
	}
	h.Set("Content-Length", strconv.FormatInt(body.size, 10))
	_, _ = io.Copy(w, body.reader()) // who hung up asks again
	return nil
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// fail answers a command that failed as a whole: in its own words from 14.0 on,
// else by HTTP.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, q *request, f *fault) {
	if q == nil || !q.version.spoken() || q.version < v140 || f.status == 0 || q.cmd.root == 0 {
		s.refuse(w, r, f)
		return
	}
	tag, ok := statusTags[q.cmd.root]
	if !ok {
		s.refuse(w, r, f)
		return
	}
	if err := s.write(w, r, &answer{root: wbxml.New(q.cmd.root, wbxml.Int(tag, f.status))}); err != nil {
		s.refuse(w, r, &fault{http: http.StatusInternalServerError, detail: "the answer can't be written", err: err})
	}
}

// statusTags are where a command's root says its status.
var statusTags = map[wbxml.Tag]wbxml.Tag{
	wbxml.AirSyncSync: wbxml.AirSyncStatus, wbxml.FolderFolderSync: wbxml.FolderStatus, wbxml.FolderFolderCreate: wbxml.FolderStatus, wbxml.FolderFolderDelete: wbxml.FolderStatus,
	wbxml.FolderFolderUpdate: wbxml.FolderStatus, wbxml.ComposeSendMail: wbxml.ComposeStatus, wbxml.ComposeSmartForward: wbxml.ComposeStatus, wbxml.ComposeSmartReply: wbxml.ComposeStatus,
	wbxml.MoveMoveItems: wbxml.MoveStatus, wbxml.EstimateGetItemEstimate: wbxml.EstimateStatus, wbxml.MeetingMeetingResponse: wbxml.MeetingStatus, wbxml.SearchSearch: wbxml.SearchStatus,
	wbxml.SettingsSettings: wbxml.SettingsStatus, wbxml.PingPing: wbxml.PingStatus, wbxml.ItemsItemOperations: wbxml.ItemsStatus, wbxml.ProvisionProvision: wbxml.ProvisionStatus,
	wbxml.ResolveResolveRecipients: wbxml.ResolveStatus, wbxml.CertValidateCert: wbxml.CertStatus, wbxml.FindFind: wbxml.FindStatus,
}

// refuse answers by HTTP.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *fault) {
	code := f.code()
	h := w.Header()
	switch code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="Lockstep", charset="UTF-8"`)
		h.Add("WWW-Authenticate", `Bearer realm="Lockstep"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(max(f.retry, 1)))
	}
	http.Error(w, f.detail, code)
}

// log notes what went wrong: what is the device's doing at debug, what is ours as an
// error.
func (s *Server) log(r *http.Request, q *request, f *fault) {
	args := []any{"err", f.Error(), "addr", auth.AddrOf(r)}
	if q != nil {
		args = append(args, "cmd", q.query.command, "device", q.deviceID, "version", q.version)
	}
	if q != nil && q.sess != nil {
		args = append(args, "account", q.sess.Principal.Login)
	}
	if f.isOurs() && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "command failed", append([]any{"proto", "activesync"}, args...)...)
		return
	}
	s.Log.DebugContext(r.Context(), "command refused", append([]any{"proto", "activesync"}, args...)...)
}
