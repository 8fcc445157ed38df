package easclient

import (
	"fmt"

	"lockstep/internal/eas/wbxml"
)

// Ping waits for changes to folders (MS-ASCMD §2.2.1.13). The answer is read by Heard.
func (p *Phone) Ping(seconds int, folders ...*Folder) (*Call, error) {
	p.pinged = map[string]bool{}
	list := wbxml.New(wbxml.PingFolders)
	for _, f := range folders {
		p.pinged[f.ID] = true
		list.Add(wbxml.New(wbxml.PingFolder, wbxml.Text(wbxml.PingId, f.ID), wbxml.Text(wbxml.PingClass, "Email")))
	}
	return p.Start("Ping", bytesOf(wbxml.New(wbxml.PingPing, wbxml.Int(wbxml.PingHeartbeatInterval, seconds), list)))
}

// News is what a Ping was answered.
type News struct {
	Folders   []*Folder // that changed
	Hierarchy bool      // the folders themselves did
}

// Heard reads the answer to a Ping.
func (p *Phone) Heard(k *Call) (News, error) {
	a, err := k.Answer()
	if err != nil {
		return News{}, err
	}
	switch s := a.Status(); s {
	case "1":
		return News{}, nil
	case "2":
		var n News
		for e := range a.Root.Child(wbxml.PingFolders).All(wbxml.PingFolder) {
			if !p.pinged[e.Text] {
				p.Blame("Ping tells of folder %s, which was not asked", e.Text)
			}
			if f := p.Folders[e.Text]; f != nil { // else it was deleted meanwhile
				n.Folders = append(n.Folders, f)
			}
		}
		if len(a.Root.Child(wbxml.PingFolders).Children) == 0 {
			p.Blame("Ping says that something changed, and not where")
		}
		return n, nil
	case "7":
		return News{Hierarchy: true}, nil
	case "142", "143", "144":
		return News{}, p.Provision()
	case "8", "110", "111":
		return News{}, fmt.Errorf("%w: Ping status %s", ErrLater, s)
	default:
		if a.Code == 503 {
			return News{}, fmt.Errorf("%w: Ping", ErrLater)
		}
		return News{}, fmt.Errorf("Ping: HTTP %d, %s", a.Code, Short(a.Root))
	}
}
