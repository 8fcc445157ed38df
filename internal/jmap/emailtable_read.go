package jmap

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// readEmails reads some Emails that are there, as store.Reader's Emails gives each.
func readEmails(r store.Reader, keys []mail.MessageKey) ([]mail.Email, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	found, err := r.EmailsOf(keys)
	if err != nil {
		return nil, err
	}
	for i := range found {
		places, err := r.PlacementsOf(found[i].Key)
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			if !p.Flags.Has(mail.Deleted) {
				found[i].Places = append(found[i].Places, mail.Place{Mailbox: p.Mailbox, UID: p.UID, Flags: p.Flags})
			}
		}
		if len(found[i].Places) == 0 {
			return nil, mail.Errorf(mail.Internal, "a message is said to be there, and is nowhere")
		}
	}
	return found, nil
}
