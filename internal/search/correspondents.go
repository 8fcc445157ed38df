package search

import (
	"context"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// maxLetters bounds the messages that are looked at for having gone to somebody.
const maxLetters = 200

// WroteTo reports whether a message to that address lies in the account's Sent
// mailbox. It knows what is in the index, and looks at the best maxLetters of what
// names the address.
func (x *Index) WroteTo(ctx context.Context, a mail.AccountID, address string) (bool, error) {
	hits, err := x.People(ctx, a, Query{{in: fields(fieldRecipients), text: address}}, maxLetters)
	if err != nil {
		return false, x.unusable(ctx, err)
	}
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
		return nil
	})
	return found, err
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
