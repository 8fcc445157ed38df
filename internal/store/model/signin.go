package model

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// CredentialByToken finds an app password by its token.
func (st *Store) CredentialByToken(_ context.Context, token []byte) (store.Credential, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, c := range st.directory.credentials {
		if len(c.Token) > 0 && bytes.Equal(c.Token, token) {
			return c, nil
		}
	}
	return store.Credential{}, mail.Errorf(mail.NotFound, "no such credential")
}

// ReplaceVerifier replaces a verifier that is as it was.
func (st *Store) ReplaceVerifier(_ context.Context, id int64, was, now []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	c, ok := st.directory.credentials[id]
	switch {
	case !ok:
		return mail.Errorf(mail.NotFound, "no such credential")
	case !bytes.Equal(c.Verifier, was):
		return mail.Errorf(mail.Conflict, "it changed meanwhile")
	}
	c.Verifier = slices.Clone(now)
	st.directory.credentials[id] = c
	return nil
}

// AddSignIn adds a sign-in.
func (st *Store) AddSignIn(_ context.Context, s store.SignIn, most int) (added store.SignIn, gone []store.SignIn, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	if !d.has(s.Principal) {
		return s, nil, noAccount()
	}
	maps.DeleteFunc(d.signIns, func(_ int64, o store.SignIn) bool { return o.Principal == s.Principal && !o.Ends.After(s.Created) })
	d.lastSignIn++
	s.ID = d.lastSignIn
	d.signIns[s.ID] = s
	var kind []store.SignIn
	for _, o := range d.signIns {
		if o.Principal == s.Principal && o.Kind == s.Kind {
			kind = append(kind, o)
		}
	}
	slices.SortFunc(kind, func(a, b store.SignIn) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(b.ID, a.ID))
	})
	gone = kind[min(most, len(kind)):]
	for _, o := range gone {
		delete(d.signIns, o.ID)
	}
	if len(gone) > 0 {
		st.endsOf(s.Principal)
	}
	return s, gone, nil
}

// SignInByKey finds a sign-in.
func (st *Store) SignInByKey(_ context.Context, key []byte) (store.SignIn, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, s := range st.directory.signIns {
		if bytes.Equal(s.Key, key) {
			return s, nil
		}
	}
	return store.SignIn{}, noSignIn()
}

func noSignIn() error { return mail.Errorf(mail.NotFound, "nobody is signed in so") }

// SignIns returns a principal's sign-ins.
func (st *Store) SignIns(_ context.Context, id store.PrincipalID) ([]store.SignIn, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []store.SignIn
	for _, s := range st.directory.signIns {
		if s.Principal == id {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b store.SignIn) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// changeSignIn changes one.
func (st *Store) changeSignIn(id int64, change func(*store.SignIn) error) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	s, ok := st.directory.signIns[id]
	if !ok {
		return noSignIn()
	}
	if err := change(&s); err != nil {
		return err
	}
	st.directory.signIns[id] = s
	return nil
}

// ChangeSignIn replaces a state that is as it was.
func (st *Store) ChangeSignIn(_ context.Context, id int64, was, now []byte, ends time.Time) error {
	return st.changeSignIn(id, func(s *store.SignIn) error {
		if !bytes.Equal(s.State, was) {
			return mail.Errorf(mail.Conflict, "it changed meanwhile")
		}
		s.State, s.Ends = slices.Clone(now), ends
		return nil
	})
}

// SawSignIn notes the last contact.
func (st *Store) SawSignIn(_ context.Context, id int64, at time.Time, addr string) error {
	return st.changeSignIn(id, func(s *store.SignIn) error { s.LastSeen, s.Addr = at, addr; return nil })
}

// RemoveSignIn removes a sign-in.
func (st *Store) RemoveSignIn(_ context.Context, id int64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	s, ok := st.directory.signIns[id]
	if !ok {
		return noSignIn()
	}
	delete(st.directory.signIns, id)
	st.endsOf(s.Principal)
	return nil
}
