package delivery

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// An answer is what an account whose owner is away says to one sender (RFC 3834,
// RFC 5230). Used by one delivery.
type answer struct {
	account mail.AccountID
	to      Recipient
	from    string // the address of the account that was written to
	says    mail.VacationAnswer
	subject string
	header  message.Header // of what is answered
	memory  answered
	owed    bool // the transaction that brought the message in says it is to be given
}

// answerTo decides whether and what a message that is about to be committed for r
// is answered; nil is not at all. Whatever goes wrong, the message is delivered, and
// no answer is better than a wrong one.
func (s *Service) answerTo(ctx context.Context, env *Envelope, in *spool, r *Recipient, v mail.Vacation, once string) *answer {
	now := time.Now()
	if env.ReversePath == "" || !v.In(now) || !mayBeAnswered(env.ReversePath) {
		return nil
	}
	a, err := s.decide(ctx, env, in, r, v)
	if err != nil {
		s.Log.WarnContext(ctx, "no automatic answer", "session", env.Hop.ID, "err", err)
		return nil
	}
	if a != nil {
		a.memory = newAnswered(env.ReversePath, a.subject, a.says, once, now)
	}
	return a
}

func (s *Service) decide(ctx context.Context, env *Envelope, in *spool, r *Recipient, v mail.Vacation) (*answer, error) {
	h, err := in.header()
	if err != nil || !wantsAnswer(h) {
		return nil, err
	}
	own, err := s.Directory.Addresses(ctx, r.Account)
	if err != nil || !addressed(h, r, own) {
		return nil, err
	}
	to, err := s.AnyRecipient(ctx, env.ReversePath, 0)
	if err != nil && mail.KindOf(err) != mail.Internal {
		return nil, nil // nobody would hear it
	}
	if err != nil || to.Account == r.Account {
		return nil, err
	}
	says, err := s.audience(ctx, r.Account, own, to, v)
	if err != nil || says.IsEmpty() {
		return nil, err
	}
	return &answer{account: r.Account, to: to, from: ownAddress(r, own), says: says, subject: v.Subject, header: h}, nil
}

// neverAnswered are local parts that no person reads: RFC 5230 §4.6 names most, and
// people the others.
var neverAnswered = []string{"mailer-daemon", "listserv", "majordomo", "noreply", "no-reply", "donotreply", "do-not-reply", "bounce", "bounces"}

// mayBeAnswered reports whether a reverse path can be that of a person (RFC 3834
// §2, RFC 5230 §4.6).
func mayBeAnswered(reversePath string) bool {
	local, _, err := SplitAddress(reversePath)
	if err != nil {
		return false // also the null reverse path
	}
	local = strings.ToLower(local)
	user, _, _ := strings.Cut(local, subaddressSeparator)
	return !strings.HasPrefix(local, "owner-") && !strings.HasSuffix(local, "-request") && !strings.HasSuffix(local, "-bounces") &&
		!strings.HasPrefix(local, "bounce-") && !slices.Contains(neverAnswered, user)
}

// wantsAnswer reports whether a person sent the message to people, by its header
// (RFC 3834 §2, RFC 5230 §4.6; MS-OXCMAIL for X-Auto-Response-Suppress).
func wantsAnswer(h message.Header) bool {
	for f := range h.Fields() {
		name, value := strings.ToLower(f.Name), strings.ToLower(f.Value())
		word := value
		if i := strings.IndexAny(word, "; \t("); i >= 0 {
			word = word[:i]
		}
		switch {
		case name == "auto-submitted" && word != "no",
			strings.HasPrefix(name, "list-"),
			name == "precedence" && (word == "bulk" || word == "list" || word == "junk"),
			name == "x-auto-response-suppress" && suppresses(value),
			name == "x-autoreply", name == "x-autorespond", name == "x-loop",
			name == "x-spam-flag" && word == "yes",
			name == "content-type" && (word == "multipart/report" || strings.HasPrefix(word, "message/")):
			return false
		}
	}
	return true
}

func suppresses(value string) bool {
	for word := range strings.SplitSeq(value, ",") {
		switch strings.TrimSpace(word) {
		case "all", "oof", "autoreply":
			return true
		}
	}
	return false
}

// addressed reports whether the header names the account: a message that came as a
// blind copy, or by a list that does not say so, is not answered (RFC 5230 §4.5).
func addressed(h message.Header, r *Recipient, own []store.Address) bool {
	for f := range h.Fields() {
		switch strings.ToLower(f.Name) {
		case "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc":
		default:
			continue
		}
		for _, a := range message.ParseAddresses(f.Value()) {
			if isOwn(a.Mailbox+"@"+a.Host, r, own) {
				return true
			}
		}
	}
	return false
}

func isOwn(address string, r *Recipient, own []store.Address) bool {
	local, domain, err := SplitAddress(address)
	if err != nil {
		return false
	}
	if l, d, err := SplitAddress(r.Address); err == nil && strings.EqualFold(l, local) && d == domain {
		return true // also of a catch-all
	}
	local = strings.ToLower(local)
	user, _, _ := strings.Cut(local, subaddressSeparator)
	return slices.ContainsFunc(own, func(a store.Address) bool {
		return a.Local != "" && a.Domain == domain && (a.Local == local || a.Local == user)
	})
}

// ownAddress is who answers: the address that was written to if the account has it,
// else its first. What a detail or a catch-all made of it is nobody's business.
func ownAddress(r *Recipient, own []store.Address) string {
	first := ""
	for _, a := range own {
		if a.Local == "" {
			continue
		}
		address := a.Local + "@" + a.Domain
		if strings.EqualFold(address, r.Address) {
			return address
		}
		if first == "" {
			first = address
		}
	}
	if first == "" {
		return r.Address
	}
	return first
}

// audience picks what the sender hears. Somebody in a domain of the account's is
// internal, as the directory shows them to each other; who else has an account
// here is a stranger.
func (s *Service) audience(ctx context.Context, account mail.AccountID, own []store.Address, to Recipient, v mail.Vacation) (mail.VacationAnswer, error) {
	if to.Account != 0 {
		theirs, err := s.Directory.Addresses(ctx, to.Account)
		if err != nil {
			return mail.VacationAnswer{}, err
		}
		for _, a := range theirs {
			if slices.ContainsFunc(own, func(b store.Address) bool { return a.Domain == b.Domain }) {
				return v.Internal, nil
			}
		}
	}
	if v.Known == v.Unknown || s.WroteTo == nil {
		return v.Unknown, nil
	}
	known, err := s.WroteTo(ctx, account, to.Address)
	if known {
		return v.Known, err
	}
	return v.Unknown, err
}

// give sends the answer, if it is owed. Handed in again it is the same answer; see
// answered.
func (s *Service) give(ctx context.Context, a *answer) {
	if a == nil || !a.owed {
		return
	}
	err := s.sendAnswer(ctx, a)
	if err == nil {
		s.counts.answers.Add(1)
		return
	}
	s.Log.WarnContext(ctx, "automatic answer not sent", "err", err)
	_, err = s.Store.Update(ctx, a.account, a.origin(), func(tx store.Tx) error { return a.memory.forget(tx) })
	if err != nil {
		s.Log.WarnContext(ctx, "automatic answer not forgotten", "err", err)
	}
}

// origin is who keeps the account's memory of answers.
func (a *answer) origin() mail.Origin {
	return mail.NewOrigin(a.from, 0, mail.Local, mail.ByDelivery)
}

// sendAnswer commits the answer to a mailbox here, or queues it, once. Its reverse
// path is null, so that nothing ever answers it (RFC 3834 §3.1.1).
func (s *Service) sendAnswer(ctx context.Context, a *answer) error {
	text, err := s.composeAnswer(ctx, a)
	if err != nil {
		return err
	}
	in, err := s.receive(bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer in.close()
	a.to.once, a.to.Notify = a.memory.once(), NotifyNever
	env := &Envelope{Recipients: []Recipient{a.to}, Hop: Hop{Protocol: mail.Local, Arrived: time.Now()}, UTF8: !mail.IsASCII(a.to.Address), answer: &a.memory}
	if a.to.Account == 0 {
		return s.enqueue(ctx, env, in, a.account, env.Recipients)
	}
	in.prefix = returnPath("")
	arrival, err := s.put(ctx, in)
	if err == nil {
		err = s.commit(ctx, env, in, arrival, &a.to)
	}
	if err != nil && !isPermanent(err) {
		return s.enqueue(ctx, env, in, a.account, env.Recipients)
	}
	return err
}
