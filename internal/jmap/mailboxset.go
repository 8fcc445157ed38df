package jmap

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// mailboxSetArguments are those of Mailbox/set (RFC 8621 §2.5).
type mailboxSetArguments struct {
	setArguments
	OnDestroyRemoveEmails bool `json:"onDestroyRemoveEmails"`
}

// mailboxSet serves Mailbox/set. All that is asked for is one transaction and one
// record of the journal; what of it can't be done is left out.
func mailboxSet(ctx context.Context, c *call, a *mailboxSetArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := c.bounded(&a.setArguments); err != nil {
		return err
	}
	var t *mailboxChanging
	_, err = c.srv.Store.Update(ctx, account, c.sess.Origin(), func(tx store.Tx) error {
		t = &mailboxChanging{call: c, ctx: ctx, tx: tx, asked: a, made: map[string]string{}}
		return t.all()
	})
	if err != nil {
		return err
	}
	maps.Copy(c.created, t.made)
	return c.answer(t.out)
}

// mailboxChanging is one Mailbox/set in its transaction, which may run again.
type mailboxChanging struct {
	*call
	ctx        context.Context
	tx         store.Tx
	asked      *mailboxSetArguments
	out        *setAnswer
	made       map[string]string // creation ids to ids
	subscribed map[string]bool   // paths; nil is not known
}

// maxSetRounds bounds how often what had to wait for another change is tried again:
// as deep as mailboxes lie in each other.
const maxSetRounds = mail.MaxMailboxDepth + 1

func (t *mailboxChanging) all() error {
	before, err := t.tx.Account()
	if err != nil {
		return err
	}
	t.out = &setAnswer{AccountID: t.asked.AccountID, OldState: stateOf(before, mail.TypeMailbox)}
	if t.asked.IfInState != nil && *t.asked.IfInState != t.out.OldState {
		return refused("stateMismatch", "the state is "+t.out.OldState)
	}
	for _, step := range []struct {
		all     []string
		do      func(string) error
		refused func(string, *setError)
	}{
		{slices.Sorted(maps.Keys(t.asked.Create)), t.create, t.out.notCreated},
		{slices.Sorted(maps.Keys(t.asked.Update)), t.update, t.out.notUpdated},
		{slices.Compact(slices.Sorted(slices.Values(t.asked.Destroy))), t.destroy, t.out.notDestroyed},
	} {
		if err := t.inAnyOrder(step.all, step.do, step.refused); err != nil {
			return err
		}
	}
	after, err := t.tx.Account()
	t.out.NewState = stateOf(after, mail.TypeMailbox)
	return err
}

// inAnyOrder does what is asked for, whichever waits for which: a parent that is made
// by the same call, a name that another gives up, a child that goes too.
func (t *mailboxChanging) inAnyOrder(all []string, do func(string) error, refused func(string, *setError)) error {
	for round := 1; len(all) > 0; round++ {
		var left []string
		wrong := map[string]*setError{}
		for _, id := range all {
			err := do(id)
			if err == nil {
				continue
			}
			e, mine := t.wrong(err)
			if !mine {
				return err
			}
			left, wrong[id] = append(left, id), e
		}
		if len(left) == len(all) || round == maxSetRounds {
			for id, e := range wrong {
				refused(id, e)
			}
			return nil
		}
		all = left
	}
	return nil
}

// wrong tells what is wrong with one object from what is wrong with us.
func (t *mailboxChanging) wrong(err error) (*setError, bool) {
	if e, ok := err.(*setError); ok {
		return e, true
	}
	switch mail.KindOf(err) {
	case mail.NotFound, mail.Exists, mail.Invalid, mail.Limit, mail.Denied, mail.HasChildren, mail.OverQuota:
		return t.srv.setErrorOf(t.ctx, t.name, err), true
	}
	return nil, false
}

// id is idOf, with what this call made.
func (t *mailboxChanging) id(said string) string {
	if creation, isReference := strings.CutPrefix(said, "#"); isReference {
		if id, ok := t.made[creation]; ok {
			return id
		}
	}
	id, _ := t.idOf(said)
	return id
}

// find finds a mailbox.
func (t *mailboxChanging) find(said string) (mail.Mailbox, error) {
	id, ok := parseMailboxID(t.id(said))
	if !ok {
		return mail.Mailbox{}, errNotFound
	}
	mb, err := t.tx.Mailbox(id)
	if mail.KindOf(err) == mail.NotFound {
		err = errNotFound
	}
	return mb, err
}

// isSubscribed reports whether a path is subscribed.
func (t *mailboxChanging) isSubscribed(path string) (bool, error) {
	if t.subscribed == nil {
		paths, err := t.tx.Subscriptions()
		if err != nil {
			return false, err
		}
		t.subscribed = map[string]bool{}
		for _, p := range paths {
			t.subscribed[p] = true
		}
	}
	return t.subscribed[path], nil
}

func (t *mailboxChanging) subscribe(path string, want bool) error {
	is, err := t.isSubscribed(path)
	if err != nil || is == want {
		return err
	}
	if t.subscribed[path] = want; want {
		return t.tx.Subscribe(path)
	}
	return t.tx.Unsubscribe(path)
}

func (t *mailboxChanging) create(creation string) error {
	var given object
	if err := json.Unmarshal(t.asked.Create[creation], &given); err != nil || given == nil {
		return invalidProperties("a mailbox is an object")
	}
	want, err := t.wish(given, mail.Mailbox{})
	if err != nil {
		return err
	}
	fresh, err := t.unborn(want.Parent)
	if err != nil {
		return err
	}
	if e := onlySettable(fresh, given, mailboxProperties, mailboxSettable, false); e != nil {
		return e
	}
	mb, err := t.tx.CreateMailbox(want.MailboxImage)
	if err != nil {
		return t.misfit(err, 0, want.MailboxImage)
	}
	if err := t.subscribe(mb.Path, want.subscribed); err != nil {
		return err
	}
	if t.out.Created == nil {
		t.out.Created = map[string]object{}
	}
	told := mailboxObject(mb, want.subscribed)
	for name, v := range given {
		if name != "name" || v == told[name] {
			delete(told, name)
		}
	}
	t.out.Created[creation], t.made[creation] = told, mb.ID.String()
	return nil
}

// unborn is what a new mailbox below another will be, but for its id.
func (t *mailboxChanging) unborn(parent mail.MailboxID) (object, error) {
	var above mail.Mailbox
	if parent != 0 {
		var err error
		if above, err = t.tx.Mailbox(parent); err != nil {
			return nil, err
		}
		above.Path += mail.Delimiter
	}
	o := plainObject(mailboxObject(mail.Mailbox{Path: above.Path}, false))
	delete(o, "id")
	return o, nil
}

func (t *mailboxChanging) update(said string) error {
	mb, err := t.find(said)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(t.asked.Destroy, func(d string) bool { return t.id(d) == mb.ID.String() }) {
		return &setError{Type: "willDestroy", Description: "the same call destroys it"}
	}
	subscribed, err := t.isSubscribed(mb.Path)
	if err != nil {
		return err
	}
	now := plainObject(mailboxObject(mb, subscribed))
	then, wrong := t.asked.Update[said].apply(now)
	if wrong != nil {
		return wrong
	}
	if e := onlySettable(now, then, mailboxProperties, mailboxSettable, true); e != nil {
		return e
	}
	want, err := t.wish(then, mb)
	if err != nil {
		return err
	}
	if err := t.tx.SetMailbox(mb.ID, want.MailboxImage); err != nil {
		return t.misfit(err, mb.ID, want.MailboxImage)
	}
	after, err := t.tx.Mailbox(mb.ID)
	if err != nil {
		return err
	}
	if after.Path != mb.Path { // subscriptions went along
		t.subscribed = nil
	}
	if err := t.subscribe(after.Path, want.subscribed); err != nil {
		return err
	}
	var told object
	if name, ok := then["name"].(string); ok && name != shownName(after) {
		told = object{"name": shownName(after)}
	}
	t.out.updated(said, told)
	return nil
}

func (t *mailboxChanging) destroy(said string) error {
	mb, err := t.find(said)
	switch {
	case err != nil:
		return err
	case mb.Role == mail.RoleInbox:
		return &setError{Type: "forbidden", Description: "the inbox stays"}
	}
	err = t.mayDestroy(mb)
	if err == nil {
		err = t.tx.DeleteMailbox(mb.ID)
	}
	if err == nil {
		err = t.subscribe(mb.Path, false)
	}
	switch mail.KindOf(err) {
	case mail.Limit: // the account's guard holds it back
		return &setError{Type: "forbidden", Description: mail.DetailOf(err)}
	case mail.HasChildren:
		return &setError{Type: "mailboxHasChild"}
	}
	if err == nil {
		t.out.Destroyed = append(t.out.Destroyed, mb.ID.String())
	}
	return err
}

// mayDestroy says whether what lies in a mailbox keeps it: first others, then mail.
func (t *mailboxChanging) mayDestroy(mb mail.Mailbox) error {
	if t.asked.OnDestroyRemoveEmails || mb.Counts.Emails == 0 {
		return nil
	}
	all, err := t.tx.Mailboxes()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(below mail.Mailbox) bool { return below.Parent == mb.ID }) {
		return mail.Errorf(mail.HasChildren, "there are mailboxes below it")
	}
	return &setError{Type: "mailboxHasEmail"}
}
