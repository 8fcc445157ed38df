package jmap

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

// newSubmission is what a client gives of one (RFC 8621 §7).
type newSubmission struct {
	IdentityID string          `json:"identityId"`
	EmailID    string          `json:"emailId"`
	Envelope   *envelopeObject `json:"envelope"`
}

// outgoing is a submission on its way out.
type outgoing struct {
	*submissionSetting
	kept    submission
	msg     mail.Message
	parsed  *message.Message
	env     delivery.Envelope
	base    string // what a repetition has in common, as kept.Key
	invalid []string
}

// send sends an email once, whatever happens: what was handed to delivery under the
// name of the submission makes no second copy, and that it was is noted behind that. A
// client that asks for the same again, as it heard no answer, hears of the first.
func (s *submissionSetting) send(creation string, raw json.RawMessage) error {
	var in newSubmission
	if wrong := decodeObject(raw, &in); wrong != nil {
		return wrong
	}
	t := &outgoing{submissionSetting: s}
	if err := t.look(&in); err != nil {
		return err
	}
	if err := t.address(in.Envelope); err != nil {
		return err
	}
	again, err := t.repeats(creation)
	if err != nil {
		return err
	}
	if again == nil {
		if err := t.submit(); err != nil {
			return err
		}
		again = &t.kept
	}
	o := again.toObject(s.srv.now())
	for _, said := range []string{"identityId", "emailId"} {
		delete(o, said)
	}
	if in.Envelope != nil {
		delete(o, "envelope")
	}
	id := submissionID(again.object)
	s.out.did(s.call, creation, id, o)
	s.emails[id] = again.Email
	return nil
}

// look finds the email and the identity.
func (t *outgoing) look(in *newSubmission) error {
	st, err := t.srv.standing(t.ctx, t.sess.Principal.ID, t.account)
	if err != nil {
		return err
	}
	id, _ := t.idOf(in.EmailID)
	email, isEmail := mail.ParseEmailID(id)
	identityID, _ := t.idOf(in.IdentityID)
	err = t.srv.Store.View(t.ctx, t.account, func(r store.Reader) error {
		list, err := st.identities(r)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(is identity) bool { return is.ID == identityID }) {
			return invalidProperties("there is no such identity", "identityId")
		}
		if !isEmail {
			return invalidProperties("there is no such email", "emailId")
		}
		t.msg, err = r.MessageByEmailID(email)
		if err != nil && mail.KindOf(err) == mail.NotFound {
			return invalidProperties("there is no such email", "emailId")
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.msg.Size > t.srv.limits.Message {
		return &setError{Type: "tooLarge", Description: fmt.Sprintf("a message has at most %d bytes", t.srv.limits.Message), Extra: map[string]any{"maxSize": t.srv.limits.Message}}
	}
	t.kept = submission{Identity: identityID, Email: id, Thread: t.msg.Thread.String(), Made: t.srv.now()}
	t.parsed, err = message.Decode(t.msg.Parsed)
	return err
}

// address finds out who sends to whom: as the client says, else as the email does.
func (t *outgoing) address(said *envelopeObject) error {
	if err := t.authors(); err != nil {
		return err
	}
	env := said
	if env == nil {
		env = t.ofEmail()
	}
	t.kept.Envelope = *env
	if err := t.mailFrom(&env.MailFrom); err != nil {
		return err
	}
	return t.rcptTo(env.RcptTo)
}

// authors holds those of the email against what the account may send as.
func (t *outgoing) authors() error {
	h := &t.parsed.Envelope
	seen := false
	for i, list := range [][]message.Address{h.From, h.Sender} {
		for _, a := range list {
			address, ok := compose.Mailbox(a)
			if !ok {
				continue
			}
			may, err := t.srv.Delivery.MaySendAs(t.ctx, t.account, address)
			if err != nil {
				return err
			}
			if !may {
				return &setError{Type: "forbiddenFrom", Description: "you may not send as " + address}
			}
			seen = seen || i == 0
		}
	}
	if !seen {
		return &setError{Type: "invalidEmail", Description: "the email has no author", Properties: []string{"from"}}
	}
	return nil
}

// ofEmail is the envelope that the email's header says (RFC 8621 §7).
func (t *outgoing) ofEmail() *envelopeObject {
	h := &t.parsed.Envelope
	env := &envelopeObject{}
	for _, a := range slices.Concat(h.Sender, h.From) {
		if address, ok := compose.Mailbox(a); ok {
			env.MailFrom.Email = address
			break
		}
	}
	for _, a := range slices.Concat(h.To, h.Cc, h.Bcc) {
		if a.IsGroupStart() || a.IsGroupEnd() {
			continue
		}
		address, ok := compose.Mailbox(a)
		if !ok {
			t.invalid = append(t.invalid, a.DisplayName())
			continue
		}
		if !slices.ContainsFunc(env.RcptTo, func(e envelopeAddress) bool { return e.Email == address }) {
			env.RcptTo = append(env.RcptTo, envelopeAddress{Email: address})
		}
	}
	return env
}

// mailFrom reads the reverse path and what is asked for with it (RFC 3461 §4.3, §4.4,
// RFC 4865 §5).
func (t *outgoing) mailFrom(from *envelopeAddress) error {
	may, err := t.srv.Delivery.MaySendAs(t.ctx, t.account, from.Email)
	if err != nil {
		return err
	}
	if !may {
		return &setError{Type: "forbiddenMailFrom", Description: "you may not send as " + from.Email}
	}
	now := t.srv.now()
	t.env = delivery.Envelope{ReversePath: from.Email, UTF8: !mail.IsASCII(from.Email)}
	t.env.Hop = delivery.Hop{Helo: "jmap", Addr: t.sess.Addr, With: "HTTP", ID: rand.Text()[:12], Arrived: now, Protocol: mail.JMAP}
	t.kept.SendAt = now
	for name, v := range foldParameters(from.Parameters) {
		value := ""
		if v != nil {
			value = *v
		}
		ok := true
		switch name {
		case "RET":
			t.env.Return = delivery.Return(strings.ToUpper(value))
			ok = t.env.Return == delivery.ReturnFull || t.env.Return == delivery.ReturnHeaders
		case "ENVID":
			t.env.ID, ok = value, value != "" && len(value) <= maxParameterBytes
		case "SMTPUTF8":
			t.env.UTF8 = true
		case "HOLDFOR":
			seconds, err := strconv.ParseInt(value, 10, 64)
			ok = err == nil && seconds >= 0 && seconds <= int64(maxDelayedSend/time.Second) && t.env.HoldUntil.IsZero()
			t.hold(now.Add(time.Duration(seconds)*time.Second), ok)
		case "HOLDUNTIL":
			at, err := time.Parse(time.RFC3339, value)
			ok = err == nil && at.Sub(now) <= maxDelayedSend && t.env.HoldUntil.IsZero()
			t.hold(at, ok)
		case "BODY", "SIZE": // the server knows better
		default:
			return invalidProperties("there is no parameter "+name, "envelope/mailFrom/parameters")
		}
		if !ok {
			return invalidProperties("the parameter "+name+" can't be that", "envelope/mailFrom/parameters")
		}
	}
	return nil
}

const maxParameterBytes = 100 // RFC 3461 §4.4

func (t *outgoing) hold(until time.Time, ok bool) {
	if !ok || !until.After(t.kept.SendAt) {
		return
	}
	t.env.HoldUntil, t.kept.SendAt, t.kept.Held = until, until, true
}

// notifyWords are the cases of NOTIFY (RFC 3461 §4.1).
var notifyWords = map[string]delivery.Notify{
	"NEVER": delivery.NotifyNever, "SUCCESS": delivery.NotifySuccess, "FAILURE": delivery.NotifyFailure, "DELAY": delivery.NotifyDelay,
}

// rcptTo finds the recipients. Who is of ours and not there, or is no address, is told
// now; whose mailbox is full, is left to the queue, which reports.
func (t *outgoing) rcptTo(to []envelopeAddress) error {
	switch most := t.srv.limits.Recipients; {
	case len(to) > most:
		return &setError{Type: "tooManyRecipients", Description: fmt.Sprintf("a message goes to %d recipients at most", most), Extra: map[string]any{"maxRecipients": most}}
	case len(to)+len(t.invalid) == 0:
		return &setError{Type: "noRecipients", Description: "nobody would get it"}
	}
	seen := map[string]bool{}
	for i := range to {
		e := &to[i]
		if seen[e.Email] {
			continue
		}
		seen[e.Email] = true
		r, err := t.srv.Delivery.AnyRecipient(t.ctx, e.Email, t.msg.Size)
		switch kind := mail.KindOf(err); {
		case err == nil:
		case kind == mail.OverQuota && t.srv.Delivery.Wake != nil:
			r = delivery.Recipient{Address: e.Email} // the queue finds out
		case kind == mail.Denied:
			return &setError{Type: "forbiddenToSend", Description: mail.DetailOf(err)}
		case kind == mail.NotFound || kind == mail.Invalid || kind == mail.OverQuota:
			t.invalid = append(t.invalid, e.Email)
			continue
		default:
			return err
		}
		if err := askedOf(&r, e.Parameters); err != nil {
			return err
		}
		t.env.Recipients = append(t.env.Recipients, r)
		t.env.UTF8 = t.env.UTF8 || !mail.IsASCII(e.Email)
	}
	if len(t.invalid) > 0 {
		return &setError{Type: "invalidRecipients", Description: "nobody can be reached there", Extra: map[string]any{"invalidRecipients": t.invalid}}
	}
	return nil
}

// askedOf reads what is asked for a recipient.
func askedOf(r *delivery.Recipient, parameters map[string]*string) error {
	for name, v := range foldParameters(parameters) {
		ok := v != nil
		switch name {
		case "NOTIFY":
			for word := range strings.SplitSeq(strings.ToUpper(value(v)), ",") {
				n, known := notifyWords[word]
				ok = ok && known
				r.Notify |= n
			}
			ok = ok && (r.Notify&delivery.NotifyNever == 0 || r.Notify == delivery.NotifyNever)
		case "ORCPT":
			kind, address, cut := strings.Cut(value(v), ";")
			ok = ok && cut && kind != "" && address != "" && len(address) <= 500
			r.Original = value(v)
		default:
			ok = false
		}
		if !ok {
			return invalidProperties("the parameter "+name+" can't be that", "envelope/rcptTo/parameters")
		}
	}
	return nil
}

func value(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// repeats finds the submission that this one says again. One that was taken back is
// none: the next has another name.
func (t *outgoing) repeats(creation string) (*submission, error) {
	envelope, err := json.Marshal(t.kept.Envelope)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %q %s", t.sess.Device().ID, creation, t.kept.Email, t.kept.Identity, envelope))
	t.base = hex.EncodeToString(sum[:16])
	taken, held := 0, 0
	var again *submission
	now := t.srv.now()
	err = t.srv.Store.View(t.ctx, t.account, func(r store.Reader) error {
		all, err := submissions(r)
		for _, s := range all {
			if s.undoStatus(now) == undoPending {
				held++
			}
			switch {
			case s.Key != t.base:
			case s.Canceled:
				taken++
			case now.Sub(s.Made) < repeatWindow:
				again = s
			default:
				taken++
			}
		}
		return err
	})
	if err == nil && again == nil && t.kept.Held && held >= maxHeldMail {
		err = &setError{Type: "overQuota", Description: fmt.Sprintf("at most %d messages wait for their time", maxHeldMail)}
	}
	t.kept.Key, t.env.Once, t.env.OnceFor = t.base, fmt.Sprintf("jmap.%d.%s.%d", t.account, t.base, taken), rememberSent
	t.kept.Delivery = t.env.DeliveryID()
	return again, err
}

// submit hands the message to delivery, without what only its author may see, and notes
// that it did.
func (t *outgoing) submit() error {
	if err := t.srv.countSent(t.ctx, t.sess.Account(), len(t.env.Recipients)); err != nil {
		return err
	}
	if _, err := encodeData(t.kept); err != nil || len(t.env.Recipients)*(maxReplyBytes+200) > mail.MaxObjectBytes {
		return &setError{Type: "tooManyRecipients", Description: "what is kept of it would be too large", Extra: map[string]any{"maxRecipients": mail.MaxObjectBytes / (maxReplyBytes + 200)}}
	}
	final, err := t.final()
	if err != nil {
		return err
	}
	defer final.Close()
	t.srv.outcomes.expect(t.kept.Delivery)
	defer t.srv.outcomes.forget(t.kept.Delivery)
	if err := t.srv.Delivery.Submit(t.ctx, t.account, &t.env, io.NewSectionReader(final, 0, final.size)); err != nil {
		return submitError(err)
	}
	ctx := context.WithoutCancel(t.ctx) // it is out: that is noted, also for who has left
	if err := t.firstStatus(ctx); err != nil {
		return err
	}
	if err := t.note(&t.kept); err != nil {
		return err
	}
	return t.srv.earlyOutcome(ctx, t.account, &t.kept)
}

// firstStatus is how far the message came at once.
func (t *outgoing) firstStatus(ctx context.Context) error {
	left, err := t.srv.Delivery.Queue.Queued(ctx, t.account, t.kept.Delivery)
	if err != nil {
		return err
	}
	t.kept.Status = map[string]status{}
	for _, r := range t.env.Recipients {
		t.kept.Status[r.Address] = statusOf("250 2.0.0 OK", "unknown")
		if r.Account != 0 {
			t.kept.Status[r.Address] = statusOf("250 2.1.5 OK", "yes")
		}
	}
	for _, o := range left {
		t.kept.Status[o.Recipient] = statusOf(cmp.Or(o.LastError, "250 2.0.0 Queued"), "queued")
	}
	return nil
}

// countSent counts what an account sends in an hour.
func (s *Server) countSent(ctx context.Context, account mail.AccountID, recipients int) error {
	err := s.Delivery.CountSent(ctx, account, recipients)
	if errors.Is(err, delivery.ErrSentMuch) {
		err = &setError{Type: "rateLimit", Description: mail.DetailOf(err)}
	}
	return err
}

// submitError is what a message that delivery did not take means.
func submitError(err error) error {
	switch mail.KindOf(err) {
	case mail.Denied:
		return &setError{Type: "forbiddenFrom", Description: mail.DetailOf(err)}
	case mail.Invalid:
		return &setError{Type: "invalidEmail", Description: mail.DetailOf(err), Properties: []string{"headers"}}
	case mail.NotFound, mail.OverQuota, mail.Limit:
		return &setError{Type: "forbiddenToSend", Description: mail.DetailOf(err)}
	}
	return err
}

// final is the message as its recipients get it: without Bcc.
func (t *outgoing) final() (*spool, error) {
	body, err := t.srv.Blobs(t.ctx, t.msg.Blob)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	e := compose.Edit{Remove: []string{"Bcc", "Resent-Bcc", "Return-Path"}}
	from, to := io.Pipe()
	high := &highBytes{w: to}
	wrote := make(chan error, 1)
	go func() {
		err := e.Write(high, compose.Source{Bytes: body, Message: t.parsed})
		to.CloseWithError(err)
		wrote <- err
	}()
	out, err := spoolOf(from, t.srv.SpoolDir)
	from.Close()
	if failed := <-wrote; failed != nil && mail.KindOf(failed) == mail.Invalid {
		err = cmp.Or[error](&setError{Type: "invalidEmail", Description: mail.DetailOf(failed), Properties: []string{"headers"}}, err)
	}
	t.env.EightBit = high.seen
	return out, err
}

// highBytes notes whether there are bytes beyond ASCII.
type highBytes struct {
	w    io.Writer
	seen bool
}

// Write implements io.Writer.
func (h *highBytes) Write(p []byte) (int, error) {
	h.seen = h.seen || !mail.IsASCII(string(p))
	return h.w.Write(p)
}
