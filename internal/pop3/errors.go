package pop3

import (
	"lockstep/internal/mail"
)

// refusal is a -ERR: words, and a response code (RFC 2449 §8) or "".
type refusal struct {
	code string
	text string
}

func (r *refusal) Error() string { return r.text }

// kindCodes are the response codes of errors by Kind (RFC 2449 §8.1, RFC 3206).
// What may pass is SYS/TEMP; IN-USE is never said, as nobody locks a maildrop.
var kindCodes = map[mail.Kind]string{
	mail.Internal:       "SYS/TEMP",
	mail.NotFound:       "",
	mail.Exists:         "SYS/TEMP",
	mail.Invalid:        "",
	mail.Conflict:       "SYS/TEMP",
	mail.TooOld:         "SYS/TEMP",
	mail.OverQuota:      "SYS/PERM",
	mail.Limit:          "SYS/TEMP",
	mail.Denied:         "AUTH",
	mail.HasChildren:    "SYS/TEMP",
	mail.Expired:        "SYS/TEMP",
	mail.Unavailable:    "SYS/TEMP",
	mail.Corrupt:        "SYS/PERM",
	mail.Unimplemented:  "",
	mail.BadCredentials: "AUTH",
}

// refusalOf turns an error into the answer.
func refusalOf(err error) *refusal {
	if r, ok := err.(*refusal); ok {
		return r
	}
	return &refusal{kindCodes[mail.KindOf(err)], mail.DetailOf(err)}
}
