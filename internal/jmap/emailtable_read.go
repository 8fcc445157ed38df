package jmap

import (
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// listedEmail is a message as JMAP shows it: what lists are made from.
type listedEmail struct {
	key       mail.MessageKey
	id        mail.EmailID
	thread    mail.ThreadID
	received  time.Time
	sent      time.Time // zero when the sender says nothing readable
	size      int64
	attached  bool
	mailboxes []mail.MailboxID
	keywords  mail.Flags
}

// at adds a placement that is shown: \Seen is all of them, any other flag one.
func (e *listedEmail) at(p *mail.Placement) {
	seen := p.Flags.System & mail.Seen
	if len(e.mailboxes) > 0 {
		seen &= e.keywords.System
	}
	if !slices.Contains(e.mailboxes, p.Mailbox) {
		e.mailboxes = append(e.mailboxes, p.Mailbox)
	}
	e.keywords = e.keywords.Union(p.Flags)
	e.keywords.System = e.keywords.System&^mail.Seen | seen
}

func newListedEmail(m *mail.Message) *listedEmail {
	return &listedEmail{key: m.Key, id: m.EmailID, thread: m.Thread, received: m.InternalDate, sent: m.SentAt, size: m.Size, attached: message.DecodeHasAttachment(m.Parsed)}
}

// eachEmail calls fn with each Email of an account. It costs a pass over the rows of
// all messages.
func eachEmail(r store.Reader, fn func(*listedEmail) error) error {
	all, err := r.Mailboxes()
	if err != nil {
		return err
	}
	found := map[mail.MessageKey]*listedEmail{}
	for _, mb := range all {
		err := r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement, m *mail.Message) error {
			if p.Flags.Has(mail.Deleted) {
				return nil
			}
			e := found[m.Key]
			if e == nil {
				e = newListedEmail(m)
				found[m.Key] = e
			}
			e.at(p)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, e := range found {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// readEmail reads one Email that is there.
func readEmail(r store.Reader, key mail.MessageKey) (*listedEmail, error) {
	m, err := r.Message(key)
	if err != nil {
		return nil, err
	}
	places, err := r.PlacementsOf(key)
	if err != nil {
		return nil, err
	}
	e := newListedEmail(&m)
	for i := range places {
		if !places[i].Flags.Has(mail.Deleted) {
			e.at(&places[i])
		}
	}
	if len(e.mailboxes) == 0 {
		return nil, mail.Errorf(mail.Internal, "a message is said to be there, and is nowhere")
	}
	return e, nil
}
