package eas

import (
	"maps"
	"slices"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// moveConversation serves a Move: the messages of a conversation go to a folder, but
// for what was sent, thrown away or is being written. That later ones follow them, as
// MoveAlways has it, is left out, and the documents say so.
func (q *request) moveConversation(op *wbxml.Element) (*wbxml.Element, error) {
	conversation := op.Child(wbxml.ItemsConversationId)
	target, ok := once(op, wbxml.ItemsDstFldId)
	if conversation == nil || !ok || q.version < v140 {
		return nil, errItemsSyntax
	}
	status := itemsMoveAlwaysOnly
	if op.Child(wbxml.ItemsOptions).Has(wbxml.ItemsMoveAlways) {
		status = itemsOK
		if err := q.moveThread(conversation.Text, target); err != nil {
			if status, err = q.itemsStatus(err); err != nil {
				return nil, err
			}
			if status == itemsServer {
				status = itemsMoveFailed
			}
		}
	}
	return wbxml.New(wbxml.ItemsMove, wbxml.Int(wbxml.ItemsStatus, status), wbxml.Bytes(wbxml.ItemsConversationId, []byte(conversation.Text))), nil
}

func (q *request) moveThread(conversation, folder string) error {
	thread, ok := parseConversationID(conversation)
	if !ok {
		return errNoItem
	}
	target, ok := parseFolderID(folder)
	if !ok {
		return &itemsFault{itemsMoveDestination}
	}
	_, err := q.update(func(tx store.Tx) error {
		if _, err := tx.Mailbox(target); err != nil {
			if mail.KindOf(err) == mail.NotFound {
				return &itemsFault{itemsMoveDestination}
			}
			return err
		}
		keys, err := tx.Thread(thread)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return errNoItem
		}
		return moveMessages(tx, keys[:min(len(keys), maxConversation)], target)
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
