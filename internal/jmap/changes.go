package jmap

import (
	"cmp"
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// changesArguments are those of Foo/changes (§5.2).
type changesArguments struct {
	AccountID  string `json:"accountId"`
	SinceState string `json:"sinceState"`
	MaxChanges *int64 `json:"maxChanges"`
}

// changesAnswer is what Foo/changes answers.
type changesAnswer struct {
	AccountID      string   `json:"accountId"`
	OldState       string   `json:"oldState"`
	NewState       string   `json:"newState"`
	HasMoreChanges bool     `json:"hasMoreChanges"`
	Created        []string `json:"created"`
	Updated        []string `json:"updated"`
	Destroyed      []string `json:"destroyed"`
}

// stateOf is the state of a type: the position of its last change.
func stateOf(a mail.Account, t mail.Type) string {
	return mail.Token{Epoch: a.Epoch, ModSeq: a.Last[t]}.String()
}

// changed collects one page of a type's changes since a state. It costs what
// changed, however much there is.
func (c *call) changed(ctx context.Context, a *changesArguments, t mail.Type, idOf func(mail.Change) string) (*changesAnswer, error) {
	account, err := c.account(a.AccountID)
	if err != nil {
		return nil, err
	}
	limit := maxChanges
	if a.MaxChanges != nil {
		if *a.MaxChanges <= 0 {
			return nil, invalidArguments("maxChanges is greater than 0", "maxChanges")
		}
		limit = int(min(*a.MaxChanges, maxChanges))
	}
	from, ok := mail.ParsePosition(a.SinceState)
	if !ok {
		return nil, refused("cannotCalculateChanges", "sinceState is no state of this server; start over with a get")
	}
	out := &changesAnswer{AccountID: a.AccountID, OldState: a.SinceState, Created: []string{}, Updated: []string{}, Destroyed: []string{}}
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error { return out.fill(r, t, from, limit, idOf) })
	if mail.KindOf(err) == mail.Invalid {
		return nil, refused("cannotCalculateChanges", "sinceState was never given out; start over with a get")
	}
	return out, err
}

// fill reads a page. Who knows the state that holds has nothing to hear, also when
// history no longer reaches back to the change that made it.
func (out *changesAnswer) fill(r store.Reader, t mail.Type, from mail.Position, limit int, idOf func(mail.Change) string) error {
	acct, err := r.Account()
	if err != nil {
		return err
	}
	now := stateOf(acct, t)
	if from.String() == now {
		out.NewState = now
		return nil
	}
	page, err := r.Changes(store.ChangeQuery{Type: t, From: from, Limit: limit})
	if err != nil {
		return err
	}
	if t == mail.TypeEmail {
		if page.Changes, err = cameBack(r, from, acct.Head, page.Changes); err != nil {
			return err
		}
	}
	for _, ch := range page.Changes {
		switch ch.Op {
		case mail.Created:
			out.Created = append(out.Created, idOf(ch))
		case mail.Updated:
			out.Updated = append(out.Updated, idOf(ch))
		case mail.Destroyed:
			out.Destroyed = append(out.Destroyed, idOf(ch))
		}
	}
	out.HasMoreChanges, out.NewState = page.More, page.Next.String()
	if !page.More && page.Next.Since >= acct.Last[t] {
		out.NewState = now // the one that a get tells at this moment
	}
	return nil
}

// cameBack tells once of what left and came again under its id, as an email does that
// was moved to another account and back: who knew it knows another state of it
// (RFC 8620 §5.2). That it came and that it left may be in different pages.
func cameBack(r store.Reader, from mail.Position, head mail.ModSeq, changes []mail.Change) ([]mail.Change, error) {
	target := cmp.Or(from.Target, head)
	told := changes[:0]
	for _, ch := range changes {
		var also bool
		var err error
		switch ch.Op {
		case mail.Created:
			if also, err = r.EmailAt(ch.EmailID, from.Since); also {
				ch.Op = mail.Updated
			}
		case mail.Destroyed:
			if also, err = r.EmailAt(ch.EmailID, target); also {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		told = append(told, ch)
	}
	return told, nil
}
