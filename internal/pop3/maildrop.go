package pop3

import (
	"context"
	"errors"
	"strconv"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// maildrop is an inbox as it was at sign-in. Message n is entries[n-1].
type maildrop struct {
	account mail.AccountID
	inbox   mail.MailboxID
	entries []entry
	size    int64 // of all, bytes
}

// entry is one message: some 40 bytes.
type entry struct {
	uid     mail.UID
	marked  bool // to be deleted
	size    int64
	lineage mail.Lineage
	saved   int64 // microseconds
}

// id is the message's unique-id (RFC 1939 §7). It is made of what never changes of
// a placement and, unlike a UID, comes back with a message that an undo or a
// restore brings back. After a restore the account's numbers may be given anew,
// but not at the same microsecond.
func (e *entry) id() string {
	return strconv.FormatInt(int64(e.lineage), 36) + "." + strconv.FormatInt(e.saved, 36)
}

// open reads the inbox, the newest messages of it if there are too many: one scan
// of its narrow rows.
func (s *Server) open(ctx context.Context, account mail.AccountID, limits *Limits) (*maildrop, error) {
	d := &maildrop{account: account}
	err := s.Store.View(ctx, account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		d.inbox, d.size = mb.ID, 0
		d.entries = make([]entry, 0, min(mb.Counts.Visible(), int64(limits.Messages)))
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID, Backwards: true}, func(p *mail.Placement) error {
			if p.Flags.Has(mail.Deleted) {
				return nil
			}
			if len(d.entries) == limits.Messages {
				return errFull
			}
			d.size += p.Size
			d.entries = append(d.entries, entry{uid: p.UID, size: p.Size, lineage: p.Lineage, saved: p.SaveDate.UnixMicro()})
			return nil
		})
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, err
	}
	if !s.clients.hold(len(d.entries), limits) {
		return nil, mail.Errorf(mail.Limit, "Too many messages are being fetched, try later")
	}
	for i, j := 0, len(d.entries)-1; i < j; i, j = i+1, j-1 {
		d.entries[i], d.entries[j] = d.entries[j], d.entries[i]
	}
	return d, nil
}

// errFull ends the scan of an inbox that is too large.
var errFull = mail.Errorf(mail.Limit, "the maildrop is full")

// there is what is not marked.
func (d *maildrop) there() (n int, size int64) {
	for i := range d.entries {
		if !d.entries[i].marked {
			n++
			size += d.entries[i].size
		}
	}
	return n, size
}

// marked is what QUIT deletes.
func (d *maildrop) marked() mail.UIDSet {
	var uids mail.UIDSet
	for i := range d.entries {
		if d.entries[i].marked {
			uids.Add(d.entries[i].uid)
		}
	}
	return uids
}

// remove deletes messages or moves them to the trash, as the account chose, where
// they are still there: some thousand in one transaction, all in one act. Either
// way history keeps them up to its horizon.
func (s *session) remove(ctx context.Context, uids mail.UIDSet) error {
	by := s.who.Origin().WithSession(s.addr.String())
	for len(uids) > 0 {
		var some mail.UIDSet
		some, uids = cut(uids, deleteChunk)
		removed := 0
		n, err := s.srv.Store.Update(ctx, s.drop.account, by, func(tx store.Tx) (err error) {
			removed, err = discard(tx, s.drop.inbox, some)
			return err
		})
		if err != nil {
			return err
		}
		s.srv.counts.deleted.Add(int64(removed))
		if by.Act() == 0 && n > 0 {
			by = by.InAct(mail.ActID(n))
		}
	}
	return nil
}

// discard moves messages to the trash, or expunges them.
func discard(tx store.Tx, inbox mail.MailboxID, uids mail.UIDSet) (int, error) {
	trash, err := trashOf(tx)
	if err != nil {
		return 0, err
	}
	if trash == 0 {
		gone, err := tx.Expunge(inbox, uids, false)
		return int(gone.Count()), err
	}
	moved, err := tx.Move(inbox, uids, trash)
	return int(moved.From.Count()), err
}

// trashOf is where deleted messages go; 0 is nowhere, as the account chose or
// because there is no such mailbox.
func trashOf(r store.Reader) (mail.MailboxID, error) {
	choice, err := r.Preference(mail.POP3Delete)
	if err != nil || choice == mail.ForGood {
		return 0, err
	}
	all, err := r.Mailboxes()
	for _, mb := range all {
		if mb.Role == mail.RoleTrash {
			return mb.ID, err
		}
	}
	return 0, err
}

// cut takes n UIDs off the front of a set.
func cut(uids mail.UIDSet, n uint64) (first, rest mail.UIDSet) {
	for uid := range uids.All() {
		if first.Count() == n {
			rest.Add(uid)
			continue
		}
		first.Add(uid)
	}
	return first, rest
}
