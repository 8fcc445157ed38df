package releases

import (
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// small says what an account has beside its mail.
func (r *recorder) small(v store.Reader, _ mail.Account) error {
	paths, err := v.Subscriptions()
	if err != nil {
		return err
	}
	r.say("subscribed %q", paths)
	choice, err := v.Preference(mail.POP3Delete)
	if err != nil {
		return err
	}
	r.say("pop3.delete %s", choice)
	for _, typ := range mail.ObjectTypes() {
		objects, err := v.Objects(typ)
		if err != nil {
			return err
		}
		for _, o := range objects {
			r.say("object %d %d at %d %s", o.Type, o.ID, o.ModSeq, o.Data)
		}
	}
	all, err := v.Mailboxes()
	if err != nil {
		return err
	}
	for _, mb := range append(all, mail.Mailbox{}) {
		if err := r.notes(v, mb); err != nil {
			return err
		}
	}
	return nil
}

// notes are a mailbox's annotations and who else may do what in it.
func (r *recorder) notes(v store.Reader, mb mail.Mailbox) error {
	data, err := v.Metadata(mb.ID, 0)
	if err != nil {
		return err
	}
	for _, d := range data {
		r.say("metadata %q %s %q", mb.Path, d.Name, d.Value)
	}
	if mb.ID == 0 {
		return nil
	}
	err = v.Annotations(store.AnnotationQuery{Mailbox: mb.ID}, func(a *mail.Annotation) error {
		r.say("annotation %q %d %s %q", mb.Path, a.UID, a.Name, a.Value)
		return nil
	})
	if err != nil {
		return err
	}
	grants, err := v.Rights(mb.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		seen, err := v.OwnSeen(mb.ID, g.Principal, mail.AllUIDs)
		if err != nil {
			return err
		}
		r.say("shared %q with %d: %s, who has seen %v", mb.Path, g.Principal, g.Rights, seen)
	}
	return nil
}

func (r *recorder) queue() error {
	out, err := r.db.Pending(r.ctx, 1000)
	for _, o := range out {
		r.say("queued <%s> to %s since %s", o.ReversePath, o.Recipient, o.Arrived.UTC().Format(time.RFC3339))
	}
	return err
}
