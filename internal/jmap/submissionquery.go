package jmap

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// submissionCondition is what EmailSubmission/query filters by (RFC 8621 §7.3).
type submissionCondition struct {
	IdentityIDs *[]string  `json:"identityIds"`
	EmailIDs    *[]string  `json:"emailIds"`
	ThreadIDs   *[]string  `json:"threadIds"`
	UndoStatus  *string    `json:"undoStatus"`
	Before      *time.Time `json:"before"`
	After       *time.Time `json:"after"`
}

func (f *submissionCondition) holds(s *submission, now time.Time) bool {
	for _, c := range []struct {
		want *[]string
		is   string
	}{{f.IdentityIDs, s.Identity}, {f.EmailIDs, s.Email}, {f.ThreadIDs, s.Thread}} {
		if c.want != nil && !slices.Contains(*c.want, c.is) {
			return false
		}
	}
	at := s.SendAt.Truncate(time.Second) // as clients see it
	return (f.UndoStatus == nil || *f.UndoStatus == s.undoStatus(now)) &&
		(f.Before == nil || at.Before(*f.Before)) && (f.After == nil || !at.Before(*f.After))
}

// submissionOrders are what it sorts by.
var submissionOrders = map[string]func(a, b *submission) int{
	"emailId":  func(a, b *submission) int { return strings.Compare(a.Email, b.Email) },
	"threadId": func(a, b *submission) int { return strings.Compare(a.Thread, b.Thread) },
	"sentAt":   func(a, b *submission) int { return a.SendAt.Compare(b.SendAt) },
	"sendAt":   func(a, b *submission) int { return a.SendAt.Compare(b.SendAt) }, // as the property is called
}

// submissionQuery serves EmailSubmission/query (RFC 8621 §7.3). It costs what is kept.
func submissionQuery(ctx context.Context, c *call, a *queryArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	f, err := parseFilter[submissionCondition](a.Filter)
	if err != nil {
		return err
	}
	for _, by := range a.Sort {
		if submissionOrders[by.Property] == nil {
			return refused("unsupportedSort", "submissions are not sorted by "+by.Property)
		}
	}
	out := &queryAnswer{AccountID: a.AccountID}
	var list []*submission
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.QueryState = stateOf(acct, mail.TypeSubmission)
		list, err = submissions(r)
		return err
	})
	if err != nil {
		return err
	}
	now := c.srv.now()
	list = slices.DeleteFunc(list, func(s *submission) bool {
		return !f.matches(func(cond *submissionCondition) bool { return cond.holds(s, now) })
	})
	slices.SortStableFunc(list, func(x, y *submission) int {
		for _, by := range a.Sort {
			d := submissionOrders[by.Property](x, y)
			if d != 0 && by.ascending() {
				return d
			} else if d != 0 {
				return -d
			}
		}
		return cmp.Compare(x.object, y.object)
	})
	ids := []string{}
	for _, s := range list {
		ids = append(ids, submissionID(s.object))
	}
	a.CalculateTotal = true // it is known, and some clients count on it
	if err := a.window(ids, out); err != nil {
		return err
	}
	return c.answer(out)
}

// queryChangesArguments are those of Foo/queryChanges (§5.6), for types of whose
// queries nobody keeps what they were.
type plainQueryChanges struct {
	queryArguments
	SinceQueryState string  `json:"sinceQueryState"`
	MaxChanges      *int64  `json:"maxChanges"`
	UpToID          *string `json:"upToId"`
}

// submissionQueryChanges serves EmailSubmission/queryChanges (RFC 8621 §7.4): which
// submissions a filter found before is not known, as what can be taken back passes
// with time. Who knows the state that holds hears that.
func submissionQueryChanges(ctx context.Context, c *call, a *plainQueryChanges) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if _, err := parseFilter[submissionCondition](a.Filter); err != nil {
		return err
	}
	now := ""
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		now = stateOf(acct, mail.TypeSubmission)
		return err
	})
	if err != nil {
		return err
	}
	if a.SinceQueryState != now {
		return refused("cannotCalculateChanges", "ask for the list again; it is short")
	}
	return c.answer(object{"accountId": a.AccountID, "oldQueryState": now, "newQueryState": now, "removed": []string{}, "added": []object{}})
}
