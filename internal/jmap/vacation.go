package jmap

import (
	"context"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const vacationURN = "urn:ietf:params:jmap:vacationresponse"

// vacationID is that of the one there is (RFC 8621 §8).
const vacationID = "singleton"

var vacationProperties = []string{"id", "isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"}

// vacationResponse is what an account answers while its owner is away (RFC 8621 §8).
type vacationResponse struct {
	ID        string     `json:"id"`
	IsEnabled bool       `json:"isEnabled"`
	FromDate  *time.Time `json:"fromDate"`
	ToDate    *time.Time `json:"toDate"`
	Subject   *string    `json:"subject"`
	TextBody  *string    `json:"textBody"`
	HTMLBody  *string    `json:"htmlBody"`
}

// vacationOf shows a vacation as JMAP has it: with one text for everybody. Where
// another program gave people different ones, it is that for those nobody here knows,
// or the first there is.
func vacationOf(v mail.Vacation) vacationResponse {
	out := vacationResponse{ID: vacationID, IsEnabled: v.Enabled, Subject: orNull(v.Subject)}
	for _, at := range []struct {
		from time.Time
		to   **time.Time
	}{{v.From, &out.FromDate}, {v.Until, &out.ToDate}} {
		if !at.from.IsZero() {
			utc := at.from.UTC().Truncate(time.Second)
			*at.to = &utc
		}
	}
	for _, a := range []mail.VacationAnswer{v.Unknown, v.Known, v.Internal} {
		if !a.IsEmpty() {
			out.TextBody, out.HTMLBody = orNull(a.Text), orNull(a.HTML)
			break
		}
	}
	return out
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// over is a vacation with what was said of it. Texts that stay leave those alone that
// other programs gave to different people.
func (r vacationResponse) over(v mail.Vacation) mail.Vacation {
	was := vacationOf(v)
	v.Enabled, v.Subject = r.IsEnabled, value(r.Subject)
	v.From, v.Until = moment(r.FromDate), moment(r.ToDate)
	if value(was.TextBody) == value(r.TextBody) && value(was.HTMLBody) == value(r.HTMLBody) {
		return v
	}
	a := mail.VacationAnswer{Enabled: true, Text: value(r.TextBody), HTML: value(r.HTMLBody)}
	v.Internal, v.Known, v.Unknown = a, a, a
	return v
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// vacationState is the position of its last change.
func vacationState(r store.Reader) (string, error) {
	a, err := r.Account()
	if err != nil {
		return "", err
	}
	last, err := lastVacation(r, a, 0, 0)
	return mail.Token{Epoch: a.Epoch, ModSeq: last}.String(), err
}

// vacationGet serves VacationResponse/get (RFC 8621 §8.1).
func vacationGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	wanted, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, vacationProperties, vacationProperties)
	if err != nil {
		return err
	}
	out := newGetAnswer(a.AccountID)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		v, err := delivery.Vacation(r)
		if err != nil {
			return err
		}
		if all {
			wanted = []string{vacationID}
		}
		for _, id := range wanted {
			if id == vacationID {
				out.List = append(out.List, plainOf(vacationOf(v)).only(properties))
			} else {
				out.NotFound = append(out.NotFound, id)
			}
		}
		out.State, err = vacationState(r)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// vacationSet serves VacationResponse/set (RFC 8621 §8.2).
func vacationSet(ctx context.Context, c *call, a *setArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := c.bounded(a); err != nil {
		return err
	}
	var out *setAnswer
	_, err = c.srv.Store.Update(ctx, account, c.sess.Origin(), func(tx store.Tx) (err error) {
		out = &setAnswer{AccountID: a.AccountID}
		if out.OldState, err = vacationState(tx); err != nil {
			return err
		}
		if a.IfInState != nil && *a.IfInState != out.OldState {
			return refused("stateMismatch", "the state is "+out.OldState)
		}
		for creation := range a.Create {
			out.notCreated(creation, singleton())
		}
		for _, id := range a.Destroy {
			out.notDestroyed(id, singleton())
		}
		for id, p := range a.Update {
			if id != vacationID {
				out.notUpdated(id, errNotFound)
				continue
			}
			wrong, err := patchVacation(tx, p)
			if err != nil {
				wrong = c.srv.setErrorOf(ctx, c.name, err)
			}
			if wrong != nil {
				out.notUpdated(id, wrong)
				continue
			}
			out.updated(id, nil)
		}
		out.NewState, err = vacationState(tx)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

func singleton() *setError {
	return &setError{Type: "singleton", Description: "there is always one, and no other"}
}

func patchVacation(tx store.Tx, p patchObject) (*setError, error) {
	v, err := delivery.Vacation(tx)
	if err != nil {
		return nil, err
	}
	r, wrong := patched(vacationOf(v), p, "id")
	if wrong != nil {
		return wrong, nil
	}
	return nil, delivery.SetVacation(tx, r.over(v))
}
