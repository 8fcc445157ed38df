package easclient

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/eas/wbxml"
)

// asked is a Sync that was sent and not answered.
type asked struct {
	body  []byte
	parts []part
}

// part is one collection of it.
type part struct {
	folder string
	key    string
	window int
	edits  []*Edit
}

// Limits of a phone: how many commands it sends at once, and how often in a row it
// asks for more before it takes the server for broken.
const (
	maxEdits  = 50
	maxRounds = 1000
)

var errFolders = errors.New("the folders changed")

// Add, Change and Delete note what a person did; Sync tells the server.
func (p *Phone) Add(f *Folder, d Draft) {
	f.queue = append(f.queue, &Edit{Verb: wbxml.AirSyncAdd, ClientID: p.clientID(), Data: d.data()})
}

// clientID is a number that no other thing of this phone has.
func (p *Phone) clientID() string {
	p.clientIDs++
	return p.DeviceID + "-" + strconv.Itoa(p.clientIDs)
}

// Change notes that an item was marked.
func (p *Phone) Change(f *Folder, serverID string, m Mark) {
	f.queue = append(f.queue, &Edit{Verb: wbxml.AirSyncChange, ServerID: serverID, Data: m.data()})
}

// Rewrite notes that a draft was written on.
func (p *Phone) Rewrite(f *Folder, serverID string, d Draft) {
	f.queue = append(f.queue, &Edit{Verb: wbxml.AirSyncChange, ServerID: serverID, Data: d.data()})
}

// Delete notes that an item was deleted, to the trash or for good.
func (p *Phone) Delete(f *Folder, serverID string, final bool) {
	f.queue = append(f.queue, &Edit{Verb: wbxml.AirSyncDelete, ServerID: serverID, Final: final})
}

// Waits reports whether something done in the folder was not told to the server.
func (f *Folder) Waits() bool { return len(f.queue) > 0 }

// Deleting reports whether the item's deletion waits.
func (f *Folder) Deleting(serverID string) bool {
	return slices.ContainsFunc(f.queue, func(e *Edit) bool { return e.Verb == wbxml.AirSyncDelete && e.ServerID == serverID })
}

// Sync brings folders into step: what was done is told, and what is new taken in, until
// there is no more.
func (p *Phone) Sync(folders ...*Folder) error {
	for range maxRounds {
		if p.asked == nil {
			folders = p.still(folders)
			if len(folders) == 0 {
				return nil
			}
		}
		more, err := p.round(folders)
		switch {
		case errors.Is(err, errFolders):
			if err := p.FolderSync(); err != nil {
				return err
			}
			more = true
		case err != nil:
			return err
		}
		if !more && !slices.ContainsFunc(folders, func(f *Folder) bool { return p.Folders[f.ID] == f && (f.More || f.Waits() || f.key == "") }) {
			return nil
		}
	}
	p.Blame("after %d rounds there is still more to sync", maxRounds)
	return nil
}

// still leaves out folders that are gone.
func (p *Phone) still(folders []*Folder) (there []*Folder) {
	for _, f := range folders {
		if p.Folders[f.ID] == f {
			there = append(there, f)
		}
	}
	return there
}

// Asked reports whether a Sync was sent whose answer did not come.
func (p *Phone) Asked() bool { return p.asked != nil }

// Unsure reports whether the phone asked something of a folder, or another name for it,
// and does not know what came of it.
func (p *Phone) Unsure(f *Folder) bool {
	return slices.ContainsFunc(p.folderActs, func(a *folderAct) bool { return a.asked && a.folder.ID == f.ID }) || p.asked != nil && slices.ContainsFunc(p.asked.parts, func(s part) bool { return s.folder == f.ID }) ||
		slices.ContainsFunc(p.moves, func(m Move) bool { return m.From == f })
}

// round is one Sync. More says that another is to follow.
func (p *Phone) round(folders []*Folder) (more bool, err error) {
	again := p.asked != nil && !p.Rebuild
	if !again {
		if p.asked != nil {
			folders = p.withAsked(folders)
		}
		p.asked = p.request(folders)
	}
	a, err := p.do("Sync", p.asked.body)
	if err != nil {
		return false, err
	}
	sent := p.asked
	p.asked = nil
	return again, p.take(sent, a)
}

// withAsked adds the folders of the request that got lost.
func (p *Phone) withAsked(folders []*Folder) []*Folder {
	all := slices.Clone(folders)
	for _, part := range p.asked.parts {
		if f := p.Folders[part.folder]; f != nil && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return p.still(all)
}

func (p *Phone) request(folders []*Folder) *asked {
	out := &asked{}
	list := wbxml.New(wbxml.AirSyncCollections)
	for _, f := range folders {
		sent := part{folder: f.ID, key: f.key, window: p.Window}
		c := wbxml.New(wbxml.AirSyncCollection)
		if f.key == "" {
			c.Add(wbxml.Text(wbxml.AirSyncSyncKey, "0"), wbxml.Text(wbxml.AirSyncCollectionId, f.ID), p.options())
		} else {
			sent.edits = f.next()
			final := slices.ContainsFunc(sent.edits, func(e *Edit) bool { return e.Final })
			c.Add(wbxml.Text(wbxml.AirSyncSyncKey, f.key), wbxml.Text(wbxml.AirSyncCollectionId, f.ID), wbxml.Bool(wbxml.AirSyncDeletesAsMoves, !final), wbxml.Text(wbxml.AirSyncGetChanges, "1"))
			if p.Window > 0 {
				c.Add(wbxml.Int(wbxml.AirSyncWindowSize, p.Window))
			}
			c.Add(p.options())
			if len(sent.edits) > 0 {
				commands := wbxml.New(wbxml.AirSyncCommands)
				for _, e := range sent.edits {
					commands.Add(e.element())
				}
				c.Add(commands)
			}
		}
		out.parts = append(out.parts, sent)
		list.Add(c)
	}
	out.body = bytesOf(wbxml.New(wbxml.AirSyncSync, list))
	return out
}

// next are the edits that go with the next request: deletions for good don't go with
// those to the trash.
func (f *Folder) next() []*Edit {
	n, final, deletes := 0, false, false
	for _, e := range f.queue {
		if n == maxEdits || e.Verb == wbxml.AirSyncDelete && deletes && e.Final != final {
			break
		}
		if e.Verb == wbxml.AirSyncDelete {
			final, deletes = e.Final, true
		}
		n++
	}
	return slices.Clone(f.queue[:n])
}

// options ask for text, whole (MS-ASAIRS §2.2.2.12).
func (p *Phone) options() *wbxml.Element {
	return wbxml.New(wbxml.AirSyncOptions, wbxml.Int(wbxml.AirSyncFilterType, p.Filter), wbxml.Text(wbxml.AirSyncMIMESupport, "0"),
		wbxml.New(wbxml.BaseBodyPreference, wbxml.Text(wbxml.BaseType, "1"), wbxml.Text(wbxml.BaseTruncationSize, "100000")))
}

// take takes in the answer to a Sync.
func (p *Phone) take(sent *asked, a *Answer) error {
	if a.Root == nil {
		for _, part := range sent.parts {
			if part.key == "" || len(part.edits) > 0 {
				p.Blame("Sync of folder %s with %d commands is answered with nothing", part.folder, len(part.edits))
			}
			if f := p.Folders[part.folder]; f != nil {
				f.More, f.At = false, time.Now()
			}
		}
		return nil
	}
	switch a.Status() {
	case "", "1":
	case "3": // of the whole: every key is bad
		for _, part := range sent.parts {
			p.reset(p.Folders[part.folder])
		}
		return nil
	case "12":
		return errFolders
	case "5", "16":
		return fmt.Errorf("%w: Sync status %s", ErrLater, a.Status())
	default:
		return fmt.Errorf("Sync: %s is answered with %s", p.told(sent.body), Short(a.Root))
	}
	said := map[string]bool{}
	var err error
	for c := range a.Root.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
		id := c.Get(wbxml.AirSyncCollectionId)
		i := slices.IndexFunc(sent.parts, func(part part) bool { return part.folder == id })
		if i < 0 || said[id] {
			p.Blame("Sync tells of folder %s, which was not asked", id)
			continue
		}
		said[id] = true
		err = errors.Join(err, p.takeCollection(p.Folders[id], sent.parts[i], c))
	}
	for _, part := range sent.parts {
		if f := p.Folders[part.folder]; f != nil && !said[part.folder] {
			p.unsaid(f, part)
		}
	}
	return err
}

// unsaid is a collection that the answer leaves out: nothing is new there, or the
// window was full before it.
func (p *Phone) unsaid(f *Folder, sent part) {
	if sent.key == "" || len(sent.edits) > 0 {
		p.Blame("Sync of %s with key %q and %d commands says nothing of it", f.Name, sent.key, len(sent.edits))
	}
	f.More, f.At = false, time.Now()
}

// reset makes the phone start a folder over, with nothing.
func (p *Phone) reset(f *Folder) {
	if f != nil {
		p.Resets++
		f.key, f.Items, f.More = "", map[string]*Item{}, false
	}
}

func (p *Phone) takeCollection(f *Folder, sent part, c *wbxml.Element) error {
	if f == nil {
		return nil // it was deleted meanwhile
	}
	switch status := c.Get(wbxml.AirSyncStatus); status {
	case "1":
	case "3":
		p.reset(f)
		return nil
	case "8", "12":
		return errFolders
	case "5", "16":
		return fmt.Errorf("%w: Sync status %s of %s", ErrLater, status, f.Name)
	default:
		return fmt.Errorf("Sync: %s of %s with key %q", Short(c), f.Name, sent.key)
	}
	key := c.Get(wbxml.AirSyncSyncKey)
	if key == "" || key == "0" {
		return fmt.Errorf("Sync: %s has the key %q", f.Name, key)
	}
	if key == sent.key {
		p.Blame("Sync tells of %s and its key %s stays", f.Name, key)
	}
	p.acknowledged(f, sent, c.Child(wbxml.AirSyncResponses))
	f.key = key
	commands := c.Child(wbxml.AirSyncCommands)
	if commands != nil {
		if n := len(commands.Children); sent.window > 0 && n > sent.window {
			p.Blame("%d entries in a window of %d", n, sent.window)
		}
		for _, e := range commands.Children {
			p.takeCommand(f, e)
		}
	}
	f.At = time.Now()
	f.More = c.Has(wbxml.AirSyncMoreAvailable) || sent.key == "" // contents come with the next request
	if sent.key == "" && commands != nil {
		p.Blame("Sync with key 0 of %s tells contents", f.Name)
	}
	return nil
}

// acknowledged does to the phone's items what the server took over.
func (p *Phone) acknowledged(f *Folder, sent part, responses *wbxml.Element) {
	of := map[string]*wbxml.Element{}
	if responses != nil {
		for _, r := range responses.Children {
			of[r.Tag.Name()+r.Get(wbxml.AirSyncServerId)] = r
			if r.Tag == wbxml.AirSyncAdd {
				of[r.Get(wbxml.AirSyncClientId)] = r
			}
		}
	}
	for _, e := range sent.edits {
		r := of[e.Verb.Name()+e.ServerID]
		if e.Verb == wbxml.AirSyncAdd {
			r = of[e.ClientID]
			if r == nil {
				p.Blame("an Add to %s has no response", f.Name)
			}
		}
		status := r.Get(wbxml.AirSyncStatus)
		switch {
		case status != "" && status != "1":
			p.refused(f, e, status)
		case e.Verb == wbxml.AirSyncAdd && r != nil:
			id := r.Get(wbxml.AirSyncServerId)
			if f.Items[id] != nil {
				p.Blame("what was added to %s as %s got the id %s of another", f.Name, e.ClientID, id)
			}
			f.Items[id] = &Item{ServerID: id, Draft: true, Read: true}
			f.Items[id].take(e.Data)
		case e.Verb == wbxml.AirSyncChange && f.Items[e.ServerID] != nil:
			f.Items[e.ServerID].take(e.Data)
		case e.Verb == wbxml.AirSyncDelete:
			p.remove(f, e.ServerID)
		}
	}
	f.queue = slices.DeleteFunc(f.queue, func(e *Edit) bool { return slices.Contains(sent.edits, e) })
}

// remove takes an item away that the person deleted or moved.
func (p *Phone) remove(f *Folder, serverID string) {
	p.removed[serverID] = true
	delete(f.Items, serverID)
}

// refused is an edit that the server did not take: what it was for is gone, or there
// is no room.
func (p *Phone) refused(f *Folder, e *Edit, status string) {
	if status != "7" && status != "8" && status != "9" && status != "5" {
		p.Blame("%s of %s%s in %s has status %s", e.Verb.Name(), e.ClientID, e.ServerID, f.Name, status)
	}
}

// takeCommand takes in one thing that is new. What the phone has must not be added, and
// what it has not neither changed nor deleted.
func (p *Phone) takeCommand(f *Folder, e *wbxml.Element) {
	p.Entries++
	id := e.Get(wbxml.AirSyncServerId)
	have := f.Items[id]
	switch e.Tag {
	case wbxml.AirSyncAdd:
		if have != nil {
			p.Blame("%s in %s is added and was there", id, f.Name)
		}
		f.Items[id] = &Item{ServerID: id}
		f.Items[id].take(e.Child(wbxml.AirSyncApplicationData))
	case wbxml.AirSyncChange:
		if have == nil {
			p.Blame("%s in %s is changed and is not there", id, f.Name)
			return
		}
		was := *have
		have.take(e.Child(wbxml.AirSyncApplicationData))
		if was.same(have) && p.Needless != nil {
			p.Needless(f, id)
		}
	case wbxml.AirSyncDelete, wbxml.AirSyncSoftDelete:
		if have == nil && !p.removed[id] { // somebody else was quicker: it can be told of all the same
			p.Blame("%s: %s in %s is not there", e.Tag.Name(), id, f.Name)
		}
		delete(f.Items, id)
	default:
		p.Blame("%s is no command of a server", e.Tag.Name())
	}
}
