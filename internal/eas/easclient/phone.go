package easclient

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/eas/wbxml"
)

// Phone is a device with a store of its own.
type Phone struct {
	*Client
	Window int // items in an answer; 0 is the server's own
	Filter int // of all folders (MS-ASCMD §2.2.3.68.2)
	// Rebuild makes a phone that missed an answer ask anew, with the same key and all
	// that was done since; else it sends the very same request again.
	Rebuild bool
	Blame   func(format string, args ...any)

	Folders map[string]*Folder // by ServerId

	// Served are the commands that the server has; nil before it was asked.
	Served map[string]bool

	removed      map[string]bool // items that the person deleted or moved
	pinged       map[string]bool // by the last Ping
	hierarchyKey string          // "" before the first FolderSync
	asked        *asked          // a Sync whose answer did not come
	clientIDs    int
	outbox       []*Letter
	moves        []Move
	folderActs   []*folderAct

	// Needless, if set, hears of a Change that says nothing new.
	Needless func(f *Folder, serverID string)

	// Resets counts how often the server made it start a folder over.
	Resets int
	// Entries counts what the server told of folders' contents.
	Entries int
	// Provisions counts how often it was provisioned.
	Provisions int
}

// Folder is one folder as the phone has it.
type Folder struct {
	ID, Parent, Name string
	Type             int
	Items            map[string]*Item // by ServerId
	// More says that not all has come yet.
	More bool
	// At is when an answer last said how the folder is.
	At time.Time

	key   string // "" before the first Sync
	queue []*Edit
}

// Known reports whether the phone has begun to sync the folder.
func (f *Folder) Known() bool { return f.key != "" }

// New makes a phone that knows nothing.
func New(c *Client) *Phone {
	return &Phone{Client: c, Folders: map[string]*Folder{}, removed: map[string]bool{}, Blame: func(string, ...any) {}}
}

// Lose forgets everything, as a phone that was set up anew.
func (p *Phone) Lose() {
	p.Folders, p.hierarchyKey, p.asked, p.PolicyKey = map[string]*Folder{}, "", nil, ""
	p.outbox, p.moves, p.folderActs, p.Served = nil, nil, nil, nil
}

// do sends a command, and is provisioned first if the server wants that.
func (p *Phone) do(command string, body []byte) (*Answer, error) {
	for range 3 {
		a, err := p.Do(command, body)
		if err != nil {
			return nil, err
		}
		switch s := a.Status(); {
		case a.Code == 449, s == "142", s == "143", s == "144":
			if err := p.Provision(); err != nil {
				return nil, err
			}
		case a.Code == http.StatusServiceUnavailable, s == "110", s == "111":
			return nil, fmt.Errorf("%w: %s: HTTP %d, status %s", ErrLater, command, a.Code, s)
		case a.Code != http.StatusOK:
			return nil, fmt.Errorf("%s: HTTP %d", command, a.Code)
		default:
			return a, nil
		}
	}
	return nil, fmt.Errorf("%s: the server wants the phone provisioned again and again", command)
}

const policyType = "MS-EAS-Provisioning-WBXML"

// Provision takes the server's policy (MS-ASPROV §3.1.5).
func (p *Phone) Provision() error {
	p.Provisions++
	p.PolicyKey = "0"
	about := wbxml.New(wbxml.SettingsDeviceInformation, wbxml.New(wbxml.SettingsSet, wbxml.Text(wbxml.SettingsModel, p.DeviceType)))
	key, err := p.policy(wbxml.New(wbxml.ProvisionPolicy, wbxml.Text(wbxml.ProvisionPolicyType, policyType)), about)
	if err != nil {
		return err
	}
	p.PolicyKey = key
	key, err = p.policy(wbxml.New(wbxml.ProvisionPolicy, wbxml.Text(wbxml.ProvisionPolicyType, policyType),
		wbxml.Text(wbxml.ProvisionPolicyKey, key), wbxml.Text(wbxml.ProvisionStatus, "1")), nil)
	if err == nil {
		p.PolicyKey = key
	}
	return err
}

// policy is one phase; it returns the key.
func (p *Phone) policy(policy, about *wbxml.Element) (string, error) {
	a, err := p.Do("Provision", bytesOf(wbxml.New(wbxml.ProvisionProvision, about, wbxml.New(wbxml.ProvisionPolicies, policy))))
	if err != nil {
		return "", err
	}
	if a.Code == http.StatusServiceUnavailable || a.Status() == "111" {
		return "", fmt.Errorf("%w: Provision", ErrLater)
	}
	if a.Code != http.StatusOK || a.Status() != "1" {
		return "", fmt.Errorf("Provision: HTTP %d: %s", a.Code, Short(a.Root))
	}
	said := a.Root.Child(wbxml.ProvisionPolicies).Child(wbxml.ProvisionPolicy)
	if said.Get(wbxml.ProvisionStatus) != "1" || said.Get(wbxml.ProvisionPolicyKey) == "" {
		return "", fmt.Errorf("Provision: %s", Short(a.Root))
	}
	return said.Get(wbxml.ProvisionPolicyKey), nil
}

// FolderSync learns which folders there are (MS-ASCMD §2.2.1.5).
func (p *Phone) FolderSync() error {
	for range 3 {
		key := p.hierarchyKey
		if key == "" {
			key = "0"
		}
		a, err := p.do("FolderSync", bytesOf(wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, key))))
		if err != nil {
			return err
		}
		switch a.Status() {
		case "1":
			p.takeFolders(a.Root, key == "0")
			return nil
		case "9":
			p.hierarchyKey = ""
		case "6":
			return fmt.Errorf("%w: FolderSync", ErrLater)
		default:
			return fmt.Errorf("FolderSync: %s", Short(a.Root))
		}
	}
	return fmt.Errorf("FolderSync: no key is good")
}

func (p *Phone) takeFolders(root *wbxml.Element, first bool) {
	p.hierarchyKey = root.Get(wbxml.FolderSyncKey)
	changes := root.Child(wbxml.FolderChanges)
	if n, _ := strconv.Atoi(changes.Get(wbxml.FolderCount)); n != len(changes.Children)-1 {
		p.Blame("FolderSync counts %d, and tells %d", n, len(changes.Children)-1)
	}
	there := map[string]bool{}
	for _, e := range changes.Children {
		id := e.Get(wbxml.FolderServerId)
		there[id] = true
		switch e.Tag {
		case wbxml.FolderAdd:
			if !first && p.Folders[id] != nil {
				p.Blame("folder %s is added and was there", id)
			}
			p.takeFolder(e)
		case wbxml.FolderUpdate:
			if p.Folders[id] == nil {
				p.Blame("folder %s is updated and was not there", id)
			}
			p.takeFolder(e)
		case wbxml.FolderDelete:
			if p.Folders[id] == nil {
				p.Blame("folder %s is deleted and was not there", id)
			}
			delete(p.Folders, id)
		}
	}
	for id := range p.Folders {
		if first && !there[id] {
			delete(p.Folders, id)
		}
	}
}

// takeFolder takes in how a folder is; what is in it stays.
func (p *Phone) takeFolder(e *wbxml.Element) {
	id := e.Get(wbxml.FolderServerId)
	f := p.Folders[id]
	if f == nil {
		f = &Folder{ID: id, Items: map[string]*Item{}}
		p.Folders[id] = f
	}
	f.Parent, f.Name = e.Get(wbxml.FolderParentId), e.Get(wbxml.FolderDisplayName)
	f.Type, _ = strconv.Atoi(e.Get(wbxml.FolderType))
	if parent := f.Parent; parent != "0" && p.Folders[parent] == nil {
		p.Blame("folder %s (%s) comes before the one it lies in", id, f.Name)
	}
}

// The types of folders that hold mail (MS-ASCMD §2.2.3.186.3).
const (
	Inbox  = 2
	Drafts = 3
	Trash  = 4
	Sent   = 5
	Outbox = 6
	Other  = 12
)

// Of returns the folder of a type, nil if there is none.
func (p *Phone) Of(kind int) *Folder {
	for _, f := range p.Sorted() {
		if f.Type == kind {
			return f
		}
	}
	return nil
}

// Sorted are the folders of mail in order of their ids, those that are synced.
func (p *Phone) Sorted() []*Folder {
	var all []*Folder
	for _, f := range p.Folders {
		if f.Type != Outbox && (f.Type != Drafts || p.hasDrafts()) {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *Folder) int {
		x, _ := strconv.Atoi(a.ID)
		y, _ := strconv.Atoi(b.ID)
		return x - y
	})
	return all
}

// hasDrafts reports whether drafts are synced, as they are from 16.0 on.
func (p *Phone) hasDrafts() bool { return p.Version >= "16" }

// folderAct is a change of the hierarchy that is not answered yet.
type folderAct struct {
	command string
	folder  *Folder // as it is to be
	asked   bool
}

// CreateFolder, RenameFolder and DeleteFolder change the hierarchy; what can't be done
// now is done by Send.
func (p *Phone) CreateFolder(name string) {
	p.folderActs = append(p.folderActs, &folderAct{command: "FolderCreate", folder: &Folder{Parent: "0", Name: name, Type: Other, Items: map[string]*Item{}}})
}

// RenameFolder gives a folder another name.
func (p *Phone) RenameFolder(f *Folder, name string) {
	p.folderActs = append(p.folderActs, &folderAct{command: "FolderUpdate", folder: &Folder{ID: f.ID, Parent: f.Parent, Name: name}})
}

// DeleteFolder deletes a folder.
func (p *Phone) DeleteFolder(f *Folder) {
	p.folderActs = append(p.folderActs, &folderAct{command: "FolderDelete", folder: &Folder{ID: f.ID}})
}

// Arrange does what was done to folders. What got no answer is asked again, as it was
// if the phone learned nothing else meanwhile.
func (p *Phone) Arrange() error {
	for len(p.folderActs) > 0 {
		act := p.folderActs[0]
		if p.hierarchyKey == "" {
			if err := p.FolderSync(); err != nil {
				return err
			}
		}
		act.asked = true
		a, err := p.do(act.command, bytesOf(act.element(p.hierarchyKey)))
		if err != nil {
			return err
		}
		switch a.Status() {
		case "1":
			p.arranged(act, a.Root)
			p.folderActs = p.folderActs[1:]
		case "9":
			p.hierarchyKey = ""
		case "6":
			return fmt.Errorf("%w: %s", ErrLater, act.command)
		default: // the name is taken, or the folder is gone
			p.folderActs = p.folderActs[1:]
		}
	}
	return nil
}

func (a *folderAct) element(key string) *wbxml.Element {
	k := wbxml.Text(wbxml.FolderSyncKey, key)
	f := a.folder
	switch a.command {
	case "FolderCreate":
		return wbxml.New(wbxml.FolderFolderCreate, k, wbxml.Text(wbxml.FolderParentId, f.Parent), wbxml.Text(wbxml.FolderDisplayName, f.Name), wbxml.Int(wbxml.FolderType, f.Type))
	case "FolderUpdate":
		return wbxml.New(wbxml.FolderFolderUpdate, k, wbxml.Text(wbxml.FolderServerId, f.ID), wbxml.Text(wbxml.FolderParentId, f.Parent), wbxml.Text(wbxml.FolderDisplayName, f.Name))
	}
	return wbxml.New(wbxml.FolderFolderDelete, k, wbxml.Text(wbxml.FolderServerId, f.ID))
}

// arranged does to the phone's folders what was acknowledged.
func (p *Phone) arranged(act *folderAct, root *wbxml.Element) {
	p.hierarchyKey = root.Get(wbxml.FolderSyncKey)
	f := act.folder
	switch act.command {
	case "FolderCreate":
		f.ID = root.Get(wbxml.FolderServerId)
		if p.Folders[f.ID] != nil {
			p.Blame("a new folder has the id %s of another", f.ID)
		}
		p.Folders[f.ID] = f
	case "FolderUpdate":
		if is := p.Folders[f.ID]; is != nil {
			is.Name = f.Name
		}
	case "FolderDelete":
		delete(p.Folders, f.ID)
	}
}
