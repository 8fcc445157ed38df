package eas

import (
	"bytes"
	"slices"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// The commands of a device, as results name them.
const (
	verbAdd    = "add"
	verbChange = "change"
	verbDelete = "delete"
	verbFetch  = "fetch"
)

// act does what the device asks for, if it was not done already. The change and that
// it was made are one transaction, so a request that comes again finds its answer.
func (x *exchange) act() error {
	if len(x.c.commands) == 0 || x.acted {
		return nil
	}
	if p := x.rel.Pending; p != nil && p.N == x.base.N {
		if x.inherit(p.Done, bytes.Equal(p.Asked, x.hash[:])); x.acted {
			return nil
		}
	}
	prepared, err := x.prepare()
	if err != nil {
		return err
	}
	var raw []byte
	_, err = x.update(func(tx store.Tx) (err error) {
		did := acting{exchange: x, tx: tx}
		if err := did.all(prepared); err != nil {
			return err
		}
		x.rel.Pending = &pending{N: x.base.N, Asked: bytes.Clone(x.hash[:]), Done: did.done()}
		raw, err = x.swap(tx)
		return err
	})
	if err != nil {
		return err
	}
	x.raw = raw
	x.inherit(x.rel.Pending.Done, true)
	return nil
}

// A deed is one command of a device, read.
type deed struct {
	verb     string
	clientID string
	serverID string
	line     mail.Lineage // 0 is none of this collection
	data     *wbxml.Element
	status   int // if it can't be done
	draft    *draft
}

// prepare reads the commands, and does what takes time and changes nothing.
func (x *exchange) prepare() ([]*deed, error) {
	var all []*deed
	for _, e := range x.c.commands {
		d := &deed{clientID: e.Get(wbxml.AirSyncClientId), serverID: e.Get(wbxml.AirSyncServerId), data: e.Child(wbxml.AirSyncApplicationData), status: syncOK}
		switch e.Tag {
		case wbxml.AirSyncAdd:
			d.verb = verbAdd
			if d.clientID == "" || len(d.clientID) > maxIDBytes || d.data == nil {
				return nil, badSync()
			}
		case wbxml.AirSyncChange:
			d.verb = verbChange
			if d.data == nil {
				return nil, badSync()
			}
		case wbxml.AirSyncDelete:
			d.verb = verbDelete
		case wbxml.AirSyncFetch:
			d.verb = verbFetch
		default:
			return nil, badSync()
		}
		if d.verb != verbAdd && (d.serverID == "" || len(d.serverID) > maxIDBytes) {
			return nil, badSync()
		}
		if mb, line, ok := parseItemID(d.serverID); ok && mb == x.mailbox.ID {
			d.line = line
		}
		all = append(all, d)
		if err := x.prepareDraft(d); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// prepareDraft makes the message of a deed that writes one, unless it was made by a
// request whose answer the device did not hear.
func (x *exchange) prepareDraft(d *deed) error {
	if !x.takesDrafts() || d.data == nil || d.verb != verbAdd && (d.verb != verbChange || d.line == 0 || !writes(d.data)) {
		return nil
	}
	if _, again := x.made(d.clientID); again && d.verb == verbAdd {
		return nil
	}
	return x.draft(d)
}

// acting is the commands of one request in their transaction. A transaction may run
// again, so all it learns is here.
type acting struct {
	*exchange
	tx       store.Tx
	versions map[mail.Lineage][]mail.Version
	results  []result
	own      mail.UIDSet // in the mailbox
	gone     mail.UIDSet // what left before the device deleted it
}

func (a *acting) done() done {
	d := done{Results: a.results, Known: a.exchange.done.Known, Own: slices.Clip(a.exchange.done.Own), Gone: union(a.exchange.done.Gone, a.gone)}
	if account, err := a.tx.Account(); err == nil && len(a.own) > 0 {
		d.Own = append(d.Own, own{account.Head, a.own})
	}
	return d
}

func (a *acting) all(deeds []*deed) error {
	var lines []mail.Lineage
	for _, d := range deeds {
		if d.line != 0 {
			lines = append(lines, d.line)
		}
	}
	q := store.VersionQuery{Mailbox: a.mailbox.ID, Lines: lines, LeftAfter: a.base.View.Log.Since}
	all, err := a.tx.Versions(q)
	if mail.KindOf(err) == mail.TooOld && err != nil {
		q.LeftAfter = 0
		all, err = a.tx.Versions(q)
	}
	if err != nil && a.mailbox.ID != 0 {
		return err
	}
	a.versions = map[mail.Lineage][]mail.Version{}
	for _, v := range all {
		a.versions[v.Lineage.Line()] = append(a.versions[v.Lineage.Line()], v)
	}
	for _, d := range deeds {
		if err := a.one(d); err != nil {
			return err
		}
	}
	return nil
}

func (a *acting) one(d *deed) error {
	status, err := d.status, error(nil)
	switch d.verb {
	case verbAdd:
		return a.add(d)
	case verbChange:
		if status == syncOK {
			status, err = a.change(d)
		}
	case verbDelete:
		status, err = a.remove(d)
	case verbFetch:
		if mail.Shown(a.versions[d.line]) == nil {
			status = syncNotFound
		}
	}
	if status = itemStatus(status, err); status == 0 {
		return err
	}
	if status != syncOK || d.verb == verbFetch {
		a.results = append(a.results, result{Verb: d.verb, ServerID: d.serverID, Status: status})
	}
	return nil
}

// itemStatus is what a device is told of an item that something went wrong with; 0
// means that the whole command failed.
func itemStatus(status int, err error) int {
	if err == nil {
		return status
	}
	switch mail.KindOf(err) {
	case mail.NotFound:
		return syncNotFound
	case mail.OverQuota:
		return syncFull
	case mail.Invalid, mail.Limit, mail.Denied:
		return syncConversion
	}
	return 0
}

// add takes in what the device made: a draft, from 16.0 on. Other mail is not made so.
func (a *acting) add(d *deed) error {
	if made, again := a.made(d.clientID); again {
		a.results = append(a.results, made)
		return nil
	}
	done := result{Verb: verbAdd, ClientID: d.clientID, Status: syncConversion}
	if a.takesDrafts() {
		var err error
		if done, err = a.addDraft(d); err != nil {
			return err
		}
	}
	a.results = append(a.results, done)
	return nil
}

// change changes what a device may change of a message: whether it is read, its flag,
// its categories.
func (a *acting) change(d *deed) (int, error) {
	if d.draft != nil {
		return a.changeDraft(d)
	}
	item := a.shown(d.line)
	if item == nil {
		return syncNotFound, nil
	}
	change, notes, ok := parseMailChange(d.data, item.Flags)
	if !ok {
		return syncConversion, nil
	}
	untold := a.isUntold(item)
	set := mail.MakeUIDSet(item.UID)
	r, err := a.tx.StoreFlags(a.mailbox.ID, set, change, nil)
	if err != nil {
		return 0, err
	}
	for i := range a.versions[d.line] { // the next command for the item finds it so
		if v := &a.versions[d.line][i]; v.UID == item.UID {
			v.Flags = change.Apply(v.Flags)
		}
	}
	changed := len(r.Changed) > 0
	item.Flags = change.Apply(item.Flags) // for the next command of the same request
	if len(notes) > 0 {
		noted, err := a.tx.Annotate(a.mailbox.ID, set, notes, nil)
		if err != nil {
			return 0, err
		}
		changed = changed || len(noted.Changed) > 0
	}
	if changed && !untold {
		a.own.Add(item.UID)
	}
	return syncOK, nil
}

// shown is the version of an item that the device shows: the newest of those in its
// window, else the newest.
func (a *acting) shown(line mail.Lineage) *mail.Version {
	var inside []mail.Version
	for _, v := range a.versions[line] {
		if a.base.View.inWindow(v.Date) && !v.Flags.Has(mail.Deleted) {
			inside = append(inside, v)
		}
	}
	if v := mail.Shown(inside); v != nil {
		return v
	}
	return mail.Shown(a.versions[line])
}

// isUntold reports whether somebody else changed a version and the device was not told
// yet: it is then told what became of both.
func (a *acting) isUntold(v *mail.Version) bool {
	at := &a.base.View
	switch {
	case at.isOwn(v.UID, v.ModSeq), a.own.Contains(v.UID):
		return false
	case !at.holds(v): // it speaks of what it had before it started over
		return true
	case v.ModSeq <= at.Log.Since:
		return false
	case v.Created > at.Log.Since: // what came in the delta under way is told as it is
		return v.ModSeq > at.Log.Target || !at.told(v)
	}
	return at.Log.Phase <= mail.Updated || v.ModSeq > at.Log.Target
}

// remove deletes an item, all its versions: to the trash, or for good. What is gone
// already is deleted.
func (a *acting) remove(d *deed) (int, error) {
	var uids []mail.UID
	for _, v := range a.versions[d.line] {
		switch {
		case v.Left == 0:
			uids = append(uids, v.UID)
		case a.base.View.holds(&v):
			a.gone = with(a.gone, v.UID)
		}
	}
	if d.line == 0 {
		return syncNotFound, nil
	}
	if len(uids) == 0 {
		return syncOK, nil
	}
	slices.Sort(uids)
	set := mail.MakeUIDSet(uids...)
	if err := a.discard(set); err != nil {
		return 0, err
	}
	delete(a.versions, d.line)
	for _, uid := range uids {
		a.own.Add(uid)
	}
	return syncOK, nil
}

func (a *acting) discard(set mail.UIDSet) error {
	if a.c.asMoves && a.mailbox.Role != mail.RoleTrash {
		if trash, ok, err := roleMailbox(a.tx, mail.RoleTrash); err != nil || ok {
			if err == nil {
				_, err = a.tx.Move(a.mailbox.ID, set, trash)
			}
			return err
		}
	}
	_, err := a.tx.Expunge(a.mailbox.ID, set, false)
	return err
}

// union puts sets together.
func union(sets ...mail.UIDSet) (all mail.UIDSet) {
	for _, s := range sets {
		for _, r := range s {
			all.AddRange(r.First, r.Last)
		}
	}
	return all
}

// roleMailbox finds the mailbox of a role.
func roleMailbox(r store.Reader, role mail.Role) (mail.MailboxID, bool, error) {
	all, err := r.Mailboxes()
	for _, mb := range all {
		if mb.Role == role {
			return mb.ID, true, nil
		}
	}
	return 0, false, err
}

// responses are the answers to the commands, in their order.
func (x *exchange) responses() ([]*wbxml.Element, error) {
	var all []*wbxml.Element
	for _, r := range x.done.Results {
		switch r.Verb {
		case verbAdd:
			e := wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, r.ClientID))
			if r.ServerID != "" {
				e.Add(wbxml.Text(wbxml.AirSyncServerId, r.ServerID))
			}
			data, err := x.attached(r)
			if err != nil {
				return nil, err
			}
			all = append(all, e.Add(wbxml.Int(wbxml.AirSyncStatus, r.Status), data))
		case verbFetch:
			e, err := x.fetched(r)
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		default:
			tag := wbxml.AirSyncChange
			if r.Verb == verbDelete {
				tag = wbxml.AirSyncDelete
			}
			all = append(all, wbxml.New(tag, wbxml.Text(wbxml.AirSyncServerId, r.ServerID), wbxml.Int(wbxml.AirSyncStatus, r.Status)))
		}
	}
	return all, nil
}

// fetched is the answer to a Fetch.
func (x *exchange) fetched(r result) (*wbxml.Element, error) {
	e := wbxml.New(wbxml.AirSyncFetch, wbxml.Text(wbxml.AirSyncServerId, r.ServerID))
	var it *mailItem
	if _, line, ok := parseItemID(r.ServerID); ok && r.Status == syncOK {
		var err error
		if it, err = x.itemOf(line); err != nil {
			return nil, err
		}
	}
	if it == nil {
		return e.Add(wbxml.Int(wbxml.AirSyncStatus, syncNotFound)), nil
	}
	data, err := x.itemData(it)
	if err != nil {
		return nil, err
	}
	return e.Add(wbxml.Int(wbxml.AirSyncStatus, syncOK), data), nil
}

// itemOf reads what is now the item of a line; nil if there is none.
func (x *exchange) itemOf(line mail.Lineage) (it *mailItem, err error) {
	err = x.view(func(r store.Reader) error {
		versions, err := r.Versions(store.VersionQuery{Mailbox: x.mailbox.ID, Lines: []mail.Lineage{line}})
		v := mail.Shown(versions)
		if err != nil || v == nil {
			return err
		}
		items, err := x.readItems(r, x.mailbox, mail.MakeUIDSet(v.UID))
		it = items[v.UID]
		return err
	})
	return it, err
}
