package eas

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of Ping (MS-ASCMD §2.2.3.177.11).
const (
	pingExpired  = 1
	pingChanged  = 2
	pingMissing  = 3
	pingSyntax   = 4
	pingInterval = 5
	pingTooMany  = 6
	pingFolders  = 7
	pingFailed   = 8
)

// pingRequest is what a device asks for, and what is remembered of it: what it leaves
// out the next time is as it was.
type pingRequest struct {
	Seconds int      `json:"seconds,omitempty"`
	Folders []string `json:"folders,omitempty"`
}

const pingCursor = "ping"

// pingFault ends a Ping with a status of its own.
type pingFault struct {
	status int
	bound  *wbxml.Element // that was passed
}

// Error implements error.
func (f *pingFault) Error() string { return "ping status " + strconv.Itoa(f.status) }

// ping waits until one of some folders changes (MS-ASCMD §2.2.1.13). It costs a look
// at each folder when it begins, and at those that changes touch.
func (q *request) ping() (*answer, error) {
	p, err := q.parsePing()
	var f *pingFault
	if errors.As(err, &f) {
		return &answer{root: wbxml.New(wbxml.PingPing, wbxml.Int(wbxml.PingStatus, f.status), f.bound)}, nil
	}
	if err != nil {
		return nil, err
	}
	return &answer{vigil: p.vigil(time.Now())}, nil
}

// parsePing reads a request and adds what it leaves out.
func (q *request) parsePing() (*pingRequest, error) {
	said, err := readPing(q.in)
	if err != nil {
		return nil, err
	}
	var raw []byte
	var hasFolders bool
	err = q.view(func(r store.Reader) error {
		folders, _, err := q.loadFolders(r)
		if err != nil {
			return err
		}
		hasFolders = len(folders.All) > 0
		raw, err = r.Cursor(q.sess.Device().ID, q.cursor(pingCursor))
		if err != nil && mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	was := pingRequest{}
	_ = json.Unmarshal(raw, &was) // nothing, or of another version: the device says it all
	p := said.over(was)
	switch {
	case p.Seconds == 0 || len(p.Folders) == 0:
		return nil, &pingFault{status: pingMissing}
	case !hasFolders:
		return nil, &pingFault{status: pingFolders}
	case p.Seconds == was.Seconds && slices.Equal(p.Folders, was.Folders):
		return p, nil
	}
	return p, q.rememberPing(p)
}

// rememberPing keeps what the device asked for.
func (q *request) rememberPing(p *pingRequest) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return q.note(func(n store.Notes) error { return n.SetCursor(q.sess.Device().ID, q.cursor(pingCursor), raw) })
}

// over is p with what it leaves out as it was.
func (p pingRequest) over(was pingRequest) *pingRequest {
	if p.Seconds == 0 {
		p.Seconds = was.Seconds
	}
	if p.Folders == nil {
		p.Folders = was.Folders
	}
	return &p
}

// readPing reads what a device says; nothing is as it was.
func readPing(in *wbxml.Element) (p pingRequest, err error) {
	if in == nil {
		return p, nil
	}
	interval, folders := in.Child(wbxml.PingHeartbeatInterval), in.Child(wbxml.PingFolders)
	if interval == nil && folders == nil {
		return p, &pingFault{status: pingSyntax}
	}
	if interval != nil {
		if p.Seconds, err = readInterval(interval.Text); err != nil {
			return p, err
		}
	}
	if folders != nil {
		p.Folders, err = readPingFolders(folders)
	}
	return p, err
}

// readInterval reads a heartbeat, in seconds (MS-ASCMD §2.2.3.88.1).
func readInterval(s string) (int, error) {
	n, err := strconv.Atoi(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, &pingFault{status: pingSyntax}
	case n < minHeartbeat:
		return 0, &pingFault{pingInterval, wbxml.Int(wbxml.PingHeartbeatInterval, minHeartbeat)}
	case n > maxHeartbeat:
		return 0, &pingFault{pingInterval, wbxml.Int(wbxml.PingHeartbeatInterval, maxHeartbeat)}
	}
	return n, nil
}

// readPingFolders reads which folders are meant; that of which class they are is
// known here.
func readPingFolders(in *wbxml.Element) ([]string, error) {
	ids := []string{}
	for f := range in.All(wbxml.PingFolder) {
		id := f.Get(wbxml.PingId)
		if id == "" || len(id) > maxFolderID {
			return nil, &pingFault{status: pingSyntax}
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if len(ids) > maxPingFolders {
			return nil, &pingFault{pingTooMany, wbxml.Int(wbxml.PingMaxFolders, maxPingFolders)}
		}
	}
	return ids, nil
}

// vigil waits for what the device wants to hear of. A folder that it never synced, or
// that is none, has nothing to say.
func (p *pingRequest) vigil(now time.Time) *vigil {
	var changed []string
	var hierarchy bool
	v := &vigil{until: now.Add(time.Duration(p.Seconds) * time.Second)}
	for _, id := range p.Folders {
		if mb, ok := parseFolderID(id); ok {
			v.mailboxes = append(v.mailboxes, mb)
		}
	}
	v.look = func(q *request, r store.Reader, news mail.News) (_ bool, err error) {
		changed, hierarchy = nil, false
		if news.Types.Has(mail.TypeNames) {
			hierarchy, err = q.foldersChanged(r)
		}
		for _, mb := range v.mailboxes {
			if err != nil || hierarchy {
				break
			}
			yes := false
			if news.Touches(mb) {
				yes, err = q.changed(r, folderID(mb))
			}
			if yes {
				changed = append(changed, folderID(mb))
			}
		}
		return hierarchy || len(changed) > 0, err
	}
	v.tell = func(q *request, found bool, err error) (*answer, error) {
		root := wbxml.New(wbxml.PingPing)
		switch {
		case err != nil:
			q.srv.Log.Error("looking for changes failed", "proto", "activesync", "account", q.sess.Principal.Login, "err", err)
			root.Add(wbxml.Int(wbxml.PingStatus, pingFailed))
		case !found:
			root.Add(wbxml.Int(wbxml.PingStatus, pingExpired))
		case hierarchy:
			root.Add(wbxml.Int(wbxml.PingStatus, pingFolders))
		default:
			list := wbxml.New(wbxml.PingFolders)
			for _, id := range changed {
				list.Add(wbxml.Text(wbxml.PingFolder, id))
			}
			root.Add(wbxml.Int(wbxml.PingStatus, pingChanged), list)
		}
		return &answer{root: root}, nil
	}
	return v
}
