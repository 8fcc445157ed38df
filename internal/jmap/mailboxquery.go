package jmap

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A mailboxCondition is what a FilterCondition of Mailbox/query asks (RFC 8621 §2.3):
// all of what is given. Of two properties null is a value.
type mailboxCondition struct {
	ParentID     given[string] `json:"parentId"`
	Name         *string       `json:"name"`
	Role         given[string] `json:"role"`
	HasAnyRole   *bool         `json:"hasAnyRole"`
	IsSubscribed *bool         `json:"isSubscribed"`
}

// given is a value that may be null, and whether it was said at all.
type given[T any] struct {
	is    bool
	value *T
}

// UnmarshalJSON implements json.Unmarshaler.
func (g *given[T]) UnmarshalJSON(b []byte) error {
	g.is = true
	return json.Unmarshal(b, &g.value)
}

// mailboxQueryArguments are those of Mailbox/query.
type mailboxQueryArguments struct {
	queryArguments
	mailboxTree
}

// mailboxTree says how what lies in another counts.
type mailboxTree struct {
	SortAsTree   bool `json:"sortAsTree"`
	FilterAsTree bool `json:"filterAsTree"`
}

// A mailboxQuery is what makes a list of mailboxes.
type mailboxQuery struct {
	filter *filter[mailboxCondition]
	sort   []comparator
	mailboxTree
	idOf   func(string) (string, bool)
	places map[mail.MailboxID]int // in the order of Mailbox/get
}

func (c *call) newMailboxQuery(raw json.RawMessage, sort []comparator, tree mailboxTree) (*mailboxQuery, error) {
	f, err := parseFilter[mailboxCondition](raw)
	if err != nil {
		return nil, err
	}
	if len(sort) > maxComparators {
		return nil, refused("unsupportedSort", "too much is sorted by")
	}
	for _, by := range sort {
		if by.Property != "sortOrder" && by.Property != "name" {
			return nil, refused("unsupportedSort", "mailboxes are not sorted by "+by.Property)
		}
	}
	return &mailboxQuery{filter: f, sort: sort, mailboxTree: tree, idOf: c.idOf}, nil
}

// run makes the list. It costs the number of mailboxes.
func (q *mailboxQuery) run(b *boxes) (list []*mail.Mailbox) {
	fits := map[mail.MailboxID]bool{}
	q.places = map[mail.MailboxID]int{}
	for i := range b.all {
		mb := &b.all[i]
		q.places[mb.ID] = i
		fits[mb.ID] = q.filter.matches(func(c *mailboxCondition) bool { return q.fits(b, mb, c) })
	}
	for i := range b.all {
		if mb := &b.all[i]; fits[mb.ID] && (!q.FilterAsTree || b.allAbove(mb, fits)) {
			list = append(list, mb)
		}
	}
	slices.SortStableFunc(list, func(x, y *mail.Mailbox) int {
		if q.SortAsTree {
			return q.compareInTree(b, x, y)
		}
		return q.compare(x, y)
	})
	return list
}

func (q *mailboxQuery) fits(b *boxes, mb *mail.Mailbox, c *mailboxCondition) bool {
	switch {
	case c.ParentID.is && !q.isParent(c.ParentID.value, mb.Parent),
		c.Name != nil && !strings.Contains(casemapped(shownName(*mb)), casemapped(*c.Name)),
		c.Role.is && (c.Role.value == nil) != (mb.Role == mail.NoRole),
		c.Role.is && c.Role.value != nil && string(mb.Role) != *c.Role.value,
		c.HasAnyRole != nil && *c.HasAnyRole != (mb.Role != mail.NoRole),
		c.IsSubscribed != nil && *c.IsSubscribed != b.subscribed[mb.Path]:
		return false
	}
	return true
}

func (q *mailboxQuery) isParent(said *string, id mail.MailboxID) bool {
	if said == nil {
		return id == 0
	}
	is, ok := q.idOf(*said)
	return ok && id != 0 && is == id.String()
}

// allAbove reports whether all mailboxes above one fit.
func (b *boxes) allAbove(mb *mail.Mailbox, fits map[mail.MailboxID]bool) bool {
	for at := b.byID[mb.Parent]; at != nil; at = b.byID[at.Parent] {
		if !fits[at.ID] {
			return false
		}
	}
	return true
}

// compare orders mailboxes by what was asked for, then as Mailbox/get gives them.
func (q *mailboxQuery) compare(x, y *mail.Mailbox) int {
	for _, by := range q.sort {
		n := cmp.Compare(x.SortOrder, y.SortOrder)
		if by.Property == "name" {
			fold := foldFor(by.Collation)
			n = strings.Compare(fold(shownName(*x)), fold(shownName(*y)))
		}
		if !by.ascending() {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return cmp.Compare(q.places[x.ID], q.places[y.ID])
}

// compareInTree puts what is above before what is below, and two that are neither as
// the nearest above them, or themselves, that have the same parent (RFC 8621 §2.3).
func (q *mailboxQuery) compareInTree(b *boxes, x, y *mail.Mailbox) int {
	above, beside := b.line(x), b.line(y)
	for i := range min(len(above), len(beside)) {
		if above[i] != beside[i] {
			return q.compare(above[i], beside[i])
		}
	}
	return cmp.Compare(len(above), len(beside))
}

// line is a mailbox and all above it, from the top.
func (b *boxes) line(mb *mail.Mailbox) (all []*mail.Mailbox) {
	for ; mb != nil; mb = b.byID[mb.Parent] {
		all = append(all, mb)
	}
	slices.Reverse(all)
	return all
}

// mailboxQueryMethod serves Mailbox/query (RFC 8621 §2.3).
func mailboxQueryMethod(ctx context.Context, c *call, a *mailboxQueryArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	q, err := c.newMailboxQuery(a.Filter, a.Sort, a.mailboxTree)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	c.anchored(&a.queryArguments)
	out := &queryAnswer{AccountID: a.AccountID, CanCalculateChanges: true}
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		b, err := readBoxes(r)
		if err != nil {
			return err
		}
		out.QueryState = stateOf(acct, mail.TypeMailbox)
		return a.window(boxIDs(q.run(b)), out)
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

func boxIDs(list []*mail.Mailbox) []string {
	ids := make([]string, len(list))
	for i, mb := range list {
		ids[i] = mb.ID.String()
	}
	return ids
}

// mailboxQueryChangesArguments are those of Mailbox/queryChanges (RFC 8621 §2.4).
type mailboxQueryChangesArguments struct {
	queryChangesArguments
	mailboxTree
}

// mailboxQueryChanges serves Mailbox/queryChanges. It costs the number of mailboxes.
func mailboxQueryChanges(ctx context.Context, c *call, a *mailboxQueryChangesArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	q, err := c.newMailboxQuery(a.Filter, a.Sort, a.mailboxTree)
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
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		out = a.answer()
		return a.fill(r, q, since, out)
	})
	if k := mail.KindOf(err); k == mail.TooOld || k == mail.Invalid {
		return noQueryState()
	}
	if err != nil {
		return err
	}
	return c.answer(out)
}

func (a *mailboxQueryChangesArguments) fill(r store.Reader, q *mailboxQuery, since mail.Token, out *queryChangesAnswer) error {
	acct, err := r.Account()
	if err != nil {
		return err
	}
	b, err := readBoxes(r)
	if err != nil {
		return err
	}
	list := q.run(b)
	if out.NewQueryState = stateOf(acct, mail.TypeMailbox); a.CalculateTotal {
		n := int64(len(list))
		out.Total = &n
	}
	if out.NewQueryState == a.SinceQueryState {
		return nil
	}
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypeMailbox, From: since.Epoch.At(since.ModSeq), Limit: maxMailboxDelta})
	if err != nil {
		return err
	}
	if page.More {
		return refused("cannotCalculateChanges", "too much has changed since; ask for the list anew")
	}
	came, touched := map[mail.MailboxID]bool{}, map[mail.MailboxID]bool{}
	for _, ch := range page.Changes {
		id := mail.MailboxID(ch.ID)
		switch {
		case ch.Op == mail.Created:
			came[id] = true
		case ch.Op == mail.Destroyed:
			out.Removed = append(out.Removed, id.String())
		case b.byID[id].PropsModSeq > since.ModSeq: // counts are nothing to a list
			touched[id] = true
		}
	}
	isTouched := func(mb *mail.Mailbox) bool { // by itself or, in a tree, by what is above it
		return slices.ContainsFunc(b.line(mb), func(at *mail.Mailbox) bool { return touched[at.ID] || came[at.ID] })
	}
	for i := range b.all {
		if mb := &b.all[i]; !came[mb.ID] && isTouched(mb) {
			out.Removed = append(out.Removed, mb.ID.String())
		}
	}
	for i, mb := range list {
		if isTouched(mb) {
			out.Added = append(out.Added, addedItem{mb.ID.String(), int64(i)})
		}
	}
	return a.bounded(out)
}

// maxMailboxDelta bounds the changes that Mailbox/queryChanges looks at.
const maxMailboxDelta = 2 * mail.MaxMailboxes
