package imap

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// esearch serves ESEARCH (RFC 7377): a search of several mailboxes, none of which
// is selected for it. Of each but one index is held at a time.
func (s *session) esearch(ctx context.Context, cmd *wire.ESearch, r *reply) error {
	if cmd.Charset && s.utf8 { // RFC 6855 §3
		return errSettled
	}
	q := newQuery(cmd.Program, cmd.Return, true, r.tag)
	if q.ret == nil {
		q.ret = &wire.SearchReturn{All: true}
	}
	if err := s.mayESearch(cmd, q); err != nil {
		return err
	}
	if err := s.begin(q); err != nil {
		return err
	}
	boxes, err := s.searched(ctx, cmd.In)
	if err != nil {
		return err
	}
	read, updated := int64(0), false
	for _, n := range boxes {
		x, err := s.searchMailbox(ctx, n, q, read)
		if err != nil {
			return err
		}
		if x == nil {
			continue
		}
		read = x.read
		if q.updates() && x.sel == s.sel {
			mb := *n.mailbox
			mb.Path = n.path
			s.keepUpdating(x, nil, q, &mb)
			updated = true
		}
	}
	if q.updates() && !updated {
		s.sayNoUpdate(q.tag, "The selected mailbox was not searched")
	}
	return s.enc.Err()
}

// mayESearch refuses what RFC 7377 §2.2 does.
func (s *session) mayESearch(cmd *wire.ESearch, q *query) error {
	onlySelected, selected := true, len(cmd.In) == 0
	for _, f := range cmd.In {
		if f.Kind == wire.FilterSelected {
			selected = true
		} else {
			onlySelected = false
		}
	}
	switch {
	case s.sel == nil && (selected || q.updates()):
		return errBad("No mailbox is selected")
	case q.saves() && !onlySelected:
		return errBad("Only a search of the selected mailbox can be saved")
	}
	return nil
}

// searched finds the mailboxes that filters mean, each once, in the order of LIST.
// Those that are not there, or that one may not see, are passed over.
func (s *session) searched(ctx context.Context, in []wire.MailboxFilter) ([]*node, error) {
	if len(in) == 0 {
		in = []wire.MailboxFilter{{Kind: wire.FilterSelected}}
	}
	var t *tree
	err := s.view(ctx, func(r store.Reader) (err error) {
		t, err = readTree(r, reach{account: s.user.Account()})
		return err
	})
	if err == nil {
		err = s.addShared(ctx, t, func(store.Reader, reach) error { return nil })
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(t.nodes, func(n *node) bool {
		return n.mailbox == nil || !n.rights.Has(mail.MayRead) || !s.meant(n, in)
	}), nil
}

// meant reports whether one of the filters means a mailbox (RFC 5465 §6, RFC 7377
// §2.2). Mail is delivered to the inbox alone.
func (s *session) meant(n *node, in []wire.MailboxFilter) bool {
	for _, f := range in {
		switch f.Kind {
		case wire.FilterSelected:
			if s.isSelected(n.at, n.mailbox.ID) {
				return true
			}
		case wire.FilterPersonal:
			if n.at.as == 0 {
				return true
			}
		case wire.FilterInboxes:
			if n.at.as == 0 && n.mailbox.Role == mail.RoleInbox {
				return true
			}
		case wire.FilterSubscribed:
			if n.subscribed {
				return true
			}
		default:
			if named(n.path, f) {
				return true
			}
		}
	}
	return false
}

// named reports whether a filter names a path, or one above it.
func named(path string, f wire.MailboxFilter) bool {
	for _, name := range f.Mailboxes {
		below, ok := strings.CutPrefix(path, name)
		switch {
		case !ok:
		case below == "":
			return true
		case f.Kind == wire.FilterMailboxes || below[0] != mail.Delimiter[0]:
		case f.Kind == wire.FilterSubtree || !strings.Contains(below[1:], mail.Delimiter):
			return true
		}
	}
	return false
}

// searchMailbox searches one mailbox and says what it found, if anything. Bytes
// that were read before count. A mailbox that went meanwhile is passed over.
func (s *session) searchMailbox(ctx context.Context, n *node, q *query, read int64) (*searcher, error) {
	sel, mb := s.sel, *n.mailbox
	mb.Path = n.path
	if !s.isSelected(n.at, mb.ID) {
		sel = &selection{id: mb.ID, at: n.at, readOnly: true, box: s.srv.cache.OpenAs(n.at.account, mb.ID, n.at.as)}
		defer sel.box.Close()
		var err error
		if sel.view, err = sel.box.Newest(ctx); mail.KindOf(err) == mail.NotFound && err != nil {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	x := s.newSearcher(sel, q.Key)
	x.tag, x.read = q.tag, read
	found, err := x.find(ctx, nil)
	if q.saves() {
		s.saved = nil // RFC 5182 §2.1
	}
	if err != nil {
		return nil, err
	}
	if q.saves() {
		s.saved = x.toSave(found, q.ret)
	}
	if found.len() > 0 && (!q.saves() || q.ret.HasResult()) {
		x.sayExtended(found, q, &mb)
	}
	return x, nil
}
