package undo

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Mailbox is a deleted one that can be brought back.
type Mailbox struct {
	ID       mail.MailboxID
	Path     string // as it was when it was deleted; what it lay in may have another name now
	Messages int64  // that went with it
	Deleted  mail.Record
	parent   mail.MailboxID
}

// Deleted returns the mailboxes that were deleted inside the horizon and are not back,
// the newest deletion first. It costs what they held.
func Deleted(r store.Reader) ([]Mailbox, error) {
	gone, err := r.DeletedMailboxes()
	if err != nil {
		return nil, err
	}
	paths, err := pathsOf(r, gone)
	if err != nil {
		return nil, err
	}
	var all []Mailbox
	for _, d := range gone {
		if d.Erased {
			continue
		}
		m := Mailbox{ID: d.ID, Path: paths(d.ID), parent: d.Image.Parent}
		if m.Deleted, err = deletion(r, d); err != nil {
			return nil, err
		}
		if m.Deleted.Act == 0 {
			continue // its record is gone already
		}
		err = r.Left(store.LeftQuery{Mailbox: d.ID, Since: d.Left - 1}, func(p *mail.Departure) error {
			if p.Left == d.Left && !p.Erased {
				m.Messages++
			}
			return nil
		})
		if err != nil && mail.KindOf(err) != mail.TooOld {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Mailbox) int {
		return cmp.Or(cmp.Compare(b.Deleted.ModSeq, a.Deleted.ModSeq), cmp.Compare(a.Path, b.Path))
	})
	return all, nil
}

// pathsOf tells the path of a mailbox, whether it is there or was deleted.
func pathsOf(r store.Reader, gone []mail.DeletedMailbox) (func(mail.MailboxID) string, error) {
	there, err := r.Mailboxes()
	paths, images := map[mail.MailboxID]string{}, map[mail.MailboxID]mail.MailboxImage{}
	for _, mb := range there {
		paths[mb.ID] = mb.Path
	}
	for _, d := range gone {
		images[d.ID] = d.Image
	}
	var path func(id mail.MailboxID) string
	path = func(id mail.MailboxID) string {
		im, deleted := images[id]
		if !deleted {
			return paths[id]
		}
		delete(images, id) // nothing lies in itself
		if above := path(im.Parent); above != "" {
			im.Name = above + mail.Delimiter + im.Name
		}
		paths[id] = im.Name
		return im.Name
	}
	return path, err
}

// deletion is the record that deleted a mailbox; the zero one if it is gone.
func deletion(r store.Reader, d mail.DeletedMailbox) (mail.Record, error) {
	for q := (store.JournalQuery{Mailbox: d.ID, Limit: page}); ; {
		records, err := r.Journal(q)
		if err != nil {
			return mail.Record{}, err
		}
		for _, rec := range records {
			q.Before = rec.ModSeq
			if slices.ContainsFunc(rec.Entries, func(e mail.Entry) bool { return e.Op == mail.OpDeleteMailbox && e.Mailbox == d.ID }) {
				return rec, nil
			}
		}
		if len(records) < page {
			return mail.Record{}, nil
		}
	}
}

// Undelete brings back the mailbox that had the path and was deleted last, with what
// it lay in if that is gone too, and with what was deleted below it if below: it takes
// back the acts that deleted them. NotFound if there is none.
func Undelete(ctx context.Context, st store.Store, account mail.AccountID, by mail.Origin, path string, below, preview bool) (Done, error) {
	return do(ctx, st, account, by, preview, func(r store.Reader) ([]mail.ActID, error) {
		all, err := Deleted(r)
		if err != nil {
			return nil, err
		}
		acts := deletionsOf(all, path, below)
		if len(acts) == 0 {
			return nil, mail.Errorf(mail.NotFound, "no mailbox %q was deleted lately", path)
		}
		return acts, nil
	})
}

func deletionsOf(all []Mailbox, path string, below bool) (acts []mail.ActID) {
	at := slices.IndexFunc(all, func(m Mailbox) bool { return m.Path == path })
	if at < 0 {
		return nil
	}
	acts = append(acts, all[at].Deleted.Act)
	for above := all[at].parent; above != 0; {
		i := slices.IndexFunc(all, func(m Mailbox) bool { return m.ID == above })
		if i < 0 {
			break // it is there
		}
		acts, above = append(acts, all[i].Deleted.Act), all[i].parent
	}
	for _, m := range all {
		if below && strings.HasPrefix(m.Path, path+mail.Delimiter) {
			acts = append(acts, m.Deleted.Act)
		}
	}
	return newestFirst(acts)
}
