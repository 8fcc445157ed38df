package imap

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// For how long a draft is known as the one that the device saved before, and for
// how long a saving that was cut short is finished by the next one.
const (
	rememberDraft = 90 * 24 * time.Hour
	rememberCut   = 24 * time.Hour
)

// maxDrafts is of how many drafts a session knows that their saving was cut short.
const maxDrafts = 16

// A draft is what the versions of one draft, or note, have in common: programs
// without REPLACE save it by an APPEND of the new version and then remove the old
// one. The account remembers under name which version this device wrote last.
type draft struct {
	name   string
	before mail.Placement // the version this one went on from, which stayed; UID 0 is none
}

// draftOf returns the draft that an arrival is a version of, nil if it is none.
// Apple's programs name drafts and notes in a field of their own, and give each
// version another Message-ID; in others, such as Thunderbird, the Message-ID is the
// draft's until it is sent.
func (s *session) draftOf(dest mail.Mailbox, a mail.Arrival) *draft {
	id := a.DraftID
	if id == "" && (a.Flags.Has(mail.Draft) || dest.Role == mail.RoleDrafts) {
		id = a.MessageID
	}
	device := s.user.Device().ID
	if id == "" || device == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(id))
	return &draft{name: fmt.Sprintf("draft:%d:%d:%x", device, dest.ID, sum[:16])}
}

// cutName is what is remembered when the session broke off before the older
// version was removed.
func (d *draft) cutName() string { return d.name + ":cut" }

// goOn makes an arrival the next version of a draft that this device saved before
// and nobody else has changed since: it goes on with its line. The older version
// stays, as the client is about to remove it. Where a broken connection kept it from
// that, the arrival takes the place of what was left.
func (s *session) goOn(tx store.Tx, d *draft, a *mail.Arrival) error {
	if d == nil {
		return nil
	}
	cut, err := tx.Remembered(d.cutName())
	isCut := err == nil
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if isCut {
		if err := tx.Forget(d.cutName()); err != nil {
			return err
		}
	}
	last, err := s.ownVersion(tx, d)
	if err != nil || last.UID == 0 || a.Replaces != 0 {
		return err
	}
	if isCut && cut.UID != last.UID {
		gone, err := s.expungeOwn(tx, cut)
		if err != nil {
			return err
		}
		isCut = gone
	}
	if isCut {
		a.Replaces = last.UID
		return nil
	}
	a.Continues, d.before = last.UID, last
	return nil
}

// ownVersion is the version of a draft that this device wrote last, if it is still
// there as the device left it; else its UID is 0.
func (s *session) ownVersion(tx store.Tx, d *draft) (mail.Placement, error) {
	was, err := tx.Remembered(d.name)
	if err == nil {
		was, err = s.untouched(tx, was)
	}
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return mail.Placement{}, nil
	}
	return was, err
}

// untouched returns a placement as it is now, NotFound if it is gone or another
// device changed it last.
func (s *session) untouched(r store.Reader, was mail.Placement) (mail.Placement, error) {
	err := mail.Errorf(mail.NotFound, "the draft is gone")
	q := store.PlacementQuery{Mailbox: was.Mailbox, UIDs: mail.MakeUIDSet(was.UID)}
	failed := r.Placements(q, func(p *mail.Placement) error {
		if p.ID == was.ID && p.ChangedBy == s.user.Device().ID {
			was, err = *p, nil
		}
		return nil
	})
	if failed != nil {
		return was, failed
	}
	return was, err
}

// expungeOwn removes a version that the client had no time to remove, and says
// whether it was still there, as the device left it.
func (s *session) expungeOwn(tx store.Tx, was mail.Placement) (bool, error) {
	p, err := s.untouched(tx, was)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return false, nil
		}
		return false, err
	}
	_, err = tx.Expunge(p.Mailbox, mail.MakeUIDSet(p.UID), false)
	return true, err
}

// remember makes the account know the version that was saved last.
func (d *draft) remember(n store.Notes, p mail.Placement) error {
	if d == nil {
		return nil
	}
	return n.Remember(d.name, p.ID, time.Now().Add(rememberDraft))
}

// noteDraft keeps the last version of each of the last drafts.
func (s *session) noteDraft(one appended) {
	s.drafts = slices.DeleteFunc(s.drafts, func(a appended) bool { return a.draft.name == one.draft.name })
	if len(s.drafts) == maxDrafts {
		s.drafts = slices.Delete(s.drafts, 0, 1)
	}
	s.drafts = append(s.drafts, one)
}

// cut is a draft whose saving was cut short, and the version that should have
// gone: the older one or, if the client may not have heard that there is a new one,
// that.
type cut struct {
	name    string
	version mail.PlacementID
}

type cuts []cut

// cutDrafts finds the drafts that this session, which broke off, left in the middle
// of being saved.
func (s *session) cutDrafts(ctx context.Context) (found cuts, err error) {
	if len(s.drafts) == 0 {
		return nil, nil
	}
	err = s.view(ctx, func(r store.Reader) error {
		found = nil
		for _, one := range s.drafts {
			version, err := s.leftOver(r, one)
			if err == nil {
				found = append(found, cut{one.draft.cutName(), version.ID})
			} else if mail.KindOf(err) != mail.NotFound {
				return err
			}
		}
		return nil
	})
	return found, err
}

func (s *session) leftOver(r store.Reader, one appended) (mail.Placement, error) {
	if one.draft.before.UID != 0 {
		if p, err := s.untouched(r, one.draft.before); err == nil && !p.Flags.Has(mail.Deleted) {
			return p, nil
		}
	}
	last := slices.ContainsFunc(s.appended, func(a appended) bool { return a.placement.ID == one.placement.ID })
	if !last {
		return mail.Placement{}, mail.Errorf(mail.NotFound, "it was saved")
	}
	return s.untouched(r, one.placement)
}

func (all cuts) remember(n store.Notes) error {
	for _, c := range all {
		err := n.Remember(c.name, c.version, time.Now().Add(rememberCut))
		if err != nil && mail.KindOf(err) != mail.NotFound { // somebody has removed it meanwhile
			return err
		}
	}
	return nil
}
