package eas

import (
	"maps"
	"slices"

	"lockstep/internal/delivery"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// moveConversation serves a Move: the messages of a conversation go to a folder, but
// for what was sent, thrown away or is being written; and so will those that come in
// later, which only a move to the inbox ends.
func (q *request) moveConversation(op *wbxml.Element) (*wbxml.Element, error) {
	conversation := op.Child(wbxml.ItemsConversationId)
	if conversation == nil || q.version < v140 {
		return nil, errItemsSyntax
	}
	status, err := q.moveStatus(op, conversation.Text)
	return wbxml.New(wbxml.ItemsMove, wbxml.Int(wbxml.ItemsStatus, status), wbxml.Bytes(wbxml.ItemsConversationId, []byte(conversation.Text))), err
}

func (q *request) moveStatus(op *wbxml.Element, conversation string) (int, error) {
	target, _ := once(op, wbxml.ItemsDstFldId)
	always := op.Child(wbxml.ItemsOptions).Child(wbxml.ItemsMoveAlways)
	switch {
	case target == "":
		return int(statusIDCombination), nil // such as the cache of recipients, which there is none of
	case always == nil:
		return itemsMoveAlwaysOnly, nil
	case always.Text != "":
		return itemsProtocol, nil
	}
	err := q.moveThread(conversation, target)
	if err == nil {
		return itemsOK, nil
	}
	status, err := q.itemsStatus(err)
	if status == itemsServer {
		status = itemsMoveFailed
	}
	return status, err
}

func (q *request) moveThread(conversation, folder string) error {
	thread, ok := parseConversationID(conversation)
	if !ok {
		return errNoItem
	}
	target, ok := parseFolderID(folder)
	if !ok {
		return errNoItem
	}
	_, err := q.update(func(tx store.Tx) error {
		if _, err := tx.Mailbox(target); err != nil {
			return err
		}
		keys, err := tx.Thread(thread)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return errNoItem
		}
		if err := moveMessages(tx, keys[:min(len(keys), maxConversation)], target); err != nil {
			return err
		}
		return delivery.Follow(tx, thread, target)
	})
	return err
}

// moveMessages moves messages from wherever they were received or filed.
func moveMessages(tx store.Tx, keys []mail.MessageKey, target mail.MailboxID) error {
	from := map[mail.MailboxID]mail.UIDSet{}
	for _, key := range keys {
		all, err := tx.PlacementsOf(key)
		if err != nil {
			return err
		}
		for _, p := range all {
			if p.Mailbox != target && !p.Flags.Has(mail.Deleted) {
				uids := from[p.Mailbox]
				uids.Add(p.UID)
				from[p.Mailbox] = uids
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(from)) {
		mb, err := tx.Mailbox(id)
		if err != nil {
			return err
		}
		if staysPut(mb.Role) {
			continue
		}
		if _, err := tx.Move(id, from[id], target); err != nil {
			return err
		}
	}
	return nil
}

// staysPut reports whether messages of a conversation are left in a mailbox when the
// conversation is moved.
func staysPut(role mail.Role) bool {
	switch role {
	case mail.RoleSent, mail.RoleDrafts, mail.RoleTrash, mail.RoleJunk:
		return true
	}
	return false
}
