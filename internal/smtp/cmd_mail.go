package smtp

import (
	"context"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
)

// cmdMail serves MAIL (RFC 5321 §4.1.1.2) with SIZE, BODY, SMTPUTF8, AUTH and
// the parameters of RFC 3461.
func (s *session) cmdMail(ctx context.Context, arg string) {
	if r := s.mayBegin(); r.code != 0 {
		s.reply(r)
		return
	}
	path, ok := cutFold(arg, "FROM:")
	if !ok {
		s.reply(reply{501, "5.5.4", "MAIL FROM:<address> is expected"})
		return
	}
	from, rest, err := parsePath(path)
	if err != nil {
		s.reply(reply{501, "5.1.7", "the reverse path is not an address"})
		return
	}
	tx := &transaction{env: delivery.Envelope{ReversePath: from}}
	if r := s.mailParams(tx, rest); r.code != 0 {
		s.reply(r)
		return
	}
	if from != "" && !mail.IsASCII(from) && !tx.env.UTF8 {
		s.reply(reply{550, "5.6.7", "an address beyond ASCII needs SMTPUTF8"})
		return
	}
	if r := s.maySend(ctx, from); r.code != 0 {
		s.reply(r)
		return
	}
	s.tx = tx
	s.reply(reply{250, "2.1.0", "sender ok"})
}

func (s *session) mayBegin() reply {
	switch {
	case s.helo == "":
		return reply{503, "5.5.1", "say hello first"}
	case s.srv.Role == Submission && s.who == nil:
		return reply{530, "5.7.0", "authentication is required"}
	case s.tx != nil:
		return reply{503, "5.5.1", "a transaction is under way"}
	}
	return reply{}
}

// maySend checks that who submits may call itself so. The null reverse path is
// for notifications (RFC 8098 §3).
func (s *session) maySend(ctx context.Context, from string) reply {
	if s.srv.Role != Submission || from == "" {
		return reply{}
	}
	ok, err := s.srv.Delivery.MaySendAs(ctx, s.who.Account(), from)
	switch {
	case err != nil:
		return replyTo(err)
	case !ok:
		return reply{550, "5.7.1", "you may not send as <" + from + ">"}
	}
	return reply{}
}

func (s *session) mailParams(tx *transaction, text string) reply {
	params, err := parseParams(text)
	if err != nil {
		return reply{501, "5.5.4", "the parameters can't be read"}
	}
	for _, p := range params { // the first that is wrong is named
		if r := s.mailParam(tx, p.key, p.value); r.code != 0 {
			return r
		}
	}
	return reply{}
}

// maxEnvID is the longest envelope id (RFC 3461 §4.4).
const maxEnvID = 100

func (s *session) mailParam(tx *transaction, key, value string) reply {
	bad := reply{501, "5.5.4", "the value of " + key + " can't be used"}
	switch {
	case !s.extended:
	case key == "SIZE":
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil || n < 0:
			return bad
		case n > s.limits.MessageBytes:
			return replyTo(errTooBig)
		}
		tx.size = n
		return reply{}
	case key == "BODY":
		tx.env.EightBit = strings.EqualFold(value, "8BITMIME")
		if !tx.env.EightBit && !strings.EqualFold(value, "7BIT") {
			return bad
		}
		return reply{}
	case key == "SMTPUTF8":
		tx.env.UTF8 = true
		if value != "" {
			return bad
		}
		return reply{}
	case key == "AUTH": // RFC 4954 §5: whom the client vouches for changes nothing here
		if _, ok := decodeXtext(value); !ok || value == "" {
			return bad
		}
		return reply{}
	case key == "RET" && s.offersDSN():
		tx.env.Return = delivery.Return(strings.ToUpper(value))
		if tx.env.Return != delivery.ReturnFull && tx.env.Return != delivery.ReturnHeaders {
			return bad
		}
		return reply{}
	case key == "ENVID" && s.offersDSN():
		id, ok := decodeXtext(value)
		if !ok || id == "" || len(value) > maxEnvID || !mail.IsASCII(id) {
			return bad
		}
		tx.env.ID = id
		return reply{}
	}
	return reply{555, "5.5.4", "MAIL has no parameter " + key + " here"}
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// cmdRcpt serves RCPT (RFC 5321 §4.1.1.3).
func (s *session) cmdRcpt(ctx context.Context, arg string) {
	if s.tx == nil {
		s.reply(reply{503, "5.5.1", "MAIL comes first"})
		return
	}
	path, ok := cutFold(arg, "TO:")
	if !ok {
		s.reply(reply{501, "5.5.4", "RCPT TO:<address> is expected"})
		return
	}
	to, rest, err := parsePath(path)
	switch {
	case err != nil || to == "":
		s.reply(reply{501, "5.1.3", "the recipient is not an address"})
		return
	case !mail.IsASCII(to) && !s.tx.env.UTF8:
		s.reply(reply{553, "5.6.7", "an address beyond ASCII needs SMTPUTF8"})
		return
	case len(s.tx.env.Recipients) >= s.limits.Recipients:
		s.reply(reply{452, "4.5.3", "too many recipients"})
		return
	}
	var r delivery.Recipient
	if bad := s.rcptParams(&r, rest); bad.code != 0 {
		s.reply(bad)
		return
	}
	if err := s.accept(ctx, to, &r); err != nil {
		s.replyErr(ctx, replyToRcpt(err), err)
		return
	}
	s.tx.env.Recipients = append(s.tx.env.Recipients, r)
	s.reply(reply{250, "2.1.5", "recipient ok"})
}

func (s *session) accept(ctx context.Context, to string, r *delivery.Recipient) error {
	resolve := s.srv.Delivery.LocalRecipient
	if s.srv.Role == Submission {
		resolve = s.srv.Delivery.AnyRecipient
	}
	got, err := resolve(ctx, to, s.tx.size)
	got.Notify, got.Original = r.Notify, r.Original
	*r = got
	return err
}

var notifyWords = map[string]delivery.Notify{"NEVER": delivery.NotifyNever, "SUCCESS": delivery.NotifySuccess, "FAILURE": delivery.NotifyFailure, "DELAY": delivery.NotifyDelay}

// maxOrcpt is the longest original recipient (RFC 3461 §4.2).
const maxOrcpt = 500

// rcptParams reads NOTIFY and ORCPT (RFC 3461 §4.1, §4.2).
func (s *session) rcptParams(r *delivery.Recipient, text string) reply {
	params, err := parseParams(text)
	if err != nil {
		return reply{501, "5.5.4", "the parameters can't be read"}
	}
	for _, p := range params {
		ok := true
		switch {
		case p.key == "NOTIFY" && s.extended && s.offersDSN():
			r.Notify, ok = parseNotify(p.value)
		case p.key == "ORCPT" && s.extended && s.offersDSN():
			r.Original, ok = parseOrcpt(p.value)
		default:
			return reply{555, "5.5.4", "RCPT has no parameter " + p.key + " here"}
		}
		if !ok {
			return reply{501, "5.5.4", "the value of " + p.key + " can't be used"}
		}
	}
	return reply{}
}

func parseNotify(value string) (delivery.Notify, bool) {
	var set delivery.Notify
	for word := range strings.SplitSeq(value, ",") {
		n := notifyWords[strings.ToUpper(word)]
		if n == 0 || set&n != 0 {
			return 0, false
		}
		set |= n
	}
	return set, set == delivery.NotifyNever || set&delivery.NotifyNever == 0
}

func parseOrcpt(value string) (string, bool) {
	kind, address, found := strings.Cut(value, ";")
	text, ok := decodeXtext(address)
	return kind + ";" + text, found && ok && kind != "" && text != "" && len(value) <= maxOrcpt && mail.IsASCII(kind)
}

// hop is how the message in hand came here.
func (s *session) hop() delivery.Hop {
	h := delivery.Hop{Helo: s.helo, Addr: s.addr, With: s.with(), ID: s.id, Arrived: time.Now(), Protocol: s.srv.protocol()}
	if s.tls != nil {
		h.TLS = tlsText(s.tls)
	}
	return h
}

// with names the protocol for the Received field (RFC 3848, RFC 6531 §4.3).
func (s *session) with() string {
	name := "SMTP"
	switch {
	case s.srv.Role == LMTP && s.tx.env.UTF8:
		name = "UTF8LMTP"
	case s.srv.Role == LMTP:
		name = "LMTP"
	case s.tx.env.UTF8:
		name = "UTF8SMTP"
	case s.extended:
		name = "ESMTP"
	}
	if name != "SMTP" && s.tls != nil {
		name += "S"
	}
	if name != "SMTP" && s.who != nil {
		name += "A"
	}
	return name
}
