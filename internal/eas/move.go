package eas

import (
	"encoding/json"
	"slices"
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of MoveItems (MS-ASCMD §2.2.3.177.10): 3 is success.
const (
	moveNoSource = 1
	moveNoTarget = 2
	moveDone     = 3
	moveSame     = 4
	moveFailed   = 5
)

// moveItems moves messages (MS-ASCMD §2.2.1.12), all in one transaction. What is moved
// is told by Sync as what leaves one folder and comes to another, so a device that did
// not hear the answer, and asks again for what is no longer there, learns it all the
// same.
func (q *request) moveItems() (*answer, error) {
	var asked []*move
	for e := range q.in.All(wbxml.MoveMove) {
		asked = append(asked, &move{id: e.Get(wbxml.MoveSrcMsgId), from: e.Get(wbxml.MoveSrcFldId), to: e.Get(wbxml.MoveDstFldId)})
	}
	if len(asked) == 0 || len(asked) > maxSyncCommands {
		return nil, fail(statusContent, "no moves, or more than %d", maxSyncCommands)
	}
	unlock, err := q.lockFolders(asked)
	if err != nil {
		return nil, err
	}
	defer unlock()
	_, err = q.update(func(tx store.Tx) error { return q.moveAll(tx, asked) })
	if err != nil {
		return nil, err
	}
	root := wbxml.New(wbxml.MoveMoveItems)
	for _, m := range asked {
		e := wbxml.New(wbxml.MoveResponse, wbxml.Text(wbxml.MoveSrcMsgId, m.id), wbxml.Int(wbxml.MoveStatus, m.status))
		if m.status == moveDone {
			e.Add(wbxml.Text(wbxml.MoveDstMsgId, m.became))
		}
		root.Add(e)
	}
	return &answer{root: root}, nil
}

// move is one message to be moved, and what came of it.
type move struct {
	id, from, to string
	status       int
	became       string
}

// lockFolders keeps out who would change what is remembered of the folders.
func (q *request) lockFolders(asked []*move) (unlock func(), err error) {
	var names []string
	for _, m := range asked {
		names = append(names, m.from, m.to)
	}
	unlock, ok := q.srv.collections.lockAll(q.ctx, q.deviceKey(), names)
	if !ok {
		return nil, fail(statusRetryLater, "another command is at these folders")
	}
	return unlock, nil
}

// moved is what a device moved: ids as it knows them, the newest last.
type moved struct {
	From string `json:"f"`
	To   string `json:"t"`
	In   string `json:"i"` // the folder it went to
}

const movesCursor = "moves"

func (q *request) moveAll(tx store.Tx, asked []*move) error {
	var recent []moved
	raw, err := tx.Cursor(q.sess.Device().ID, q.cursor(movesCursor))
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if raw != nil {
		_ = json.Unmarshal(raw, &recent) // of another version: nothing is remembered
	}
	told := newTold(q, tx)
	before := len(recent)
	for i, m := range asked {
		again := slices.ContainsFunc(asked[:i], func(o *move) bool { return o.id == m.id && o.status == moveDone })
		if err := q.moveOne(tx, m, &recent, told); err != nil {
			return err
		}
		if again && m.status != moveDone {
			m.status = moveFailed // it can't go to two folders
		}
	}
	if len(recent) == before {
		return nil
	}
	if raw, err = json.Marshal(recent[max(len(recent)-maxMovesKept, 0):]); err != nil {
		return err
	}
	if err := tx.SetCursor(q.sess.Device().ID, q.cursor(movesCursor), raw); err != nil {
		return err
	}
	return told.save()
}

func (q *request) moveOne(tx store.Tx, m *move, recent *[]moved, told *told) error {
	m.status, m.became = moveNoSource, ""
	from, line, ok := parseItemID(m.id)
	if folder, isFolder := parseFolderID(m.from); !ok || !isFolder || folder != from {
		return nil
	}
	to, isFolder := parseFolderID(m.to)
	switch {
	case m.from == m.to:
		m.status = moveSame
		return nil
	case !isFolder:
		m.status = moveNoTarget
		return nil
	}
	if _, err := tx.Mailbox(to); err != nil {
		if mail.KindOf(err) != mail.NotFound {
			return err
		}
		m.status = moveNoTarget
		return nil
	}
	for _, r := range *recent {
		if r.From == m.id && r.In == m.to {
			m.status, m.became = moveDone, r.To
		}
	}
	versions, err := tx.Versions(store.VersionQuery{Mailbox: from, Lines: []mail.Lineage{line}})
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if mail.Shown(versions) == nil {
		return nil // gone, or moved before
	}
	return q.moveLine(tx, m, versions, from, to, recent, told)
}

// moveLine moves all versions of an item; the newest is what it becomes.
func (q *request) moveLine(tx store.Tx, m *move, versions []mail.Version, from, to mail.MailboxID, recent *[]moved, told *told) error {
	var uids []mail.UID
	for _, v := range versions {
		uids = append(uids, v.UID)
	}
	item := mail.Shown(versions)
	mapping, err := tx.Move(from, mail.MakeUIDSet(uids...), to)
	switch mail.KindOf(err) {
	case mail.Limit, mail.OverQuota, mail.Denied:
		if err != nil {
			m.status = moveFailed
			return nil
		}
	}
	if err != nil {
		return err
	}
	uid := wentTo(mapping, item.UID)
	var placed mail.Placement
	err = tx.Placements(store.PlacementQuery{Mailbox: to, UIDs: mail.MakeUIDSet(uid)}, func(p *mail.Placement) error { placed = *p; return nil })
	if err != nil {
		return err
	}
	m.status, m.became = moveDone, itemID(to, placed.Lineage)
	if q.showsWhatItMoves() {
		*recent = append(*recent, moved{From: m.id, To: m.became, In: m.to})
		told.did(to, mail.MakeUIDSet(uid))
	}
	return nil
}

// showsWhatItMoves reports whether a device has the message in its new folder at once
// and would show it twice if Sync told it. As only the answer tells such a device what
// the message became, what it moved lately is remembered, and a move that comes again
// is answered as it was.
func (q *request) showsWhatItMoves() bool { return strings.HasPrefix(q.deviceType, "WindowsOutlook") }

// wentTo is where a UID went.
func wentTo(m store.Mapping, uid mail.UID) mail.UID {
	n := 0
	for from := range m.From.All() {
		if from == uid {
			break
		}
		n++
	}
	for to := range m.To.All() {
		if n == 0 {
			return to
		}
		n--
	}
	return 0
}

// told collects what a device did outside of Sync, so that Sync does not tell it.
type told struct {
	*request
	tx    store.Tx
	uids  map[mail.MailboxID]mail.UIDSet
	order []mail.MailboxID
}

func newTold(q *request, tx store.Tx) *told {
	return &told{request: q, tx: tx, uids: map[mail.MailboxID]mail.UIDSet{}}
}

func (t *told) did(mb mail.MailboxID, uids mail.UIDSet) {
	if _, known := t.uids[mb]; !known {
		t.order = append(t.order, mb)
	}
	set := t.uids[mb]
	for uid := range uids.All() {
		set = with(set, uid)
	}
	t.uids[mb] = set
}

// save notes it in what is remembered of the collections, for the relationship used
// last: also where it stood before the last answer, in case that gets lost.
func (t *told) save() error {
	account, err := t.tx.Account()
	if err != nil {
		return err
	}
	for _, mb := range t.order {
		id := folderID(mb)
		state, raw, err := t.loadCollection(t.tx, id)
		if err != nil {
			return err
		}
		rel := state.last()
		if raw == nil || rel == nil {
			continue
		}
		rel.Current.View.did(account.Head, t.uids[mb])
		if rel.HasPrev {
			rel.Before.View.did(account.Head, t.uids[mb])
		}
		if err := t.saveCollection(t.tx, id, state); err != nil {
			return err
		}
	}
	return nil
}
