package imap

import (
	"fmt"

	"lockstep/internal/mail"
)

// messageLimits are the capabilities of RFC 9738.
func (l *Limits) messageLimits() string {
	return fmt.Sprintf("MESSAGELIMIT=%d SAVELIMIT=%d", l.PerCommand, l.PerSave)
}

// upTo cuts the messages of a command to as many as one may have, the newest,
// and has the reply say how far it came (RFC 9738 §3).
func (s *session) upTo(uids mail.UIDSet, r *reply) mail.UIDSet {
	limit := uint64(s.srv.limits.PerCommand)
	if uids.Count() <= limit {
		return uids
	}
	uids = newest(uids, limit)
	r.limited = fmt.Sprintf("MESSAGELIMIT %d %d", limit, uids[0].First)
	return uids
}

// newest are the n highest of a set that has more.
func newest(uids mail.UIDSet, n uint64) mail.UIDSet {
	skip := uids.Count() - n
	for i, r := range uids {
		if size := uint64(r.Last-r.First) + 1; skip >= size {
			skip -= size
			continue
		}
		rest := append(mail.UIDSet{}, uids[i:]...)
		rest[0].First += mail.UID(skip)
		return rest
	}
	return nil
}

// maySave refuses what would be too much for one transaction.
func (s *session) maySave(uids mail.UIDSet) error {
	if limit := s.srv.limits.PerSave; uids.Count() > uint64(limit) {
		return errNo(fmt.Sprintf("MESSAGELIMIT %d", limit), "Too many messages at once")
	}
	return nil
}

// sayLimited makes the completion say that the command was cut short; where that
// has another code, a line before it does.
func (s *session) sayLimited(r *reply) {
	switch {
	case r.limited == "":
	case r.code == "":
		r.code = r.limited
	default:
		s.enc.Status("", "OK", r.limited, "Not all of the messages")
	}
}
