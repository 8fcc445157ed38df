package imap

import (
	"context"
	"time"

	"lockstep/internal/imap/wire"
)

// mayUnauthenticate reports whether a client may sign out and another in. Where
// what it sends is compressed, nobody could tell where that ends.
func (s *session) mayUnauthenticate() bool {
	return s.user != nil && !s.srv.NoUnauthenticate && !s.compressed
}

// unauthenticate serves UNAUTHENTICATE (RFC 8437): all state of the connection
// goes but for TLS, and what the client said of itself.
func (s *session) unauthenticate(_ context.Context, _ *wire.Unauthenticate, r *reply) error {
	if !s.mayUnauthenticate() {
		return errBad("UNAUTHENTICATE is not offered")
	}
	if err := s.flush(); err != nil {
		return err
	}
	r.noTell, r.text = true, "Signed out"
	s.leaveMailbox()
	s.leaveMetadata()
	s.leaveNotify()
	s.signOut()
	return nil
}

// signOut forgets who signed in, and what was enabled.
func (s *session) signOut() {
	s.untrack()
	s.srv.Log.InfoContext(s.ctx, "session ended", "proto", "imap", "account", s.user.Account(), "device", s.user.Device().ID, "cmds", s.cmds)
	s.user, s.untrack, s.state = nil, nil, notAuthenticated
	s.notify = nil
	s.alert.Store(alertIdle)
	s.saved, s.appended, s.drafts, s.wrote, s.hadRoom = nil, nil, nil, 0, nil
	s.condstore, s.qresync, s.rev2, s.utf8, s.uidOnly = false, false, false, false, false
	s.rd.UTF8, s.enc.UTF8, s.enc.Language, s.compare = false, false, "", nil
	s.rd.Limits = &s.srv.limitsBefore
	s.born, s.cmds = time.Now(), 0
}
