package model

import (
	"context"

	"lockstep/internal/mail"
)

// SetEmailID gives a message the lasting name that an engine drew for it. Names are
// chance, and all else of two stores that the same was done to agrees; who takes a name
// out of one and looks for it in the other needs them to agree too.
func (st *Store) SetEmailID(ctx context.Context, id mail.AccountID, key mail.MessageKey, name mail.EmailID) error {
	a, err := st.account(ctx, id)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := *a.current.Load()
	old := s.messages.get(int64(key))
	if old == nil {
		return mail.Errorf(mail.NotFound, "no message %d", key)
	}
	m := *old
	m.EmailID = name
	s.messages.set(int64(key), &m)
	if l := s.lives.get(int64(key)); l != nil {
		named := *l
		named.emailID = name
		s.lives.set(int64(key), &named)
	}
	a.current.Store(&s)
	return nil
}
