package jmap

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// submissionSetArguments are those of EmailSubmission/set (RFC 8621 §7.5).
type submissionSetArguments struct {
	setArguments
	OnSuccessUpdateEmail  map[string]patchObject `json:"onSuccessUpdateEmail"`
	OnSuccessDestroyEmail []string               `json:"onSuccessDestroyEmail"`
}

// submissionSet serves EmailSubmission/set. To send costs the message once, and a
// transaction; all that is kept is read for each.
func submissionSet(ctx context.Context, c *call, a *submissionSetArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := c.bounded(&a.setArguments); err != nil {
		return err
	}
	s := &submissionSetting{call: c, ctx: ctx, account: account, out: &setAnswer{AccountID: a.AccountID}, emails: map[string]string{}}
	if s.out.OldState, err = s.state(); err != nil {
		return err
	}
	if a.IfInState != nil && *a.IfInState != s.out.OldState {
		return refused("stateMismatch", "the state is "+s.out.OldState)
	}
	for _, creation := range sortedKeys(a.Create) {
		if err := s.send(creation, a.Create[creation]); err != nil {
			s.out.notCreated(creation, c.srv.setErrorOf(ctx, c.name, err))
		}
	}
	for _, said := range sortedKeys(a.Update) {
		if err := s.update(said, a.Update[said]); err != nil {
			s.out.notUpdated(said, c.srv.setErrorOf(ctx, c.name, err))
		}
	}
	for _, said := range a.Destroy {
		if err := s.destroy(said); err != nil {
			s.out.notDestroyed(said, c.srv.setErrorOf(ctx, c.name, err))
		}
	}
	if s.out.NewState, err = s.state(); err != nil {
		return err
	}
	if err := c.answer(s.out); err != nil {
		return err
	}
	s.then(a)
	return nil
}

// submissionSetting is one EmailSubmission/set under way.
type submissionSetting struct {
	*call
	ctx     context.Context
	account mail.AccountID
	out     *setAnswer
	emails  map[string]string // by submission id, of what went well
}

func (s *submissionSetting) state() (state string, err error) {
	err = s.srv.Store.View(s.ctx, s.account, func(r store.Reader) error {
		acct, err := r.Account()
		state = stateOf(acct, mail.TypeSubmission)
		return err
	})
	return state, err
}

// then changes the emails of what went well, as an Email/set whose answer follows
// (RFC 8621 §7.5).
func (s *submissionSetting) then(a *submissionSetArguments) {
	emails := setArguments{AccountID: a.AccountID, Update: map[string]patchObject{}}
	for _, said := range sortedKeys(a.OnSuccessUpdateEmail) {
		if email, ok := s.emailOf(said); ok {
			emails.Update[email] = a.OnSuccessUpdateEmail[said]
		}
	}
	for _, said := range a.OnSuccessDestroyEmail {
		if email, ok := s.emailOf(said); ok && !slices.Contains(emails.Destroy, email) {
			emails.Destroy = append(emails.Destroy, email)
		}
	}
	s.implied(s.ctx, &emails)
}

// implied makes an Email/set that another call implies, whose answer follows that of
// the call.
func (c *call) implied(ctx context.Context, a *setArguments) {
	if len(a.Update)+len(a.Destroy) == 0 {
		return
	}
	args, err := json.Marshal(a)
	if err != nil {
		panic(err) // it was read from JSON
	}
	set := &call{request: c.request, name: "Email/set", id: c.id, args: args}
	if err := methods["Email/set"].serve(ctx, set); err != nil {
		c.respond("error", c.id, c.srv.methodErrorOf(ctx, set.name, err))
	}
}

func (s *submissionSetting) emailOf(said string) (string, bool) {
	id, ok := s.idOf(said)
	email, known := s.emails[id]
	return email, ok && known
}

// find finds what is kept of a submission.
func (s *submissionSetting) find(r store.Reader, said string) (*submission, error) {
	id, _ := s.idOf(said)
	n, ok := parseSubmissionID(id)
	if !ok {
		return nil, errNotFound
	}
	o, err := r.Object(mail.TypeSubmission, n)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	return readSubmission(o)
}

// update takes a submission back, which is all that can be changed of one.
func (s *submissionSetting) update(said string, p patchObject) error {
	var is *submission
	err := s.srv.Store.View(s.ctx, s.account, func(r store.Reader) (err error) {
		is, err = s.find(r, said)
		return err
	})
	if err != nil {
		return err
	}
	cancel := false
	for name, raw := range p {
		want := ""
		if name != "undoStatus" || json.Unmarshal(raw, &want) != nil {
			return invalidProperties("only undoStatus can be changed", name)
		}
		switch now := is.undoStatus(s.srv.now()); {
		case want == now:
		case want != undoCanceled:
			return invalidProperties("it can be set to canceled", name)
		case now != undoPending:
			return cannotUnsend()
		default:
			cancel = true
		}
	}
	if cancel {
		if err := s.cancel(said, is); err != nil {
			return err
		}
	}
	s.out.updated(said, nil)
	s.emails[submissionID(is.object)] = is.Email
	return nil
}

func cannotUnsend() error {
	return &setError{Type: "cannotUnsend", Description: "it is on its way, or has arrived"}
}

// cancel takes it out of the queue, if nobody has begun with it, and then notes it. If
// it is out and could not be noted, the client hears an error and asks again: what is
// out is then noted too.
func (s *submissionSetting) cancel(said string, is *submission) error {
	n, err := s.srv.Delivery.Queue.Withdraw(s.ctx, s.account, is.Delivery, s.srv.now())
	if err != nil {
		return err
	}
	if n == 0 {
		left, err := s.srv.Delivery.Queue.Queued(s.ctx, s.account, is.Delivery)
		if err != nil {
			return err
		}
		if len(left) > 0 || !s.srv.now().Before(is.SendAt) {
			return cannotUnsend()
		}
	}
	_, err = s.srv.Store.Update(s.ctx, s.account, s.sess.Origin(), func(tx store.Tx) error {
		is, err := s.find(tx, said)
		if err != nil {
			return err
		}
		is.Canceled, is.Status = true, nil
		return is.put(tx)
	})
	return err
}

// destroy forgets a submission. What is on its way goes on.
func (s *submissionSetting) destroy(said string) error {
	var is *submission
	_, err := s.srv.Store.Update(s.ctx, s.account, s.sess.Origin(), func(tx store.Tx) (err error) {
		if is, err = s.find(tx, said); err != nil {
			return err
		}
		return tx.DropObject(mail.TypeSubmission, is.object)
	})
	if err != nil {
		return err
	}
	s.out.Destroyed = append(s.out.Destroyed, said)
	s.emails[submissionID(is.object)] = is.Email
	return nil
}

// note keeps a submission that delivery has, and forgets old ones that are done.
func (s *submissionSetting) note(is *submission) error {
	_, err := s.srv.Store.Update(s.ctx, s.account, s.sess.Origin(), func(tx store.Tx) error {
		is.object = 0
		all, err := submissions(tx)
		if err != nil {
			return err
		}
		now := s.srv.now()
		for i, old := range all {
			if old.undoStatus(now) == undoPending || len(all)-i < maxSubmissions && now.Sub(old.SendAt) < keepSubmissions {
				continue
			}
			if err := tx.DropObject(mail.TypeSubmission, old.object); err != nil {
				return err
			}
		}
		return is.put(tx)
	})
	return err
}

// Outcome notes what became of a recipient of a submission; it is delivery's to call.
func (s *Server) Outcome(ctx context.Context, o delivery.Outcome) {
	s.init()
	s.outcomes.mu.Lock()
	defer s.outcomes.mu.Unlock()
	found, err := s.noteOutcome(ctx, o.Account, o.Delivery, map[string]status{o.Recipient: statusOf(o.Reply, delivered[o.Fate])})
	if err != nil {
		s.Log.ErrorContext(ctx, "outcome of a submission", "proto", "jmap", "err", err)
		return
	}
	if found {
		return
	}
	is := statusOf(o.Reply, delivered[o.Fate])
	if early := s.outcomes.early[o.Delivery]; early != nil {
		early[o.Recipient] = is
	} else if s.Files != nil {
		err = s.outcomeElsewhere(ctx, o, is)
	}
	if err != nil {
		s.Log.ErrorContext(ctx, "outcome of a submission", "proto", "jmap", "err", err)
	}
}

// noteOutcome reports whether there is a submission that the outcome is of.
func (s *Server) noteOutcome(ctx context.Context, account mail.AccountID, delivery string, of map[string]status) (found bool, err error) {
	by := mail.NewOrigin("queue", 0, mail.Local, mail.ByDelivery)
	_, err = s.Store.Update(ctx, account, by, func(tx store.Tx) error {
		found = false
		all, err := submissions(tx)
		if err != nil {
			return err
		}
		for _, is := range all {
			if is.Delivery != delivery {
				continue
			}
			found = true
			if is.Status == nil {
				is.Status = map[string]status{}
			}
			maps.Copy(is.Status, of)
			return is.put(tx)
		}
		return nil
	})
	return found, err
}

// earlyOutcome notes what was heard of a submission before it was noted itself.
func (s *Server) earlyOutcome(ctx context.Context, account mail.AccountID, is *submission) error {
	s.outcomes.mu.Lock()
	defer s.outcomes.mu.Unlock()
	of, err := s.outcomesOf(ctx, is.Delivery)
	if err != nil || len(of) == 0 {
		return err
	}
	_, err = s.noteOutcome(ctx, account, is.Delivery, of)
	return err
}

// foldParameters folds the names of ESMTP parameters, which are the same in any case.
func foldParameters(all map[string]*string) map[string]*string {
	out := make(map[string]*string, len(all))
	for name, v := range all {
		out[strings.ToUpper(name)] = v
	}
	return out
}
