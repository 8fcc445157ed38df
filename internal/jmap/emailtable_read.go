package jmap

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// readEmail reads one Email that is there, as store.Reader's Emails gives each.
func readEmail(r store.Reader, key mail.MessageKey) (*mail.Email, error) {
	m, err := r.Message(key)
	if err != nil {
		return nil, err
	}
	places, err := r.PlacementsOf(key)
	if err != nil {
		return nil, err
	}
	e := &mail.Email{Key: m.Key, EmailID: m.EmailID, Thread: m.Thread, Size: m.Size, InternalDate: m.InternalDate, SentAt: m.SentAt}
	for _, p := range places {
		if !p.Flags.Has(mail.Deleted) {
			e.Places = append(e.Places, mail.Place{Mailbox: p.Mailbox, UID: p.UID, Flags: p.Flags})
		}
	}
	if len(e.Places) == 0 {
		return nil, mail.Errorf(mail.Internal, "a message is said to be there, and is nowhere")
	}
	return e, nil
}
