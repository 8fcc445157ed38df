package imap

import (
	"context"
	"errors"

	"lockstep/internal/imap/wire"
)

// idle serves IDLE (RFC 9051 §6.3.13). The command goes on when the client says
// DONE, in endIdle.
func (s *session) idle(ctx context.Context, _ *wire.Idle, r *reply) error {
	s.idling.Store(true) // from here on changes are pushed, once mu is free
	if err := s.beginIdle(ctx); err != nil {
		s.idling.Store(false)
		s.listen()
		return err
	}
	r.quiet = true
	s.idleTag = r.tag
	if err := s.enc.Continuation("idling"); err != nil {
		return hangup(err)
	}
	return nil
}

// beginIdle tells what has changed so far.
func (s *session) beginIdle(ctx context.Context) error {
	s.listen() // before looking, so that nothing falls between
	if err := s.lookForChanges(ctx); err != nil {
		return err
	}
	return s.tellIdle()
}

// endIdle reads DONE and completes the command.
func (s *session) endIdle() error {
	err := s.readDone()
	var bad *wire.Error
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	defer s.listen()
	defer s.idling.Store(false)
	if bad != nil {
		s.enc.Status(s.idleTag, "BAD", "", bad.Text)
		return s.countBad()
	}
	if err := s.tellIdle(); err != nil {
		return err
	}
	s.enc.Status(s.idleTag, "OK", "", "IDLE completed")
	return s.enc.Err()
}

// tellIdle writes what a client in IDLE hears of: what it asked for, if there was a
// NOTIFY (RFC 5465 §4).
func (s *session) tellIdle() error {
	if s.notify != nil {
		return s.tellNotified()
	}
	if err := s.tellMetadata(); err != nil || s.sel == nil {
		return err
	}
	return s.tell(0, true)
}

// readDone reads the client's line with mu given up: changes go on being written
// if only a part of the line is there, or something that is no line at all, such
// as a key update of TLS.
func (s *session) readDone() error {
	if err := s.flush(); err != nil {
		return err
	}
	s.in.before = nil
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.in.before = s
	}()
	return s.rd.ReadDone()
}

// Wake implements index.Waker: something has changed that the client waits for.
func (s *session) Wake() {
	if s.isAlert() && s.pushing.CompareAndSwap(false, true) {
		go s.push()
	}
}

// isAlert reports whether changes are pushed now.
func (s *session) isAlert() bool {
	alert := s.alert.Load()
	return alert == alertAlways || alert == alertIdle && s.idling.Load()
}

// push writes the changes to a client in IDLE, or one that said NOTIFY.
func (s *session) push() {
	s.mu.Lock()
	s.pushing.Store(false)
	err := s.guarded(func() error {
		if !s.isAlert() || s.over || s.state == notAuthenticated {
			return nil
		}
		if err := s.tellIdle(); err != nil {
			return err
		}
		return s.flush()
	})
	s.mu.Unlock()
	if err != nil {
		s.end(s.pushFailed(err))
	}
}

// pushFailed says why a client can't be told of changes any more.
func (s *session) pushFailed(err error) string {
	switch {
	case errors.Is(err, errDeleted):
		return "the selected mailbox was deleted"
	case errors.Is(err, errHangup) || s.enc.Err() != nil:
		return errHangup.Error()
	}
	_, _, text := s.words(err)
	return text
}
