package imap

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// mayMatchOthers reports whether some pattern may match a name under other users,
// so that they have to be asked for.
func (ps patterns) mayMatchOthers() bool {
	return slices.ContainsFunc(ps, func(p string) bool {
		literal := p[:min(len(p), strings.IndexAny(p+"*", "*%"))]
		return strings.HasPrefix(othersPrefix, literal) || strings.HasPrefix(literal, othersPrefix)
	})
}

// matchLevel reports whether a level of the hierarchy is named that is no mailbox
// (RFC 9051 §6.3.9): "*" names only those.
func (ps patterns) matchLevel(name string) bool {
	return slices.ContainsFunc(ps, func(p string) bool { return !strings.Contains(p, "*") && matchPattern(p, name) })
}

// addShared adds what others share with the session: what may be looked up, and
// the names above that. It ends in the snapshot of each owner.
func (s *session) addShared(ctx context.Context, t *tree, then func(store.Reader, reach) error) error {
	owners, err := s.srv.Auth.Owners(ctx, s.user)
	if err != nil {
		return err
	}
	for _, o := range owners {
		at := s.reachOf(o, "")
		err := s.viewAt(ctx, at, func(r store.Reader) error {
			if err := s.addSharedOf(r, at, t); err != nil {
				return err
			}
			return then(r, at)
		})
		if err != nil && mail.KindOf(err) != mail.NotFound { // removed meanwhile
			return err
		}
	}
	return nil
}

func (s *session) addSharedOf(r store.Reader, at reach, t *tree) error {
	if blocked, err := s.user.Blocked(r); err != nil || blocked {
		return err
	}
	shared, err := r.Shared(at.as)
	if err != nil {
		return err
	}
	boxes, err := r.Mailboxes()
	for i, mb := range boxes {
		if rights := shared[mb.ID]; rights.Has(mail.MayLookup) {
			t.share(at, &boxes[i], rights)
		}
	}
	return err
}

// share adds a mailbox of somebody else.
func (t *tree) share(at reach, mb *mail.Mailbox, rights mail.Rights) {
	n := t.node(at.name(mb.Path))
	n.mailbox, n.at, n.rights, n.above = mb, at, rights, false
	for p := parent(n.path); p != ""; p = parent(p) {
		above := t.node(p)
		above.hasChildren, above.above = true, above.mailbox == nil
	}
}
