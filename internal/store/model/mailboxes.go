package model

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"lockstep/internal/mail"
)

const inbox = "INBOX"

// CreateMailbox makes a mailbox.
func (t *tx) CreateMailbox(im mail.MailboxImage) (mail.Mailbox, error) {
	if len(t.s.boxes) >= mail.MaxMailboxes {
		return mail.Mailbox{}, mail.Errorf(mail.Limit, "an account has at most %d mailboxes", mail.MaxMailboxes)
	}
	if err := t.fits(0, im); err != nil {
		return mail.Mailbox{}, err
	}
	t.s.lastValidity++
	b := t.place(mail.Mailbox{ID: mail.MailboxID(t.s.newID()), UIDValidity: t.s.lastValidity, UIDNext: 1}, im)
	for _, g := range t.s.given(im.Parent) {
		t.grant(b.ID, g.Principal, g.Rights)
	}
	return t.s.shown(t.s.boxes[b.ID]), nil
}

// place puts a mailbox, new or brought back, under the image.
func (t *tx) place(mb mail.Mailbox, im mail.MailboxImage) *box {
	mb.Name, mb.Parent, mb.Role, mb.SortOrder, mb.CommonSeen = im.Name, im.Parent, im.Role, im.SortOrder, im.CommonSeen
	mb.Created, mb.HighestModSeq, mb.PropsModSeq, mb.CountsModSeq, mb.Counts = t.n, t.n, t.n, t.n, mail.Counts{}
	b := &box{Mailbox: mb, switched: []mail.ModSeq{t.n}}
	t.s.boxes[mb.ID], t.own[mb.ID] = b, true
	delete(t.s.fallen, mb.ID)
	t.did(mail.Entry{Op: mail.OpCreateMailbox, Mailbox: mb.ID, After: &im})
	return b
}

// fits says whether a mailbox may have the image; id is 0 for a new one.
func (t *tx) fits(id mail.MailboxID, im mail.MailboxImage) error {
	if err := validName(im.Name); err != nil {
		return err
	}
	height := 1
	if id != 0 {
		height = t.s.height(id)
	}
	switch {
	case im.Parent == 0 && im.Name == mail.OtherUsers:
		return mail.Errorf(mail.Invalid, "%s is where the mailboxes of others are", mail.OtherUsers)
	case im.Parent != 0 && t.s.boxes[im.Parent] == nil:
		return mail.Errorf(mail.NotFound, "no such parent mailbox")
	case id != 0 && t.below(im.Parent, id):
		return mail.Errorf(mail.Invalid, "a mailbox can't be below itself")
	case t.s.depth(im.Parent)+height > mail.MaxMailboxDepth:
		return mail.Errorf(mail.Limit, "mailboxes nest at most %d deep", mail.MaxMailboxDepth)
	}
	for _, b := range t.s.boxes {
		switch {
		case b.ID == id:
		case b.Parent == im.Parent && b.Name == im.Name:
			return mail.Errorf(mail.Exists, "there is a mailbox of that name")
		case im.Role != mail.NoRole && b.Role == im.Role:
			return mail.Errorf(mail.Exists, "there is a mailbox of that role")
		}
	}
	if id == 0 && im.Parent == 0 && strings.EqualFold(im.Name, inbox) && len(t.s.boxes) > 0 || id != 0 && t.becomesInbox(id, im) {
		return mail.Errorf(mail.Exists, "INBOX is the inbox")
	}
	return nil
}

func (t *tx) becomesInbox(id mail.MailboxID, im mail.MailboxImage) bool {
	return im.Parent == 0 && strings.EqualFold(im.Name, inbox) && t.s.boxes[id].Role != mail.RoleInbox
}

func validName(name string) error {
	switch {
	case name == "" || !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) || strings.Contains(name, mail.Delimiter) || strings.ContainsFunc(name, unicode.IsControl):
		return mail.Errorf(mail.Invalid, "not a mailbox name: %q", name)
	case len(name) > mail.MaxMailboxNameBytes:
		return mail.Errorf(mail.Limit, "a mailbox name has at most %d bytes", mail.MaxMailboxNameBytes)
	}
	return nil
}

// below says whether id is top or below it.
func (t *tx) below(id, top mail.MailboxID) bool {
	for b := t.s.boxes[id]; b != nil; b = t.s.boxes[b.Parent] {
		if b.ID == top {
			return true
		}
	}
	return false
}

// SetMailbox renames, moves and marks a mailbox.
func (t *tx) SetMailbox(id mail.MailboxID, im mail.MailboxImage) error {
	b, err := t.s.box(id)
	if err != nil {
		return err
	}
	before := b.Image()
	if before == im {
		return nil
	}
	if b.Role == mail.RoleInbox && (im.Name != before.Name || im.Parent != before.Parent || im.Role != before.Role) {
		return mail.Errorf(mail.Denied, "the inbox keeps its name and place")
	}
	if err := t.fits(id, im); err != nil {
		return err
	}
	oldPath := t.s.path(id)
	b = t.touch(id)
	if b.CommonSeen != im.CommonSeen {
		b.switched = append(slices.Clip(b.switched), t.n)
		t.hailed[id] = true
	}
	b.Name, b.Parent, b.Role, b.SortOrder, b.CommonSeen, b.PropsModSeq = im.Name, im.Parent, im.Role, im.SortOrder, im.CommonSeen, t.n
	newPath := t.s.path(id)
	outlived := t.setAside(oldPath, newPath)
	t.followSubscriptions(oldPath, newPath)
	t.did(mail.Entry{Op: mail.OpUpdateMailbox, Mailbox: id, Before: &before, After: &im})
	for _, path := range outlived {
		t.subscribe(path)
	}
	return nil
}

// setAside takes away the subscriptions at and below a path that a mailbox takes.
func (t *tx) setAside(from, to string) []string {
	var outlived []string
	for _, path := range slices.Sorted(maps.Keys(t.s.subs)) {
		if from != to && (path == to || strings.HasPrefix(path, to+mail.Delimiter)) {
			outlived = append(outlived, path)
			delete(t.s.subs, path)
			t.did(mail.Entry{Op: mail.OpUnsubscribe, Name: path})
		}
	}
	return outlived
}

// followSubscriptions renames the subscribed paths at and below one that moved.
func (t *tx) followSubscriptions(from, to string) {
	moved := map[string]bool{}
	for path := range t.s.subs {
		if rest, ok := strings.CutPrefix(path, from); ok && from != to && (rest == "" || strings.HasPrefix(rest, mail.Delimiter)) {
			delete(t.s.subs, path)
			moved[to+rest] = true
		}
	}
	for path := range moved {
		t.s.subs[path] = true
	}
}

// resubscribed notes that it changed whether a mailbox is subscribed.
func (t *tx) resubscribed(path string) {
	if b, err := t.s.byPath(path); err == nil && t.s.path(b.ID) == path {
		t.edit(b.ID).PropsModSeq = t.n
		t.dirty = true
	}
}

// DeleteMailbox removes a mailbox with its messages.
func (t *tx) DeleteMailbox(id mail.MailboxID) error {
	b, err := t.s.box(id)
	switch {
	case err != nil:
		return err
	case b.Role == mail.RoleInbox:
		return mail.Errorf(mail.Denied, "the inbox can't be deleted")
	case t.s.hasChildren(id):
		return mail.Errorf(mail.HasChildren, "there are mailboxes below it")
	}
	before := b.Image()
	if err := t.deletes(id, len(b.list)); err != nil {
		return err
	}
	for _, g := range t.s.given(id) {
		t.grant(id, g.Principal, 0)
	}
	for len(t.s.boxes[id].list) > 0 {
		t.drop(t.s.boxes[id].list[0])
		left := t.s.left[id]
		left[len(left)-1].fell = true
	}
	t.s.fallen[id] = fallen{t.s.boxes[id].Mailbox, t.n}
	delete(t.s.boxes, id)
	delete(t.own, id)
	t.did(mail.Entry{Op: mail.OpDeleteMailbox, Mailbox: id, Before: &before})
	return nil
}

// Subscribe adds a path to the subscribed ones.
func (t *tx) Subscribe(path string) error {
	if strings.HasPrefix(path, mail.OtherUsers+mail.Delimiter) {
		t.subscribe(path)
		return nil
	}
	b, err := t.s.byPath(path)
	if err != nil {
		return err
	}
	t.subscribe(t.s.path(b.ID))
	return nil
}

func (t *tx) subscribe(path string) {
	if !t.s.subs[path] {
		t.s.subs[path] = true
		t.did(mail.Entry{Op: mail.OpSubscribe, Name: path})
		t.resubscribed(path)
	}
}

// Unsubscribe takes a path from the subscribed ones.
func (t *tx) Unsubscribe(path string) error {
	if b, err := t.s.byPath(path); err == nil {
		path = t.s.path(b.ID)
	}
	if t.s.subs[path] {
		delete(t.s.subs, path)
		t.did(mail.Entry{Op: mail.OpUnsubscribe, Name: path})
		t.resubscribed(path)
	}
	return nil
}
