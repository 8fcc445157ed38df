package past

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// frame is what an account is beside its messages. It begins as now, and each entry
// that is taken back makes it a little older.
type frame struct {
	images   map[mail.MailboxID]mail.MailboxImage
	validity map[mail.MailboxID]mail.UIDValidity // also of mailboxes that are gone
	subs     map[string]bool
	grants   map[mail.MailboxID]map[mail.PrincipalID]mail.Rights
	metadata map[note]mail.KeptMetadata // also of mailboxes that are gone
	chosen   map[mail.Preference]string
}

// note names an annotation of a mailbox.
type note struct {
	mailbox mail.MailboxID
	who     mail.PrincipalID
	name    string
}

func readFrame(r store.Reader) (*frame, error) {
	f := &frame{images: map[mail.MailboxID]mail.MailboxImage{}, validity: map[mail.MailboxID]mail.UIDValidity{}, subs: map[string]bool{},
		grants: map[mail.MailboxID]map[mail.PrincipalID]mail.Rights{}, metadata: map[note]mail.KeptMetadata{}, chosen: map[mail.Preference]string{}}
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	for _, mb := range all {
		f.images[mb.ID], f.validity[mb.ID] = mb.Image(), mb.UIDValidity
		grants, err := r.Rights(mb.ID)
		if err != nil {
			return nil, err
		}
		for _, g := range grants {
			f.grant(mb.ID, g.Principal, g.Rights)
		}
	}
	gone, err := r.DeletedMailboxes()
	if err != nil {
		return nil, err
	}
	for _, d := range gone {
		f.validity[d.ID] = d.UIDValidity
	}
	return f, f.readRest(r)
}

func (f *frame) readRest(r store.Reader) error {
	paths, err := r.Subscriptions()
	if err != nil {
		return err
	}
	for _, path := range paths {
		f.subs[path] = true
	}
	kept, err := r.AllMetadata()
	if err != nil {
		return err
	}
	for _, m := range kept {
		f.metadata[note{m.Mailbox, m.Who, m.Name}] = m
	}
	for _, p := range mail.Preferences() {
		if f.chosen[p], err = r.Preference(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *frame) grant(mb mail.MailboxID, p mail.PrincipalID, r mail.Rights) {
	if f.grants[mb] == nil {
		f.grants[mb] = map[mail.PrincipalID]mail.Rights{}
	}
	if f.grants[mb][p] = r; r == 0 {
		delete(f.grants[mb], p)
	}
}

// takeBack makes the frame what it was before the entry.
func (f *frame) takeBack(e mail.Entry) {
	switch e.Op {
	case mail.OpCreateMailbox:
		delete(f.images, e.Mailbox)
	case mail.OpDeleteMailbox:
		f.images[e.Mailbox] = *e.Before
	case mail.OpUpdateMailbox:
		f.rename(e.Mailbox, *e.Before)
	case mail.OpSubscribe:
		delete(f.subs, e.Name)
	case mail.OpUnsubscribe:
		f.subs[e.Name] = true
	case mail.OpRights:
		f.grant(e.Mailbox, e.Who, e.Had)
	case mail.OpPreference:
		f.chosen[mail.Preference(e.Name)] = string(e.Old)
	case mail.OpMetadata:
		n := note{e.Mailbox, e.Who, e.Name}
		if delete(f.metadata, n); e.Old != nil {
			f.metadata[n] = mail.KeptMetadata{Who: e.Who, Metadata: mail.Metadata{Mailbox: e.Mailbox, Name: e.Name, Value: e.Old}}
		}
	}
}

// rename gives a mailbox an earlier image; the subscriptions at and below its path
// had followed it.
func (f *frame) rename(id mail.MailboxID, im mail.MailboxImage) {
	from := f.path(id)
	f.images[id] = im
	to := f.path(id)
	if from == to {
		return
	}
	for _, path := range slices.Collect(maps.Keys(f.subs)) {
		rest, ok := strings.CutPrefix(path, from)
		if ok && (rest == "" || strings.HasPrefix(rest, mail.Delimiter)) {
			delete(f.subs, path)
			f.subs[to+rest] = true
		}
	}
}

func (f *frame) path(id mail.MailboxID) string {
	im, there := f.images[id]
	if !there || im.Parent == 0 {
		return im.Name
	}
	return f.path(im.Parent) + mail.Delimiter + im.Name
}

// mailboxes returns what the frame has of each mailbox, in order.
func (f *frame) mailboxes() []Mailbox {
	notes := map[mail.MailboxID][]mail.KeptMetadata{}
	for n, m := range f.metadata {
		notes[n.mailbox] = append(notes[n.mailbox], m)
	}
	var all []Mailbox
	for id, im := range f.images {
		mb := Mailbox{ID: id, Image: im, Path: f.path(id), UIDValidity: f.validity[id], Metadata: sorted(notes[id])}
		for _, p := range slices.Sorted(maps.Keys(f.grants[id])) {
			mb.Grants = append(mb.Grants, mail.Grant{Principal: p, Rights: f.grants[id][p]})
		}
		all = append(all, mb)
	}
	first := func(mb Mailbox) int {
		if mb.Image.Role == mail.RoleInbox {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b Mailbox) int {
		return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(strings.ToLower(a.Path), strings.ToLower(b.Path)), cmp.Compare(a.Path, b.Path))
	})
	return all
}

// notesOf returns the annotations of a mailbox, or of the account.
func (f *frame) notesOf(mb mail.MailboxID) []mail.KeptMetadata {
	var all []mail.KeptMetadata
	for n, m := range f.metadata {
		if n.mailbox == mb {
			all = append(all, m)
		}
	}
	return sorted(all)
}

func sorted(all []mail.KeptMetadata) []mail.KeptMetadata {
	slices.SortFunc(all, func(a, b mail.KeptMetadata) int {
		return cmp.Or(cmp.Compare(a.Who, b.Who), cmp.Compare(a.Name, b.Name))
	})
	return all
}
