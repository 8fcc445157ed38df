package jmap

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// emailQueryChangesArguments are those of Email/queryChanges (RFC 8621 §4.5).
type emailQueryChangesArguments struct {
	queryChangesArguments
	CollapseThreads bool `json:"collapseThreads"`
}

// maxQueryDelta bounds the changes that Email/queryChanges looks at.
const maxQueryDelta = 20_000

// An emailDelta is what became of an account's Emails since a state, by their places
// in the table.
type emailDelta struct {
	came    []bool // that were not there
	changed []bool // that were there, and may be in a list now, or no longer, or elsewhere in it
	threads []bool // of all that came, changed or left, by number, where they are asked for
	gone    []mail.EmailID
}

// emailQueryChanges serves Email/queryChanges. What changed since is looked up among
// the account's changes, and where it is now in the list of now; nothing is kept of lists
// that were answered. It costs what changed, and the list.
func emailQueryChanges(ctx context.Context, c *call, a *emailQueryChangesArguments) error {
	q, err := c.newEmailQuery(a.AccountID, a.Filter, a.Sort, a.CollapseThreads)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	since, ok := mail.ParseToken(a.SinceQueryState)
	if !ok {
		return noQueryState()
	}
	out := a.answer()
	err = q.run(ctx, 0, func(r store.Reader, t *emailTable, list []int32) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out = a.answer()
		out.NewQueryState = stateOf(acct, mail.TypeEmail)
		if a.CalculateTotal {
			n := int64(len(list))
			out.Total = &n
		}
		if out.NewQueryState == a.SinceQueryState {
			return nil
		}
		d, err := q.delta(r, t, since)
		if err != nil {
			return err
		}
		q.fill(out, t, list, d, a.upTo(q, t, list))
		return a.bounded(out)
	})
	if k := mail.KindOf(err); k == mail.TooOld || k == mail.Invalid {
		return noQueryState()
	}
	if err != nil {
		return err
	}
	return c.answer(out)
}

// upTo is how much of the list is asked for: what comes behind an Email of which the
// client knows nothing may be left out, if nothing in the list can have moved.
func (a *emailQueryChangesArguments) upTo(q *emailQuery, t *emailTable, list []int32) int {
	if a.UpToID == nil || q.isMutable() {
		return len(list)
	}
	id, _ := q.idOf(*a.UpToID)
	if at := t.placeIn(list, id); at >= 0 {
		return at + 1
	}
	return len(list)
}

// isMutable reports whether what stays may move, come or leave as it changes.
func (q *emailQuery) isMutable() bool { return q.filter.mutable || q.order.mutable || q.collapse }

// byThread reports whether an Email may move, come or leave as another of its thread
// changes.
func (q *emailQuery) byThread() bool {
	if q.collapse || len(q.filter.threads) > 0 {
		return true
	}
	for _, t := range q.order.threads {
		if t != nil {
			return true
		}
	}
	return false
}

// delta reads what changed since a state.
func (q *emailQuery) delta(r store.Reader, t *emailTable, since mail.Token) (*emailDelta, error) {
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: since.Epoch.At(since.ModSeq), Limit: maxQueryDelta})
	if err != nil {
		return nil, err
	}
	if page.More {
		return nil, refused("cannotCalculateChanges", "too much has changed since; ask for the list anew")
	}
	d := &emailDelta{came: make([]bool, len(t.rows)), changed: make([]bool, len(t.rows))}
	if q.byThread() {
		d.threads = make([]bool, len(t.names))
	}
	for _, ch := range page.Changes {
		at := t.find(mail.MessageKey(ch.ID))
		switch {
		case ch.Op == mail.Destroyed:
			d.gone = append(d.gone, ch.EmailID)
		case at < 0:
			return nil, mail.Errorf(mail.Internal, "a message is said to be there, and is not in the table")
		case ch.Op == mail.Created:
			d.came[at] = true
		default:
			d.changed[at] = q.isMutable()
		}
		if d.threads == nil {
			continue
		}
		n, there, err := threadOf(r, t, mail.MessageKey(ch.ID), at)
		if err != nil {
			return nil, err
		}
		if there {
			d.threads[n] = true
		}
	}
	return d, nil
}

// threadOf is the number of an Email's thread, also of one that left; there is none if
// nothing is left of that.
func threadOf(r store.Reader, t *emailTable, key mail.MessageKey, at int) (n uint32, there bool, err error) {
	if at >= 0 {
		return t.rows[at].thread, true, nil
	}
	m, err := r.Message(key)
	if err != nil {
		return 0, false, err
	}
	n, there = t.threads[m.Thread]
	return n, there, nil
}

// touches reports whether the Email at a place may have been at another place of the
// old list, or in only one of the two.
func (d *emailDelta) touches(t *emailTable, at int) bool {
	return d.came[at] || d.changed[at] || d.threads != nil && d.threads[t.rows[at].thread]
}

// fill says what a client does to its list. What was touched is taken out, if it can
// have been in, and put where it is now; all else stays where it is.
func (q *emailQuery) fill(out *queryChangesAnswer, t *emailTable, list []int32, d *emailDelta, upTo int) {
	for _, id := range d.gone {
		out.Removed = append(out.Removed, id.String())
	}
	for i := range t.rows {
		if d.touches(t, i) && !d.came[i] {
			out.Removed = append(out.Removed, t.rows[i].id.String())
		}
	}
	for i, at := range list[:upTo] {
		if d.touches(t, int(at)) {
			out.Added = append(out.Added, addedItem{t.rows[at].id.String(), int64(i)})
		}
	}
}
