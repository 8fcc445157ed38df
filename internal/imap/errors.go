package imap

import (
	"context"
	"errors"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// errDeleted ends a session whose selected mailbox is no more.
var errDeleted = errors.New("the selected mailbox was deleted")

// errBlind marks that changes could not be read.
var errBlind = errors.New("changes can't be read")

// errBad makes an error that is answered with BAD.
func errBad(text string) error { return &wire.Error{Status: "BAD", Text: text} }

// errNo makes an error that is answered with NO and a response code.
func errNo(code, text string) error { return &wire.Error{Status: "NO", Code: code, Text: text} }

// kindCodes are the response codes (RFC 9051 §7.1) of NO by Kind.
var kindCodes = map[mail.Kind]string{
	mail.Internal:       "SERVERBUG",
	mail.NotFound:       "NONEXISTENT",
	mail.Exists:         "ALREADYEXISTS",
	mail.Invalid:        "CANNOT",
	mail.Conflict:       "INUSE",
	mail.TooOld:         "SERVERBUG", // never: what is too old is answered with every known UID
	mail.OverQuota:      "OVERQUOTA",
	mail.Limit:          "LIMIT",
	mail.Denied:         "NOPERM",
	mail.HasChildren:    "HASCHILDREN",
	mail.Expired:        "UNAVAILABLE",
	mail.Unavailable:    "UNAVAILABLE",
	mail.Corrupt:        "CORRUPTION",
	mail.Unimplemented:  "CANNOT",
	mail.BadCredentials: "AUTHENTICATIONFAILED",
}

// answer turns an error into a status, a response code and words.
func answer(err error) (status, code, text string) {
	var spoken *wire.Error
	if errors.As(err, &spoken) {
		return spoken.Status, spoken.Code, spoken.Text
	}
	return "NO", kindCodes[mail.KindOf(err)], mail.DetailOf(err)
}

// words is answer, and logs what is our fault.
func (s *session) words(err error) (status, code, text string) {
	status, code, text = answer(err)
	if code == "SERVERBUG" && !errors.Is(err, context.Canceled) {
		s.srv.Log.ErrorContext(s.ctx, "command failed", "proto", "imap", "err", err)
	}
	return status, code, text
}
