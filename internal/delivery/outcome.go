package delivery

import (
	"context"
	"strings"

	"lockstep/internal/mail"
)

// Outcome is what became of one recipient of a submission that has a name.
type Outcome struct {
	Account   mail.AccountID // whose submission it is
	Delivery  string         // see Envelope.DeliveryID
	Recipient string
	Fate      Fate
	Reply     string // as SMTP says it, one line
}

// A Fate is how far a message has come to a recipient.
type Fate uint8

// The fates.
const (
	Waiting Fate = iota // it will be tried again
	Arrived             // in a mailbox here
	Relayed             // the next server has it
	GivenUp             // nobody will try again
)

// tellOutcome says what an attempt for a recipient came to.
func (s *Service) tellOutcome(ctx context.Context, p *parcel) {
	if s.Outcome == nil || p.opts.OnceFor == 0 {
		return
	}
	o := Outcome{Account: p.Account, Delivery: p.Delivery, Recipient: p.Recipient, Reply: p.result.reply()}
	switch r := &p.result; {
	case r.err == nil && r.local:
		o.Fate = Arrived
	case r.err == nil:
		o.Fate = Relayed
	case r.permanent:
		o.Fate = GivenUp
	}
	s.Outcome(ctx, o)
}

// reply says a result as SMTP does: the other server's words, or ours.
func (r *result) reply() string {
	text := r.diagnostic
	if text == "" && r.err != nil {
		text = r.err.Error()
	}
	if text = oneLine(text); isReply(text) {
		return text
	}
	switch {
	case r.err == nil:
		return "250 2.0.0 OK"
	case r.permanent:
		return strings.TrimSpace("550 " + r.status + " " + text)
	}
	return strings.TrimSpace("451 " + r.status + " " + text)
}

// isReply reports whether a text begins with a reply code (RFC 5321 §4.2).
func isReply(s string) bool {
	return len(s) > 3 && s[0] >= '2' && s[0] <= '5' && s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9' && s[3] == ' '
}
