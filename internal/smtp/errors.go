package smtp

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
)

// reply is an answer (RFC 5321 §4.2) with its enhanced code (RFC 3463), which is
// "" where RFC 2034 §4 has none.
type reply struct {
	code     int
	enhanced string
	text     string
}

// failed reports whether the client asked for something it did not get.
func (r reply) failed() bool { return r.code >= 400 }

// append writes the reply on one line.
func (r reply) append(b []byte) []byte {
	b = fmt.Appendf(b, "%d ", r.code)
	if r.enhanced != "" {
		b = append(append(b, r.enhanced...), ' ')
	}
	return append(append(b, strings.Map(printable, r.text)...), "\r\n"...)
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}

// kindReplies is how each Kind of error sounds. What may pass is 4xx: the sender
// tries again.
var kindReplies = map[mail.Kind]reply{
	mail.Internal:       {451, "4.3.0", ""},
	mail.NotFound:       {550, "5.1.1", ""},
	mail.Exists:         {451, "4.3.0", ""},
	mail.Invalid:        {554, "5.6.0", ""},
	mail.Conflict:       {451, "4.3.0", ""},
	mail.TooOld:         {451, "4.3.0", ""},
	mail.OverQuota:      {552, "5.2.2", ""},
	mail.Limit:          {552, "5.3.4", ""},
	mail.Denied:         {550, "5.7.1", ""},
	mail.HasChildren:    {451, "4.3.0", ""},
	mail.Expired:        {451, "4.3.0", ""},
	mail.Unavailable:    {451, "4.3.0", ""},
	mail.Corrupt:        {451, "4.3.0", ""},
	mail.Unimplemented:  {502, "5.5.1", ""},
	mail.BadCredentials: {535, "5.7.8", ""},
}

// replyTo turns an error into the answer.
func replyTo(err error) reply {
	r := kindReplies[mail.KindOf(err)]
	r.text = mail.DetailOf(err)
	switch {
	case errors.Is(err, delivery.ErrLoop):
		r.enhanced = "5.4.6"
	case errors.Is(err, delivery.ErrSentMuch):
		r.code, r.enhanced = 450, "4.7.1"
	case errors.Is(err, errTooBig):
		r.text = "the message is larger than this server takes"
	}
	return r
}

// replyToAuth is replyTo for who signs in (RFC 4954 §6).
func replyToAuth(err error) reply {
	r := replyTo(err)
	switch mail.KindOf(err) {
	case mail.Limit:
		r.code, r.enhanced = 454, "4.7.0"
	case mail.Denied:
		r.code, r.enhanced = 535, "5.7.1"
	case mail.Invalid:
		r.code, r.enhanced = 501, "5.5.2"
	case mail.Internal:
		r.code, r.enhanced = 454, "4.7.0"
	}
	return r
}

// replyToRcpt is replyTo where the address is what can't be used.
func replyToRcpt(err error) reply {
	r := replyTo(err)
	if mail.KindOf(err) == mail.Invalid {
		r.code, r.enhanced = 501, "5.1.3"
	}
	return r
}
