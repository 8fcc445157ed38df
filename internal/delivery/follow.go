package delivery

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Follow has the later messages of a conversation filed in a mailbox when they come in,
// in the journal. Into the inbox is that they stay there.
func Follow(tx store.Tx, t mail.ThreadID, to mail.MailboxID) error {
	mb, err := tx.Mailbox(to)
	if err != nil {
		return err
	}
	if mb.Role == mail.RoleInbox {
		to = 0
	}
	was, err := follows(tx)
	if err != nil || was.Of(t) == to {
		return err
	}
	value, err := mail.EncodeFollows(was.With(t, to))
	if err != nil {
		return err
	}
	return tx.SetMetadata(0, 0, mail.FollowEntry, value)
}

// follows reads where conversations go. What the annotation holds that says nothing of
// it is nothing.
func follows(r store.Reader) (mail.Follows, error) {
	all, err := r.Metadata(0, 0)
	for _, m := range all {
		if m.Name == mail.FollowEntry {
			f, bad := mail.DecodeFollows(m.Value)
			if bad != nil {
				f = nil
			}
			return f, err
		}
	}
	return nil, err
}

// file moves a message that just came in to where its conversation goes. Where that
// mailbox is no more it stays.
func file(tx store.Tx, p mail.Placement, f mail.Follows) error {
	if len(f) == 0 {
		return nil
	}
	m, err := tx.Message(p.Message)
	if err != nil {
		return err
	}
	to := f.Of(m.Thread)
	if to == 0 || to == p.Mailbox {
		return nil
	}
	if _, err := tx.Mailbox(to); err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	}
	_, err = tx.Move(p.Mailbox, mail.MakeUIDSet(p.UID), to)
	return err
}
