package jmap

import (
	"context"
	"errors"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// emailSet is Email/set (RFC 8621 §4.6). All that is asked for is one transaction,
// whose verbs are called once for each mailbox and change, not for each email: to mark
// 1000 read costs two look-ups for each and one STORE.
func emailSet(ctx context.Context, c *call, a *setArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := c.bounded(a); err != nil {
		return err
	}
	s := &emailSetting{call: c, ctx: ctx, account: account, asked: a, refused: map[string]*setError{}}
	s.readAll()
	if err := s.makeAndCommit(); err != nil {
		return err
	}
	return c.answer(s.done.out)
}

// makeAndCommit does all of it. Bytes that were not kept until the commit are put once
// more.
func (s *emailSetting) makeAndCommit() error {
	for try := 0; ; try++ {
		if err := s.makeAll(); err != nil {
			return err
		}
		if err := s.commit(); err == nil || mail.KindOf(err) != mail.Expired || try == 2 {
			return err
		}
	}
}

// emailSetting is one Email/set under way.
type emailSetting struct {
	*call
	ctx     context.Context
	account mail.AccountID
	asked   *setArguments
	news    map[string]*newEmail // by creation id
	refused map[string]*setError // emails that an earlier try could not change
	done    *emailChanging
}

// errPartly says that something was done of an email that can't be changed whole: the
// transaction is taken back, and done again without it.
var errPartly = errors.New("part of a change was refused")

// commit does it. What is refused in the middle is left out of a second try; who finds
// refusals then too has met another device that deletes.
func (s *emailSetting) commit() error {
	for range 3 {
		_, err := s.srv.Store.Update(s.ctx, s.account, s.sess.Origin(), func(tx store.Tx) error {
			s.done = &emailChanging{emailSetting: s, batch: newBatch(tx)}
			return s.done.all()
		})
		if errors.Is(err, errPartly) {
			maps.Copy(s.refused, s.done.batch.refused)
			continue
		}
		if err != nil {
			return err
		}
		maps.Copy(s.created, s.done.made)
		return nil
	}
	return mail.Errorf(mail.Unavailable, "others change the same mail at this moment; try again")
}

// emailChanging is a try to do it in a transaction. A transaction may run again, so
// all it learns is here.
type emailChanging struct {
	*emailSetting
	*batch
	out       *setAnswer
	made      map[string]string        // creation ids to ids
	mailboxes map[mail.MailboxID]bool  // which there are, of those asked for
	grewFrom  map[string]*settingEmail // creation ids of drafts to those that they take the place of
	replaced  map[string]*settingEmail // by id, those of which drafts have taken the place
}

func (t *emailChanging) all() error {
	before, err := t.tx.Account()
	if err != nil {
		return err
	}
	t.out, t.made, t.mailboxes = &setAnswer{AccountID: t.asked.AccountID, OldState: stateOf(before, mail.TypeEmail)}, map[string]string{}, map[mail.MailboxID]bool{}
	if t.asked.IfInState != nil && *t.asked.IfInState != t.out.OldState {
		return refused("stateMismatch", "the state is "+t.out.OldState)
	}
	if err := t.pairDrafts(); err != nil {
		return err
	}
	if err := t.createAll(); err != nil {
		return err
	}
	if err := t.updateAll(); err != nil {
		return err
	}
	if err := t.destroyAll(); err != nil {
		return err
	}
	if err := t.run(); err != nil {
		return err
	}
	t.tell()
	after, err := t.tx.Account()
	t.out.NewState = stateOf(after, mail.TypeEmail)
	return err
}

// updateAll plans what becomes of the emails that are to be changed.
func (t *emailChanging) updateAll() error {
	for _, said := range slices.Sorted(maps.Keys(t.asked.Update)) {
		err := t.update(said)
		if wrong := t.wrong(err); wrong != nil {
			t.out.notUpdated(said, wrong)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (t *emailChanging) update(said string) error {
	e, err := t.find(said)
	switch {
	case err != nil:
		return err
	case t.destroys(said):
		return &setError{Type: "willDestroy", Description: "the same call destroys it"}
	}
	change, wrong := t.parseEmailPatch(e, t.asked.Update[said])
	if wrong != nil {
		return wrong
	}
	e.verb, e.said = updates, said
	return t.plan(e, change)
}

func (t *emailChanging) destroys(said string) bool {
	id, _ := t.id(said)
	return slices.ContainsFunc(t.asked.Destroy, func(d string) bool { other, _ := t.id(d); return d == said || other == id })
}

// destroyAll plans the destruction of emails: all their visible placements go.
func (t *emailChanging) destroyAll() error {
	seen := map[string]bool{}
	for _, said := range t.asked.Destroy {
		if seen[said] {
			continue
		}
		seen[said] = true
		e, err := t.find(said)
		if wrong := t.wrong(err); wrong != nil {
			t.out.notDestroyed(said, wrong)
			continue
		} else if err != nil {
			return err
		}
		if t.isKept(e.message.Key) {
			t.out.notDestroyed(said, &setError{Type: "forbidden", Description: "the draft that was to take its place could not be made"})
			continue
		}
		e.verb, e.said = destroys, said
		t.emails = append(t.emails, e)
		for _, p := range e.visible {
			t.expunge(e, p)
		}
	}
	return nil
}

// wrong is what an error means for one object; nil if it is none, or the whole call's.
func (t *emailChanging) wrong(err error) *setError {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*setError](err); ok {
		return e
	}
	if kind := mail.KindOf(err); kind == mail.Internal || kind == mail.Corrupt || kind == mail.Expired {
		return nil
	}
	return t.srv.setErrorOf(t.ctx, t.name, err)
}

// id is the id that a client means, also of what this call made.
func (t *emailChanging) id(said string) (string, bool) {
	if len(said) > 0 && said[0] == '#' {
		if id, ok := t.made[said[1:]]; ok {
			return id, true
		}
	}
	return t.idOf(said)
}

// find finds an email as JMAP shows it. It is not there when no placement is visible,
// or when an earlier try found that it can't be changed, which it says.
func (t *emailChanging) find(said string) (*settingEmail, error) {
	if wrong := t.emailSetting.refused[said]; wrong != nil {
		return nil, wrong
	}
	id, _ := t.id(said)
	if e := t.replaced[id]; e != nil {
		return e, nil // but for what is left of it elsewhere it is gone already
	}
	name, ok := mail.ParseEmailID(id)
	if !ok {
		return nil, errNotFound
	}
	m, err := t.tx.MessageByEmailID(name)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(t.emails, func(e *settingEmail) bool { return e.message.Key == m.Key }) {
		return nil, &setError{Type: "invalidPatch", Description: "the same call names this email twice"}
	}
	all, err := t.tx.PlacementsOf(m.Key)
	if err != nil {
		return nil, err
	}
	e := &settingEmail{message: m, visible: visiblePlacements(all)}
	if len(e.visible) == 0 {
		return nil, errNotFound
	}
	return e, nil
}

// visiblePlacements are those that JMAP shows.
func visiblePlacements(all []mail.Placement) []mail.Placement {
	return slices.DeleteFunc(slices.Clone(all), func(p mail.Placement) bool { return p.Flags.Has(mail.Deleted) })
}

// tell says what became of the emails.
func (t *emailChanging) tell() {
	for _, e := range t.emails {
		wrong := t.batch.refused[e.said]
		switch e.verb {
		case updates:
			if wrong != nil {
				t.out.notUpdated(e.said, wrong)
				continue
			}
			t.out.updated(e.said, e.more)
		case destroys:
			if wrong != nil {
				t.out.notDestroyed(e.said, wrong)
				continue
			}
			t.out.Destroyed = append(t.out.Destroyed, e.said)
		}
	}
}
