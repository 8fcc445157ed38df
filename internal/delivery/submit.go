package delivery

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// Submit takes a message in from somebody who signed in (RFC 6409). It adds what
// a message has to have and refuses one whose From is not the account's own.
// Without an error each recipient is committed here or durable in the queue; with
// one, handing it in again makes no second copy. What is to be held is in the queue
// for everybody.
func (s *Service) Submit(ctx context.Context, from mail.AccountID, env *Envelope, body io.Reader) error {
	in, err := s.arrive(env, body)
	if err != nil {
		return err
	}
	defer in.close()
	h, err := in.header()
	if err != nil {
		return err
	}
	if err := s.checkAuthors(ctx, from, h); err != nil {
		return err
	}
	in.prefix = append(env.Hop.received(s.Hostname), s.missingFields(h, env.Hop.Arrived)...)
	if !env.HoldUntil.IsZero() {
		return s.enqueue(ctx, env, in, from, env.Recipients)
	}
	ours, elsewhere := divide(env)
	errs, err := s.commitOurs(ctx, ours, in)
	if err != nil {
		return err
	}
	s.logDelivery(ctx, env, in, errs)
	failed := failures(ours.Recipients, errs)
	if len(elsewhere) == 0 && len(failed) == len(errs) {
		return worst(errs)
	}
	if err := s.enqueue(ctx, env, in, from, append(elsewhere, failed...)); err != nil {
		return err
	}
	s.reportDelivered(ctx, ours, in, errs)
	return nil
}

// divide separates the recipients of ours from those elsewhere.
func divide(env *Envelope) (ours *Envelope, elsewhere []Recipient) {
	local := *env
	local.Recipients = nil
	for _, r := range env.Recipients {
		if r.Account != 0 {
			local.Recipients = append(local.Recipients, r)
		} else {
			elsewhere = append(elsewhere, r)
		}
	}
	return &local, elsewhere
}

func (s *Service) commitOurs(ctx context.Context, ours *Envelope, in *spool) ([]error, error) {
	if len(ours.Recipients) == 0 {
		return nil, nil
	}
	a, err := s.put(ctx, in)
	if err != nil {
		return nil, err
	}
	return s.commitAll(ctx, ours, in, a), nil
}

// checkAuthors wants every author, and the sender if one is named, to be the
// account's own. A CR alone is a line end here, as it is one on the way out: an author
// behind it would come to light there.
func (s *Service) checkAuthors(ctx context.Context, account mail.AccountID, h message.Header) error {
	h = message.Header(strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n").Replace(string(h)))
	seen := false
	for f := range h.Fields() {
		isFrom := strings.EqualFold(f.Name, "From")
		if !isFrom && !strings.EqualFold(f.Name, "Sender") {
			continue
		}
		for _, a := range message.ParseAddresses(f.Value()) {
			if a.IsGroupStart() || a.IsGroupEnd() {
				continue
			}
			seen = seen || isFrom
			ok, err := s.MaySendAs(ctx, account, a.Mailbox+"@"+a.Host)
			if err != nil {
				return err
			}
			if !ok {
				return mail.Errorf(mail.Denied, "you may not send as %s@%s", a.Mailbox, a.Host)
			}
		}
	}
	if !seen {
		return mail.Errorf(mail.Invalid, "the message has no author in a From field")
	}
	return nil
}

// missingFields are Date and Message-ID where the message lacks them (RFC 6409
// §8.2, §8.3).
func (s *Service) missingFields(h message.Header, now time.Time) []byte {
	var b []byte
	if _, ok := h.Get("Date"); !ok {
		b = fmt.Appendf(b, "Date: %s\r\n", now.Format(time.RFC1123Z))
	}
	if _, ok := h.Get("Message-ID"); !ok {
		b = fmt.Appendf(b, "Message-ID: %s\r\n", s.newMessageID())
	}
	return b
}

func (s *Service) newMessageID() string { return "<" + rand.Text() + "@" + s.Hostname + ">" }
