package eas

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of the folder commands (MS-ASCMD §2.2.3.177).
const (
	folderOK           = 1
	folderExists       = 2
	folderSpecial      = 3
	folderMissing      = 4
	folderNoParent     = 5
	folderFailed       = 6
	folderBadKey       = 9
	folderMalformed    = 10
	folderUpdateSystem = 2 // FolderUpdate says of a special folder what it says of a name that is taken
)

// The types of folders (MS-ASCMD §2.2.3.186.3).
const (
	typeGeneric = 1
	typeInbox   = 2
	typeDrafts  = 3
	typeTrash   = 4
	typeSent    = 5
	typeOutbox  = 6
	typeMail    = 12
)

const (
	rootFolder = "0"
	// outboxID is a folder that is always empty: older clients look for it when they
	// send.
	outboxID = "outbox"
	// slash stands for the delimiter in a name that a device chose.
	slash = "\u2215"
	// folderPage is how many changes of the hierarchy are read at once.
	folderPage = 1000
)

// folderType is what a device takes a mailbox for.
func folderType(role mail.Role) int {
	switch role {
	case mail.RoleInbox:
		return typeInbox
	case mail.RoleDrafts:
		return typeDrafts
	case mail.RoleTrash:
		return typeTrash
	case mail.RoleSent:
		return typeSent
	}
	return typeMail
}

// special says whether devices may not rename or delete the mailbox.
func special(role mail.Role) bool { return folderType(role) != typeMail }

// folderID is the id of a mailbox as devices know it.
func folderID(id mail.MailboxID) string { return strconv.FormatInt(int64(id), 10) }

// parseFolderID reads what folderID wrote.
func parseFolderID(s string) (mail.MailboxID, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return mail.MailboxID(n), err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

// parentID is the id of what a mailbox lies in.
func parentID(id mail.MailboxID) string { // 0 is the root to both sides
	return folderID(id)
}

// folderEntry is one folder of an answer.
func folderEntry(as wbxml.Tag, mb mail.Mailbox) *wbxml.Element {
	name := mb.Name
	if mb.Role == mail.RoleInbox {
		name = "Inbox"
	}
	return wbxml.New(as,
		wbxml.Text(wbxml.FolderServerId, folderID(mb.ID)),
		wbxml.Text(wbxml.FolderParentId, parentID(mb.Parent)),
		wbxml.Text(wbxml.FolderDisplayName, name),
		wbxml.Int(wbxml.FolderType, folderType(mb.Role)))
}

func outbox() *wbxml.Element {
	return wbxml.New(wbxml.FolderAdd, wbxml.Text(wbxml.FolderServerId, outboxID), wbxml.Text(wbxml.FolderParentId, rootFolder),
		wbxml.Text(wbxml.FolderDisplayName, "Outbox"), wbxml.Int(wbxml.FolderType, typeOutbox))
}

// folderAnswer is the answer of a folder command: a status, and if it went well the
// rest.
func (q *request) folderAnswer(status int, rest ...*wbxml.Element) *answer {
	root := wbxml.New(q.cmd.root, wbxml.Int(wbxml.FolderStatus, status))
	return &answer{root: root.Add(rest...)}
}

// folderSync tells what became of the hierarchy (MS-ASCMD §2.2.1.5). Key 0 begins a
// relationship, and leaves what the device knows of its folders' contents alone.
// It costs what changed since the key, and with key 0 the folders there are.
func (q *request) folderSync() (*answer, error) {
	for _, c := range q.in.Children {
		if c.Tag != wbxml.FolderSyncKey && c.Tag.Known() {
			return nil, fail(statusWBXML, "%v is no element of FolderSync", c.Tag)
		}
	}
	key := q.in.Child(wbxml.FolderSyncKey)
	if key == nil {
		return q.folderAnswer(folderMalformed), nil
	}
	for range maxOvertaken {
		a, err := q.folderSyncOnce(key.Text)
		if err == nil || mail.KindOf(err) != mail.Conflict {
			return a, err
		}
	}
	return nil, fail(statusRetryLater, "other commands are at the folders")
}

// folderSyncOnce is Conflict if a command of the device at another node was quicker: it
// is done again, with what that one left.
func (q *request) folderSyncOnce(key string) (*answer, error) {
	if key == "0" {
		return q.firstFolderSync()
	}
	var a *answer
	var state *folderState
	var raw []byte
	var gone []mail.MailboxID
	err := q.view(func(r store.Reader) (err error) {
		if state, raw, err = q.loadFolders(r); err != nil {
			return err
		}
		rel, before := state.find(key)
		if rel == nil {
			a, state = q.folderAnswer(folderBadKey), nil
			return nil
		}
		a, gone, err = q.folderDelta(r, rel, before)
		if neverGiven(err) {
			a, state = q.folderAnswer(folderBadKey), nil
			return nil
		}
		if gone == nil {
			state = nil // nothing new: the key stays
		}
		return err
	})
	if err != nil || state == nil {
		return a, err
	}
	return a, q.note(func(n store.Notes) error {
		for _, id := range gone {
			if err := n.SetCursor(q.sess.Device().ID, q.cursor(collectionCursor(folderID(id))), nil); err != nil {
				return err
			}
		}
		return q.saveFolders(n, state, raw)
	})
}

// neverGiven says whether an error is that of a position that history no longer
// reaches back to, or that nobody was given.
func neverGiven(err error) bool {
	return err != nil && (mail.KindOf(err) == mail.TooOld || mail.KindOf(err) == mail.Invalid)
}

// collectionCursor is under what the state of one collection is remembered.
func collectionCursor(id string) string { return "c/" + id }

func (q *request) firstFolderSync() (*answer, error) {
	var a *answer
	var state *folderState
	var raw []byte
	err := q.view(func(r store.Reader) (err error) {
		if state, raw, err = q.loadFolders(r); err != nil {
			return err
		}
		acc, err := r.Account()
		if err != nil {
			return err
		}
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		rel := state.begin(acc.Epoch.At(acc.Head))
		changes := wbxml.New(wbxml.FolderChanges, wbxml.Int(wbxml.FolderCount, len(all)+1))
		for _, mb := range parentsFirst(all) {
			changes.Add(folderEntry(wbxml.FolderAdd, mb))
		}
		a = q.folderAnswer(folderOK, wbxml.Text(wbxml.FolderSyncKey, rel.key()), changes.Add(outbox()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, q.note(func(n store.Notes) error { return q.saveFolders(n, state, raw) })
}

// parentsFirst orders mailboxes so that each comes after the one it lies in: clients
// drop what they can't place.
func parentsFirst(all []mail.Mailbox) []mail.Mailbox {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b mail.Mailbox) int {
		return strings.Count(a.Path, mail.Delimiter) - strings.Count(b.Path, mail.Delimiter)
	})
	return sorted
}

// folderDelta answers with what changed since a generation. Gone, the mailboxes that
// left, is nil when nothing changed and the key stays.
func (q *request) folderDelta(r store.Reader, rel *folderRelation, before bool) (_ *answer, gone []mail.MailboxID, err error) {
	from := rel.Current
	if before {
		from = rel.Before
	}
	d, err := folderChanges(r, from)
	if err != nil {
		return nil, nil, err
	}
	changes := wbxml.New(wbxml.FolderChanges, wbxml.Int(wbxml.FolderCount, len(d.updated)+len(d.gone)+len(d.added)))
	for _, mb := range d.updated {
		changes.Add(folderEntry(wbxml.FolderUpdate, mb))
	}
	for _, id := range d.gone {
		changes.Add(wbxml.New(wbxml.FolderDelete, wbxml.Text(wbxml.FolderServerId, folderID(id))))
	}
	for _, mb := range parentsFirst(d.added) {
		changes.Add(folderEntry(wbxml.FolderAdd, mb))
	}
	if len(changes.Children) > 1 || before {
		rel.advance(from, folderGeneration{Mark: d.to})
		gone = append([]mail.MailboxID{}, d.gone...)
	}
	return q.folderAnswer(folderOK, wbxml.Text(wbxml.FolderSyncKey, rel.key()), changes), gone, nil
}

// folderDiff is what became of the hierarchy, but for what the device itself did.
type folderDiff struct {
	added, updated []mail.Mailbox
	gone           []mail.MailboxID
	to             mail.Position
}

func folderChanges(r store.Reader, from folderGeneration) (d folderDiff, err error) {
	d.to = from.Mark
	for {
		page, err := r.Changes(store.ChangeQuery{Type: mail.TypeMailbox, From: d.to, Limit: folderPage})
		if err != nil {
			return d, err
		}
		for _, c := range page.Changes {
			if err := d.take(r, from, c); err != nil {
				return d, err
			}
		}
		d.to = page.Next
		if !page.More {
			return d, d.takeOwn(r, from)
		}
	}
}

// takeOwn finds what the device made since the mark and somebody deleted: from mark to
// now nothing became of it, but the device knows it.
func (d *folderDiff) takeOwn(r store.Reader, from folderGeneration) error {
	for _, id := range slices.Sorted(maps.Keys(from.Own)) {
		if from.Own[id] == 0 || slices.Contains(d.gone, id) {
			continue
		}
		_, err := r.Mailbox(id)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		if err != nil {
			d.gone = append(d.gone, id)
		}
	}
	return nil
}

func (d *folderDiff) take(r store.Reader, from folderGeneration, c mail.Change) error {
	id := mail.MailboxID(c.ID)
	own, isOwn := from.Own[id]
	if c.Op == mail.Destroyed {
		if !isOwn || own != 0 {
			d.gone = append(d.gone, id)
		}
		return nil
	}
	mb, err := r.Mailbox(id)
	if err != nil {
		return err
	}
	if isOwn && own == mb.PropsModSeq {
		return nil
	}
	// A device that made the mailbox itself knows it already.
	if c.Op == mail.Created && !isOwn {
		d.added = append(d.added, mb)
	} else if mb.PropsModSeq > from.Mark.Since {
		d.updated = append(d.updated, mb)
	}
	return nil
}

// foldersChanged reports whether a FolderSync would have something to say of the
// relationship used last; false if there is none.
func (q *request) foldersChanged(r store.Reader) (bool, error) {
	state, _, err := q.loadFolders(r)
	if err != nil || len(state.All) == 0 {
		return false, err
	}
	d, err := folderChanges(r, state.All[len(state.All)-1].Current)
	if neverGiven(err) {
		return true, nil
	}
	return len(d.added)+len(d.updated)+len(d.gone) > 0, err
}

// folderAct changes the hierarchy on behalf of a device: the change, and that the
// device knows of it, are one transaction. A command that comes again with the key
// from before is answered as it was, and not done again.
func (q *request) folderAct(act func(store.Tx, *folderGeneration) (status int, made mail.MailboxID, err error)) (*answer, error) {
	key := q.in.Get(wbxml.FolderSyncKey)
	if key == "" || key == "0" {
		return q.folderAnswer(folderMalformed), nil
	}
	var a *answer
	_, err := q.update(func(tx store.Tx) error {
		state, raw, err := q.loadFolders(tx)
		if err != nil {
			return err
		}
		rel, before := state.find(key)
		switch {
		case rel == nil:
			a = q.folderAnswer(folderBadKey)
			return nil
		case before && bytes.Equal(rel.Current.Asked, q.hash[:]):
			a = q.folderDone(rel)
			return nil
		}
		from := rel.Current
		if before {
			from = rel.Before
		}
		if _, err := tx.Changes(store.ChangeQuery{Type: mail.TypeMailbox, From: from.Mark, Limit: 1}); neverGiven(err) {
			a = q.folderAnswer(folderBadKey)
			return nil
		} else if err != nil {
			return err
		}
		next := folderGeneration{Mark: from.Mark, Own: maps.Clone(from.Own), Asked: q.hash[:]}
		if next.Own == nil {
			next.Own = map[mail.MailboxID]mail.ModSeq{}
		}
		status, made, err := act(tx, &next)
		if err != nil {
			return err
		}
		if status != folderOK {
			a = q.folderAnswer(status)
			return nil
		}
		next.Made = made
		rel.advance(from, next)
		a = q.folderDone(rel)
		return q.saveFolders(tx, state, raw)
	})
	return a, err
}

// folderDone is the answer to a change that was made.
func (q *request) folderDone(rel *folderRelation) *answer {
	a := q.folderAnswer(folderOK, wbxml.Text(wbxml.FolderSyncKey, rel.key()))
	if rel.Current.Made != 0 {
		a.root.Add(wbxml.Text(wbxml.FolderServerId, folderID(rel.Current.Made)))
	}
	return a
}

// folderName is how a name that a device chose is kept: the delimiter can't be in it.
func folderName(name string) string { return strings.ReplaceAll(name, mail.Delimiter, slash) }

// folderCreate makes a mailbox (MS-ASCMD §2.2.1.2).
func (q *request) folderCreate() (*answer, error) {
	parent, name, kind := q.in.Child(wbxml.FolderParentId), q.in.Get(wbxml.FolderDisplayName), q.in.Get(wbxml.FolderType)
	if parent == nil || name == "" || kind != strconv.Itoa(typeGeneric) && kind != strconv.Itoa(typeMail) {
		return q.folderAnswer(folderMalformed), nil
	}
	return q.folderAct(func(tx store.Tx, g *folderGeneration) (int, mail.MailboxID, error) {
		in, ok := parentOf(tx, parent.Text)
		if !ok {
			return folderNoParent, 0, nil
		}
		mb, err := tx.CreateMailbox(mail.MailboxImage{Name: folderName(name), Parent: in})
		if status := folderStatus(err); status != folderOK {
			return status, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if err := tx.Subscribe(mb.Path); err != nil {
			return 0, 0, err
		}
		g.Own[mb.ID] = ownChange(mb, name)
		return folderOK, mb.ID, nil
	})
}

// ownChange is what a generation remembers of a mailbox the device named: when the
// name is kept in another form, the device is told of it like of somebody else's
// change.
func ownChange(mb mail.Mailbox, name string) mail.ModSeq {
	if mb.Name == name {
		return mb.PropsModSeq
	}
	return mb.PropsModSeq - 1
}

// parentOf finds the mailbox to put one into; 0 is the root.
func parentOf(r store.Reader, id string) (mail.MailboxID, bool) {
	if id == rootFolder {
		return 0, true
	}
	mb, ok := parseFolderID(id)
	if !ok {
		return 0, false
	}
	_, err := r.Mailbox(mb)
	return mb, err == nil
}

// folderStatus is what an error of the store's verbs means to a device; folderOK if
// it is none of the device's doing.
func folderStatus(err error) int {
	if err == nil {
		return folderOK
	}
	switch mail.KindOf(err) {
	case mail.Exists:
		return folderExists
	case mail.NotFound:
		return folderMissing
	case mail.Invalid:
		return folderMalformed
	case mail.Limit, mail.Denied, mail.OverQuota:
		return folderFailed
	}
	return folderOK
}

// folderUpdate renames a mailbox or puts it elsewhere (MS-ASCMD §2.2.1.6).
func (q *request) folderUpdate() (*answer, error) {
	id, parent, name := q.in.Get(wbxml.FolderServerId), q.in.Child(wbxml.FolderParentId), q.in.Get(wbxml.FolderDisplayName)
	if id == "" || parent == nil || name == "" {
		return q.folderAnswer(folderMalformed), nil
	}
	return q.folderAct(func(tx store.Tx, g *folderGeneration) (int, mail.MailboxID, error) {
		if id == outboxID {
			return folderUpdateSystem, 0, nil
		}
		mb, ok := parseFolderID(id)
		if !ok {
			return folderMissing, 0, nil
		}
		was, err := tx.Mailbox(mb)
		if err != nil {
			return folderStatus(err), 0, nil
		}
		if special(was.Role) {
			return folderUpdateSystem, 0, nil
		}
		in, ok := parentOf(tx, parent.Text)
		if !ok {
			return folderNoParent, 0, nil
		}
		untold := was.PropsModSeq > g.Mark.Since && g.Own[mb] != was.PropsModSeq
		image := was.Image()
		image.Name, image.Parent = folderName(name), in
		err = tx.SetMailbox(mb, image)
		if status := folderStatus(err); status != folderOK {
			return status, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
		now, err := tx.Mailbox(mb)
		if err == nil && !untold {
			g.Own[mb] = ownChange(now, name)
		}
		return folderOK, 0, err
	})
}

// folderDelete removes a mailbox with what lies in and below it (MS-ASCMD §2.2.1.3).
func (q *request) folderDelete() (*answer, error) {
	id := q.in.Get(wbxml.FolderServerId)
	if id == "" {
		return q.folderAnswer(folderMalformed), nil
	}
	return q.folderAct(func(tx store.Tx, g *folderGeneration) (int, mail.MailboxID, error) {
		if id == outboxID {
			return folderSpecial, 0, nil
		}
		mb, ok := parseFolderID(id)
		if !ok {
			return folderMissing, 0, nil
		}
		all, err := tx.Mailboxes()
		if err != nil {
			return 0, 0, err
		}
		doomed := below(all, mb)
		if len(doomed) == 0 {
			return folderMissing, 0, nil
		}
		for _, d := range doomed {
			if special(d.Role) {
				return folderSpecial, 0, nil
			}
		}
		for _, d := range slices.Backward(doomed) {
			err := tx.DeleteMailbox(d.ID)
			if status := folderStatus(err); status != folderOK {
				return 0, 0, fail(statusRetryLater, "%s", mail.DetailOf(err)) // nothing is done by halves
			}
			if err != nil {
				return 0, 0, err
			}
			g.Own[d.ID] = 0
		}
		return folderOK, 0, nil
	})
}

// below lists a mailbox and all that lie below it, parents first.
func below(all []mail.Mailbox, id mail.MailboxID) (found []mail.Mailbox) {
	in := map[mail.MailboxID]bool{id: true}
	for _, mb := range parentsFirst(all) {
		if mb.ID == id || in[mb.Parent] {
			in[mb.ID] = true
			found = append(found, mb)
		}
	}
	return found
}
