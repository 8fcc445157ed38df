package jmap

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A pushType is a type whose changes clients are told of (§7.1).
type pushType struct {
	name string
	news mail.Type // whose news concern it
	// last finds the last change of it, which makes its state. Known is the last that
	// the client was told of.
	last func(r store.Reader, a mail.Account, known mail.ModSeq) (mail.ModSeq, error)
}

// pushTypes are all there are.
var pushTypes = []pushType{
	{"Email", mail.TypeEmail, lastOf(mail.TypeEmail)},
	{"EmailDelivery", mail.TypeEmail, lastDelivery},
	{"EmailSubmission", mail.TypeSubmission, lastOf(mail.TypeSubmission)},
	{"Identity", mail.TypeIdentity, lastOf(mail.TypeIdentity)},
	{"Mailbox", mail.TypeMailbox, lastOf(mail.TypeMailbox)},
	{"Thread", mail.TypeThread, lastOf(mail.TypeThread)},
	{"VacationResponse", mail.TypeMetadata, lastVacation},
}

// lastOf is the last change that the account keeps of a type.
func lastOf(t mail.Type) func(store.Reader, mail.Account, mail.ModSeq) (mail.ModSeq, error) {
	return func(_ store.Reader, a mail.Account, _ mail.ModSeq) (mail.ModSeq, error) { return a.Last[t], nil }
}

// lastDelivery is newer than what is known when an email came since (RFC 8621 §1.5).
func lastDelivery(r store.Reader, a mail.Account, known mail.ModSeq) (mail.ModSeq, error) {
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: a.Epoch.At(known), Limit: 1})
	if err != nil && mail.KindOf(err) == mail.TooOld {
		return a.Last[mail.TypeEmail], nil
	}
	if err != nil || len(page.Changes) == 0 || page.Changes[0].Op != mail.Created { // what came is told first
		return known, err
	}
	return a.Last[mail.TypeEmail], nil
}

// lastVacation is the change of the annotation that holds it.
func lastVacation(r store.Reader, _ mail.Account, _ mail.ModSeq) (mail.ModSeq, error) {
	all, err := r.Metadata(0, 0)
	for _, m := range all {
		if m.Name == mail.VacationEntry {
			return m.ModSeq, err
		}
	}
	return 0, err
}

// pushTypesOf are those of the names that are known; nil is all (§7.2).
func pushTypesOf(names []string) (of []*pushType) {
	for i := range pushTypes {
		if names == nil || slices.Contains(names, pushTypes[i].name) {
			of = append(of, &pushTypes[i])
		}
	}
	return of
}

// parsePushTypes reads the types of an event source (§7.3).
func parsePushTypes(s string) []*pushType {
	if s == "*" || s == "" {
		return pushTypesOf(nil)
	}
	return pushTypesOf(strings.Split(s, ","))
}

// A follower knows what its client was told of an account.
type follower struct {
	who     store.PrincipalID
	account mail.AccountID
	types   []*pushType
	known   mail.Token
}

// follow begins with what there is now, so that only what changes from here on is
// told; or where the client stopped.
func (s *Server) follow(ctx context.Context, p store.Principal, types []*pushType, from string) (f follower, err error) {
	f = follower{who: p.ID, account: p.Account, types: types}
	if from != "" {
		f.known, _ = mail.ParseToken(from) // what is none is of no epoch: all is told
		return f, nil
	}
	err = s.Store.View(ctx, p.Account, func(r store.Reader) error {
		a, err := r.Account()
		f.known = mail.Token{Epoch: a.Epoch, ModSeq: a.Head}
		return err
	})
	return f, err
}

// concerns reports whether news are about what the client asked for.
func (f *follower) concerns(n mail.News) bool {
	return slices.ContainsFunc(f.types, func(t *pushType) bool { return n.Types.Has(t.news) })
}

// look returns the states of what changed since the client was told, nil if nothing
// did, and knows them from then on. It costs one row, and for deliveries and
// vacations one look more, whatever the account holds.
func (f *follower) look(ctx context.Context, s *Server) (states map[string]string, err error) {
	var now mail.Token
	err = s.Store.View(ctx, f.account, func(r store.Reader) error {
		a, err := r.Account()
		if err != nil {
			return err
		}
		known := f.known.ModSeq
		anew := f.known.Epoch != a.Epoch || known > a.Head
		if now = (mail.Token{Epoch: a.Epoch, ModSeq: a.Head}); anew {
			known = 0
		}
		for _, t := range f.types {
			last, err := t.last(r, a, known)
			if err != nil {
				return err
			}
			if anew || last > known {
				if states == nil {
					states = map[string]string{}
				}
				states[t.name] = mail.Token{Epoch: a.Epoch, ModSeq: last}.String()
			}
		}
		return nil
	})
	if identity, changed := states["Identity"]; changed && err == nil {
		st, failed := s.standing(ctx, f.who, f.account)
		states["Identity"], err = identity+st.mark(), failed
	}
	if err == nil {
		f.known = now
	}
	return states, err
}

// stateChange is what clients are told (§7.1).
type stateChange struct {
	Type      string                       `json:"@type"`
	Changed   map[string]map[string]string `json:"changed"`
	PushState string                       `json:"pushState,omitempty"` // RFC 8887 §4.3.5.2
}

func (f *follower) stateChange(states map[string]string) stateChange {
	return stateChange{Type: "StateChange", Changed: map[string]map[string]string{accountID(f.account): states}}
}
