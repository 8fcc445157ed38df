package jmap

import (
	"context"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A pushType is a type whose changes clients are told of (§7.1).
type pushType struct {
	name string
	news mail.Type // whose news concern it
	// last finds the last change of it, which makes its state: after known, which the
	// client was told of, and no later than latest, the last of news. Nil is latest.
	last func(r store.Reader, a mail.Account, known, latest mail.ModSeq) (mail.ModSeq, error)
	with mail.Type // that news have too whenever it changes; 0 is none
}

// pushTypes are all there are.
var pushTypes = []pushType{
	{name: "Email", news: mail.TypeEmail},
	{name: "EmailDelivery", news: mail.TypeEmail, last: lastDelivery, with: mail.TypeThread},
	{name: "EmailSubmission", news: mail.TypeSubmission},
	{name: "Identity", news: mail.TypeIdentity},
	{name: "Mailbox", news: mail.TypeMailbox},
	{name: "Thread", news: mail.TypeThread},
	{name: "VacationResponse", news: mail.TypeMetadata, last: lastVacation},
}

// lastDelivery is newer than what is known when an email came since (RFC 8621 §1.5).
func lastDelivery(r store.Reader, a mail.Account, known, latest mail.ModSeq) (mail.ModSeq, error) {
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: a.Epoch.At(known), Limit: 1})
	if err != nil && mail.KindOf(err) == mail.TooOld {
		return latest, nil
	}
	if err != nil || len(page.Changes) == 0 || page.Changes[0].Op != mail.Created { // what came is told first
		return known, err
	}
	return latest, nil
}

// lastVacation is the change of the annotation that holds it.
func lastVacation(r store.Reader, _ mail.Account, _, _ mail.ModSeq) (mail.ModSeq, error) {
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
	return slices.ContainsFunc(f.types, func(t *pushType) bool { return n.Types.Has(t.news) && (t.with == 0 || n.Types.Has(t.with)) })
}

// heard collects news that were not looked at yet: the last of each type.
type heard struct {
	mu   sync.Mutex
	last lasts
}

// lasts are the last changes of types, by type; 0 is none.
type lasts struct {
	of   [16]mail.ModSeq
	look bool // that is not all that may have happened
}

// hear takes note of news. It must not block.
func (h *heard) hear(n mail.News) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last.look = h.last.look || n.Look
	for t := range h.last.of {
		if n.Types.Has(mail.Type(t)) {
			h.last.of[t] = max(h.last.of[t], n.ModSeq)
		}
	}
}

func (h *heard) take() lasts {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.last
	h.last = lasts{}
	return l
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
		states, now = map[string]string{}, mail.Token{Epoch: a.Epoch, ModSeq: a.Head}
		known := f.known.ModSeq
		anew := f.known.Epoch != a.Epoch || known > a.Head
		if anew {
			known = 0
		}
		for _, t := range f.types {
			last := a.Last[t.news]
			if t.last != nil {
				if last, err = t.last(r, a, known, last); err != nil {
					return err
				}
			}
			if anew || last > known {
				states[t.name] = mail.Token{Epoch: a.Epoch, ModSeq: last}.String()
			}
		}
		return nil
	})
	return f.settle(ctx, s, states, now, err)
}

// lookAt is look for news that tell what changed: mostly they say it all.
func (f *follower) lookAt(ctx context.Context, s *Server, l lasts) (states map[string]string, err error) {
	if l.look {
		return f.look(ctx, s)
	}
	states = map[string]string{}
	known, now := f.known.ModSeq, f.known
	var unsure []*pushType
	for _, t := range f.types {
		switch last := l.of[t.news]; {
		case last <= known || t.with != 0 && l.of[t.with] <= known:
			continue
		case t.last != nil:
			unsure = append(unsure, t)
		default:
			states[t.name] = mail.Token{Epoch: now.Epoch, ModSeq: last}.String()
		}
	}
	if len(unsure) > 0 {
		err = s.Store.View(ctx, f.account, func(r store.Reader) error {
			a, err := r.Account()
			if err != nil {
				return err
			}
			for _, t := range unsure {
				last, err := t.last(r, a, known, l.of[t.news])
				if err != nil {
					return err
				}
				if last > known {
					states[t.name] = mail.Token{Epoch: now.Epoch, ModSeq: last}.String()
				}
			}
			return nil
		})
	}
	for _, last := range l.of {
		now.ModSeq = max(now.ModSeq, last)
	}
	return f.settle(ctx, s, states, now, err)
}

// settle knows what is about to be told.
func (f *follower) settle(ctx context.Context, s *Server, states map[string]string, now mail.Token, err error) (map[string]string, error) {
	if err != nil {
		return nil, err
	}
	if identity, changed := states["Identity"]; changed {
		st, err := s.standing(ctx, f.who, f.account)
		if err != nil {
			return nil, err
		}
		states["Identity"] = identity + st.mark()
	}
	f.known = now
	if len(states) == 0 {
		return nil, nil
	}
	return states, nil
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
