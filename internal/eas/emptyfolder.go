package eas

import (
	"slices"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// recipientCacheID is the folder of recently used recipients as Exchange names it. There
// is none here, and nobody may empty it there (MS-ASCMD §2.2.1.10).
const recipientCacheID = "RI"

// emptyFolder serves an EmptyFolderContents: everything in the folder is deleted for
// good, and the folders in it if that is asked for. In a large folder it is cut between
// messages, unless the account's guard holds floods back: then it is all or nothing.
func (q *request) emptyFolder(op *wbxml.Element) (*wbxml.Element, error) {
	id, ok := once(op, wbxml.AirSyncCollectionId)
	status := itemsOK
	switch {
	case !ok:
		status = itemsProtocol
	case id == recipientCacheID:
		status = itemsDenied
	case id != outboxID:
		if err := q.empty(id, op.Child(wbxml.ItemsOptions).Has(wbxml.ItemsDeleteSubFolders)); err != nil {
			if status, err = q.itemsStatus(err); err != nil {
				return nil, err
			}
		}
	}
	return wbxml.New(wbxml.ItemsEmptyFolderContents, wbxml.Int(wbxml.ItemsStatus, status), wbxml.Text(wbxml.AirSyncCollectionId, id)), nil
}

func (q *request) empty(folder string, below bool) error {
	id, ok := parseFolderID(folder)
	if !ok {
		return errNoItem
	}
	chunk := emptyChunk
	var within []mail.MailboxID
	err := q.view(func(r store.Reader) error {
		held, err := r.Preference(mail.Guard)
		if err != nil {
			return err
		}
		if held == mail.GuardHold {
			chunk = 0
		}
		if _, err := r.Mailbox(id); err != nil || !below {
			return err
		}
		within, err = mailboxesBelow(r, id)
		return err
	})
	if err != nil {
		return err
	}
	act := newAct(q)
	for more := true; more && err == nil; {
		err = act.update(func(tx store.Tx) error {
			more, err = expungeSome(tx, id, chunk)
			return err
		})
	}
	if err == nil && len(within) > 0 {
		err = act.update(func(tx store.Tx) error {
			for _, mb := range within {
				if err := tx.DeleteMailbox(mb); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

// expungeSome expunges up to n messages, 0 being all, and says whether there may be
// more.
func expungeSome(tx store.Tx, id mail.MailboxID, n int) (more bool, err error) {
	uids := mail.AllUIDs
	if n > 0 {
		uids = nil
		err := tx.Placements(store.PlacementQuery{Mailbox: id, Limit: n}, func(p *mail.Placement) error {
			uids.Add(p.UID)
			return nil
		})
		if err != nil || len(uids) == 0 {
			return false, err
		}
		more = uids.Count() == uint64(n)
	}
	_, err = tx.Expunge(id, uids, false)
	return more, err
}

// mailboxesBelow lists what lies below a mailbox, the deepest first.
func mailboxesBelow(r store.Reader, id mail.MailboxID) ([]mail.MailboxID, error) {
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	within := map[mail.MailboxID]bool{id: true}
	var list []mail.MailboxID
	for grew := true; grew; {
		grew = false
		for _, mb := range all {
			if within[mb.Parent] && !within[mb.ID] {
				within[mb.ID], grew = true, true
				list = append(list, mb.ID)
			}
		}
	}
	slices.Reverse(list)
	return list, nil
}
