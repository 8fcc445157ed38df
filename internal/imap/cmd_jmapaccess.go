package imap

import (
	"context"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// mayJMAP reports whether the client finds the same mail by JMAP, with the same ids,
// and may sign in there with what it signed in with here (RFC 9698 §3).
func (s *session) mayJMAP() bool {
	return s.srv.JMAP != "" && s.user != nil && s.user.MayUse(mail.JMAP)
}

// getJMAPAccess serves GETJMAPACCESS (RFC 9698 §4).
func (s *session) getJMAPAccess(_ context.Context, _ *wire.GetJMAPAccess, _ *reply) error {
	if !s.mayJMAP() {
		return errBad("There is no JMAP to tell of")
	}
	s.enc.Star().Atom("JMAPACCESS").String(s.srv.JMAP).End()
	return nil
}
