package past

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func splitPath(path string) []string { return strings.Split(path, mail.Delimiter) }

// frames makes mailboxes again and gives them their names and places, in one
// transaction. Those above come first, so none is ever put below itself.
func (r *restorer) frames() error {
	skipped := map[mail.MailboxID]bool{}
	err := r.update(func(tx store.Tx, rep *Report) error {
		clear(skipped)
		for _, mb := range r.scope {
			ok, err := r.mailbox(tx, rep, mb)
			if err != nil {
				return err
			}
			skipped[mb.ID] = !ok
		}
		if r.apply {
			return nil
		}
		return r.rest(tx, rep)
	})
	r.skipped = skipped
	return err
}

// mailbox makes one as it was, and says whether it is there.
func (r *restorer) mailbox(tx store.Tx, rep *Report, mb Mailbox) (bool, error) {
	now, err := tx.Mailbox(mb.ID)
	gone := mail.KindOf(err) == mail.NotFound
	if err != nil && !gone {
		return false, err
	}
	if !gone && (r.wish.Mode == OnlyMissing || r.bare[mb.ID] || now.Image() == mb.Image) {
		return true, nil
	}
	im, err := r.place(tx, rep, mb, now, gone)
	if err != nil {
		return !gone, err
	}
	if gone {
		_, err = tx.BringBackMailbox(mb.ID, im)
	} else {
		err = tx.SetMailbox(mb.ID, im)
	}
	if err != nil {
		return !gone, r.refused(rep, "mailbox "+mb.Path, err)
	}
	is, err := tx.Mailbox(mb.ID)
	switch {
	case err != nil:
		return false, err
	case gone:
		rep.Made = append(rep.Made, is.Path)
		return true, r.grants(tx, rep, mb, true)
	case now.Path != is.Path:
		rep.Renamed = append(rep.Renamed, now.Path+" → "+is.Path)
	case now.Image() != im:
		rep.Other = append(rep.Other, "what "+is.Path+" is for")
	}
	return true, nil
}

// refused reports what a verb refused, and passes on what broke.
func (r *restorer) refused(rep *Report, what string, err error) error {
	switch mail.KindOf(err) {
	case mail.Internal, mail.Unavailable, mail.Corrupt, mail.TooOld:
		return err
	}
	rep.left("%s: %s", what, mail.DetailOf(err))
	return nil
}

// place makes room for a mailbox and returns the image it can have. What is in its
// way and is to be elsewhere, or to go, is set aside; anything else stays, and the
// mailbox stays where it is, or gets a name beside it.
func (r *restorer) place(tx store.Tx, rep *Report, mb Mailbox, now mail.Mailbox, gone bool) (mail.MailboxImage, error) {
	im := mb.Image
	if im.Parent != 0 {
		if _, err := tx.Mailbox(im.Parent); mail.KindOf(err) == mail.NotFound {
			im.Parent = 0
			rep.left("%s: the mailbox above it is gone, so it comes to the top", mb.Path)
		} else if err != nil {
			return im, err
		}
	}
	if holder, err := r.inTheWay(tx, im, mb.ID); err != nil {
		return im, err
	} else if holder != nil && r.mayMove(*holder) {
		aside := holder.Image()
		aside.Parent = 0
		if aside.Name, err = freeName(tx, 0, holder.Name, "aside"); err == nil {
			err = tx.SetMailbox(holder.ID, aside)
		}
		if err != nil {
			return im, err
		}
	} else if holder != nil && !gone {
		im.Name, im.Parent = now.Name, now.Parent
		rep.left("%s: another mailbox has that name now, so it stays %s", mb.Path, now.Path)
	} else if holder != nil {
		if im.Name, err = freeName(tx, im.Parent, im.Name, "restored"); err != nil {
			return im, err
		}
		rep.left("%s: another mailbox has that name now, so it is called %s", mb.Path, im.Name)
	}
	return r.role(tx, rep, mb, im)
}

// role sees to it that no other mailbox has the role of one.
func (r *restorer) role(tx store.Tx, rep *Report, mb Mailbox, im mail.MailboxImage) (mail.MailboxImage, error) {
	if im.Role == mail.NoRole {
		return im, nil
	}
	all, err := tx.Mailboxes()
	if err != nil {
		return im, err
	}
	i := slices.IndexFunc(all, func(o mail.Mailbox) bool { return o.Role == im.Role && o.ID != mb.ID })
	switch {
	case i < 0:
		return im, nil
	case r.mayMove(all[i]):
		without := all[i].Image()
		without.Role = mail.NoRole
		return im, tx.SetMailbox(all[i].ID, without)
	}
	rep.left("%s: %s is the mailbox for %s now", mb.Path, all[i].Path, im.Role)
	im.Role = mail.NoRole
	return im, nil
}

// mayMove reports whether a mailbox may be set aside: it will get its own place
// back, or go.
func (r *restorer) mayMove(mb mail.Mailbox) bool {
	if mb.Role == mail.RoleInbox {
		return false
	}
	if r.wish.Mode == OnlyMissing {
		return false
	}
	return r.inScope[mb.ID] || slices.ContainsFunc(r.made, func(m mail.Mailbox) bool { return m.ID == mb.ID })
}

// inTheWay returns the mailbox that has the place, if another does.
func (r *restorer) inTheWay(tx store.Tx, im mail.MailboxImage, id mail.MailboxID) (*mail.Mailbox, error) {
	path := im.Name
	if im.Parent != 0 {
		above, err := tx.Mailbox(im.Parent)
		if err != nil {
			return nil, err
		}
		path = above.Path + mail.Delimiter + im.Name
	}
	mb, err := tx.MailboxByPath(path)
	if mail.KindOf(err) == mail.NotFound || err == nil && mb.ID == id {
		return nil, nil
	}
	return &mb, err
}

// freeName is a name below a mailbox that is free.
func freeName(tx store.Tx, parent mail.MailboxID, name, word string) (string, error) {
	all, err := tx.Mailboxes()
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, mb := range all {
		if mb.Parent == parent {
			taken[mb.Name] = true
		}
	}
	suffix := " (" + word + ")"
	for n := 2; ; n++ {
		free := strings.ToValidUTF8(name[:min(len(name), mail.MaxMailboxNameBytes-len(suffix))], "") + suffix
		if !taken[free] {
			return free, nil
		}
		suffix = fmt.Sprintf(" (%s %d)", word, n)
	}
}

// grants gives a mailbox the rights of then.
func (r *restorer) grants(tx store.Tx, rep *Report, mb Mailbox, again bool) error {
	now, err := tx.Rights(mb.ID)
	if err != nil {
		return err
	}
	is, was := map[mail.PrincipalID]mail.Rights{}, map[mail.PrincipalID]mail.Rights{}
	for _, g := range now {
		is[g.Principal] = g.Rights
	}
	for _, g := range mb.Grants {
		if r.wish.Known == nil || g.Principal == mail.Anyone || r.wish.Known(g.Principal) {
			was[g.Principal] = g.Rights
		}
	}
	changed := 0
	for _, p := range slices.Sorted(maps.Keys(union(is, was))) {
		if is[p] == was[p] {
			continue
		}
		if err := tx.SetRights(mb.ID, p, was[p]); err != nil {
			return r.refused(rep, "rights in "+mb.Path, err)
		}
		changed++
	}
	if changed > 0 && !again {
		rep.Other = append(rep.Other, "who may do what in "+mb.Path)
	}
	return nil
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// rest puts back what is neither a mailbox nor a message, and removes the mailboxes
// that are to go.
func (r *restorer) rest(tx store.Tx, rep *Report) error {
	if r.wish.Mode == Exact {
		if err := r.removeMailboxes(tx, rep); err != nil {
			return err
		}
	}
	if r.wish.Mode == OnlyMissing {
		return nil
	}
	for _, mb := range r.scope {
		if r.skipped[mb.ID] || r.bare[mb.ID] {
			continue
		}
		if _, err := tx.Mailbox(mb.ID); mail.KindOf(err) == mail.NotFound {
			continue // deleted meanwhile, or it could not be made again
		} else if err != nil {
			return err
		}
		if r.wish.Mode == Exact {
			if err := r.grants(tx, rep, mb, slices.Contains(rep.Made, mb.Path)); err != nil {
				return err
			}
		}
		if err := r.metadata(tx, rep, mb.ID, "annotations of "+mb.Path, mb.Metadata); err != nil {
			return err
		}
	}
	if !r.whole() {
		return nil
	}
	if err := r.metadata(tx, rep, 0, "annotations of the account", r.Metadata()); err != nil {
		return err
	}
	if err := r.subscriptions(tx, rep); err != nil {
		return err
	}
	if r.wish.Mode != Exact {
		return nil
	}
	return r.preferences(tx, rep)
}

// removeMailboxes removes those made since, the lowest first.
func (r *restorer) removeMailboxes(tx store.Tx, rep *Report) error {
	slices.SortFunc(r.made, func(a, b mail.Mailbox) int { return len(splitPath(b.Path)) - len(splitPath(a.Path)) })
	for _, was := range r.made {
		if !r.apply { // it may hold a great many messages, which would go with it
			rep.Removed = append(rep.Removed, was.Path)
			continue
		}
		mb, err := tx.Mailbox(was.ID)
		switch {
		case mail.KindOf(err) == mail.NotFound:
			continue
		case err != nil:
			return err
		case mb.Counts.Placements > 0:
			rep.left("%s: messages came into it meanwhile, so it stays", was.Path)
			continue
		}
		if err := tx.DeleteMailbox(mb.ID); err != nil {
			if err := r.refused(rep, was.Path, err); err != nil {
				return err
			}
			continue
		}
		rep.Removed = append(rep.Removed, was.Path)
	}
	return nil
}

func (r *restorer) metadata(tx store.Tx, rep *Report, mb mail.MailboxID, what string, was []mail.KeptMetadata) error {
	all, err := tx.AllMetadata()
	if err != nil {
		return err
	}
	is, then := map[note][]byte{}, map[note][]byte{}
	for _, m := range all {
		if m.Mailbox == mb {
			is[note{mb, m.Who, m.Name}] = m.Value
		}
	}
	for _, m := range was {
		then[note{mb, m.Who, m.Name}] = m.Value
	}
	changed := false
	for n := range union(is, then) {
		if then[n] == nil && r.wish.Mode != Exact || (is[n] == nil) == (then[n] == nil) && bytes.Equal(is[n], then[n]) {
			continue
		}
		if err := tx.SetMetadata(mb, n.who, n.name, then[n]); err != nil {
			if err := r.refused(rep, what, err); err != nil {
				return err
			}
			continue
		}
		changed = true
	}
	if changed {
		rep.Other = append(rep.Other, what)
	}
	return nil
}

func (r *restorer) subscriptions(tx store.Tx, rep *Report) error {
	now, err := tx.Subscriptions()
	if err != nil {
		return err
	}
	was, n := r.Subscriptions(), 0
	for _, path := range was {
		if slices.Contains(now, path) {
			continue
		}
		if err := tx.Subscribe(path); err != nil {
			if err := r.refused(rep, "the subscription of "+path, err); err != nil {
				return err
			}
			continue
		}
		n++
	}
	for _, path := range now {
		if r.wish.Mode != Exact || slices.Contains(was, path) {
			continue
		}
		if err := tx.Unsubscribe(path); err != nil {
			return err
		}
		n++
	}
	if n > 0 {
		rep.Other = append(rep.Other, fmt.Sprintf("%d subscriptions", n))
	}
	return nil
}

func (r *restorer) preferences(tx store.Tx, rep *Report) error {
	for _, p := range mail.Preferences() {
		now, err := tx.Preference(p)
		if err != nil {
			return err
		}
		if was := r.Preference(p); was != now {
			if err := tx.SetPreference(p, was); err != nil {
				return err
			}
			rep.Other = append(rep.Other, fmt.Sprintf("the preference %s, %s", p, was))
		}
	}
	return nil
}
