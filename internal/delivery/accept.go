package delivery

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Accept takes a message from the world in for recipients of ours. Without an
// error each of them has it, or it is durable in the queue for who could not be
// served now. If nobody could be, it is the sender's still.
func (s *Service) Accept(ctx context.Context, env *Envelope, body io.Reader) error {
	in, err := s.arrive(env, body)
	if err != nil {
		return err
	}
	defer in.close()
	in.prefix = append(returnPath(env.ReversePath), env.Hop.received(s.Hostname)...)
	a, err := s.put(ctx, in)
	if err != nil {
		return err
	}
	errs := s.commitAll(ctx, env, in, a)
	s.logDelivery(ctx, env, in, errs)
	failed := failures(env.Recipients, errs)
	if len(failed) == len(env.Recipients) {
		return worst(errs)
	}
	return s.enqueue(ctx, env, in, 0, failed)
}

// failures are the recipients with an error.
func failures(all []Recipient, errs []error) []Recipient {
	var failed []Recipient
	for i, err := range errs {
		if err != nil {
			failed = append(failed, all[i])
		}
	}
	return failed
}

// worst is an error that may pass if there is one: the sender then tries again.
func worst(errs []error) error {
	for _, err := range errs {
		if !isPermanent(err) {
			return err
		}
	}
	return errs[0]
}

// isPermanent reports whether trying again is in vain.
func isPermanent(err error) bool {
	switch mail.KindOf(err) {
	case mail.NotFound, mail.Invalid, mail.OverQuota, mail.Limit, mail.Denied:
		return err != nil
	}
	return false
}

// options are what the queue keeps of an envelope beside its columns.
type options struct {
	Notify   Notify `json:"notify,omitempty"`
	Original string `json:"orcpt,omitempty"`
	Return   Return `json:"ret,omitempty"`
	EnvID    string `json:"envid,omitempty"`
	UTF8     bool   `json:"utf8,omitempty"`
	EightBit bool   `json:"8bit,omitempty"`
	Once     string `json:"once"`             // key of the arrival, for a recipient of ours
	ID       string `json:"id,omitempty"`     // of the session it came in
	Answer   string `json:"answer,omitempty"` // of an automatic answer: its key

	OnceFor time.Duration `json:"oncefor,omitempty"` // of a submission that has a name
}

// deliveryID names what was handed in, so that handing it in again while it is
// still queued adds nothing.
func deliveryID(env *Envelope, sum []byte) string {
	switch {
	case len(env.Recipients) == 1 && env.Recipients[0].once != "":
		sum = []byte(env.Recipients[0].once)
	case env.Once != "":
		sum = []byte("named\x00" + env.Once)
	}
	h := sha256.Sum256([]byte("queue\x00" + env.ReversePath + "\x00" + string(sum)))
	return hex.EncodeToString(h[:16])
}

// enqueue makes the message durable in the queue for each recipient. The bytes
// are put whole: a row of the queue names one blob and not its parts.
func (s *Service) enqueue(ctx context.Context, env *Envelope, in *spool, from mail.AccountID, recipients []Recipient) error {
	switch {
	case len(recipients) == 0:
		return nil
	case s.Wake == nil: // what nobody will take out again is not accepted
		return mail.Errorf(mail.Unavailable, "not all recipients can be served now")
	}
	err := s.enqueueOnce(ctx, env, in, from, recipients)
	if mail.KindOf(err) == mail.Expired {
		err = s.enqueueOnce(ctx, env, in, from, recipients)
	}
	if err != nil {
		return err
	}
	s.Wake()
	s.counts.queued.Add(int64(len(recipients)))
	s.Log.InfoContext(ctx, "queued", "proto", env.Hop.Protocol, "session", env.Hop.ID, "size", in.whole(), "rcpts", len(recipients))
	return nil
}

func (s *Service) enqueueOnce(ctx context.Context, env *Envelope, in *spool, from mail.AccountID, recipients []Recipient) error {
	b, err := s.putWhole(ctx, in)
	if err != nil {
		return err
	}
	sum := in.sum.Sum(nil)
	now := env.Hop.Arrived
	if env.HoldUntil.After(now) {
		now = env.HoldUntil
	}
	answer := ""
	if env.answer != nil {
		answer = env.answer.key()
	}
	out := make([]store.Outgoing, len(recipients))
	first := map[mail.AccountID]string{} // key of each account's first address: it gets one copy
	for i, r := range recipients {
		once := env.onceKey(sum, &r)
		if r.Account != 0 {
			first[r.Account] = cmp.Or(first[r.Account], once)
			once = first[r.Account]
		}
		o, err := json.Marshal(options{
			Notify: r.Notify, Original: r.Original, Return: env.Return, EnvID: env.ID, UTF8: env.UTF8, EightBit: env.EightBit,
			Once: once, ID: env.Hop.ID, Answer: answer, OnceFor: env.OnceFor,
		})
		if err != nil {
			return err
		}
		account := from
		if account == 0 {
			account = r.Account
		}
		out[i] = store.Outgoing{Delivery: deliveryID(env, sum), Account: account, Blob: b, ReversePath: env.ReversePath, Recipient: r.Address, Options: o, Arrived: now, Next: now}
	}
	return s.enqueueUnsettled(ctx, env, out)
}
