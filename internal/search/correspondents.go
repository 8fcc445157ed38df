package search

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// maxLetters bounds the messages that are looked at for having gone to somebody.
const maxLetters = 200

// maxSent bounds those that are looked at where the index can't say.
const maxSent = 1000

// WroteTo reports whether a message to that address lies in the account's Sent
// mailbox. It knows what is in the index, and looks at the best maxLetters of what
// names the address; while there is no index that has seen all, it reads the newest
// maxSent of the mailbox besides.
func (x *Index) WroteTo(ctx context.Context, a mail.AccountID, address string) (bool, error) {
	hits, err := x.People(ctx, a, Query{{in: fields(fieldRecipients), text: address}}, maxLetters)
	if err != nil {
		if err := x.unusable(ctx, err); err != nil {
			return false, err
		}
	}
	whole := err == nil && x.isWhole(ctx, a)
	found := false
	err = x.Store.View(ctx, a, func(r store.Reader) error {
		sent, err := sentMailboxes(r)
		if err != nil {
			return err
		}
		for _, h := range hits {
			if found, err = isLetterTo(r, h.Message, sent, address); found || err != nil {
				return err
			}
		}
		if !whole {
			found, err = isAmongSent(r, sent, address)
		}
		return err
	})
	if mail.KindOf(err) == mail.NotFound && err != nil { // it is nobody's
		return false, nil
	}
	return found, err
}

// isWhole reports whether an account has an index that has seen all of its mail.
func (x *Index) isWhole(ctx context.Context, a mail.AccountID) bool {
	filling := true
	err := x.read(ctx, a, func(r *reader) error {
		s, err := stateOf(r)
		filling = s.isFilling()
		return err
	})
	return err == nil && !filling
}

// isAmongSent looks at the newest messages of mailboxes for one to an address. It costs
// the rows of maxSent messages for each.
func isAmongSent(r store.Reader, sent map[mail.MailboxID]bool, address string) (bool, error) {
	for id := range sent {
		keys, err := newestOf(r, id)
		if err != nil {
			return false, err
		}
		for _, k := range keys {
			if found, err := isLetterTo(r, k, sent, address); found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// newestOf are the messages with the maxSent highest UIDs that were given, the newest
// first.
func newestOf(r store.Reader, id mail.MailboxID) (keys []mail.MessageKey, err error) {
	mb, err := r.Mailbox(id)
	if err != nil {
		return nil, err
	}
	first := mail.UID(1)
	if mb.UIDNext > maxSent {
		first = mb.UIDNext - maxSent
	}
	q := store.PlacementQuery{Mailbox: id, UIDs: mail.UIDSet{{First: first, Last: 1<<32 - 1}}}
	err = r.Placements(q, func(p *mail.Placement) error {
		keys = append(keys, p.Message)
		return nil
	})
	slices.Reverse(keys)
	return keys, err
}

func sentMailboxes(r store.Reader) (map[mail.MailboxID]bool, error) {
	all, err := r.Mailboxes()
	sent := map[mail.MailboxID]bool{}
	for _, mb := range all {
		if mb.Role == mail.RoleSent {
			sent[mb.ID] = true
		}
	}
	return sent, err
}

func isLetterTo(r store.Reader, key mail.MessageKey, sent map[mail.MailboxID]bool, address string) (bool, error) {
	placements, err := r.PlacementsOf(key)
	if err != nil {
		return false, err
	}
	lies := false
	for _, p := range placements {
		lies = lies || sent[p.Mailbox]
	}
	if !lies {
		return false, nil
	}
	m, err := r.Message(key)
	if err != nil {
		return false, err
	}
	e, err := message.DecodeEnvelope(m.Parsed)
	if err != nil {
		return false, err
	}
	for _, list := range [][]message.Address{e.To, e.Cc, e.Bcc} {
		for _, to := range list {
			if strings.EqualFold(to.String(), address) {
				return true, nil
			}
		}
	}
	return false, nil
}
