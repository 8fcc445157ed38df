package sqlstore

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"lockstep/internal/mail"
)

const (
	insertMailbox = `INSERT INTO mailbox (account_id, mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created,
	modseq, highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?11, ?11, ?11, 0, 0, 0, 0, 0, 0, 0, 0)`
	deleteMailbox    = "DELETE FROM mailbox WHERE account_id = ?1 AND mailbox_id = ?2"
	countMailboxes   = "SELECT count(*) FROM mailbox WHERE account_id = ?1"
	selectChild      = "SELECT mailbox_id FROM mailbox WHERE account_id = ?1 AND parent_id = ?2 LIMIT 1"
	selectRole       = "SELECT mailbox_id FROM mailbox WHERE account_id = ?1 AND role = ?2"
	selectBelow      = "SELECT mailbox_id, path FROM mailbox WHERE account_id = ?1 AND substr(path, 1, length(?2)) = ?2"
	insertVanishedMB = "INSERT INTO vanished (account_id, type, modseq, id, created, why, image) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
)

// CreateMailbox implements store.Tx.
func (t *tx) CreateMailbox(im mail.MailboxImage) (mail.Mailbox, error) {
	n := int64(0)
	if _, err := one(t.c, countMailboxes, func(r row) { n = r.num(0) }, t.id); err != nil {
		return mail.Mailbox{}, err
	}
	if n >= mail.MaxMailboxes {
		return mail.Mailbox{}, mail.Errorf(mail.Limit, "an account has at most %d mailboxes", mail.MaxMailboxes)
	}
	path, err := t.fits(0, im)
	if err != nil {
		return mail.Mailbox{}, err
	}
	mb := mailbox{Mailbox: mail.Mailbox{ID: mail.MailboxID(t.newID()), UIDValidity: t.account.nextValidity, UIDNext: 1}, recent: 1}
	t.account.nextValidity++
	b, err := t.insertBox(mb, im, path)
	if err == nil && im.Parent != 0 {
		err = t.inherit(b, im.Parent)
	}
	if err != nil {
		return mail.Mailbox{}, err
	}
	return b.Mailbox, nil
}

// insertBox makes the row of a mailbox, new or brought back, empty for now.
func (t *tx) insertBox(mb mailbox, im mail.MailboxImage, path string) (*box, error) {
	mb.Name, mb.Parent, mb.Role, mb.SortOrder, mb.Path = im.Name, im.Parent, im.Role, im.SortOrder, path
	mb.Created, mb.HighestModSeq, mb.PropsModSeq, mb.CountsModSeq, mb.Counts = t.n, t.n, t.n, t.n, mail.Counts{}
	err := t.c.later(insertMailbox, t.id, mb.ID, mb.Parent, mb.Name, mb.Path, mb.Role, mb.UIDValidity, mb.UIDNext, mb.recent, mb.SortOrder, t.n)
	if err != nil {
		return nil, err
	}
	b := &box{mailbox: mb, stored: mb}
	b.begin.CountsModSeq = t.n
	b.CommonSeen, b.switched = im.CommonSeen, t.n
	t.boxes[mb.ID] = b
	t.add(mail.Entry{Op: mail.OpCreateMailbox, Mailbox: mb.ID, After: &im})
	return b, nil
}

// fits says whether a mailbox may have the image, and its path then; id is 0
// for a new one.
func (t *tx) fits(id mail.MailboxID, im mail.MailboxImage) (path string, err error) {
	if err := validName(im.Name); err != nil {
		return "", err
	}
	if im.Parent == 0 && im.Name == mail.OtherUsers {
		return "", mail.Errorf(mail.Invalid, "%s is where the mailboxes of others are", mail.OtherUsers)
	}
	parent := &box{}
	if im.Parent != 0 {
		if parent, err = t.box(im.Parent); mail.KindOf(err) == mail.NotFound {
			return "", mail.Errorf(mail.NotFound, "no such parent mailbox")
		} else if err != nil {
			return "", err
		}
	}
	path = im.Name
	if im.Parent != 0 {
		path = parent.Path + mail.Delimiter + im.Name
	}
	if err := t.nests(id, im.Parent, path); err != nil {
		return "", err
	}
	return path, t.free(id, im, path)
}

func depth(path string) int { return strings.Count(path, mail.Delimiter) + 1 }

// nests says whether a mailbox, with what is below it, may have the path.
func (t *tx) nests(id, parent mail.MailboxID, path string) error {
	height := 0
	if id != 0 {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		below, err := t.below(b.Path)
		if err != nil {
			return err
		}
		for _, p := range below {
			height = max(height, depth(p.path)-depth(b.Path))
			if p.id == parent {
				return belowItself()
			}
		}
		if parent == id {
			return belowItself()
		}
	}
	if depth(path)+height > mail.MaxMailboxDepth {
		return mail.Errorf(mail.Limit, "mailboxes nest at most %d deep", mail.MaxMailboxDepth)
	}
	return nil
}

func belowItself() error { return mail.Errorf(mail.Invalid, "a mailbox can't be below itself") }

type pathRow struct {
	id   mail.MailboxID
	path string
}

// below returns the mailboxes below a path.
func (t *tx) below(path string) ([]pathRow, error) {
	var below []pathRow
	err := t.c.query(selectBelow, func(r row) error {
		below = append(below, pathRow{mail.MailboxID(r.num(0)), r.text(1)})
		return nil
	}, t.id, path+mail.Delimiter)
	return below, err
}

// free says whether path and role are nobody else's.
func (t *tx) free(id mail.MailboxID, im mail.MailboxImage, path string) error {
	other, err := t.mailboxWhere(selectMailboxByPath, canonical(path))
	if err == nil && other.ID != id {
		return mail.Errorf(mail.Exists, "there is a mailbox of that name")
	} else if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if im.Role == mail.NoRole {
		return nil
	}
	holder := id
	if _, err := one(t.c, selectRole, func(r row) { holder = mail.MailboxID(r.num(0)) }, t.id, im.Role); err != nil {
		return err
	}
	if holder != id {
		return mail.Errorf(mail.Exists, "there is a mailbox of that role")
	}
	return nil
}

func validName(name string) error {
	switch {
	case name == "" || !utf8.ValidString(name) || strings.Contains(name, mail.Delimiter) || strings.ContainsFunc(name, unicode.IsControl),
		!norm.NFC.IsNormalString(name):
		return mail.Errorf(mail.Invalid, "not a mailbox name: %q", name)
	case len(name) > mail.MaxMailboxNameBytes:
		return mail.Errorf(mail.Limit, "a mailbox name has at most %d bytes", mail.MaxMailboxNameBytes)
	}
	return nil
}

const (
	updatePaths = "UPDATE mailbox SET path = ?3 || substr(path, length(?2) + 1) WHERE account_id = ?1 AND substr(path, 1, length(?2) + 1) = ?2 || '/'"
)

// SetMailbox implements store.Tx.
func (t *tx) SetMailbox(id mail.MailboxID, im mail.MailboxImage) error {
	b, err := t.box(id)
	if err != nil {
		return err
	}
	before := b.Image()
	if before == im {
		return nil
	}
	if isInbox(b.Mailbox) && (im.Name != before.Name || im.Parent != before.Parent || im.Role != before.Role) {
		return mail.Errorf(mail.Denied, "the inbox keeps its name and place")
	}
	path, err := t.fits(id, im)
	if err != nil {
		return err
	}
	outlived, err := t.setAside(b.Path, path)
	if err != nil {
		return err
	}
	if err := t.repath(b.Path, path); err != nil {
		return err
	}
	b.Name, b.Parent, b.Role, b.SortOrder, b.Path = im.Name, im.Parent, im.Role, im.SortOrder, path
	if b.CommonSeen != im.CommonSeen {
		b.CommonSeen, b.switched = im.CommonSeen, t.n
		t.touched[id] = true
	}
	b.PropsModSeq, b.HighestModSeq = t.n, t.n
	t.add(mail.Entry{Op: mail.OpUpdateMailbox, Mailbox: id, Before: &before, After: &im})
	if err := t.settleBox(b); err != nil {
		return err
	}
	for _, path := range outlived {
		if err := t.subscribe(path); err != nil {
			return err
		}
	}
	return nil
}

// setAside takes the subscriptions away that had outlived mailboxes at and below a
// path that another is about to take, and returns them. Those that follow it there
// are then told from them when the rename is taken back.
func (t *tx) setAside(from, to string) ([]string, error) {
	if from == to {
		return nil, nil
	}
	paths, err := t.Subscriptions()
	if err != nil {
		return nil, err
	}
	outlived := slices.DeleteFunc(paths, func(path string) bool {
		return path != to && !strings.HasPrefix(path, to+mail.Delimiter)
	})
	for _, path := range outlived {
		if err := t.unsubscribe(path); err != nil {
			return nil, err
		}
	}
	return outlived, nil
}

// repath moves the paths of all mailboxes below one that moves, and the
// subscriptions of it and of them.
func (t *tx) repath(from, to string) error {
	if from == to {
		return nil
	}
	if err := t.c.later(updatePaths, t.id, from, to); err != nil {
		return err
	}
	for _, b := range t.boxes {
		if rest, ok := strings.CutPrefix(b.Path, from+mail.Delimiter); ok && !b.gone {
			b.Path = to + mail.Delimiter + rest
			b.stored.Path = b.Path
		}
	}
	paths, err := t.Subscriptions()
	if err != nil {
		return err
	}
	var follow []string
	for _, path := range paths {
		rest, ok := strings.CutPrefix(path, from)
		if !ok || rest != "" && !strings.HasPrefix(rest, mail.Delimiter) {
			continue
		}
		if err := t.c.later(deleteSubscription, t.id, path); err != nil {
			return err
		}
		follow = append(follow, to+rest)
	}
	for _, path := range follow {
		if err := t.c.later(insertSubscription, t.id, path); err != nil {
			return err
		}
	}
	return nil
}

// DeleteMailbox implements store.Tx.
func (t *tx) DeleteMailbox(id mail.MailboxID) error {
	b, err := t.box(id)
	if err != nil {
		return err
	}
	if isInbox(b.Mailbox) {
		return mail.Errorf(mail.Denied, "the inbox can't be deleted")
	}
	child, err := one(t.c, selectChild, func(row) {}, t.id, id)
	if err != nil {
		return err
	}
	if child {
		return mail.Errorf(mail.HasChildren, "there are mailboxes below it")
	}
	before := b.Image()
	if err := t.deletes(b, int(b.Counts.Placements)); err != nil {
		return err
	}
	if err := t.unshare(b); err != nil {
		return err
	}
	if err := t.empty(b); err != nil {
		return err
	}
	if err := t.c.later(deleteMailbox, t.id, id); err != nil {
		return err
	}
	b.gone = true
	image, err := json.Marshal(keptMailbox{before, b.UIDValidity, b.UIDNext, b.recent, b.notes})
	if err != nil {
		return err
	}
	t.add(mail.Entry{Op: mail.OpDeleteMailbox, Mailbox: id, Before: &before})
	err = t.c.later(insertVanishedMB, t.id, mail.TypeMailbox, t.n, id, b.Created, expunged, image)
	return err
}

// keptMailbox is what is kept of a deleted mailbox, so that it can be brought
// back.
type keptMailbox struct {
	Image       mail.MailboxImage
	UIDValidity mail.UIDValidity
	UIDNext     mail.UID
	Recent      mail.UID
	Notes       int64
}

// empty takes everything out of a mailbox that is about to go.
func (t *tx) empty(b *box) error {
	hs, err := t.load(b.ID, mail.AllUIDs, every)
	if err != nil {
		return err
	}
	if err := t.vanish(b, hs, deletedWithMailbox); err != nil {
		return err
	}
	return t.settleAll()
}

const (
	insertSubscription = "INSERT INTO subscription (account_id, path) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
	deleteSubscription = "DELETE FROM subscription WHERE account_id = ?1 AND path = ?2"
)

// Subscribe implements store.Tx.
func (t *tx) Subscribe(path string) error {
	if strings.HasPrefix(path, mail.OtherUsers+mail.Delimiter) {
		return t.subscribe(path)
	}
	mb, err := t.MailboxByPath(path)
	if err != nil {
		return err
	}
	return t.subscribe(mb.Path)
}

func (t *tx) subscribe(path string) error {
	return t.resubscribe(insertSubscription, mail.OpSubscribe, path)
}

// Unsubscribe implements store.Tx.
func (t *tx) Unsubscribe(path string) error {
	if mb, err := t.MailboxByPath(path); err == nil {
		path = mb.Path
	}
	return t.unsubscribe(path)
}

func (t *tx) unsubscribe(path string) error {
	return t.resubscribe(deleteSubscription, mail.OpUnsubscribe, path)
}

// resubscribe changes whether a path is subscribed, if it does.
func (t *tx) resubscribe(sql string, op mail.Op, path string) error {
	n, err := t.c.exec(sql, t.id, path)
	if err != nil || n == 0 {
		return err
	}
	t.add(mail.Entry{Op: op, Name: path})
	return t.resubscribed(path)
}

// resubscribed notes that it changed whether a mailbox is subscribed.
func (t *tx) resubscribed(path string) error {
	mb, err := t.mailboxWhere(selectMailboxByPath, path)
	if mail.KindOf(err) == mail.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := t.box(mb.ID)
	if err == nil {
		b.PropsModSeq = t.n
	}
	return err
}
