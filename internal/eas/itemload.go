package eas

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// errNoItem is that of an id that names nothing one may see.
var errNoItem = mail.Errorf(mail.NotFound, "there is no such message")

// placementOfLine finds the message that a line of a mailbox is.
func placementOfLine(r store.Reader, mb mail.MailboxID, line mail.Lineage) (mail.Placement, error) {
	versions, err := r.Versions(store.VersionQuery{Mailbox: mb, Lines: []mail.Lineage{line}})
	if err != nil {
		return mail.Placement{}, err
	}
	v := mail.Shown(versions)
	if v == nil {
		return mail.Placement{}, errNoItem
	}
	return v.Placement, nil
}

// placementOfEmail finds a message by its lasting name: where it lies in the mailbox,
// else anywhere.
func placementOfEmail(r store.Reader, id mail.EmailID, mb mail.MailboxID) (mail.Placement, error) {
	m, err := r.MessageByEmailID(id)
	if err != nil {
		return mail.Placement{}, err
	}
	all, err := r.PlacementsOf(m.Key)
	if err != nil {
		return mail.Placement{}, err
	}
	var found *mail.Placement
	for i, p := range all {
		if !p.Flags.Has(mail.Deleted) && (found == nil || p.Mailbox == mb) {
			found = &all[i]
		}
	}
	if found == nil {
		return mail.Placement{}, errNoItem
	}
	return *found, nil
}

// itemOfLine loads the message that a line of a mailbox is: a few rows.
func (q *request) itemOfLine(r store.Reader, mb mail.MailboxID, line mail.Lineage) (*mailItem, error) {
	p, err := placementOfLine(r, mb, line)
	if err != nil {
		return nil, err
	}
	return q.itemOf(r, p)
}

// itemOfEmail loads a message by its lasting name.
func (q *request) itemOfEmail(r store.Reader, id mail.EmailID, mb mail.MailboxID) (*mailItem, error) {
	p, err := placementOfEmail(r, id, mb)
	if err != nil {
		return nil, err
	}
	return q.itemOf(r, p)
}

// itemOf loads the message of a placement. One that is \Deleted is not shown.
func (q *request) itemOf(r store.Reader, p mail.Placement) (*mailItem, error) {
	if p.Flags.Has(mail.Deleted) {
		return nil, errNoItem
	}
	mb, err := r.Mailbox(p.Mailbox)
	if err != nil {
		return nil, err
	}
	m, err := r.Message(p.Message)
	if err != nil {
		return nil, err
	}
	var uids mail.UIDSet
	uids.Add(p.UID)
	notes, err := readMailNotes(r, p.Mailbox, uids)
	if err != nil {
		return nil, err
	}
	return &mailItem{placement: p, message: m, drafts: mb.Role == mail.RoleDrafts, notes: notes[p.UID], open: q.opener(m.Blob)}, nil
}

// opener opens a blob that a row of the account names.
func (q *request) opener(b mail.Blob) func() (Body, error) {
	return func() (Body, error) { return q.srv.Blobs(q.ctx, b) }
}
